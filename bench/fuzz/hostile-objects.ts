/**
 * Objects that a tenant may create: everything has the types that the API server checks, and texts, numbers and
 * references are as hostile as it lets through.
 */
import { aRawPod } from '../../test/support/builders.ts';
import type { WireObject } from '../../test/support/cluster-in-memory.ts';
import type { Dice } from './dice.ts';
import { hostileText } from './hostile-values.ts';

/** Annotations that Muster reads, or writes. */
const ANNOTATIONS: readonly string[] = [
  'min-members',
  'max-members',
  'slice-size',
  'slice-required',
  'rank',
  'topology-required',
  'topology-preferred',
  'topology-spread',
  'topology-exclusive',
  'topology-patience',
  'expected-duration',
  'min-runtime',
  'checkpointed-at',
  'preemptible',
  'preempts',
  'hold',
  'on-member-loss',
  'plan',
  'placement',
  'preempted-by',
  'preemption-notice',
  'over-time',
  'pod-group',
  'unknown-key',
].map((key) => `muster.dev/${key}`);

/** Values that mean something for at least one of them. */
const MEANINGFUL: readonly string[] = [
  '1',
  '2',
  '3',
  '8',
  'host',
  'rack',
  'zone',
  'kubernetes.io/hostname',
  'nvidia.com/gpu.product',
  '10s',
  '1h',
  'true',
  'false',
  'never',
  'replace',
  'restart',
  'ignore',
  'p/n0/1',
  'p/n1/2',
  'p/honest/1',
  'p zone=a,rack=r0 0',
  'default/x',
  'default/pair',
  'default/y',
  '2026-01-01T00:00:00Z',
  '2999-01-01T00:00:00Z',
];

/** Labels of other controllers that tell of gangs, ranks and roles. */
const LABELS: readonly string[] = [
  'muster.dev/queue',
  'scheduling.x-k8s.io/pod-group',
  'batch.kubernetes.io/job-name',
  'batch.kubernetes.io/job-completion-index',
  'apps.kubernetes.io/pod-index',
  'leaderworkerset.sigs.k8s.io/name',
  'leaderworkerset.sigs.k8s.io/worker-index',
  'leaderworkerset.sigs.k8s.io/group-index',
  'leaderworkerset.sigs.k8s.io/size',
  'jobset.sigs.k8s.io/jobset-name',
  'jobset.sigs.k8s.io/jobset-uid',
  'jobset.sigs.k8s.io/job-global-index',
  'jobset.sigs.k8s.io/global-replicas',
  'training.kubeflow.org/job-name',
  'training.kubeflow.org/replica-type',
  'training.kubeflow.org/replica-index',
  'volcano.sh/task-spec',
  'volcano.sh/task-index',
  'volcano.sh/job-name',
  'grove.io/podclique',
  'grove.io/podclique-pod-index',
  'ray.io/cluster',
  'ray.io/node-type',
  'ray.io/group',
  'controller-revision-hash',
  'pod-template-hash',
];

const LABEL_VALUES: readonly string[] = [
  '',
  '0',
  '1',
  '2',
  '-1',
  '007',
  '4294967296',
  '999999999999999999999',
  'a'.repeat(63),
  'x',
  'y',
  'master',
  'Worker',
  '__proto__',
  'constructor',
  'toString',
  'default',
  'research',
  'NaN',
  '1e3',
];

export const GANG_NAMES: readonly string[] = ['x', 'y', '__proto__', 'constructor', 'a'.repeat(63)];

/** What the API server takes for an int32. */
export const INT32: readonly number[] = [0, 1, 2, 3, 8, 100, 2_147_483_647, -1, -2_147_483_648];

const QUANTITIES: readonly string[] = [
  '0',
  '1',
  '2',
  '8',
  '4',
  '1m',
  '1k',
  '9223372036854775807',
  '8E',
  '1e3',
  '0.5',
  '16',
];

export function hostileAnnotations(dice: Dice): Record<string, string> {
  const entries = dice.times(dice.below(5), () => {
    const value = dice.once(3) ? hostileText(dice) : dice.pick(MEANINGFUL);
    return [dice.pick(ANNOTATIONS), value] as const;
  });
  return Object.fromEntries(entries);
}

export function hostileLabels(dice: Dice): Record<string, string> {
  return Object.fromEntries(dice.times(dice.below(4), () => [dice.pick(LABELS), dice.pick(LABEL_VALUES)] as const));
}

export interface HostileOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: boolean;
}

