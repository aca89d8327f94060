/**
 * The question whom to evict for a gang, as plain data: everything that the answer depends on, so that it can be
 * answered anywhere. Also how much work an answer is, at a guess.
 */
import type { DisruptionBudgetModel, PodModel } from '../objects/model.ts';
import { readsNeighbours } from '../objects/node-fit.ts';
import type { GangRequest, PlanPolicy } from '../placement/gang-request.ts';
import { planGang } from '../placement/plan.ts';
import type { GangKey } from '../podgroup/gang.ts';
import type { RunningGang, VictimUnit } from '../preemption/candidates.ts';
import type { NoPreemption, Preemption } from '../preemption/preemption.ts';
import { MAX_PLANS } from '../preemption/trial.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { planQuotaPreemption, type QuotaHolders } from './quota-preemption.ts';
import { lookupOn, type QuotaClaim, quotaHolders } from './quota-rights.ts';
import { planReclaim } from './reclaim.ts';

export interface VictimQuestion {
  /** Without the pods that are being evicted for others. */
  readonly snapshot: Snapshot;
  readonly gang: GangRequest;
  readonly running: readonly RunningGang[];
  readonly budgets: readonly DisruptionBudgetModel[];
  /** Keys of units that turned out not to be evictable. */
  readonly barred: ReadonlySet<string>;
  /** Bound pods that are expected to end soon, and when, milliseconds. Called at most once, and not always. */
  readonly departures: () => ReadonlyMap<PodModel, number>;
  /** Undefined: no queue, so priority alone decides. */
  readonly claim: QuotaClaim | undefined;
  /** Only evicting in its own queue, or below those above it, makes room for it. */
  readonly isQuotaFull: boolean;
  /** Whether pods were left out of the snapshot: what they leave may be enough. */
  readonly othersLeave: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** A victim of a proposal; `VictimUnit` by name. */
export interface ProposedUnit {
  readonly key: string;
  readonly kind: VictimUnit['kind'];
  readonly gang: GangKey | undefined;
  readonly uids: readonly string[];
}

/** An answer by name: what was found on a snapshot that may be history by now. */
export type Proposal =
  | { readonly kind: 'preempt'; readonly victims: readonly ProposedUnit[] }
  | { readonly kind: 'coming' }
  | NoPreemption;

/** The answer. Falls back to avoided nodes when no other are enough. */
export function findVictims(question: VictimQuestion, policy: PlanPolicy): Preemption {
  const { gang } = question;
  const plan = findVictimsFor(question, gang, policy);
  if (plan.kind !== 'none' || gang.avoided.size === 0) return plan;
  return findVictimsFor(question, { ...gang, avoided: new Set() }, policy);
}

function findVictimsFor(question: VictimQuestion, gang: GangRequest, policy: PlanPolicy): Preemption {
  const { snapshot, running, budgets, barred, isQuotaFull, now } = question;
  const holders = holdersOf(question, policy);
  const of = { gang, running, budgets, barred };
  if (isQuotaFull && holders) return planQuotaPreemption(snapshot, { ...of, holders }, policy, now);
  if (question.othersLeave) {
    const plan = planGang(snapshot, gang, policy, Number.POSITIVE_INFINITY);
    if (plan.kind === 'placed') return { kind: 'coming', slots: plan.slots };
  }
  return planReclaim(snapshot, { ...of, guarantees: holders, departures: question.departures() }, policy, now);
}

/** What the claim of the question means for single pods; undefined: priority alone decides. */
export function holdersOf({ claim, snapshot }: VictimQuestion, policy: PlanPolicy): QuotaHolders | undefined {
  return claim && quotaHolders(claim, lookupOn(snapshot, claim.tree, policy.isAccelerator));
}

export function proposalOf(plan: Preemption): Proposal {
  switch (plan.kind) {
    case 'preempt': {
      const victims = plan.victims.map(({ pods, key, kind, gang }) => ({
        key,
        kind,
        gang,
        uids: pods.map(({ uid }) => uid),
      }));
      return { kind: 'preempt', victims };
    }
    case 'coming':
      return { kind: 'coming' };
    case 'none':
      return plan;
    default:
      return plan satisfies never;
  }
}

/** Reclaim searches up to six times, among the victims of different rights. */
const SEARCHES_OF_RECLAIM = 6;
/** A pod that may leave counts as this many nodes that are looked at: it is put back in several orders. */
const NODES_PER_POD = 4;

/**
 * How many nodes are looked at, at most and very roughly, to answer the question. O(nodes + members).
 *
 * Where members can be counted node by node, the pods that may leave decide; elsewhere a search makes up to `MAX_PLANS`
 * plans of all nodes for each kind of members.
 */
export function estimateWork(question: VictimQuestion): number {
  const { snapshot, gang, claim, isQuotaFull } = question;
  const nodes = snapshot.byName.length;
  let pods = 0;
  for (const row of snapshot.byName) pods += snapshot.podsOn[row]!.length;
  const kinds = new Set(gang.members.map(({ template }) => template)).size;
  const once = isCounted(question, kinds) ? nodes : MAX_PLANS * nodes * kinds;
  return (once + NODES_PER_POD * pods) * (claim && !isQuotaFull ? SEARCHES_OF_RECLAIM : 1);
}

/** Whether no plan is needed to know that the gang fits. */
function isCounted({ snapshot, gang, isQuotaFull }: VictimQuestion, kinds: number): boolean {
  const { slice, exclusive } = gang.topology;
  if (isQuotaFull || kinds > 1 || exclusive !== undefined || snapshot.exclusive.includes(1)) return false;
  if (slice && (gang.placed.length > 0 || gang.members.some(({ rank }, i) => rank !== i))) return false;
  return gang.members.every(
    ({ template, pinnedTo }) => !pinnedTo && template.spread.length === 0 && !readsNeighbours(template),
  );
}
