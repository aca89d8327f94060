import { describe, expect, test } from 'vitest';
import { annotate, end, remove, runningOf, scheduleAll, startQueueWorld, timed } from '../../support/queue-worlds.ts';
import { gang, pod, SECOND, type World } from '../../support/scenario.ts';

const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

type Options = NonNullable<Parameters<typeof startQueueWorld>[1]>['queues'];

/** Four nodes: `run` uses the first two for one more hour, and `head` needs all four. */
async function blockedWorld(queues: Options = {}, runs: string | null = '1h'): Promise<World> {
  const world = await startQueueWorld([{ name: 'q' }], { nodes: 4, queues });
  const annotations = runs === null ? {} : { 'muster.dev/expected-duration': runs };
  world.running('run', ['n0', 'n1'], { annotations });
  world.create(timed('head', 4, '1h'));
  await scheduleAll(world);
  expect(world.stateOf('head')).toBe('Pending');
  return world;
}

/** Created now, so last in queue order. */
function later(world: World) {
  return { createdAt: world.clock.now() + SECOND };
}

/** The nodes where a lone pod of one GPU may go. */
async function offeredTo(
  world: World,
  name: string,
  options: Parameters<typeof pod>[1] = {},
): Promise<readonly string[]> {
  world.create(pod(name, { gpus: 1, ...options }));
  await world.settle();
  return [...(await world.filter(name, world.scheduler.feasible(`default/${name}`))).NodeNames].sort();
}

describe('behind a gang with a known planned start', () => {
  test('a gang that ends before the start is backfilled; a longer gang and one of unknown length are not', async () => {
    const world = await blockedWorld();
    world.create(
      timed('short', 1, '50m', later(world)),
      timed('long', 1, '70m', later(world)),
      gang('unknown', 1, later(world)),
    );
    await scheduleAll(world);
    expect(runningOf(world, 'short', 'long', 'unknown')).toEqual(['short']);
    for (const name of ['long', 'unknown'])
      expect(world.reasonOf(name)).toMatch(/would fit, but could delay gang default\/head.*2026-01-01T01:00:00/);
  });

  test('a gang that lied about its length and stays passes no planned start a second time', async () => {
    const world = await blockedWorld();
    world.create(timed('liar', 1, '1s', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'liar')).toEqual(['liar']);
    await world.pass(11 * MINUTE);
    world.create(timed('next', 1, '1s', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'next')).toEqual([]);
    expect(world.reasonOf('next')).toContain('could delay gang default/head');
    end(world, 'liar');
    await scheduleAll(world);
    expect(runningOf(world, 'next'), 'the one that overran has ended').toEqual(['next']);
  });

  test('a longer gang starts on capacity that the planned start does not need', async () => {
    const world = await blockedWorld();
    world.addNode('n4');
    world.create(timed('long', 1, '9h', later(world)));
    await scheduleAll(world);
    expect(world.boundTo('long')).toEqual({ 'long-0': 'n4' });
    world.create(timed('longer', 1, '9h', later(world)));
    await scheduleAll(world);
    expect(world.stateOf('longer')).toBe('Pending');
  });

  test('the planned start is kept: no other gang delays it', async () => {
    const world = await blockedWorld();
    world.create(timed('long', 2, '9h', later(world)), timed('short', 2, '59m', later(world)));
    await scheduleAll(world);
    await world.pass(59 * MINUTE);
    end(world, 'short');
    await scheduleAll(world);
    await world.pass(MINUTE);
    end(world, 'run');
    await scheduleAll(world);
    expect(runningOf(world, 'head', 'long')).toEqual(['head']);
  });

  test('the gang starts earlier when others end earlier', async () => {
    const world = await blockedWorld();
    await world.pass(10 * MINUTE);
    end(world, 'run');
    await scheduleAll(world);
    expect(runningOf(world, 'head')).toEqual(['head']);
  });

  test('the start moves later when running gangs exceed their run length, and others are backfilled until then', async () => {
    const world = await blockedWorld();
    await world.pass(61 * MINUTE);
    world.create(timed('short', 2, '50m', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'short')).toEqual(['short']);
    world.create(timed('long', 2, '70m', later(world)));
    await scheduleAll(world);
    expect(world.stateOf('long')).toBe('Pending');
  });

  test('lone pods with accelerators stay off its nodes, unless they have higher priority', async () => {
    const world = await blockedWorld();
    world.addNode('n4');
    await world.settle();
    expect(await offeredTo(world, 'low')).toEqual(['n4']);
    expect(await offeredTo(world, 'high', { priority: 10 })).toEqual(['n2', 'n3', 'n4']);
    expect(await offeredTo(world, 'cpu', { gpus: 0 })).toHaveLength(5);
  });

  test.each([
    ['deleted', (world: World) => remove(world, 'head')],
    ['held back by an operator', (world: World) => annotate(world, 'head', 'muster.dev/hold', 'true')],
    ['incomplete', (world: World) => world.delete('head-0')],
  ])('later gangs start at once when it is %s', async (_, change) => {
    const world = await blockedWorld();
    world.create(gang('x', 1, later(world)));
    await world.pass(5 * SECOND);
    // Another cycle in which nothing becomes free.
    world.create(gang('y', 1, later(world)));
    await world.pass(5 * SECOND);
    expect(runningOf(world, 'x', 'y')).toEqual([]);
    change(world);
    await world.pass(10);
    await world.schedule();
    expect(runningOf(world, 'x', 'y')).toEqual(['x', 'y']);
    end(world, 'x');
    expect(await offeredTo(world, 'lone'), 'lone pods, too').toHaveLength(1);
  });

  test('the start is planned again after a restart of Muster', async () => {
    const world = await blockedWorld();
    await world.restart();
    world.create(timed('long', 1, '9h', later(world)), timed('short', 1, '50m', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'long', 'short')).toEqual(['short']);
  });

  test('the start moves when one of its nodes is deleted', async () => {
    const world = await blockedWorld();
    world.addNode('n4');
    await world.settle();
    world.cluster.delete('Node', 'n3');
    await world.settle();
    expect(await offeredTo(world, 'lone')).toEqual([]);
  });
});

