import { describe, expect, test } from 'vitest';
import { GATE, gang, pod, SECOND, startWorld } from '../../support/scenario.ts';

describe('members that carry the gate', () => {
  test('stay gated and untouched while the gang gathers', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 4, { gated: true }).slice(0, 3));
    await world.pass(60 * SECOND);
    expect(world.cluster.writes, 'no half-started launcher pods, no patches').toEqual([]);
    expect(world.gated('a')).toHaveLength(3);
  });

  test('stay gated and untouched while there is no capacity', async () => {
    const world = await startWorld({ nodes: 4 });
    world.running('old', ['n3']);
    world.create(gang('a', 4, { gated: true }));
    await world.pass(60 * SECOND);
    expect(world.stateOf('a')).toBe('Pending');
    expect(world.cluster.writes).toEqual([]);
  });

  test('are nominated first, all of them, and only then ungated', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 4, { gated: true }));
    await world.settle();
    expect(world.cluster.writes.map(({ verb }) => verb)).toEqual([
      ...['nominate', 'nominate', 'nominate', 'nominate'],
      ...['ungate', 'ungate', 'ungate', 'ungate'],
    ]);
    expect(world.gated('a')).toEqual([]);
    expect(Object.keys(world.nominations('a'))).toHaveLength(4);
    await world.schedule();
    expect(world.stateOf('a')).toBe('Running');
  });

  test('wait for the one whose nomination fails, and are ungated when it is written', async () => {
    const world = await startWorld({ nodes: 4 });
    world.cluster.trouble({ verb: 'nominate', pod: 'a-2', how: 'failed', times: 3 });
    world.create(gang('a', 4, { gated: true }));
    await world.pass(2 * SECOND);
    expect(world.cluster.countWrites().ungate, 'one could still turn out to be gone').toBeUndefined();
    await world.pass(2 * SECOND);
    expect(world.gated('a'), 'the fourth try is written').toEqual([]);
  });

  test('work in one gang with members without it', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 2, { min: 4, gated: true }), gang('a', 4, { from: 2, min: 4 }));
    await world.settle();
    expect(world.gated('a')).toEqual([]);
    await world.schedule();
    expect(Object.keys(world.boundTo('a'))).toHaveLength(4);
  });

  test('keep it if they exceed the minimum and do not fit', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 3, { min: 2, gated: true }));
    await world.settle();
    expect(world.gated('a'), 'no filter calls and back-off for who has no slot').toHaveLength(1);
    expect(Object.keys(world.nominations('a'))).toHaveLength(2);
  });

  test('are tried again once a second when the gate removal fails', async () => {
    const world = await startWorld({ nodes: 2 });
    world.cluster.trouble({ verb: 'ungate', pod: 'a-1', how: 'failed', times: 5 });
    world.create(gang('a', 2, { gated: true }));
    await world.pass(4 * SECOND);
    expect(world.gated('a')).toEqual(['a-1']);
    await world.pass(2 * SECOND);
    expect(world.gated('a')).toEqual([]);
    expect(world.cluster.countWrites().ungate, 'one, and one with its five failures').toBe(7);
  });

  test("are left alone while another controller's gate is on them", async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2, { spec: { schedulingGates: [{ name: GATE }, { name: 'kueue.x-k8s.io/admission' }] } }));
    await world.pass(5 * SECOND);
    expect(world.cluster.writes, 'never fight another controller').toEqual([]);
    expect(world.stateOf('a')).toBeUndefined();
  });
});

describe('members that bypass the extender, with the gate and without a managed resource', () => {
  const withLauncher = (workers: number) => [
    ...gang('a', workers, { min: workers + 1, gated: true }),
    pod('a-launcher', {
      gpus: 0,
      labels: { 'muster.dev/pod-group': 'a' },
      annotations: { 'muster.dev/min-members': String(workers + 1) },
      spec: { schedulingGates: [{ name: GATE }] },
    }),
  ];

  test('are nominated with the others, and ungated only when the barrier has opened for them', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(withLauncher(2));
    await world.settle();
    expect(Object.keys(world.nominations('a')), 'the launcher too').toEqual(['a-0', 'a-1', 'a-launcher']);
    expect(world.gated('a'), 'it never calls bind, so it would start alone').toEqual(['a-launcher']);
    const first = world.bind('a-0');
    await world.settle();
    expect(first.verdict, 'one of two workers').toBe('held');
    expect(world.gated('a')).toEqual(['a-launcher']);
    const second = world.bind('a-1');
    await world.settle();
    expect([first.verdict, second.verdict], 'the launcher counts as present').toEqual(['bound', 'bound']);
    expect(world.gated('a')).toEqual([]);
  });

  test('wait for the barrier as long as needed, without work for the decision loop', async () => {
    const world = await startWorld({ nodes: 3, barrierTimeoutMs: 600 * SECOND });
    world.create(withLauncher(2));
    await world.settle();
    world.bindAll('a-0');
    await world.pass(20 * SECOND);
    const before = await world.rounds();
    await world.pass(5 * SECOND);
    expect((await world.rounds()) - before, 'nothing changes, so there is nothing to decide').toBeLessThan(10);
    expect(world.gated('a')).toContain('a-launcher');
  });

  test('can be the whole gang: it starts when all are nominated', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2, { bypassing: true }));
    await world.settle();
    const order = world.cluster.writes.map(({ verb }) => verb);
    expect(order.slice(0, 2), 'nobody starts while another is not nominated').toEqual(['nominate', 'nominate']);
    expect(world.gated('a')).toEqual([]);
  });

  test('are not needed at the barrier when enough others are held', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(
      withLauncher(2).map((raw) => {
        raw.metadata.annotations!['muster.dev/min-members'] = '2';
        return raw;
      }),
    );
    await world.settle();
    const calls = world.bindAll('a-0', 'a-1');
    await world.settle();
    expect(calls.map(({ verdict }) => verdict)).toEqual(['bound', 'bound']);
    expect(world.gated('a')).toEqual([]);
  });

  test('do not hide that a member never reaches the extender at all', async () => {
    const world = await startWorld({ nodes: 3 });
    const launcher = withLauncher(2)[2]!;
    launcher.spec.schedulingGates = [];
    world.create(withLauncher(2).slice(0, 2), launcher);
    await world.settle();
    expect(world.cluster.writes, 'the gang waits').toEqual([]);
    const { reason } = await world.inspect('a');
    expect(reason).toContain('pod a-launcher never reaches the extender');
    expect(world.told.join('\n'), 'people are told').toContain('set requests and limits muster.dev/member: 1');
  });
});
