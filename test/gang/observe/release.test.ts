import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

/** kube-scheduler has no node for any member: the attempt ends. */
async function failAttempt(world: World, name: string): Promise<void> {
  const node = world.nominations()[name]!;
  const others = world.cluster.list('Node').map(({ metadata }) => metadata.name);
  await world.filter(
    name,
    others.filter((other) => other !== node),
  );
  await world.settle();
}

describe('back-off', () => {
  test('is short once, then grows with each failed attempt up to its maximum', async () => {
    const world = await startWorld({ nodes: 1, settings: { backoffMaxMs: 200 * SECOND } });
    world.create(gang('a', 1));
    await world.settle();
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      await failAttempt(world, 'a-0');
      const from = world.clock.now();
      while (world.stateOf('a') === 'Pending') await world.pass(100);
      waits.push((world.clock.now() - from) / SECOND);
    }
    expect(waits).toEqual([1, 30, 60, 120, 200]);
  });

  test('ends by time alone: the gang is planned without another event', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(gang('a', 1));
    await world.settle();
    await failAttempt(world, 'a-0');
    await world.pass(SECOND - 1);
    expect(world.stateOf('a')).toBe('Pending');
    await world.pass(1);
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('is not cut short by capacity that becomes free', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(gang('a', 1));
    await world.settle();
    await failAttempt(world, 'a-0');
    world.addNode('n1');
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
  });

  test('starts over after the gang has run', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(gang('a', 1));
    await world.settle();
    for (let i = 0; i < 3; i++) {
      await failAttempt(world, 'a-0');
      await world.pass(30 * SECOND);
      if (world.stateOf('a') !== 'Nominated') throw new Error('expected the gang to be planned again');
    }
    await world.schedule();
    expect(world.stateOf('a')).toBe('Running');
    world.beginDeletion('a-0');
    world.create(gang('a', 2, { from: 1, min: 1 }));
    world.delete('a-0');
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
    await failAttempt(world, 'a-1');
    await world.pass(SECOND);
    expect(world.stateOf('a'), 'one second, not eight').toBe('Nominated');
  });

  test('leaves the capacity to others in the meantime', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(gang('a', 1, { priority: 1 }), gang('b', 1));
    await world.settle();
    expect([world.stateOf('a'), world.stateOf('b')]).toEqual(['Nominated', 'Pending']);
    await failAttempt(world, 'a-0');
    expect([world.stateOf('a'), world.stateOf('b')]).toEqual(['Pending', 'Nominated']);
  });
});

describe('a release', () => {
  test('erases nomination and record of every member before a new one is written', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    const from = world.cluster.writes.length;
    await failAttempt(world, 'a-0');
    await world.pass(SECOND);
    const verbs = new Map<string, string[]>();
    for (const { pod: name, verb } of world.cluster.writes.slice(from))
      verbs.set(name, [...(verbs.get(name) ?? []), verb]);
    expect([...verbs.values()]).toEqual([
      ['clear', 'nominate'],
      ['clear', 'nominate'],
      ['clear', 'nominate'],
    ]);
  });

  test('with a hanging erasure: no later write overtakes it on the same pod', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    world.cluster.trouble({ verb: 'clear', pod: 'a-0', how: 'ok', hangs: true, times: 1 });
    const from = world.cluster.writes.length;
    await failAttempt(world, 'a-1');
    await world.pass(5 * SECOND);
    const ofOne = world.cluster.writes.slice(from).filter(({ pod: name }) => name === 'a-0');
    expect(ofOne.map(({ verb, outcome }) => [verb, outcome])).toEqual([['clear', undefined]]);
    world.cluster.letGo();
    await world.settle();
    expect(world.nominations('a'), 'the late erasing does not erase the new nomination').toEqual(world.slotsOf('a'));
    expect(Object.keys(world.nominations('a'))).toEqual(['a-0', 'a-1']);
  });

  test('with a failing erasure tries it again once a second', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(gang('a', 1));
    await world.settle();
    world.setReady('n0', false);
    world.cluster.trouble({ verb: 'clear', how: 'failed', times: 3 });
    await failAttempt(world, 'a-0');
    expect(world.nominations('a'), 'still written').toHaveProperty('a-0');
    await world.pass(3 * SECOND);
    expect(world.nominations('a')).toEqual({});
    expect(world.cluster.countWrites().clear).toBe(4);
  });
});

describe('members that leave before the gang starts', () => {
  test('let the others keep their slots for a moment, and the replacement gets a slot at once', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    const before = world.slotsOf('a');
    world.delete('a-1');
    await world.pass(SECOND);
    expect(world.slotsOf('a'), 'the owner is about to create it again').toEqual({
      'a-0': before['a-0'],
      'a-2': before['a-2'],
    });
    world.create(gang('a', 2, { from: 1, min: 3 }));
    await world.settle();
    expect(world.slotsOf('a')).toEqual(before);
    await world.pass(10 * SECOND);
    expect(world.slotsOf('a'), 'the moment is over, the gang is whole').toEqual(before);
  });

  test('without a replacement within 2 s cost the gang its slots', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3), pod('web'));
    await world.settle();
    world.delete('a-1');
    await world.pass(2 * SECOND - 1);
    expect((await world.filter('web', ['n0'])).NodeNames).toEqual([]);
    await world.pass(1);
    expect(world.nominations('a')).toEqual({});
    expect((await world.filter('web', ['n0'])).NodeNames, 'a gang that waits holds nothing').toEqual(['n0']);
    expect(world.stateOf('a')).toBe('Gathering');
  });

  test('are planned with the others when they come back later', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    world.delete('a-1');
    await world.pass(10 * SECOND);
    world.create(gang('a', 2, { from: 1, min: 3 }));
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });
});

