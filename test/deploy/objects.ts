/** Manifests as values that can be compared, wherever they come from: files, Helm or kustomize. */
import { load, loadAll } from 'js-yaml';
import { parseConfiguration } from '../../src/config/configuration.ts';

/** A Kubernetes object. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: object;
}

/** The objects of a text of YAML documents. */
export function readObjects(text: string): readonly Manifest[] {
  return (loadAll(text) as (Manifest | null)[]).filter((object) => object !== null && object !== undefined);
}

/** What Helm needs to find its own, and what makes a new configuration restart the pods. */
const BOOKKEEPING = [
  'app.kubernetes.io/instance',
  'app.kubernetes.io/version',
  'app.kubernetes.io/managed-by',
  'helm.sh/chart',
  'helm.sh/resource-policy',
  'checksum/config',
];

/**
 * The objects by kind, namespace and name, without Helm's bookkeeping and the namespace itself, which Helm makes by itself.
 * @throws Error when two have the same name.
 */
export function comparable(objects: readonly Manifest[]): Readonly<Record<string, object>> {
  const entries = objects
    .filter(({ kind }) => kind !== 'Namespace')
    .map((object) => [identityOf(object), withoutBookkeeping(object)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const twice = entries.find(([identity], i) => identity === entries[i - 1]?.[0]);
  if (twice !== undefined) throw new Error(`expected each object once, found ${twice[0]} twice`);
  return Object.fromEntries(entries);
}

/** The object with its files as values and without the checksum of one, which depend on who writes YAML. */
export function readable({ data, ...object }: Manifest): object {
  const files = Object.entries(data ?? {}).map(([name, text]) => [name, load(text)]);
  const text = JSON.stringify({ ...object, ...(data && { data: Object.fromEntries(files) }) });
  return JSON.parse(text, (name, value) => (name === 'checksum/config' ? undefined : value)) as object;
}

function identityOf({ kind, metadata }: Manifest): string {
  return [kind, metadata.namespace ?? '', metadata.name].join('/');
}

function withoutBookkeeping(object: Manifest): object {
  const { data, ...rest } = object;
  const stripped = strip(rest, true) as object;
  return data === undefined ? stripped : { ...stripped, data: parseData(data) };
}

/** @param isTop of the object itself, whose name label only the chart writes; a pod's is what selectors look for. */
function strip(value: unknown, isTop: boolean): unknown {
  // kustomize writes folded texts again with more line breaks; to an expression they are blanks.
  if (typeof value === 'string') return value.replace(/\s*\n\s*/g, ' ');
  if (Array.isArray(value)) return value.map((item) => strip(item, false));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([name, child]): [string, unknown][] => {
    if (name === 'imagePullPolicy' && child === 'IfNotPresent') return [];
    if (name === 'metadata') return [[name, stripMetadata(child as Manifest['metadata'], isTop)]];
    return [[name, strip(child, false)]];
  });
  return Object.fromEntries(entries);
}

function stripMetadata({ labels = {}, annotations = {}, ...metadata }: Manifest['metadata'], isTop: boolean): object {
  const left = (all: Readonly<Record<string, string>>, names: readonly string[]) =>
    Object.fromEntries(Object.entries(all).filter(([name]) => !names.includes(name)));
  const keptLabels = left(labels, isTop ? [...BOOKKEEPING, 'app.kubernetes.io/name'] : BOOKKEEPING);
  const keptAnnotations = left(annotations, BOOKKEEPING);
  return {
    ...metadata,
    ...(Object.keys(keptLabels).length > 0 && { labels: keptLabels }),
    ...(Object.keys(keptAnnotations).length > 0 && { annotations: keptAnnotations }),
  };
}

/** Files are compared by what they say, not by how they are written: Muster's configuration with all its defaults. */
function parseData(data: Readonly<Record<string, string>>): object {
  const parse = (name: string, text: string) => (name === 'config.yaml' ? parseConfiguration(text, name) : load(text));
  return Object.fromEntries(Object.entries(data).map(([name, text]) => [name, parse(name, text)]));
}
