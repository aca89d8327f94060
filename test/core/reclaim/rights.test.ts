import { describe, expect, test } from 'vitest';
import type { PodModel } from '../../../src/core/objects/model.ts';
import type { GangKey } from '../../../src/core/podgroup/gang.ts';
import type { VictimUnit } from '../../../src/core/preemption/candidates.ts';
import type { Amounts } from '../../../src/core/queues/amounts.ts';
import { rollUp } from '../../../src/core/queues/quota.ts';
import { buildQueueTree } from '../../../src/core/queues/tree.ts';
import { evictionRights, isOwedAny, listExcessVictims, type ReclaimQuery } from '../../../src/core/reclaim/rights.ts';
import { aPod } from '../../support/builders.ts';
import { aQueue, gpus, gpusOf, type QueueOptions, queueNamed } from '../../support/queues.ts';

interface Situation {
  readonly queues: readonly QueueOptions[];
  /** GPUs held by each leaf. */
  readonly held: Readonly<Record<string, number>>;
  /** Of the gang that needs capacity. */
  readonly queue: string;
  readonly asks: number;
  readonly priority?: number;
}

function query({ queues, held, queue, asks, priority = 0 }: Situation): ReclaimQuery {
  const tree = buildQueueTree(queues.map(aQueue));
  return {
    tree,
    queue: queueNamed(tree, queue),
    priority,
    asked: gpus(asks),
    use: rollUp(tree, gpusOf(held)),
    queueOf: ({ labels }) => tree.byName.get(labels.queue ?? ''),
  };
}

function podIn(queue: string, priority = 0): PodModel {
  return aPod({ labels: { queue }, priority });
}

const TEAMS: readonly QueueOptions[] = [
  { name: 'a', guaranteed: 10 },
  { name: 'b', guaranteed: 10 },
];

/**
 *   north (20)          south (10)
 *   ├ n1 (10)           └ s1 (10)
 *   └ n2 (10)
 */
const ORGS: readonly QueueOptions[] = [
  { name: 'north' },
  { name: 'n1', parent: 'north', guaranteed: 10 },
  { name: 'n2', parent: 'north', guaranteed: 10 },
  { name: 'south' },
  { name: 's1', parent: 'south', guaranteed: 10 },
];

describe('which pods a gang of queue b may evict', () => {
  const cases: readonly (Situation & { readonly name: string; readonly victim: PodModel; readonly right: string })[] = [
    {
      name: 'anybody of a queue that borrowed, as long as the gang stays within its own guarantee',
      queues: TEAMS,
      held: { a: 16 },
      queue: 'b',
      asks: 10,
      victim: podIn('a', 100),
      right: 'may',
    },
    {
      name: 'nobody of its priority where it would borrow itself',
      queues: TEAMS,
      held: { a: 16, b: 4 },
      queue: 'b',
      asks: 8,
      victim: podIn('a'),
      right: 'never',
    },
    {
      name: 'lower priorities of a queue that borrowed, also where it would borrow itself',
      queues: TEAMS,
      held: { a: 16, b: 4 },
      queue: 'b',
      asks: 8,
      priority: 5,
      victim: podIn('a', 4),
      right: 'may',
    },
    {
      name: 'nobody inside a guarantee, whatever the priority',
      queues: TEAMS,
      held: { a: 10 },
      queue: 'b',
      asks: 8,
      priority: 1_000,
      victim: podIn('a'),
      right: 'guaranteed',
    },
    {
      name: 'in its own queue by priority only',
      queues: TEAMS,
      held: { a: 0, b: 16 },
      queue: 'b',
      asks: 8,
      priority: 1,
      victim: podIn('b', 1),
      right: 'never',
    },
    {
      name: 'lower priorities in its own queue, inside the guarantee too',
      queues: TEAMS,
      held: { b: 8 },
      queue: 'b',
      asks: 8,
      priority: 1,
      victim: podIn('b'),
      right: 'may',
    },
    {
      name: 'nobody where what was borrowed is not reclaimable',
      queues: [{ name: 'a', guaranteed: 10, reclaimable: false }, TEAMS[1]!],
      held: { a: 16 },
      queue: 'b',
      asks: 10,
      victim: podIn('a'),
      right: 'never',
    },
    {
      name: 'by priority alone where nothing is guaranteed to anybody',
      queues: [{ name: 'a' }, { name: 'b' }],
      held: { a: 16 },
      queue: 'b',
      asks: 8,
      victim: podIn('a'),
      right: 'never',
    },
    {
      name: 'by priority alone whoever is in no queue',
      queues: TEAMS,
      held: { a: 16 },
      queue: 'b',
      asks: 8,
      priority: 1,
      victim: podIn('none'),
      right: 'may',
    },
  ];
  test.each(cases)('$name', ({ victim, right, ...situation }) => {
    expect(evictionRights(query(situation))(victim)).toBe(right);
  });
});

