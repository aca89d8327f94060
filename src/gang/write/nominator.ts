/**
 * Writes the reservations into the cluster: nominations, gate removals, and the erasure of nominations that were given
 * up. Level-driven: each cycle it looks at what is missing and starts it, so a failed write, a restart or a lost event
 * is repaired in the next cycle.
 *
 * Order: every member of a gang exists and is nominated before the first gate is removed, so no member goes to
 * kube-scheduler while another one could still be missing. Nothing more is written for slots whose members have got
 * other ranks, until they are checked.
 */
import { GANG_GATE } from '../../core/objects/keys.ts';
import { keyOf, type PodModel } from '../../core/objects/model.ts';
import type { WriteOutcome } from '../../core/objects/write-outcome.ts';
import { type GangKey, gangKeyOf } from '../../core/podgroup/gang.ts';
import { renderPlan } from '../../core/podgroup/plan-record.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Waker } from '../framework/ports.ts';
import { noteErased } from '../state/attempt.ts';
import type { GangRecord } from '../state/records.ts';
import { noteNominated, noteRecorded, noteUngated, noteWriting, type Slot } from '../state/slot.ts';
import { WriteWindow } from './write-window.ts';

/** A failed write is repeated after this, milliseconds; by then the API client has tried it a few times. */
const RETRY_MS = 1_000;

/**
 * Nominations of one gang under way at once while its last members are being created. They compete with those
 * creations: with all 64 that the API client allows, the last 47 of 1,000 pods took more than two seconds.
 */
const EARLY_WRITES = 8;

/** One write to a pod. */
interface Write {
  /** For messages. */
  readonly what: string;
  readonly gang: GangKey;
  readonly pod: PodModel;
  /** Asked right before it is sent. */
  readonly isWanted: () => boolean;
  readonly write: () => Promise<WriteOutcome>;
}

type Context = Pick<LoopContext, 'view' | 'reservations' | 'passage' | 'writer' | 'observer' | 'clock' | 'isolation'>;

export class Nominator {
  readonly #context: Context;
  readonly #waker: Waker;
  /** Pods with a write under way, by UID: writes to one pod never overtake each other. */
  readonly #busy = new Set<string>();
  readonly #window = new WriteWindow();

  /** @param waker woken after each write, to start what is missing then. */
  constructor(context: Context, waker: Waker) {
    this.#context = context;
    this.#waker = waker;
  }

