/**
 * Where a preemptor might start: the domains to search, one set for each GPU pool and then one for all nodes, and which
 * pods of which candidates are in its way there. Built once for each preemption in O(pods + nodes); a trial in one
 * domain then reads only what is in that domain.
 */
import type { Ledger } from './disruption.ts';
import { readsNeighbours } from './feasibility.ts';
import type { GangRequest, MemberRequest, PlanPolicy } from './gang-request.ts';
import { LiveCapacity } from './live-capacity.ts';
import { equalMasks, maskUsable } from './node-mask.ts';
import type { PlannedSlot } from './plan.ts';
import { createPlanContext, listDomains, listPoolMasks, type PlanContext, type SearchDomain } from './plan-context.ts';
import type { Snapshot } from './snapshot.ts';
import { type NodeIdx, ROOT } from './topology.ts';
import type { ResolvedTopology } from './topology-request.ts';
import { Transaction } from './transaction.ts';
import { Trial } from './trial.ts';
import type { Candidate, Choice } from './victims.ts';
import type { RemovablePod, SnapshotWithoutPods } from './without-pods.ts';

/** The preemptor, and who may be evicted for it. */
export interface SearchInput {
  readonly gang: GangRequest;
  readonly policy: PlanPolicy;
  readonly asked: ResolvedTopology;
  /** The cluster without all pods that may be evicted. */
  readonly withoutAll: SnapshotWithoutPods;
  readonly choices: readonly Choice[];
  readonly podsOf: ReadonlyMap<Candidate, readonly RemovablePod[]>;
}

export interface SearchSpace extends Pick<SearchInput, 'withoutAll' | 'choices' | 'podsOf'> {
  readonly context: PlanContext;
  /** Whether counting members by node decides that the gang fits; otherwise the count is only necessary. */
  readonly isExact: boolean;
  /** Whether capacity depends on which pods are on a node, not only on its free resources. */
  readonly readsPods: boolean;
  /** Candidates' pods by node row. */
  readonly podsOn: ReadonlyMap<NodeIdx, readonly CandidatePod[]>;
}

/** A candidate's pod on its node. */
interface CandidatePod {
  readonly choice: Choice;
  readonly candidate: Candidate;
  readonly pod: RemovablePod;
}

export function createSearchSpace(source: Snapshot, input: SearchInput): SearchSpace {
  const { gang, policy, asked, withoutAll, choices, podsOf } = input;
  // Few gangs need lists of pods, and making 5,000 of them takes as long as a plan.
  const listsPods = asked.exclusive >= 0 || source.exclusive.includes(1) || gang.members.some(readsOtherPods);
  const readsPods = listsPods || source.repelling.includes(1);
  const tx = new Transaction(readsPods ? withoutAll.sync() : withoutAll.snapshot);
  tx.occupy(gang.priority);
  const context = createPlanContext(tx, gang, policy, asked);
  const { classes, usable, isSpread, isSlicedUnevenly } = context;
  const opensDomains = !equalMasks(usable, maskUsable(source, gang.key, asked));
  return {
    context,
    isExact: classes.length === 1 && !isSpread && !isSlicedUnevenly && !opensDomains,
    readsPods,
    withoutAll,
    choices,
    podsOf,
    podsOn: groupByNode(choices, podsOf),
  };
}

function groupByNode(
  choices: readonly Choice[],
  podsOf: SearchInput['podsOf'],
): ReadonlyMap<NodeIdx, readonly CandidatePod[]> {
  const podsOn = new Map<NodeIdx, CandidatePod[]>();
  for (const choice of choices) {
    for (const candidate of choice.whole ? [choice.whole, ...choice.members] : choice.members) {
      for (const pod of podsOf.get(candidate)!) {
        const there = podsOn.get(pod.node);
        if (there) there.push({ choice, candidate, pod });
        else podsOn.set(pod.node, [{ choice, candidate, pod }]);
      }
    }
  }
  return podsOn;
}

/** Whether it matters to the member which other pods are on its node, or in its domain. */
function readsOtherPods({ template }: MemberRequest): boolean {
  return readsNeighbours(template) || template.spread.length > 0;
}

/** Whether some member might go to the node of this name. */
export function isUsableNode({ context }: SearchSpace, name: string): boolean {
  const { tx, usable, classes } = context;
  const row = tx.snapshot.indexOf.get(name);
  if (row === undefined || (usable && usable[row] !== 1)) return false;
  return classes.some(({ allowed }) => allowed[row] === 1);
}

/** The sets of domains to try in order: in each GPU pool, then everywhere. */
export function listSearchDomains({ context }: SearchSpace): readonly (readonly SearchDomain[])[] {
  const domains = listDomains(context);
  const inPools = listPoolMasks(context).flatMap((mask) => domains.map((domain) => ({ domain, mask })));
  return [inPools, domains.map((domain) => ({ domain, mask: context.usable }))];
}

/**
 * @param within undefined: everywhere, and a plan has to confirm what counting finds.
 * @param placeWithout that plan.
 */
export function openTrial(
  space: SearchSpace,
  within: SearchDomain | undefined,
  ledger: Ledger,
  placeWithout?: (candidates: readonly Candidate[]) => readonly PlannedSlot[] | undefined,
): Trial {
  const { context, withoutAll, readsPods } = space;
  const trial: Trial = new Trial({
    snapshot: withoutAll,
    capacity: new LiveCapacity(context, within ?? { domain: ROOT, mask: context.usable }),
    ...(within ? narrow(space, within) : { choices: space.choices, podsOf: space.podsOf }),
    ledger,
    readsPods,
    confirm: placeWithout && (() => placeWithout([...trial.evicted]) !== undefined),
  });
  return trial;
}

/** The choices that matter in the domain, and their pods there. */
function narrow({ context, podsOn }: SearchSpace, { domain, mask }: SearchDomain) {
  const { topology } = context.tx.snapshot;
  const podsOf = new Map<Candidate, RemovablePod[]>();
  const affected = new Set<Choice>();
  for (let i = topology.start[domain]!; i < topology.end[domain]!; i++) {
    const node = topology.order[i]! as NodeIdx;
    if ((mask && mask[node] !== 1) || !context.mainClasses.some(({ allowed }) => allowed[node] === 1)) continue;
    for (const { choice, candidate, pod } of podsOn.get(node) ?? []) {
      affected.add(choice);
      const known = podsOf.get(candidate);
      if (known) known.push(pod);
      else podsOf.set(candidate, [pod]);
    }
  }
  const choices = [...affected].map(({ whole, members, limit }) => ({
    whole,
    members: members.filter((member) => podsOf.has(member)),
    limit,
  }));
  choices.sort((a, b) => ((a.whole ?? a.members[0]!).unit.key < (b.whole ?? b.members[0]!).unit.key ? -1 : 1));
  return { choices, podsOf };
}
