/** Members whose label changes: they leave their slot, the barrier and their nomination at once, and complete nobody. */
import { describe, expect, test } from 'vitest';
import { GATE, gang, SECOND, startWorld, verdicts, type World } from '../../support/scenario.ts';

const LABEL = 'muster.dev/pod-group';

/** Moves a member to another gang, or (undefined) out of any. */
function move(world: World, pod: string, to: string | undefined): void {
  world.cluster.update('Pod', `default/${pod}`, ({ metadata }) => {
    if (to === undefined) delete metadata.labels![LABEL];
    else metadata.labels = { ...metadata.labels, [LABEL]: to };
  });
}

describe('a member that leaves its gang', () => {
  test('while it is held at the barrier: its call is rejected, and the gang does not open with it', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 4));
    await world.settle();
    const held = world.bindAll('a-0', 'a-1', 'a-2');
    await world.settle();
    expect(verdicts(held)).toEqual(['held', 'held', 'held']);
    move(world, 'a-0', undefined);
    await held[0]!.done;
    expect(held[0]!.verdict).toBe('gang default/a: the pod left the gang');
    const last = world.bind('a-3');
    await world.settle();
    expect([held[1]!.verdict, held[2]!.verdict, last.verdict], 'three of four').toEqual(['held', 'held', 'held']);
    await world.pass(60 * SECOND);
    expect(world.boundTo()).toEqual({});
    expect(world.stateOf('a')).toBe('Gathering');
  });

  test('gives up its slot before the next cycle, and what was written is erased', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    move(world, 'a-1', undefined);
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-0']);
    await world.settle();
    expect(world.pod('a-1').status.nominatedNodeName).toBeUndefined();
    expect(world.records()).toEqual({ 'a-0': expect.any(String) });
  });

  test('as the last one: it is cleaned and let go although its gang is gone', async () => {
    const world = await startWorld({ nodes: 1 });
    world.cluster.trouble({ verb: 'ungate', how: 'failed', times: 3 });
    world.create(gang('a', 1, { gated: true }));
    await world.settle();
    move(world, 'a-0', undefined);
    await world.pass(10 * SECOND);
    expect(world.stateOf('a')).toBeUndefined();
    expect(world.records()).toEqual({});
    expect(world.pod('a-0').spec.schedulingGates).toEqual([]);
    await world.schedule();
    expect(world.pod('a-0').spec.nodeName, 'it runs as a lone pod').toBe('n0');
  });

  test('while its gate is being removed: it is free in the end, without nomination', async () => {
    const world = await startWorld({ nodes: 2 });
    world.cluster.trouble({ verb: 'ungate', pod: 'a-0', how: 'ok', hangs: true, times: 1 });
    world.create(gang('a', 2, { gated: true }));
    await world.settle();
    move(world, 'a-0', undefined);
    await world.settle();
    world.cluster.letGo();
    await world.pass(5 * SECOND);
    expect(world.pod('a-0').spec.schedulingGates).toEqual([]);
    expect(world.pod('a-0').status.nominatedNodeName).toBeUndefined();
    expect(Object.keys(world.records())).not.toContain('a-0');
  });

  test('while its nomination is being written: what arrives late is erased', async () => {
    const world = await startWorld({ nodes: 2 });
    world.cluster.trouble({ verb: 'nominate', pod: 'a-0', how: 'ok', hangs: true, times: 1 });
    world.create(gang('a', 2, { gated: true }));
    await world.settle();
    move(world, 'a-0', undefined);
    await world.settle();
    world.cluster.letGo();
    await world.pass(5 * SECOND);
    expect(world.pod('a-0').status.nominatedNodeName).toBeUndefined();
    expect(Object.keys(world.records())).not.toContain('a-0');
  });

  test.each([
    ['succeeds', 'ok', 'bound'],
    ['fails', 'failed', 'injected: internal error'],
  ] as const)(
    'while its binding is being written, which %s: its node is given to nobody else',
    async (_, how, verdict) => {
      const world = await startWorld({ nodes: 2 });
      world.create(gang('a', 2, { min: 1 }));
      await world.settle();
      world.cluster.trouble({ verb: 'bind', pod: 'a-0', how, hangs: true, times: 1 });
      const [first, second] = world.bindAll('a-0', 'a-1');
      await world.settle();
      expect(second!.verdict).toBe('bound');
      move(world, 'a-0', undefined);
      world.create(gang('b', 1));
      await world.settle();
      expect(world.slotsOf('b'), 'the node of a-0 is taken').toEqual({});
      world.cluster.letGo();
      await first!.done;
      expect(first!.verdict).toBe(verdict);
      await world.pass(5 * SECOND);
      expect(world.overbooked()).toEqual([]);
      expect(Object.keys(world.slotsOf('b')), 'free again only without the binding').toHaveLength(how === 'ok' ? 0 : 1);
    },
  );

  test('because another controller gates it now: it is in no gang until that gate is gone', async () => {
    const world = await startWorld({ nodes: 2 });
    world.cluster.trouble({ verb: 'ungate', how: 'ok', hangs: true });
    world.create(gang('a', 2, { gated: true }));
    await world.settle();
    world.cluster.update('Pod', 'default/a-0', ({ spec }) => {
      spec.schedulingGates = [{ name: GATE }, { name: 'example.com/quota' }];
    });
    await world.settle();
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-1']);
    expect(Object.keys(world.records())).toEqual(['a-1']);
    expect(world.pod('a-0').spec.schedulingGates, 'both stay').toHaveLength(2);
  });
});

