/**
 * Judges a proposal on the cluster of now: the search that made it may have taken seconds, on a snapshot of then.
 *
 * 1. Every victim is still there with the same pods, may be evicted for the gang now, and no queue loses what it is
 *    guaranteed.
 * 2. `planGang` places the gang on the cluster without the victims; its slots are those of now.
 * 3. Victims that are not needed any more, because others left meanwhile, are spared.
 *
 * O(pods), and at most `MAX_SPARES` + 4 plans.
 */
import type { PodModel } from '../objects/model.ts';
import type { GangRequest, PlanPolicy } from '../placement/gang-request.ts';
import type { PlannedSlot } from '../placement/plan.ts';
import { gangNameOf } from '../podgroup/gang.ts';
import { Budgets } from '../preemption/budgets.ts';
import {
  type Candidate,
  type EvictionRights,
  type ImmunityOf,
  listChoices,
  type VictimUnit,
} from '../preemption/candidates.ts';
import { compareCostliest, costOf } from '../preemption/cost.ts';
import { listLeaving, lowerThan, type Preemption, placeOn } from '../preemption/preemption.ts';
import { judgeQuota } from '../queues/quota.ts';
import { withoutPods } from '../snapshot/without-pods.ts';
import { type QuotaHolders, quotaRights, useWithout } from './quota-preemption.ts';
import { holdersOf, type Proposal, type ProposedUnit, type VictimQuestion } from './victim-question.ts';

/** How many victims are tried to be spared, the costliest first. */
const MAX_SPARES = 4;

/**
 * @param question as it would be asked now.
 * @returns undefined: the proposal does not hold any more.
 */
export function confirmProposal(
  question: VictimQuestion,
  proposal: Proposal,
  policy: PlanPolicy,
): Preemption | undefined {
  switch (proposal.kind) {
    case 'none':
      return proposal;
    case 'coming': {
      const { snapshot, gang, isQuotaFull, now } = question;
      // It was found while there was quota. What becomes free in the quota belongs to nobody yet.
      if (isQuotaFull) return undefined;
      const view = withoutPods(snapshot, listLeaving(snapshot, now));
      const slots = placeOn(view, gang, policy) ?? placeOn(view, unavoiding(gang), policy);
      return slots && { kind: 'coming', slots };
    }
    case 'preempt':
      return confirmVictims(question, proposal.victims, policy);
    default:
      return proposal satisfies never;
  }
}

function confirmVictims(
  question: VictimQuestion,
  proposed: readonly ProposedUnit[],
  policy: PlanPolicy,
): Preemption | undefined {
  const { snapshot, gang, isQuotaFull, now } = question;
  const holders = holdersOf(question, policy);
  const quota = isQuotaFull && holders ? quotaRights(holders) : undefined;
  if (isQuotaFull && !quota) return undefined;
  const budgets = new Budgets(question.budgets);
  const rights = quota?.rights ?? holders?.rights ?? lowerThan(gang.priority);
  const found = findProposed(question, proposed, { rights, immunityOf: holders?.immunityOf, budgets, policy });
  if (!found || (holders && holders.listExcess(found.map(({ unit }) => unit)).length > 0)) return undefined;
  if (quota && costOf(found, budgets).violations > 0) return undefined;
  const leaving = quota ? [] : listLeaving(snapshot, now);
  const placeAs = (wanted: GangRequest) => (candidates: readonly Candidate[]) => {
    const units = candidates.map(({ unit }) => unit);
    if (holders && quota && isRefusedWithout(holders, units)) return undefined;
    const view = withoutPods(snapshot, [...leaving, ...units.flatMap(({ pods }) => pods)]);
    return placeOn(view, wanted, policy);
  };
  const avoiding = placeAs(gang);
  const place = gang.avoided.size === 0 || avoiding(found) ? avoiding : placeAs(unavoiding(gang));
  const slots = place(found);
  if (!slots) return undefined;
  const enough = place([]);
  if (enough) return { kind: 'coming', slots: enough };
  const kept = spare(found, slots, place);
  const victims = kept.candidates.map(({ unit }) => unit).sort((a, b) => (a.key < b.key ? -1 : 1));
  const { violations, lostWork } = costOf(kept.candidates, budgets);
  return { kind: 'preempt', slots: kept.slots, victims, violations, lostWork };
}

interface Judges {
  readonly rights: EvictionRights;
  readonly immunityOf: ImmunityOf | undefined;
  readonly budgets: Budgets;
  readonly policy: PlanPolicy;
}

/** The proposed units as they are now; undefined: one of them is gone, is another one by now, or may not be evicted. */
function findProposed(
  { snapshot, gang, running, barred, now }: VictimQuestion,
  proposed: readonly ProposedUnit[],
  { rights, immunityOf, budgets, policy }: Judges,
): readonly Candidate[] | undefined {
  const gangs = new Set(proposed.map((unit) => unit.gang));
  const uids = new Set(proposed.flatMap((unit) => unit.uids));
  const query = {
    gang: gang.key,
    running: running.filter((each) => gangs.has(each.gang.key)),
    rights: (pod: PodModel) => (gangNameOf(pod.labels) !== undefined || uids.has(pod.uid) ? rights(pod) : 'never'),
    immunityOf,
    barred,
    isAccelerator: policy.isAccelerator,
    now,
  };
  const units = new Map(proposed.map((unit) => [unit.key, unit]));
  const isProposed = ({ unit: { key, kind, pods } }: Candidate) => {
    const unit = units.get(key);
    return unit?.kind === kind && unit.uids.length === pods.length && pods.every(({ uid }) => uids.has(uid));
  };
  const chosen = listChoices(snapshot, query, budgets).choices.flatMap(({ whole, members, limit }) => {
    if (whole && isProposed(whole)) return [whole];
    const given = members.filter(isProposed);
    return given.length <= limit ? given : [];
  });
  return chosen.length === proposed.length ? chosen : undefined;
}

/** Whether the quota refuses the gang even without these units. */
function isRefusedWithout({ query, amountsOf }: QuotaHolders, units: readonly VictimUnit[]): boolean {
  const amounts = new Map(units.map((unit) => [unit, amountsOf(unit.pods)]));
  return judgeQuota(query.queue, query.asked, useWithout(query, units, amounts)).kind === 'refused';
}

function spare(
  found: readonly Candidate[],
  slots: readonly PlannedSlot[],
  place: (candidates: readonly Candidate[]) => readonly PlannedSlot[] | undefined,
): { readonly candidates: readonly Candidate[]; readonly slots: readonly PlannedSlot[] } {
  let best = { candidates: found, slots };
  for (const costly of found.toSorted((a, b) => compareCostliest(a.unit, b.unit)).slice(0, MAX_SPARES)) {
    const candidates = best.candidates.filter((other) => other !== costly);
    const fewer = candidates.length > 0 ? place(candidates) : undefined;
    if (fewer) best = { candidates, slots: fewer };
  }
  return best;
}

function unavoiding(gang: GangRequest): GangRequest {
  return { ...gang, avoided: new Set() };
}
