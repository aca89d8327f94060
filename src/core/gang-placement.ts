/**
 * Every member of the gang, or nothing: domain by domain, from the best on. For members that all ask for the same the first
 * domain that holds them will do; with several classes the counts are necessary, not sufficient, and each domain is tried.
 */
import { listHolders } from './domain-choice.ts';
import type { RequestClass } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import type { Mask, Placement, Round } from './round.ts';
import { placeSlices } from './slices.ts';
import { type DomainIdx, ROOT } from './topology.ts';

export function placeAll(round: Round): Placement | undefined {
  for (const mask of round.listMasks()) {
    const crowds = round.crowd.map((members) => ({
      members,
      tally: round.count(members, mask),
      want: members.pods.length,
    }));
    if (crowds.some(({ tally, want }) => tally.fits(round.home) < want)) continue;
    if (round.isSlicedUnevenly && round.gang.placed.length > 0) {
      const placement = placeSliced(round, round.home, mask);
      if (placement) return placement;
      continue;
    }
    for (const domain of listHolders(round.field, round.asked, crowds, round.home, round.isSpread ? 1 : 0)) {
      const placement = placeIn(round, domain, mask, crowds[0]!.tally);
      if (placement) return placement;
    }
  }
  return undefined;
}

function placeIn(
  round: Round,
  domain: DomainIdx,
  mask: Mask,
  tally: Parameters<Round['layOut']>[0],
): Placement | undefined {
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
  const { usable } = round;
  const plain = round.tx.snapshot.nodes.map((_, row) => {
    const node = row as NodeIdx;
    return !round.hasAccelerators(node) && (!usable || usable[node] === 1) ? 1 : 0;
  });
  const before = round.tx.checkpoint();
  let nodes: NodeIdx[] = [];
  for (const only of [Uint8Array.from(plain), usable]) {
    for (const scope of scopes) {
      round.tx.rollback(before);
      nodes = round.lay(members, scope, want, only);
      if (nodes.length === want) return nodes;
    }
  }
  return nodes;
}

/** Slice by slice; undefined when one finds no place. */
function placeSliced(round: Round, domain: DomainIdx, mask: Mask): Placement | undefined {
  const before = round.tx.checkpoint();
  const seats = seatSlices(round, domain, mask);
  if (seats.size < round.gang.members.length) {
    round.tx.rollback(before);
    return undefined;
  }
  return new Map(round.classes.map((members) => [members, members.pods.map(({ uid }) => seats.get(uid)!)]));
}

/** Nodes by member UID: of the slices that fit. */
export function seatSlices(round: Round, domain: DomainIdx, mask: Mask): ReadonlyMap<string, NodeIdx> {
  const { tx, asked, classes, gang, largest } = round;
  const tally = round.count(largest, mask, domain);
  const { topology } = tx.snapshot;
  const slice = asked.slice!;
  const inside = Array.from(topology.domainsAt[slice.level]!).filter(
    (at) => at >= domain && at < topology.subtreeEnd[domain]!,
  ) as DomainIdx[];
  // A domain inside one of the slices' level is as good as that one.
  const candidates = topology.levelOf[domain]! > slice.level ? [domain] : inside;
  candidates.sort((a, b) => tally.fits(b) - tally.fits(a) || a - b);
  return placeSlices(tx, slice, classes, gang.placed, candidates, (members, part, want) =>
    round.lay(members, part, want, members.accelerators > 0 ? mask : round.usable),
  );
}
