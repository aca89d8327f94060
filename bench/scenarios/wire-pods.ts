/**
 * Pods as an API server sends them, including everything that Muster ignores: environment, probes, container statuses
 * and `managedFields`. Training pods have the spec recorded from kube-scheduler; the others are modelled on typical
 * pods beside them.
 */
import { readRecording } from '../../test/contract/recording.ts';
import { managed, TIME, uidOf, type WireObject } from './wire-objects.ts';

/** What the pods of one controller share. */
export interface Workload {
  readonly namespace: string;
  readonly name: string;
  readonly kind: 'DaemonSet' | 'ReplicaSet' | 'Job';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: Readonly<Record<string, unknown>> & { readonly containers: readonly Container[] };
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly [field: string]: unknown;
}

interface PodStatus {
  readonly phase: string;
  readonly conditions: readonly { readonly type: string }[];
  readonly [field: string]: unknown;
}

/** The point in its life at which a pod is. */
export interface PodProgress {
  readonly phase: 'Pending' | 'Running' | 'Succeeded';
  readonly node?: string;
  readonly nominated?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly gates?: readonly string[];
  /** Why kube-scheduler rejected it. */
  readonly refusal?: string;
}

/**
 * Caches `managedFields`, which take most of the time of creating a pod and, but for an address, are equal for all pods
 * of a workload. kubelet writes whole conditions, except `PodScheduled`.
 */
const knownFields = new WeakMap<Workload, Map<string, readonly object[]>>();

function managedFieldsOf(workload: Workload, status: PodStatus): readonly object[] {
  const { labels, annotations, spec } = workload;
  const byPhase = knownFields.get(workload) ?? new Map<string, readonly object[]>();
  knownFields.set(workload, byPhase);
  const shape = `${status.phase} ${status.conditions.length}`;
  const known = byPhase.get(shape);
  if (known) return known;
  const metadata = { generateName: '', labels, annotations, ownerReferences: [] };
  const conditions = status.conditions.filter(({ type }) => type !== 'PodScheduled');
  const made = [
    managed('kube-controller-manager', { metadata, spec }),
    managed('kubelet', { status: { ...status, conditions } }, 'status'),
  ];
  byPhase.set(shape, made);
  return made;
}

/** @param index of the pod within the workload. */
export function podOf(workload: Workload, index: number, progress: PodProgress, resourceVersion: string): WireObject {
  const { namespace, kind, labels, spec } = workload;
  const { node, gates } = progress;
  const name = podName(workload, index);
  const status = statusOf(workload, progress, index);
  const ranked = kind === 'Job' && { 'batch.kubernetes.io/job-completion-index': String(index) };
  return {
    metadata: {
      name,
      generateName: `${workload.name}-`,
      namespace,
      uid: uidOf(`${namespace}/${name}`),
      resourceVersion,
      generation: 1,
      creationTimestamp: TIME,
      labels: { ...labels, ...ranked },
      annotations: { ...workload.annotations, ...progress.annotations },
      ownerReferences: [
        {
          apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1',
          kind,
          name: workload.name,
          uid: uidOf(`${namespace}/${workload.name}`),
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: managedFieldsOf(workload, status),
    },
    spec: {
      ...spec,
      ...(node !== undefined && { nodeName: node }),
      ...(gates && { schedulingGates: gates.map((gate) => ({ name: gate })) }),
      ...(kind === 'DaemonSet' && { affinity: pinTo(node!) }),
    },
    status,
  };
}

function podName({ name }: Workload, index: number): string {
  return `${name}-${index.toString(36).padStart(5, '0')}`;
}

/** The node affinity that the DaemonSet controller writes into each of its pods. */
function pinTo(node: string): object {
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [node] }];
  const required = { nodeSelectorTerms: [{ matchFields }] };
  return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } };
}

