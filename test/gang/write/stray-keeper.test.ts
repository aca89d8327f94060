/** Strays: pods outside gangs that carry our gate or the record of a slot. */
import { describe, expect, test } from 'vitest';
import { GATE, gang, PLAN, pod, SECOND, startWorld } from '../../support/scenario.ts';

const GATED = { schedulingGates: [{ name: GATE }] };

describe('a stray', () => {
  test('that never was in a gang is let go', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('typo', { labels: { 'muster.dev/podgroup': 'a' }, spec: GATED }));
    await world.settle();
    expect(world.pod('typo').spec.schedulingGates).toEqual([]);
    expect(world.told).toEqual([expect.stringContaining('did you mean muster.dev/pod-group?')]);
  });

  test('is found again by the next Muster', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 1, { gated: true }));
    world.cluster.trouble({ verb: 'clear', how: 'failed' });
    await world.settle();
    world.cluster.update('Pod', 'default/a-0', ({ metadata }) => {
      metadata.labels = {};
    });
    await world.pass(3 * SECOND);
    expect(Object.keys(world.records())).toEqual(['a-0']);
    world.cluster.heal();
    await world.restart();
    expect(world.records()).toEqual({});
    expect(world.nominations()).toEqual({});
  });

  test('loses the record before the gate', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('copy', { annotations: { [PLAN]: 'p/n0/1' }, spec: GATED }));
    await world.settle();
    expect(world.cluster.writes.map(({ verb }) => verb)).toEqual(['clear', 'ungate']);
    await world.pass(60 * SECOND);
    expect(world.cluster.writes, 'once').toHaveLength(2);
  });

  test('keeps its gate while the record cannot be erased', async () => {
    const world = await startWorld({ nodes: 1 });
    world.cluster.trouble({ verb: 'clear', how: 'failed' });
    world.create(pod('copy', { annotations: { [PLAN]: 'p/n0/1' }, spec: GATED }));
    await world.pass(10 * SECOND);
    expect(world.pod('copy').spec.schedulingGates).toHaveLength(1);
    world.cluster.heal();
    await world.pass(2 * SECOND);
    expect(world.pod('copy').spec.schedulingGates).toEqual([]);
  });

  test('is not written again while the watch is behind', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('gated', { spec: GATED }));
    world.cluster.pauseWatch();
    await world.pass(60 * SECOND);
    world.addNode('late');
    await world.settle();
    expect(world.cluster.writes).toHaveLength(1);
  });

  test("keeps kube-scheduler's own nomination", async () => {
    const world = await startWorld({ nodes: 2 });
    const copy = pod('copy', { annotations: { [PLAN]: 'p/n0/1' } });
    world.create({ ...copy, status: { ...copy.status, nominatedNodeName: 'n1' } });
    await world.settle();
    expect(world.records()).toEqual({});
    expect(world.nominations()).toEqual({ copy: 'n1' });
  });

  test('is tried again after a failed write, one after the other', async () => {
    const world = await startWorld({ nodes: 1 });
    world.cluster.trouble({ verb: 'ungate', how: 'forbidden', times: 100 });
    for (let i = 0; i < 50; i++) world.create(pod(`p-${i}`, { spec: GATED }));
    await world.settle();
    world.create(gang('a', 1));
    await world.settle();
    expect(Object.keys(world.nominations('a')), 'gangs are not held up').toEqual(['a-0']);
    await world.pass(10 * SECOND);
    expect(world.cluster.list('Pod').filter(({ spec }) => spec.schedulingGates?.length > 0)).toEqual([]);
  });

  test.each<[string, object, string, boolean]>([
    ['with a gang is told how it goes on', { labels: { 'muster.dev/pod-group': 'a' } }, 'in gang a when', false],
    ['without a gang is warned', {}, 'gate muster.dev/gang without a gang: it is removed when', true],
  ])('that another controller gates as well %s, once', async (_, options, note) => {
    const world = await startWorld({ nodes: 1 });
    world.create(
      pod('kueue', {
        ...options,
        spec: { schedulingGates: [...GATED.schedulingGates, { name: 'kueue.x-k8s.io/admission' }] },
      }),
    );
    await world.pass(60 * SECOND);
    world.cluster.update('Pod', 'default/kueue', ({ metadata }) => {
      metadata.labels = { ...metadata.labels, touched: 'yes' };
    });
    await world.pass(600 * SECOND);
    expect(world.told).toEqual([expect.stringContaining(note)]);
    expect(world.told[0]).toContain('kueue.x-k8s.io/admission');
    expect(world.cluster.writes).toEqual([]);
  });
});

test.each<[string, object]>([
  ['of another scheduler', { spec: { ...GATED, schedulerName: 'volcano' } }],
  ['of a native gang', { spec: { ...GATED, schedulingGroup: { name: 'g' } } }],
  ['that is bound', { nodeName: 'n0' }],
])('a pod %s keeps what it carries', async (_, options) => {
  const world = await startWorld({ nodes: 1 });
  world.create(pod('other', { annotations: { [PLAN]: 'p/n0/1' }, ...options }));
  await world.pass(60 * SECOND);
  expect(world.cluster.writes).toEqual([]);
});
