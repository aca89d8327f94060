/**
 * Lists who may be evicted for a gang: units of pods that go together or not at all, each with what losing it costs.
 *
 * 1. Whole gangs and lone pods of lower priority, or whoever else the preemptor has a right to (`core/reclaim/rights.ts`). Of an
 *    elastic gang, also the members above its minimum, one by one.
 * 2. Units that may not be evicted (yet) are left out, and counted by cause for the reason that people see.
 *
 * O(pods), plus sorting the members of elastic gangs.
 */
import { type IsAccelerator, sumAccelerators } from '../objects/accelerators.ts';
import { CHECKPOINTED_AT, GANG_GATE, MAX_MEMBERS, MIN_RUNTIME, PREEMPTIBLE, readDuration } from '../objects/keys.ts';
import { isTerminated, keyOf, type PodModel, type PodTemplate, staysOnNode } from '../objects/model.ts';
import { instantOf, wholeNumber } from '../objects/text-values.ts';
import { type Gang, type GangKey, gangNameOf } from '../podgroup/gang.ts';
import type { Ranks } from '../podgroup/ranks.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type DomainIdx, domainAt } from '../topology/tree.ts';
import type { Budgets, Cover } from './budgets.ts';

/** A gang with members on nodes, as a possible victim. */
export interface RunningGang {
  readonly gang: Pick<Gang, 'key' | 'members' | 'ranks' | 'minMember'>;
  /** Members that are bound, not terminated and not being deleted. */
  readonly bound: readonly PodModel[];
}

/** Pods that are evicted together or not at all. */
export interface VictimUnit {
  /** The gang's key; for a lone pod or a member on its own, the pod's key. */
  readonly key: string;
  readonly kind: 'gang' | 'member' | 'pod';
  /** The gang it belongs to; undefined for a lone pod. */
  readonly gang: GangKey | undefined;
  readonly pods: readonly PodModel[];
  readonly priority: number;
  /** Accelerator-seconds since the start or the last checkpoint, in whole numbers so that sums compare exactly. */
  readonly lostWork: number;
  /** Start of its oldest pod, milliseconds since the epoch. */
  readonly startedAt: number;
}

/** Why a unit of lower priority is spared. */
export type SpareCause = 'min-runtime' | 'preemptible' | 'budget' | 'barred' | 'guaranteed';

/** Whom the preemptor may take space from. `guaranteed`: of lower priority, but within the guarantee of its queue. */
export type EvictionRight = 'may' | 'guaranteed' | 'never';

/** How far a unit may protect itself by annotations. */
export interface Immunity {
  /** `preemptible: "false"` counts. */
  readonly allowsNonPreemptible: boolean;
  /** The longest `min-runtime` that counts, milliseconds; Infinity: any. */
  readonly maxMinRuntimeMs: number;
}

/** All that it writes counts. */
export const FULL_IMMUNITY: Immunity = { allowsNonPreemptible: true, maxMinRuntimeMs: Number.POSITIVE_INFINITY };

export type ImmunityOf = (unit: VictimUnit) => Immunity;

/** Asked for each pod. A gang is evicted whole, so the weakest right to any of its members counts. */
export type EvictionRights = (pod: PodModel) => EvictionRight;

export interface Candidate {
  readonly unit: VictimUnit;
  readonly cover: Cover;
}

/** A unit that may be evicted, or a gang that may give up some of its members instead. */
export interface Choice {
  /** Undefined: the gang may not be evicted whole. */
  readonly whole: Candidate | undefined;
  /**
   * Members that may be evicted on their own, at most `limit` of them, outliers of the placement first. Empty unless
   * the gang is elastic.
   */
  readonly members: readonly Candidate[];
  readonly limit: number;
}

export interface SparedUnit {
  readonly cause: SpareCause;
  readonly pods: readonly PodModel[];
  /** When the unit may be evicted, milliseconds since the epoch; Infinity: never by time alone. */
  readonly until: number;
}

