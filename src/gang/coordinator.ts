/**
 * The decision loop: the only place that plans gangs. Cluster events wake it; it runs one cycle at a time:
 *
 *   1 observe   read changed gangs again; compare slots and preemptions with their pods
 *   2 repair    hold placeholders for the members that running gangs lost, or restart those gangs
 *   3 admit     choose the next gang in queue order, and its admission constraints
 *   4 plan      plan that gang on one snapshot minus all reservations
 *   5 preempt   displace or evict others for a gang that found no capacity
 *   6 write     start the nominations, gate removals, erasures, notices and evictions that are missing
 *   7 publish   tell states and reasons
 *
 * Steps 3 to 5 run once for each candidate. A cycle is synchronous: nothing happens in between. The extender calls are answered from the tables.
 * Whatever fails or takes too long for one gang costs that gang (`framework/isolation.ts`).
 */
import { keyOf, type PodModel } from '../core/objects/model.ts';
import { type GangKey, gangKeyOf } from '../core/podgroup/gang.ts';
import type { Admission } from './admit/admission.ts';
import type { AdmissionCandidate } from './admit/candidate.ts';
import type { QueueTable } from './admit/queue-table.ts';
import type { Satisfiability } from './admit/satisfiability.ts';
import type { LoopContext } from './framework/context.ts';
import type { CycleTimer } from './framework/cycle-timer.ts';
import type { Releaser } from './framework/releaser.ts';
import type { GangTable } from './observe/gang-table.ts';
import type { Observation } from './observe/observation.ts';
import { adoptSlots } from './observe/recovery.ts';
import type { Planner, PlanOutcome } from './plan/planner.ts';
import type { Preemptor } from './preempt/preemptor.ts';
import { searchAfterBudgetChange } from './preempt/victim-search.ts';
import type { NodeFailures } from './repair/node-failures.ts';
import type { Repairer } from './repair/repairer.ts';
import { nextDeadline } from './state/deadlines.ts';
import { countStates } from './state/lifecycle.ts';
import type { GangRecord } from './state/records.ts';
import type { Dispatcher } from './write/dispatcher.ts';
import type { Publisher } from './write/publisher.ts';
import type { QueuePublisher } from './write/queue-publisher.ts';

/** The steps and what they share; `assembly.ts` puts them together. */
export interface CoordinatorParts {
  readonly timer: CycleTimer;
  readonly gangs: GangTable;
  readonly queues: QueueTable;
  readonly failures: NodeFailures;
  readonly releaser: Releaser;
  readonly observation: Observation;
  readonly repairer: Repairer;
  readonly admission: Admission;
  readonly satisfiability: Satisfiability;
  readonly planner: Planner;
  readonly preemptor: Preemptor;
  readonly dispatcher: Dispatcher;
  readonly queuePublisher: QueuePublisher;
  readonly publisher: Publisher;
}

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'clock' | 'settings' | 'isolation'>;

export class Coordinator {
  readonly #context: Context;
  readonly #parts: CoordinatorParts;

