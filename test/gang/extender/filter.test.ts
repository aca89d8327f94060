import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const ALL = ['n0', 'n1', 'n2', 'n3'];

async function plannedGang(size = 2, nodes = 4): Promise<World> {
  const world = await startWorld({ nodes });
  world.create(gang('a', size));
  await world.settle();
  return world;
}

describe('a member with a slot', () => {
  test('goes to its node when it is offered', async () => {
    const world = await plannedGang();
    const { 'a-0': node = '' } = world.slotsOf('a');
    expect(await world.filter('a-0', [node]), 'the nominated node alone').toEqual({ NodeNames: [node] });
    expect(await world.filter('a-0', ALL), 'among others').toEqual({ NodeNames: [node] });
  });

  test('gets no node when its own is not offered, and no node is a candidate for preemption', async () => {
    const world = await plannedGang();
    const { 'a-0': node } = world.slotsOf('a');
    const answer = await world.filterEarly(
      'a-0',
      ALL.filter((name) => name !== node),
    );
    expect(answer.NodeNames).toEqual([]);
    expect(answer.FailedNodes, 'FailedNodes would start useless dry runs').toBeUndefined();
    expect(Object.keys(answer.FailedAndUnresolvableNodes!), 'one synthetic key, whatever was offered').toEqual([
      'muster.dev/gang',
    ]);
  });
});

describe('a member without a slot', () => {
  test('gets a text that stays the same while the gang gathers', async () => {
    const world = await startWorld({ nodes: 4 });
    const texts: unknown[] = [];
    for (const member of gang('a', 4).slice(0, 3)) {
      world.create(member);
      await world.settle();
      texts.push(await world.filter('a-0', ALL));
    }
    expect(texts[0]).toEqual({
      NodeNames: [],
      FailedAndUnresolvableNodes: {
        'muster.dev/gang': 'gang default/a waits for all its members to be created',
      },
    });
    expect(new Set(texts.map((text) => JSON.stringify(text))).size, 'each change costs a status patch per pod').toBe(1);
  });

  test('gets another text only when the kind of cause changes, without counts and percent signs', async () => {
    const world = await startWorld({ nodes: 3 });
    world.running('old', ['n1', 'n2'], { priority: 9 });
    const texts: string[] = [];
    const ask = async () => {
      await world.settle();
      texts.push((await world.filter('a-0', ['n0'])).FailedAndUnresolvableNodes!['muster.dev/gang']!);
    };
    world.create(gang('a', 3).slice(0, 2));
    await ask();
    world.create(gang('a', 3).slice(2));
    await ask();
    world.finish('old-0');
    await ask();
    expect(texts[0]).toContain('waits for all its members to be created');
    expect(texts[1]).toContain('waits for room');
    expect(texts[2], 'room for 2 instead of 1 is not another kind of cause').toBe(texts[1]);
    for (const text of texts) expect(text).not.toMatch(/\d of \d|%/);
  });

  test('is answered from the table: nothing is planned inside the call', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 2));
    const answer = await world.filter('a-0', ALL);
    expect(answer.NodeNames, 'complete, but no round was run yet').toEqual([]);
    expect(world.cluster.writes, 'the call itself wrote nothing').toEqual([]);
    await world.settle();
    expect(Object.keys(world.slotsOf('a')), 'the round that the pods woke plans it').toEqual(['a-0', 'a-1']);
  });

  test.each([
    ['that gathers', (world: World) => world.create(gang('b', 3).slice(0, 2)), 'waits for all its members'],
    [
      'without room',
      (world: World) => {
        world.running('old', ['n0'], { priority: 9 });
        world.create(gang('b', 4));
      },
      'waits for room',
    ],
    ['that can never start', (world: World) => world.create(gang('b', 5)), 'can never fit on the nodes that exist'],
    [
      'with a contradiction',
      (world: World) => world.create(gang('b', 1, { min: 1 }), gang('b', 2, { from: 1, min: 2 })),
      'cannot start: members contradict each other',
    ],
    [
      'of unknown size',
      (world: World) => world.create(gang('b', 2, { min: undefined })),
      'the size of the gang is unknown',
    ],
  ])('of a gang %s gets the reason', async (_, create, text) => {
    const world = await startWorld({ nodes: 4 });
    create(world);
    await world.settle();
    const answer = await world.filter('b-0', ALL);
    expect(answer).toMatchObject({ NodeNames: [] });
    expect(answer.FailedAndUnresolvableNodes!['muster.dev/gang']).toContain(text);
  });

  test('of a running gang is told that capacity is missing, not that members are missing', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    await world.schedule();
    world.create(gang('a', 3, { from: 2, min: 2 }));
    await world.settle();
    expect(world.stateOf('a')).toBe('Running');
    const answer = await world.filter('a-2', ['n0']);
    expect(answer.FailedAndUnresolvableNodes!['muster.dev/gang']).toContain('waits for room');
  });
});

