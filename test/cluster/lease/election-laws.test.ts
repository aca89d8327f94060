/**
 * Laws of leader election, on random histories: candidates whose clocks start anywhere and run at different speeds, which
 * are stopped and go on, and whose requests take any time, get lost before or after they took effect, or show late what the
 * watch saw. One Lease is kept by a server that takes a write only by its version.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  campaign,
  type Election,
  isConfirmed,
  type LeaseAnswer,
  type LeaseRecord,
  type LeaseStep,
  leads,
  nextStep,
  openElection,
  resign,
  see,
  settle,
} from '../../../src/cluster/lease/election.ts';

/** As shipped, divided by a hundred. */
const timing = { leaseMs: 150, renewDeadlineMs: 100, retryMs: 20 };
/** The duration is longer than the deadline by more than clocks of these speeds can differ. */
const MAX_DRIFT = 0.15;

/** Strong consistency: a write counts in the instant in which it is applied. */
class LeaseServer {
  record: LeaseRecord | undefined;
  /** Each holder of each term, in order; '' is left out. */
  readonly holders: string[] = [];
  #version = 0;

  apply(step: LeaseStep, leaseMs: number): LeaseAnswer {
    if (step.kind === 'wait') throw new Error('expected a request');
    if (step.kind === 'read') return { kind: 'read', record: this.record };
    if (step.kind === 'create' && this.record) return { kind: 'refused' };
    if (step.kind === 'update' && !this.record) return { kind: 'gone' };
    if (step.kind === 'update' && this.record?.version !== step.version) return { kind: 'refused' };
    const { holder, transitions, acquireTime = 'now' } = step.claim;
    this.record = { holder, transitions, acquireTime, leaseMs, version: `v${++this.#version}` };
    const term = `${transitions} ${holder}`;
    if (holder !== '' && this.holders.at(-1) !== term) this.holders.push(term);
    return { kind: 'written', record: this.record };
  }
}

/** A request on its way, in true time: it reaches the server, then its answer comes, unless either is lost. */
interface Flight {
  readonly step: LeaseStep;
  readonly sentAt: number;
  readonly arrivesAt: number;
  readonly answersAt: number;
  readonly fate: 'done' | 'lost-before' | 'lost-after';
  answer: LeaseAnswer | undefined;
}

interface Candidate {
  election: Election;
  readonly offset: number;
  readonly speed: number;
  flight: Flight | undefined;
  pausedUntil: number;
  /** What the watch shows, late. */
  readonly news: { readonly at: number; readonly record: LeaseRecord | undefined }[];
  isDead: boolean;
}

interface Act {
  readonly who: number;
  readonly what: 'pause' | 'late' | 'lost-before' | 'lost-after' | 'resign' | 'kill' | 'none';
  /** True time until the next act. */
  readonly ms: number;
  readonly more: number;
}

const acts = fc.array(
  fc.record<Act>({
    who: fc.nat(2),
    what: fc.constantFrom('pause', 'late', 'lost-before', 'lost-after', 'resign', 'kill', 'none', 'none', 'none'),
    ms: fc.integer({ min: 1, max: 120 }),
    more: fc.integer({ min: 1, max: 400 }),
  }),
  { maxLength: 40 },
);
const clocks = fc.array(
  fc.record({
    offset: fc.integer({ min: 0, max: 1_000_000 }),
    speed: fc.double({ min: 1 - MAX_DRIFT, max: 1 + MAX_DRIFT, noNaN: true }),
  }),
  { minLength: 3, maxLength: 3 },
);

class World {
  readonly server = new LeaseServer();
  readonly candidates: Candidate[];
  time = 0;
  /** What happens to the next request of a candidate. */
  readonly #fates = new Map<number, { fate: Flight['fate']; delay: number }>();

  constructor(given: readonly { readonly offset: number; readonly speed: number }[]) {
    this.candidates = given.map(({ offset, speed }, i) => ({
      election: campaign(openElection(`c${i}`, timing)),
      offset,
      speed,
      flight: undefined,
      pausedUntil: 0,
      news: [],
      isDead: false,
    }));
  }

  act({ who, what, more }: Act): void {
    const candidate = this.candidates[who]!;
    if (what === 'pause') candidate.pausedUntil = this.time + more;
    if (what === 'kill') candidate.isDead = true;
    if (what === 'resign') candidate.election = resign(candidate.election);
    if (what === 'late') this.#fates.set(who, { fate: 'done', delay: more });
    if (what === 'lost-before' || what === 'lost-after') this.#fates.set(who, { fate: what, delay: more / 10 });
  }

  /** From now on nothing happens to requests and to this candidate; the others are gone. */
  leaveAlone(last: Candidate): void {
    this.#fates.clear();
    for (const candidate of this.candidates) candidate.isDead = candidate !== last;
    last.pausedUntil = 0;
  }

