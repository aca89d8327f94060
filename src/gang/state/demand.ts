/** What a gang needs planned now: which members, and how many of them at least. Pure. */

import type { PodModel } from '../../core/objects/model.ts';
import type { GangRequest, PlacedMember } from '../../core/placement/gang-request.ts';
import { missingRanks } from '../../core/podgroup/ranks.ts';
import { countLacking, type GangRecord } from './records.ts';
import type { Placeholder } from './reservations.ts';
import type { Slot } from './slot.ts';

export type Demand =
  | { readonly kind: 'none' }
  /** Not enough members exist. */
  | { readonly kind: 'gathering' }
  | {
      readonly kind: 'members';
      /** In rank order. */
      readonly members: readonly PodModel[];
      /** How many of them must be placed together. */
      readonly min: number;
      /** The gang cannot start or go on without them; false: they are members above the minimum. */
      readonly blocksStart: boolean;
      /** No member is bound or has a slot: a new attempt. */
      readonly fresh: boolean;
    };

export type MembersDemand = Demand & { readonly kind: 'members' };

/** @param slots slots that stay as they are; their members need no planning. */
export function demandOf(record: Pick<GangRecord, 'gang' | 'census' | 'repair'>, slots: readonly Slot[]): Demand {
  const { gang, census, repair } = record;
  if (gang.minMember === undefined) return { kind: 'gathering' };
  const placed = new Set(slots.map((slot) => slot.pod.uid));
  const members = census.unbound.filter((pod) => !placed.has(pod.uid));
  const lacking = Math.max(0, countLacking(record) - slots.length);
  // A gang that runs takes each replacement as it comes.
  const need = repair.hasRun ? Math.min(lacking, members.length) : lacking;
  if (need > members.length) return { kind: 'gathering' };
  if (members.length === 0) return { kind: 'none' };
  if (repair.hasRun && need === 0) return demandToGrow(record, members, slots);
  const fresh = census.bound.length === 0 && slots.length === 0;
  return { kind: 'members', members, min: Math.max(1, need), blocksStart: need > 0, fresh };
}

/**
 * A gang that runs and lacks nobody takes members one by one, but those of a Job that joins it only all together: some of
 * them would be idle, like some members of a gang.
 */
function demandToGrow(
  { gang, census }: Pick<GangRecord, 'gang' | 'census'>,
  members: readonly PodModel[],
  slots: readonly Slot[],
): Demand {
  const growth = { kind: 'members', blocksStart: false, fresh: false } as const;
  const started = new Set([...census.bound, ...slots.map(({ pod }) => pod)].map(({ owner }) => owner?.uid));
  const joins = ({ owner }: PodModel) => owner !== undefined && gang.coming.has(owner.uid) && !started.has(owner.uid);
  const others = members.filter((pod) => !joins(pod));
  if (others.length > 0) return { ...growth, members: others, min: 1 };
  const job = members.map(({ owner }) => owner!.uid).find((uid) => gang.coming.get(uid) === 0);
  if (job === undefined) return { kind: 'gathering' };
  const own = members.filter(({ owner }) => owner!.uid === job);
  return { ...growth, members: own, min: own.length };
}

/**
 * The demand without members that are not its gang's turn: those with a slot stay, and of the others the first `ahead`, or
 * as many as the gang needs.
 */
export function withoutGrowth(demand: Demand, slots: readonly Slot[], ahead: number): Demand {
  if (demand.kind !== 'members') return demand;
  const { members, min, blocksStart } = demand;
  const placed = new Set(slots.map(({ pod }) => pod.uid));
  const own = members.reduce((count, { uid }) => count + Number(placed.has(uid)), 0);
  let left = Math.max(ahead, blocksStart ? min - own : 0);
  if (members.length - own <= left) return demand;
  const kept = members.filter(({ uid }) => placed.has(uid) || left-- > 0);
  return kept.length < min || kept.length === 0 ? { kind: 'none' } : { ...demand, members: kept };
}

/**
 * What is planned when the slots of a gang are planned again as a whole: first the members that have one and as many
 * others as the gang needs to start, then, unless it has started, all others.
 * @param stay slots that cannot be given up any more.
 * @returns `kept`: how many members are of the first kind.
 */
export function demandAnew(
  record: Pick<GangRecord, 'gang' | 'census' | 'repair'>,
  slots: readonly Slot[],
  stay: readonly Slot[],
): { readonly demand: MembersDemand; readonly kept: number } | undefined {
  const whole = demandOf(record, stay);
  if (whole.kind !== 'members') return undefined;
  const placed = new Set(slots.map((slot) => slot.pod.uid));
  const first = whole.members.filter(({ uid }) => placed.has(uid));
  const others = whole.members.filter(({ uid }) => !placed.has(uid));
  const kept = Math.max(whole.min, first.length);
  const members = whole.blocksStart ? [...first, ...others] : [...first, ...others].slice(0, kept);
  return { demand: { ...whole, members, fresh: false }, kept };
}

/** Members that are bound (without lost ones) or have a slot. */
export function placedMembers(
  { gang: { ranks }, census, repair: { lost } }: Pick<GangRecord, 'gang' | 'census' | 'repair'>,
  slots: readonly Slot[],
): readonly PlacedMember[] {
  const stay = lost.length === 0 ? census.bound : census.bound.filter((pod) => !lost.includes(pod));
  return [
    ...stay.map((pod) => ({ rank: ranks.get(pod.uid), node: pod.nodeName })),
    ...slots.map(({ pod, node }) => ({ rank: ranks.get(pod.uid), node })),
  ];
}

/** The same, with the placeholders of the gang. */
export function placedWithPlaceholders(
  record: Pick<GangRecord, 'gang' | 'census' | 'repair'>,
  slots: readonly Slot[],
  placeholders: readonly Pick<Placeholder, 'node'>[],
): readonly PlacedMember[] {
  return [...placedMembers(record, slots), ...placeholders.map(({ node }) => ({ rank: undefined, node }))];
}

const NO_MODELS: ReadonlySet<string> = new Set();

/**
 * @param placed members that are placed already.
 * @param avoided nodes that failed under the gang.
 * @param excludedModels GPU models without quota left in its queue.
 */
export function requestOf(
  record: Pick<GangRecord, 'gang' | 'attempt'>,
  demand: MembersDemand,
  placed: readonly PlacedMember[],
  avoided: ReadonlySet<string>,
  excludedModels: ReadonlySet<string> = NO_MODELS,
): GangRequest {
  const { ranks } = record.gang;
  const missing = missingRanks(ranks);
  return {
    key: record.gang.key,
    priority: record.gang.priority,
    members: demand.members
      .map(({ namespace, name, uid, labels, template }) => ({
        namespace,
        name,
        uid,
        labels,
        template,
        // Stand-ins have no rank yet: they get the missing ones, in order.
        rank: ranks.get(uid) ?? missing.next().value,
        pinnedTo: record.attempt.pinned.get(uid),
      }))
      .sort((a, b) => a.rank - b.rank),
    min: demand.min,
    topology: record.gang.topology,
    placed,
    refused: record.attempt.refused,
    avoided,
    excludedModels,
  };
}
