/**
 * Every member of the gang, or nothing: domain by domain, from the best on. For members that all ask for the same the first
 * domain that holds them will do; with several classes the counts are necessary, not sufficient, and each domain is tried.
 */
import { listHolders } from './domain-choice.ts';
import type { RequestClass } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import type { Mask, Placement, Round, Stage } from './round.ts';
import { placeSlices } from './slices.ts';
import type { Tally } from './tally.ts';
import { type DomainIdx, domainsWithin, ROOT } from './topology.ts';
import { intersect } from './usable.ts';

/** @param masks nodes to try, one set after the other. */
export function placeAll(round: Round, masks: readonly Mask[]): Placement | undefined {
  for (const nodes of masks) {
    for (const stage of round.stages) {
      const placement = placeStage(round, stage, intersect(nodes, stage.mask));
      if (placement) return placement;
    }
  }
  return undefined;
}

function placeStage(round: Round, { outermost }: Stage, mask: Mask): Placement | undefined {
  const crowds = round.crowd.map((members) => ({
    tally: round.count(members, mask),
    want: members.pods.length,
    accelerators: members.accelerators,
  }));
  const { anchor } = round;
  if (anchor === undefined || crowds.some(({ tally, want }) => tally.fits(anchor) < want)) return undefined;
  if (round.isSlicedUnevenly && round.gang.placed.length > 0) return placeSliced(round, anchor, mask);
  const asked = { ...round.asked, outermost };
  for (const domain of listHolders(round.field, asked, crowds, anchor, round.isSpread ? 1 : 0)) {
    const placement = placeIn(round, domain, mask, crowds[0]!.tally);
    if (placement) return placement;
  }
  return undefined;
}

function placeIn(round: Round, domain: DomainIdx, mask: Mask, tally: Tally): Placement | undefined {
  const { classes, tx } = round;
  const [only] = classes;
  if (classes.length === 1 && only!.pods[0]!.template.spread.length === 0 && !round.isSlicedUnevenly) {
    return new Map([[only!, round.layOut(tally, only!, domain, only!.pods.length)]]);
  }
  if (round.isSlicedUnevenly) return placeSliced(round, domain, mask);
  const demanding = [...classes].sort(
    (a, b) =>
      b.accelerators - a.accelerators || b.pods.length - a.pods.length || (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
  );
  // A driver with a large request may need the node that the workers would fill: the second order tries it first.
  const orders = classes.length > 1 ? [demanding, [...demanding].reverse()] : [demanding];
  for (const order of orders) {
    const before = tx.checkpoint();
    const placement = placeWhole(round, order, domain, mask);
    if (placement) return placement;
    tx.rollback(before);
  }
  return undefined;
}

/** Every class whole, or undefined; what was placed until then is the caller's to take back. */
function placeWhole(
  round: Round,
  order: readonly RequestClass[],
  domain: DomainIdx,
  mask: Mask,
): Placement | undefined {
  const placement = new Map<RequestClass, readonly NodeIdx[]>();
  for (const members of order) {
    const nodes = layClass(round, members, domain, members.pods.length, mask, [...placement.values()].flat());
    if (nodes.length < members.pods.length) return undefined;
    placement.set(members, nodes);
  }
  return placement;
}

/**
 * Lays up to `want` members. A member without accelerators stays off accelerator nodes while others hold all of its class.
 * It has no use for the fabric that the others need: it leaves their domain rather than be in their way, unless all
 * have to be in one.
 */
export function layClass(
  round: Round,
  members: RequestClass,
  domain: DomainIdx,
  want: number,
  mask: Mask,
  near: readonly NodeIdx[],
): NodeIdx[] {
  if (members.accelerators > 0 || !round.usesFabric) return round.lay(members, domain, want, mask, near);
  const scopes = domain === ROOT || round.asked.outermost >= 0 ? [domain] : [domain, ROOT];
  return layPlain(round, members, scopes, want);
}

/** On nodes without accelerators if they hold all, in the first scope that does. */
function layPlain(round: Round, members: RequestClass, scopes: readonly DomainIdx[], want: number): NodeIdx[] {
  const { tx } = round;
  const before = tx.checkpoint();
  let nodes: NodeIdx[] = [];
  for (const mask of [round.maskPlain(), round.usable]) {
    for (const scope of scopes) {
      tx.rollback(before);
      nodes = round.lay(members, scope, want, mask);
      if (nodes.length === want) return nodes;
    }
  }
  return nodes;
}

/** Slice by slice; undefined when one finds no place. */
function placeSliced(round: Round, domain: DomainIdx, mask: Mask): Placement | undefined {
  const before = round.tx.checkpoint();
  for (const order of SLICE_ORDERS) {
    const seats = seatSlices(round, domain, mask, order);
    if (seats.size === round.gang.members.length) {
      return new Map(round.classes.map((members) => [members, members.pods.map(({ uid }) => seats.get(uid)!)]));
    }
    round.tx.rollback(before);
  }
  return undefined;
}

/** In rank order and into few domains; where that leaves a slice over, the demanding first; at last the tightest for each. */
export const SLICE_ORDERS = [
  { demandingFirst: false, largestFirst: true },
  { demandingFirst: true, largestFirst: true },
  { demandingFirst: true, largestFirst: false },
] as const;

/**
 * Nodes by member UID: of the slices that fit.
 * @param count only that many members, the first by rank.
 */
export function seatSlices(
  round: Round,
  domain: DomainIdx,
  mask: Mask,
  { demandingFirst, largestFirst }: (typeof SLICE_ORDERS)[number],
  count = round.gang.members.length,
): ReadonlyMap<string, NodeIdx> {
  const { tx, asked, classes, gang, largest } = round;
  const tally = round.count(largest, mask, domain);
  const { topology } = tx.snapshot;
  const shape = asked.slice!;
  // A domain inside one of the slices' level is as good as that one.
  const isInside = topology.levelOf[domain]! > shape.level;
  const candidates = isInside ? [domain] : domainsWithin(topology, domain, shape.level);
  const sign = largestFirst ? 1 : -1;
  candidates.sort((a, b) => sign * (tally.fits(b) - tally.fits(a)) || a - b);
  const lay = (members: RequestClass, part: DomainIdx, want: number) =>
    members.accelerators > 0 || !round.usesFabric
      ? round.lay(members, part, want, mask)
      : layPlain(round, members, [part], want);
  return placeSlices(tx, {
    shape,
    classes,
    lastRank: gang.members[count - 1]!.rank,
    placed: gang.placed,
    candidates,
    demandingFirst,
    spread: asked.spread,
    lay,
  });
}