export function hostileOwner(dice: Dice): HostileOwner {
  const [kind, apiVersion] = dice.pick([
    ['Job', 'batch/v1'],
    ['Job', 'batch.volcano.sh/v1alpha1'],
    ['DaemonSet', 'apps/v1'],
    ['StatefulSet', 'apps/v1'],
    ['ReplicaSet', 'apps/v1'],
    ['JobSet', 'jobset.x-k8s.io/v1alpha2'],
    ['LeaderWorkerSet', 'leaderworkerset.x-k8s.io/v1'],
    ['PyTorchJob', 'kubeflow.org/v1'],
    ['PodGroup', ''],
  ] as const);
  const name = dice.pick(['a', 'b', 'pair', '__proto__']);
  return {
    apiVersion,
    kind,
    name,
    uid: dice.once(4) ? dice.pick(LABEL_VALUES) : `uid-${kind}-${name}`,
    controller: !dice.once(8),
  };
}

/** A pod in a hostile gang, or in none. @param index of the pod in its case: part of its name. */
export function hostilePod(dice: Dice, index: number, now: number): WireObject {
  const gang = dice.once(8) ? {} : { 'muster.dev/pod-group': dice.pick(GANG_NAMES) };
  const raw = aRawPod({
    name: `h-${index}`,
    labels: { ...gang, ...hostileLabels(dice) },
    annotations: hostileAnnotations(dice),
    gpus: dice.pick([0, 1, 2, 4, 8]),
    metadata: {
      uid: `uid-h-${index}`,
      creationTimestamp: new Date(now).toISOString(),
      ...(dice.once(2) && { ownerReferences: dice.times(dice.between(1, 2), () => hostileOwner(dice)) }),
      ...(dice.once(6) && { finalizers: ['batch.kubernetes.io/job-tracking'] }),
    },
    spec: hostileSpec(dice),
  });
  return structuredClone(raw) as unknown as WireObject;
}

function hostileSpec(dice: Dice): Readonly<Record<string, unknown>> {
  const selector = () => dice.pick([null, {}, { matchLabels: { 'muster.dev/pod-group': dice.pick(GANG_NAMES) } }]);
  const topologyKey = dice.pick(['kubernetes.io/hostname', 'rack', 'zone', 'nowhere', '__proto__']);
  const parts: readonly Readonly<Record<string, unknown>>[] = [
    { schedulingGates: [{ name: 'muster.dev/gang' }] },
    { schedulingGates: [{ name: 'muster.dev/gang' }, { name: 'example.com/other' }] },
    { schedulerName: dice.pick(['nobody', 'default-scheduler', '__proto__']) },
    { priority: dice.pick([...INT32, 1_000_000_000]), priorityClassName: 'high' },
    { preemptionPolicy: 'Never' },
    { nodeSelector: { [topologyKey]: dice.pick(LABEL_VALUES) } },
    { tolerations: [{ operator: 'Exists' }, { key: 'a', operator: 'Gt', value: hostileText(dice) }] },
    {
      topologySpreadConstraints: [
        {
          topologyKey,
          maxSkew: dice.pick([1, 2_147_483_647]),
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: selector(),
          minDomains: dice.pick([null, 1, 2_147_483_647]),
        },
      ],
    },
    {
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, labelSelector: selector() }],
        },
      },
    },
    {
      affinity: {
        podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, labelSelector: selector() }] },
      },
    },
    {
      affinity: {
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [nodeTerm(dice)] } },
      },
    },
    { overhead: { cpu: dice.pick(QUANTITIES), 'nvidia.com/gpu': dice.pick(QUANTITIES) } },
    {
      containers: [
        {
          name: 'main',
          resources: { requests: { 'nvidia.com/gpu': dice.pick(QUANTITIES), cpu: dice.pick(QUANTITIES) } },
        },
      ],
    },
    {
      containers: [{ name: 'main', resources: { requests: {} }, ports: [{ hostPort: dice.pick([1, 8080, 65_535]) }] }],
    },
    { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: dice.pick(['missing', '__proto__', 'a/b']) } }] },
    { volumes: [{ name: 'v', ephemeral: { volumeClaimTemplate: { spec: {} } } }] },
    { hostNetwork: true },
    { schedulingGroup: { podGroupName: 'x' } },
    { terminationGracePeriodSeconds: dice.pick([0, 1, 2_147_483_647]) },
    { activeDeadlineSeconds: dice.pick([1, 2_147_483_647]) },
  ];
  return Object.assign({}, ...dice.times(dice.below(4), () => dice.pick(parts)));
}

