/** A restart of Muster in a cluster without deploy/record-policies.yaml, where tenants have written records themselves. */
import { describe, expect, test } from 'vitest';
import { inQueue, startQueueWorld } from '../../support/queue-worlds.ts';
import { gang, PLAN, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const PREEMPTED_BY = 'muster.dev/preempted-by';
const NOTICE = 'muster.dev/preemption-notice';
const MINUTE = 60 * SECOND;

type Raws = ReturnType<typeof gang>;

/** The members with records of slots on the nodes, as their owner wrote them. */
function recorded(members: Raws, nodes: readonly string[], isNominated = false): Raws {
  for (const [i, { metadata, status }] of members.entries()) {
    metadata.annotations![PLAN] = `forged/${nodes[i]}/1`;
    if (isNominated) status.nominatedNodeName = nodes[i]!;
  }
  return members;
}

function preemptionWith(noticeMs: number) {
  const blockedTimeoutMs = 30 * SECOND;
  return { noticeMs, fenceTimeoutMs: 5 * MINUTE, blockedTimeoutMs, backoffInitialMs: MINUTE, backoffMaxMs: MINUTE };
}

const annotationsOf = (world: World, name: string) => world.pod(name).metadata.annotations ?? {};

describe('a record that no nomination confirms', () => {
  test('gives no slot over the limit of a queue, and is erased', async () => {
    const world = await startQueueWorld([{ name: 'small', limit: 8 }], { nodes: 4 });
    world.muster.kill();
    world.create(recorded(gang('a', 4, inQueue('small')), ['n0', 'n1', 'n2', 'n3']));
    await world.restart();
    expect(world.slotsOf('a')).toEqual({});
    expect(world.records('a')).toEqual({});
    expect(world.nominations('a')).toEqual({});
  });

  test('puts nobody before a gang that has waited for longer', async () => {
    const world = await startWorld({ nodes: 2 });
    world.muster.kill();
    world.create(gang('first', 2), recorded(gang('later', 2, { createdAt: world.clock.now() + SECOND }), ['n0', 'n1']));
    await world.restart();
    expect(Object.keys(world.slotsOf('first'))).toHaveLength(2);
    expect(world.slotsOf('later')).toEqual({});
    expect(world.records('later')).toEqual({});
  });

  test('fences no node that stays full when the victims have left', async () => {
    const world = await startWorld({ nodes: 3, settings: { preemption: preemptionWith(MINUTE) } });
    world.running('old', ['n0', 'n1']);
    world.create(pod('equal', { gpus: 8, priority: 9, nodeName: 'n2' }));
    world.create(gang('high', 2, { priority: 9 }));
    await world.settle();
    expect(Object.values(world.slotsOf('high')).sort()).toEqual(['n0', 'n1']);
    world.muster.kill();
    world.cluster.update('Pod', 'default/high-0', ({ metadata }) => {
      metadata.annotations![PLAN] = 'forged/n2/1';
    });
    await world.restart();
    expect(Object.values(world.slotsOf('high')).sort(), 'decided again').toEqual(['n0', 'n1']);
    expect(world.stateOf('high')).toBe('Preempting');
  });

  test('takes no node from a gang that was nominated, whatever its priority', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('honest', 2));
    await world.settle();
    const slots = world.slotsOf('honest');
    world.muster.kill();
    world.create(
      recorded(gang('forger', 2, { priority: 9, annotations: { 'muster.dev/hold': 'true' } }), ['n0', 'n1']),
    );
    await world.restart();
    expect(world.slotsOf('honest')).toEqual(slots);
  });
});

