/**
 * A real API server's objects as Muster reads them from protobuf and from JSON: the same projections of every built-in
 * kind, from watch-lists, from pages and from a watch that goes on.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CLAIMS,
  CREATION_FAILURES,
  DAEMON_SETS,
  DISRUPTION_BUDGETS,
  JOBS,
  NODES,
  podKind,
  STORAGE_CLASSES,
} from '../../src/cluster/kinds.ts';
import { PodProjector } from '../../src/core/objects/pod-projection.ts';
import { ApiClient } from '../../src/kube/client.ts';
import { loadEndpoint } from '../../src/kube/kubeconfig.ts';
import { type WatchedKind, Watcher, type WatchSource } from '../../src/kube/watcher.ts';
import { until } from '../support/until.ts';
import type { Cluster } from './cluster/control-plane.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';

let cluster: Cluster;
let api: ApiClient;

beforeAll(async () => {
  cluster = await borrowControlPlane({ scheduler: { profile: 'none' }, admissionPolicy: false });
  api = new ApiClient(await loadEndpoint({ kind: 'file', path: cluster.musterKubeconfig }));
  await cluster.addNodes({ count: 3 });
  for (const [path, object] of OBJECTS) await cluster.api.request('POST', path, object);
  for (const [path, patch] of PATCHES) {
    await cluster.api.request('PATCH', path, patch, 'application/merge-patch+json');
  }
});

afterAll(async () => {
  await api?.close();
  await cluster?.stop();
});

const IN_DEFAULT = 'namespaces/default';
const PODS = `/api/v1/${IN_DEFAULT}/pods`;
const JOBS_HERE = `/apis/batch/v1/${IN_DEFAULT}/jobs`;
const container = { name: 'main', image: 'train', env: [{ name: 'RANK', value: '1' }] };
const gpus = { limits: { 'nvidia.com/gpu': '8' }, requests: { cpu: '1500m', memory: '1.5Gi', 'nvidia.com/gpu': '8' } };
const LONG = 'x'.repeat(5_000);

function pod(name: string, spec: object = {}, metadata: object = {}): readonly [path: string, object: object] {
  return [
    PODS,
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, ...metadata },
      spec: { schedulerName: 'nobody', terminationGracePeriodSeconds: 0, containers: [container], ...spec },
    },
  ];
}

const selector = {
  matchLabels: { app: 'web' },
  matchExpressions: [{ key: 'tier', operator: 'In', values: ['a', 'b'] }],
};
const claimSpec = {
  accessModes: ['ReadWriteOnce'],
  resources: { requests: { storage: '100Gi' } },
  storageClassName: '',
  selector,
};
const template = {
  metadata: { labels: { app: 'web', 'muster.dev/pod-group': 'g' }, annotations: { 'muster.dev/min-members': '2' } },
  spec: { restartPolicy: 'Never', schedulerName: 'nobody', containers: [container] },
};

/** What each path is sent, in this order. */
const OBJECTS: readonly (readonly [path: string, object: object])[] = [
  pod('plain'),
  pod(
    'full',
    {
      initContainers: [
        { ...container, name: 'side', restartPolicy: 'Always', ports: [{ containerPort: 80, hostPort: 8080 }] },
        { ...container, name: 'setup', resources: { requests: { cpu: '0.1' } } },
      ],
      containers: [{ ...container, resources: gpus, ports: [{ containerPort: 29500, protocol: 'UDP' }] }],
      nodeSelector: { zone: 'a', b: 'c' },
      tolerations: [{ operator: 'Exists' }, { key: 'gpu', value: 'yes', effect: 'NoExecute', tolerationSeconds: 0 }],
      hostNetwork: true,
      schedulingGates: [{ name: 'muster.dev/gang' }, { name: 'example.com/other' }],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'cpus', operator: 'Gt', values: ['8'] }] }],
          },
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: { matchFields: [] } }],
        },
      },
      volumes: [
        { name: 'data', persistentVolumeClaim: { claimName: 'bound' } },
        { name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: claimSpec } } },
        { name: 'disk', csi: { driver: 'csi.example.com', volumeAttributes: { size: '1', a: 'b' } } },
        { name: 'iscsi', iscsi: { targetPortal: '10.0.0.1', iqn: 'iqn.2001-04.com.example:x', lun: 0 } },
        { name: 'empty', emptyDir: {} },
      ],
    },
    {
      labels: { 'muster.dev/pod-group': 'g', app: 'web' },
      annotations: { 'muster.dev/min-members': '4', 'muster.dev/unknown': LONG, 'example.com/ignored': LONG },
      finalizers: ['batch.kubernetes.io/job-tracking'],
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'j', uid: 'u-1', controller: true }],
    },
  ),
  pod(
    'near',
    {
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { labelSelector: selector, topologyKey: 'kubernetes.io/hostname' },
            { labelSelector: selector, topologyKey: 'zone', namespaceSelector: {} },
          ],
        },
      },
      topologySpreadConstraints: [
        { maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: selector, minDomains: 3 },
        {
          maxSkew: 1,
          topologyKey: 'rack',
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: {},
          matchLabelKeys: ['app'],
        },
      ],
    },
    { labels: { app: 'web', tier: 'b' } },
  ),
  pod(
    'agent',
    {},
    { ownerReferences: [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd', uid: 'u', controller: true }] },
  ),
  pod('refused'),
  pod('ended'),
  [
    JOBS_HERE,
    {
      metadata: {
        name: 'indexed',
        labels: { 'jobset.sigs.k8s.io/jobset-name': 's' },
        annotations: { 'muster.dev/x': 'y' },
      },
      spec: {
        parallelism: 2,
        completions: 3,
        completionMode: 'Indexed',
        backoffLimitPerIndex: 0,
        activeDeadlineSeconds: 3_000_000_000,
        podFailurePolicy: {
          rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }],
        },
        template,
      },
    },
  ],
  [JOBS_HERE, { metadata: { name: 'suspended' }, spec: { suspend: true, parallelism: 0, template } }],
  [`/api/v1/${IN_DEFAULT}/persistentvolumeclaims`, { metadata: { name: 'unbound' }, spec: claimSpec }],
  [
    `/api/v1/${IN_DEFAULT}/persistentvolumeclaims`,
    {
      metadata: { name: 'bound', annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
      spec: {
        accessModes: ['ReadWriteOnce'],
        resources: claimSpec.resources,
        volumeName: 'v',
        storageClassName: 'late',
      },
    },
  ],
  [
    '/apis/storage.k8s.io/v1/storageclasses',
    { metadata: { name: 'late' }, provisioner: 'example.com/p', volumeBindingMode: 'WaitForFirstConsumer' },
  ],
  ['/apis/storage.k8s.io/v1/storageclasses', { metadata: { name: 'early' }, provisioner: 'example.com/p' }],
  [
    `/apis/policy/v1/${IN_DEFAULT}/poddisruptionbudgets`,
    { metadata: { name: 'web' }, spec: { maxUnavailable: '50%', selector } },
  ],
  [
    `/apis/policy/v1/${IN_DEFAULT}/poddisruptionbudgets`,
    { metadata: { name: 'all' }, spec: { minAvailable: 1, selector: {} } },
  ],
  [
    `/apis/apps/v1/${IN_DEFAULT}/daemonsets`,
    {
      metadata: { name: 'agents' },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: { ...template, spec: { containers: [container], nodeSelector: { none: 'none' } } },
      },
    },
  ],
  [
    `/api/v1/${IN_DEFAULT}/events`,
    {
      metadata: { name: 'failure' },
      reason: 'FailedCreate',
      type: 'Warning',
      message: `Error creating: pods "a" is forbidden: exceeded quota ${LONG}`,
      involvedObject: { kind: 'Job', namespace: 'default', name: 'indexed', uid: 'u-1' },
      lastTimestamp: '2026-01-02T03:04:05Z',
    },
  ],
  [
    '/apis/events.k8s.io/v1/namespaces/default/events',
    {
      metadata: { name: 'series' },
      reason: 'FailedCreate',
      type: 'Warning',
      action: 'Creating',
      note: 'exceeded quota',
      regarding: { kind: 'Job', namespace: 'default', name: 'indexed', uid: 'u-1' },
      eventTime: '2026-01-02T03:04:05.678901Z',
      series: { count: 2, lastObservedTime: '2026-01-02T03:04:06.999999Z' },
      reportingController: 'c',
      reportingInstance: 'i',
    },
  ],
];

