import { describe, expect, test } from 'vitest';
import { gang, SECOND, startWorld } from '../../support/scenario.ts';

/** A failing API server must not be asked more often than once a second for each pod. */
const MINUTE = 60 * SECOND;

describe('an API server that always refuses is asked about once a second, not in a loop', () => {
  test.each([
    ['nominations', 'nominate', {}],
    ['gate removals', 'ungate', { gated: true }],
  ] as const)('%s', async (_, verb, options) => {
    const world = await startWorld({ nodes: 2 });
    world.cluster.trouble({ verb, how: 'forbidden' });
    world.create(gang('a', 2, options));
    const before = await world.rounds();
    await world.pass(MINUTE);
    const writes = world.cluster.writes.filter((write) => write.verb === verb);
    const perSecond = new Map<string, number>();
    for (const { at, pod } of writes) {
      const second = `${pod} ${Math.floor(at / SECOND)}`;
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    expect(writes.length, 'it does try').toBeGreaterThan(2);
    expect(Math.max(...perSecond.values())).toBe(1);
    expect(world.cluster.writes.length, 'all verbs together').toBeLessThan(2 * 2 * 60 + 10);
    expect((await world.rounds()) - before, 'and the decision loop sleeps in between').toBeLessThan(60 * 8);
  });

  test('the erasure of nominations', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    world.cluster.trouble({ verb: 'clear', how: 'forbidden' });
    world.delete('a-1');
    const from = world.clock.now();
    await world.pass(MINUTE);
    const { clear = 0 } = world.cluster.countWrites(from);
    expect(clear).toBeGreaterThan(2);
    expect(clear).toBeLessThanOrEqual(60);
  });

  test('bindings: only when kube-scheduler asks', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    world.cluster.trouble({ verb: 'bind', how: 'forbidden' });
    for (let second = 0; second < 30; second++) {
      await world.schedule();
      await world.pass(SECOND);
    }
    const { bind = 0, nominate = 0 } = world.cluster.countWrites();
    expect(bind).toBeLessThanOrEqual(2 * 31);
    expect(nominate, 'each erased nomination is written once').toBeLessThanOrEqual(2 * 33);
    expect(world.boundTo()).toEqual({});
  });
});

test.each([
  ['nominations', 'nominate'],
  ['gate removals', 'ungate'],
] as const)('a gang whose %s cannot be written does not hold its capacity for ever', async (_, verb) => {
  const world = await startWorld({ nodes: 2 });
  world.cluster.trouble({ verb, pod: 'a-1', how: 'forbidden' });
  world.create(gang('a', 2, { gated: true }));
  await world.settle();
  let freeAt: number | undefined;
  for (let second = 0; second < 40 && freeAt === undefined; second++) {
    await world.pass(SECOND);
    if (world.stateOf('a') === 'Pending') freeAt = second;
  }
  expect(freeAt, 'given back within the nomination timeout').toBeLessThanOrEqual(16);
  expect((await world.inspect('a')).reason).toContain('could not be written');
});

test('a pod that is gone when it is nominated is no failure: the watch will show it', async () => {
  const world = await startWorld({ nodes: 2 });
  world.create(gang('a', 2));
  world.cluster.pauseWatch();
  world.delete('a-1');
  await world.pass(5 * SECOND);
  world.cluster.resumeWatch();
  await world.settle();
  expect(Object.keys(world.slotsOf('a'))).toEqual(['a-0']);
});

test('a new pod never gets the writes meant for an old one of the same name', async () => {
  const world = await startWorld({ nodes: 2 });
  world.cluster.trouble({ verb: 'nominate', pod: 'a-0', how: 'ok', hangs: true, times: 1 });
  world.create(gang('a', 2));
  await world.settle();
  world.delete('a-0');
  world.cluster.pauseWatch();
  world.create(gang('a', 1, { min: 2 }));
  world.cluster.letGo();
  await world.settle();
  expect(world.records('a'), 'the write carried the UID').not.toHaveProperty('a-0');
  world.cluster.resumeWatch();
  await world.settle();
  expect(world.nominations('a')).toEqual(world.slotsOf('a'));
});

test('an answer lost after the write is repaired in the next cycle', async () => {
  const world = await startWorld({ nodes: 2 });
  world.cluster.trouble({ verb: 'nominate', pod: 'a-0', how: 'lost-answer', times: 1 });
  world.create(gang('a', 2));
  await world.pass(2 * SECOND);
  await world.schedule();
  expect(Object.keys(world.boundTo('a'))).toHaveLength(2);
});

test('a late watch: Muster is not confused by its own writes', async () => {
  const world = await startWorld({ nodes: 4 });
  world.create(gang('a', 4));
  await world.settle();
  world.cluster.pauseWatch();
  world.bindAll('a-0', 'a-1', 'a-2', 'a-3');
  await world.pass(10 * SECOND);
  expect(Object.keys(world.boundTo())).toHaveLength(4);
  expect(world.overbooked(), 'slots stay until the bindings are seen').toEqual([]);
  world.cluster.resumeWatch();
  await world.settle();
  expect(world.stateOf('a')).toBe('Running');
  expect(world.slotsOf('a')).toEqual({});
});
