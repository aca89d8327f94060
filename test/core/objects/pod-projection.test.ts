import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readDuration } from '../../../src/core/objects/keys.ts';
import type { PodUid } from '../../../src/core/objects/model.ts';
import { rejectNode } from '../../../src/core/objects/node-fit.ts';
import { PodProjector } from '../../../src/core/objects/pod-projection.ts';
import { describeSource, sealTemplate } from '../../../src/core/objects/pod-template.ts';
import { aNode, aPod, aRawPod, aTemplate, GPU, type RawPodOptions } from '../../support/builders.ts';

const MANAGED = ['nvidia.com/gpu', 'amd.com/gpu', 'nvidia.com/mig-*'];

const project = (options: RawPodOptions = {}) =>
  new PodProjector({ maxTemplates: 8, managedResources: MANAGED }).project(aRawPod(options));
const templateOf = (options: RawPodOptions) => project(options).template;
const main = (part: object, name = 'main') => ({ name, resources: { requests: { cpu: '1' } }, ...part });

describe('the pod', () => {
  test('a wire pod becomes the pod that the builder makes', () => {
    const { key, ...template } = project().template;
    expect(project()).toEqual(aPod({ template: sealTemplate(template) }));
    expect(template).toEqual({ ...aTemplate(), key: undefined });
    expect(key).toBe(aTemplate().key);
  });

  test('every field is read', () => {
    const owners = [
      { kind: 'Helm', name: 'release', uid: 'u0' },
      { kind: 'Job', name: 'train', uid: 'u1', controller: true },
    ];
    const pod = project({
      name: 'train-0',
      namespace: 'ml',
      labels: { app: 'train' },
      annotations: { 'muster.dev/rank': '3', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
      nodeName: 'node-1',
      priority: -5,
      metadata: {
        creationTimestamp: '2026-01-02T03:04:05Z',
        deletionTimestamp: '2026-01-02T03:05:05Z',
        ownerReferences: owners,
      },
      spec: { schedulingGates: [{ name: 'muster.dev/gang' }], schedulingGroup: { podGroupName: 'g' } },
      status: { phase: 'Failed', nominatedNodeName: 'node-2', startTime: '2026-01-02T03:04:35Z' },
    });
    expect(pod).toMatchObject({
      name: 'train-0',
      namespace: 'ml',
      uid: 'uid-of-ml/train-0',
      labels: { app: 'train' },
      priority: -5,
      nodeName: 'node-1',
      nominatedNodeName: 'node-2',
      phase: 'Failed',
      deleting: true,
      goneBy: Date.UTC(2026, 0, 2, 3, 5, 5),
      createdAt: Date.UTC(2026, 0, 2, 3, 4, 5),
      startedAt: Date.UTC(2026, 0, 2, 3, 4, 35),
      gates: ['muster.dev/gang'],
      owner: { kind: 'Job', name: 'train', uid: 'u1' },
      nativeGang: true,
    });
    expect(pod.annotations).toEqual({ 'muster.dev/rank': '3' });
  });

  test.each([
    ['a number', '4', { 'leaderworkerset.sigs.k8s.io/size': '4' }],
    ['any other text', 'x'.repeat(200_000), {}],
    ['a number of ten digits', '1000000000', {}],
  ])('keeps the group size of a LeaderWorkerSet: %s', (_, size, kept) => {
    const annotations = { 'leaderworkerset.sigs.k8s.io/size': size, 'leaderworkerset.sigs.k8s.io/leader-name': 'a' };
    expect(project({ annotations }).annotations).toEqual(kept);
  });

  test('an empty object has every default', () => {
    const pod = new PodProjector({ maxTemplates: 8, managedResources: MANAGED }).project({
      metadata: null,
      spec: { containers: null },
    });
    const template = aTemplate({ gpus: 0, cpu: 0, memory: 0 });
    expect(pod).toEqual(aPod({ namespace: '', name: '', uid: '' as PodUid, template }));
  });

  test.each([
    [
      'a refusal of kube-scheduler',
      { status: 'False', reason: 'Unschedulable', message: '0/3 nodes are available' },
      '0/3 nodes are available',
    ],
    ['a scheduled pod', { status: 'True' }, ''],
    ['a gated pod', { status: 'False', reason: 'SchedulingGated', message: 'Scheduling is blocked' }, ''],
  ])('%s', (_, condition, refusal) => {
    const conditions = [
      { type: 'Initialized', status: 'False', message: 'no' },
      { type: 'PodScheduled', ...condition },
    ];
    expect(project({ status: { conditions } }).refusal).toBe(refusal);
  });

  test.each<[string, string | undefined, object, boolean]>([
    ['its creator wrote the node', 'n', { phase: 'Pending' }, false],
    ['a scheduler bound it', 'n', { conditions: [{ type: 'PodScheduled', status: 'True' }] }, true],
    ['a scheduler refused it', 'n', { conditions: [{ type: 'PodScheduled', status: 'False' }] }, false],
    ['another condition is true', 'n', { conditions: [{ type: 'Ready', status: 'True' }] }, false],
    ['the kubelet accepted it', 'n', { phase: 'Pending', startTime: '2026-01-01T00:00:00Z' }, true],
    ['it runs', 'n', { phase: 'Running' }, true],
    ['it has no node', undefined, { conditions: [{ type: 'PodScheduled', status: 'True' }] }, false],
  ])('%s: whether its place is confirmed', (_, nodeName, status, expected) => {
    expect(project({ spec: { nodeName }, status: { phase: 'Pending', ...status } }).isConfirmed).toBe(expected);
  });

  test('an owner that does not control is no owner', () => {
    expect(
      project({ metadata: { ownerReferences: [{ kind: 'X', name: 'x', uid: 'x', controller: false }] } }).owner,
    ).toBeUndefined();
  });

  test('claims are those mounted by name and those of ephemeral volumes', () => {
    const volumes = [
      { name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: { storageClassName: 'fast' } } } },
      { name: 'data', persistentVolumeClaim: { claimName: 'dataset' } },
      { name: 'config', configMap: { name: 'c' } },
    ];
    const pod = project({ name: 'train-0', spec: { volumes } });
    expect(pod.claims).toEqual(['dataset', 'train-0-scratch']);
    expect(pod.template.claims).toEqual(['dataset']);
  });

  test.each([
    ['by name', (i: number) => ({ name: `v${i}`, persistentVolumeClaim: { claimName: `c${i}` } })],
    ['of ephemeral volumes', (i: number) => ({ name: `v${i}`, ephemeral: {} })],
  ])('10,000 claims %s are kept as far as they tell that there are too many', (_, volumeOf) => {
    const { claims, template } = project({ spec: { volumes: Array.from({ length: 10_000 }, (_, i) => volumeOf(i)) } });
    expect(claims).toHaveLength(33);
    expect(template.claims.length).toBeLessThanOrEqual(33);
  });
});