describe('organisations', () => {
  test('a team reclaims what another organisation borrowed', () => {
    const asked = query({ queues: ORGS, held: { n1: 10, n2: 16 }, queue: 's1', asks: 10 });
    expect(evictionRights(asked)(podIn('n2'))).toBe('may');
  });

  test('a team within its guarantee is spared, although its organisation exceeds its own', () => {
    const asked = query({ queues: ORGS, held: { n1: 10, n2: 16 }, queue: 's1', asks: 10, priority: 9 });
    expect(evictionRights(asked)(podIn('n1'))).toBe('guaranteed');
  });

  test('between teams of one organisation the teams count, not the organisation', () => {
    const asked = query({ queues: ORGS, held: { n1: 2, n2: 16, s1: 10 }, queue: 'n1', asks: 8 });
    expect(evictionRights(asked)(podIn('n2'))).toBe('may');
    expect(evictionRights(asked)(podIn('s1'))).toBe('never');
  });
});

test('a search for victims is useful when some queue borrowed what another is owed', () => {
  expect(isOwedAny(query({ queues: TEAMS, held: { a: 16 }, queue: 'b', asks: 4 }))).toBe(true);
  expect(isOwedAny(query({ queues: TEAMS, held: { a: 10 }, queue: 'b', asks: 4 }))).toBe(false);
});

describe('too many victims', () => {
  const sizes = (pods: readonly PodModel[]): Amounts => gpus(pods.length);
  /** A gang of the queue with this many pods of one GPU. */
  const unit = (key: string, queue: string, size: number, startedAt: number): VictimUnit => {
    const pods = Array.from({ length: size }, () => podIn(queue));
    return { key, kind: 'gang', gang: key as GangKey, pods, priority: 0, lostWork: 0, startedAt };
  };

  test('are those that leave a queue less than its guarantee, except the one that crosses the line', () => {
    const asked = query({ queues: TEAMS, held: { a: 20 }, queue: 'b', asks: 10 });
    const victims = [unit('old', 'a', 8, 1), unit('middle', 'a', 6, 2), unit('young', 'a', 6, 3)];
    expect(listExcessVictims(asked, victims, sizes).map(({ key }) => key)).toEqual(['old']);
  });

  test('are never those of its own queue, or of no queue', () => {
    const asked = query({ queues: TEAMS, held: { a: 10, b: 10 }, queue: 'b', asks: 10, priority: 5 });
    const victims = [unit('own', 'b', 8, 1), unit('free', 'none', 8, 2)];
    expect(listExcessVictims(asked, victims, sizes)).toEqual([]);
  });

  test('count for every queue above the victim', () => {
    const asked = query({ queues: ORGS, held: { n1: 14, n2: 8 }, queue: 's1', asks: 10 });
    const victims = [unit('first', 'n1', 3, 2), unit('second', 'n1', 3, 1)];
    expect(listExcessVictims(asked, victims, sizes).map(({ key }) => key)).toEqual(['second']);
  });
});
