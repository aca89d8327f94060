/** The queue of the kube-scheduler model: order, gates, and when a rejected pod is tried again. */
import { afterEach, describe, expect, test } from 'vitest';
import type { PodSpec } from '../../../src/sim/objects.ts';
import { until } from '../../support/until.ts';
import { type NodeOptions, type SchedulerWorld, startSchedulerWorld } from './scheduler-world.ts';

let world: SchedulerWorld;

afterEach(() => world.stop());

const attempts = (pod: string) => world.extender.callsOf('filter').filter(({ args }) => args.Pod.metadata.name === pod);
const refuse = () => ({ NodeNames: [], FailedAndUnresolvableNodes: { _gang: 'waits' } });
const labelled = (app: string) => ({ labelSelector: { matchLabels: { app } }, topologyKey: 'kubernetes.io/hostname' });

/** Another pod's attempt: all earlier events have been processed by then. */
async function passThrough(): Promise<void> {
  const name = `probe-${world.store.version}`;
  world.addPod(name, { gpus: 0 });
  await until(`an attempt of ${name}`, () => attempts(name).length > 0);
}

function patch(name: string, change: object): void {
  world.store.update('pods', 'default', name, (pod) => ({ ...pod, metadata: { ...pod.metadata, ...change } }));
}

describe('the order of pods', () => {
  test('is by priority, then by age', async () => {
    world = await startSchedulerWorld();
    await world.scheduler.stop();
    world.addNodes(8);
    world.store.create('priorityclasses', { metadata: { name: 'urgent' }, value: 1000 });
    for (const name of ['a', 'b']) {
      world.addPod(name);
      world.clock.advance(10);
    }
    world.addPod('c', { spec: { priorityClassName: 'urgent' } });
    await world.restart();
    await until('three attempts', () => world.extender.callsOf('bind').length === 3);
    expect(world.extender.callsOf('filter').map(({ args }) => args.Pod.metadata.name)).toEqual(['c', 'a', 'b']);
  });

  test('an unschedulable pod queues behind those that arrived while it was tried', async () => {
    world = await startSchedulerWorld();
    world.addNodes(4);
    world.extender.answers.filter = ({ Pod, NodeNames }) =>
      Pod.metadata.name === 'first' && attempts('first').length === 1 ? refuse() : { NodeNames };
    world.addPod('first');
    world.clock.advance(1);
    world.addPod('second');
    await world.bound('first');
    expect(world.extender.callsOf('bind').map(({ args }) => args.PodName)).toEqual(['second', 'first']);
  });

  test('pods of other schedulers, bound pods and ended pods are left alone', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.addPod('foreign', { spec: { schedulerName: 'batch' } });
    world.addRunning('done', 'node-0');
    world.store.update('pods', 'default', 'done', (pod) => ({ ...pod, status: { phase: 'Succeeded' } }));
    world.addPod('own');
    expect(await world.bound('own')).toBe('node-0');
    expect(attempts('foreign')).toEqual([]);
  });
});

describe('a gated pod', () => {
  const gates = { spec: { schedulingGates: [{ name: 'muster.dev/gang' }] } };

  test('is not tried, whatever happens, and gets no other condition', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.addPod('member', gates);
    patch('member', { annotations: { a: 'b' } });
    world.addNode('late');
    await passThrough();
    expect(attempts('member')).toEqual([]);
    // Set by the API server at creation.
    expect(world.pod('member').status.conditions).toMatchObject([{ reason: 'SchedulingGated' }]);
  });

  test('is tried at once when its last gate is removed', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.addPod('member', gates);
    await passThrough();
    world.store.update('pods', 'default', 'member', (pod) => ({ ...pod, spec: { ...pod.spec, schedulingGates: [] } }));
    await world.bound('member');
  });
});