describe('host ports', () => {
  const port = (number: number) => ({ ip: '0.0.0.0', protocol: 'TCP', port: number });
  test.each<[string, object, object[]]>([
    ['container ports are none', { containers: [main({ ports: [{ containerPort: 80 }] })] }, []],
    [
      'hostPort is one, with defaults',
      { containers: [main({ ports: [{ containerPort: 80, hostPort: 8080 }] })] },
      [port(8080)],
    ],
    [
      'address and protocol are kept',
      { containers: [main({ ports: [{ containerPort: 80, hostPort: 81, hostIP: '10.0.0.1', protocol: 'UDP' }] })] },
      [{ ip: '10.0.0.1', protocol: 'UDP', port: 81 }],
    ],
    [
      'hostNetwork makes every container port one',
      {
        hostNetwork: true,
        containers: [main({ ports: [{ containerPort: 80 }, { containerPort: 81, hostPort: 81 }] })],
      },
      [port(80), port(81)],
    ],
    [
      'sidecars count, other init containers do not',
      {
        containers: [],
        initContainers: [
          main({ restartPolicy: 'Always', ports: [{ containerPort: 1, hostPort: 1 }] }),
          main({ ports: [{ containerPort: 2, hostPort: 2 }] }),
        ],
      },
      [port(1)],
    ],
  ])('%s', (_, spec, expected) => {
    expect(templateOf({ spec: { ...spec } }).hostPorts).toEqual(expected);
  });
});

