import { describe, expect, test } from 'vitest';
import { made } from '../../support/field.ts';
import { GATE, gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

describe('the members of a gang', () => {
  test('a pod that succeeded counts as present', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    await world.schedule();
    world.finish('a-0');
    world.delete('a-1');
    world.create(gang('a', 2, { from: 1, min: 3 }));
    await world.settle();
    const { 'a-1': node = '' } = world.slotsOf('a');
    const call = world.bind('a-1', node);
    await world.settle();
    expect(call.verdict, 'one succeeded, one runs, one comes').toBe('bound');
  });

  test('a pod that succeeded is not made again by its owner: the others start without it, even when no member runs', async () => {
    const world = await startWorld({ nodes: 3 });
    const owned = (from: number) => made(gang('a', 3, { from, min: 3 }), `a-from-${from}`, 'PyTorchJob', 'a');
    world.create(owned(0));
    await world.settle();
    await world.schedule();
    world.finish('a-from-0-0');
    world.delete('a-from-0-1', 'a-from-0-2');
    await world.settle();
    world.create(owned(1));
    await world.settle();
    const first = world.bind('a-from-1-0');
    await world.settle();
    expect(first.verdict, 'one of two is held').toBe('held');
    const second = world.bind('a-from-1-1');
    await world.settle();
    expect([first.verdict, second.verdict]).toEqual(['bound', 'bound']);
  });

  test('a pod that succeeded before any other ran belongs to an earlier run', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    await world.schedule();
    world.finish('a-0');
    world.delete('a-1', 'a-2');
    await world.settle();
    world.create(gang('a', 3, { from: 1, min: 3 }));
    await world.settle();
    expect(world.reasonOf('a')).toBe('2 of 3 members exist');
  });

  test('a pod that failed does not count', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 2, { min: 3 }), gang('a', 3, { from: 2, min: 3 }));
    world.finish('a-2', 'Failed');
    await world.settle();
    expect(world.stateOf('a'), 'two of three').toBe('Gathering');
    world.create(gang('a', 4, { from: 3, min: 3 }));
    await world.settle();
    expect(Object.keys(world.slotsOf('a')), 'its replacement makes three').toEqual(['a-0', 'a-1', 'a-3']);
  });

  test('when all have ended, the gang is finished and holds nothing', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2));
    await world.settle();
    await world.schedule();
    world.finish('a-0');
    world.finish('a-1');
    await world.settle();
    expect(world.stateOf('a')).toBe('Finished');
    expect(world.slotsOf('a')).toEqual({});
  });

  test('when all are deleted while it is nominated, the gang is forgotten with its slots', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2), pod('web'));
    await world.settle();
    expect((await world.filter('web')).NodeNames).toEqual([]);
    world.delete('a-0', 'a-1');
    await world.settle();
    expect(world.stateOf('a')).toBeUndefined();
    expect((await world.filter('web')).NodeNames, 'the space is free').toEqual(['n0', 'n1']);
  });

  test.each([
    ['with spec.schedulingGroup, a native gang', { schedulingGroup: { podGroupName: 'g' } }],
    ["with another controller's gate", { schedulingGates: [{ name: 'kueue.x-k8s.io/admission' }] }],
    ["with another controller's gate beside ours", { schedulingGates: [{ name: GATE }, { name: 'other.io/gate' }] }],
  ])('a pod %s is no member: it is only filtered and scored', async (_, spec) => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 2, { spec }), gang('b', 1));
    await world.pass(5 * SECOND);
    expect(world.stateOf('a')).toBeUndefined();
    expect(world.nominations('a'), 'left alone').toEqual({});
    const { 'b-0': reserved } = world.slotsOf('b');
    const { NodeNames } = await world.filter('a-0');
    expect(NodeNames, 'as a lone pod, beside the reservation').toEqual(
      ['n0', 'n1', 'n2'].filter((n) => n !== reserved),
    );
    const call = world.bind('a-0', NodeNames[0]!);
    await world.settle();
    expect(call.verdict, 'bound at once if kube-scheduler says so').toMatch(/^bound$|schedulingGates/);
  });

  test('a pod joins when another controller removes its gate', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2, { spec: { schedulingGates: [{ name: 'kueue.x-k8s.io/admission' }] } }));
    await world.settle();
    for (const name of ['a-0', 'a-1']) {
      world.cluster.update('Pod', `default/${name}`, ({ spec }) => {
        spec.schedulingGates = [];
      });
    }
    await world.settle();
    expect(Object.keys(world.nominations('a'))).toHaveLength(2);
  });
});

