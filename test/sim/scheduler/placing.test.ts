/**
 * How the kube-scheduler model places a pod: what it offers to the extender, and how it uses nominations, answers and
 * scores.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import { GPU, type SchedulerWorld, startSchedulerWorld } from './scheduler-world.ts';

let world: SchedulerWorld;

afterEach(() => world.stop());

const namesOf = (verb: string) => world.extender.callsOf(verb).map(({ args }) => args.NodeNames as string[]);
const waits = { _gang: 'gang waits for all its members' };

describe('which nodes the extender is offered', () => {
  test('every node that passes the plugins, in one call; the extender binds the pod, and an Event says so', async () => {
    world = await startSchedulerWorld();
    world.addNodes(3);
    world.addNode('small', { gpus: 4 });
    world.addPod('train');
    expect(await world.bound('train')).toBe('node-0');
    expect(namesOf('filter')).toEqual([['node-0', 'node-1', 'node-2']]);
    await until('the Event', () => world.notes('Scheduled').length > 0);
    expect(world.notes('Scheduled')).toEqual(['Successfully assigned default/train to node-0']);
  });

  test('none: the extender is not called when no node passes the plugins', async () => {
    world = await startSchedulerWorld();
    world.addNodes(2, { gpus: 4 });
    world.addPod('train');
    expect(await world.refused('train')).toMatch(`0/2 nodes are available: 2 Insufficient ${GPU}.`);
    expect(world.extender.calls).toEqual([]);
  });

  test('none without nodes in the cluster: the pod backs off as after an error', async () => {
    world = await startSchedulerWorld();
    world.addPod('train');
    expect(await world.refused('train')).toBe('no nodes available to schedule pods');
    expect(world.pod('train').status.conditions?.[0]?.reason).toBe('Unschedulable');
    world.addNodes(1);
    world.clock.advance(3_000);
    await world.bound('train');
  });

  test('only the nodes that its required node affinity names', async () => {
    world = await startSchedulerWorld();
    world.addNodes(4);
    const field = { key: 'metadata.name', operator: 'In' as const, values: ['node-2'] };
    const required = { nodeSelectorTerms: [{ matchFields: [field] }] };
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } };
    world.addPod('train', { spec: { affinity } });
    expect(await world.bound('train')).toBe('node-2');
    world.addPod('another', { spec: { affinity } });
    expect(await world.refused('another')).toMatch(
      `0/4 nodes are available: 1 Insufficient ${GPU}, 3 node(s) didn't satisfy plugin(s) [NodeAffinity].`,
    );
    expect(namesOf('filter')).toEqual([['node-2']]);
  });

  test('of 200 nodes 100 that pass, and others for the next pod', async () => {
    world = await startSchedulerWorld();
    world.addNodes(200);
    world.addPod('first');
    await world.bound('first');
    world.addPod('second');
    await world.bound('second');
    const [first = [], second = []] = namesOf('filter');
    expect([first.length, second.length]).toEqual([100, 100]);
    expect(first[0]).toBe('node-0');
    expect(second[0]).toBe('node-100');
  });

  test.each([
    [0, 1000, 420],
    [0, 5000, 500],
    [100, 300, 300],
    [50, 300, 150],
    [10, 300, 100],
  ])('with percentageOfNodesToScore %i and %i nodes, %i of them', async (percentageOfNodesToScore, count, offered) => {
    world = await startSchedulerWorld({ percentageOfNodesToScore });
    world.addNodes(count);
    world.addPod('train');
    await world.bound('train');
    expect(namesOf('filter').map(({ length }) => length)).toEqual([offered]);
  });

  test('none for pods that request no managed resource; they are bound directly', async () => {
    world = await startSchedulerWorld({ extender: { managedResources: [{ name: GPU }] } });
    world.addNodes(1);
    world.addPod('web', { gpus: 0 });
    await world.bound('web');
    expect(world.extender.calls).toEqual([]);
  });

  test('a resource that no node has is no obstacle if the scheduler ignores it', async () => {
    const resources = { requests: { 'muster.dev/member': '1' }, limits: { 'muster.dev/member': '1' } };
    const spec = { containers: [{ name: 'main', resources }] };
    const marker = { name: 'muster.dev/member', ignoredByScheduler: true };
    world = await startSchedulerWorld({ extender: { managedResources: [marker] } });
    world.addNodes(1);
    world.addPod('launcher', { spec });
    await world.bound('launcher');
    await world.stop();
    world = await startSchedulerWorld({ extender: null });
    world.addNodes(1);
    world.addPod('launcher', { spec });
    expect(await world.refused('launcher')).toMatch('1 Insufficient muster.dev/member.');
  });
});

describe('a nominated pod', () => {
  test('is tried on its node alone, whoever nominated it: one name, no scores', async () => {
    world = await startSchedulerWorld();
    world.addNodes(4);
    world.addPod('train', { nominated: 'node-2' });
    expect(await world.bound('train')).toBe('node-2');
    expect(namesOf('filter')).toEqual([['node-2']]);
    expect(namesOf('prioritize')).toEqual([]);
  });

  test('is offered all nodes in a second call when the extender rejects that node', async () => {
    world = await startSchedulerWorld();
    world.addNodes(3);
    world.extender.answers.filter = ({ NodeNames }) => ({ NodeNames: NodeNames.length === 1 ? [] : ['node-1'] });
    world.addPod('train', { nominated: 'node-2' });
    expect(await world.bound('train')).toBe('node-1');
    expect(namesOf('filter')).toEqual([['node-2'], ['node-0', 'node-1', 'node-2']]);
  });

  test('is offered all nodes in a second call when the first call fails', async () => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    world.extender.answers.filter = ({ NodeNames }) =>
      NodeNames.length === 1 ? { status: 500 } : { NodeNames: ['node-0'] };
    world.addPod('train', { nominated: 'node-1' });
    expect(await world.bound('train')).toBe('node-0');
  });

  test('keeps its node from pods of the same or a lower priority, even while it is gated', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.addPod('gated', { nominated: 'node-0', spec: { schedulingGates: [{ name: 'muster.dev/gang' }] } });
    world.addPod('lone');
    expect(await world.refused('lone')).toMatch(`1 Insufficient ${GPU}.`);
    world.store.create('priorityclasses', { metadata: { name: 'urgent' }, value: 1000 });
    world.addPod('urgent', { spec: { priorityClassName: 'urgent' } });
    expect(await world.bound('urgent')).toBe('node-0');
  });

  test.each([
    [
      'is nominated elsewhere',
      () =>
        void world.store.update('pods', 'default', 'gated', (pod) => ({
          ...pod,
          status: { ...pod.status, nominatedNodeName: 'node-1' },
        })),
    ],
    ['is deleted', () => world.store.remove('pods', 'default', 'gated')],
  ])('frees the node when it %s', async (_, leave) => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.addPod('gated', { nominated: 'node-0', spec: { schedulingGates: [{ name: 'muster.dev/gang' }] } });
    world.addPod('lone');
    await world.refused('lone');
    leave();
    expect(await world.bound('lone')).toBe('node-0');
  });

  test('loses its nomination when no node fits and no preemption helps', async () => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    world.extender.answers.filter = () => ({ NodeNames: [], FailedAndUnresolvableNodes: waits });
    world.addPod('train', { nominated: 'node-1' });
    expect(await world.refused('train')).toBe(
      '0/2 nodes are available: 1 gang waits for all its members. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.',
    );
    expect(world.pod('train').status.nominatedNodeName).toBeUndefined();
  });

  test('keeps its nomination when its priority class never preempts', async () => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    world.store.create('priorityclasses', { metadata: { name: 'gang' }, value: 0, preemptionPolicy: 'Never' });
    world.extender.answers.filter = () => ({ NodeNames: [], FailedAndUnresolvableNodes: waits });
    world.addPod('train', { nominated: 'node-1', spec: { priorityClassName: 'gang' } });
    expect(await world.refused('train')).toMatch(/members\. preemption: not eligible due to preemptionPolicy=Never\.$/);
    expect(world.pod('train').status.nominatedNodeName).toBe('node-1');
  });
});

describe('what the extender answers', () => {
  test('reasons are counted by their text, and nodes without a reason are omitted', async () => {
    world = await startSchedulerWorld();
    world.addNodes(4);
    world.addNode('small', { gpus: 4 });
    const why = 'wrong rack';
    world.extender.answers.filter = () => ({
      NodeNames: [],
      FailedAndUnresolvableNodes: { 'node-0': why, 'node-1': why, unknown: 'no such node' },
    });
    world.addPod('train');
    expect(await world.refused('train')).toBe(
      `0/5 nodes are available: 1 Insufficient ${GPU}, 1 no such node, 2 wrong rack. preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling.`,
    );
    expect(world.notes('FailedScheduling')[0]).toBe(world.message('train'));
    // By the nanosecond, as client-go does it: Muster's names, by the millisecond, never meet these.
    for (const { metadata } of world.store.list('events')) expect(metadata.name).toMatch(/^train\.[0-9a-f]{16}$/);
  });

  test('an unchanged reason is not patched again', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.extender.answers.filter = () => ({ NodeNames: [], FailedAndUnresolvableNodes: waits });
    world.addPod('train');
    await world.refused('train');
    const { resourceVersion } = world.pod('train').metadata;
    world.addRunning('other', 'node-0', { gpus: 0 });
    await until('another attempt', () => world.extender.callsOf('filter').length > 2);
    expect(world.pod('train').metadata.resourceVersion).toBe(resourceVersion);
  });

  test.each([
    ['HTTP 500', () => ({ status: 500 }), /^failed filter with extender at URL http:.*\/scheduler\/filter, code 500$/],
    ['an Error', () => ({ Error: 'not today' }), /^not today$/],
    ['null', () => null, /cannot unmarshal null/],
    [
      'a node that was not offered',
      () => ({ NodeNames: ['node-9'] }),
      /claims a filtered node "node-9" which is not found in the input node list/,
    ],
  ])('%s is an error: the nomination is cleared, the reason is SchedulerError', async (_, answer, text) => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    world.extender.answers.filter = answer;
    world.addPod('train', { nominated: 'node-1' });
    await world.refused('train', text);
    expect(world.pod('train').status.conditions?.[0]?.reason).toBe('SchedulerError');
    expect(world.pod('train').status.nominatedNodeName).toBeUndefined();
  });

  test('an error of an ignorable extender is skipped', async () => {
    world = await startSchedulerWorld({ extender: { ignorable: true } });
    world.addNodes(1);
    world.extender.answers.filter = () => ({ status: 500 });
    world.extender.answers.bind = () => ({ Error: 'not today' });
    world.addPod('train');
    expect(await world.bound('train')).toBe('node-0');
  });

  test('no NodeNames, with nodeCacheCapable: no node is feasible', async () => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    world.extender.answers.filter = () => ({});
    world.addPod('train');
    expect(await world.refused('train')).toMatch(/^0\/2 nodes are available: preemption:/);
  });

  test('whole nodes are sent and read without nodeCacheCapable', async () => {
    world = await startSchedulerWorld({ extender: { nodeCacheCapable: false } });
    world.addNodes(2);
    world.extender.answers.filter = ({ Nodes }) => ({ Nodes: { items: Nodes.items.slice(1) } });
    world.addPod('train');
    expect(await world.bound('train')).toBe('node-1');
    expect(world.extender.callsOf('filter')[0]?.args).toMatchObject({
      Nodes: { items: [{ metadata: { name: 'node-0' } }, { metadata: { name: 'node-1' } }] },
      NodeNames: null,
    });
  });
});

describe('choosing among several nodes', () => {
  test('the extender’s scores count weight times ten', async () => {
    world = await startSchedulerWorld({ extender: { weight: 15 } });
    world.addNodes(3);
    world.addRunning('busy', 'node-2', { gpus: 0, spec: { containers: [{ resources: { requests: { cpu: '32' } } }] } });
    world.extender.answers.prioritize = () => [
      { Host: 'node-2', Score: 10 },
      { Host: 'unknown', Score: 100 },
    ];
    world.addPod('train');
    expect(await world.bound('train')).toBe('node-2');
  });

  test('the extender is not asked about a single node', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.addPod('train');
    await world.bound('train');
    expect(world.extender.callsOf('prioritize')).toEqual([]);
  });

  test.each([
    ['fails', () => ({ status: 500 })],
    ['answers a fraction', () => [{ Host: 'node-0', Score: 3.5 }]],
  ])('the extender’s scores are dropped when it %s: the emptiest node wins', async (_, answer) => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    world.addRunning('busy', 'node-0', { gpus: 0 });
    world.extender.answers.prioritize = answer;
    world.addPod('train');
    expect(await world.bound('train')).toBe('node-1');
  });

  test('ties are broken at random', async () => {
    world = await startSchedulerWorld({ random: () => 0.99 });
    world.addNodes(4);
    world.addPod('train');
    expect(await world.bound('train')).toBe('node-3');
  });

  test('the preferred node and the emptier domain win', async () => {
    world = await startSchedulerWorld({ extender: null });
    for (const name of ['a', 'b', 'c']) world.addNode(name, { labels: { zone: name === 'c' ? '2' : '1', disk: name } });
    const preference = { matchExpressions: [{ key: 'disk', operator: 'In' as const, values: ['b'] }] };
    const preferred = [{ weight: 1, preference }];
    world.addPod('picky', {
      gpus: 1,
      labels: { app: 'x' },
      spec: { affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } } },
    });
    expect(await world.bound('picky')).toBe('b');
    const constraint = {
      topologyKey: 'zone',
      maxSkew: 1,
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: { app: 'x' } },
    };
    world.addPod('spread', { gpus: 1, labels: { app: 'x' }, spec: { topologySpreadConstraints: [constraint] } });
    expect(await world.bound('spread')).toBe('c');
  });
});
