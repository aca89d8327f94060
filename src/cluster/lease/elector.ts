/**
 * Runs the machine of `election.ts`: watches the Lease, sends one request at a time, and lets writes pass only while the
 * Lease is confirmed.
 *
 * A write begins only if the API server has accepted a renewal that was sent a moment ago (two periods, 4 s): in ordinary
 * operation renewals come more often than that, and no write waits or costs anything. A process that was stopped, or whose
 * clock was set, must first have a renewal accepted, which names the version of the Lease: if another process has led
 * meanwhile the API server refuses it, and nothing is written. A write that has begun ends before anybody else may lead.
 */
import type { Clock } from '../../core/objects/clock.ts';
import { cutTo } from '../../core/objects/text-values.ts';
import type { ApiClient, WriteFence, WritePermit } from '../../kube/client.ts';
import { Watcher, type WatchObserver } from '../../kube/watcher.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import {
  campaign,
  doubt,
  type Election,
  isConfirmed,
  type LeaseRecord,
  type LeaseTiming,
  leads,
  type Moment,
  nextStep,
  openElection,
  resign,
  securedForMs,
  see,
  settle,
} from './election.ts';
import type { Elected, Leadership } from './leadership.ts';
import { LeaseClient, type LeaseName, type LeaseRequest } from './lease-client.ts';

export interface ElectorParts {
  /** A client of its own: renewals must not wait behind other requests. */
  readonly api: Pick<ApiClient, 'request' | 'open' | 'close'>;
  readonly lease: LeaseName;
  /** No other process has it, nor has had it. */
  readonly identity: string;
  readonly timing: LeaseTiming;
  readonly watchIdleMs: number;
  readonly clock: Clock;
  /** The clock on the wall, milliseconds since the epoch; it may be set. */
  readonly wall: () => number;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The clock on the wall and the one that is never set go apart by less, unless the machine stood still or was set. */
const MAX_CLOCK_STEP_MS = 1_000;
/** What is repeated of the API server's answer, characters. */
const MAX_PROBLEM = 300;

export class Elector implements Leadership, WriteFence {
  readonly #parts: ElectorParts;
  readonly #client: LeaseClient;
  readonly #watcher: Watcher<LeaseRecord>;
  readonly #elected = Promise.withResolvers<Elected>();
  readonly #lost = Promise.withResolvers<string>();
  /** Writes that wait for a renewal. */
  #waiting: ((permit: WritePermit) => void)[] = [];
  #onLapse: () => void = () => {};
  #onIdle: () => void = () => {};
  #election: Election;
  #isAsking = false;
  #isStopped = false;
  /** Whether it led when that was last looked at. */
  #led = false;
  /** Why the last request failed; ''. */
  #problem = '';
  /** The clock on the wall, less the other one, at the last renewal. */
  #clockOffset = 0;
  #cancelStep: () => void = () => {};
  #cancelLapse: () => void = () => {};

