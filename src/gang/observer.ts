/** What the gang package tells the world while it works: counted as metrics, logged, and shown as Events. */
import { explain, type Reason } from '../core/explain.ts';
import type { Plan } from '../core/plan.ts';
import type { Gang } from '../core/pod-group.ts';
import type { EventRecorder } from '../telemetry/events.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { GangState } from './lifecycle.ts';

/** Why kube-scheduler did not take a nominated member. */
export type RefusalCause = 'filter' | 'preempt' | 'no-progress';

/** Why a gang gave its slots back. */
export type ReleaseCause =
  | 'refused'
  | 'not-written'
  | 'barrier-timeout'
  | 'members-left'
  | 'members-late'
  | 'topology-drift';

/** One round of the decision loop, as it left the tables. */
export interface RoundReport {
  readonly seconds: number;
  readonly generation: number;
  readonly gangs: ReadonlyMap<GangState, number>;
  /** Slots that are reserved and not bound. */
  readonly slots: number;
}

export class GangObserver {
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #events: EventRecorder;

  constructor(metrics: Metrics, log: Logger, events: EventRecorder) {
    this.#metrics = metrics;
    this.#log = log;
    this.#events = events;
  }

  onPlanned(gang: string, plan: Plan, seconds: number): void {
    this.#metrics.planDuration.observe({ result: plan.kind }, seconds);
    const members = plan.kind === 'placed' ? plan.slots.length : undefined;
    this.#log.info(plan.kind === 'placed' ? 2 : 4, 'planned', { gang, result: plan.kind, members, seconds });
  }

  onRound(round: RoundReport): void {
    const { seconds, generation, gangs, slots } = round;
    this.#metrics.decisionRoundDuration.observe(seconds);
    this.#metrics.snapshotGeneration.set(generation);
    for (const [state, count] of gangs) this.#metrics.gangs.set({ state }, count);
    this.#metrics.reservations.set(slots);
  }

  /** The gang's state or reason changed: people read it on its first member and on the object that owns it. */
  onReason(gang: Gang, state: GangState, reason: Reason | undefined): void {
    const text = reason ? explain(reason) : `gang is ${state}`;
    const waits = reason !== undefined && (state === 'Gathering' || state === 'Pending' || state === 'Broken');
    this.#log.info(2, 'gang', { gang: gang.key, state, reason: text });
    const member = gang.members[0];
    if (!member) return;
    const event = {
      type: waits && reason.kind !== 'queued' ? ('Warning' as const) : ('Normal' as const),
      reason: waits ? 'GangWaiting' : `Gang${state}`,
      note: `gang ${gang.key}: ${text}`,
      action: 'GangScheduling',
    };
    const { namespace } = gang;
    this.#events.record({ ...event, regarding: { kind: 'Pod', namespace, name: member.name, uid: member.uid } });
    if (member.owner?.kind === 'Job') {
      this.#events.record({
        ...event,
        regarding: { kind: 'Job', namespace, name: member.owner.name, uid: member.owner.uid },
      });
    }
  }

  onNomination(result: string): void {
    this.#metrics.nominations.inc({ result });
  }

  onNominationLost(gang: string, pod: string, node: string): void {
    this.#metrics.nominationsLost.inc();
    this.#log.info(3, 'nomination lost, writing it again', { gang, pod, node });
  }

  onRefused(gang: string, pod: string, node: string, cause: RefusalCause, said: string): void {
    this.#metrics.refusals.inc({ cause });
    this.#log.info(2, 'kube-scheduler refused a slot', { gang, pod, node, cause, said });
  }

  onReleased(gang: string, cause: ReleaseCause, slots: number, said: string): void {
    this.#metrics.reservationsReleased.inc({ reason: cause }, slots);
    this.#log.warn('gang gives its slots back', { gang, reason: cause, slots, said });
  }

  /** Told by whoever is held or leaves: no round of the loop follows from that. */
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

  onBound(result: string): void {
    this.#metrics.bindings.inc({ result });
  }

  onWriteFailed(what: string, gang: string, pod: string, message: string): void {
    this.#log.warn('write failed, it will be tried again', { what, gang, pod, message });
  }
}
