/** Reports what the gang package does, as metrics, log lines and Events. */

import type { PlannedStart } from '../../core/backfill/planned-start.ts';
import { GANG_GATE, POD_GROUP_LABEL } from '../../core/objects/keys.ts';
import { type JobModel, keyOf, type PodModel } from '../../core/objects/model.ts';
import { cutText, formatDuration } from '../../core/objects/text-values.ts';
import type { EvictionOutcome, WriteOutcome } from '../../core/objects/write-outcome.ts';
import type { Plan } from '../../core/placement/plan.ts';
import { type Gang, gangNameOf } from '../../core/podgroup/gang.ts';
import type { IgnoredKey } from '../../core/podgroup/ignored-keys.ts';
import type { LaterRun } from '../../core/podgroup/run.ts';
import type { Preemption } from '../../core/preemption/preemption.ts';
import { explain, type Reason } from '../../core/reasons/explain.ts';
import { explainIgnoredKey } from '../../core/reasons/explain-key.ts';
import type { EventRecorder } from '../../telemetry/events.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { GangState } from '../state/lifecycle.ts';
import type { Preempting } from '../state/preempting.ts';
import { GangEvents } from './gang-events.ts';
import type { FaultReport } from './isolation.ts';
import type { CycleReport, GangObserver, ReleaseCause, SearchTrouble, SlotRefusalCause } from './ports.ts';

export class TelemetryObserver implements GangObserver {
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #tell: GangEvents;

  constructor(metrics: Metrics, log: Logger, events: EventRecorder) {
    this.#metrics = metrics;
    this.#log = log;
    this.#tell = new GangEvents(events);
  }

  onPlanned(gang: string, plan: Plan, seconds: number): void {
    this.#metrics.planDuration.observe({ result: plan.kind }, seconds);
    const members = plan.kind === 'placed' ? plan.slots.length : undefined;
    this.#log.info(plan.kind === 'placed' ? 2 : 4, 'planned', { gang, result: plan.kind, members, seconds });
  }

  onCycle(cycle: CycleReport): void {
    const { seconds, generation, gangs, slots, suspectNodes } = cycle;
    this.#metrics.suspectNodes.set(suspectNodes);
    this.#metrics.decisionRoundDuration.observe(seconds);
    this.#metrics.snapshotGeneration.set(generation);
    for (const [state, count] of gangs) this.#metrics.gangs.set({ state }, count);
    this.#metrics.reservations.set(slots);
  }

  onReason(gang: Gang, state: GangState, reason: Reason | undefined): void {
    this.#log.info(2, 'gang', { gang: gang.key, state, reason: reason ? explain(reason) : `gang is ${state}` });
    this.#tell.tellReason(gang, state, reason);
  }

  onNewcomers(gang: Gang, state: GangState, reason: Reason, newcomers: readonly PodModel[]): void {
    this.#tell.tellNewcomers(gang, state, reason, newcomers);
  }

  onRunning(gang: Gang, started: number, where: string, members: readonly PodModel[]): void {
    this.#log.info(2, 'gang', { gang: gang.key, state: 'Running', reason: `${started} members ${where}` });
    this.#tell.tellStarted(gang, started, where, members);
  }

  onLaterRun(gang: Gang, later: LaterRun): void {
    this.#tell.tellLaterRun(gang, later);
  }

  onKeysIgnored(pod: PodModel, ignored: readonly IgnoredKey[]): void {
    const note = ignored.map(explainIgnoredKey).join('; ');
    this.#log.info(2, 'keys do nothing', { pod: keyOf(pod), reason: note });
    this.#tell.tellPod(pod, { type: 'Warning', reason: 'KeyIgnored', note });
  }

