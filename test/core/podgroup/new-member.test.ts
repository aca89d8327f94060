/** What a new member lacks: the cases one by one, and against the hand-written model of the admission policy. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { manageResources } from '../../../src/core/objects/pod-template.ts';
import type { RawPod, RawPodSpec } from '../../../src/core/objects/raw-pod.ts';
import { completeMember } from '../../../src/core/podgroup/new-member.ts';
import { admitGangMember, installGangPolicy } from '../../../src/sim/admission.ts';
import { ObjectStore } from '../../../src/sim/object-store.ts';
import type { PodSpec } from '../../../src/sim/objects.ts';
import { applyPatch } from '../../../src/sim/patches.ts';
import { TestClock } from '../../sim/scheduler/scheduler-world.ts';
import { newPod } from '../../support/new-pods.ts';

const rules = {
  schedulerNames: ['default-scheduler'],
  isManaged: manageResources(['nvidia.com/gpu', 'amd.com/gpu', 'nvidia.com/mig-*']),
};
const LABELS = { 'muster.dev/pod-group': 'train' };
const gate = { name: 'muster.dev/gang' };
const gpu = { limits: { 'nvidia.com/gpu': '1' } };

const member = (spec: RawPodSpec): RawPod => ({
  metadata: { labels: LABELS },
  spec: { schedulerName: 'default-scheduler', containers: [{ name: 'main', resources: gpu }], ...spec },
});

/** Operations as `path=value`. */
const patchOf = (pod: RawPod, isGating = true) =>
  completeMember(pod, isGating, rules).map(({ op, path, value }) => `${op} ${path}=${JSON.stringify(value)}`);

describe('the gate', () => {
  test.each([
    ['a member without gates', {}, ['add /spec/schedulingGates=[{"name":"muster.dev/gang"}]']],
    [
      'null, as Go writes an empty list',
      { schedulingGates: null },
      ['add /spec/schedulingGates=[{"name":"muster.dev/gang"}]'],
    ],
    [
      "a member with another controller's gate",
      { schedulingGates: [{ name: 'x' }] },
      ['add /spec/schedulingGates/-={"name":"muster.dev/gang"}'],
    ],
    ['a member that has it', { schedulingGates: [{ name: 'x' }, gate] }, []],
  ])('%s', (_what, spec, expected) => {
    expect(patchOf(member(spec))).toEqual(expected);
    expect(patchOf(member(spec), false), 'while there is none').toEqual([]);
  });
});

describe('the marker', () => {
  const part = (name: string) => `add /spec/containers/0/resources/${name}={"muster.dev/member":"1"}`;
  const key = (name: string) => `add /spec/containers/0/resources/${name}/muster.dev~1member="1"`;
  const both = '{"muster.dev/member":"1"}';
  test.each([
    ['no resources', undefined, [`add /spec/containers/0/resources={"requests":${both},"limits":${both}}`]],
    ['null resources', null, [`add /spec/containers/0/resources={"requests":${both},"limits":${both}}`]],
    ['empty resources', {}, [part('requests'), part('limits')]],
    ['requests alone', { requests: { cpu: '1' } }, [key('requests'), part('limits')]],
    ['limits alone', { limits: { cpu: '1' } }, [part('requests'), key('limits')]],
    ['an accelerator', gpu, []],
    ['the marker itself', { requests: { 'muster.dev/member': '1' } }, []],
  ])('a container with %s', (_what, resources, expected) => {
    const containers = [{ name: 'main', ...(resources !== undefined && { resources }) }];
    expect(patchOf(member({ containers }), false)).toEqual(expected);
  });

  test('not where another container, or one before the start, has an accelerator', () => {
    const plain = { name: 'main', resources: {} };
    expect(patchOf(member({ containers: [plain, { name: 'b', resources: gpu }] }), false)).toEqual([]);
    expect(patchOf(member({ containers: [plain], initContainers: [{ name: 'b', resources: gpu }] }), false)).toEqual(
      [],
    );
  });
});

test.each([
  ['no member', { ...member({}), metadata: { labels: { app: 'x' } } }],
  ['of another scheduler', member({ schedulerName: 'batch' })],
  ['bound already', member({ nodeName: 'n1' })],
  ['in a native group', member({ schedulingGroup: {} })],
  ['without a spec', { metadata: { labels: LABELS } }],
  ['without containers, which the API server refuses', member({ containers: [], schedulingGates: [gate] })],
  [
    'with a label that only an object without prototype has',
    { ...member({}), metadata: { labels: Object.create(LABELS) } },
  ],
])('a pod is left alone: %s', (_what, pod) => {
  expect(completeMember(pod, true, rules)).toEqual([]);
});

describe('for any pod', () => {
  /** As it is on the wire, with the default that the API server sets before admission. */
  const arrived = (pod: RawPod): RawPod => {
    const spec = { ...pod.spec, schedulerName: pod.spec?.schedulerName || 'default-scheduler' };
    return JSON.parse(JSON.stringify({ ...pod, spec })) as RawPod;
  };
  const applied = (pod: RawPod, isGating: boolean) =>
    applyPatch(pod, completeMember(pod, isGating, rules), 'application/json-patch+json') as RawPod;

  test.each([true, false])('the result is that of the admission policy; gate: %s', (isGating) => {
    const store = new ObjectStore({ clock: new TestClock() });
    installGangPolicy(store);
    const annotations = { 'muster.dev/gate': isGating ? 'on' : 'off' };
    store.remove('limitranges', 'muster-system', 'muster-gates');
    store.create('limitranges', { metadata: { namespace: 'muster-system', name: 'muster-gates', annotations } });
    fc.assert(
      fc.property(newPod, (drawn) => {
        const pod = arrived(drawn);
        const expected = admitGangMember(store, pod.metadata?.labels ?? {}, pod.spec as PodSpec);
        expect(applied(pod, isGating).spec).toEqual(expected);
      }),
    );
  });

  test('asking once more changes nothing', () => {
    fc.assert(
      fc.property(newPod, fc.boolean(), (drawn, isGating) => {
        expect(completeMember(applied(arrived(drawn), isGating), isGating, rules)).toEqual([]);
      }),
    );
  });
});