export interface VictimQuery {
  readonly gang: GangKey;
  readonly rights: EvictionRights;
  /** Asked only for units with such annotations; undefined: all that they write counts. */
  readonly immunityOf?: ImmunityOf | undefined;
  readonly running: Iterable<RunningGang>;
  readonly barred: ReadonlySet<string>;
  readonly isAccelerator: IsAccelerator;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The lowest priority that system components have (apis/scheduling/types.go: SystemCriticalPriority). */
const SYSTEM_CRITICAL = 2_000_000_000;

/** All choices sorted by key, and the units of lower priority that are spared. */
export function listChoices(
  snapshot: Snapshot,
  query: VictimQuery,
  budgets: Budgets,
): { readonly choices: readonly Choice[]; readonly spared: readonly SparedUnit[] } {
  const choices: { readonly key: string; readonly choice: Choice }[] = [];
  const spared: SparedUnit[] = [];
  const measure = unitMeasurer(query);
  const check = (unit: VictimUnit): Candidate | SpareCause => {
    if (query.barred.has(unit.key)) return 'barred';
    const cover = budgets.coverOf(unit.pods);
    return cover ? { unit, cover } : 'budget';
  };
  const consider = ({ right, unit, annotated, surplus, limit }: EvictableUnit) => {
    if (!unit.pods.every(isMovable)) return;
    const spare = (cause: SpareCause, until = Number.POSITIVE_INFINITY) => {
      spared.push({ cause, pods: unit.pods, until });
    };
    if (right === 'guaranteed') return spare('guaranteed');
    const isRefusing = annotated.some(({ annotations }) => annotations[PREEMPTIBLE] === 'false');
    const runtime = longestRuntime(annotated);
    const immunity = isRefusing || runtime > 0 ? query.immunityOf?.(unit) : undefined;
    const { allowsNonPreemptible, maxMinRuntimeMs } = immunity ?? FULL_IMMUNITY;
    if (isRefusing && allowsNonPreemptible) return spare('preemptible');
    const checked = check(unit);
    const members = surplus.map(check).filter((each) => typeof each === 'object');
    if (typeof checked === 'string') spare(checked);
    if (typeof checked === 'string' && members.length === 0) return;
    const protectedUntil = unit.startedAt + Math.min(runtime, maxMinRuntimeMs);
    if (query.now < protectedUntil) return spare('min-runtime', protectedUntil);
    const whole = typeof checked === 'object' ? checked : undefined;
    choices.push({ key: unit.key, choice: { whole, members, limit } });
  };
  for (const running of query.running) {
    const { gang, bound } = running;
    if (bound.length === 0 || gang.key === query.gang) continue;
    // Tested before anything is summed: in a long queue of equal priority this is all that happens.
    const right = leastRight(bound, query.rights);
    if (right === 'never') continue;
    const annotated = gang.members.length > 0 ? gang.members : bound;
    const checkpoint = newestCheckpoint([...annotated, ...bound]);
    const unit = measure('gang', gang.key, bound, checkpoint, gang.key);
    const limit = countSurplus(running);
    const outside = limit > 0 ? sortOutsideFirst(snapshot, gang.ranks, bound) : [];
    const surplus = outside.map((pod) => measure('member', keyOf(pod), [pod], checkpoint, gang.key));
    consider({ right, unit, annotated, surplus, limit });
  }
  for (const row of snapshot.byName) {
    for (const pod of snapshot.podsOn[row]!) {
      if (pod.deleting || gangNameOf(pod.labels) !== undefined || !isMovable(pod)) continue;
      const right = query.rights(pod);
      if (right === 'never') continue;
      const unit = measure('pod', keyOf(pod), [pod], newestCheckpoint([pod]), undefined);
      consider({ right, unit, annotated: [pod], surplus: [], limit: 0 });
    }
  }
  choices.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { choices: choices.map(({ choice }) => choice), spared };
}

/** A unit that the preemptor has some right to. */
interface EvictableUnit {
  readonly right: EvictionRight;
  readonly unit: VictimUnit;
  /** Pods whose annotations count for the unit. */
  readonly annotated: readonly PodModel[];
  /** Members that the gang could give up instead, and at most how many. */
  readonly surplus: readonly VictimUnit[];
  readonly limit: number;
}

function leastRight(bound: readonly PodModel[], rights: EvictionRights): EvictionRight {
  let least: EvictionRight = 'may';
  for (const pod of bound) {
    const right = rights(pod);
    if (right === 'never') return right;
    if (right === 'guaranteed') least = right;
  }
  return least;
}

/**
 * How many members the gang can do without: those above its minimum, but never all bound members, which would be the
 * whole gang.
 */
function countSurplus({ gang, bound }: RunningGang): number {
  const { minMember } = gang;
  const max = bound
    .map(({ annotations }) => wholeNumber(annotations[MAX_MEMBERS]))
    .find((value) => value !== undefined);
  if (minMember === undefined || max === undefined || max <= minMember) return 0;
  return Math.max(0, Math.min(bound.length - minMember, bound.length - 1));
}

/**
 * Sorts the members of an elastic gang in the order in which it gives them up: first those that share their outermost
 * domain with the fewest others, then the next inner one, and so on; among equals the highest rank. O(members x
 * levels), plus sorting.
 */
export function sortOutsideFirst(snapshot: Snapshot, ranks: Ranks, bound: readonly PodModel[]): readonly PodModel[] {
  const { topology, indexOf } = snapshot;
  const counts = new Map<DomainIdx, number>();
  const located = bound.map((pod) => {
    const node = indexOf.get(pod.nodeName);
    const domains = topology.levels.map((_, level) =>
      node === undefined ? undefined : domainAt(topology, node, level),
    );
    for (const domain of domains) if (domain !== undefined) counts.set(domain, (counts.get(domain) ?? 0) + 1);
    return { pod, domains, rank: ranks.get(pod.uid) ?? -1 };
  });
  const countOf = (domain: DomainIdx | undefined) => (domain === undefined ? 0 : counts.get(domain)!);
  const weighed = located.map(({ pod, domains, rank }) => ({ pod, rank, counts: domains.map(countOf) }));
  weighed.sort((a, b) => {
    const level = a.counts.findIndex((count, i) => count !== b.counts[i]);
    const byCount = level < 0 ? 0 : a.counts[level]! - b.counts[level]!;
    return byCount || b.rank - a.rank || (keyOf(a.pod) < keyOf(b.pod) ? -1 : 1);
  });
  return weighed.map(({ pod }) => pod);
}

/**
 * Whether the pod can be moved at all. System components, pods that a DaemonSet or the kubelet would put back at
 * once, and gangs of other controllers stay on their nodes.
 */
export function isMovable(pod: PodModel): boolean {
  if (isTerminated(pod) || pod.priority >= SYSTEM_CRITICAL || pod.nativeGang) return false;
  if (pod.gates.some((gate) => gate !== GANG_GATE)) return false;
  return !staysOnNode(pod);
}

/** Measures what losing a unit costs. Each template is summed once. */
function unitMeasurer({ now, isAccelerator }: VictimQuery) {
  const known = new Map<PodTemplate, number>();
  const acceleratorsOf = (template: PodTemplate): number => {
    let sum = known.get(template);
    if (sum === undefined) {
      sum = sumAccelerators(template, isAccelerator);
      known.set(template, sum);
    }
    return sum;
  };
  return (
    kind: VictimUnit['kind'],
    key: string,
    pods: readonly PodModel[],
    checkpoint: number,
    gang: GangKey | undefined,
  ): VictimUnit => {
    let priority = Number.NEGATIVE_INFINITY;
    let lostWork = 0;
    let startedAt = Number.POSITIVE_INFINITY;
    for (const pod of pods) {
      const start = startOf(pod);
      priority = Math.max(priority, pod.priority);
      startedAt = Math.min(startedAt, start);
      // Bound, and no container of it has run: its image or volume never came.
      if (pod.phase === 'Pending') continue;
      const seconds = Math.floor((now - Math.max(start, checkpoint)) / 1000);
      lostWork += acceleratorsOf(pod.template) * Math.max(0, seconds);
    }
    return { key, kind, gang, pods, priority, lostWork, startedAt };
  };
}

/** When the pod started to run, milliseconds since the epoch. */
export function startOf({ startedAt, createdAt }: PodModel): number {
  return startedAt ?? createdAt;
}

/** The newest checkpoint of the gang, whichever member reports it; -Infinity: none. */
function newestCheckpoint(pods: readonly PodModel[]): number {
  let newest = Number.NEGATIVE_INFINITY;
  let last: string | undefined;
  for (const { annotations } of pods) {
    const text = annotations[CHECKPOINTED_AT];
    // Members usually share it.
    if (text !== last) newest = Math.max(newest, instantOf(text) ?? newest);
    last = text;
  }
  return newest;
}

function longestRuntime(pods: readonly PodModel[]): number {
  let longest = 0;
  for (const { annotations } of pods) {
    longest = Math.max(longest, readDuration(annotations[MIN_RUNTIME]) ?? 0);
  }
  return longest;
}