describe('inter-pod anti-affinity', () => {
  test('more terms than a plan looks at are left to kube-scheduler, and counted', () => {
    const withTerms = (count: number) =>
      templateOf({
        spec: {
          affinity: {
            podAntiAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: Array.from({ length: count }, (_, i) => ({
                topologyKey: 'kubernetes.io/hostname',
                labelSelector: { matchLabels: { app: `a-${i}` } },
              })),
            },
          },
        },
      });
    // A term, its requirement and its namespace.
    expect([withTerms(170).antiAffinity.length, withTerms(170).rules]).toEqual([170, 510]);
    const many = withTerms(8_000);
    expect([many.antiAffinity, many.selfAntiAffine, many.rules]).toEqual([[], false, 24_000]);
    expect(many.leftToScheduler).toContain('a-7999');
  });

  const labelSelector = { matchLabels: { app: 'train' } };
  const hostname = { topologyKey: 'kubernetes.io/hostname', labelSelector };
  const required = (...terms: object[]) => ({
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } },
  });
  const selector = [{ key: 'app', operator: 'In', values: ['train'] }];

  test('a required term over host names is modelled, in the own namespace unless it names some', () => {
    const template = templateOf({ namespace: 'ml', spec: required(hostname, { ...hostname, namespaces: ['a', 'b'] }) });
    expect(template.antiAffinity).toEqual([
      { selector, namespaces: ['ml'] },
      { selector, namespaces: ['a', 'b'] },
    ]);
    expect(template.leftToScheduler).toBe('');
  });

  test.each<[string, object]>([
    ['a term over zones', { topologyKey: 'topology.kubernetes.io/zone', labelSelector }],
    ['a term with a namespace selector', { ...hostname, namespaceSelector: {} }],
  ])('%s is left to kube-scheduler', (_, term) => {
    const template = templateOf({ spec: required(term) });
    expect(template.antiAffinity).toEqual([]);
    expect(template.leftToScheduler).not.toBe('');
  });

  test.each<[string, RawPodOptions, boolean]>([
    ['a pod that matches its own term', { labels: { app: 'train' }, spec: required(hostname) }, true],
    ['a pod that does not', { labels: { app: 'web' }, spec: required(hostname) }, false],
    [
      'a pod whose term looks at other namespaces',
      { labels: { app: 'train' }, spec: required({ ...hostname, namespaces: ['x'] }) },
      false,
    ],
    [
      'a pod whose term has no selector',
      { labels: { app: 'train' }, spec: required({ topologyKey: 'kubernetes.io/hostname' }) },
      false,
    ],
    ['a pod without terms', { labels: { app: 'train' } }, false],
  ])('self-anti-affinity of %s', (_, options, expected) => {
    expect(templateOf(options).selfAntiAffine).toBe(expected);
  });

  test('one projector tells the matching pod from the other', () => {
    const projector = new PodProjector({ maxTemplates: 8, managedResources: MANAGED });
    const [yes, no] = ['train', 'web'].map((app) =>
      projector.project(aRawPod({ labels: { app }, spec: required(hostname) })),
    );
    expect([yes?.template.selfAntiAffine, no?.template.selfAntiAffine]).toEqual([true, false]);
  });
});

