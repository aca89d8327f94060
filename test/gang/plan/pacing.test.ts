import { describe, expect, test } from 'vitest';
import { gang, SECOND, startWorld } from '../../support/scenario.ts';

const GATED = { gated: true };
const names = (of: string, from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${of}-${from + i}`);

describe('large gangs that are complete at the same time', () => {
  test('start one after the other: the next when nearly all members of the first are at the barrier', async () => {
    const world = await startWorld({ nodes: 400 });
    world.create(gang('a', 200, GATED), gang('b', 200, GATED));
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
    expect(world.stateOf('b')).toBe('Pending');
    expect(Object.keys(world.records('b')), 'it holds nothing').toEqual([]);
    expect((await world.inspect('b')).reason).toBe('complete, waiting to be planned');
    world.bindAll(...names('a', 0, 60));
    await world.pass(SECOND);
    expect(world.stateOf('b'), '140 of a are on their way').toBe('Pending');
    world.bindAll(...names('a', 60, 80));
    await world.pass(SECOND);
    expect(world.stateOf('b'), 'no event but the time led to this').toBe('Nominated');
  });

  test('start one after the other also when planned before their last members exist', async () => {
    const world = await startWorld({ nodes: 400 });
    const pods = [gang('a', 200, GATED), gang('b', 200, GATED)];
    for (let i = 0; i < 190; i += 10) {
      for (const all of pods) world.create(all.slice(i, i + 10));
      await world.pass(SECOND / 20);
    }
    expect(world.stateOf('a')).toBe('Nominated');
    expect(world.stateOf('b')).toBe('Gathering');
  });

  test('do not delay small gangs', async () => {
    const world = await startWorld({ nodes: 24 });
    world.create(gang('a', 8), gang('b', 8), gang('c', 8));
    await world.settle();
    expect(['a', 'b', 'c'].map((name) => world.stateOf(name))).toEqual(['Nominated', 'Nominated', 'Nominated']);
  });

  test('do not wait without the gate: waiting unnominated would cost kube-scheduler more', async () => {
    const world = await startWorld({ nodes: 400 });
    world.create(gang('a', 200), gang('b', 200));
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
    expect(world.stateOf('b')).toBe('Nominated');
  });

  test('do not wait for one that is stuck', async () => {
    const world = await startWorld({ nodes: 400 });
    world.create(gang('a', 200, GATED), gang('b', 200, GATED));
    await world.settle();
    await world.pass(9 * SECOND);
    expect(world.stateOf('b')).toBe('Pending');
    await world.pass(2 * SECOND);
    expect(world.stateOf('a')).toBe('Nominated');
    expect(world.stateOf('b')).toBe('Nominated');
  });

  test('wait also for one that moves nothing while its gates are being removed', async () => {
    const world = await startWorld({ nodes: 400 });
    world.create(gang('a', 200, GATED), gang('b', 200, GATED));
    world.cluster.trouble({ verb: 'ungate', how: 'ok', hangs: true, times: 1_000 });
    await world.settle();
    await world.pass(12 * SECOND);
    expect(world.stateOf('a')).toBe('Nominated');
    expect(world.stateOf('b'), 'a slow API server is no reason to write more').toBe('Pending');
  });

  test('wait also for one that kube-scheduler has not come to', async () => {
    const world = await startWorld({ nodes: 420 });
    world.create(gang('before', 20));
    await world.pass(SECOND);
    world.create(gang('a', 200, GATED), gang('b', 200, GATED));
    await world.settle();
    for (let i = 0; i < 12; i++) {
      world.bindAll(`before-${i}`);
      await world.pass(SECOND);
    }
    expect(world.stateOf('a')).toBe('Nominated');
    expect(world.stateOf('b')).toBe('Pending');
  });

  test('do not delay the replacement of a running gang', async () => {
    const world = await startWorld({ nodes: 400 });
    world.create(gang('r', 2));
    await world.settle();
    await world.schedule();
    world.create(gang('a', 200, GATED));
    await world.settle();
    world.delete('r-1');
    world.create(gang('r', 2, { from: 1 }));
    await world.settle();
    expect(Object.keys(world.slotsOf('r'))).toEqual(['r-1']);
  });
});
