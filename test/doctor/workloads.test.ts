/** What is found in pods, Jobs and quotas. */
import { expect, test } from 'vitest';
import { checkWorkloads, type SeenJob, type SeenWorkloadPod, type SeenWorkloads } from '../../src/doctor/workloads.ts';

const now = Date.UTC(2026, 11, 1);
const settings = {
  barrierTimeoutMs: 1,
  schedulerNames: ['default-scheduler'],
  managedResources: ['nvidia.com/gpu', 'nvidia.com/mig-*'],
};
const ago = (ms: number) => new Date(now - ms).toISOString();

function pod(spec: SeenWorkloadPod['spec'], metadata: SeenWorkloadPod['metadata'] = {}): SeenWorkloadPod {
  const labels = { 'muster.dev/pod-group': 'train' };
  return {
    metadata: { namespace: 'ml', name: 'a', labels, creationTimestamp: ago(3_600_000), ...metadata },
    spec: spec!,
  };
}

const gpu = { resources: { limits: { 'nvidia.com/gpu': '8' } } };
const job = (spec: SeenJob['spec'], status: SeenJob['status'] = {}): SeenJob => ({
  metadata: { namespace: 'ml', name: 'train' },
  spec: { template: { metadata: { labels: { 'muster.dev/pod-group': 'train' } } }, ...spec },
  status,
});
const spared = { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }] };
const gated = pod({ containers: [gpu], schedulingGates: [{ name: 'muster.dev/gang' }] });
const quota = (hard: Readonly<Record<string, string>>, namespace = 'ml') => ({
  metadata: { namespace, name: 'q' },
  spec: { hard },
});

const found = (seen: Partial<SeenWorkloads>) =>
  checkWorkloads({ pods: [], jobs: [], quotas: [], ...seen }, settings, now).map(
    ({ severity, kind, about }) => `${severity} ${kind} ${about}`,
  );

test.each<[string, Partial<SeenWorkloads>, readonly string[]]>([
  ['a member with an accelerator', { pods: [pod({ containers: [gpu] })] }, []],
  [
    'a member with a slice of one',
    { pods: [pod({ containers: [{ resources: { limits: { 'nvidia.com/mig-1g.5gb': 1 } } }] })] },
    [],
  ],
  [
    'a member with the marker',
    { pods: [pod({ containers: [{ resources: { requests: { 'muster.dev/member': '1' } } }] })] },
    [],
  ],
  ['a member with neither', { pods: [pod({ containers: [{}] })] }, ['warning never-reaches gang ml/train']],
  ['one that is over', { pods: [{ ...pod({ containers: [{}] }), status: { phase: 'Succeeded' } }] }, []],
  ['one of another scheduler', { pods: [pod({ schedulerName: 'volcano', containers: [{}] })] }, []],
  ['a pod outside gangs', { pods: [pod({ containers: [{}] }, { labels: {} })] }, []],
  [
    'a gate of somebody else, for an hour',
    {
      pods: [
        pod({
          containers: [gpu],
          schedulingGates: [{ name: 'kueue.x-k8s.io/admission' }, { name: 'muster.dev/gang' }],
        }),
      ],
    },
    ['warning other-gate gang ml/train'],
  ],
  [
    'the same for a minute',
    { pods: [pod({ containers: [gpu], schedulingGates: [{ name: 'x.dev/y' }] }, { creationTimestamp: ago(60_000) })] },
    [],
  ],
  [
    'an accelerator pod that another scheduler bound',
    { pods: [pod({ schedulerName: 'volcano', nodeName: 'n1', containers: [gpu] }, { labels: {} })] },
    ['warning other-scheduler scheduler volcano'],
  ],
  [
    'a pod without accelerator that it bound',
    { pods: [pod({ schedulerName: 'volcano', nodeName: 'n1', containers: [{}] })] },
    [],
  ],
  [
    'a privileged member',
    { pods: [pod({ containers: [{ ...gpu, securityContext: { privileged: true } }] })] },
    ['warning privileged gang ml/train'],
  ],
  [
    'a privileged pod outside gangs',
    { pods: [pod({ containers: [{ securityContext: { privileged: true } }] }, { labels: {} })] },
    [],
  ],
  ['a Job without podFailurePolicy', { jobs: [job({})] }, ['warning backoff-limit job ml/train']],
  [
    'a Job with another one',
    { jobs: [job({ podFailurePolicy: { rules: [{ action: 'FailJob' }] } })] },
    ['warning backoff-limit job ml/train'],
  ],
  ['a Job with the right one', { jobs: [job({ podFailurePolicy: spared })] }, []],
  ['a Job that is over', { jobs: [job({}, { conditions: [{ type: 'Complete', status: 'True' }] })] }, []],
  ['a Job outside gangs', { jobs: [{ ...job({}), spec: { template: {} } }] }, []],
  [
    'a quota on GPUs',
    { pods: [gated], quotas: [quota({ 'requests.nvidia.com/gpu': '8' })] },
    ['info quota-counts-gated resourcequota ml/q'],
  ],
  [
    'a quota on pods',
    { pods: [gated], quotas: [quota({ pods: '8' })] },
    ['info quota-counts-gated resourcequota ml/q'],
  ],
  ['a quota on memory', { pods: [gated], quotas: [quota({ 'requests.memory': '8' })] }, []],
  ['a quota where nothing waits', { pods: [gated], quotas: [quota({ pods: '8' }, 'other')] }, []],
])('%s', (_, seen, findings) => {
  expect(found(seen)).toEqual(findings);
});

test('many gangs are one finding with a few names', () => {
  const pods = ['e', 'd', 'c', 'b', 'a'].map((name) =>
    pod({ containers: [{}] }, { labels: { 'scheduling.x-k8s.io/pod-group': name } }),
  );
  expect(found({ pods })).toEqual(['warning never-reaches gang ml/a, ml/b, ml/c and 2 more']);
});
