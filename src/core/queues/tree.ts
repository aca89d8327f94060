/**
 * The tree of queues: leaves take gangs, inner queues (an organisation, say) divide among their children.
 *
 * People write specs one by one and in any order. A spec that has no place in the tree (a name given twice, a missing
 * parent, a cycle, and everything below) is left out and reported; the rest works. O(queues), sorted by name.
 */
import { type Amounts, addAmounts, addTo, dimensionOf, namesModel, resourceOf } from './amounts.ts';

/** What a queue is guaranteed of one dimension, and the most it may use; base units. */
export interface Quota {
  readonly resource: string;
  /** GPU model; undefined: any. */
  readonly model: string | undefined;
  /** 0: no guarantee, as without a quota. */
  readonly guaranteed: number;
  /** Undefined: no limit. */
  readonly limit: number | undefined;
}

export interface QueueSpec {
  readonly name: string;
  readonly parent: string | undefined;
  /** Its part of what its parent has, relative to its siblings. Above 0. */
  readonly weight: number;
  readonly quotas: readonly Quota[];
  /** Whether it may use more than its guarantee while others leave it idle. */
  readonly allowBorrowing: boolean;
  /** Whether what it borrowed may be taken back. */
  readonly reclaimable: boolean;
  /** `strict`: no gang passes the first gang of the queue. */
  readonly order: 'strict' | 'best-effort';
  /** Priority of gangs whose pods have no priority class. Counts for the order only. */
  readonly defaultPriority: number | undefined;
  readonly maxRunTimeMs: number | undefined;
  /** The longest `min-runtime` that counts, milliseconds; undefined: any within the guarantee, none above it. */
  readonly maxMinRuntimeMs: number | undefined;
  /** Whether `preemptible: "false"` counts; undefined: within the guarantee only. */
  readonly allowNonPreemptible: boolean | undefined;
  /** Namespaces that may use it and the queues below; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** Namespaces whose pods use this queue when they carry no label. */
  readonly defaultFor: readonly string[];
}

export interface Queue {
  readonly name: string;
  readonly spec: QueueSpec;
  readonly parent: Queue | undefined;
  /** Sorted by name. A leaf has none. */
  readonly children: readonly Queue[];
  /** Outermost first, itself last. */
  readonly path: readonly Queue[];
  /** 0: a root. */
  readonly depth: number;
  /**
   * What it is guaranteed. Without a quota of its own for a dimension: what its children are guaranteed together. For
   * a resource without a quota: what it is guaranteed of the resource's models.
   */
  readonly guaranteed: Amounts;
  /** Only its own limits. A missing entry means no limit. */
  readonly limit: Amounts;
  /** The shortest on the path, milliseconds; undefined: no queue of the path sets one. */
  readonly maxRunTimeMs: number | undefined;
  /** The shortest on the path, milliseconds; undefined: no queue of the path sets one. */
  readonly maxMinRuntimeMs: number | undefined;
  /** Its own, else that of the nearest queue above that says it. */
  readonly allowNonPreemptible: boolean | undefined;
  /** Its own, else that of the nearest queue above that sets one. */
  readonly defaultPriority: number | undefined;
  /** The dimensions that its tree guarantees, as `QueueTree.promised`. */
  readonly promised: ReadonlySet<string>;
  /** Those of them that a quota names. */
  readonly promisedByName: ReadonlySet<string>;
}

export interface QueueTree {
  readonly byName: ReadonlyMap<string, Queue>;
  readonly roots: readonly Queue[];
  readonly leaves: readonly Queue[];
  readonly problems: readonly QueueProblem[];
  /** Specs that have no place in the tree. What they say about namespaces still holds. */
  readonly leftOut: readonly QueueSpec[];
  /** The dimensions of which some queue has a quota. */
  readonly dimensions: ReadonlySet<string>;
  /**
   * The dimensions that some quota guarantees, and the resources of which some quota guarantees a model. Using them
   * without a guarantee is borrowing. A gang that does not say which model it wants asks for the resource alone.
   */
  readonly promised: ReadonlySet<string>;
}