describe('the order of waiting gangs', () => {
  test('is by priority, then by age', async () => {
    const world = await startWorld();
    const t0 = world.clock.now();
    world.create(
      gang('a-young', 2, { createdAt: t0 - 1_000 }),
      gang('b-old', 2, { createdAt: t0 - 9_000 }),
      gang('c-urgent', 2, { createdAt: t0, priority: 5 }),
    );
    await world.settle();
    const order: string[] = [];
    for (let i = 0; i < 3; i++) {
      world.addNode(`n${2 * i}`);
      world.addNode(`n${2 * i + 1}`);
      await world.settle();
      const nominated = ['a-young', 'b-old', 'c-urgent'].filter((name) => world.stateOf(name) === 'Nominated');
      order.push(...nominated.filter((name) => !order.includes(name)));
    }
    expect(order).toEqual(['c-urgent', 'b-old', 'a-young']);
  });

  test('lets a smaller gang start when the first one does not fit', async () => {
    const world = await startWorld({ nodes: 4 });
    world.running('old', ['n0', 'n1'], { priority: 9 });
    world.create(gang('big', 4, { priority: 5 }), gang('small', 2));
    await world.settle();
    expect([world.stateOf('big'), world.stateOf('small')]).toEqual(['Pending', 'Nominated']);
  });

  test('holds within one cycle: the second gang does not get what the first one took', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('b', 2), gang('a', 2));
    await world.settle();
    expect([world.stateOf('a'), world.stateOf('b')], 'same priority and age: by name').toEqual([
      'Nominated',
      'Pending',
    ]);
    expect(world.overbooked()).toEqual([]);
  });
});

describe('a gang that found no capacity is planned again when', () => {
  async function full(): Promise<World> {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('tenant', { nodeName: 'n0' }));
    await world.settle();
    world.create(gang('a', 1));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
    return world;
  }

  test.each<[string, (world: World) => void | Promise<void>]>([
    ['a pod is deleted', (world) => world.delete('tenant')],
    ['a pod ends', (world) => world.finish('tenant')],
    ['a node comes', (world) => world.addNode('n1')],
  ])('%s', async (_, change) => {
    const world = await full();
    await change(world);
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test.each<[string, (world: World) => void | Promise<void>]>([
    ['a node becomes ready', (world) => world.setReady('n0', true)],
    [
      'a node is uncordoned',
      (world) =>
        world.cluster.update('Node', 'n0', ({ spec, status }) => {
          delete spec.unschedulable;
          status.conditions = [{ type: 'Ready', status: 'True' }];
        }),
    ],
  ])('%s', async (_, change) => {
    const world = await startWorld({ nodes: 1 });
    world.cluster.update('Node', 'n0', ({ spec }) => {
      spec.unschedulable = true;
    });
    world.setReady('n0', false);
    if (_.includes('ready')) {
      world.cluster.update('Node', 'n0', ({ spec }) => {
        delete spec.unschedulable;
      });
    }
    world.create(gang('a', 1));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
    await change(world);
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test("a foreign pod's nomination goes away", async () => {
    const world = await startWorld({ nodes: 1 });
    const web = pod('web', { priority: 3 });
    web.status.nominatedNodeName = 'n0';
    world.create(web);
    await world.settle();
    world.create(gang('a', 1));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
    world.eraseNomination('web');
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('a lone preemptor with a hold on the node never comes', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('victim', { nodeName: 'n0', priority: -1 }), pod('preemptor', { priority: 3 }));
    await world.settle();
    await world.preempt('preemptor', { n0: ['victim'] });
    world.delete('victim');
    world.create(gang('a', 1));
    await world.settle();
    expect(world.stateOf('a'), 'the node is promised').toBe('Pending');
    await world.pass(5 * SECOND);
    expect(world.stateOf('a'), 'the promise has lapsed').toBe('Nominated');
  });

  test('another gang is refused on a node that this one could use', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2), gang('b', 1));
    await world.settle();
    expect([world.stateOf('a'), world.stateOf('b')]).toEqual(['Nominated', 'Pending']);
    await failAttempt(world, 'a-0');
    expect(world.stateOf('a')).toBe('Pending');
    expect(world.stateOf('b'), 'the refused node is free for it').toBe('Nominated');
  });

  test('another gang gives its slots back, even before all erasures are written', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2), gang('b', 1));
    await world.settle();
    world.cluster.trouble({ verb: 'clear', how: 'ok', hangs: true });
    await failAttempt(world, 'a-0');
    expect(world.nominations('a'), 'nothing erased yet').not.toEqual({});
    expect(world.stateOf('b')).toBe('Nominated');
  });

  test('something changed, and only then', async () => {
    const world = await full();
    const plans = async () => {
      const { values } = await world.metrics.planDuration.get();
      return values
        .filter(({ metricName }) => metricName?.endsWith('_count'))
        .reduce((sum, { value }) => sum + value, 0);
    };
    const before = await plans();
    for (let i = 0; i < 5; i++) {
      world.cluster.update('Pod', 'default/tenant', ({ status }) => {
        status.message = `heartbeat ${i}`;
      });
      await world.pass(SECOND);
    }
    expect((await plans()) - before, 'planning again would be in vain').toBe(0);
  });
});
