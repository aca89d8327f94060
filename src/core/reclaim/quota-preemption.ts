/**
 * Chooses whom to evict for a gang that its queue's quota refuses. Only evicting below the queues that refuse makes
 * room there, however much space the cluster has.
 *
 * 1. Take whole units below the outermost queue that refuses, as far as the gang has a right to them and nothing
 *    protects them: lowest priority first, then the most recently started, until no queue refuses and the gang has a
 *    place.
 * 2. Put back the units that are not needed, the most valuable first.
 * 3. Queues keep their guarantees, as in `reclaim.ts`.
 *
 * O(log units + victims) plans.
 */

import type { PodModel } from '../objects/model.ts';
import type { PlanPolicy } from '../placement/gang-request.ts';
import { type PlannedSlot, planGang } from '../placement/plan.ts';
import { Budgets, Ledger } from '../preemption/budgets.ts';
import { type Candidate, type EvictionRights, listChoices, type VictimUnit } from '../preemption/candidates.ts';
import { countSpared, type Preemption, type PreemptionRequest } from '../preemption/preemption.ts';
import type { Amounts } from '../queues/amounts.ts';
import { ChangedUse } from '../queues/changed-use.ts';
import { judgeQuota, listRefusals, type QuotaRefusal, type Use } from '../queues/quota.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { withoutPods } from '../snapshot/without-pods.ts';
import { type Guarantees, MAX_VICTIM_SETS } from './reclaim.ts';
import type { ReclaimQuery } from './rights.ts';

/** Who uses the quota, and what guarantees protect. */
export interface QuotaHolders extends Guarantees {
  /** Its `use` does not count units that are being evicted for others. */
  readonly query: ReclaimQuery;
  readonly amountsOf: (pods: readonly PodModel[]) => Amounts;
}

export interface QuotaPreemptionRequest extends Omit<PreemptionRequest, 'rights'> {
  readonly holders: QuotaHolders;
}

/**
 * Call it when `judgeQuota` refuses. Never answers `coming`: quota that others are about to free belongs to nobody
 * yet.
 */
export function planQuotaPreemption(
  snapshot: Snapshot,
  request: QuotaPreemptionRequest,
  policy: PlanPolicy,
  now: number,
): Preemption {
  const { gang, holders } = request;
  const { query } = holders;
  const refused = quotaRights(holders);
  if (!refused) return countSpared([]);
  const { refusals, rights } = refused;
  const budgets = new Budgets(request.budgets);
  const { immunityOf } = holders;
  const wanted = { ...request, gang: gang.key, rights, immunityOf, isAccelerator: policy.isAccelerator, now };
  const { choices, spared } = listChoices(snapshot, wanted, budgets);
  const amounts = new Map<VictimUnit, Amounts>();
  const candidates = choices.flatMap(({ whole }) => {
    if (!whole) return [];
    const own = holders.amountsOf(whole.unit.pods);
    amounts.set(whole.unit, own);
    return refusals.some(({ dimension }) => (own.get(dimension) ?? 0) > 0) ? [whole] : [];
  });
  const place = (units: readonly VictimUnit[]): readonly PlannedSlot[] | undefined => {
    const left = useWithout(query, units, amounts);
    if (judgeQuota(query.queue, query.asked, left).kind === 'refused') return undefined;
    const pods = units.flatMap((unit) => unit.pods);
    const plan = planGang(withoutPods(snapshot, pods), gang, policy, Number.POSITIVE_INFINITY);
    return plan.kind === 'placed' ? plan.slots : undefined;
  };
  let open = keepBudgets(candidates.sort(compareWorth), budgets);
  for (let sets = 0; sets < MAX_VICTIM_SETS; sets++) {
    // The last set takes only units that no queue needs to keep, whichever of them are taken.
    const excessOfAll = sets === MAX_VICTIM_SETS - 1 ? new Set(holders.listExcess(open)) : undefined;
    const found = chooseFirst(excessOfAll ? open.filter((unit) => !excessOfAll.has(unit)) : open, place);
    if (!found) break;
    const excess = new Set(holders.listExcess(found.units));
    if (excess.size === 0) {
      const victims = found.units.toSorted((a, b) => (a.key < b.key ? -1 : 1));
      const lostWork = victims.reduce((sum, unit) => sum + unit.lostWork, 0);
      return { kind: 'preempt', slots: found.slots, victims, violations: 0, lostWork };
    }
    open = open.filter((unit) => !excess.has(unit));
  }
  return countSpared(spared);
}

/** Whom the gang may evict so that quota becomes free; undefined: no queue refuses it. */
export function quotaRights(
  holders: QuotaHolders,
): { readonly refusals: readonly QuotaRefusal[]; readonly rights: EvictionRights } | undefined {
  const { queue, asked, use, queueOf } = holders.query;
  const refusals = listRefusals(queue, asked, use);
  const [outermost] = refusals;
  if (!outermost) return undefined;
  const rights: EvictionRights = (pod) => {
    const isBelow = queueOf(pod)?.path.some(({ name }) => name === outermost.queue);
    return isBelow ? holders.rights(pod) : 'never';
  };
  return { refusals, rights };
}

/** What the queues use without these units. */
export function useWithout(
  { use, queueOf }: ReclaimQuery,
  units: readonly VictimUnit[],
  amounts: ReadonlyMap<VictimUnit, Amounts>,
): Use {
  const left = new ChangedUse(use);
  for (const unit of units) {
    const queue = queueOf(unit.pods[0]!);
    if (queue) left.subtract(queue, amounts.get(unit)!);
  }
  return left;
}

/** The least valuable first. */
function compareWorth({ unit: a }: Candidate, { unit: b }: Candidate): number {
  return (
    a.priority - b.priority ||
    b.startedAt - a.startedAt ||
    a.pods.length - b.pods.length ||
    (a.key < b.key ? -1 : Number(a.key > b.key))
  );
}

/** The units that the disruption budgets allow to evict all together. */
function keepBudgets(candidates: readonly Candidate[], budgets: Budgets): readonly VictimUnit[] {
  const ledger = new Ledger(budgets);
  return candidates.flatMap(({ unit, cover }) => {
    ledger.add(cover);
    if (!ledger.isExceeded(cover)) return [unit];
    ledger.remove(cover);
    return [];
  });
}

/** The shortest prefix of the units that is enough, without the units in it that are not needed. */
function chooseFirst(
  units: readonly VictimUnit[],
  place: (units: readonly VictimUnit[]) => readonly PlannedSlot[] | undefined,
): { readonly units: readonly VictimUnit[]; readonly slots: readonly PlannedSlot[] } | undefined {
  let slots = units.length > 0 ? place(units) : undefined;
  if (!slots) return undefined;
  let [tooFew, enough] = [0, units.length];
  while (enough - tooFew > 1) {
    const middle = Math.floor((tooFew + enough) / 2);
    const found = place(units.slice(0, middle));
    if (found) [enough, slots] = [middle, found];
    else tooFew = middle;
  }
  let chosen = units.slice(0, enough);
  for (const unit of chosen.toReversed()) {
    const others = chosen.filter((other) => other !== unit);
    const found = others.length > 0 ? place(others) : undefined;
    if (found) [chosen, slots] = [others, found];
  }
  return { units: chosen, slots };
}