/** Why a queue is left out of the tree. `same-default` leaves none out. */
export type QueueProblem =
  | { readonly kind: 'duplicate'; readonly queue: string }
  | { readonly kind: 'unknown-parent'; readonly queue: string; readonly parent: string }
  | { readonly kind: 'left-out-parent'; readonly queue: string; readonly parent: string }
  | { readonly kind: 'cycle'; readonly queue: string; readonly path: readonly string[] }
  | { readonly kind: 'too-deep'; readonly queue: string; readonly most: number }
  | { readonly kind: 'same-default'; readonly queue: string; readonly namespace: string; readonly other: string };

export const DEFAULT_QUEUE = 'default';

/** How many queues may be above one. Companies have fewer levels, and each request for quota is judged on all of them. */
export const MAX_QUEUES_ABOVE = 16;

/** A queue without quotas and with default settings. */
export function plainQueue(name: string): QueueSpec {
  return {
    name,
    parent: undefined,
    weight: 1,
    quotas: [],
    allowBorrowing: true,
    reclaimable: true,
    order: 'best-effort',
    defaultPriority: undefined,
    maxRunTimeMs: undefined,
    maxMinRuntimeMs: undefined,
    allowNonPreemptible: undefined,
    namespaces: undefined,
    defaultFor: [],
  };
}

/**
 * Never throws: errors are in `problems`, and `byName` lacks the queues that have no place. There is always a queue
 * `default`, open to everybody, unless the specs define one.
 */
export function buildQueueTree(specs: readonly QueueSpec[]): QueueTree {
  const given = specs.some((spec) => spec.name === DEFAULT_QUEUE) ? specs : [...specs, plainQueue(DEFAULT_QUEUE)];
  const sorted = given.toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  const { kept, leftOut, problems } = leaveOut(sorted);
  const quotas = kept.flatMap((spec) => spec.quotas);
  const promisedByName = new Set(quotas.filter((quota) => quota.guaranteed > 0).map(keyOfQuota));
  const promised = new Set([...promisedByName].flatMap((dimension) => [dimension, resourceOf(dimension)]));
  const byName = new Map<string, Queue>();
  const below = Map.groupBy(kept, (spec) => spec.parent);
  const grow = (spec: QueueSpec, parent: Queue | undefined): Queue => {
    // A queue refers to its parent and its children, so the list of children is filled after the queue exists.
    const children: Queue[] = [];
    const path: Queue[] = [...(parent?.path ?? [])];
    const guaranteed = new Map<string, number>();
    const { name } = spec;
    const depth = path.length;
    const queue = {
      name,
      spec,
      parent,
      children,
      path,
      depth,
      guaranteed,
      limit: limitsOf(spec),
      maxRunTimeMs: shortest(spec.maxRunTimeMs, parent?.maxRunTimeMs),
      maxMinRuntimeMs: shortest(spec.maxMinRuntimeMs, parent?.maxMinRuntimeMs),
      allowNonPreemptible: spec.allowNonPreemptible ?? parent?.allowNonPreemptible,
      defaultPriority: spec.defaultPriority ?? parent?.defaultPriority,
      promised,
      promisedByName,
    };
    path.push(queue);
    byName.set(name, queue);
    for (const child of below.get(name) ?? []) children.push(grow(child, queue));
    addGuaranteed(guaranteed, queue);
    return queue;
  };
  const roots = (below.get(undefined) ?? []).map((spec) => grow(spec, undefined));
  return {
    byName,
    roots,
    leaves: [...byName.values()].filter((queue) => queue.children.length === 0),
    problems: [...problems, ...findSameDefaults(kept)],
    leftOut,
    dimensions: new Set(quotas.map(keyOfQuota)),
    promised,
  };
}

function shortest(own: number | undefined, above: number | undefined): number | undefined {
  return own === undefined || above === undefined ? (own ?? above) : Math.min(own, above);
}