describe('topology spread', () => {
  const constraint = {
    topologyKey: 'zone',
    maxSkew: 2,
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { app: 'train' } },
  };
  const spreadOf = (part: object, labels = { app: 'train', rev: '7' }) =>
    templateOf({ labels, spec: { topologySpreadConstraints: [{ ...constraint, ...part }] } }).spread;
  const app = { key: 'app', operator: 'In', values: ['train'] };
  const rev = { key: 'rev', operator: 'In', values: ['7'] };

  test('defaults: one domain at least, affinity honoured, taints ignored', () => {
    const defaults = { minDomains: 1, honorsAffinity: true, honorsTaints: false };
    expect(spreadOf({})).toEqual([{ topologyKey: 'zone', maxSkew: 2, selector: [app], ...defaults }]);
  });

  test('what is given wins', () => {
    expect(spreadOf({ minDomains: 3, nodeAffinityPolicy: 'Ignore', nodeTaintsPolicy: 'Honor' })).toMatchObject([
      { minDomains: 3, honorsAffinity: false, honorsTaints: true },
    ]);
  });

  test.each<[string, object, object[] | undefined]>([
    ['matchLabelKeys join the selector with the values of the pod', { matchLabelKeys: ['rev'] }, [app, rev]],
    [
      'once, if the API server has merged them',
      { matchLabelKeys: ['rev'], labelSelector: { matchExpressions: [rev] } },
      [rev],
    ],
    ['and not at all where the pod lacks the label', { matchLabelKeys: ['gone'] }, [app]],
    ['they fill an empty selector', { matchLabelKeys: ['rev'], labelSelector: {} }, [rev]],
    ['an absent selector stays absent', { matchLabelKeys: ['rev'], labelSelector: undefined }, undefined],
    ['an empty selector counts no pod', { labelSelector: {} }, undefined],
  ])('%s', (_, part, expected) => {
    expect(spreadOf(part)[0]?.selector).toEqual(expected);
  });

  test('ScheduleAnyway is a preference, no constraint', () => {
    const template = templateOf({
      spec: { topologySpreadConstraints: [{ ...constraint, whenUnsatisfiable: 'ScheduleAnyway' }] },
    });
    expect([template.spread, template.hasPreferences]).toEqual([[], true]);
  });
});

test.each<[string, object, boolean]>([
  [
    'preferred node affinity',
    { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 }] } },
    true,
  ],
  [
    'preferred pod affinity',
    { podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 }] } },
    true,
  ],
  [
    'preferred pod anti-affinity',
    { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 }] } },
    true,
  ],
  [
    'required pod affinity',
    { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone' }] } },
    true,
  ],
  ['an empty list of preferences', { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } }, false],
  [
    'required node affinity',
    { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } },
    false,
  ],
])('preferences of a pod with %s', (_, affinity, expected) => {
  expect(templateOf({ spec: { affinity } }).hasPreferences).toBe(expected);
});

test.each<[string, object, boolean]>([
  ['a GPU request', { containers: [main({ resources: { requests: { [GPU]: '1' } } })] }, true],
  ['a GPU limit', { containers: [main({ resources: { limits: { 'amd.com/gpu': '1' } } })] }, true],
  ['a MIG slice', { containers: [main({ resources: { limits: { 'nvidia.com/mig-1g.5gb': '1' } } })] }, true],
  ['the marker', { containers: [main({ resources: { requests: { 'muster.dev/member': '1' } } })] }, true],
  ['a request of zero', { containers: [main({ resources: { requests: { [GPU]: '0' } } })] }, true],
  ['an init container', { containers: [], initContainers: [main({ resources: { limits: { [GPU]: '1' } } })] }, true],
  [
    'a resource from the configuration',
    { containers: [main({ resources: { limits: { 'example.com/tpu': '1' } } })] },
    true,
  ],
  ['cpu alone', { containers: [main({})] }, false],
  [
    'a resource that nobody manages',
    { containers: [main({ resources: { limits: { 'example.com/nic': '1' } } })] },
    false,
  ],
])('reaching the extender by %s', (_, spec, expected) => {
  const projector = new PodProjector({ maxTemplates: 8, managedResources: [...MANAGED, 'example.com/tpu'] });
  expect(projector.project(aRawPod({ spec: { ...spec } })).template.reachesExtender).toBe(expected);
});