describe('capacity that other pods hold', () => {
  const nominate = (name: string, node: string, priority: number) => {
    const raw = pod(name, { priority });
    raw.status.nominatedNodeName = node;
    return raw;
  };

  test.each([
    ['lower', -1, ['n0']],
    ['equal', 0, ['n1']],
    ['higher', 1, ['n1']],
  ])("kube-scheduler's own nomination of %s priority: where does the gang go?", async (_, priority, nodes) => {
    const world = await startWorld({ nodes: 2 });
    world.create(nominate('web', 'n0', priority));
    await world.settle();
    world.create(gang('a', 1));
    await world.settle();
    expect(Object.values(world.slotsOf('a'))).toEqual(nodes);
  });

  describe('a pod that names a DaemonSet and waits for its node', () => {
    const agent = (priority: number) => {
      const term = { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n0'] }] };
      const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } };
      const raw = pod('agent-x', { gpus: 1, priority, spec: { affinity: { nodeAffinity: required } } });
      const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'agent', uid: 'ds', controller: true };
      Object.assign(raw.metadata, { ownerReferences: [owner] });
      return raw;
    };
    const worldWith = async (priority: number, hasSet = true) => {
      const world = await startWorld({ nodes: 2 });
      const metadata = { namespace: 'default', name: 'agent', uid: 'ds' };
      if (hasSet) world.cluster.create('DaemonSet', { metadata, spec: {}, status: {} });
      world.create(agent(priority));
      await world.settle();
      return world;
    };
    const placed = async (world: World, size: number) => {
      world.create(gang('a', size));
      await world.settle();
      return Object.values(world.slotsOf('a')).sort();
    };

    test('counts as placed there', async () => {
      expect(await placed(await worldWith(5), 1), 'n0 will have 7 GPUs').toEqual(['n1']);
    });

    test('counts by its own priority: nothing is kept from who goes before it', async () => {
      expect(await placed(await worldWith(-5), 2)).toEqual(['n0', 'n1']);
    });

    test('keeps nothing if there is no such DaemonSet', async () => {
      expect(await placed(await worldWith(5, false), 2)).toEqual(['n0', 'n1']);
    });

    test('keeps its place for five minutes', async () => {
      const world = await worldWith(5);
      expect(await placed(world, 2)).toEqual([]);
      await world.pass(299 * SECOND);
      expect(world.slotsOf('a')).toEqual({});
      await world.pass(2 * SECOND);
      expect(Object.values(world.slotsOf('a')).sort(), 'and whoever waited is planned then').toEqual(['n0', 'n1']);
    });
  });

  test('a pod of higher priority may take reserved capacity; then the gang is planned again', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 2));
    await world.settle();
    const { 'a-0': node = '' } = world.slotsOf('a');
    world.create(pod('urgent', { priority: 10 }));
    expect((await world.filter('urgent', [node])).NodeNames).toEqual([node]);
    const call = world.bind('urgent', node);
    await world.settle();
    expect(call.verdict).toBe('bound');
    for (let second = 0; second < 3; second++) {
      await world.schedule();
      await world.pass(SECOND);
    }
    expect(Object.keys(world.boundTo('a')), 'the refusal made room elsewhere').toHaveLength(2);
    expect(world.overbooked()).toEqual([]);
  });

  test('a pod of higher priority that takes the last node sends the gang back to the queue', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2), pod('web'));
    await world.settle();
    world.create(pod('urgent', { priority: 10, nodeName: 'n0' }));
    await world.settle();
    for (let second = 0; second < 60 && world.stateOf('a') !== 'Pending'; second++) {
      await world.schedule();
      await world.pass(SECOND);
    }
    expect(world.stateOf('a'), 'not nominated for ever').toBe('Pending');
    expect((await world.filter('web', ['n1'])).NodeNames, 'and it holds nothing').toEqual(['n1']);
  });
});