describe('behind a gang with an unknown start', () => {
  test('all gangs that fit are backfilled until it has waited for drainAfter; then the drain reserves its nodes', async () => {
    const world = await blockedWorld({ drainAfterMs: 10 * MINUTE }, null);
    world.create(gang('early', 1, later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'early')).toEqual(['early']);
    await world.pass(10 * MINUTE);
    expect(await offeredTo(world, 'lone')).toEqual([]);
    world.create(timed('late', 1, '1m', later(world)));
    await scheduleAll(world);
    expect(world.stateOf('late')).toBe('Pending');
    expect(world.reasonOf('late')).toMatch(/head/);
  });

  test('the drain begins although Muster was busy or frozen at that moment', async () => {
    const world = await blockedWorld({ drainAfterMs: 10 * MINUTE }, null);
    await world.pass(9 * MINUTE);
    world.freeze(2 * MINUTE);
    await world.settle();
    expect(await offeredTo(world, 'lone')).toEqual([]);
  });

  test('what becomes free on its nodes is reserved at once: kube-scheduler is faster than the next cycle', async () => {
    const world = await startQueueWorld([], { nodes: 1, queues: { drainAfterMs: MINUTE } });
    world.create(pod('first', { gpus: 4 }), pod('second', { gpus: 4 }));
    await scheduleAll(world);
    world.create(gang('big', 1, later(world)));
    await world.pass(2 * MINUTE);
    world.create(pod('next', { gpus: 4, ...later(world) }));
    await world.settle();
    world.finish('first');
    // The watch shows it; no timer fires.
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect((await world.filter('next')).NodeNames).toEqual([]);
    await world.settle();
    expect((await world.filter('next')).NodeNames).toEqual([]);
    world.finish('second');
    await scheduleAll(world);
    expect(runningOf(world, 'big')).toEqual(['big']);
  });

  test.each([
    ['a gang as large as the cluster starts against an endless stream of small gangs', 'gangs'],
    ['a gang as large as the cluster starts against an endless stream of lone pods', 'pods'],
    ['a gang as large as the cluster starts against both', 'both'],
  ])('%s', async (_, stream) => {
    const world = await startQueueWorld([], { nodes: 4, queues: { drainAfterMs: 10 * MINUTE } });
    const running: { readonly name: string; readonly until: number }[] = [];
    const start = world.clock.now();
    for (let minute = 0; minute < 90 && world.stateOf('big') !== 'Running'; minute++) {
      if (minute === 5) world.create(gang('big', 4, later(world)));
      const name = `s${minute}`;
      const asGang = stream === 'gangs' || (stream === 'both' && minute % 2 === 0);
      if (asGang) world.create(gang(name, 1, later(world)));
      else world.create(pod(name, { gpus: 8, ...later(world) }));
      running.push({ name: asGang ? `${name}-0` : name, until: world.clock.now() + 7 * MINUTE });
      await scheduleAll(world);
      await world.pass(MINUTE);
      for (const each of running)
        if (each.until <= world.clock.now() && isBound(world, each.name)) world.finish(each.name);
      await scheduleAll(world);
    }
    expect(world.stateOf('big')).toBe('Running');
    expect(world.clock.now() - start).toBeLessThan(40 * MINUTE);
  });
});

test('a gang starts although the gangs before it, and all backfilled ones, run twice as long as they say', async () => {
  const world = await startQueueWorld([], { nodes: 4, queues: { drainAfterMs: 10 * MINUTE } });
  const ends = new Map<string, number>();
  for (let minute = 0; minute < 60 && world.stateOf('big') !== 'Running'; minute++) {
    if (minute === 5) world.create(timed('big', 4, '1h', later(world)));
    world.create(timed(`s${minute}`, 1, '4m', later(world)));
    await scheduleAll(world);
    for (const { metadata, spec } of world.cluster.list('Pod'))
      if (spec.nodeName && !ends.has(metadata.name)) ends.set(metadata.name, world.clock.now() + 8 * MINUTE);
    await world.pass(MINUTE);
    for (const [name, at] of ends) if (at <= world.clock.now()) world.finish(name);
    await scheduleAll(world);
  }
  expect(world.stateOf('big')).toBe('Running');
});