describe('a member that moves to another gang', () => {
  test('keeps its gate, and its old nomination is erased while the new gang waits', async () => {
    const world = await startWorld({ nodes: 2 });
    world.cluster.trouble({ verb: 'ungate', how: 'failed' });
    world.create(gang('a', 2, { gated: true }));
    await world.settle();
    expect(Object.keys(world.nominations('a'))).toEqual(['a-0', 'a-1']);
    move(world, 'a-1', 'b');
    await world.pass(2 * SECOND);
    expect(world.stateOf('b'), 'one of two').toBe('Gathering');
    expect(world.nominations('b')).toEqual({});
    expect(world.records('b')).toEqual({});
    expect(world.gated('b')).toEqual(['a-1']);
  });

  test('is planned there, and nothing of the old gang comes back', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('b', 1, { min: 2, gated: true }), gang('a', 2, { gated: true }));
    await world.settle();
    move(world, 'a-1', 'b');
    await world.pass(5 * SECOND);
    expect(world.stateOf('b')).toBe('Nominated');
    expect(Object.keys(world.slotsOf('b'))).toEqual(['a-1', 'b-0']);
    await world.pass(20 * SECOND);
    expect(Object.keys(world.nominations('b')), 'also after gang a has given up').toEqual(['a-1', 'b-0']);
    await world.schedule();
    expect(Object.keys(world.boundTo('b'))).toEqual(['a-1', 'b-0']);
  });

  test('keeps its new nomination although the old gang has yet to erase its own', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('b', 1, { min: 2 }), gang('a', 2));
    await world.settle();
    world.cluster.trouble({ verb: 'clear', how: 'failed' });
    world.cluster.update('Pod', 'default/a-0', ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, 'muster.dev/hold': 'true' };
    });
    await world.settle();
    expect(world.slotsOf('a'), 'released, and still written').toEqual({});
    expect(Object.keys(world.nominations('a'))).toEqual(['a-0', 'a-1']);
    move(world, 'a-1', 'b');
    await world.settle();
    const from = world.cluster.writes.length;
    world.cluster.heal();
    await world.pass(10 * SECOND);
    const written = world.cluster.writes.slice(from).filter(({ pod }) => pod === 'a-1');
    expect(written.map(({ verb }) => verb)).toEqual(['nominate']);
    expect(Object.keys(world.nominations('b'))).toEqual(['a-1', 'b-0']);
  });

  test('and back again before a cycle is planned anew', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    move(world, 'a-1', 'b');
    move(world, 'a-1', 'a');
    await world.settle();
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-0', 'a-1']);
    await world.schedule();
    expect(Object.keys(world.boundTo('a'))).toEqual(['a-0', 'a-1']);
  });
});
