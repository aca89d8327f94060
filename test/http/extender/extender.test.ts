/** The preempt verb. The other verbs are tested in `test/gang`, in the context of whole gangs. */
import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld } from '../../support/scenario.ts';

describe('preempt', () => {
  test('for a lone pod echoes the victims of every node where evicting them is enough', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(
      pod('v0', { nodeName: 'n0', gpus: 4 }),
      pod('v1', { nodeName: 'n0', gpus: 4 }),
      pod('v2', { nodeName: 'n1' }),
      pod('p', { priority: 5 }),
    );
    await world.settle();
    expect(await world.preempt('p', { n0: ['v0', 'v1'], n1: ['v2'] })).toEqual({
      NodeNameToMetaVictims: {
        n0: { Pods: [{ UID: world.uidOf('v0') }, { UID: world.uidOf('v1') }], NumPDBViolations: 0 },
        n1: { Pods: [{ UID: world.uidOf('v2') }], NumPDBViolations: 0 },
      },
    });
  });

  test('leaves out nodes where reservations leave no room even without the victims', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(pod('v0', { nodeName: 'n0', gpus: 4 }), pod('v1', { nodeName: 'n1' }));
    await world.settle();
    world.create(gang('a', 1, { gpus: 4, priority: 5 }), pod('p', { priority: 5 }));
    await world.settle();
    expect(world.slotsOf('a'), 'beside v0').toEqual({ 'a-0': 'n0' });
    const { NodeNameToMetaVictims } = await world.preempt('p', { n0: ['v0'], n1: ['v1'] });
    expect(Object.keys(NodeNameToMetaVictims), 'on n0 it would preempt again and again').toEqual(['n1']);
  });

  test('ignores reservations of lower priority: that gang is planned again', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('v0', { nodeName: 'n0', gpus: 4, priority: -5 }));
    await world.settle();
    world.create(gang('a', 1, { gpus: 4 }), pod('p', { priority: 5 }));
    await world.settle();
    const { NodeNameToMetaVictims } = await world.preempt('p', { n0: ['v0'] });
    expect(Object.keys(NodeNameToMetaVictims)).toEqual(['n0']);
  });

  test('reserves the nodes of the answer for the preemptor, until its nomination shows the chosen one', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(pod('v0', { nodeName: 'n0' }), pod('v1', { nodeName: 'n1' }), pod('p', { priority: 5 }));
    await world.settle();
    await world.preempt('p', { n0: ['v0'], n1: ['v1'] });
    world.delete('v0', 'v1');
    world.create(gang('a', 1, { priority: 5 }), pod('web', { priority: 5 }));
    await world.settle();
    expect(world.stateOf('a'), 'both nodes are promised').toBe('Pending');
    expect((await world.filter('web')).NodeNames).toEqual([]);
    expect((await world.filter('p')).NodeNames, 'but not against the preemptor').toEqual(['n0', 'n1']);
    world.cluster.update('Pod', 'default/p', ({ status }) => {
      status.nominatedNodeName = 'n0';
    });
    await world.settle();
    expect(world.slotsOf('a'), 'the nomination speaks for itself').toEqual({ 'a-0': 'n1' });
  });

  test('of a waiting member is vetoed: Muster preempts whole gangs', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('v0', { nodeName: 'n0' }), gang('a', 2, { priority: 5 }));
    await world.settle();
    expect(await world.preempt('a-0', { n0: ['v0'] })).toEqual({ NodeNameToMetaVictims: {} });
    expect(world.overbooked()).toEqual([]);
  });

  describe('with members of a running gang among the victims', () => {
    const run = async (size: number, min: number) => {
      const world = await startWorld({ nodes: 2 });
      world.create(gang('a', size, { min, gpus: 4 }));
      await world.settle();
      await world.schedule();
      world.create(pod('p', { priority: 5, gpus: 4 }));
      await world.settle();
      const on = (node: string) =>
        Object.entries(world.boundTo('a'))
          .filter(([, name]) => name === node)
          .map(([member]) => member);
      return { world, on };
    };

    test('leaves out a node where the gang would lose a part that it needs, while there is another', async () => {
      const { world, on } = await run(3, 3);
      world.create(pod('v', { nodeName: 'n1', gpus: 4 }));
      await world.settle();
      const { NodeNameToMetaVictims } = await world.preempt('p', { n0: on('n0').slice(0, 1), n1: ['v'] });
      expect(Object.keys(NodeNameToMetaVictims)).toEqual(['n1']);
    });

    test('keeps all candidates when each costs a gang a part: the pod has the higher priority', async () => {
      const { world, on } = await run(3, 3);
      const victims = { n0: on('n0').slice(0, 1), n1: on('n1').slice(0, 1) };
      const { NodeNameToMetaVictims } = await world.preempt('p', victims);
      expect(Object.keys(NodeNameToMetaVictims)).toEqual(['n0', 'n1']);
    });

    test('keeps a node where the whole gang is evicted', async () => {
      const { world, on } = await run(2, 2);
      const [node = ''] = Object.values(world.boundTo('a'));
      expect(on(node), 'packed on one node').toHaveLength(2);
      const { NodeNameToMetaVictims } = await world.preempt('p', { [node]: on(node) });
      expect(Object.keys(NodeNameToMetaVictims)).toEqual([node]);
    });

    test('keeps a node where the gang loses only members above its minimum', async () => {
      const { world, on } = await run(4, 3);
      const { NodeNameToMetaVictims } = await world.preempt('p', { n0: on('n0').slice(0, 1), n1: on('n1') });
      expect(Object.keys(NodeNameToMetaVictims)).toEqual(['n0']);
    });
  });

  test('leaves out a node with a pod that is not preemptible, while there is another', async () => {
    const world = await startWorld({ nodes: 2 });
    const annotations = { 'muster.dev/preemptible': 'false' };
    world.create(pod('kept', { nodeName: 'n0', annotations }), pod('v', { nodeName: 'n1' }), pod('p', { priority: 5 }));
    await world.settle();
    const both = await world.preempt('p', { n0: ['kept'], n1: ['v'] });
    expect(Object.keys(both.NodeNameToMetaVictims)).toEqual(['n1']);
    const only = await world.preempt('p', { n0: ['kept'] });
    expect(Object.keys(only.NodeNameToMetaVictims), 'the pod has the higher priority').toEqual(['n0']);
  });

  test('leaves out a node where a member is on its way to the barrier, while there is another', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 2), pod('v', { nodeName: 'n2' }), pod('p', { priority: 5 }));
    await world.settle();
    world.bind('a-0');
    await world.settle();
    const { 'a-0': held = '' } = world.slotsOf('a');
    const { NodeNameToMetaVictims } = await world.preempt('p', { [held]: ['a-0'], n2: ['v'] });
    expect(Object.keys(NodeNameToMetaVictims)).toEqual(['n2']);
  });

  test('that keeps no node holds no space', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('v0', { nodeName: 'n0', gpus: 4 }));
    await world.settle();
    world.create(gang('a', 1, { gpus: 4, priority: 9 }), pod('p', { priority: 5 }), pod('web', { gpus: 1 }));
    await world.settle();
    await world.preempt('p', { n0: ['v0'] });
    world.delete('v0');
    await world.settle();
    expect((await world.filter('web')).NodeNames, '4 of 8 GPUs are reserved, and no more').toEqual(['n0']);
  });

  test('without a nomination to follow is forgotten after a moment', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('v0', { nodeName: 'n0' }), pod('p', { priority: 5 }), pod('web'));
    await world.settle();
    await world.preempt('p', { n0: ['v0'] });
    world.delete('v0');
    await world.settle();
    expect((await world.filter('web')).NodeNames).toEqual([]);
    await world.pass(5 * SECOND);
    expect((await world.filter('web')).NodeNames).toEqual(['n0']);
  });
});
