import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sumAmounts } from '../../../src/core/queues/amounts.ts';
import { borrowed, judgeQuota, listRefusals, type QuotaVerdict, rollUp } from '../../../src/core/queues/quota.ts';
import { buildQueueTree } from '../../../src/core/queues/tree.ts';
import { explainQuota } from '../../../src/core/reasons/explain-queue.ts';
import { GPU } from '../../support/builders.ts';
import { aQueue, gpus, gpusOf, type QueueOptions, queueNamed } from '../../support/queues.ts';

type Counts = Readonly<Record<string, number>>;

function judge(queues: readonly QueueOptions[], use: Counts, queue: string, asked: number): QuotaVerdict {
  const tree = buildQueueTree(queues.map(aQueue));
  return judgeQuota(queueNamed(tree, queue), gpus(asked), rollUp(tree, gpusOf(use)));
}

/** An organisation with two teams that have guarantees and one that has none; and a queue beside it. */
const ORG: readonly QueueOptions[] = [
  { name: 'org', guaranteed: 40 },
  { name: 'a', parent: 'org', guaranteed: 10 },
  { name: 'b', parent: 'org', guaranteed: 20 },
  { name: 'c', parent: 'org' },
  { name: 'other', guaranteed: 30 },
  { name: 'poor' },
];
/** Only the outermost queue has a guarantee. */
const DEEP: readonly QueueOptions[] = [
  { name: 'top', guaranteed: 30 },
  { name: 'middle', parent: 'top' },
  { name: 'a', parent: 'middle' },
  { name: 'b', parent: 'top' },
];
const SUM = ORG.map((queue) => (queue.name === 'org' ? { name: 'org' } : queue));

test.each<[what: string, queues: readonly QueueOptions[], use: Counts, queue: string, asked: number, kind: string]>([
  ['a leaf up to its guarantee', ORG, { a: 2 }, 'a', 8, 'within'],
  ['a leaf up to its guarantee, whatever its sibling borrowed', ORG, { b: 60 }, 'a', 10, 'within'],
  ['what the organisation is guaranteed and none of its teams', ORG, {}, 'a', 20, 'within'],
  ['more than that, although the sibling leaves it idle', ORG, {}, 'a', 21, 'borrows'],
  ['more than that, since another team has it', ORG, { c: 5 }, 'a', 16, 'borrows'],
  ['a leaf without a guarantee, on its organisation', ORG, {}, 'c', 10, 'within'],
  ['a leaf without a guarantee, beyond that', ORG, {}, 'c', 11, 'borrows'],
  ['nothing for the third team where the guarantee is the sum of the others', SUM, {}, 'c', 1, 'borrows'],
  ['a leaf up to its guarantee where the organisation has the sum', SUM, { c: 30 }, 'a', 10, 'within'],
  ['what only the outermost queue is guaranteed', DEEP, { b: 20 }, 'a', 10, 'within'],
  ['more than what it is guaranteed', DEEP, { b: 20 }, 'a', 11, 'borrows'],
  ['a queue that nobody promised anything', ORG, {}, 'poor', 1, 'borrows'],
  [
    'anything where nobody is promised anything',
    [{ name: 'a' }, { name: 'b', limit: 5 }],
    { a: 90 },
    'a',
    90,
    'within',
  ],
  ['nothing asked for', ORG, { a: 90 }, 'a', 0, 'within'],
])('%s', (_what, queues, use, queue, asked, kind) => {
  expect(judge(queues, use, queue, asked).kind).toBe(kind);
});

test('borrowed amounts are given by dimension', () => {
  expect(judge(ORG, {}, 'poor', 1)).toEqual({ kind: 'borrows', dimensions: [GPU] });
});

