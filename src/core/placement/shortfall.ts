/**
 * Describes why a gang that asks something of the fabric found no place there: the level, the best domain, and what
 * is in the way. O(pods) where accelerators are free but other pods take the rest.
 */
import { type IsAccelerator, requestsAccelerator } from '../objects/accelerators.ts';
import { keyOf, type PodModel, staysOnNode } from '../objects/model.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { LevelProblem } from '../topology/request.ts';
import { type DomainIdx, type NodeIdx, pathOf } from '../topology/tree.ts';
import { freeIn } from './domain-stats.ts';
import type { RequestClass } from './member-classes.ts';
import type { PlanContext } from './plan-context.ts';

/** Pods without accelerators that keep a domain from holding the gang. */
export interface BlockingPods {
  readonly domain: string;
  readonly pods: number;
  /** `namespace/name` of a few of them. */
  readonly examples: readonly string[];
}

export type TopologyShortfall =
  | LevelProblem
  | {
      readonly kind: 'no-domain';
      /** One domain of this level has to hold the gang; undefined: only its slices are kept together. */
      readonly level: string | undefined;
      /** Path of the domain that takes most members; undefined when no domain takes any. */
      readonly best: string | undefined;
      readonly slice: { readonly size: number; readonly level: string } | undefined;
      readonly squatters: BlockingPods | undefined;
      /** When the next wider level is allowed, milliseconds since the epoch; undefined: never. */
      readonly widensAt: number | undefined;
    };

const EXAMPLES = 3;

/**
 * Call it while nothing of the gang is placed in the transaction.
 * @param best the domain that takes most members.
 */
export function describeShortfall(context: PlanContext, best: DomainIdx | undefined): TopologyShortfall | undefined {
  const { asked, largest: members } = context;
  const { topology } = context.tx.snapshot;
  const { outermost, slice, widensAt } = asked;
  if (outermost < 0 && !slice) return undefined;
  return {
    kind: 'no-domain',
    level: topology.levels[outermost]?.name,
    best: best === undefined || outermost < 0 ? undefined : pathOf(topology, best),
    slice: slice && { size: slice.size, level: topology.levels[slice.level]!.name },
    squatters: outermost >= 0 && members.accelerators > 0 ? findBlockingPods(context, members) : undefined,
    widensAt,
  };
}

/**
 * The domain of the level that would hold the class if the fewest pods without accelerators made room. O(pods), but
 * most domains are skipped at once because even their free accelerators are too few.
 */
function findBlockingPods(context: PlanContext, members: RequestClass): BlockingPods | undefined {
  const { tx, asked, stats, usable, policy } = context;
  const { topology, podsOn } = tx.snapshot;
  // An elastic gang starts with its minimum.
  const want = Math.min(members.pods.length, context.gang.min);
  let found: BlockingPods | undefined;
  for (const domain of Array.from(topology.domainsAt[asked.outermost]!) as DomainIdx[]) {
    if (freeIn(stats, domain) < want * members.accelerators) continue;
    const inTheWay: PodModel[] = [];
    let fits = 0;
    for (let i = topology.start[domain]!; i < topology.end[domain]!; i++) {
      const node = topology.order[i]! as NodeIdx;
      if (members.allowed[node] !== 1 || (usable && usable[node] !== 1)) continue;
      const movable = podsOn[node]!.filter((pod) => isMovable(pod, policy.isAccelerator));
      const now = capacityWithout(tx.snapshot, node, members, []);
      const then = movable.length > 0 ? capacityWithout(tx.snapshot, node, members, movable) : now;
      fits += then;
      if (then > now) for (const pod of movable) inTheWay.push(pod);
    }
    if (fits < want || inTheWay.length === 0) continue;
    if (found && found.pods <= inTheWay.length) continue;
    const examples = inTheWay.map(keyOf).sort().slice(0, EXAMPLES);
    found = { domain: pathOf(topology, domain), pods: inTheWay.length, examples };
  }
  return found;
}

function isMovable(pod: PodModel, isAccelerator: IsAccelerator): boolean {
  // Every node has the same DaemonSet and static pods, so naming them helps nobody.
  return !staysOnNode(pod) && !requestsAccelerator(pod.template, isAccelerator);
}

/** How many members the node takes, by resources alone, once the pods are gone. */
function capacityWithout(snapshot: Snapshot, node: NodeIdx, members: RequestClass, gone: readonly PodModel[]): number {
  const { columns, amounts, unknown } = members.requests;
  if (unknown !== undefined) return 0;
  let fits = Number.MAX_SAFE_INTEGER;
  members.pods[0]!.template.requests.forEach(({ name }, i) => {
    let free = snapshot.free[columns[i]!]![node]!;
    for (const { template } of gone) {
      for (const request of template.requests) if (request.name === name) free += request.amount;
    }
    fits = Math.min(fits, Math.floor(free / amounts[i]!));
  });
  return Math.max(0, fits);
}
