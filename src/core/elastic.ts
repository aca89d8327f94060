/** As many members as fit into one domain that is wide enough: what an elastic gang starts with, and how far off another is. */
import { nearIn } from './field.ts';
import { layClass, SLICE_ORDERS, seatSlices } from './gang-placement.ts';
import type { RequestClass } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import type { Mask, PartialPlacement, Placement, Round } from './round.ts';
import type { Tally } from './tally.ts';
import { type DomainIdx, domainsWithin } from './topology.ts';

/**
 * The first of the masks that takes the minimum decides; otherwise what takes most members. Whatever is returned is placed
 * in the transaction.
 * @param masks nodes to try, one set after the other.
 */
export function placeMost(round: Round, masks: readonly Mask[]): PartialPlacement {
  const before = round.tx.checkpoint();
  const none: Placement = new Map(round.classes.map((members) => [members, []]));
  let best: PartialPlacement = { placement: none, count: 0, domain: undefined };
  for (const mask of masks) {
    const tallies = round.crowd.map((members) => round.count(members, mask));
    for (const domain of listByRoom(round, tallies)) {
      const partial = fillDomain(round, domain, mask);
      if (partial.count >= round.gang.min) return partial;
      if (partial.count > best.count) best = partial;
      round.tx.rollback(before);
      // The counts are exact when all members ask for the same: no other domain takes more.
      if (round.classes.length === 1) break;
    }
  }
  for (const [members, nodes] of best.placement) {
    nodes.forEach((node, i) => {
      round.tx.place(node, members.pods[i]!);
    });
  }
  return best;
}

/** Domains of the outermost level that was asked for, those with most room first. */
function listByRoom(round: Round, tallies: readonly Tally[]): readonly DomainIdx[] {
  const { asked, anchor, crowd, field } = round;
  const { topology } = field;
  if (anchor === undefined) return [];
  if (topology.levelOf[anchor]! >= asked.outermost) return [anchor];
  const inside = domainsWithin(topology, anchor, asked.outermost).filter(
    (domain) => !field.nearBefore || nearIn(field, domain) > 0,
  );
  const room = (domain: DomainIdx) =>
    tallies.reduce((sum, tally, i) => sum + tally.most(domain, crowd[i]!.pods.length), 0);
  const weighed = inside.map((domain) => ({ domain, room: room(domain), fits: tallies[0]!.fits(domain) }));
  weighed.sort((a, b) => b.room - a.room || a.fits - b.fits || a.domain - b.domain);
  return weighed.filter((candidate) => candidate.room > 0).map(({ domain }) => domain);
}

/** One of every role, then the small classes whole. */
function fillDomain(round: Round, domain: DomainIdx, mask: Mask): PartialPlacement {
  if (round.isSlicedUnevenly) return fillSlices(round, domain, mask);
  const bulkLast = [...round.classes].sort(
    (a, b) => a.pods.length - b.pods.length || (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
  );
  const placement = new Map<RequestClass, NodeIdx[]>();
  if (bulkLast.length === 1) {
    const [members] = bulkLast as [RequestClass];
    const isSliced = round.asked.slice !== undefined;
    const want = isSliced ? countStart(round.count(members, mask, domain), round, domain) : members.pods.length;
    placement.set(members, layClass(round, members, domain, want, mask, []));
  } else {
    for (const members of bulkLast) placement.set(members, layClass(round, members, domain, 1, mask, []));
    for (const members of bulkLast) {
      const nodes = placement.get(members)!;
      if (nodes.length === 1) nodes.push(...layClass(round, members, domain, members.pods.length - 1, mask, nodes));
    }
  }
  return { placement, count: countMembers(placement), domain };
}

/**
 * With how many members the gang starts: only whole slices if they are enough, since the others of a slice that is begun may
 * never find room beside it.
 */
function countStart(tally: Tally, { gang }: Round, domain: DomainIdx): number {
  const want = gang.members.length;
  if (tally.slice === undefined || tally.isInsideSlice(domain)) return want;
  const most = tally.most(domain, want);
  const whole = most - (most % tally.slice.size);
  return most === want || whole < gang.min ? most : whole;
}

/** Only whole slices if they are enough, from the first rank on; else those of the first members that are. */
function fillSlices(round: Round, domain: DomainIdx, mask: Mask): PartialPlacement {
  const before = round.tx.checkpoint();
  let seats = seatSlices(round, domain, mask, SLICE_ORDERS[0]);
  if (seats.size < round.gang.min) {
    round.tx.rollback(before);
    const fewer = seatSlices(round, domain, mask, SLICE_ORDERS[0], round.gang.min);
    if (fewer.size >= seats.size) seats = fewer;
  }
  const placement = new Map<RequestClass, NodeIdx[]>();
  for (const members of round.classes) {
    const nodes = members.pods.map(({ uid }) => seats.get(uid));
    const end = nodes.indexOf(undefined);
    placement.set(members, nodes.slice(0, end < 0 ? nodes.length : end) as NodeIdx[]);
  }
  return { placement, count: countMembers(placement), domain };
}

function countMembers(placement: Placement): number {
  let count = 0;
  for (const nodes of placement.values()) count += nodes.length;
  return count;
}
