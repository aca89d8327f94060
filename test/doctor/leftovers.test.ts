/** What `muster uninstall --check` makes of what is left in a cluster. */
import { describe, expect, test } from 'vitest';
import {
  findGating,
  findLeftovers,
  type LeftObject,
  type LeftoverFacts,
  listGated,
  type WaitingPod,
} from '../../src/doctor/leftovers.ts';

const known = <T>(value: T) => ({ kind: 'known', value }) as const;
const unknown = { kind: 'unknown', about: 'pods', why: 'forbidden', fix: 'ask as another user' } as const;
const clean: LeftoverFacts = {
  namespace: 'muster-system',
  pods: known([]),
  objects: known([]),
  schedulers: [],
  queues: known(undefined),
  labelledNodes: known([]),
};

function pod(name: string, more: Partial<WaitingPod['metadata']>, spec: NonNullable<WaitingPod['spec']>): WaitingPod {
  return { metadata: { namespace: 'ml', name, uid: name, ...more }, spec };
}

function left(plural: string, name: string, namespace?: string): LeftObject {
  return { plural, name, namespace };
}

const gate = { schedulingGates: [{ name: 'muster.dev/gang' }] };
const marker = { containers: [{ resources: { limits: { 'muster.dev/member': '1' } } }] };

describe('what is left', () => {
  test.each<[string, Partial<LeftoverFacts>, readonly string[]]>([
    ['nothing', {}, []],
    ['a gate that nobody opens', { pods: known([pod('a', {}, gate)]) }, ['error gate-closed 1 pods']],
    ['a gate of somebody else', { pods: known([pod('a', {}, { schedulingGates: [{ name: 'other' }] })]) }, []],
    ['a marker that no node offers', { pods: known([pod('a', {}, marker)]) }, ['error marker-waits 1 pods']],
    ['a marker of a pod that runs', { pods: known([pod('a', {}, { ...marker, nodeName: 'n' })]) }, []],
    [
      'a policy that adds gates, and one that only refuses',
      {
        objects: known([
          left('validatingadmissionpolicies', 'muster-writes'),
          left('mutatingadmissionpolicies', 'muster-gang-members'),
        ]),
      },
      [
        'error still-adds mutatingadmissionpolicies/muster-gang-members',
        'warning object-left validatingadmissionpolicies/muster-writes',
      ],
    ],
    [
      'a webhook',
      { objects: known([left('mutatingwebhookconfigurations', 'muster')]) },
      ['error still-adds mutatingwebhookconfigurations/muster'],
    ],
    [
      'Muster itself',
      { objects: known([left('deployments', 'muster', 'm')]) },
      ['error still-runs deployments/muster'],
    ],
    [
      'an extender of kube-scheduler',
      { schedulers: [known({ about: 'file', config: { extenders: [{ urlPrefix: 'https://muster:8443' }] } })] },
      ['error still-called file'],
    ],
    [
      'an extender of somebody else',
      { schedulers: [known({ about: 'file', config: { extenders: [{ urlPrefix: 'https://other' }] } })] },
      [],
    ],
    ['queues, on purpose', { queues: known(3) }, ['info kept queues.muster.dev']],
    ['nodes of the second scheduler', { labelledNodes: known(['a', 'b']) }, ['info kept 2 nodes']],
    ['pods that may not be seen: nobody can say that none waits', { pods: unknown }, ['warning not-checked pods']],
    ['nodes that may not be seen', { labelledNodes: { ...unknown, about: 'nodes' } }, ['info not-checked nodes']],
  ])('%s', (_what, facts, expected) => {
    const found = findLeftovers({ ...clean, ...facts });
    expect(found.map(({ severity, kind, about }) => `${severity} ${kind} ${about}`)).toEqual(expected);
  });

  test('the owners of pods with a marker are named once, and a pod without one by itself', () => {
    const ownerReferences = [{ kind: 'Job', name: 'train' }];
    const pods = [pod('a', { ownerReferences }, marker), pod('b', { ownerReferences }, marker), pod('c', {}, marker)];
    const [finding] = findLeftovers({ ...clean, pods: known(pods) });
    expect(finding?.text).toContain('found some of job ml/train, pod ml/c:');
  });

  test('an object in a namespace is deleted there', () => {
    const [finding] = findLeftovers({ ...clean, objects: known([left('deployments', 'muster', 'm')]) });
    expect(finding?.fix).toBe('helm uninstall, or kubectl delete deployments muster -n m');
  });
});

test('only pods with the gate of Muster are opened', () => {
  const pods = [pod('a', {}, gate), pod('b', {}, { schedulingGates: [{ name: 'other' }] }), pod('c', {}, {})];
  expect(listGated(pods).map(({ metadata }) => metadata?.name)).toEqual(['a']);
});

test('a policy or a webhook would close gates again, a role would not', () => {
  expect(findGating([left('clusterroles', 'muster')])).toBeUndefined();
  expect(findGating([left('mutatingwebhookconfigurations', 'muster')])).toBe('mutatingwebhookconfigurations/muster');
});
