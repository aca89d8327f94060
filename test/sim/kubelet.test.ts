/**
 * The embedded kubelet: the life of a pod from binding to deletion, leases, and taints of nodes that are down or
 * cordoned.
 */
import { describe, expect, test } from 'vitest';
import { Kubelet } from '../../src/sim/kubelet.ts';
import { NodeLifecycle } from '../../src/sim/node-lifecycle.ts';
import { useSimWorlds } from './sim-world.ts';

const newWorld = useSimWorlds();

function worldWithNode() {
  const world = newWorld();
  world.run(Kubelet, NodeLifecycle);
  world.createNode('n1');
  world.pass();
  return world;
}

const running = (seconds: number, exitCode?: number) => ({
  metadata: {
    annotations: {
      'e2e.muster.dev/run-seconds': `${seconds}`,
      ...(exitCode !== undefined && { 'e2e.muster.dev/exit-code': `${exitCode}` }),
    },
  },
});

describe('a pod', () => {
  test('runs once it is bound, forever unless it sets a run time', () => {
    const world = worldWithNode();
    world.createPod('a');
    world.pass(1000);
    expect(world.pod('a').status.phase).toBe('Pending');
    world.bind('a', 'n1');
    world.pass();
    const { phase, conditions } = world.pod('a').status;
    expect(phase).toBe('Running');
    expect(conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }));
    expect(conditions).toContainEqual(expect.objectContaining({ type: 'PodScheduled', status: 'True' }));
    world.pass(1e9);
    expect(world.pod('a').status.phase).toBe('Running');
  });

  test('that is bound to a missing node waits for the node', () => {
    const world = newWorld();
    world.run(Kubelet);
    world.createPod('a');
    world.bind('a', 'n1');
    world.pass(1000);
    expect(world.pod('a').status.phase).toBe('Pending');
    world.createNode('n1');
    world.pass();
    expect(world.pod('a').status.phase).toBe('Running');
  });

  test('ends when its run time is over, in success or failure', () => {
    const world = worldWithNode();
    world.createPod('good', running(10));
    world.createPod('bad', running(10, 3));
    for (const name of ['good', 'bad']) world.bind(name, 'n1');
    world.pass(9_000);
    // A change in between does not restart the run time.
    world.store.update('pods', 'default', 'good', (pod) => ({
      ...pod,
      metadata: { ...pod.metadata, labels: { x: 'y' } },
    }));
    expect(world.pod('good').status.phase).toBe('Running');
    world.pass(1_000);
    expect(world.pod('good').status.phase).toBe('Succeeded');
    const { phase, containerStatuses } = world.pod('bad').status;
    expect(phase).toBe('Failed');
    expect(containerStatuses).toMatchObject([{ state: { terminated: { exitCode: 3, reason: 'Error' } } }]);
  });

  test('that is deleted waits out its grace period, becomes Failed, then disappears', () => {
    const world = worldWithNode();
    world.createPod('a', { spec: { terminationGracePeriodSeconds: 5 } as object });
    world.bind('a', 'n1');
    world.pass();
    const phases: string[] = [];
    world.store.subscribe(({ type, object }) => phases.push(`${type} ${(object.status as { phase: string }).phase}`));
    world.registry.delete('pods', 'default', 'a');
    world.pass(4_000);
    expect(phases).toEqual(['MODIFIED Running']);
    world.pass(1_000);
    expect(phases).toEqual(['MODIFIED Running', 'MODIFIED Failed', 'DELETED Failed']);
  });

  test('that is deleted and has a finalizer stays Failed until the finalizer is gone', () => {
    const world = worldWithNode();
    const fields = { metadata: { finalizers: ['x'] }, spec: { terminationGracePeriodSeconds: 1 } as object };
    world.createPod('a', fields);
    world.bind('a', 'n1');
    world.pass();
    world.registry.delete('pods', 'default', 'a');
    world.pass(10_000);
    expect(world.pod('a').status.phase).toBe('Failed');
    expect(world.pod('a').metadata.deletionGracePeriodSeconds).toBe(1);
    world.store.update('pods', 'default', 'a', (pod) => ({ ...pod, metadata: { ...pod.metadata, finalizers: [] } }));
    world.pass();
    expect(world.store.list('pods')).toEqual([]);
  });
});

describe('a node', () => {
  test('gets a lease', () => {
    expect(worldWithNode().store.get('leases', 'kube-node-lease', 'n1')).toBeDefined();
  });

  test('that is down is tainted, its pods stay and are not ready; when it returns the taints go', () => {
    const world = worldWithNode();
    world.createPod('a');
    world.bind('a', 'n1');
    world.pass();
    const annotate = (annotations: Readonly<Record<string, string>>) =>
      world.store.update('nodes', undefined, 'n1', (node) => ({
        ...node,
        metadata: { ...node.metadata, annotations },
      }));
    annotate({ 'e2e.muster.dev/down': 'true' });
    world.pass();
    expect(world.node('n1').spec?.taints).toMatchObject([
      { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' },
      { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' },
    ]);
    const ready = () => world.pod('a').status.conditions?.find(({ type }) => type === 'Ready')?.status;
    expect(ready()).toBe('False');
    expect(world.pod('a').status.phase).toBe('Running');
    annotate({});
    world.pass();
    expect(world.node('n1').status?.conditions).toMatchObject([{ type: 'Ready', status: 'True' }]);
    expect(world.node('n1').spec).toEqual({});
  });

  test('that is cordoned gets a taint beside those that it has', () => {
    const world = worldWithNode();
    const mine = { key: 'mine', effect: 'NoSchedule' };
    const set = (unschedulable: boolean) =>
      world.store.update('nodes', undefined, 'n1', (node) => ({
        ...node,
        spec: { taints: node.spec?.taints ?? [mine], unschedulable },
      }));
    set(true);
    world.pass();
    const cordoned = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
    expect(world.node('n1').spec?.taints).toEqual([mine, cordoned]);
    set(false);
    world.pass();
    expect(world.node('n1').spec?.taints).toEqual([mine]);
  });
});