  /** Lets a millisecond of true time pass. */
  tick(): void {
    this.time++;
    // The network and the server go on while a process is stopped.
    for (const { flight } of this.candidates) {
      if (!flight || flight.answer || this.time < flight.arrivesAt || flight.fate === 'lost-before') continue;
      const before = this.server.record;
      flight.answer = this.server.apply(flight.step, timing.leaseMs);
      if (this.server.record !== before) this.#publish();
    }
    for (const [i, candidate] of this.candidates.entries()) {
      if (candidate.isDead || this.time < candidate.pausedUntil) continue;
      this.#run(i, candidate);
    }
  }

  #publish(): void {
    const { record } = this.server;
    for (const [i, { news }] of this.candidates.entries()) news.push({ at: this.time + 1 + i * 3, record });
  }

  #run(index: number, candidate: Candidate): void {
    const now = this.clockOf(candidate);
    const random = (this.time % 10) / 10;
    while (candidate.news[0] && candidate.news[0].at <= this.time) {
      candidate.election = see(candidate.election, candidate.news.shift()!.record, { now, random });
    }
    const { flight } = candidate;
    if (flight && this.time >= flight.answersAt) {
      const answer = flight.fate === 'done' && flight.answer ? flight.answer : ({ kind: 'failed' } as const);
      candidate.flight = undefined;
      candidate.election = settle(candidate.election, flight.step, answer, { now, random, sentAt: flight.sentAt });
    }
    if (candidate.flight) return;
    const step = nextStep(candidate.election, now);
    if (step.kind === 'wait') return;
    const { fate = 'done', delay = 1 } = this.#fates.get(index) ?? {};
    this.#fates.delete(index);
    const arrivesAt = this.time + delay;
    candidate.flight = { step, sentAt: now, arrivesAt, answersAt: arrivesAt + 1, fate, answer: undefined };
  }

  clockOf({ offset, speed }: Candidate): number {
    return offset + this.time * speed;
  }

  /** A process that is stopped does nothing, so it leads only when it goes on. */
  leaders(): readonly Candidate[] {
    return this.candidates.filter((each) => this.#isAwake(each) && leads(each.election, this.clockOf(each)));
  }

  writers(): readonly Candidate[] {
    return this.candidates.filter((each) => this.#isAwake(each) && isConfirmed(each.election, this.clockOf(each)));
  }

  #isAwake({ isDead, pausedUntil }: Candidate): boolean {
    return !isDead && this.time >= pausedUntil;
  }
}

test('never do two lead at the same time, whatever is stopped, late or lost', () => {
  fc.assert(
    fc.property(clocks, acts, (given, plan) => {
      const world = new World(given);
      for (const act of plan) {
        world.act(act);
        for (let i = 0; i < act.ms; i++) {
          world.tick();
          const leaders = world.leaders();
          // `expect` at each of some hundred thousand ticks would take most of the time.
          if (leaders.length > 1) expect.fail(`${leaders.length} lead at ${world.time}`);
          if (world.writers().some((writer) => !leaders.includes(writer))) expect.fail('one writes that does not lead');
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('each term has a number of its own, whatever the clocks do', () => {
  const wild = fc.array(fc.record({ offset: fc.nat(1_000), speed: fc.double({ min: 0.1, max: 20, noNaN: true }) }), {
    minLength: 3,
    maxLength: 3,
  });
  fc.assert(
    fc.property(wild, acts, (given, plan) => {
      const world = new World(given);
      for (const act of plan) {
        world.act(act);
        for (let i = 0; i < act.ms; i++) world.tick();
      }
      const terms = world.server.holders.map((each) => Number(each.split(' ')[0]));
      expect(terms, 'they only grow, and none has two holders').toEqual([...new Set(terms)].toSorted((a, b) => a - b));
    }),
    { numRuns: 100 },
  );
});

test('somebody leads within the duration and two periods, once one candidate is left undisturbed', () => {
  fc.assert(
    fc.property(clocks, acts, (given, plan) => {
      const world = new World(given);
      for (const act of plan) {
        if (act.who === 0 && (act.what === 'resign' || act.what === 'kill')) continue;
        world.act(act);
        for (let i = 0; i < act.ms; i++) world.tick();
      }
      const last = world.candidates[0]!;
      world.leaveAlone(last);
      if (last.election.isOver) return;
      // What others have sent may still renew the Lease.
      const answered = Math.max(0, ...world.candidates.map(({ flight }) => (flight?.answersAt ?? 0) - world.time));
      const within = answered + (timing.leaseMs + 4 * timing.retryMs) / (1 - MAX_DRIFT) + 20;
      for (let i = 0; i < within && world.leaders().length === 0; i++) world.tick();
      expect(world.leaders().length + (last.election.isOver ? 1 : 0)).toBe(1);
    }),
    { numRuns: 100 },
  );
});
