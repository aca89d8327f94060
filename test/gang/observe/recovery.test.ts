import { describe, expect, test } from 'vitest';
import { gang, PLAN, pod, SECOND, startWorld, verdicts, type World } from '../../support/scenario.ts';

async function nominated(size: number, nodes: number, options: Parameters<typeof gang>[2] = {}): Promise<World> {
  const world = await startWorld({ nodes });
  world.create(gang('a', size, options));
  await world.settle();
  return world;
}

describe('after a restart', () => {
  test('the slots are read back from the plan annotations, and nothing is written', async () => {
    const world = await nominated(3, 4);
    const before = world.slotsOf('a');
    const writes = world.cluster.writes.length;
    await world.restart();
    expect(world.slotsOf('a'), 'the annotation is the record').toEqual(before);
    expect(world.cluster.writes).toHaveLength(writes);
    await world.schedule();
    expect(world.boundTo('a')).toEqual(before);
  });

  test('the reservations hold from the first answer on', async () => {
    const world = await nominated(3, 3);
    world.create(pod('web'));
    await world.restart();
    expect((await world.filter('web')).NodeNames).toEqual([]);
  });

  test('a gang that was half nominated is completed', async () => {
    const world = await startWorld({ nodes: 4 });
    for (const name of ['a-2', 'a-3']) world.cluster.trouble({ verb: 'nominate', pod: name, how: 'ok', hangs: true });
    world.create(gang('a', 4));
    await world.settle();
    const half = world.nominations('a');
    expect(Object.keys(half)).toEqual(['a-0', 'a-1']);
    world.cluster.heal();
    await world.restart();
    expect(world.slotsOf('a'), 'the half stays where it is').toMatchObject(half);
    expect(Object.keys(world.nominations('a'))).toHaveLength(4);
    expect(new Set(Object.values(world.nominations('a'))).size, 'no node twice').toBe(4);
  });

  test('a gang that was half bound continues without the barrier', async () => {
    const world = await nominated(4, 4);
    for (const name of ['a-2', 'a-3']) world.cluster.trouble({ verb: 'bind', pod: name, how: 'failed', times: 1 });
    world.bindAll('a-0', 'a-1', 'a-2', 'a-3');
    await world.settle();
    expect(Object.keys(world.boundTo('a'))).toEqual(['a-0', 'a-1']);
    await world.restart();
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-2', 'a-3']);
    const call = world.bind('a-2', world.slotsOf('a')['a-2']!);
    await world.settle();
    expect(call.verdict, 'half a gang runs: the rest is let in as it comes').toBe('bound');
  });

  test('remaining gates are removed', async () => {
    const world = await startWorld({ nodes: 3 });
    world.cluster.trouble({ verb: 'ungate', how: 'ok', hangs: true });
    world.create(gang('a', 3, { gated: true }));
    await world.settle();
    expect(world.gated('a')).toHaveLength(3);
    world.cluster.heal();
    await world.restart();
    expect(world.gated('a')).toEqual([]);
  });

  test('nominations erased in the meantime are written again', async () => {
    const world = await nominated(2, 2);
    const before = world.nominations('a');
    world.muster.kill();
    world.eraseNomination('a-0');
    await world.restart();
    expect(world.nominations('a')).toEqual(before);
  });

  test('calls that were held come again and are held with a new clock', async () => {
    const world = await nominated(3, 3);
    const held = world.bindAll('a-0', 'a-1');
    await world.settle();
    await world.restart();
    expect(verdicts(held)).toEqual(['the connection broke', 'the connection broke']);
    const again = world.bindAll('a-0', 'a-1', 'a-2');
    await world.settle();
    expect(verdicts(again)).toEqual(['bound', 'bound', 'bound']);
  });

  test('a bind call whose binding was written succeeds when it is repeated', async () => {
    const world = await nominated(2, 2);
    world.bindAll('a-0', 'a-1');
    await world.settle();
    await world.restart();
    const again = world.bind('a-0', world.boundTo('a')['a-0']!);
    await world.settle();
    expect(again.verdict).toBe('bound');
  });

  test('a record of a node that is gone is erased, and the member is planned again', async () => {
    const world = await nominated(2, 3);
    const { 'a-0': node = '' } = world.slotsOf('a');
    world.muster.kill();
    world.cluster.delete('Node', node);
    await world.restart();
    expect(world.slotsOf('a')['a-0']).toMatch(/^n/);
    expect(world.slotsOf('a')['a-0']).not.toBe(node);
    expect(world.nominations('a')).toEqual(world.slotsOf('a'));
  });

  test('a record of a node that is gone is erased even when no other node fits', async () => {
    const world = await nominated(2, 2);
    world.muster.kill();
    world.cluster.delete('Node', 'n0');
    world.cluster.delete('Node', 'n1');
    await world.restart();
    expect(world.records('a')).toEqual({});
    expect(world.stateOf('a')).toBe('Unsatisfiable');
  });

  test('a record is not adopted if its capacity was given away in the meantime', async () => {
    const world = await nominated(2, 3);
    const { 'a-0': node = '' } = world.slotsOf('a');
    world.muster.kill();
    world.create(pod('urgent', { priority: 9, nodeName: node }));
    await world.restart();
    expect(world.overbooked()).toEqual([]);
    expect(Object.keys(world.nominations('a')), 'planned around it').toHaveLength(2);
  });

  test('two gangs with records of the same node: the one of higher priority keeps it', async () => {
    const world = await startWorld({ nodes: 2 });
    const record = (raw: ReturnType<typeof pod>, node: string) => {
      raw.metadata.annotations![PLAN] = `old/${node}/1`;
      raw.status.nominatedNodeName = node;
      return raw;
    };
    world.muster.kill();
    world.create(
      gang('a', 1).map((raw) => record(raw, 'n0')),
      gang('b', 1, { priority: 1 }).map((raw) => record(raw, 'n0')),
    );
    await world.restart();
    expect(world.slotsOf('b')).toEqual({ 'b-0': 'n0' });
    expect(world.slotsOf('a')).toEqual({ 'a-0': 'n1' });
    expect(world.nominations(), 'and so it is written').toEqual({ 'a-0': 'n1', 'b-0': 'n0' });
  });

  test.each(['', 'nonsense', 'p/n0', 'p/n0/x', 'p//1', 'p/n0/1/2'])(
    'an invalid record (%j) is ignored and written again',
    async (text) => {
      const world = await startWorld({ nodes: 2 });
      world.muster.kill();
      world.create(gang('a', 1, { annotations: { [PLAN]: text } }));
      await world.restart();
      expect(world.nominations('a')).toEqual(world.slotsOf('a'));
      expect(world.records('a')['a-0']).not.toBe(text);
    },
  );

  test('attempt numbers continue, so that the next write is an event', async () => {
    const world = await nominated(1, 1);
    world.eraseNomination('a-0');
    await world.settle();
    expect(world.records('a')['a-0']).toMatch(/\/2$/);
    await world.restart();
    world.eraseNomination('a-0');
    await world.settle();
    expect(world.records('a')['a-0']).toMatch(/\/3$/);
  });

  test('members that left in the meantime cost the gang its slots after a moment, as usual', async () => {
    const world = await nominated(3, 3);
    world.muster.kill();
    world.delete('a-1');
    await world.restart();
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-0', 'a-2']);
    await world.pass(2 * SECOND);
    expect(world.nominations('a')).toEqual({});
  });

  test('nothing of the killed process goes on, not even what waited for an answer', async () => {
    const world = await startWorld({ nodes: 2 });
    world.cluster.trouble({ verb: 'nominate', how: 'failed', hangs: true });
    world.create(gang('a', 2));
    await world.settle();
    world.muster.kill();
    world.cluster.letGo();
    await world.settle();
    expect(world.clock.next).toBe(Number.POSITIVE_INFINITY);
  });

  test('no call is answered until recovery is done', async () => {
    const world = await nominated(1, 1);
    world.muster.kill();
    const { app } = world.startUnrecovered();
    const body = JSON.stringify({ Pod: world.pod('a-0'), Nodes: null, NodeNames: ['n0'] });
    const response = await app.request('/scheduler/filter', { method: 'POST', body });
    expect(response.status, 'a 500 would erase nothing less, but say nothing').toBe(200);
    expect(await response.json()).toEqual({ Error: expect.stringContaining('not ready yet') });
  });
});