describe('the policy', () => {
  test('conservative: no earlier gang is delayed, not only the first', async () => {
    const world = await blockedWorld({ backfill: 'conservative' });
    world.addNode('n4');
    world.create(timed('second', 5, '1h', later(world)));
    await world.pass(2 * SECOND);
    world.create(timed('long', 1, '9h', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'long')).toEqual([]);
    const starts = world.muster.view.queues.plannedStarts();
    expect(starts.map(({ gang: key, startsAt }) => [key, (startsAt - Date.UTC(2026, 0, 1)) / HOUR])).toEqual([
      ['default/head', 1],
      ['default/second', 2],
      ['default/long', 3],
    ]);
  });

  test('easy: only the first blocked gang is not delayed', async () => {
    const world = await blockedWorld({ backfill: 'easy' });
    world.addNode('n4');
    world.create(timed('second', 5, '1h', later(world)));
    await world.pass(2 * SECOND);
    world.create(timed('long', 1, '9h', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'long')).toEqual(['long']);
  });

  test('none: no gang starts before the first blocked gang, whatever its length', async () => {
    const world = await blockedWorld({ backfill: 'none' });
    world.create(timed('short', 1, '1m', later(world)), timed('other', 1, '1m', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'short', 'other')).toEqual([]);
    remove(world, 'head');
    await world.pass(10);
    await scheduleAll(world);
    expect(runningOf(world, 'short', 'other')).toEqual(['short', 'other']);
  });

  test.each(['easy', 'conservative', 'none'] as const)(
    '%s: a gang that can never fit holds back no other gang',
    async (backfill) => {
      const world = await startQueueWorld([], { nodes: 4, queues: { backfill, drainAfterMs: MINUTE } });
      world.create(gang('huge', 5));
      await world.pass(5 * MINUTE);
      world.create(gang('x', 4, later(world)));
      await scheduleAll(world);
      expect(runningOf(world, 'x')).toEqual(['x']);
      expect(world.reasonOf('huge')).not.toBe('');
    },
  );
});

describe('a gang with a hold', () => {
  test('is not placed, reserves nothing and starts when it is released', async () => {
    const world = await startQueueWorld([], { nodes: 2 });
    world.create(gang('x', 2, { annotations: { 'muster.dev/hold': 'true' } }), gang('y', 2, later(world)));
    await scheduleAll(world);
    expect(world.reasonOf('x')).toMatch(/hold/);
    expect(runningOf(world, 'y')).toEqual(['y']);
    end(world, 'y');
    await world.pass(MINUTE);
    annotate(world, 'x', 'muster.dev/hold', undefined);
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('gives its slots back', async () => {
    const world = await startQueueWorld([], { nodes: 2 });
    world.create(gang('x', 2));
    await world.settle();
    expect(world.stateOf('x')).toBe('Nominated');
    annotate(world, 'x', 'muster.dev/hold', 'true');
    await scheduleAll(world);
    expect([world.stateOf('x'), world.slotsOf('x'), world.nominations('x')]).toEqual(['Pending', {}, {}]);
    annotate(world, 'x', 'muster.dev/hold', undefined);
    await world.pass(5 * SECOND);
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('that runs continues', async () => {
    const world = await startQueueWorld([], { nodes: 2 });
    world.create(gang('x', 2));
    await scheduleAll(world);
    annotate(world, 'x', 'muster.dev/hold', 'true');
    await world.pass(MINUTE);
    expect(runningOf(world, 'x')).toEqual(['x']);
    expect(world.evictions()).toEqual([]);
  });

  test('that preempts spares its victims', async () => {
    const world = await startQueueWorld([], { nodes: 1 });
    world.running('low', ['n0'], { graceSeconds: 30 });
    world.create(gang('x', 1, { priority: 10 }));
    world.cluster.trouble({ verb: 'evict', how: 'failed' });
    await world.settle();
    expect(world.stateOf('x')).toBe('Preempting');
    annotate(world, 'x', 'muster.dev/hold', 'true');
    world.cluster.heal();
    await world.pass(MINUTE);
    expect(world.evictions()).toEqual([]);
    expect(world.pod('low-0').metadata.annotations).not.toHaveProperty(['muster.dev/preempted-by']);
    expect(world.stateOf('x')).toBe('Pending');
  });
});

function isBound(world: World, name: string): boolean {
  return world.pod(name).spec.nodeName !== undefined && world.pod(name).status.phase !== 'Succeeded';
}

test('a pod that is being bound does not hide that a gang as large as the cluster can fit', async () => {
  const world = await startQueueWorld([{ name: 'q' }], { nodes: 1 });
  world.create(pod('lone', { gpus: 8 }));
  world.cluster.trouble({ verb: 'bind', how: 'ok', hangs: true });
  const binding = world.schedule('lone');
  await world.settle();
  world.create(gang('large', 1));
  await world.settle();
  expect(world.muster.view.queues.plannedStarts().map((start) => start.gang)).toEqual(['default/large']);
  world.cluster.letGo();
  await binding;
});