function nodeTerm(dice: Dice): object {
  const operator = dice.pick(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']);
  const values =
    operator === 'Exists' || operator === 'DoesNotExist' ? [] : [dice.pick(['1', 'n0', '-9223372036854775808', 'a'])];
  const requirement = { key: dice.pick(['rack', 'kubernetes.io/hostname', '__proto__']), operator, values };
  return dice.once(4)
    ? { matchFields: [{ key: 'metadata.name', operator: 'In', values: [dice.pick(['n0', 'n1', 'nowhere'])] }] }
    : { matchExpressions: dice.times(dice.between(1, 3), () => requirement) };
}

export function hostileStatus(dice: Dice): Readonly<Record<string, unknown>> {
  return dice.pick([
    {
      phase: 'Succeeded',
      containerStatuses: [{ name: 'main', state: { terminated: { finishedAt: '2026-01-01T00:00:00Z' } } }],
    },
    { phase: 'Failed' },
    { phase: 'Running', startTime: '0001-01-01T00:00:00Z' },
    { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', message: hostileText(dice) }] },
    { phase: 'Pending', conditions: [{ type: 'DisruptionTarget', status: 'True', reason: '__proto__' }] },
  ]);
}

export function hostileJob(dice: Dice): WireObject {
  const owner = hostileOwner(dice);
  const template = {
    labels: { 'muster.dev/pod-group': dice.pick(GANG_NAMES), ...hostileLabels(dice) },
    annotations: hostileAnnotations(dice),
  };
  return {
    metadata: {
      name: owner.name,
      namespace: 'default',
      uid: owner.uid,
      labels: hostileLabels(dice),
      annotations: hostileAnnotations(dice),
      ...(dice.once(2) && { ownerReferences: [hostileOwner(dice)] }),
    },
    spec: {
      parallelism: dice.pick(INT32.filter((value) => value >= 0)),
      completions: dice.pick([null, ...INT32.filter((value) => value >= 0)]),
      suspend: dice.once(4),
      activeDeadlineSeconds: dice.pick([null, 1, Number.MAX_SAFE_INTEGER]),
      backoffLimit: dice.pick([null, 0, 2_147_483_647]),
      backoffLimitPerIndex: dice.pick([null, 0, 2_147_483_647]),
      template: { metadata: template },
    },
    status: {
      completedIndexes: dice.pick([null, '', '0', '0-999999999', '1,3-5,7', '5-1']),
      failedIndexes: dice.pick([null, '0-1']),
      succeeded: dice.pick([null, 1, 2_147_483_647]),
      conditions: dice.pick([
        null,
        [],
        [{ type: 'Complete', status: 'True' }],
        [{ type: 'Suspended', status: 'True' }],
      ]),
    },
  };
}

export function hostilePodGroup(dice: Dice): WireObject {
  return {
    metadata: { name: dice.pick(GANG_NAMES), namespace: 'default' },
    spec: { minMember: dice.pick(INT32), scheduleTimeoutSeconds: dice.pick([null, ...INT32]) },
    status: {},
  };
}

/** @param index of the queue in its case: part of its name. */
export function hostileQueue(dice: Dice, index: number): WireObject {
  const names = ['q0', 'q1', 'q2', '__proto__', 'default', 'research'];
  const amount = () => dice.pick<string | number>([...QUANTITIES, ...INT32.filter((value) => value >= 0)]);
  return {
    metadata: { name: dice.once(2) ? `q${index % 3}` : dice.pick(names) },
    spec: {
      ...(dice.once(2) && { parent: dice.pick(names) }),
      weight: dice.pick([0, 1, 0.001, 1e300, 2]),
      quotas: dice.pick([
        null,
        dice.times(dice.below(4), () => ({
          resource: dice.pick(['nvidia.com/gpu', 'cpu', 'memory', '__proto__', 'a/b', '']),
          ...(dice.once(3) && { model: dice.pick(['H100', '__proto__']) }),
          guaranteed: amount(),
          ...(dice.once(2) && { limit: amount() }),
        })),
      ]),
      ...(dice.once(2) && { allowBorrowing: dice.once(2), reclaimable: dice.once(2) }),
      ...(dice.once(3) && { order: dice.pick(['strict', 'best-effort']) }),
      ...(dice.once(3) && { defaultPriority: dice.pick(INT32) }),
      ...(dice.once(3) && { maxRunTime: dice.once(2) ? dice.pick(['1s', '1h', '8784h']) : hostileText(dice) }),
      namespaces: dice.pick([null, ['default'], ['other'], ['__proto__', 'default', 'default']]),
      defaultFor: dice.pick([null, [], ['other'], ['other', 'other']]),
    },
    status: dice.pick([
      {},
      { observedAt: '2026-01-01T00:00:00Z', usage: [{ resource: 'nvidia.com/gpu', amount: amount() }] },
      { observedAt: hostileText(dice), usage: hostileLabels(dice) },
      { usage: null, conditions: [] },
    ]),
  };
}
