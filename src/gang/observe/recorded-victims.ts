/**
 * Reads back, after a restart, whom a gang was evicting. A pod that names a preemptor proves nothing: it may have been
 * created like that, to hold another gang up or to have its own pods' nodes kept for a gang. It is believed if the
 * preemptor exists and has fenced slots, and if the pod, or another one of the unit that names it, is on a node of its
 * plan. Victims elsewhere are believed only where the preemptor's quota needs them gone.
 */
import { PREEMPTED_BY } from '../../core/objects/keys.ts';
import { keyOf, type PodModel } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { type PlanRecord, parsePlan } from '../../core/podgroup/plan-record.ts';
import type { Amounts } from '../../core/queues/amounts.ts';
import type { QueueQuota } from '../framework/queue-quota.ts';
import type { GangRecord } from '../state/records.ts';
import type { GangTable } from './gang-table.ts';

/** A member with the record of a slot. */
interface RecordedSlot {
  readonly pod: PodModel;
  readonly plan: PlanRecord;
}

/** What the unbound members of a gang say about its slots. */
export interface Claim {
  readonly record: GangRecord;
  /** The nomination says the same. */
  readonly nominated: readonly RecordedSlot[];
  /** Recorded only: fenced slots, nominations that kube-scheduler erased, or whatever else is written there. */
  readonly fenced: readonly RecordedSlot[];
}

export function readClaim(record: GangRecord): Claim {
  const nominated: RecordedSlot[] = [];
  const fenced: RecordedSlot[] = [];
  for (const pod of record.census.unbound) {
    const plan = parsePlan(pod);
    if (plan) (pod.nominatedNodeName === plan.node ? nominated : fenced).push({ pod, plan });
  }
  return { record, nominated, fenced };
}

/** What the gang needs to start: its recorded slots by the nodes that they name, and the members that lack one. */
export function askedBy({ record: { gang, census }, nominated, fenced }: Claim, queues: QueueQuota): Amounts {
  const nodeOf = new Map([...nominated, ...fenced].map(({ pod, plan }) => [pod, plan.node]));
  const others = census.unbound.filter((pod) => !nodeOf.has(pod));
  const lacking = Math.max(0, (gang.minMember ?? 0) - census.bound.length - nodeOf.size);
  return queues.amountsOf([...nodeOf.keys(), ...others.slice(0, lacking)], (pod) => nodeOf.get(pod) ?? '');
}

/** The pods that name a preemptor, by the preemptor. */
export function groupByPreemptor(told: Iterable<PodModel>): ReadonlyMap<string, readonly PodModel[]> {
  return Map.groupBy(told, ({ annotations }) => annotations[PREEMPTED_BY]!);
}

/**
 * The victims of a gang that was preempting. If a gang falls below its minimum, all its bound members, also those without a
 * notice.
 * @param marked the pods that name the gang as their preemptor.
 */
export function findRecordedVictims(
  claim: Claim,
  marked: readonly PodModel[],
  gangs: GangTable,
  queues: QueueQuota,
): readonly PodModel[] {
  const { record, nominated, fenced } = claim;
  if (marked.length === 0 || fenced.length === 0) return [];
  const planned = new Set([...nominated, ...fenced].map(({ plan }) => plan.node));
  const units = [...Map.groupBy(marked, (pod) => unitOf(pod, gangs))];
  const inTheWay = units.filter(([, pods]) => pods.some(({ nodeName }) => planned.has(nodeName)));
  const listed = (of: typeof units) => [...new Set(of.flatMap(([unit, pods]) => withWholeGang(unit, pods)))];
  const choice = queues.choose(record.gang.namespace, record.gang.queue);
  const asked = askedBy(claim, queues);
  const hasQuota = (of: typeof units) =>
    choice.kind === 'problem' || queues.hasQuotaFor(choice.queue, asked, listed(of));
  return listed(hasQuota(inTheWay) ? inTheWay : units);
}

/** The gang of the pod if that leaves as a whole, else the pod's own key. */
function unitOf(pod: PodModel, gangs: GangTable): GangRecord | string {
  const record = gangs.get(gangKeyOf(pod) ?? '');
  return record?.census.isVictim ? record : keyOf(pod);
}

function withWholeGang(unit: GangRecord | string, pods: readonly PodModel[]): readonly PodModel[] {
  return typeof unit === 'string' ? pods : [...unit.census.bound, ...pods];
}
