/**
 * Rebuilds the reservations after a restart, from the plan annotations of unbound members.
 *
 * An annotation proves nothing: whoever creates a pod may write it. So a slot is adopted only
 *   - if the nomination says the same node: only the status has it, which those who create pods cannot write; or
 *   - if it is fenced, that is, pods on the planned nodes leave or name the gang as their preemptor
 *     (`recorded-victims.ts`);
 * and only while nothing keeps the gang back: no problem, no hold, quota for all that it needs, and room on the node. Any
 * other record is erased, and the member is planned again.
 */
import type { PodModel } from '../../core/objects/model.ts';
import { keyOf } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { Transaction } from '../../core/snapshot/transaction.ts';
import { withoutPods } from '../../core/snapshot/without-pods.ts';
import type { LoopContext } from '../framework/context.ts';
import type { QueueQuota } from '../framework/queue-quota.ts';
import { eraseNomination } from '../state/attempt.ts';
import { resumePreempting } from '../state/preempting.ts';
import { startPreempting } from '../state/preemption-status.ts';
import { compareUrgency, type GangRecord } from '../state/records.ts';
import { adoptSlot } from '../state/slot.ts';
import type { GangTable } from './gang-table.ts';
import { askedBy, type Claim, findRecordedVictims, groupByPreemptor, readClaim } from './recorded-victims.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'clock' | 'settings' | 'isolation'>;

/** What a step of the recovery takes. */
interface Recovery {
  readonly context: Context;
  readonly gangs: GangTable;
  readonly queues: QueueQuota;
  readonly victims: ReadonlyMap<GangRecord, readonly PodModel[]>;
}

/**
 * Adopts the slots written on the members, the most urgent gang first, never more than a node holds.
 * @param queues with what bound pods use.
 */
export function adoptSlots(context: Context, gangs: GangTable, queues: QueueQuota): void {
  const { view, isolation } = context;
  const told = groupByPreemptor(view.preempted());
  const snapshot = view.snapshot();
  const claims = [...gangs.values()]
    .sort(compareUrgency)
    .flatMap((record) => isolation.run(record.gang.key, 'observe', () => readClaim(record)) ?? [])
    .filter(({ nominated, fenced }) => nominated.length + fenced.length > 0);
  const victims = new Map<GangRecord, readonly PodModel[]>();
  eachOf(claims, context, (claim) => {
    const own = findRecordedVictims(claim, told.get(claim.record.gang.key) ?? [], gangs, queues);
    if (own.length > 0) victims.set(claim.record, own);
  });
  const recovery = { context, gangs, queues, victims };
  const kept: Claim[] = [];
  eachOf(claims, context, (claim) => {
    if (isKeptBack(claim, recovery)) dropRecords(claim.record, [...claim.nominated, ...claim.fenced]);
    else kept.push(claim);
  });
  // First what kube-scheduler was told: no fence that is written on a pod takes the place of that.
  const tx = new Transaction(snapshot);
  eachOf(kept, context, (claim) => adoptNominated(claim, tx, recovery));
  tx.rollback(0);
  adoptFences(kept, snapshot, recovery);
  for (const { record, nominated, fenced } of claims) {
    if (isolation.faultOf(record.gang.key)) dropRecords(record, [...nominated, ...fenced]);
  }
}

/**
 * An exception, or too much time, costs the gang of the claim only: it would come again at each start. A gang that is set
 * aside has no more done for it.
 */
function eachOf(claims: readonly Claim[], { isolation }: Context, adopt: (claim: Claim) => void): void {
  for (const claim of claims) {
    const { key } = claim.record.gang;
    if (!isolation.faultOf(key)) isolation.run(key, 'observe', () => adopt(claim));
  }
}