  /** Starts every write that the gang lacks. */
  reconcile(record: GangRecord): void {
    const { view, reservations } = this.#context;
    const { gang, attempt } = record;
    const slots = reservations.slotsOf(gang.key);
    // A member that was planned again needs no erasure: its new nomination replaces the old one.
    if (attempt.clearing.size > 0) for (const slot of slots) noteErased(attempt, slot.pod.uid);
    for (const pod of attempt.clearing.values()) {
      // Another gang may have nominated it since it left; a pod in no gang is a stray.
      const now = view.pod(pod.uid);
      if (now && gangKeyOf(now) !== gang.key) noteErased(attempt, pod.uid);
      else {
        const isWanted = () => attempt.clearing.has(pod.uid);
        this.#start({ what: 'clear nomination', gang: gang.key, pod, isWanted, write: () => this.#clear(record, pod) });
      }
    }
    for (const slot of slots) {
      if (slot.state === 'fenced' && !slot.isRecorded)
        this.#startFor(
          slot,
          'record plan',
          ({ state }) => state === 'fenced',
          () => this.#record(slot),
        );
    }
    if (attempt.isUnchecked) return;
    const assumed = slots.filter((slot) => slot.state === 'assumed');
    const isEarly = attempt.early === 'under-way';
    const idle = assumed.filter(({ pod }) => !this.#busy.has(pod.uid));
    const most = isEarly ? EARLY_WRITES - (assumed.length - idle.length) : idle.length;
    for (const slot of idle.slice(0, Math.max(0, most)))
      this.#startFor(
        slot,
        'nominate',
        ({ state }) => state === 'assumed' && !attempt.isUnchecked,
        () => this.#nominate(slot),
      );
    if (assumed.length > 0 || isEarly || slots.some(({ state }) => state === 'fenced')) return;
    for (const slot of slots) {
      if (slot.isUngated) continue;
      const pod = view.pod(slot.pod.uid);
      // A member that bypasses the extender would start alone: it stays gated until the barrier has opened for the
      // others.
      if (pod && !pod.template.reachesExtender && !attempt.isOpen) continue;
      if (!pod?.gates.includes(GANG_GATE)) continue;
      this.#startFor(
        slot,
        'remove gate',
        () => !attempt.isUnchecked,
        () => this.#removeGate(slot, pod),
      );
    }
  }

  /** Starts a write for a slot, unless the slot is given up or moved on before it is sent. */
  #startFor(slot: Slot, what: string, isWanted: (slot: Slot) => boolean, write: () => Promise<WriteOutcome>): void {
    const { gang, pod } = slot;
    this.#start({
      what,
      gang,
      pod,
      isWanted: () => this.#context.reservations.slot(pod.uid) === slot && isWanted(slot),
      write: async () => {
        const outcome = await write();
        noteWriting(slot, outcome.kind !== 'ok');
        if (outcome.kind === 'ok') this.#context.passage.noteWritten(this.#context.clock.now());
        return outcome;
      },
    });
  }

  #start({ what, gang, pod, isWanted, write }: Write): void {
    if (this.#busy.has(pod.uid)) return;
    this.#busy.add(pod.uid);
    const done = () => {
      this.#busy.delete(pod.uid);
      this.#waker.wake(gang);
    };
    this.#window.add({ isWanted, drop: done, send: () => this.#send({ what, gang, pod, isWanted, write }, done) });
  }

  #send({ what, gang, pod, write }: Write, done: () => void): Promise<void> {
    const later = () => void this.#context.clock.after(RETRY_MS, done);
    return write()
      .then((outcome) => {
        if (outcome.kind === 'ok') return done();
        // Gone: the watch will show it soon; looking again earlier would only find the same write missing.
        if (outcome.kind !== 'gone') this.#context.observer.onWriteFailed(what, gang, keyOf(pod), outcome.message);
        later();
      })
      .catch((error: unknown) => {
        this.#context.isolation.fail(gang, 'write', error);
        later();
      });
  }

  async #record(slot: Slot): Promise<WriteOutcome> {
    const outcome = await this.#context.writer.recordPlan(slot.pod, renderPlan(slot));
    noteRecorded(slot, outcome.kind === 'ok');
    return outcome;
  }

  async #nominate(slot: Slot): Promise<WriteOutcome> {
    const pod = this.#context.view.pod(slot.pod.uid);
    // Writing the same node again would not wake the pod: erased first, the new nomination is an event.
    if (slot.renewals > 0 && pod?.nominatedNodeName === slot.node) await this.#context.writer.clearNomination(slot.pod);
    const outcome = await this.#context.writer.nominate(slot.pod, slot.node, renderPlan(slot));
    this.#context.observer.onNomination(outcome.kind);
    if (outcome.kind === 'ok') noteNominated(slot, this.#context.clock.now());
    return outcome;
  }

  async #removeGate(slot: Slot, pod: PodModel): Promise<WriteOutcome> {
    const outcome = await this.#context.writer.removeGate(pod, GANG_GATE);
    if (outcome.kind === 'ok') noteUngated(slot, this.#context.clock.now());
    return outcome;
  }

  async #clear(record: GangRecord, pod: PodModel): Promise<WriteOutcome> {
    const outcome = await this.#context.writer.clearNomination(pod);
    if (outcome.kind === 'ok' || outcome.kind === 'gone') noteErased(record.attempt, pod.uid);
    return outcome;
  }
}
