/** Turns batches into bytes: the chunks of a watch on loopback, or what an API server keeps in etcd. */
import { encodeObject, envelop, frameOf } from '../../test/support/kube-wire.ts';
import { Stencil } from './stencil.ts';
import type { Batch } from './vast-cluster.ts';

interface Kind {
  /** Of the schema in test/support; undefined: JSON. */
  readonly type: string | undefined;
  readonly apiVersion: string;
  /** In etcd, under `/registry/`. */
  readonly resource: string;
}

export const KINDS: Readonly<Record<string, Kind>> = {
  '/api/v1/nodes': { type: 'core.Node', apiVersion: 'v1', resource: 'minions' },
  '/api/v1/pods': { type: 'core.Pod', apiVersion: 'v1', resource: 'pods' },
  '/apis/batch/v1/jobs': { type: 'batch.Job', apiVersion: 'batch/v1', resource: 'jobs' },
  '/apis/apps/v1/daemonsets': { type: 'apps.DaemonSet', apiVersion: 'apps/v1', resource: 'daemonsets' },
  '/api/v1/persistentvolumeclaims': {
    type: 'core.PersistentVolumeClaim',
    apiVersion: 'v1',
    resource: 'persistentvolumeclaims',
  },
  '/apis/storage.k8s.io/v1/storageclasses': {
    type: 'storage.StorageClass',
    apiVersion: 'storage.k8s.io/v1',
    resource: 'storageclasses',
  },
  '/apis/policy/v1/poddisruptionbudgets': {
    type: 'policy.PodDisruptionBudget',
    apiVersion: 'policy/v1',
    resource: 'poddisruptionbudgets',
  },
  '/apis/scheduling.k8s.io/v1/priorityclasses': {
    type: undefined,
    apiVersion: 'scheduling.k8s.io/v1',
    resource: 'priorityclasses',
  },
};

/** Copies are joined into pieces of this many bytes, so that writing them costs less than what is measured. */
const PIECE_BYTES = 256 * 1024;

/** A watch event as an HTTP chunk of its own, as from kube-apiserver. */
export function chunkOf(event: string, path: string, object: object): Buffer {
  const { type } = KINDS[path]!;
  const bytes =
    type === undefined
      ? Buffer.from(`${JSON.stringify({ type: event, object })}\n`)
      : frameOf(event, type, encodeObject(type, object));
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** One stencil for each sample of a batch, as a chunk of a watch. */
export function chunkStencils({ path, samples }: Batch, event: string): readonly Stencil[] {
  return samples.map(({ object, holes }) => new Stencil(chunkOf(event, path, object), holes));
}

/** All copies as chunks, made while they are read. @param stencils for each batch. */
export function* streamChunks(
  batches: readonly { readonly batch: Batch; readonly stencils: readonly Stencil[] }[],
): Generator<Buffer> {
  let piece = Buffer.allocUnsafe(PIECE_BYTES);
  let used = 0;
  for (const { batch, stencils } of batches) {
    for (let i = 0; i < batch.count; i++) {
      const [sample, values] = batch.at(i);
      const stencil = stencils[sample]!;
      if (used + stencil.length > PIECE_BYTES) {
        yield piece.subarray(0, used);
        // The socket may still hold the one before.
        piece = Buffer.allocUnsafe(PIECE_BYTES);
        used = 0;
      }
      stencil.write(piece, used, values);
      used += stencil.length;
    }
  }
  yield piece.subarray(0, used);
}

/** What an API server keeps, with the key that it keeps it under. The version is etcd's own, so it is left out. */
export function* listEntries(batch: Batch): Generator<readonly [key: string, value: Buffer]> {
  const { type, apiVersion, resource } = KINDS[batch.path]!;
  const kind = type?.split('.')[1] ?? 'PriorityClass';
  const stencils = batch.samples.map(({ object, holes }) => {
    const { namespace, name } = object.metadata;
    const { resourceVersion: _, ...metadata } = object.metadata;
    const kept = { ...object, metadata };
    const value =
      type === undefined
        ? Buffer.from(JSON.stringify({ apiVersion, kind, ...kept }))
        : envelop(apiVersion, kind, encodeObject(type, kept));
    const key = `/registry/${resource}/${namespace === undefined ? '' : `${namespace}/`}${name}`;
    const indices = holes.flatMap((hole, i) => (hole === object.metadata.resourceVersion ? [] : [i]));
    const texts = indices.map((i) => holes[i]!);
    const inKey = indices.filter((i) => key.includes(holes[i]!));
    return {
      indices,
      inKey,
      value: new Stencil(value, texts),
      key: new Stencil(
        Buffer.from(key),
        inKey.map((i) => holes[i]!),
      ),
    };
  });
  for (let i = 0; i < batch.count; i++) {
    const [sample, values] = batch.at(i);
    const { indices, inKey, value, key } = stencils[sample]!;
    const pick = (list: readonly number[]) => list.map((index) => values[index]!);
    yield [key.copy(pick(inKey)).toString(), value.copy(pick(indices))];
  }
}