  constructor(context: Context, parts: CoordinatorParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Runs one cycle. */
  decide(): void {
    const { observation, repairer, admission, dispatcher, publisher } = this.#parts;
    const now = this.#context.clock.now();
    this.#context.view.snapshot(); // brought up to date here: no gang is charged for the nodes that have changed
    const succeeded = observation.observe(now); // 1 observe
    const gangs = [...this.#parts.gangs.values()];
    repairer.repair(gangs, now); // 2 repair
    for (const candidate of admission.admit(gangs, succeeded, now)) /* 3 admit */ {
      this.#handle(candidate); // 4 plan, 5 preempt
    }
    dispatcher.write(this.#parts.gangs); // 6 write
    publisher.publish(gangs, now); // 7 publish
    this.#endCycle(gangs, now);
  }

  /** A candidate that fails, or takes too long without a place, is set aside: no further step is done for it. */
  #handle(candidate: AdmissionCandidate): void {
    const { isolation } = this.#context;
    const { planner, preemptor, releaser } = this.#parts;
    const { key } = candidate.record.gang;
    const plan = isolation.run(key, 'plan', () => planner.plan(candidate));
    if (!plan || isolation.faultOf(key)) return;
    const preemption = isolation.run(key, 'preempt', () => preemptor.preempt(candidate, plan));
    for (const release of preemption?.releases ?? []) {
      isolation.run(release.record.gang.key, 'preempt', () => releaser.release(release));
    }
    if (!preemption || isolation.faultOf(key)) return;
    isolation.run(key, 'plan', () => this.#conclude(candidate, plan, preemption.gotSlots));
  }

  /** Releases the gang if it gave up, then tells admission the verdict on the candidate. */
  #conclude(candidate: AdmissionCandidate, plan: PlanOutcome, gotSlots: boolean): void {
    const { planner, admission, releaser } = this.#parts;
    const { verdict, release } = planner.conclude(candidate, plan, gotSlots);
    if (release) releaser.release(release);
    admission.settle(verdict);
  }

  #endCycle(gangs: readonly GangRecord[], now: number): void {
    const { view, observer, reservations } = this.#context;
    observer.onCycle({
      seconds: this.#parts.timer.end(now, this.#nextAt(gangs, now)) / 1000,
      generation: view.generation,
      gangs: countStates(gangs),
      slots: reservations.size,
      suspectNodes: this.#parts.failures.suspects(now).length,
    });
  }

  /** When the next cycle is due without an event, milliseconds; Infinity: never. */
  #nextAt(gangs: readonly GangRecord[], now: number): number {
    const { reservations, settings, isolation } = this.#context;
    const { repairer, admission, planner, observation, dispatcher, queuePublisher } = this.#parts;
    let next = Math.min(
      nextDeadline(gangs, now, settings.regatherMs),
      repairer.nextAt,
      admission.nextAt(now),
      planner.nextAt(now),
      dispatcher.nextAt,
      queuePublisher.nextAt,
      observation.nextAt,
      isolation.nextAt,
    );
    for (const record of gangs) next = Math.min(next, observation.fences.nextAt(record, now));
    for (const [, hold] of reservations.holds()) next = Math.min(next, hold.until);
    return next;
  }

  /** A pod was created, changed or deleted. */
  onPod(before: PodModel | undefined, now: PodModel | undefined): void {
    const { isolation } = this.#context;
    const { observation, admission, satisfiability, timer } = this.#parts;
    const pod = (now ?? before)!;
    const subject = gangKeyOf(pod) ?? keyOf(pod);
    // Each by itself: one that fails must not hide the pod from the others.
    isolation.run(subject, 'observe', () => observation.onPod(before, now));
    isolation.run(subject, 'observe', () => satisfiability.onPod(before, now));
    isolation.run(subject, 'observe', () => admission.onPod(before, now));
    timer.wake();
  }

  /** A Job, PodGroup or claim of the gang changed; `undefined`: perhaps one of any gang. */
  onSource(gang: GangKey | undefined): void {
    this.#parts.gangs.mark(gang);
    this.#parts.timer.wake();
  }

  onNodes(): void {
    this.#context.reservations.noteFreed();
    this.#parts.timer.wake();
  }

  onBudgets(): void {
    for (const { preemption } of this.#parts.gangs.values()) searchAfterBudgetChange(preemption);
    this.#parts.timer.wake();
  }

  onQueues(): void {
    this.#parts.queues.onQueues();
    this.onNodes();
  }

  /** Reads one gang without deciding anything. Reading gangs one by one in advance keeps `recover` short. */
  read(gang: GangKey): void {
    this.#parts.gangs.mark(gang);
    this.#parts.gangs.readChanged();
  }

  /**
   * Rebuilds the reservations from the annotations on the pods, then runs the first cycle. Until then no event starts
   * one. Call it once, when every watch is synced and before anything is served.
   * @param unread gangs that `read` has not read; changes since then are marked already.
   */
  recover(unread: Iterable<GangKey>): void {
    const { gangs, queues, admission, timer } = this.#parts;
    for (const gang of unread) gangs.mark(gang);
    gangs.readChanged();
    // First what bound pods use, which says whether a waiting gang may keep its slots; then with those slots.
    queues.recover([...gangs.values()]);
    adoptSlots(this.#context, gangs, queues);
    admission.recover([...gangs.values()]);
    // Only gangs that have slots are in another state now.
    for (const slot of this.#context.reservations.slots()) gangs.mark(slot.gang);
    timer.start(() => this.decide());
    this.decide();
  }

  /** Runs no more cycles: the process ends, and the next one continues from what is written in the cluster. */
  stop(): void {
    this.#parts.timer.stop();
  }
}
