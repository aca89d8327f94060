/**
 * Writes what the reservations say into the cluster: nominations, gate removals, and the erasing of nominations that
 * were given up. Driven by level, not by edge: each round it looks at what is missing and starts it, so a failed write,
 * a restart or a lost event is mended by the next look.
 *
 * Order: every member of a gang exists and is nominated before the first gate is removed, so no member starts towards
 * kube-scheduler while another could still turn out to be gone.
 */
import { GANG_GATE, PLAN } from '../core/dialects/muster.ts';
import { keyOf, type PodModel } from '../core/model.ts';
import type { Clock } from './clock.ts';
import type { GangRecord } from './gang-record.ts';
import type { GangObserver } from './observer.ts';
import type { Slot } from './reservations.ts';

/** How a write ended. `gone`: the object does not exist any more, or another one has its name. */
export type WriteOutcome =
  | { readonly kind: 'ok' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'conflict'; readonly message: string }
  | { readonly kind: 'failed'; readonly status: number; readonly message: string };

/** How an eviction ended. `blocked`: a disruption budget does not allow it now; the message names the budget. */
export type EvictionOutcome = WriteOutcome | { readonly kind: 'blocked'; readonly message: string };

interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** The API server as the gang package needs it; `cluster/api.ts` implements it and bounds its concurrency. */
export interface ClusterWriter {
  nominate(pod: PodIdentity, node: string, plan: string): Promise<WriteOutcome>;
  clearNomination(pod: PodIdentity): Promise<WriteOutcome>;
  /** The record of a slot alone, without a nomination. */
  recordPlan(pod: PodIdentity, plan: string): Promise<WriteOutcome>;
  /** Sets annotations; null removes one. */
  annotate(pod: PodIdentity, annotations: Readonly<Record<string, string | null>>): Promise<WriteOutcome>;
  /** `ok`: the pod is being deleted, with its own grace period. */
  evict(pod: PodIdentity): Promise<EvictionOutcome>;
  removeGate(pod: PodIdentity, gate: string): Promise<WriteOutcome>;
  bind(pod: PodIdentity, node: string, annotations: Readonly<Record<string, string>>): Promise<WriteOutcome>;
}

/** The record of a slot as it is written on the pod. */
export function renderPlan(slot: Pick<Slot, 'plan' | 'node' | 'attempt'>): string {
  return `${slot.plan}/${slot.node}/${slot.attempt}`;
}

/** Reads a slot's record back; undefined for a pod without one, or with one that makes no sense. */
export function parsePlan(pod: PodModel): { plan: string; node: string; attempt: number } | undefined {
  const [plan, node, attempt, rest] = (pod.annotations[PLAN] ?? '').split('/');
  if (!plan || !node || !attempt || rest !== undefined || !/^\d{1,9}$/.test(attempt)) return undefined;
  return { plan, node, attempt: Number(attempt) };
}

/** A write that failed is looked at again after this; the API client has tried a few times by then. */
const RETRY_MS = 1_000;

/**
 * Nominations of one gang under way while its last members are being created. They compete with the creations that they
 * wait for: with all 64 that the API client allows, the last 47 of 1,000 pods took more than two seconds.
 */
const EARLY_WRITES = 8;

export class Nominator {
  readonly #writer: ClusterWriter;
  readonly #observer: GangObserver;
  readonly #clock: Clock;
  readonly #wake: (gang: string) => void;
  /** Pods with a write under way, by UID: writes to one pod never overtake each other. */
  readonly #busy = new Set<string>();

  /** @param wake called after each write, to look at what is missing now. */
  constructor(writer: ClusterWriter, observer: GangObserver, clock: Clock, wake: (gang: string) => void) {
    this.#writer = writer;
    this.#observer = observer;
    this.#clock = clock;
    this.#wake = wake;
  }

  /**
   * Starts every write the gang lacks.
   * @param podOf the member as the watch shows it now.
   */
  reconcile(record: GangRecord, slots: readonly Slot[], podOf: (uid: string) => PodModel | undefined): void {
    // A member that was planned again needs no erasing: its new nomination takes the old one's place.
    for (const slot of slots) record.clearing.delete(slot.pod.uid);
    for (const pod of record.clearing.values())
      this.#start('clear nomination', record.gang.key, pod, () => this.#clear(record, pod));
    for (const slot of slots) {
      if (slot.state === 'fenced' && !slot.recorded)
        this.#start('record plan', slot.gang, slot.pod, () => this.#record(slot));
    }
    const assumed = slots.filter((slot) => slot.state === 'assumed');
    const isEarly = record.early === 'under-way';
    const idle = assumed.filter(({ pod }) => !this.#busy.has(pod.uid));
    const most = isEarly ? EARLY_WRITES - (assumed.length - idle.length) : idle.length;
    for (const slot of idle.slice(0, Math.max(0, most)))
      this.#start('nominate', slot.gang, slot.pod, () => this.#nominate(slot, podOf(slot.pod.uid)));
    if (assumed.length > 0 || isEarly || slots.some(({ state }) => state === 'fenced')) return;
    for (const slot of slots) {
      const pod = podOf(slot.pod.uid);
      // One that never calls bind would start alone: it stays gated until the barrier has opened for the others.
      if (pod && !pod.template.reachesExtender && !record.opened) continue;
      if (slot.ungated || !pod?.gates.includes(GANG_GATE)) continue;
      this.#start('remove gate', slot.gang, pod, () => this.#removeGate(slot, pod));
    }
  }

  #start(what: string, gang: string, pod: PodModel, write: () => Promise<WriteOutcome>): void {
    if (this.#busy.has(pod.uid)) return;
    this.#busy.add(pod.uid);
    const done = () => {
      this.#busy.delete(pod.uid);
      this.#wake(gang);
    };
    void write().then((outcome) => {
      if (outcome.kind === 'ok') return done();
      // Gone: the watch is about to say so; looking again before it does would find the same write missing.
      if (outcome.kind !== 'gone') this.#observer.onWriteFailed(what, gang, keyOf(pod), outcome.message);
      this.#clock.after(RETRY_MS, done);
    });
  }

  async #record(slot: Slot): Promise<WriteOutcome> {
    const outcome = await this.#writer.recordPlan(slot.pod, renderPlan(slot));
    slot.recorded = outcome.kind === 'ok';
    return outcome;
  }

  async #nominate(slot: Slot, pod: PodModel | undefined): Promise<WriteOutcome> {
    // A renewal to the same node would change nothing that wakes the pod: erased first, the new one is an event.
    if (slot.renewals > 0 && pod?.nominatedNodeName === slot.node) await this.#writer.clearNomination(slot.pod);
    const outcome = await this.#writer.nominate(slot.pod, slot.node, renderPlan(slot));
    this.#observer.onNomination(outcome.kind);
    if (outcome.kind === 'ok' && slot.state === 'assumed') {
      slot.state = 'nominated';
      if (!slot.written) slot.since = this.#clock.now();
      slot.written = true;
    }
    return outcome;
  }

  async #removeGate(slot: Slot, pod: PodModel): Promise<WriteOutcome> {
    const outcome = await this.#writer.removeGate(pod, GANG_GATE);
    if (outcome.kind === 'ok') {
      slot.since = this.#clock.now();
      slot.ungated = true;
    }
    return outcome;
  }

  async #clear(record: GangRecord, pod: PodModel): Promise<WriteOutcome> {
    const outcome = await this.#writer.clearNomination(pod);
    if (outcome.kind === 'ok' || outcome.kind === 'gone') record.clearing.delete(pod.uid);
    return outcome;
  }
}