test.each([
  ['an accelerator alone', { 'nvidia.com/gpu': '8' }, [], true],
  ['the marker beside it', { 'nvidia.com/gpu': '8', 'muster.dev/member': '1' }, [], false],
  ['a resource of the entry that binds', { 'nvidia.com/gpu': '8' }, ['nvidia.com/gpu'], false],
  ['nothing that brings it to Muster', { cpu: '1' }, [], false],
  ['an accelerator, and there is one entry', { 'nvidia.com/gpu': '8' }, undefined, false],
])(
  'with two extender entries a pod that requests %s skips the barrier or not',
  (_, requests, bindResources, expected) => {
    const projector = new PodProjector({ maxTemplates: 8, managedResources: MANAGED, bindResources });
    const containers = [{ name: 'main', resources: { requests, limits: requests } }];
    expect(projector.project(aRawPod({ spec: { containers } })).template.skipsBarrier).toBe(expected);
  },
);

test('tolerations without an operator are Equal', () => {
  const tolerations = [
    { key: 'a', value: 'x' },
    { operator: 'Exists', effect: 'NoExecute' },
  ];
  expect(templateOf({ spec: { tolerations } }).tolerations).toEqual([
    { key: 'a', operator: 'Equal', value: 'x', effect: '' },
    { key: '', operator: 'Exists', value: '', effect: 'NoExecute' },
  ]);
});

test('required node affinity and node selector reach the verdict about a node', () => {
  const nodeSelectorTerms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }];
  const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
  const template = templateOf({ spec: { affinity: { nodeAffinity }, nodeSelector: { pool: 'a' } } });
  const judge = (name: string, pool: string) => rejectNode(template, aNode({ name, labels: { pool } }));
  expect([judge('n1', 'a'), judge('n2', 'a'), judge('n1', 'b')]).toEqual([undefined, 'node affinity', 'node selector']);
});

