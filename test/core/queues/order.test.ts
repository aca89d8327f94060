import { expect, test } from 'vitest';
import { type PendingGang, QueueOrder, type QueueOrderQuery } from '../../../src/core/queues/order.ts';
import { buildQueueTree, type QueueTree } from '../../../src/core/queues/tree.ts';
import {
  aPendingGang,
  aQueue,
  aQueueOrderQuery,
  gpus,
  gpusOf,
  type PendingGangOptions,
  type QueueOptions,
  queueNamed,
  WEIGHTS,
} from '../../support/queues.ts';

interface Scene {
  readonly tree: QueueTree;
  readonly applicants: readonly PendingGang[];
  readonly line: QueueOrder<PendingGang>;
  /** By key. */
  gang(key: string): PendingGang;
}

function aScene(
  queues: readonly QueueOptions[],
  gangs: readonly PendingGangOptions[],
  query: Partial<QueueOrderQuery> = {},
): Scene {
  const tree = buildQueueTree(queues.map(aQueue));
  const applicants = gangs.map((gang) => aPendingGang(tree, gang));
  const gang = (key: string) => applicants.find((applicant) => applicant.key === key)!;
  return { tree, applicants, line: new QueueOrder(applicants, aQueueOrderQuery(tree, query)), gang };
}

/** The offers from now on, as `key`, or `key verdict` if not within the guarantee. */
function offers({ line }: Scene): readonly string[] {
  const seen: string[] = [];
  for (let offer = line.next(); offer; offer = line.next()) {
    const { kind } = offer.verdict;
    expect(offer.standing.within).toBe(kind === 'within');
    seen.push(kind === 'within' ? offer.gang.key : `${offer.gang.key} ${kind}`);
  }
  return seen;
}

const TWO: readonly QueueOptions[] = [{ name: 'a' }, { name: 'b' }];

test('without waiting gangs nothing is offered', () => {
  expect(aScene(TWO, []).line.next()).toBeUndefined();
});

test('inside a queue the higher priority goes first, then the older, then the name', () => {
  const scene = aScene(TWO, [
    { key: 'n/young', queue: 'a', createdAt: 9 },
    { key: 'n/b', queue: 'a', createdAt: 5 },
    { key: 'n/a', queue: 'a', createdAt: 5 },
    { key: 'n/urgent', queue: 'a', createdAt: 9, priority: 5 },
  ]);
  expect(offers(scene)).toEqual(['n/urgent', 'n/a', 'n/b', 'n/young']);
});

test('a size weight puts large gangs first, a negative one small ones', () => {
  const gangs = [1, 4, 2].map((count) => ({ key: `n/${count}`, queue: 'a', asked: gpus(count) }));
  const order = (size: number) => offers(aScene(TWO, gangs, { weights: { ...WEIGHTS, size } }));
  expect(order(10)).toEqual(['n/4', 'n/2', 'n/1']);
  expect(order(-10)).toEqual(['n/1', 'n/2', 'n/4']);
});

test('across queues priority counts more than fair share, and fair share more than age', () => {
  const usage = gpusOf({ a: 50 });
  const gangs = [
    { key: 'n/old', queue: 'a', createdAt: -1000 },
    { key: 'n/poor', queue: 'b' },
  ];
  expect(offers(aScene(TWO, gangs, { usage }))).toEqual(['n/poor', 'n/old']);
  const urgent = { key: 'n/urgent', queue: 'a', priority: 1 };
  expect(offers(aScene(TWO, [...gangs, urgent], { usage }))).toEqual(['n/urgent', 'n/poor', 'n/old']);
});

test('every factor of a score is shown', () => {
  const scene = aScene(
    TWO,
    [
      { key: 'n/low', queue: 'a', priority: -5, createdAt: -2000 },
      { key: 'n/middle', queue: 'a', priority: 100, createdAt: -250, asked: gpus(20) },
      { key: 'n/high', queue: 'b', priority: 1000, createdAt: 50 },
    ],
    { usage: gpusOf({ a: 10, b: 20 }), weights: { priority: 1000, fairShare: 300, age: 100, size: 10 } },
  );
  expect(scene.line.next()!.standing).toEqual({
    factors: { priority: 1, fairShare: 1 / 3, age: 0, size: 0.08 },
    score: 1000 + 100 + 0.8,
    setBack: 0,
    within: true,
  });
  expect(scene.line.next()!.standing).toEqual({
    factors: { priority: 0.5, fairShare: 2 / 3, age: 0.25, size: 0.2 },
    score: 500 + 200 + 25 + 2,
    setBack: 0,
    within: true,
  });
  expect(scene.line.next()!.standing.factors).toEqual({ priority: 0, fairShare: 2 / 3, age: 1, size: 0.08 });
});

test('of equal priority, gangs that are set back come last, whatever the other factors', () => {
  const scene = aScene(
    TWO,
    [
      { key: 'n/old', queue: 'a', priority: 5, createdAt: -1000, setBack: 2 },
      { key: 'n/neighbour', queue: 'a', priority: 5, createdAt: -1000, setBack: 1 },
      { key: 'n/new', queue: 'b', priority: 5, createdAt: 0 },
      { key: 'n/low', queue: 'b', priority: 0, createdAt: -1000 },
    ],
    { usage: gpusOf({ a: 0, b: 90 }), weights: { priority: 1000, fairShare: 300, age: 100, size: 10 } },
  );
  const order = Array.from({ length: 4 }, () => scene.line.next()!.gang.key);
  expect(order).toEqual(['n/new', 'n/neighbour', 'n/old', 'n/low']);
});

