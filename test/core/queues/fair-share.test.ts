import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decayUsage, dominantShare, FairTree, projectUsage, rankQueues } from '../../../src/core/queues/fair-share.ts';
import { buildQueueTree } from '../../../src/core/queues/tree.ts';
import { GPU } from '../../support/builders.ts';
import { aQueue, gpus, gpusOf, type QueueOptions, queueNamed } from '../../support/queues.ts';

const HOUR = 3_600_000;

test.each<[usage: number, held: number, hours: number, after: number]>([
  [16, 0, 1, 8],
  [16, 0, 2, 4],
  [0, 16, 1, 8],
  [8, 8, 5, 8],
  [16, 4, 1, 10],
  [16, 4, 0, 16],
  [16, 4, -1, 16],
])('usage %d with %d held is, %d half-lives later, %d', (usage, held, hours, after) => {
  expect(decayUsage(gpus(usage), gpus(held), hours * HOUR, HOUR).get(GPU)).toBeCloseTo(after, 9);
});

test('usage decays the same in one step or in many', () => {
  const amount = fc.integer({ min: 0, max: 1000 });
  fc.assert(
    fc.property(amount, amount, fc.array(fc.integer({ min: 0, max: HOUR }), { maxLength: 9 }), (usage, held, steps) => {
      const whole = steps.reduce((sum, step) => sum + step, 0);
      const inSteps = steps.reduce((now, step) => decayUsage(now, gpus(held), step, HOUR), gpus(usage));
      const atOnce = decayUsage(gpus(usage), gpus(held), whole, HOUR);
      expect(inSteps.get(GPU) ?? 0).toBeCloseTo(atOnce.get(GPU) ?? 0, 6);
    }),
  );
});

test('usage of a dimension that no queue holds any more is dropped in the end', () => {
  expect(decayUsage(gpus(1000), new Map(), 60 * HOUR, HOUR).size).toBe(0);
});

test('what is held shifts the projected usage at once', () => {
  const usage = gpus(10);
  expect(projectUsage(usage, gpus(10)).get(GPU)).toBeCloseTo(10);
  expect(projectUsage(usage, gpus(20)).get(GPU)).toBeGreaterThan(10.5);
  expect(projectUsage(usage, new Map()).get(GPU)).toBeLessThan(9.5);
});

test('the dominant share is the largest of any resource, models left to their resource', () => {
  const capacity = new Map([
    [GPU, 100],
    [`${GPU} H100`, 10],
    ['cpu', 1000],
    ['memory', 0],
  ]);
  expect(
    dominantShare(
      new Map([
        [GPU, 5],
        [`${GPU} H100`, 5],
        ['cpu', 200],
        ['memory', 7],
        ['tpu', 1],
      ]),
      capacity,
    ),
  ).toEqual({
    share: 0.2,
    dominant: 'cpu',
  });
  expect(dominantShare(new Map([['cpu', 0]]), capacity)).toEqual({ share: 0, dominant: '' });
});

function factors(queues: readonly QueueOptions[], used: Readonly<Record<string, number>>): Record<string, number> {
  const tree = buildQueueTree(queues.map(aQueue));
  const shares = rankQueues(tree, gpusOf(used), gpus(100));
  return Object.fromEntries(tree.leaves.map(({ name }) => [name, shares.get(name)!.factor]).sort());
}

test.each<[what: string, queues: readonly QueueOptions[], used: Readonly<Record<string, number>>, expected: object]>([
  [
    'who has used least is first',
    [{ name: 'a' }, { name: 'b' }],
    { a: 5, b: 9, default: 7 },
    { a: 1, b: 1 / 3, default: 2 / 3 },
  ],
  [
    'by its weight',
    [
      { name: 'a', weight: 7 },
      { name: 'b', weight: 3 },
    ],
    { a: 60, b: 30, default: 99 },
    { a: 1, b: 2 / 3, default: 1 / 3 },
  ],
  [
    'equal ones share a rank',
    [{ name: 'a' }, { name: 'b' }],
    { a: 5, b: 5, default: 7 },
    { a: 1, b: 1, default: 1 / 3 },
  ],
  [
    'all are first while nothing is used',
    [{ name: 'a' }, { name: 'o' }, { name: 'b', parent: 'o' }],
    {},
    { a: 1, b: 1, default: 1 },
  ],
  [
    'all teams of the organisation that used less come before those of the other, however much one of them used',
    [
      { name: 'o' },
      { name: 'p' },
      { name: 'a', parent: 'o' },
      { name: 'b', parent: 'o' },
      { name: 'c', parent: 'p' },
      { name: 'd', parent: 'p' },
    ],
    { a: 30, b: 0, c: 16, d: 15, default: 50 },
    { a: 4 / 5, b: 1, c: 2 / 5, d: 3 / 5, default: 1 / 5 },
  ],
  [
    'the teams of organisations that used the same are ranked together',
    [
      { name: 'o' },
      { name: 'p' },
      { name: 'a', parent: 'o' },
      { name: 'b', parent: 'o' },
      { name: 'c', parent: 'p' },
      { name: 'd', parent: 'p' },
    ],
    { a: 20, b: 10, c: 25, d: 5, default: 99 },
    { a: 3 / 5, b: 4 / 5, c: 2 / 5, d: 1, default: 1 / 5 },
  ],
  [
    'a leaf shares the rank of the first team of an organisation that used the same',
    [{ name: 'o' }, { name: 'a', parent: 'o' }, { name: 'b', parent: 'o' }],
    { a: 20, b: 10, default: 30 },
    { a: 1 / 3, b: 1, default: 1 },
  ],
])('%s', (_what, queues, used, expected) => {
  expect(factors(queues, used)).toEqual(expected);
});

test('a queue is entitled to its part of its parent’s share', () => {
  const tree = buildQueueTree([
    aQueue({ name: 'o', weight: 3 }),
    aQueue({ name: 'a', parent: 'o', weight: 7 }),
    aQueue({ name: 'b', parent: 'o', weight: 3 }),
  ]);
  const shares = rankQueues(tree, gpusOf({ a: 20, b: 4 }), gpus(100));
  expect(shares.get('o')).toMatchObject({ entitled: 0.75, share: 0.24, dominant: GPU });
  expect(shares.get('a')!.entitled).toBeCloseTo(0.525);
  expect(shares.get('a')!.share).toBeCloseTo(0.2);
  expect(shares.get('o')!.factor).toBe(Math.max(shares.get('a')!.factor, shares.get('b')!.factor));
});

test('an updated ranking equals a new one', () => {
  const tree = buildQueueTree(
    [{ name: 'o' }, { name: 'a', parent: 'o' }, { name: 'b', parent: 'o', weight: 2 }, { name: 'c' }].map(aQueue),
  );
  const leaf = fc.constantFrom('a', 'b', 'c', 'default');
  const change = fc.record({ leaf, amount: fc.integer({ min: 1, max: 4 }), isRead: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const kept = new FairTree(tree, new Map(), gpus(16));
      const sums: Record<string, number> = { a: 0, b: 0, c: 0, default: 0 };
      for (const { leaf, amount, isRead } of changes) {
        kept.add(queueNamed(tree, leaf), gpus(amount));
        sums[leaf]! += amount;
        if (isRead) kept.factorOf(queueNamed(tree, leaf));
      }
      const anew = rankQueues(tree, gpusOf(sums), gpus(16));
      for (const queue of tree.leaves) expect(kept.factorOf(queue)).toBe(anew.get(queue.name)!.factor);
    }),
  );
});
