/** Planning a start takes long: the others go on, and the start counts from when it is known. */
import { describe, expect, test } from 'vitest';
import type { Searcher } from '../../../src/gang/framework/ports.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { end, remove, runningOf, scheduleAll, startQueueWorld, timed } from '../../support/queue-worlds.ts';
import { gang, SECOND, type World } from '../../support/scenario.ts';
import { answersAtOnce, SlowSearcher } from '../../support/searchers.ts';

const MINUTE = 60 * SECOND;

/** Four nodes: `run` uses the first two for an hour, and `head` needs all four. Its start is being planned. */
async function planning(): Promise<{ readonly world: World; readonly slow: SlowSearcher }> {
  const slow = new SlowSearcher();
  slow.isSlowToStart = true;
  const world = await startQueueWorld([{ name: 'q' }], { nodes: 4, searcher: (policy) => slow.for(policy) });
  world.running('run', ['n0', 'n1'], { annotations: { 'muster.dev/expected-duration': '1h' } });
  world.create(timed('head', 4, '1h'));
  await scheduleAll(world);
  expect(world.stateOf('head')).toBe('Pending');
  expect(slow.openStarts.map((open) => open.gang)).toEqual(['default/head']);
  return { world, slow };
}

/** Created now, so last in queue order. */
function later(world: World) {
  return { createdAt: world.clock.now() + SECOND };
}

/** Pods that one object makes: another run than those of another one. */
function ownedBy(uid: string, pods: readonly WireObject[]): readonly WireObject[] {
  const owner = { apiVersion: 'kubeflow.org/v1', kind: 'PyTorchJob', name: 'head', uid, controller: true };
  return pods.map((raw) => ({ ...raw, metadata: { ...raw.metadata, ownerReferences: [owner] } }));
}

async function answer(world: World, slow: SlowSearcher): Promise<void> {
  slow.answerStart();
  await scheduleAll(world);
}

describe('while a start is being planned', () => {
  test('others start, and nobody asks twice', async () => {
    const { world, slow } = await planning();
    world.create(gang('unknown', 1, later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'unknown')).toEqual(['unknown']);
    expect(slow.openStarts).toHaveLength(1);
  });

  test('the start that is known counts until the new one is', async () => {
    const { world, slow } = await planning();
    await answer(world, slow);
    await world.pass(10 * SECOND);
    end(world, 'run');
    await world.settle();
    expect(slow.openStarts.length).toBeLessThanOrEqual(1);
    world.create(gang('unknown', 1, later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'unknown')).toEqual([]);
    expect(runningOf(world, 'head')).toEqual(['head']);
  });
});

describe('a start that was planned elsewhere', () => {
  test('is reserved from then on, although nothing else happens', async () => {
    const { world, slow } = await planning();
    await answer(world, slow);
    world.create(timed('short', 1, '50m', later(world)), timed('long', 1, '70m', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'short', 'long')).toEqual(['short']);
    expect(world.reasonOf('long')).toMatch(/would fit, but could delay gang default\/head.*2026-01-01T01:00:00/);
  });

  test('of a gang that is gone reserves nothing', async () => {
    const { world, slow } = await planning();
    remove(world, 'head');
    await scheduleAll(world);
    await answer(world, slow);
    world.create(gang('unknown', 2, later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'unknown')).toEqual(['unknown']);
  });

  test('for an earlier run of the gang is not that of the next run', async () => {
    const { world, slow } = await planning();
    remove(world, 'head');
    world.create(ownedBy('second', timed('head', 3, '2h', later(world))));
    await scheduleAll(world);
    expect(slow.openStarts, 'asked anew').toHaveLength(2);
    await answer(world, slow);
    expect(world.muster.view.queues.plannedStarts()).toEqual([]);
    await answer(world, slow);
    expect(world.muster.view.queues.plannedStarts().map(({ slots }) => slots.length)).toEqual([3]);
  });

  test('on nodes that are gone is planned again', async () => {
    const { world, slow } = await planning();
    world.addNode('n4');
    world.cluster.delete('Node', 'n3');
    await scheduleAll(world);
    await answer(world, slow);
    expect(slow.openStarts).toHaveLength(1);
    await answer(world, slow);
    world.create(gang('unknown', 1, later(world)));
    await scheduleAll(world);
    expect(world.reasonOf('unknown')).toMatch(/could delay gang default\/head/);
  });

  test.each([
    { kind: 'too-long', seconds: 10 },
    { kind: 'failed', message: 'a bug' },
  ] as const)('and not found is planned again after a minute: %o', async (outcome) => {
    const { world, slow } = await planning();
    slow.answerStart(outcome);
    await world.pass(59 * SECOND);
    world.create(gang('unknown', 1, later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'unknown'), 'others are not held back').toEqual(['unknown']);
    expect(slow.openStarts).toEqual([]);
    await world.pass(MINUTE);
    world.create(gang('other', 9, later(world)));
    await scheduleAll(world);
    expect(slow.openStarts.map((open) => open.gang)).toEqual(['default/head']);
  });
});

