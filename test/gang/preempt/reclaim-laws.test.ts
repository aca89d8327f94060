/**
 * Borrowed capacity comes back within one grace period of those that hold it, and other queues keep their guarantees.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inQueue, listMembers, scheduleAll, startQueueWorld } from '../../support/queue-worlds.ts';
import { gang, SECOND, type World } from '../../support/scenario.ts';

const GRACE_SECONDS = 30;
const PER_NODE = 8;
/** Minutes. */
const ROUNDS = 30;

interface Borrower {
  readonly queue: number;
  readonly size: number;
  readonly priority: number;
  readonly startedAgo: number;
}

/** Guarantees in nodes; the cluster holds all of them. Gangs that do not fit do not run. */
const aWorld = fc.record({
  guarantees: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 2, maxLength: 4 }),
  spare: fc.nat(2),
  nested: fc.boolean(),
  borrowers: fc.array(
    fc.record({
      queue: fc.nat(3),
      size: fc.integer({ min: 1, max: 4 }),
      priority: fc.constantFrom(0, 0, 50, 100),
      startedAgo: fc.integer({ min: 1, max: 1_000 }),
    }),
    { minLength: 1, maxLength: 16 },
  ),
  owed: fc.nat(3),
  size: fc.integer({ min: 1, max: 4 }),
});

/** A gang that is created later. */
const aComer = fc.record({
  queue: fc.nat(3),
  size: fc.integer({ min: 1, max: 4 }),
  priority: fc.constantFrom(0, 0, 50, 100),
});

type Described = typeof aWorld extends fc.Arbitrary<infer T> ? T : never;

interface Scene {
  readonly world: World;
  /** The guarantee and the use of each queue, in GPUs. */
  readonly guaranteed: readonly number[];
  readonly used: readonly number[];
}

/** @returns undefined if no gang can be owed anything there. */
async function play({ guarantees, spare, nested, borrowers }: Described): Promise<Scene | undefined> {
  const nodes = guarantees.reduce((sum, count) => sum + count, spare);
  if (nodes === 0) return undefined;
  const leaves = guarantees.map((count, i) => ({
    name: `q${i}`,
    guaranteed: count * PER_NODE,
    ...(nested && i < 2 && { parent: 'org' }),
  }));
  const world = await startQueueWorld([...(nested ? [{ name: 'org' }] : []), ...leaves], { nodes });
  const used = guarantees.map(() => 0);
  let taken = 0;
  for (const [i, borrower] of borrowers.entries()) taken += run(world, i, borrower, taken, nodes, used);
  await world.settle();
  return { world, guaranteed: guarantees.map((count) => count * PER_NODE), used };
}

/** Runs on the next free nodes; returns how many it takes. */
function run(world: World, i: number, borrower: Borrower, taken: number, nodes: number, used: number[]): number {
  const { size, priority, startedAgo } = borrower;
  if (taken + size > nodes) return 0;
  const queue = borrower.queue % used.length;
  const names = Array.from({ length: size }, (_, at) => `n${taken + at}`);
  const startedAt = world.clock.now() - startedAgo * SECOND;
  world.running(`r${i}`, names, inQueue(`q${queue}`, { priority, startedAt, graceSeconds: GRACE_SECONDS }));
  used[queue]! += size * PER_NODE;
  return size;
}

const RUNS = Number(process.env.MUSTER_LAW_RUNS ?? 100);
const SEED = process.env.MUSTER_LAW_RUNS === undefined ? { seed: 20_260_101 } : {};

describe('a gang that stays within what its queue is guaranteed', () => {
  test('runs after one grace period, and no queue loses any of its guarantee except by the gang that crosses the line', async () => {
    let played = 0;
    await fc.assert(
      fc.asyncProperty(aWorld, async (described) => {
        const scene = await play(described);
        if (!scene) return;
        const { world, guaranteed, used } = scene;
        const queue = described.owed % used.length;
        const size = Math.min(described.size, Math.floor((guaranteed[queue]! - used[queue]!) / PER_NODE));
        if (size < 1) return;
        played++;
        world.create(gang('owed', size, inQueue(`q${queue}`)));
        await world.pass(SECOND);
        const evicted = new Set(world.evictions());
        await world.pass(GRACE_SECONDS * SECOND);
        world.finishTerminations();
        await scheduleAll(world);
        expect(world.stateOf('owed'), `${world.reasonOf('owed')}`).toBe('Running');
        expect(listMembers(world, 'owed').every(({ spec }) => spec.nodeName)).toBe(true);
        checkEvictions(world, described.borrowers, evicted, queue, guaranteed, used);
      }),
      { numRuns: RUNS, ...SEED },
    );
    expect(played).toBeGreaterThan(RUNS / 10);
  }, 600_000);
});

describe('gangs that are evicted and created again', () => {
  test('do not take the same capacity from each other for ever', async () => {
    await fc.assert(
      fc.asyncProperty(aWorld, fc.array(aComer, { minLength: 1, maxLength: 5 }), async (described, comers) => {
        const scene = await play(described);
        if (!scene) return;
        const { world, used } = scene;
        const gangs = new Map<string, () => void>();
        const add = (name: string, { queue, size, priority }: Omit<Borrower, 'startedAgo'>) => {
          const spec = { terminationGracePeriodSeconds: GRACE_SECONDS };
          const options = inQueue(`q${queue % used.length}`, { priority, spec });
          gangs.set(name, () => world.create(gang(name, size, { ...options, createdAt: world.clock.now() })));
        };
        for (const [i, borrower] of described.borrowers.entries()) add(`r${i}`, borrower);
        for (const [i, comer] of comers.entries()) add(`c${i}`, comer);
        const rounds: number[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          const before = world.evictions().length;
          // Like a Job: evicted members are created again.
          for (const [name, make] of gangs) if (listMembers(world, name).length === 0) make();
          await world.pass(60 * SECOND);
          world.finishTerminations();
          await scheduleAll(world);
          rounds.push(world.evictions().length - before);
        }
        expect(
          rounds.slice(ROUNDS / 2).filter((count) => count > 0),
          `evictions in each minute: ${rounds}`,
        ).toEqual([]);
      }),
      { numRuns: RUNS / 2, ...SEED },
    );
  }, 600_000);
});

/**
 * Checks that victims are whole gangs, none of the gang’s own queue, and from each other queue no more than what it
 * borrowed plus one gang.
 */
function checkEvictions(
  world: World,
  borrowers: readonly Borrower[],
  evicted: ReadonlySet<string>,
  queue: number,
  guaranteed: readonly number[],
  used: readonly number[],
): void {
  const lost = used.map(() => 0);
  const largest = used.map(() => 0);
  for (const [i, { size, queue: of }] of borrowers.entries()) {
    const gone = Array.from({ length: size }, (_, at) => `r${i}-${at}`).filter((name) => evicted.has(name));
    if (gone.length === 0) continue;
    const owner = of % used.length;
    expect(gone, `r${i} was evicted in part`).toHaveLength(size);
    expect(owner, `r${i} is of the same queue and of no lower priority`).not.toBe(queue);
    lost[owner]! += size * PER_NODE;
    largest[owner] = Math.max(largest[owner]!, size * PER_NODE);
  }
  for (const [i, sum] of lost.entries()) {
    if (sum === 0) continue;
    const left = used[i]! - sum;
    expect(left + largest[i]!, `queue q${i} is left ${left} of ${guaranteed[i]}`).toBeGreaterThan(guaranteed[i]!);
  }
  expect(world.overbooked()).toEqual([]);
}