const PATCHES: readonly (readonly [path: string, patch: object])[] = [
  [
    `${PODS}/refused/status`,
    {
      status: {
        nominatedNodeName: 'n1',
        conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: `no room ${LONG}` }],
      },
    },
  ],
  [
    `${PODS}/ended/status`,
    {
      status: {
        phase: 'Failed',
        startTime: '2026-01-02T03:04:05Z',
        containerStatuses: [
          {
            name: 'main',
            image: 'train',
            imageID: 'i',
            ready: false,
            restartCount: 0,
            state: { terminated: { exitCode: 1, finishedAt: '2026-01-02T03:04:06Z' } },
            allocatedResources: { cpu: '2' },
            resources: { requests: { cpu: '3' } },
          },
        ],
        conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }],
      },
    },
  ],
];

const KINDS = [
  NODES,
  podKind(new PodProjector({ maxTemplates: 100, managedResources: ['nvidia.com/gpu'] })),
  JOBS,
  CLAIMS,
  STORAGE_CLASSES,
  DAEMON_SETS,
  DISRUPTION_BUDGETS,
  CREATION_FAILURES,
] as readonly WatchedKind<object>[];

/** A watcher, with the media types of the answers that it was given. */
class Reader {
  readonly types = new Set<string>();
  readonly errors: string[] = [];
  readonly watcher: Watcher<object>;