test.each([
  { kind: 'too-long', seconds: 10 },
  { kind: 'failed', message: 'a bug' },
] as const)('a start that is known counts on when planning it again ends in trouble: %o', async (outcome) => {
  const { world, slow } = await planning();
  await answer(world, slow);
  await world.pass(10 * SECOND);
  world.create(gang('other', 9, later(world)));
  await world.settle();
  expect(slow.openStarts).toHaveLength(1);
  slow.answerStart(outcome);
  await scheduleAll(world);
  world.create(gang('unknown', 1, later(world)));
  await scheduleAll(world);
  expect(runningOf(world, 'unknown')).toEqual([]);
  expect(world.reasonOf('unknown')).toMatch(/could delay gang default\/head/);
});

/** Four gangs that each need all four nodes, with planned starts one after the other. Planning one may take a while. */
async function planFour(): Promise<{ readonly world: World; slowDown(ms: number): void; starts(): readonly string[] }> {
  let tookMs = 0;
  const world: World = await startQueueWorld([{ name: 'q' }], {
    nodes: 4,
    queues: { backfill: 'conservative' },
    searcher: (policy) => {
      const searcher = answersAtOnce(policy);
      const planStart: Searcher['planStart'] = (...args) => {
        world.freeze(tookMs);
        return searcher.planStart(...args);
      };
      return { ...searcher, planStart };
    },
  });
  world.running('run', ['n0'], { annotations: { 'muster.dev/expected-duration': '1h' } });
  for (const name of ['a', 'b', 'c', 'd']) world.create(timed(name, 4, '1h'));
  await scheduleAll(world);
  const starts = () => world.muster.view.queues.plannedStarts().map(({ gang: key }) => key);
  expect(starts()).toEqual(ALL);
  const slowDown = (ms: number) => {
    tookMs = ms;
  };
  return { world, slowDown, starts };
}

const ALL = ['default/a', 'default/b', 'default/c', 'default/d'];

test('a start that is known counts on while the pass has not come to its gang yet', async () => {
  const { world, slowDown, starts } = await planFour();
  slowDown(60);
  await world.pass(10 * SECOND);
  world.create(gang('other', 9));
  await scheduleAll(world);
  expect(starts()).toEqual(ALL);
});

test('a start that is known counts on when the pass has no time left to plan it again', async () => {
  const { world, slowDown, starts } = await planFour();
  slowDown(60);
  await world.pass(10 * SECOND);
  world.create(gang('other', 9));
  for (let cycle = 0; cycle < 8; cycle++) {
    // All starts are to be planned again, each time.
    world.freeze(10 * SECOND);
    world.clock.fireDue();
    await new Promise((resolve) => setImmediate(resolve));
    expect(starts()).toEqual(ALL);
  }
});