describe('a pod that the extender refused', () => {
  test('is tried again on any event, at once if the scheduler is idle', async () => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    world.extender.answers.filter = refuse;
    world.addPod('member');
    const events: readonly (() => void)[] = [
      () => patch('member', { annotations: { woken: 'yes' } }),
      () => void world.addRunning('other', 'node-0', { gpus: 0 }),
      () => patch('other', { annotations: { any: 'change' } }),
      () => world.store.remove('pods', 'default', 'other'),
      () => world.addNode('late'),
      () => world.store.remove('nodes', undefined, 'late'),
      () => void world.store.create('storageclasses', { metadata: { name: 'fast' } }),
    ];
    await world.refused('member');
    for (const happen of events) {
      const before = attempts('member').length;
      happen();
      await until(`an attempt after ${happen}`, () => attempts('member').length > before);
    }
  });

  test('wakes itself by a reason that differs each time', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.extender.answers.filter = () => ({
      NodeNames: [],
      FailedAndUnresolvableNodes: { _gang: `waits for the ${Math.min(attempts('member').length, 20)}th time` },
    });
    world.addPod('member');
    await world.refused('member', /20th/);
  });

  test('is not tried on a node heartbeat', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.extender.answers.filter = ({ Pod, NodeNames }) => (Pod.metadata.name === 'member' ? refuse() : { NodeNames });
    world.addPod('member');
    await world.refused('member');
    // Its own status patch is an event too.
    await until('the second attempt', () => attempts('member').length === 2);
    world.store.update('nodes', undefined, 'node-0', (node) => ({
      ...node,
      status: { ...node.status, conditions: [] },
    }));
    await world.turn();
    expect(attempts('member')).toHaveLength(2);
  });

  test('waits out its back-off while others are active', async () => {
    world = await startSchedulerWorld();
    world.addNodes(4);
    const order: string[] = [];
    world.extender.answers.filter = ({ Pod, NodeNames }) => {
      const { name } = Pod.metadata;
      order.push(name);
      // Each attempt of a probe adds the next probe, and is an event for the member.
      if (name.startsWith('probe') && order.length < 8) world.addPod(`probe-${order.length}`, { gpus: 0 });
      patch('member', { annotations: { at: String(order.length) } });
      return name === 'member' ? refuse() : { NodeNames };
    };
    world.addPod('member');
    world.addPod('probe-0', { gpus: 0 });
    await until('eight attempts', () => order.length >= 8);
    expect(order.slice(0, 8)).toEqual(['member', ...order.slice(1, 8).filter((name) => name.startsWith('probe'))]);
  });

  test('is tried again for an event that happened while it was in flight', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    let during = () => world.addNode('late');
    world.extender.answers.filter = ({ NodeNames }) => {
      during();
      during = () => {};
      return NodeNames.includes('late') ? { NodeNames: ['late'] } : refuse();
    };
    world.addPod('member');
    expect(await world.bound('member')).toBe('late');
  });
});

describe('a pod that a plugin refused', () => {
  test('for resources: is tried when a pod goes or a large enough node joins, not on an annotation', async () => {
    world = await startSchedulerWorld({ extender: null });
    world.addNodes(1);
    world.addRunning('holder', 'node-0');
    world.addPod('train');
    await world.refused('train');
    const { length } = world.notes('FailedScheduling');
    patch('holder', { annotations: { any: 'change' } });
    patch('train', { annotations: { any: 'change' } });
    world.addNode('small', { gpus: 4 });
    world.addPod('probe', { gpus: 0 });
    await world.bound('probe');
    expect(world.notes('FailedScheduling')).toHaveLength(length);
    world.store.remove('pods', 'default', 'holder');
    expect(await world.bound('train')).toBe('node-0');
    world.addPod('next');
    await world.refused('next');
    world.addNode('large');
    expect(await world.bound('next')).toBe('large');
  });

  const cases: readonly (readonly [string, NodeOptions, Partial<PodSpec>, () => void])[] = [
    [
      'a taint, when the taint is removed',
      { taints: [{ key: 'down', effect: 'NoSchedule' }] },
      {},
      () => void world.store.update('nodes', undefined, 'node-0', (node) => ({ ...node, spec: {} })),
    ],
    [
      'a cordon, when it ends',
      { unschedulable: true },
      {},
      () => void world.store.update('nodes', undefined, 'node-0', (node) => ({ ...node, spec: {} })),
    ],
    [
      'its node selector, when the label is set',
      {},
      { nodeSelector: { disk: 'fast' } },
      () =>
        void world.store.update('nodes', undefined, 'node-0', (node) => ({
          ...node,
          metadata: { ...node.metadata, labels: { disk: 'fast' } },
        })),
    ],
    [
      'unmet affinity, when a matching pod starts',
      {},
      { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [labelled('friend')] } } },
      () => void world.addRunning('friend', 'node-0', { gpus: 0, labels: { app: 'friend' } }),
    ],
  ];
  test.each(cases)('for %s', async (_, node, spec, help) => {
    world = await startSchedulerWorld({ extender: null });
    world.addNode('node-0', node);
    world.addPod('train', { spec });
    await world.refused('train');
    help();
    expect(await world.bound('train')).toBe('node-0');
  });

  test('is tried after five minutes without any event', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    let calls = 0;
    world.extender.answers.filter = () => {
      calls++;
      return refuse();
    };
    world.addPod('member');
    await until('the attempt that its own status patch sets off', () => calls === 2);
    await world.refused('member');
    world.clock.advance(290_000);
    await world.turn();
    expect(calls).toBe(2);
    world.clock.advance(60_000);
    await until('one more attempt', () => calls === 3);
  });
});