  constructor(kind: WatchedKind<object>, usesPages: boolean) {
    const source: WatchSource = {
      open: async (path, signal, idleMs, accept) => {
        if (usesPages && path.includes('sendInitialEvents')) {
          return { status: 422, contentType: '', chunks: (async function* () {})() };
        }
        const stream = await api.open(usesPages ? path.replace('limit=500', 'limit=2') : path, signal, idleMs, accept);
        this.types.add(stream.contentType);
        return stream;
      },
    };
    const observer = {
      onSynced() {},
      onRestart() {},
      onEvent() {},
      onError: (error: Error) => this.errors.push(error.message),
    };
    this.watcher = new Watcher(source, kind, { applied() {}, deleted() {} }, observer);
    this.watcher.start();
  }

  /** By key. */
  objects(): object {
    return [...this.watcher.store.values()].toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
}

async function readBoth(kind: WatchedKind<object>, usesPages: boolean): Promise<readonly [Reader, Reader]> {
  const { message: _, ...jsonOnly } = kind;
  const readers = [new Reader(kind, usesPages), new Reader(jsonOnly, usesPages)] as const;
  await until(`${kind.kind} in both`, () => readers.every(({ watcher }) => watcher.synced));
  return readers;
}

describe.each([
  ['watch-lists', false],
  ['pages', true],
])('objects from %s', (_, usesPages) => {
  test.each(KINDS.map((kind) => [kind.kind, kind] as const))('%s', async (_name, kind) => {
    const [protobuf, json] = await readBoth(kind, usesPages);
    await Promise.all([protobuf.watcher.stop(), json.watcher.stop()]);
    expect(protobuf.errors).toEqual([]);
    expect([...protobuf.types].every((type) => type.startsWith('application/vnd.kubernetes.protobuf'))).toBe(true);
    expect(json.types).toEqual(new Set(['application/json']));
    expect(protobuf.watcher.store.size).toBeGreaterThan(0);
    expect(protobuf.objects()).toEqual(json.objects());
  });
});

test('a watch goes on in protobuf: objects that come, change and go', async () => {
  const [protobuf, json] = await readBoth(KINDS[1]!, false);
  const { request } = { request: cluster.api.request.bind(cluster.api) };
  for (let i = 0; i < 20; i++) await request('POST', ...pod(`live-${i}`));
  await request('PATCH', `${PODS}/live-0`, { metadata: { labels: { a: 'b' } } }, 'application/merge-patch+json');
  await request('DELETE', `${PODS}/live-1`);
  for (const { watcher } of [protobuf, json]) {
    await until('all changes', () => {
      const names = [...watcher.store.values()] as {
        readonly name: string;
        readonly labels: { readonly a?: string };
      }[];
      const live = names.filter(({ name }) => name.startsWith('live-'));
      return live.length === 19 && live.some(({ labels }) => labels.a === 'b');
    });
  }
  expect(protobuf.objects()).toEqual(json.objects());
  expect(protobuf.errors).toEqual([]);
  await Promise.all([protobuf.watcher.stop(), json.watcher.stop()]);
});