describe('sharing templates', () => {
  const shared = (a: RawPodOptions, b: RawPodOptions): boolean => {
    const projector = new PodProjector({ maxTemplates: 8, managedResources: MANAGED });
    const [first, second] = [a, b].map((options) => projector.project(aRawPod(options)).template);
    expect(first === second).toBe(first?.key === second?.key);
    return first === second;
  };
  const worker = (index: number, options: RawPodOptions = {}): RawPodOptions => ({
    ...options,
    name: `train-${index}`,
    labels: { app: 'train', 'batch.kubernetes.io/job-completion-index': `${index}` },
    annotations: { 'batch.kubernetes.io/job-completion-index': `${index}` },
    spec: { hostname: `train-${index}`, ...options.spec },
  });
  const spread = {
    topologyKey: 'zone',
    maxSkew: 1,
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { app: 'train' } },
  };
  const antiAffinity = {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'train' } } },
      ],
    },
  };
  const agent = (node: string, nodeName: string, kind = 'DaemonSet'): RawPodOptions => {
    const terms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }];
    const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } };
    const metadata = { ownerReferences: [{ kind, name: 'agent', uid: 'agent', controller: true }] };
    return { metadata, ...(nodeName && { nodeName }), spec: { affinity: { nodeAffinity } } };
  };
  const token = (index: number) => ({ name: `kube-api-access-${index}`, projected: { sources: [] } });
  const scratch = { name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: { storageClassName: 'fast' } } } };
  const claim = (claimName: string) => ({ name: 'data', persistentVolumeClaim: { claimName } });

  test.each<[string, RawPodOptions, RawPodOptions]>([
    ['members of an indexed Job', worker(0), worker(1)],
    [
      'members with anti-affinity',
      worker(0, { spec: { affinity: antiAffinity } }),
      worker(1, { spec: { affinity: antiAffinity } }),
    ],
    [
      'members with spread',
      worker(0, { spec: { topologySpreadConstraints: [spread] } }),
      worker(1, { spec: { topologySpreadConstraints: [spread] } }),
    ],
    [
      'members with a token volume each',
      worker(0, { spec: { volumes: [token(0)] } }),
      worker(1, { spec: { volumes: [token(1)] } }),
    ],
    [
      'members with an ephemeral volume each',
      worker(0, { spec: { volumes: [scratch] } }),
      worker(1, { spec: { volumes: [scratch] } }),
    ],
    [
      'members that mount one claim',
      worker(0, { spec: { volumes: [claim('c')] } }),
      worker(1, { spec: { volumes: [claim('c')] } }),
    ],
    [
      'a running and a pending member',
      worker(0),
      worker(1, {
        nodeName: 'n',
        status: { containerStatuses: [{ name: 'main', allocatedResources: { cpu: '1', memory: '1Gi', [GPU]: '8' } }] },
      }),
    ],
    ['pods of two namespaces and priorities', { namespace: 'a', priority: 1 }, { namespace: 'b', priority: 2 }],
    ['bound agents of a DaemonSet on two nodes', agent('n1', 'n1'), agent('n2', 'n2')],
  ])('%s share one', (_, a, b) => {
    expect(shared(a, b)).toBe(true);
  });

  const volumes = (...all: object[]): RawPodOptions => ({ spec: { volumes: all } });
  test.each<[string, RawPodOptions, RawPodOptions]>([
    ['pods of different size', { gpus: 8 }, { gpus: 4 }],
    ['pods with a claim each', volumes(claim('data-0')), volumes(claim('data-1'))],
    [
      'pods with ephemeral volumes of two classes',
      volumes(scratch),
      volumes({ name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: {} } } }),
    ],
    ['a pod with an ephemeral volume and one without', volumes(scratch), {}],
    [
      'a pod with a DRA claim and one without',
      { spec: { resourceClaims: [{ name: 'gpu', resourceClaimTemplateName: 't' }] } },
      {},
    ],
    ['a pod with an inline disk and one without', volumes({ name: 'd', csi: { driver: 'x' } }), {}],
    [
      'a resized pod and its sibling',
      { status: { containerStatuses: [{ name: 'main', allocatedResources: { cpu: '2' } }] } },
      {},
    ],
    ['agents of a DaemonSet that wait for two nodes', agent('n1', ''), agent('n2', '')],
    ['bound pods of a Job pinned to two nodes', agent('n1', 'n1', 'Job'), agent('n2', 'n2', 'Job')],
    ['two nodes of a DaemonSet', { spec: { nodeSelector: { a: '1' } } }, { spec: { nodeSelector: { a: '2' } } }],
    [
      'anti-affinity of two namespaces',
      { namespace: 'a', spec: { affinity: antiAffinity } },
      { namespace: 'b', spec: { affinity: antiAffinity } },
    ],
    [
      'revisions told apart by matchLabelKeys',
      {
        labels: { app: 'train', rev: '1' },
        spec: { topologySpreadConstraints: [{ ...spread, matchLabelKeys: ['rev'] }] },
      },
      {
        labels: { app: 'train', rev: '2' },
        spec: { topologySpreadConstraints: [{ ...spread, matchLabelKeys: ['rev'] }] },
      },
    ],
  ])('%s do not', (_, a, b) => {
    expect(shared(a, b)).toBe(false);
  });

  test('members of a Job with anti-affinity are found by one text, in spite of their index label', () => {
    const [a, b] = [0, 1].map((index) => describeSource(aRawPod(worker(index, { spec: { affinity: antiAffinity } }))));
    expect(a).toBe(b);
  });

  test('law: the cache is never seen, whatever its size and the order of pods', () => {
    const specs: RawPodOptions[] = [
      worker(0),
      worker(1, { spec: { affinity: antiAffinity } }),
      worker(2, { spec: { topologySpreadConstraints: [{ ...spread, matchLabelKeys: ['app'] }] } }),
      { gpus: 1, spec: { volumes: [scratch, claim('c')] } },
      { labels: { app: 'web' }, spec: { affinity: antiAffinity } },
    ];
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.nat({ max: specs.length - 1 })),
        (maxTemplates, order) => {
          const projector = new PodProjector({ maxTemplates, managedResources: MANAGED });
          for (const index of order) {
            expect(projector.project(aRawPod(specs[index]))).toEqual(project(specs[index]));
          }
        },
      ),
    );
  });
});

