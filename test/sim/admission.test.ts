/** The hand-written admission policy: which pods get the gate and which get the marker. */
import { describe, expect, test } from 'vitest';
import type { NewObject, Pod } from '../../src/sim/objects.ts';
import { useSimWorlds } from './sim-world.ts';

const newWorld = useSimWorlds();
const GATE = { name: 'muster.dev/gang' };
const MARKER = 'muster.dev/member';
const member: NewObject = { metadata: { labels: { 'muster.dev/pod-group': 'train' } } };

const withResources = (resources: object) => ({ containers: [{ name: 'main', resources }, { name: 'side' }] });
const limitsOf = (pod: Pod) => pod.spec.containers?.map(({ resources }) => resources?.limits);

// The e2e test controlplane.e2e.ts expects the same of the real policy.
describe('the admission policy', () => {
  test('does nothing unless it is installed', () => {
    expect(newWorld().createPod('a', member).spec.schedulingGates).toBeUndefined();
  });

  test('gates members, by either label, and keeps other gates', () => {
    const world = newWorld();
    world.enforceGangPolicy();
    expect(world.createPod('a', member).spec.schedulingGates).toEqual([GATE]);
    const legacy = { metadata: { labels: { 'scheduling.x-k8s.io/pod-group': 'train' } } };
    expect(world.createPod('b', legacy).spec.schedulingGates).toEqual([GATE]);
    const gates = [{ name: 'example.com/quota' }, GATE];
    expect(world.createPod('c', { ...member, spec: { schedulingGates: gates } }).spec.schedulingGates).toEqual(gates);
  });

  test('marks the first container of a member that requests nothing managed', () => {
    const world = newWorld();
    world.enforceGangPolicy();
    const plain = world.createPod('plain', { ...member, spec: withResources({ requests: { cpu: '2' } }) });
    expect(limitsOf(plain)).toEqual([{ [MARKER]: '1' }, undefined]);
    expect(plain.spec.containers?.[0]?.resources?.requests).toEqual({ cpu: '2', [MARKER]: '1' });
    const managed = ['nvidia.com/gpu', 'amd.com/gpu', 'nvidia.com/mig-1g.5gb', MARKER];
    for (const [i, name] of managed.entries()) {
      const limits = { [name]: '1' };
      const pod = world.createPod(`managed-${i}`, { ...member, spec: withResources({ limits }) });
      expect(limitsOf(pod), name).toEqual([limits, undefined]);
    }
    const initContainers = [{ name: 'warm-up', resources: { limits: { 'nvidia.com/gpu': '1' } } }];
    const warm = world.createPod('warm', { ...member, spec: { ...withResources({}), initContainers } });
    expect(limitsOf(warm)).toEqual([undefined, undefined]);
  });

  test('leaves other pods alone: no member, bound, of another scheduler or of a native group', () => {
    const world = newWorld();
    world.enforceGangPolicy();
    const others: readonly NewObject[] = [
      {},
      { ...member, spec: { nodeName: 'n1' } },
      { ...member, spec: { schedulerName: 'batch' } },
      { ...member, spec: { schedulingGroup: { podGroupName: 'x' } } },
    ];
    for (const [i, other] of others.entries()) {
      const pod = world.createPod(`other-${i}`, other);
      expect(pod.spec.schedulingGates, `${i}`).toBeUndefined();
      expect(limitsOf(pod), `${i}`).toEqual([undefined]);
    }
  });
});
