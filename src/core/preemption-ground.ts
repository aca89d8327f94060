/** Where a preemptor might start: domains and masks, and the units that are in its way there. */
import type { Ledger } from './disruption.ts';
import type { GangRequest, MemberRequest, PlanPolicy } from './gang-request.ts';
import { LiveCapacity } from './live-capacity.ts';
import type { NodeIdx } from './node-idx.ts';
import type { NodeMask } from './node-mask.ts';
import { equalMasks, maskUsable } from './node-mask.ts';
import type { PlannedSlot } from './plan.ts';
import { createPlanContext, listDomains, listPoolMasks, type PlanContext } from './plan-context.ts';
import type { Snapshot } from './snapshot.ts';
import { type DomainIdx, ROOT } from './topology.ts';
import type { ResolvedTopology } from './topology-request.ts';
import { Transaction } from './transaction.ts';
import { Trial } from './trial.ts';
import type { Candidate, Choice } from './victims.ts';
import type { RemovablePod, SnapshotWithoutPods } from './without-pods.ts';

/** One domain and the nodes in it that count. */
export interface Plot {
  readonly scope: DomainIdx;
  readonly mask: NodeMask;
}

export interface Ground {
  readonly context: PlanContext;
  /** Counting members by node says whether the gang fits; otherwise it is only necessary. */
  readonly isExact: boolean;
  readonly isPicky: boolean;
  readonly withoutPods: SnapshotWithoutPods;
  readonly choices: readonly Choice[];
  readonly podsOf: ReadonlyMap<Candidate, readonly RemovablePod[]>;
  /** Candidates by node row: whom to evict there. */
  readonly onNode: ReadonlyMap<NodeIdx, readonly Tenant[]>;
  /** Whether some member might go to the node of this name. */
  isUsable(node: string): boolean;
}

interface Tenant {
  readonly choice: Choice;
  readonly candidate: Candidate;
  readonly pod: RemovablePod;
}

/** @param vacancy without all that may be evicted. */
export function describeGround(
  source: Snapshot,
  vacancy: SnapshotWithoutPods,
  gang: GangRequest,
  policy: PlanPolicy,
  asked: ResolvedTopology,
  choices: readonly Choice[],
  seatsOf: ReadonlyMap<Candidate, readonly RemovablePod[]>,
): Ground {
  // Lists of pods matter to few gangs, and to make 5,000 of them takes as long as a plan.
  const readsPods = asked.exclusive >= 0 || source.exclusive.includes(1) || gang.members.some(isParticular);
  const isPicky = readsPods || source.repelling.includes(1);
  const snapshot = isPicky ? vacancy.sync() : vacancy.snapshot;
  const tx = new Transaction(snapshot);
  tx.occupy(gang.priority);
  const context = createPlanContext(tx, gang, policy, asked);
  const { classes, usable } = context;
  const opensDomains = !equalMasks(usable, maskUsable(source, gang.key, asked));
  const onNode = new Map<NodeIdx, Tenant[]>();
  for (const choice of choices) {
    for (const candidate of choice.whole ? [choice.whole, ...choice.members] : choice.members) {
      for (const seat of seatsOf.get(candidate)!) {
        const tenants = onNode.get(seat.node);
        if (tenants) tenants.push({ choice, candidate, pod: seat });
        else onNode.set(seat.node, [{ choice, candidate, pod: seat }]);
      }
    }
  }
  return {
    context,
    isExact: classes.length === 1 && !context.isSpread && !context.isSlicedUnevenly && !opensDomains,
    isPicky,
    withoutPods: vacancy,
    choices,
    podsOf: seatsOf,
    onNode,
    isUsable(name) {
      const row = snapshot.indexOf.get(name);
      if (row === undefined || (usable && usable[row] !== 1)) return false;
      return classes.some(({ allowed }) => allowed[row] === 1);
    },
  };
}

/** Whether it matters to the member who else is on a node, or in a domain. */
function isParticular({ template }: MemberRequest): boolean {
  const { hostPorts, antiAffinity, selfAntiAffine, spread } = template;
  return hostPorts.length > 0 || antiAffinity.length > 0 || selfAntiAffine || spread.length > 0;
}

/** Sets of plots, to be tried one after the other: in each GPU pool, then everywhere. */
export function listGrounds({ context }: Ground): readonly (readonly Plot[])[] {
  const scopes = listDomains(context);
  const pools = listPoolMasks(context).flatMap((mask) => scopes.map((scope) => ({ scope, mask })));
  return [pools, scopes.map((scope) => ({ scope, mask: context.usable }))];
}

/**
 * @param plot undefined: everywhere, and what counting finds is confirmed by a plan.
 * @param placeWithout that plan.
 */
export function openTrial(
  ground: Ground,
  plot: Plot | undefined,
  ledger: Ledger,
  placeWithout?: (candidates: readonly Candidate[]) => readonly PlannedSlot[] | undefined,
): Trial {
  const { context, withoutPods: vacancy, isPicky } = ground;
  const { scope, mask } = plot ?? { scope: ROOT, mask: context.usable };
  const { choices, seats } = plot ? narrow(ground, plot) : { choices: ground.choices, seats: ground.podsOf };
  const capacity = new LiveCapacity(context, { domain: scope, mask });
  const trial: Trial = new Trial({
    snapshot: vacancy,
    capacity,
    choices,
    podsOf: seats,
    ledger,
    isPicky,
    confirm: placeWithout && (() => placeWithout([...trial.evicted]) !== undefined),
  });
  return trial;
}

/** The choices that matter on the plot, and their seats there. */
function narrow({ context, onNode }: Ground, { scope, mask }: Plot) {
  const { topology } = context.tx.snapshot;
  const seats = new Map<Candidate, RemovablePod[]>();
  const affected = new Set<Choice>();
  for (let i = topology.start[scope]!; i < topology.end[scope]!; i++) {
    const node = topology.order[i]! as NodeIdx;
    if ((mask && mask[node] !== 1) || !context.mainClasses.some(({ allowed }) => allowed[node] === 1)) continue;
    for (const { choice, candidate, pod: seat } of onNode.get(node) ?? []) {
      affected.add(choice);
      const known = seats.get(candidate);
      if (known) known.push(seat);
      else seats.set(candidate, [seat]);
    }
  }
  const choices = [...affected].map(({ whole, members, limit }) => ({
    whole,
    members: members.filter((member) => seats.has(member)),
    limit,
  }));
  choices.sort((a, b) => ((a.whole ?? a.members[0]!).unit.key < (b.whole ?? b.members[0]!).unit.key ? -1 : 1));
  return { choices, seats };
}