test('one priority only counts nothing', () => {
  const scene = aScene(TWO, [{ key: 'n/a', queue: 'a', priority: 1000 }]);
  expect(scene.line.next()!.standing.factors.priority).toBe(0);
});

test('charged amounts count for the fair share of later gangs', () => {
  const scene = aScene(TWO, [
    { key: 'n/a1', queue: 'a', createdAt: 1 },
    { key: 'n/a2', queue: 'a', createdAt: 2 },
    { key: 'n/b1', queue: 'b', createdAt: 3 },
  ]);
  expect(scene.line.next()!.gang.key).toBe('n/a1');
  scene.line.charge(scene.gang('n/a1'), gpus(8));
  expect(offers(scene)).toEqual(['n/b1', 'n/a2']);
});

test('an offer without a charge changes nothing', () => {
  const scene = aScene(TWO, [
    { key: 'n/a1', queue: 'a', createdAt: 1 },
    { key: 'n/a2', queue: 'a', createdAt: 2 },
    { key: 'n/b1', queue: 'b', createdAt: 3 },
  ]);
  expect(offers(scene)).toEqual(['n/a1', 'n/a2', 'n/b1']);
});

const GUARANTEED: readonly QueueOptions[] = [{ name: 'a', guaranteed: 16 }, { name: 'b' }];

test('a gang within its guarantee goes before a borrower of higher priority', () => {
  const scene = aScene(GUARANTEED, [
    { key: 'n/b', queue: 'b', priority: 9 },
    { key: 'n/a', queue: 'a' },
  ]);
  expect(offers(scene)).toEqual(['n/a', 'n/b borrows']);
});

test('a queue whose guarantee was used up by a start borrows from then on', () => {
  const scene = aScene(
    GUARANTEED,
    [
      { key: 'n/a1', queue: 'a', createdAt: 1 },
      { key: 'n/a2', queue: 'a', createdAt: 2 },
      { key: 'n/b', queue: 'b', createdAt: 3 },
    ],
    { held: gpusOf({ a: 8, b: 90 }) },
  );
  expect(scene.line.next()!.gang.key).toBe('n/a1');
  scene.line.charge(scene.gang('n/a1'), gpus(8));
  expect(offers(scene)).toEqual(['n/a2 borrows', 'n/b borrows']);
});

test('a start in one team uses up what the organisation had for another', () => {
  const queues: readonly QueueOptions[] = [
    { name: 'org', guaranteed: 8 },
    { name: 'a', parent: 'org' },
    { name: 'b', parent: 'org' },
    { name: 'other' },
  ];
  const gangs = [
    { key: 'n/a', queue: 'a', createdAt: 1 },
    { key: 'n/b', queue: 'b', createdAt: 2 },
    { key: 'n/o', queue: 'other', createdAt: 3 },
  ];
  expect(offers(aScene(queues, gangs))).toEqual(['n/a', 'n/b', 'n/o borrows']);
  const scene = aScene(queues, gangs);
  scene.line.next();
  scene.line.charge(scene.gang('n/a'), gpus(8));
  expect(offers(scene)).toEqual(['n/o borrows', 'n/b borrows']);
});

test('a later gang of a queue does not pass its first one by staying within the guarantee', () => {
  const scene = aScene(GUARANTEED, [
    { key: 'n/large', queue: 'a', createdAt: 1, asked: gpus(24) },
    { key: 'n/small', queue: 'a', createdAt: 2 },
    { key: 'n/b', queue: 'b', createdAt: 3 },
  ]);
  expect(offers(scene)).toEqual(['n/large borrows', 'n/small', 'n/b borrows']);
});

test('refused gangs are offered too, and do not keep later gangs from their guarantee', () => {
  const scene = aScene(
    [{ name: 'a', guaranteed: 16, limit: 20 }, { name: 'b' }],
    [
      { key: 'n/b', queue: 'b', priority: 9 },
      { key: 'n/large', queue: 'a', createdAt: 1, asked: gpus(24) },
      { key: 'n/small', queue: 'a', createdAt: 2 },
    ],
  );
  expect(offers(scene)).toEqual(['n/large refused', 'n/small', 'n/b borrows']);
});

test('a limit that is reached refuses later gangs', () => {
  const scene = aScene(
    [{ name: 'a', limit: 8 }],
    [
      { key: 'n/a1', queue: 'a', createdAt: 1 },
      { key: 'n/a2', queue: 'a', createdAt: 2 },
    ],
  );
  scene.line.next();
  scene.line.charge(scene.gang('n/a1'), gpus(8));
  expect(offers(scene)).toEqual(['n/a2 refused']);
});

test('no other gang of a closed queue, or of one below it, is offered', () => {
  const queues: readonly QueueOptions[] = [
    { name: 'org' },
    { name: 'a', parent: 'org' },
    { name: 'b', parent: 'org' },
    { name: 'other' },
  ];
  const gangs = ['a', 'a', 'b', 'other'].map((queue, i) => ({ key: `n/${queue}${i}`, queue, createdAt: i }));
  const keys = (left: readonly PendingGang[]) => left.map(({ key }) => key);
  const leaf = aScene(queues, gangs);
  expect(leaf.line.next()!.gang.key).toBe('n/a0');
  expect(keys(leaf.line.close(queueNamed(leaf.tree, 'a')))).toEqual(['n/a1']);
  expect(offers(leaf)).toEqual(['n/b2', 'n/other3']);
  const inner = aScene(queues, gangs);
  inner.line.next();
  expect(keys(inner.line.close(queueNamed(inner.tree, 'org')))).toEqual(['n/a1', 'n/b2']);
  expect(offers(inner)).toEqual(['n/other3']);
});
