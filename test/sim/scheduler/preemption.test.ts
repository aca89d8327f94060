/** Preemption in the kube-scheduler model: which victims it chooses, and how an extender changes them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import { GPU, type PodOptions, type SchedulerWorld, startSchedulerWorld } from './scheduler-world.ts';

let world: SchedulerWorld;

async function start(options: Parameters<typeof startSchedulerWorld>[0] = {}): Promise<void> {
  world = await startSchedulerWorld(options);
  const classes: readonly [string, number][] = [
    ['low', 10],
    ['middle', 50],
    ['high', 100],
  ];
  for (const [name, value] of classes) world.store.create('priorityclasses', { metadata: { name }, value });
  world.store.create('priorityclasses', { metadata: { name: 'polite' }, value: 1000, preemptionPolicy: 'Never' });
}

beforeEach(() => start());
afterEach(() => world.stop());

const classed = (priorityClassName: string, options: PodOptions = {}): PodOptions => ({
  ...options,
  spec: { priorityClassName, ...options.spec },
});
const offered = () => world.extender.callsOf('preempt').map(({ args }) => args.NodeNameToMetaVictims);
const uidOf = (name: string) => world.pod(name).metadata.uid;
const echo = () => {
  world.extender.answers.preempt = ({ NodeNameToMetaVictims }) => ({ NodeNameToMetaVictims });
};
const leaving = () =>
  world.store.list('pods').flatMap(({ metadata }) => (metadata.deletionTimestamp ? [metadata.name] : []));

describe('preemption', () => {
  test('evicts the pod of lowest priority, nominates the preemptor, and places it once the node is free', async () => {
    echo();
    world.addNodes(2);
    world.addRunning('low', 'node-0', classed('low'));
    world.addRunning('middle', 'node-1', classed('middle'));
    world.addPod('urgent', classed('high'));
    await world.refused('urgent', /preempting 1 victims/);
    expect(world.message('urgent')).toBe(
      `0/2 nodes are available: 2 Insufficient ${GPU}. preemption: found a potential placement for pod on node node-0, preempting 1 victims`,
    );
    expect(leaving()).toEqual(['low']);
    expect(world.pod('low').status.conditions).toContainEqual(
      expect.objectContaining({ type: 'DisruptionTarget', reason: 'PreemptionByScheduler', status: 'True' }),
    );
    expect(world.notes('Preempted')).toEqual([`Preempted by pod ${uidOf('urgent')} on node node-0`]);
    expect(world.pod('urgent').status.nominatedNodeName).toBe('node-0');
    world.store.remove('pods', 'default', 'low');
    expect(await world.bound('urgent')).toBe('node-0');
  });

  test('evicts only pods that must go: the more important ones are added back first', async () => {
    echo();
    world.addNodes(1);
    for (const name of ['a', 'b']) world.addRunning(name, 'node-0', classed('low', { gpus: 2 }));
    world.addRunning('c', 'node-0', classed('middle', { gpus: 4 }));
    world.addPod('urgent', classed('high', { gpus: 3 }));
    await world.refused('urgent', /preempting 2 victims/);
    expect(offered()).toEqual([
      { 'node-0': { Pods: [{ UID: uidOf('a') }, { UID: uidOf('b') }], NumPDBViolations: 0 } },
    ]);
  });

  test('spares a disruption budget where possible, and reports a violation', async () => {
    echo();
    world.addNodes(2);
    for (const [i, app] of ['guarded', 'free'].entries()) {
      world.addRunning(app, `node-${i}`, classed('low', { labels: { app } }));
    }
    world.store.create('poddisruptionbudgets', {
      metadata: { name: 'guard', namespace: 'default' },
      spec: { selector: { matchLabels: { app: 'guarded' } } },
      status: { disruptionsAllowed: 0 },
    });
    world.addPod('urgent', classed('high'));
    await world.refused('urgent', /on node node-1/);
    expect(offered()[0]['node-0'].NumPDBViolations).toBe(1);
    expect(leaving()).toEqual(['free']);
  });

  test('evicts no pod of the same priority, and asks no extender', async () => {
    world.addNodes(2);
    world.addRunning('same', 'node-0', classed('high'));
    world.addRunning('other', 'node-1', classed('high'));
    world.addPod('urgent', classed('high'));
    expect(await world.refused('urgent')).toMatch(
      'preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.',
    );
    expect(world.extender.callsOf('preempt')).toEqual([]);
  });

  test('does not happen for a priority class that never preempts', async () => {
    world.addNodes(1);
    world.addRunning('low', 'node-0', classed('low'));
    world.addPod('polite', classed('polite'));
    expect(await world.refused('polite')).toMatch(/preemption: not eligible due to preemptionPolicy=Never\.$/);
    expect(leaving()).toEqual([]);
  });

  test('leaves out nodes that the extender rejected as unresolvable', async () => {
    world.addNodes(1);
    world.addRunning('low', 'node-0', classed('low', { gpus: 0 }));
    world.extender.answers.filter = () => ({ NodeNames: [], FailedAndUnresolvableNodes: { 'node-0': 'waits' } });
    world.addPod('urgent', classed('high'));
    await world.refused('urgent', /1 Preemption is not helpful for scheduling/);
    expect(leaving()).toEqual([]);
  });

  test('considers nodes in FailedNodes, and fails when no pod there has to go', async () => {
    world.addNodes(1);
    world.addRunning('low', 'node-0', classed('low', { gpus: 0 }));
    world.extender.answers.filter = () => ({ NodeNames: [], FailedNodes: { 'node-0': 'waits' } });
    world.addPod('urgent', classed('high', { nominated: 'node-0' }));
    await world.refused('urgent', /1 waits\. preemption: expected at least one victim pod on node "node-0"$/);
    expect(world.pod('urgent').status.nominatedNodeName).toBe('node-0');
  });

  test('clears nominations of lower priority to the node', async () => {
    echo();
    world.addNodes(1);
    world.addRunning('low', 'node-0', classed('low'));
    const gates = [{ name: 'muster.dev/gang' }];
    world.addPod('member', classed('middle', { nominated: 'node-0', spec: { schedulingGates: gates } }));
    world.addPod('urgent', classed('high'));
    await until('the victim to be deleted', () => leaving().includes('low'));
    expect(world.pod('member').status.nominatedNodeName).toBeUndefined();
    expect(world.pod('urgent').status.nominatedNodeName).toBe('node-0');
  });

  test('does not happen again while the victims terminate', async () => {
    echo();
    world.addNodes(1);
    world.addRunning('low', 'node-0', classed('low'));
    world.addRunning('bystander', 'node-0', classed('high', { gpus: 0 }));
    world.addPod('urgent', classed('high'));
    await world.refused('urgent', /preempting 1 victims/);
    world.store.remove('pods', 'default', 'bystander');
    await world.refused('urgent', /not eligible due to a terminating pod on the nominated node/);
    expect(world.extender.callsOf('preempt')).toHaveLength(1);
    expect(world.pod('urgent').status.nominatedNodeName).toBe('node-0');
  });

  test('may evict a pod whose bind is held', async () => {
    echo();
    world.addNodes(1);
    world.extender.answers.bind = ({ PodName }) => (PodName === 'held' ? new Promise(() => {}) : {});
    world.addPod('held', classed('low'));
    await until('the bind', () => world.extender.callsOf('bind').length === 1);
    world.addPod('urgent', classed('high'));
    await until('the held pod to be deleted', () => world.store.get('pods', 'default', 'held') === undefined);
  });
});

describe('what the extender answers about victims', () => {
  beforeEach(() => {
    world.addNodes(2);
    world.addRunning('a', 'node-0', classed('low', { gpus: 4 }));
    world.addRunning('b', 'node-0', classed('low', { gpus: 4 }));
    world.addRunning('c', 'node-1', classed('middle'));
  });

  const answer = (victims: unknown) => {
    world.extender.answers.preempt = () => ({ NodeNameToMetaVictims: victims });
  };
  const of = (...names: string[]) => ({ Pods: names.map((name) => ({ UID: uidOf(name) })), NumPDBViolations: 0 });

  test('replaces the candidates', async () => {
    answer({ 'node-1': of('c') });
    world.addPod('urgent', classed('high'));
    await world.refused('urgent', /on node node-1, preempting 1 victims/);
    expect(leaving()).toEqual(['c']);
  });

  test.each([[{}], [null]])('%j is a veto', async (victims) => {
    answer(victims);
    world.addPod('urgent', classed('high', { nominated: 'node-0' }));
    await world.refused('urgent', /preemption: no candidate node for preemption$/);
    expect(leaving()).toEqual([]);
    expect(world.pod('urgent').status.nominatedNodeName).toBe('node-0');
  });

  test.each([
    ['a node without victims', () => ({ 'node-0': of() }), /expected at least one victim pod on node "node-0"/],
    ['a pod of another node', () => ({ 'node-0': of('c') }), /claims to preempt pod .* not found on that node/],
    ['an unknown node', () => ({ 'node-9': of('c') }), /nodeinfo not found for node name "node-9"/],
    ['null for a node', () => ({ 'node-0': null }), /cannot unmarshal null/],
  ])('%s is an error, and no pod is evicted', async (_, victims, text) => {
    answer(victims());
    world.addPod('urgent', classed('high'));
    await world.refused('urgent', text);
    expect(world.pod('urgent').status.conditions?.[0]?.reason).toBe('Unschedulable');
    expect(leaving()).toEqual([]);
  });

  test('a failed call of an ignorable extender leaves the candidates as they are', async () => {
    await world.stop();
    await start({ extender: { ignorable: true } });
    world.addNodes(1);
    world.addRunning('low', 'node-0', classed('low'));
    world.extender.answers.preempt = () => ({ status: 500 });
    world.addPod('urgent', classed('high'));
    await world.refused('urgent', /preempting 1 victims/);
  });
});