  constructor(parts: ElectorParts) {
    this.#parts = parts;
    this.#election = openElection(parts.identity, parts.timing);
    this.#client = new LeaseClient(parts.api, parts.lease, parts.timing);
    const seen = (record: LeaseRecord | undefined) => this.#see(record);
    const handler = { applied: (record: LeaseRecord) => seen(record), deleted: () => seen(undefined) };
    this.#watcher = new Watcher(parts.api, this.#client.kind, handler, this.#observe(), {
      clock: parts.clock,
      random: parts.random,
      timing: { idleMs: parts.watchIdleMs },
    });
  }

  get elected(): Promise<Elected> {
    return this.#elected.promise;
  }

  get lost(): Promise<string> {
    return this.#lost.promise;
  }

  /** Called when this process does not lead any more, for now or for ever. */
  onLapse(callback: () => void): void {
    this.#onLapse = callback;
  }

  start(): void {
    this.#watcher.start();
  }

  campaign(): void {
    this.#change(campaign(this.#election));
  }

  findObstacle(): string | undefined {
    const { clock, lease, timing } = this.#parts;
    const { isOver, isResigning, term, sighting, isCandidate } = this.#election;
    if (leads(this.#election, clock.now())) return undefined;
    const name = `the Lease ${lease.namespace}/${lease.name}`;
    if (isResigning) return `this Muster is shutting down and has given ${name} back`;
    const holder = sighting?.record?.holder;
    const problem = this.#problem && `; the last request for it failed: ${cutTo(this.#problem, MAX_PROBLEM)}`;
    if (term) return `this Muster could not renew ${name} for ${timing.renewDeadlineMs / 1000} s${problem}`;
    if (holder && holder !== this.#election.identity) return `${holder} leads, by ${name}${problem}`;
    if (isOver) return `this Muster has lost ${name}`;
    return `nobody leads yet, by ${name}${isCandidate ? problem : ''}`;
  }

  /** Whether a write may begin, for `ApiClient`. */
  ask(): WritePermit | Promise<WritePermit> {
    const now = this.#parts.clock.now();
    this.#compareClocks(now);
    if (isConfirmed(this.#election, now)) return this.#permit(now);
    if (!this.#mayStillLead()) return this.#refuse(true);
    const { promise, resolve } = Promise.withResolvers<WritePermit>();
    this.#waiting.push(resolve);
    // A renewal is due, and is sent at once unless one has just failed.
    this.#advance();
    if (!this.#isAsking) this.#answerWaiting('refuse');
    return promise;
  }

  async resign(written: Promise<void>): Promise<void> {
    const { clock, timing } = this.#parts;
    const { promise: idle, resolve } = Promise.withResolvers<void>();
    // Nothing new is written from now on. The Lease is kept until what was being written has ended.
    const held = this.#election;
    this.#election = { ...resign(held), isCandidate: false };
    this.#noteLeading();
    this.#answerWaiting('refuse');
    await written;
    this.#onIdle = resolve;
    const cancel = clock.after(timing.renewDeadlineMs / 2, resolve);
    this.#change({ ...this.#election, isCandidate: held.isCandidate });
    await idle;
    cancel();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelStep();
    this.#cancelLapse();
    await this.#watcher.stop();
    await this.#parts.api.close();
  }

  #see(record: LeaseRecord | undefined): void {
    this.#change(see(this.#election, record, this.#moment()));
  }

  #change(election: Election): void {
    this.#election = election;
    this.#noteLeading();
    this.#advance();
  }

  /** Starts the request that is due, or comes back when one is. */
  #advance(): void {
    if (this.#isAsking || this.#isStopped) return;
    this.#cancelStep();
    const { clock } = this.#parts;
    const now = clock.now();
    const step = nextStep(this.#election, now);
    if (step.kind !== 'wait') {
      this.#isAsking = true;
      void this.#request(step);
      return;
    }
    const isOwing = this.#election.isResigning && this.#election.isCandidate && !this.#election.isOver;
    if (!isOwing || !this.#election.term) this.#onIdle();
    if (step.until !== Number.POSITIVE_INFINITY) {
      this.#cancelStep = clock.after(Math.max(1, step.until - now), () => this.#advance());
    }
  }

  async #request(step: LeaseRequest): Promise<void> {
    const { clock, wall, metrics } = this.#parts;
    const sentAt = clock.now();
    const clockOffset = wall() - sentAt;
    const { answer, problem } = await this.#client.ask(step, wall());
    this.#isAsking = false;
    if (this.#isStopped) return;
    metrics.leaseRequests.inc({ request: nameRequest(step), result: answer.kind === 'gone' ? 'refused' : answer.kind });
    const before = this.#election;
    this.#election = settle(before, step, answer, { ...this.#moment(), sentAt });
    if (answer.kind === 'written') this.#clockOffset = clockOffset;
    this.#tell(step, before, problem);
    this.#noteLeading();
    this.#advance();
    this.#answerWaiting(answer.kind === 'failed' ? 'refuse' : 'keep');
  }

  /** Writes what came of a request to the log, and resolves the promises. */
  #tell(step: LeaseRequest, before: Election, problem: string): void {
    const { log, identity, lease } = this.#parts;
    const { term, isOver, sighting } = this.#election;
    const name = `${lease.namespace}/${lease.name}`;
    if (problem !== '' && problem !== this.#problem) {
      log.warn(`Lease not ${step.kind === 'read' ? 'read' : 'written'}; it is tried again`, {
        lease: name,
        found: problem,
      });
    }
    this.#problem = problem;
    if (term && !before.term) {
      log.info(0, 'leads', { lease: name, identity, transitions: term.transitions });
      this.#elected.resolve({ isSuccession: term.transitions > 0 });
    }
    if (!isOver || before.isOver) return;
    if (before.isResigning) log.info(0, 'Lease given back', { lease: name });
    else {
      const holder = sighting?.record?.holder;
      this.#lost.resolve(holder ? `that ${holder} holds it` : 'that it was deleted or given back by others');
    }
  }

  /** Notices when this process begins to lead and when it stops, also by time alone. */
  #noteLeading(): void {
    const { clock, metrics, timing, log } = this.#parts;
    const now = clock.now();
    const isLeading = leads(this.#election, now);
    this.#cancelLapse();
    if (isLeading) {
      const left = this.#election.term!.confirmedAt + timing.renewDeadlineMs - now;
      this.#cancelLapse = clock.after(Math.max(1, left), () => this.#noteLeading());
    }
    if (isLeading === this.#led) return;
    this.#led = isLeading;
    metrics.leader.set(isLeading ? 1 : 0);
    if (isLeading) return;
    if (!this.#election.isResigning) log.warn('leads no more', { found: this.findObstacle() });
    this.#onLapse();
  }

  #mayStillLead(): boolean {
    const { term, isOver, isResigning } = this.#election;
    return term !== undefined && !isOver && !isResigning;
  }

  /** If one clock shows a time since the last renewal that the other one does not, nothing is sure any more. */
  #compareClocks(now: number): void {
    const offset = this.#parts.wall() - now;
    if (Math.abs(offset - this.#clockOffset) <= MAX_CLOCK_STEP_MS) return;
    this.#clockOffset = offset;
    this.#election = doubt(this.#election);
  }

  #answerWaiting(otherwise: 'refuse' | 'keep'): void {
    if (this.#waiting.length === 0) return;
    const now = this.#parts.clock.now();
    const canLead = this.#mayStillLead();
    const isPermitted = isConfirmed(this.#election, now);
    if (!isPermitted && canLead && otherwise === 'keep') return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const answer of waiting) {
      if (isPermitted) this.#parts.metrics.fencedWrites.inc({ result: 'confirmed' });
      answer(isPermitted ? this.#permit(now) : this.#refuse(!canLead));
    }
  }

  #permit(now: number): WritePermit {
    return { kind: 'granted', withinMs: securedForMs(this.#election, now) };
  }

  #refuse(isFinal: boolean): WritePermit {
    this.#parts.metrics.fencedWrites.inc({ result: 'refused' });
    return { kind: 'refused', message: `not written: ${this.findObstacle() ?? 'the Lease is not confirmed'}`, isFinal };
  }

  #moment(): Moment {
    return { now: this.#parts.clock.now(), random: this.#parts.random() };
  }

  #observe(): WatchObserver {
    const { log, metrics } = this.#parts;
    return {
      onSynced: () => {
        // Nothing was applied: there is none.
        if (this.#election.sighting === undefined) this.#see(undefined);
      },
      onRestart: (reason) => metrics.watchRestarts.inc({ kind: 'Lease', reason }),
      onEvent: (type) => metrics.watchEvents.inc({ kind: 'Lease', type }),
      onError: (error) => log.info(2, 'watch error, it goes on', { kind: 'Lease', found: error.message }),
    };
  }
}

/** What the metric calls it. An update renews the Lease, or takes it over. */
function nameRequest(step: LeaseRequest): 'read' | 'create' | 'update' | 'release' {
  return step.kind === 'update' && step.claim.holder === '' ? 'release' : step.kind;
}