describe('a lone pod', () => {
  const named = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`);

  test('gets every node when nothing is reserved and there are few', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(pod('web'));
    expect(await world.filter('web', ALL)).toEqual({ NodeNames: ALL });
  });

  test('gets the fullest of many nodes, the same whatever their order', async () => {
    const world = await startWorld({ nodes: 8, lonePodCandidates: 3 });
    world.create(pod('x', { gpus: 6, nodeName: 'n5' }), pod('y', { gpus: 4, nodeName: 'n7' }), pod('web', { gpus: 1 }));
    await world.settle();
    const forwards = await world.filter('web', named(8));
    expect(forwards.NodeNames, 'nodes in use first, the fullest of all, then by name').toEqual(['n5', 'n7', 'n0']);
    expect(await world.filter('web', named(8).toReversed())).toEqual(forwards);
  });

  test.each([
    [
      'preferences',
      {
        affinity: {
          nodeAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 1, preference: { matchExpressions: [{ key: 'k', operator: 'Exists' }] } },
            ],
          },
        },
      },
    ],
    [
      'a spread constraint',
      {
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'kubernetes.io/hostname',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { matchLabels: { app: 'web' } },
          },
        ],
      },
    ],
  ])('with %s of its own gets every node that fits', async (_, spec) => {
    const world = await startWorld({ nodes: 8, lonePodCandidates: 3 });
    world.create(pod('web', { gpus: 1, spec }));
    expect((await world.filter('web', named(8))).NodeNames).toEqual(named(8));
  });

  test.each([
    ['lower', -1, false],
    ['equal', 0, false],
    ['higher', 1, true],
  ])('of %s priority than the gang: may it take reserved capacity?', async (_, priority, may) => {
    const world = await plannedGang(2, 4);
    world.create(pod('web', { priority }));
    const reserved = Object.values(world.slotsOf('a'));
    const { NodeNames } = await world.filter('web', ALL);
    expect(NodeNames.filter((name) => reserved.includes(name)).length > 0).toBe(may);
    expect(NodeNames, 'what nobody reserved is free for all').toEqual(
      expect.arrayContaining(ALL.filter((name) => !reserved.includes(name))),
    );
  });

  test('shares a node with a reservation when both fit', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(gang('a', 1, { gpus: 5 }), pod('small', { gpus: 3 }), pod('large', { gpus: 4 }));
    await world.settle();
    expect((await world.filter('small', ['n0'])).NodeNames, '5 and 3 of 8 GPUs').toEqual(['n0']);
    expect((await world.filter('large', ['n0'])).NodeNames, '5 and 4 of 8 GPUs').toEqual([]);
  });

  test('that finds only reserved nodes gets a text without names and counts', async () => {
    const world = await plannedGang(4, 4);
    world.create(pod('web'));
    expect(await world.filter('web', ALL)).toEqual({
      NodeNames: [],
      FailedAndUnresolvableNodes: { 'muster.dev/reserved': 'what is free is reserved for gangs that are starting' },
    });
  });

  test('that was offered nothing gets nothing, and no reason from Muster', async () => {
    const world = await plannedGang(4, 4);
    world.create(pod('web'));
    expect(await world.filter('web', [])).toEqual({ NodeNames: [] });
  });

  test('on a node that the watch has not shown yet is left to kube-scheduler', async () => {
    const world = await plannedGang(2, 4);
    world.create(pod('web'));
    expect((await world.filter('web', ['brand-new'])).NodeNames).toEqual(['brand-new']);
  });

  test('being bound holds its capacity until the watch shows it, and is then counted once', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('first', { gpus: 4 }), pod('second', { gpus: 4 }), pod('third', { gpus: 4 }));
    await world.settle();
    world.cluster.pauseWatch();
    const call = world.bind('first', 'n0');
    await world.settle();
    expect(call.verdict, 'bound at once, not held').toBe('bound');
    expect(world.overbooked()).toEqual([]);
    expect((await world.filter('second', ['n0'])).NodeNames, '4 held, 4 left').toEqual(['n0']);
    const next = world.bind('second', 'n0');
    await world.settle();
    expect(next.verdict).toBe('bound');
    expect((await world.filter('third', ['n0'])).NodeNames, 'both are held, though the watch shows none').toEqual([]);
    world.cluster.resumeWatch();
    world.delete('first');
    await world.settle();
    expect((await world.filter('third', ['n0'])).NodeNames, 'counted once, so one deletion makes room').toEqual(['n0']);
  });

  test('of higher priority takes what is planned for a gang, and one of equal priority never does', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(gang('a', 1));
    await world.settle();
    expect(world.nominations('a')).toEqual({ 'a-0': 'n0' });
    world.create(pod('equal', { gpus: 1 }), pod('urgent', { gpus: 8, priority: 1 }));
    await world.settle();
    expect((await world.filter('equal', ['n0'])).NodeNames).toEqual([]);
    expect((await world.filter('urgent', ['n0'])).NodeNames).toEqual(['n0']);
    world.bind('urgent', 'n0');
    await world.settle();
    expect(world.overbooked(), 'the gang has lost its place').toEqual([]);
    // As if Muster had let it through.
    world.cluster.update('Pod', 'default/equal', ({ spec }) => {
      spec.nodeName = 'n0';
    });
    expect(world.overbooked()).toEqual(['n0: 9 GPUs taken of 8']);
  });

  test('of equal priority beside what is planned for a gang would be seen as overbooking', async () => {
    const world = await plannedGang(1, 1);
    world.create(pod('equal', { gpus: 1 }));
    await world.settle();
    // As if Muster had let it through.
    world.cluster.update('Pod', 'default/equal', ({ spec }) => {
      spec.nodeName = 'n0';
    });
    expect(world.overbooked()).toEqual(['n0: 9 GPUs taken of 8']);
  });

  test('being bound holds its capacity however long the write or the watch takes', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    world.cluster.trouble({ verb: 'bind', how: 'ok', hangs: true });
    const call = world.bind('web', 'n0');
    await world.settle();
    world.create(gang('a', 1));
    await world.pass(60 * SECOND);
    expect(world.stateOf('a'), 'a write with its retries takes more than 10 s').toBe('Pending');
    world.cluster.pauseWatch();
    world.cluster.letGo();
    await world.pass(60 * SECOND);
    expect(call.verdict).toBe('bound');
    expect(world.stateOf('a'), 'bound, but not seen').toBe('Pending');
    world.cluster.resumeWatch();
    world.delete('web');
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('keeps the capacity while its binding is written, whatever becomes of its nomination', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    world.cluster.trouble({ verb: 'bind', how: 'ok', hangs: true });
    const call = world.bind('web', 'n0');
    await world.settle();
    world.cluster.update('Pod', 'default/web', ({ status }) => {
      status.nominatedNodeName = 'n0';
    });
    world.eraseNomination('web');
    world.create(gang('a', 1));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
    world.cluster.letGo();
    await world.settle();
    expect(call.verdict).toBe('bound');
    expect(world.overbooked()).toEqual([]);
  });

  test('whose binding failed gives the capacity back, and a gang that waited for it is planned', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    world.cluster.trouble({ verb: 'bind', how: 'forbidden', hangs: true });
    const call = world.bind('web', 'n0');
    await world.settle();
    world.create(gang('a', 1));
    await world.settle();
    expect(world.stateOf('a'), 'the node is held for the lone pod').toBe('Pending');
    world.cluster.letGo();
    await world.settle();
    expect(call.verdict).toContain('forbidden');
    expect(world.stateOf('a'), 'nothing holds the node any more').toBe('Nominated');
  });
});

describe('prioritize', () => {
  test('a member gets the full score on its node and none elsewhere', async () => {
    const world = await plannedGang();
    const { 'a-0': node } = world.slotsOf('a');
    const scores = await world.prioritize('a-0', ALL);
    expect(scores).toEqual(ALL.map((Host) => ({ Host, Score: Host === node ? 10 : 0 })));
  });

  test('lone pods are packed: the fuller the node, the higher the integer score', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(pod('x', { gpus: 3, nodeName: 'n1' }), pod('y', { gpus: 8, nodeName: 'n2' }), pod('web', { gpus: 1 }));
    await world.settle();
    const scores = await world.prioritize('web', ['n0', 'n1', 'n2', 'unknown']);
    expect(scores).toEqual([
      { Host: 'n0', Score: 2 },
      { Host: 'n1', Score: 6 },
      { Host: 'n2', Score: 10 },
      { Host: 'unknown', Score: 0 },
    ]);
    for (const { Score } of scores) expect(Number.isInteger(Score), 'Go decodes int64 only').toBe(true);
  });
});