function statusOf({ spec }: Workload, progress: PodProgress, index: number): PodStatus {
  const { phase, node, nominated, refusal, gates } = progress;
  const condition = (type: string, status: string, more: object = {}) => {
    return { type, status, lastProbeTime: null, lastTransitionTime: TIME, ...more };
  };
  if (node === undefined) {
    const reason = gates
      ? { reason: 'SchedulingGated', message: 'Scheduling is blocked due to non-empty scheduling gates' }
      : { reason: 'Unschedulable', message: refusal ?? 'waiting' };
    return {
      phase,
      conditions: [condition('PodScheduled', 'False', reason)],
      ...(nominated !== undefined && { nominatedNodeName: nominated }),
      qosClass: 'Burstable',
    };
  }
  const done = phase === 'Succeeded';
  const ready = done
    ? condition.bind(undefined, 'Ready', 'False', { reason: 'PodCompleted' })
    : () => condition('Ready', 'True');
  const ip = `10.${index % 250}.${(index >> 8) % 250}.7`;
  return {
    phase,
    conditions: [
      condition('PodReadyToStartContainers', done ? 'False' : 'True'),
      condition('Initialized', 'True'),
      ready(),
      condition('ContainersReady', done ? 'False' : 'True'),
      condition('PodScheduled', 'True'),
    ],
    hostIP: '10.0.3.7',
    hostIPs: [{ ip: '10.0.3.7' }],
    podIP: ip,
    podIPs: [{ ip }],
    startTime: TIME,
    containerStatuses: spec.containers.map(({ name, image }) => ({
      name,
      state: done
        ? { terminated: { exitCode: 0, reason: 'Completed', startedAt: TIME, finishedAt: TIME } }
        : { running: { startedAt: TIME } },
      lastState: {},
      ready: !done,
      restartCount: 0,
      image,
      imageID: `${image.split(/[@:]/)[0]}@sha256:${uidOf(image).replaceAll('-', '')}${uidOf(image).replaceAll('-', '')}`,
      containerID: `containerd://${uidOf(`${name} ${index}`).replaceAll('-', '')}`,
      started: !done,
    })),
    qosClass: 'Burstable',
  };
}

/** The recorded spec of a training pod with this many GPUs. */
export function trainingSpec(gpus: number): Workload['spec'] {
  const recorded = JSON.parse(readRecording('filter-nominated-member').body).Pod.spec as Workload['spec'];
  const amounts = { cpu: String(gpus * 4), memory: `${gpus * 16}Gi`, 'nvidia.com/gpu': String(gpus) };
  const [trainer, ...others] = recorded.containers as [Container, ...Container[]];
  return { ...recorded, containers: [{ ...trainer, resources: { limits: amounts, requests: amounts } }, ...others] };
}

/** A service, an agent on a node, or a batch Job, each with one container. */
export function serviceSpec(image: string, cpu: string, more: object = {}): Workload['spec'] {
  const timing = {
    initialDelaySeconds: 10,
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  };
  const token = 'kube-api-access-x7k2p';
  const container = (name: string, requests: object): Container => ({
    name,
    image: `registry.example.com/${name}/${image}:1.8.0`,
    args: ['--log-format=json', '--metrics-address=:9090'],
    ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
    env: [
      { name: 'NODE_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'spec.nodeName' } } },
      { name: 'DATABASE', value: `${image}.databases.svc` },
    ],
    resources: { limits: { memory: '2Gi' }, requests },
    volumeMounts: [{ name: token, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }],
    readinessProbe: { httpGet: { path: '/readyz', port: 8080, scheme: 'HTTP' }, ...timing },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
  });
  return {
    volumes: [
      { name: token, projected: { sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }] } },
    ],
    containers: [container('service', { cpu, memory: '512Mi' })],
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    serviceAccountName: image,
    serviceAccount: image,
    securityContext: { runAsNonRoot: true },
    schedulerName: 'default-scheduler',
    tolerations: ['not-ready', 'unreachable'].map((key) => {
      return { key: `node.kubernetes.io/${key}`, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 };
    }),
    priority: 0,
    enableServiceLinks: true,
    preemptionPolicy: 'PreemptLowerPriority',
    ...more,
  };
}
