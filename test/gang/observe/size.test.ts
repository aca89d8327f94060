import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, verdicts } from '../../support/scenario.ts';

describe('the number of planned members', () => {
  test.each([
    ['all that exist when they fit', 5, 5],
    ['as many as fit, at least the minimum', 4, 4],
    ['exactly the minimum if no more fit', 3, 3],
    ['none below the minimum', 2, 0],
  ])('%s', async (_, nodes, planned) => {
    const world = await startWorld({ nodes });
    world.create(gang('a', 5, { min: 3 }));
    await world.settle();
    expect(Object.keys(world.nominations('a'))).toHaveLength(planned);
    expect(world.stateOf('a')).toBe(planned > 0 ? 'Nominated' : 'Unsatisfiable');
  });

  test('is zero while fewer than the minimum exist, and a waiting gang holds nothing', async () => {
    const world = await startWorld({ nodes: 8 });
    world.create(gang('a', 3, { min: 4 }), pod('web'));
    await world.settle();
    expect(world.stateOf('a')).toBe('Gathering');
    expect((await world.filter('web')).NodeNames, 'no placeholder, no partial placement').toHaveLength(8);
  });

  test('is never a part: two gangs that fit only alone do not block each other', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 2, { min: 3 }), gang('b', 2, { min: 3 }));
    world.create(gang('a', 3, { from: 2 }), gang('b', 3, { from: 2 }));
    await world.settle();
    expect([world.stateOf('a'), world.stateOf('b')].toSorted()).toEqual(['Nominated', 'Pending']);
  });

  test('has a minimum that may come from the Job of the members', async () => {
    const world = await startWorld({ nodes: 4 });
    world.cluster.create('Job', {
      metadata: { name: 'train', namespace: 'default', uid: 'job-1' },
      spec: { parallelism: 3, completions: 3, template: { metadata: { labels: { 'muster.dev/pod-group': 'a' } } } },
      status: {},
    });
    world.create(gang('a', 2, { min: undefined }));
    await world.settle();
    expect(world.stateOf('a'), '2 of 3').toBe('Gathering');
    world.create(gang('a', 3, { from: 2, min: undefined }));
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });
});

describe('a later member', () => {
  test('of a nominated gang gets a slot and does not delay the others', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 2));
    await world.settle();
    const before = world.slotsOf('a');
    world.create(gang('a', 3, { from: 2, min: 2 }));
    await world.settle();
    expect(world.slotsOf('a')).toMatchObject(before);
    expect(Object.keys(world.slotsOf('a'))).toHaveLength(3);
  });

  test('of a running gang gets a slot of its own and is bound at once', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 2));
    await world.settle();
    await world.schedule();
    world.create(gang('a', 3, { from: 2, min: 2 }));
    await world.settle();
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-2']);
    const call = world.bind('a-2');
    await world.settle();
    expect(verdicts([call])).toEqual(['bound']);
  });

  test('of a running gang is placed nearest to the others', async () => {
    const world = await startWorld({ levels: [{ name: 'rack', label: 'rack' }] });
    for (const rack of ['r0', 'r1', 'r2'])
      for (let i = 0; i < 3; i++) world.addNode(`${rack}-n${i}`, { labels: { rack } });
    world.create(pod('x', { nodeName: 'r0-n0' }), pod('y', { nodeName: 'r0-n1' }));
    await world.settle();
    world.create(gang('a', 2));
    await world.settle();
    await world.schedule();
    expect(Object.values(world.boundTo('a')), 'in one rack').toEqual(['r1-n0', 'r1-n1']);
    world.create(gang('a', 3, { from: 2, min: 2 }));
    await world.settle();
    expect(world.slotsOf('a')['a-2'], 'r0 has one node left as well, and comes first by name').toBe('r1-n2');
  });

  test('without capacity is planned again when there is some', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 3, { min: 2 }));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('a')).toBe('Running');
    world.addNode('n2');
    await world.settle();
    expect(Object.values(world.slotsOf('a'))).toEqual(['n2']);
  });
});

describe('when the minimum changes while the gang is nominated', () => {
  const setMinimum = (world: Awaited<ReturnType<typeof startWorld>>, names: readonly string[], min: string) => {
    for (const name of names) {
      world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
        metadata.annotations!['muster.dev/min-members'] = min;
      });
    }
  };

  test('a higher one that the gang cannot reach gives the slots back after a moment', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 2));
    await world.settle();
    setMinimum(world, ['a-0', 'a-1'], '3');
    await world.settle();
    expect(Object.keys(world.slotsOf('a')), 'the owner may be about to create it').toHaveLength(2);
    const held = world.bindAll('a-0', 'a-1');
    await world.settle();
    expect(verdicts(held), '2 of 3').toEqual(['held', 'held']);
    await world.pass(2 * SECOND);
    expect(world.nominations('a'), 'and does not hold space for ever').toEqual({});
    expect(world.stateOf('a')).toBe('Gathering');
  });

  test('a lower one opens the barrier', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 3));
    await world.settle();
    const held = world.bindAll('a-0', 'a-1');
    await world.settle();
    setMinimum(world, ['a-0', 'a-1', 'a-2'], '2');
    await world.settle();
    expect(verdicts(held)).toEqual(['bound', 'bound']);
  });

  test('a lower one that fits starts a gang that found no capacity', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 3));
    await world.settle();
    expect(world.stateOf('a')).toBe('Unsatisfiable');
    setMinimum(world, ['a-0', 'a-1', 'a-2'], '2');
    await world.settle();
    expect(world.stateOf('a'), 'no node and no pod had to come or go').toBe('Nominated');
  });

  test('with members that contradict each other nothing new is planned', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 2));
    await world.settle();
    setMinimum(world, ['a-0'], '1');
    world.create(gang('a', 3, { from: 2, min: 2 }));
    await world.settle();
    expect(world.slotsOf('a')).not.toHaveProperty('a-2');
  });
});