describe('slots that kube-scheduler was told', () => {
  const annotated = (key: string, value: string) => (raw: Raws[number]) => {
    raw.metadata.annotations = { ...raw.metadata.annotations, [`muster.dev/${key}`]: value };
  };
  const intoQueue = (queue: string) => (raw: Raws[number]) => {
    raw.metadata.labels = { ...raw.metadata.labels, 'muster.dev/queue': queue };
  };
  const restarted = async (world: World, change: (raw: Raws[number]) => void) => {
    world.muster.kill();
    for (const name of ['a-0', 'a-1']) world.cluster.update('Pod', `default/${name}`, change);
    await world.restart();
  };

  test.each<[string, (raw: Raws[number]) => void]>([
    ['is held now', annotated('hold', 'true')],
    ['has a bad value now', annotated('slice-size', 'many')],
    ['names a queue without quota for it', intoQueue('small')],
    ['names no queue that exists', intoQueue('none')],
  ])('are given up when the gang %s', async (_, change) => {
    const world = await startQueueWorld([{ name: 'small', limit: 8 }], { nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    expect(Object.keys(world.slotsOf('a'))).toHaveLength(2);
    await restarted(world, change);
    expect(world.slotsOf('a')).toEqual({});
    expect(world.nominations('a')).toEqual({});
  });

  test('stay when the gang has bound members: what runs in part goes on', async () => {
    const world = await startQueueWorld([{ name: 'small', limit: 8 }], { nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    world.cluster.trouble({ verb: 'bind', pod: 'a-1', how: 'failed', times: 1 });
    world.bindAll('a-0', 'a-1');
    await world.settle();
    expect(Object.keys(world.boundTo('a'))).toEqual(['a-0']);
    await restarted(world, intoQueue('small'));
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-1']);
  });
});

describe('a pod that names a preemptor', () => {
  const mark = (by: string, at: string) => ({ [PREEMPTED_BY]: by, [NOTICE]: at });
  const NEXT_YEAR = '2027-01-01T00:00:00Z';

  test('freezes no gang that preempts nobody', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('honest', 2));
    await world.settle();
    world.muster.kill();
    world.running('forger', ['n2'], { annotations: mark('default/honest', NEXT_YEAR) });
    await world.restart();
    expect(world.stateOf('honest')).toBe('Nominated');
    expect(annotationsOf(world, 'forger-0')).not.toHaveProperty([PREEMPTED_BY]);
    await world.schedule();
    expect(world.stateOf('honest')).toBe('Running');
    expect(world.evictions()).toEqual([]);
  });

  test('is no victim of a gang on whose planned nodes it is not', async () => {
    const world = await startWorld({ nodes: 3, settings: { preemption: preemptionWith(MINUTE) } });
    world.running('old', ['n0', 'n1'], {});
    world.create(pod('forger', { gpus: 8, nodeName: 'n2', annotations: mark('default/high', NEXT_YEAR) }));
    world.create(gang('high', 2, { priority: 9 }));
    await world.settle();
    expect(world.stateOf('high')).toBe('Preempting');
    world.muster.kill();
    world.cluster.update('Pod', 'default/forger', ({ metadata }) => {
      metadata.annotations = mark('default/high', NEXT_YEAR);
    });
    await world.restart();
    expect(world.stateOf('high')).toBe('Preempting');
    await world.pass(2 * MINUTE);
    expect(world.evictions().toSorted()).toEqual(['old-0', 'old-1']);
  });

  test('has no longer notice than Muster gives', async () => {
    const world = await startWorld({ nodes: 2, settings: { preemption: preemptionWith(MINUTE) } });
    world.running('old', ['n0', 'n1']);
    world.create(gang('high', 2, { priority: 9 }));
    await world.settle();
    world.muster.kill();
    for (const name of ['old-0', 'old-1']) {
      world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
        metadata.annotations![NOTICE] = NEXT_YEAR;
      });
    }
    await world.restart();
    await world.pass(MINUTE + SECOND);
    expect(world.evictions()).toHaveLength(2);
  });

  test('and ends in a year delays its preemptor by an hour', async () => {
    const world = await startWorld({ nodes: 2, settings: { preemption: preemptionWith(0) } });
    world.running('old', ['n0', 'n1'], { graceSeconds: 31_536_000 });
    world.create(gang('high', 2, { priority: 9 }));
    await world.pass(59 * MINUTE);
    for (const name of ['n2', 'n3']) world.addNode(name);
    await world.settle();
    expect(Object.values(world.slotsOf('high')).sort(), 'the fence stands').toEqual(['n0', 'n1']);
    await world.pass(6 * MINUTE + 5 * SECOND);
    expect(Object.values(world.slotsOf('high')).sort()).toEqual(['n2', 'n3']);
  });
});
