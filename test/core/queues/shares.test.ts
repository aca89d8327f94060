/*
 * What each queue holds in the long run: counts GPUs in virtual time, without nodes. All queues always have waiting
 * gangs; if the first gang does not fit, the others wait for it.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gangKey } from '../../../src/core/podgroup/gang.ts';
import type { Amounts } from '../../../src/core/queues/amounts.ts';
import { decayUsage } from '../../../src/core/queues/fair-share.ts';
import { type PendingGang, QueueOrder } from '../../../src/core/queues/order.ts';
import { buildQueueTree, type Queue } from '../../../src/core/queues/tree.ts';
import { aQueue, aQueueOrderQuery, gpus } from '../../support/queues.ts';

/** Ticks of virtual time. */
const HALF_LIFE = 80;
const HALF_LIVES = 10;
/** Gangs that wait in each queue. */
const BACKLOG = 6;

interface Gang extends PendingGang {
  readonly size: number;
  readonly ticks: number;
}

/** A leaf with its entitlement and what it holds. */
interface Team {
  readonly queue: Queue;
  /** GPUs. */
  readonly entitled: number;
  readonly maxSize: number;
  readonly maxTicks: number;
  waiting: Gang[];
  usage: Amounts;
  held: number;
  /** Sum over the ticks of the second half. */
  heldLater: number;
}

const team = fc.record({
  weight: fc.integer({ min: 1, max: 10 }),
  maxSize: fc.integer({ min: 1, max: 8 }),
  maxTicks: fc.integer({ min: 6, max: 14 }),
});
const org = fc.record({
  weight: fc.integer({ min: 1, max: 10 }),
  teams: fc.array(team, { minLength: 1, maxLength: 3 }),
});
const world = fc.record({
  capacity: fc.integer({ min: 100, max: 800 }),
  orgs: fc.array(org, { minLength: 1, maxLength: 3 }).filter((orgs) => {
    const leaves = orgs.reduce((sum, { teams }) => sum + teams.length, 0);
    return leaves >= 2 && leaves <= 6;
  }),
  seed: fc.integer(),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

/** Numbers 1..max, the same for the same seed (Numerical Recipes' linear congruential generator). */
function drawFrom(seed: number): (max: number) => number {
  let state = seed >>> 0;
  return (max) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 1 + Math.floor((state / 2 ** 32) * max);
  };
}

function simulate({ capacity, orgs, seed }: World): readonly Team[] {
  const specs = orgs.flatMap(({ weight, teams }, o) => [
    aQueue({ name: `org${o}`, weight }),
    ...teams.map((inner, t) => aQueue({ name: `org${o}-${t}`, parent: `org${o}`, weight: inner.weight })),
  ]);
  const tree = buildQueueTree(specs);
  const ofOrgs = sumOf(orgs);
  const teams: readonly Team[] = orgs.flatMap((own, o) =>
    own.teams.map(({ weight, maxSize, maxTicks }, t) => {
      const entitled = (capacity * own.weight * weight) / (ofOrgs * sumOf(own.teams));
      return {
        queue: tree.byName.get(`org${o}-${t}`)!,
        entitled,
        // A queue entitled to less than one of its gangs holds one or none.
        maxSize: Math.max(1, Math.min(maxSize, Math.floor(entitled))),
        maxTicks,
        waiting: [],
        usage: new Map(),
        held: 0,
        heldLater: 0,
      };
    }),
  );
  fc.pre(teams.every(({ entitled }) => entitled >= 1));
  const byName = new Map(teams.map((own) => [own.queue.name, own]));
  const draw = drawFrom(seed);
  const endings: Gang[][] = [];
  let free = capacity;
  let made = 0;

  const aGang = ({ queue, maxSize, maxTicks }: Team, now: number): Gang => {
    const size = draw(maxSize);
    return {
      key: gangKey('n', String(made++)),
      queue,
      priority: 0,
      createdAt: now,
      asked: gpus(size),
      setBack: 0,
      size,
      ticks: draw(maxTicks),
    };
  };
  /** @returns whether a gang is left that might start; if not, the backlog of a queue has run out. */
  const startRound = (now: number): boolean => {
    for (const own of teams) while (own.waiting.length < BACKLOG) own.waiting.push(aGang(own, now));
    const line = new QueueOrder(
      teams.flatMap(({ waiting }) => waiting),
      aQueueOrderQuery(tree, {
        capacity: gpus(capacity),
        usage: new Map(teams.map(({ queue, usage }) => [queue.name, usage])),
        held: new Map(teams.map(({ queue, held }) => [queue.name, gpus(held)])),
        maxAgeMs: HALF_LIFE,
        now,
      }),
    );
    for (let offer = line.next(); offer && offer.gang.size <= free; offer = line.next()) {
      const gang = offer.gang;
      const own = byName.get(gang.queue.name)!;
      line.charge(gang, gang.asked);
      own.held += gang.size;
      own.waiting = own.waiting.filter((other) => other !== gang);
      free -= gang.size;
      endings[now + gang.ticks] ??= [];
      endings[now + gang.ticks]!.push(gang);
      if (own.waiting.length === 0) return true;
    }
    return false;
  };

  for (let now = 0; now < HALF_LIVES * HALF_LIFE; now++) {
    for (const { queue, size } of endings[now] ?? []) {
      byName.get(queue.name)!.held -= size;
      free += size;
    }
    while (startRound(now));
    for (const own of teams) {
      own.usage = decayUsage(own.usage, gpus(own.held), 1, HALF_LIFE);
      if (now >= (HALF_LIVES * HALF_LIFE) / 2) own.heldLater += own.held;
    }
  }
  return teams;
}

function sumOf(parts: readonly { readonly weight: number }[]): number {
  return parts.reduce((sum, { weight }) => sum + weight, 0);
}

test('under saturated load every queue holds its share within 5 % over the last half of ten half-lives', () => {
  fc.assert(
    fc.property(world, (drawn) => {
      const teams = simulate(drawn);
      const all = teams.reduce((sum, { heldLater }) => sum + heldLater, 0);
      const ticks = (HALF_LIVES * HALF_LIFE) / 2;
      // The load is saturated: no more is free than the first waiting gang lacks.
      expect(all / (drawn.capacity * ticks)).toBeGreaterThan(0.9);
      for (const { queue, entitled, heldLater } of teams) {
        const share = heldLater / all / (entitled / drawn.capacity);
        expect(Math.abs(share - 1), `${queue.name} is entitled to ${entitled} GPUs`).toBeLessThan(0.05);
      }
    }),
    { numRuns: 12 },
  );
}, 60_000);