test.each<[queues: readonly QueueOptions[], use: Counts, queue: string, asked: number, text: string]>([
  [
    [{ name: 'a', limit: 10 }],
    { a: 4 },
    'a',
    7,
    'queue a: expected at most 10 nvidia.com/gpu (its limit), found 4 used and 7 asked for; wait until less is used, or raise the limit',
  ],
  [
    [{ name: 'a', limit: 10 }],
    {},
    'a',
    11,
    'queue a: expected at most 10 nvidia.com/gpu (its limit), found 0 used and 11 asked for; ask for less or raise the limit',
  ],
  [
    [
      { name: 'org', limit: 10 },
      { name: 'a', parent: 'org', limit: 50 },
      { name: 'b', parent: 'org' },
    ],
    { b: 8 },
    'a',
    3,
    'queue org: expected at most 10 nvidia.com/gpu (its limit), found 8 used and 3 asked for; wait until less is used, or raise the limit',
  ],
  [
    [{ name: 'a', guaranteed: 10, allowBorrowing: false }],
    { a: 4 },
    'a',
    7,
    'queue a: expected at most 10 nvidia.com/gpu (its guarantee; it may not borrow), found 4 used and 7 asked for; wait until less is used, raise the guarantee or allow borrowing',
  ],
  [
    [
      { name: 'org', guaranteed: 20, allowBorrowing: false },
      { name: 'a', parent: 'org', guaranteed: 10 },
    ],
    {},
    'a',
    21,
    'queue org: expected at most 20 nvidia.com/gpu (its guarantee; it may not borrow), found 0 used and 21 asked for; ask for less, raise the guarantee or allow borrowing',
  ],
])('refused: %j uses %j, %s asks for %d', (queues, use, queue, asked, text) => {
  const verdict = judge(queues, use, queue, asked);
  expect(verdict.kind === 'refused' && explainQuota(verdict.refusal)).toBe(text);
});

test('a queue that may not borrow has its guarantee; without one, that of its organisation', () => {
  const queues: readonly QueueOptions[] = [
    { name: 'org', guaranteed: 30 },
    { name: 'a', parent: 'org', guaranteed: 10, allowBorrowing: false },
    { name: 'c', parent: 'org', allowBorrowing: false },
  ];
  expect(judge(queues, {}, 'a', 10).kind).toBe('within');
  expect(judge(queues, {}, 'a', 11).kind).toBe('refused');
  expect(judge(queues, {}, 'c', 20).kind).toBe('within');
  expect(judge(queues, {}, 'c', 21).kind).toBe('refused');
});

test('a queue with a guarantee of one model borrows when it takes another model that is guaranteed to others', () => {
  const quota = (model: string | undefined, guaranteed: number) => [
    { resource: GPU, model, guaranteed, limit: undefined },
  ];
  const tree = buildQueueTree([
    aQueue({ name: 'a', quotas: quota('H100', 16) }),
    aQueue({ name: 'b', quotas: quota('A100', 16) }),
    aQueue({ name: 'c', quotas: quota(undefined, 8) }),
  ]);
  const ask = (queue: string, model: string, count: number) => {
    const asked = new Map([
      [GPU, count],
      [`${GPU} ${model}`, count],
    ]);
    return judgeQuota(queueNamed(tree, queue), asked, new Map());
  };
  expect(ask('a', 'H100', 16)).toEqual({ kind: 'within' });
  expect(ask('a', 'A100', 16)).toEqual({ kind: 'borrows', dimensions: [`${GPU} A100`] });
  expect(ask('a', 'L40', 16)).toEqual({ kind: 'within' });
  expect(ask('a', 'L40', 17)).toEqual({ kind: 'borrows', dimensions: [GPU] });
  expect(ask('c', 'L40', 8)).toEqual({ kind: 'within' });
});

test('a queue has borrowed what it uses above its guarantee', () => {
  const tree = buildQueueTree(ORG.map(aQueue));
  const use = rollUp(tree, gpusOf({ a: 15, b: 20, c: 3 }));
  const of = (name: string) => borrowed(queueNamed(tree, name), use).get(GPU);
  expect([of('a'), of('b'), of('c'), of('org'), of('other')]).toEqual([5, undefined, 3, undefined, undefined]);
  expect(borrowed(queueNamed(buildQueueTree([]), 'default'), rollUp(tree, gpusOf({ default: 5 }))).size).toBe(0);
});

test('use counts for the leaf and every queue above it', () => {
  const use = rollUp(buildQueueTree(ORG.map(aQueue)), gpusOf({ a: 1, b: 2, other: 4 }));
  expect([...use].map(([name, amounts]) => [name, amounts.get(GPU) ?? 0]).sort()).toEqual(
    Object.entries({ a: 1, b: 2, c: 0, default: 0, org: 3, other: 4, poor: 0 }),
  );
});

const count = fc.integer({ min: 0, max: 40 });
const world = fc.record({
  guaranteed: fc.tuple(count, count, count),
  limits: fc.tuple(fc.option(count), fc.option(count), fc.option(count)),
  allowBorrowing: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
  use: fc.record({ a: count, b: count, other: count }),
  more: fc.record({ a: count, b: count, other: count }),
  asked: fc.integer({ min: 1, max: 40 }),
});