  /** Says on the pod who opens which gate. With a gang's label that is how other controllers admit gangs: no fault. */
  onOtherGates(pod: PodModel, gates: readonly string[]): void {
    const gang = gangNameOf(pod.labels);
    const others = gates.slice(0, 3).map(cutText).join(', ');
    const note =
      gang === undefined
        ? `gate ${GANG_GATE} without a gang: it is removed when the controllers of the other gates have removed theirs: ${others}; add label ${POD_GROUP_LABEL} if the pod belongs to a gang`
        : `in gang ${gang} when the controllers of the other gates have removed theirs: ${others}`;
    this.#tell.tellPodAlone(pod, { type: gang === undefined ? 'Warning' : 'Normal', reason: 'OtherGates', note });
  }

  /** Warns when a gang starts whose Job would not survive a preemption. */
  onFragile(gang: Gang, { name, backoffLimit, parallelism }: JobModel): void {
    const note =
      `gang ${gang.key}: evicting its ${parallelism} pods would fail Job ${name}: expected spec.podFailurePolicy with action Ignore ` +
      `on pod condition DisruptionTarget, or a backoffLimit of at least ${parallelism}, found backoffLimit ${backoffLimit}; add the policy`;
    this.#tell.tellGang(gang, { type: 'Warning', reason: 'JobDiesWhenPreempted', note });
  }

  onRunTimeEnding(gang: Gang, queue: string, at: number): void {
    const note = `gang ${gang.key}: is evicted at ${new Date(at).toISOString()}, when it has run as long as queue ${queue} allows; write a checkpoint before`;
    this.#tell.tellGang(gang, { type: 'Warning', reason: 'RunTimeEnding', note });
  }

  onRunTimeOver(gang: Gang, queue: string, limitMs: number): void {
    this.#metrics.runTimesOver.inc({ queue });
    this.#log.warn('gang ran for too long, it is evicted', { gang: gang.key, queue, limitMs });
    const note = `gang ${gang.key}: ran for ${formatDuration(limitMs)}, the longest that queue ${queue} allows; all its members are evicted`;
    this.#tell.tellGang(gang, { type: 'Warning', reason: 'RunTimeOver', note });
  }

  onStartPlanned(gang: string, start: PlannedStart | undefined, seconds: number): void {
    const result = start === undefined ? 'never' : Number.isFinite(start.startsAt) ? 'known' : 'unknown';
    this.#metrics.startPlanDuration.observe({ result }, seconds);
    this.#log.info(4, 'planned a start', { gang, result, waitsFor: start?.waitsFor.length, seconds });
  }

  /** @param seconds since the oldest member was created. */
  onStarted(queue: string, seconds: number): void {
    this.#metrics.gangWait.observe({ queue }, seconds);
  }

  /** A gang started before a blocked one, without delaying it. */
  onBackfilled(): void {
    this.#metrics.backfills.inc();
  }

  onMirrored(queue: string): void {
    this.#log.info(1, 'queue of the configuration file has an object now', { queue });
  }

  onQueueWarning(queue: string, message: string): void {
    this.#log.warn('a queue is probably not what its operator means', { queue, message });
  }

  onQueueWriteFailed(what: 'create' | 'status', queue: string, message: string): void {
    this.#log.warn('write of a Queue object failed, it will be tried again', { what, queue, message });
  }

