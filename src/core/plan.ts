/**
 * Places a gang: all of it, or nothing.
 *
 * 1. Lay what others hold (reservations, nominations) over the snapshot; group the members into classes that ask for
 *    the same; leave out the nodes that what the gang asks of the fabric forbids (`usable.ts`).
 * 2. Count how many members every domain takes (`tally.ts`), pool by pool: never two GPU models while one suffices.
 * 3. Choose the domain, level by level outward (`domain-choice.ts`), and descend to nodes (`descent.ts`).
 * 4. Elastic: when not all existing members fit, as many as fit, but at least the minimum (`elastic.ts`).
 * 5. Hand the nodes to the members in rank order, neighbours next to each other.
 *
 * Deterministic: ties are broken by node and domain name. O(pools x classes x nodes) in the usual case.
 */
import { type Cause, explainCauses } from './causes.ts';
import { placeMost } from './elastic.ts';
import { placeAll } from './gang-placement.ts';
import type { GangRequest, PlanPolicy } from './gang-request.ts';
import { type Mask, type Placement, Round } from './round.ts';
import { describeShortfall, type TopologyShortfall } from './shortfall.ts';
import type { Snapshot } from './snapshot.ts';
import { resolveTopology } from './topology-request.ts';
import { Transaction } from './transaction.ts';

export interface PlannedSlot {
  readonly uid: string;
  readonly node: string;
}

export interface Unschedulable {
  readonly kind: 'unschedulable';
  /** How many members would fit, and how many have to. */
  readonly fits: number;
  readonly want: number;
  readonly causes: readonly Cause[];
  /** What it lacks on the fabric; undefined when it asks for nothing there. */
  readonly topology: TopologyShortfall | undefined;
}

export type Plan =
  | { readonly kind: 'placed'; readonly slots: readonly PlannedSlot[] }
  | Unschedulable
  | { readonly kind: 'waiting'; readonly have: number; readonly want: number };

/**
 * Plans the gang on the snapshot and leaves the snapshot as it was.
 * @param now milliseconds since the epoch: only a gang's patience depends on it.
 */
export function planGang(snapshot: Snapshot, gang: GangRequest, policy: PlanPolicy, now: number): Plan {
  if (gang.members.length < gang.min) return { kind: 'waiting', have: gang.members.length, want: gang.min };
  if (gang.members.length === 0) return { kind: 'placed', slots: [] };
  const resolution = resolveTopology(snapshot.topology, gang.topology, now);
  if (resolution.kind === 'problem') {
    return { kind: 'unschedulable', fits: 0, want: gang.min, causes: [], topology: resolution.problem };
  }
  const tx = new Transaction(snapshot);
  try {
    tx.occupy(gang.priority);
    const round = new Round(tx, gang, policy, resolution.topology);
    const pools = round.listPools();
    const wide = round.listWide();
    const whole = placeAll(round, pools) ?? placeEnough(round, pools) ?? placeAll(round, wide);
    if (whole) return { kind: 'placed', slots: assignMembers(snapshot, whole) };
    const beforeMost = tx.checkpoint();
    const most = placeMost(round, wide);
    if (most.count >= gang.min) return { kind: 'placed', slots: assignMembers(snapshot, most.placement) };
    const causes = explainCauses(round, most);
    tx.rollback(beforeMost);
    const shortfall = describeShortfall(round, most.domain);
    return { kind: 'unschedulable', fits: most.count, want: gang.min, causes, topology: shortfall };
  } finally {
    tx.rollback(0);
  }
}

/** An elastic gang starts smaller in one GPU pool rather than larger in two. */
function placeEnough(round: Round, pools: readonly Mask[]): Placement | undefined {
  const { tx, gang } = round;
  if (pools.length === 0 || gang.min === gang.members.length) return undefined;
  const before = tx.checkpoint();
  const most = placeMost(round, pools);
  if (most.count >= gang.min) return most.placement;
  tx.rollback(before);
  return undefined;
}

function assignMembers(snapshot: Snapshot, placement: Placement): readonly PlannedSlot[] {
  const slots: PlannedSlot[] = [];
  for (const [members, chosen] of placement) {
    chosen.forEach((node, i) => {
      if (node !== undefined) slots.push({ uid: members.pods[i]!.uid, node: snapshot.nodes[node]!.name });
    });
  }
  return slots;
}