/** A leaf that is guaranteed something and that every namespace may use: anybody who names it takes its guarantee. */
export function isOpenGuarantee({ name, children, guaranteed, path }: Queue): boolean {
  if (name === DEFAULT_QUEUE || children.length > 0 || guaranteed.size === 0) return false;
  return path.every(({ spec }) => spec.namespaces === undefined);
}

function keyOfQuota({ resource, model }: Quota): string {
  return dimensionOf(resource, model);
}

function limitsOf(spec: QueueSpec): Amounts {
  const limit = new Map<string, number>();
  for (const quota of spec.quotas) if (quota.limit !== undefined) limit.set(keyOfQuota(quota), quota.limit);
  return limit;
}

function addGuaranteed(into: Map<string, number>, { spec, children }: Queue): void {
  for (const child of children) addAmounts(into, child.guaranteed);
  for (const quota of spec.quotas) if (quota.guaranteed > 0) into.set(keyOfQuota(quota), quota.guaranteed);
  const own = new Set(spec.quotas.filter((quota) => quota.guaranteed > 0).map(keyOfQuota));
  const ofModels = new Map<string, number>();
  for (const [dimension, amount] of into) if (namesModel(dimension)) addTo(ofModels, resourceOf(dimension), amount);
  for (const [resource, amount] of ofModels) {
    if (!own.has(resource)) into.set(resource, Math.max(amount, into.get(resource) ?? 0));
  }
}

/** Why a queue has no place, or how many queues are above it. */
type Place = QueueProblem | number;

function leaveOut(sorted: readonly QueueSpec[]): {
  readonly kept: readonly QueueSpec[];
  readonly leftOut: readonly QueueSpec[];
  readonly problems: readonly QueueProblem[];
} {
  const named = Map.groupBy(sorted, (spec) => spec.name);
  const places = new Map<string, Place>();
  for (const name of named.keys()) findPlaces(name, named, places);
  const problems = [...named.keys()].map((name) => places.get(name)!).filter((place) => typeof place !== 'number');
  const [kept, leftOut] = [true, false].map((isKept) =>
    sorted.filter((spec) => (typeof places.get(spec.name) === 'number') === isKept),
  ) as [QueueSpec[], QueueSpec[]];
  return { kept, leftOut, problems };
}

/** Finds the places of the queue and of all above it. No recursion: people nest queues as deeply as they like. */
function findPlaces(name: string, named: ReadonlyMap<string, readonly QueueSpec[]>, places: Map<string, Place>): void {
  const way: string[] = [];
  const onWay = new Map<string, number>();
  for (let at = name; !places.has(at); ) {
    const [{ parent } = { parent: undefined }, ...more] = named.get(at)!;
    if (more.length > 0) places.set(at, { kind: 'duplicate', queue: at });
    else if (parent === undefined) places.set(at, 0);
    else if (!named.has(parent)) places.set(at, { kind: 'unknown-parent', queue: at, parent });
    else {
      onWay.set(at, way.length);
      way.push(at);
      const start = onWay.get(parent);
      if (start === undefined) {
        at = parent;
        continue;
      }
      const path = [...way.slice(start), parent];
      for (const queue of way.splice(start)) places.set(queue, { kind: 'cycle', queue, path });
    }
    break;
  }
  for (const queue of way.reverse()) {
    const parent = named.get(queue)![0]!.parent!;
    places.set(queue, placeBelow(queue, parent, places.get(parent)!));
  }
}

function placeBelow(queue: string, parent: string, above: Place): Place {
  if (typeof above !== 'number') return { kind: 'left-out-parent', queue, parent };
  return above < MAX_QUEUES_ABOVE ? above + 1 : { kind: 'too-deep', queue, most: MAX_QUEUES_ABOVE };
}

function findSameDefaults(kept: readonly QueueSpec[]): readonly QueueProblem[] {
  const problems: QueueProblem[] = [];
  const first = new Map<string, string>();
  for (const { name, defaultFor } of kept) {
    for (const namespace of new Set(defaultFor)) {
      const other = first.get(namespace);
      if (other === undefined) first.set(namespace, name);
      else problems.push({ kind: 'same-default', queue: name, namespace, other });
    }
  }
  return problems;
}
