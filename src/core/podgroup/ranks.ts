/**
 * Assigns the ranks of a gang's members: distinct whole numbers, dense from 0 once every member exists. Neighbours in
 * rank are placed next to each other, and a slice is a run of ranks, so a rank must not move while other members come
 * and go.
 *
 * 1. Recorded: a bound member keeps the rank in its placement record, because its containers have read it.
 * 2. Explicit: annotation `muster.dev/rank`.
 * 3. Numbered by a controller (`member-index.ts`): the runs follow one another, each with room for the
 *    longest run of its kind, or as much as its controller says. A missing member leaves a gap that its replacement fills. If that would assign a rank
 *    twice, all these members take the free ranks in their order instead.
 * 4. The others come last, in the natural order of their names, or take ranks that members that are gone have left.
 *
 * O(members), plus sorting those without a number.
 */

import type { PodModel, PodUid } from '../objects/model.ts';
import type { MemberIndex } from './member-index.ts';
import { type MemberKeys, memberKeys } from './member-keys.ts';

/** By UID. Does not depend on the order of the pods. */
export type Ranks = ReadonlyMap<PodUid, number>;

/** A member while ranks are assigned. Its keys are looked up once: a large gang is described thousands of times. */
interface Member {
  readonly pod: PodModel;
  readonly keys: MemberKeys;
  rank: number | undefined;
}

/** A member whose rank follows from its controller's number. */
interface Numbered extends Member {
  readonly keys: MemberKeys & { readonly index: MemberIndex };
}

type Holders = Map<number, Member>;

/** @param pods the gang's members. */
export function assignRanks(pods: readonly PodModel[]): Ranks {
  const members: readonly Member[] = pods.map((pod) => ({ pod, keys: memberKeys(pod), rank: undefined }));
  const holders: Holders = new Map();
  claim(holders, members, ({ keys }) => keys.recordedRank);
  claim(holders, members, ({ keys }) => keys.explicitRank);
  const numbered = members.filter(isNumbered);
  const { starts, length } = layOut(numbered);
  const wishes = numbered.map(({ keys: { index } }) => starts.get(index.run)! + index.index);
  if (collide(holders, numbered, wishes)) giveFree(holders, numbered.filter(isOpen).sort(compareNumbered), 0);
  else for (const [i, member] of numbered.entries()) give(holders, wishes[i]!, member);
  const others = members.filter(isOpen).sort((a, b) => compareNames(a.pod.name, b.pod.name));
  giveFree(holders, others, Math.max(length, beyondExplicit(members)));
  return new Map(members.map(({ pod, rank }) => [pod.uid, rank!]));
}

/** @param ranks with an entry for each of these pods. */
export function sortByRank(pods: readonly PodModel[], ranks: Ranks): readonly PodModel[] {
  const ranked = pods.map((pod) => ({ pod, rank: ranks.get(pod.uid)! }));
  return ranked.sort((a, b) => a.rank - b.rank).map(({ pod }) => pod);
}

/** The ranks that missing members will have, as far as they can be known: the free ones, from the lowest. */
export function missingRanks(ranks: Ranks): Generator<number, never> {
  const taken = new Set(ranks.values());
  return freeRanks((rank) => taken.has(rank));
}

/** Free ranks from the lowest, without end. */
function* freeRanks(isTaken: (rank: number) => boolean, from = 0): Generator<number, never> {
  for (let rank = from; ; rank++) if (!isTaken(rank)) yield rank;
}

function isOpen({ rank }: Member): boolean {
  return rank === undefined;
}

function isNumbered(member: Member): member is Numbered {
  return member.keys.index !== undefined && member.keys.explicitRank === undefined;
}

function give(holders: Holders, rank: number, member: Member): void {
  if (member.rank !== undefined) return;
  member.rank = rank;
  holders.set(rank, member);
}

/** Gives members the free ranks that they wish for; of two with the same wish, the first by name gets it. */
function claim(holders: Holders, members: readonly Member[], wishOf: (member: Member) => number | undefined): void {
  const first = new Map<number, Member>();
  for (const member of members) {
    const wish = wishOf(member);
    if (wish === undefined || member.rank !== undefined || holders.has(wish)) continue;
    const rival = first.get(wish);
    if (!rival || compareNames(member.pod.name, rival.pod.name) < 0) first.set(wish, member);
  }
  for (const [wish, member] of first) give(holders, wish, member);
}

interface Layout {
  /** The rank of each run's index 0. */
  readonly starts: ReadonlyMap<string, number>;
  /** The length of all runs together. */
  readonly length: number;
}

/** Decides where each run begins. Bound members count as well: a run must not shrink as its members are placed. */
function layOut(numbered: readonly Numbered[]): Layout {
  const runs = new Map<string, MemberIndex>();
  const lengths = new Map<string, number>();
  for (const { keys } of numbered) {
    const { run, kind, index, length: told = 0 } = keys.index;
    runs.set(run, keys.index);
    lengths.set(kind, Math.max(lengths.get(kind) ?? 0, index + 1, told));
  }
  const starts = new Map<string, number>();
  let length = 0;
  for (const { run, kind } of [...runs.values()].sort(compareRuns)) {
    starts.set(run, length);
    length += lengths.get(kind)!;
  }
  return { starts, length };
}

/** Whether a rank would be assigned twice. Bound members are included: the answer must not change as they are bound. */
function collide(holders: Holders, numbered: readonly Numbered[], wishes: readonly number[]): boolean {
  if (new Set(wishes).size < wishes.length) return true;
  return numbered.some((member, i) => (holders.get(wishes[i]!) ?? member) !== member);
}

/** Gives the lowest free ranks, in the order of the members. */
function giveFree(holders: Holders, members: readonly Member[], from: number): void {
  const free = freeRanks((rank) => holders.has(rank), from);
  for (const member of members) give(holders, free.next().value, member);
}

/** The first rank after all explicit ones. */
function beyondExplicit(members: readonly Member[]): number {
  return members.reduce((end, { keys }) => Math.max(end, (keys.explicitRank ?? -1) + 1), 0);
}

function compareNumbered(a: Numbered, b: Numbered): number {
  const [one, other] = [a.keys.index, b.keys.index];
  return compareRuns(one, other) || one.index - other.index || compareNames(a.pod.name, b.pod.name);
}

function compareRuns(a: MemberIndex, b: MemberIndex): number {
  for (let i = 0; i < a.order.length && i < b.order.length; i++) {
    const [one, other] = [a.order[i]!, b.order[i]!];
    if (one === other) continue;
    return typeof one === 'number' && typeof other === 'number'
      ? one - other
      : compareNames(String(one), String(other));
  }
  return a.order.length - b.order.length;
}

/**
 * Made once: `localeCompare` with options builds a collator at every call, which took most of the time of reading a
 * 1,000-pod gang.
 */
const NATURAL_ORDER = new Intl.Collator('en', { numeric: true });

/** Numbers in names compare as numbers. */
function compareNames(a: string, b: string): number {
  const order = NATURAL_ORDER.compare(a, b);
  return order !== 0 ? order : a < b ? -1 : a > b ? 1 : 0;
}
