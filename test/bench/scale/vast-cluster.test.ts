/** The cluster that is made while it is read is the one that it says it is. */
import { describe, expect, test } from 'vitest';
import { MEMBERS, mixOf, SIZES, type Size } from '../../../bench/scale/sizes.ts';
import { Stencil } from '../../../bench/scale/stencil.ts';
import { countStates, listBatches, NODES_PATH, podLife } from '../../../bench/scale/vast-cluster.ts';
import { chunkStencils, listEntries, streamChunks } from '../../../bench/scale/vast-encoder.ts';
import { PODS_PATH } from '../../../bench/scenarios/wire-cluster.ts';
import { NODES, podKind } from '../../../src/cluster/kinds.ts';
import type { PodModel } from '../../../src/core/objects/model.ts';
import { PodProjector } from '../../../src/core/objects/pod-projection.ts';
import { gangKeyOf } from '../../../src/core/podgroup/gang.ts';
import { decodeFrame, type MessageForm } from '../../../src/kube/protobuf/watch-frames.ts';

const [SMALL] = SIZES as readonly [Size];

describe('a stencil', () => {
  test('copies differ in their holes alone, wherever these stand', () => {
    const stencil = new Stencil(Buffer.from('pod WW of WW on NN'), ['WW', 'NN']);
    expect(stencil.copy(['07', '42']).toString()).toBe('pod 07 of 07 on 42');
    expect(stencil.copy(['08', '43']).toString()).toBe('pod 08 of 08 on 43');
    const target = Buffer.alloc(20, '-');
    stencil.write(target, 1, ['07', '42']);
    expect(target.toString()).toBe('-pod 07 of 07 on 42-');
  });

  test('a hole that is not there, and a value of another length, are told', () => {
    expect(() => new Stencil(Buffer.from('pod'), ['WW'])).toThrow('expected "WW" in the encoded object');
    const stencil = new Stencil(Buffer.from('pod WW'), ['WW']);
    expect(() => stencil.copy(['123'])).toThrow('as long as "WW", found "123"');
    expect(() => stencil.copy([])).toThrow('found "undefined"');
  });
});

/** Everything of a path, as Muster reads it from the watch. */
function readAll<T>(path: string, form: MessageForm<T>): readonly T[] {
  const batches = listBatches(SMALL)
    .filter((batch) => batch.path === path)
    .map((batch) => ({ batch, stencils: chunkStencils(batch, 'ADDED') }));
  return [...listChunks(Buffer.concat([...streamChunks(batches)]))].map((frame) => {
    const event = decodeFrame(frame.subarray(4), form, (error) => {
      throw error;
    });
    if (event.kind !== 'changed') throw new Error(`expected an object, found ${event.kind}`);
    return event.item.object!;
  });
}

/** The contents of HTTP chunks. */
function* listChunks(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const start = bytes.indexOf('\r\n', at) + 2;
    const end = start + Number.parseInt(bytes.toString('latin1', at, start), 16);
    yield bytes.subarray(start, end);
    expect(bytes.toString('latin1', end, end + 2)).toBe('\r\n');
    at = end + 2;
  }
}

describe('a cluster of 1,000 nodes and 10,000 pods', () => {
  const pods = readAll(PODS_PATH, podKind(new PodProjector({ maxTemplates: 500, managedResources: [] })).message);
  const nodes = readAll(NODES_PATH, NODES.message);

  test('has as many objects, each with a name and a UID of its own', () => {
    expect(pods).toHaveLength(SMALL.pods);
    expect(nodes).toHaveLength(SMALL.nodes);
    expect(new Set(pods.map(({ uid }) => uid)).size).toBe(SMALL.pods);
    expect(new Set(pods.map(({ namespace, name }) => `${namespace}/${name}`)).size).toBe(SMALL.pods);
    expect(new Set(nodes.map(({ name }) => name)).size).toBe(SMALL.nodes);
  });

  test('has its pods on nodes that exist, and at most 8 GPUs of gangs on each', () => {
    const known = new Set(nodes.map(({ name }) => name));
    const gpus = new Map<string, number>();
    for (const pod of pods) {
      const node = pod.nodeName || pod.nominatedNodeName;
      if (node !== '') expect(known).toContain(node);
      if (node === '' || gangKeyOf(pod) === undefined) continue;
      gpus.set(node, (gpus.get(node) ?? 0) + gpusOf(pod));
    }
    expect(Math.max(...gpus.values())).toBe(8);
    expect(Math.min(...gpus.values())).toBe(8);
    expect(SMALL.nodes - gpus.size).toBeLessThan(MEMBERS.waiting);
  });

  test('has the gangs that it counts', () => {
    const gangs = new Set(pods.map((pod) => gangKeyOf(pod)).filter((key) => key !== undefined));
    const counted = Object.values(countStates(SMALL)).reduce((sum, count) => sum + count, 0);
    expect(gangs.size).toBe(counted);
  });

  test('is the same in etcd: a key for each object', () => {
    const entries = listBatches(SMALL).flatMap((batch) => [...listEntries(batch)]);
    const keys = new Set(entries.map(([key]) => key));
    expect(keys.size).toBe(entries.length);
    expect([...keys].filter((key) => key.startsWith('/registry/pods/'))).toHaveLength(SMALL.pods);
    expect(keys).toContain('/registry/minions/gpu-h100-eu-central-1-00999');
    expect(entries.every(([, value]) => !value.includes('WWWWW') && !value.includes('88888888'))).toBe(true);
  });
});

test('the events of a pod have rising versions, and name one pod', () => {
  const versions = [0, 1].flatMap((life) =>
    podLife(SMALL).map(({ batch }) => Number(batch.at(life)[1].find(isVersion))),
  );
  expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  expect(new Set(versions).size).toBe(versions.length);
});

test.each(SIZES)('$nodes nodes and $pods pods add up', (size) => {
  const count = (path: string) =>
    listBatches(size)
      .filter((batch) => batch.path === path)
      .reduce((sum, batch) => sum + batch.count, 0);
  expect(count(PODS_PATH)).toBe(size.pods);
  expect(count(NODES_PATH)).toBe(size.nodes);
});

test('too few pods for the nodes are told', () => {
  expect(() => mixOf({ nodes: 5_000, pods: 10_000 })).toThrow(/expected at least \d+ pods on 5000 nodes, found 10000/);
});

function isVersion(text: string): boolean {
  return /^2\d{7}$/.test(text);
}

function gpusOf({ template }: PodModel): number {
  return template.requests.find(({ name }) => name === 'nvidia.com/gpu')?.amount ?? 0;
}