/** Whether the gang would not be planned now. What runs in part goes on: its quota was given. */
function isKeptBack(claim: Claim, { queues, victims }: Recovery): boolean {
  const { record } = claim;
  const { gang, census } = record;
  const choice = queues.choose(gang.namespace, gang.queue);
  const asked = askedBy(claim, queues);
  if (census.bound.length > 0) {
    if (choice.kind === 'queue') queues.charge(choice.queue, asked);
    return false;
  }
  if (gang.problems.length > 0 || gang.isHeld) return true;
  if (choice.kind === 'problem') return true;
  if (!queues.hasQuotaFor(choice.queue, asked, victims.get(record) ?? [])) return true;
  queues.charge(choice.queue, asked);
  return false;
}

function adoptNominated({ record, nominated }: Claim, tx: Transaction, { context }: Recovery): void {
  const { reservations, clock } = context;
  for (const { pod, plan } of nominated) {
    if (!tx.tryPlace(pod, plan.node)) eraseNomination(record.attempt, pod);
    else reservations.assume(adoptSlot({ ...plan, pod, gang: record.gang.key, since: clock.now() }, 'nominated'));
  }
}

/** The slots of gangs that were preempting, on the nodes that their victims leave. */
function adoptFences(claims: readonly Claim[], now: Snapshot, recovery: Recovery): void {
  const { context, victims } = recovery;
  const { reservations } = context;
  const departing = new Map<Claim, readonly PodModel[]>();
  eachOf(claims, context, (claim) => void departing.set(claim, listDeparting(claim, now)));
  const leaving = new Set([...[...victims.values()].flat(), ...[...departing.values()].flat()]);
  const tx = new Transaction(withoutPods(now, [...leaving]));
  for (const { pod, node } of reservations.slots()) tx.tryPlace(pod, node);
  eachOf(claims, context, (claim) => adoptFencesOf(claim, departing.get(claim)!, tx, recovery));
  tx.rollback(0);
}

function adoptFencesOf(claim: Claim, departing: readonly PodModel[], tx: Transaction, recovery: Recovery): void {
  const { record, fenced, nominated } = claim;
  const { reservations, clock, settings } = recovery.context;
  const own = recovery.victims.get(record) ?? [];
  if (own.length + departing.length === 0) {
    dropRecords(record, fenced);
    return;
  }
  const before = tx.checkpoint();
  for (const { pod, plan } of fenced) {
    if (!tx.tryPlace(pod, plan.node)) eraseNomination(record.attempt, pod);
    else reservations.assume(adoptSlot({ ...plan, pod, gang: record.gang.key, since: clock.now() }, 'fenced'));
  }
  const adopted = reservations.slotsOf(record.gang.key);
  if (adopted.length < fenced.length + nominated.length && own.length > 0 && !own.some(({ deleting }) => deleting)) {
    // The process ended before all victims had their notice and before any was evicted: deciding again loses nothing.
    tx.rollback(before);
    for (const { pod } of adopted) {
      reservations.forget(pod.uid);
      eraseNomination(record.attempt, pod);
    }
  } else if (adopted.length > 0) {
    const unitOf = (pod: PodModel) => unitKeyOf(pod, recovery.gangs);
    const { noticeMs } = settings.preemption;
    const resumed = resumePreempting(own, departing, unitOf, { now: clock.now(), noticeMs });
    startPreempting(record.preemption, resumed);
  }
}

function dropRecords({ attempt }: GangRecord, slots: Claim['fenced']): void {
  for (const { pod } of slots) eraseNomination(attempt, pod);
}

/** The unit of a victim: its gang if that leaves as a whole, else the pod itself. */
function unitKeyOf(pod: PodModel, gangs: GangTable): string {
  const gang = gangKeyOf(pod);
  return gang !== undefined && gangs.get(gang)?.census.isVictim ? gang : keyOf(pod);
}

/** Pods being deleted on nodes that are recorded for members but not nominated yet. */
function listDeparting({ fenced }: Claim, { podsOn, indexOf }: Snapshot): readonly PodModel[] {
  const nodes = new Set(fenced.map(({ plan }) => plan.node));
  return [...nodes].flatMap((name) => podsOn[indexOf.get(name) ?? -1]?.filter(({ deleting }) => deleting) ?? []);
}