function treeOf({ guaranteed, limits, allowBorrowing }: typeof world extends fc.Arbitrary<infer T> ? T : never) {
  const queue = (name: string, i: 0 | 1 | 2, parent?: string): QueueOptions => ({
    name,
    parent,
    guaranteed: guaranteed[i],
    allowBorrowing: allowBorrowing[i],
    ...(limits[i] !== null && { limit: limits[i] }),
  });
  const inner = [queue('a', 1, 'org'), queue('b', 2, 'org'), { name: 'other', guaranteed: 20 }];
  return buildQueueTree([queue('org', 0), ...inner].map(aQueue));
}

test('a verdict only gets worse when any queue uses more', () => {
  const rank = { within: 0, borrows: 1, refused: 2 };
  fc.assert(
    fc.property(world, (drawn) => {
      const tree = treeOf(drawn);
      const leaf = queueNamed(tree, 'a');
      const before = gpusOf(drawn.use);
      const added = gpusOf(drawn.more);
      const after = new Map([...before].map(([name, amounts]) => [name, sumAmounts([amounts, added.get(name)!])]));
      const asked = gpus(drawn.asked);
      const first = judgeQuota(leaf, asked, rollUp(tree, before));
      const second = judgeQuota(leaf, asked, rollUp(tree, after));
      expect(rank[second.kind]).toBeGreaterThanOrEqual(rank[first.kind]);
    }),
  );
});

test('a verdict within the guarantee leaves every other guarantee intact, where guarantees nest', () => {
  fc.assert(
    fc.property(world, (drawn) => {
      const [, a, b] = drawn.guaranteed;
      const tree = treeOf({ ...drawn, guaranteed: [a + b + 10, a, b], limits: [null, null, null] });
      // No queue borrows yet.
      const use = rollUp(tree, gpusOf({ a: Math.min(a, drawn.use.a), b: Math.min(b, drawn.use.b) }));
      if (judgeQuota(queueNamed(tree, 'a'), gpus(drawn.asked), use).kind !== 'within') return;
      const used = use.get('a')!.get(GPU)! + drawn.asked;
      expect(Math.max(a, used) + b).toBeLessThanOrEqual(a + b + 10);
    }),
  );
});

describe('where only GPUs of one model are guaranteed', () => {
  const H100 = `${GPU} H100`;
  const quotas = [{ resource: GPU, model: 'H100', guaranteed: 8, limit: undefined }];
  const tree = buildQueueTree([
    aQueue({ name: 'a', quotas, allowBorrowing: false }),
    aQueue({ name: 'b', quotas }),
    aQueue({ name: 'none' }),
  ]);
  const none = rollUp(tree, new Map());
  test.each([
    ['b', 'takes what the queue is promised', new Map([[GPU, 8]]), 'within'],
    ['b', 'takes more', new Map([[GPU, 16]]), 'borrows'],
    ['none', 'is promised nothing', new Map([[GPU, 8]]), 'borrows'],
    [
      'none',
      'insists on another model',
      new Map([
        [GPU, 8],
        [`${GPU} A100`, 8],
      ]),
      'within',
    ],
    [
      'b',
      'insists on the model and on more of it',
      new Map([
        [GPU, 16],
        [H100, 16],
      ]),
      'borrows',
    ],
    // It is excluded from that model and may use all others.
    ['a', 'may not borrow the model', new Map([[GPU, 16]]), 'borrows'],
  ])('a gang of queue %s that %s', (queue, _what, asked, kind) => {
    expect(judgeQuota(queueNamed(tree, queue), asked, none).kind).toBe(kind);
  });
});

test('all refusals are listed, outermost queue first', () => {
  const tree = buildQueueTree([
    aQueue({ name: 'org', guaranteed: 16, allowBorrowing: false }),
    aQueue({ name: 'a', parent: 'org', limit: 8 }),
    aQueue({ name: 'b', parent: 'org' }),
  ]);
  const use = rollUp(tree, gpusOf({ a: 4, b: 8 }));
  const causes = listRefusals(queueNamed(tree, 'a'), gpus(8), use).map(({ queue, cause }) => `${queue} ${cause}`);
  expect(causes).toEqual(['org no-borrowing', 'a limit']);
  expect(listRefusals(queueNamed(tree, 'a'), gpus(4), use)).toEqual([]);
});