test('the key of a template does not depend on the order of its node selector', () => {
  const a = aTemplate({ nodeSelector: { x: '1', y: '2' } });
  expect(aTemplate({ nodeSelector: { y: '2', x: '1' } }).key).toBe(a.key);
  expect(aTemplate({ nodeSelector: { y: '1', x: '2' } }).key).not.toBe(a.key);
});

describe('what a tenant writes is kept only as far as somebody reads it', () => {
  const projector = (options: { maxTemplateBytes?: number } = {}) =>
    new PodProjector({ maxTemplates: 10_000, managedResources: MANAGED, ...options });

  test('a value under muster.dev/ of more than 1,024 characters is cut, so that nobody reads it as a shorter one', () => {
    const { annotations } = project({
      annotations: { 'muster.dev/min-runtime': '1h'.repeat(512), 'muster.dev/expected-duration': '1h'.repeat(513) },
    });
    expect(annotations['muster.dev/min-runtime']).toHaveLength(1024);
    expect(annotations['muster.dev/expected-duration']).toHaveLength(64);
    expect(readDuration(annotations['muster.dev/expected-duration'])).toBeUndefined();
  });

  test('of thousands of unknown keys a few are kept, and all known ones', () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`muster.dev/x${i}`, 'y'.repeat(40)]));
    const { annotations } = project({ annotations: { ...many, 'muster.dev/rank': '7' } });
    expect(Object.keys(annotations).length).toBeLessThanOrEqual(9);
    expect(annotations['muster.dev/rank']).toBe('7');
  });

  test('an owner reference is kept only as long as names and UIDs are', () => {
    const [kind, name, uid] = ['K', 'n', 'u'].map((letter) => letter.repeat(100_000));
    const { owner } = project({ metadata: { ownerReferences: [{ kind, name, uid, controller: true }] } });
    expect(owner!.kind.length + owner!.name.length + owner!.uid.length).toBeLessThan(400);
  });

  test('templates are dropped by what they take in memory, not by their number alone', () => {
    const bounded = projector({ maxTemplateBytes: 3_000_000 });
    const huge = (i: number) =>
      aRawPod({ spec: { affinity: { nodeAffinity: anAffinity(`${i}-`.padEnd(200_000, 'x')) } } });
    const first = bounded.project(huge(0)).template;
    expect(bounded.project(huge(0)).template, 'kept').toBe(first);
    for (let i = 1; i < 8; i++) bounded.project(huge(i));
    expect(bounded.project(huge(0)).template, 'built again').not.toBe(first);
  });

  test('small templates stay while a huge one does not even fit', () => {
    const bounded = projector({ maxTemplateBytes: 200_000 });
    const small = bounded.project(aRawPod({})).template;
    bounded.project(aRawPod({ spec: { affinity: { nodeAffinity: anAffinity('x'.repeat(400_000)) } } }));
    expect(bounded.project(aRawPod({})).template).toBe(small);
  });

  function anAffinity(value: string): object {
    const matchExpressions = [{ key: 'zone', operator: 'In', values: [value] }];
    return { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] } };
  }
});