  onPreemptionPlanned(gang: string, plan: Preemption, seconds: number): void {
    this.#metrics.preemptionPlanDuration.observe({ result: plan.kind }, seconds);
    const victims = plan.kind === 'preempt' ? plan.victims.map(({ key }) => key) : undefined;
    this.#log.info(plan.kind === 'preempt' ? 1 : 4, 'looked for victims', {
      gang,
      result: plan.kind,
      victims,
      seconds,
    });
    if (plan.kind !== 'preempt' || plan.violations > 0) return;
    this.#metrics.preemptions.inc();
    this.#metrics.preemptionLostWork.inc(plan.lostWork);
  }

  onSearchTrouble(gang: string, question: 'victims' | 'start', trouble: SearchTrouble, message = ''): void {
    this.#metrics.searchTroubles.inc({ question, trouble });
    if (trouble === 'too-long' || trouble === 'failed') {
      this.#log.warn('search gave no answer, it is tried again later', { gang, question, trouble, said: message });
    }
  }

  /** Tells each victim which gang preempts it. */
  onPreempting(gang: string, { victims, evictAt }: Preempting): void {
    this.#tell.tellPreempted(gang, victims.values(), evictAt);
  }

  onPreemptionBlocked(gang: string, message: string): void {
    this.#metrics.preemptionsBlocked.inc();
    this.#log.warn('evictions stay refused, other victims are chosen', { gang, said: message });
  }

  onEvicted(result: EvictionOutcome['kind']): void {
    this.#metrics.evictions.inc({ result });
  }

  onRestarting(gang: Gang, count: number, max: number): void {
    this.#metrics.restarts.inc();
    this.#log.warn('gang is restarted', { gang: gang.key, count, most: max });
    const note = `gang ${gang.key}: lost members; the others are evicted so that it starts anew (${count} of at most ${max} times)`;
    this.#tell.tellGang(gang, { type: 'Warning', reason: 'GangRestarting', note });
  }

  /** @param isSuspect whether this failure makes the node a suspect. */
  onNodeFailed(gang: string, node: string, isSuspect: boolean): void {
    this.#metrics.nodeFailures.inc();
    this.#log.warn('a running gang lost members on a node', { gang, node });
    if (!isSuspect) return;
    const note = `node ${node}: running gangs lost members here again and again, last gang ${gang}; look at it before it takes more`;
    this.#tell.tellNode(node, { type: 'Warning', reason: 'NodeFailsGangs', note });
  }

  onNomination(result: WriteOutcome['kind']): void {
    this.#metrics.nominations.inc({ result });
  }

  onNominationLost(gang: string, pod: string, node: string): void {
    this.#metrics.nominationsLost.inc();
    this.#log.info(3, 'nomination lost, writing it again', { gang, pod, node });
  }

  onRefused(gang: string, pod: string, node: string, cause: SlotRefusalCause, message: string): void {
    this.#metrics.refusals.inc({ cause });
    this.#log.info(2, 'kube-scheduler refused a slot', { gang, pod, node, cause, said: message });
  }

  onReleased(gang: string, cause: ReleaseCause, slots: number, message: string): void {
    this.#metrics.reservationsReleased.inc({ reason: cause }, slots);
    this.#log.warn('gang gives its slots back', { gang, reason: cause, slots, said: message });
  }

  /** Called when a hold begins or ends: no cycle follows from that. */
  onHeld(held: number): void {
    this.#metrics.barrierHeld.set(held);
  }

  onBarrierTimeout(): void {
    this.#metrics.barriers.inc({ result: 'timeout' });
  }

  onBarrierAbandoned(): void {
    this.#metrics.barriers.inc({ result: 'abandoned' });
  }

  onBarrierOpened(waitedSeconds: number): void {
    this.#metrics.barriers.inc({ result: 'opened' });
    this.#metrics.barrierWait.observe(waitedSeconds);
  }

  onBound(result: WriteOutcome['kind']): void {
    this.#metrics.bindings.inc({ result });
  }

  onWriteFailed(what: string, gang: string, pod: string, message: string): void {
    this.#log.warn('write failed, it will be tried again', { what, gang, pod, message });
  }

  /** Each fault of each gang is logged once. */
  onFault({ subject, step, cause, detail, isRepeated }: FaultReport): void {
    this.#metrics.gangFaults.inc({ step, cause });
    if (isRepeated) return;
    if (cause === 'error') this.#log.error('handling a gang failed, it is set aside', detail, { gang: subject, step });
    else
      this.#log.warn('a gang took too long, it is set aside', { gang: subject, step, seconds: Number(detail) / 1000 });
  }
}
