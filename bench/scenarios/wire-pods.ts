/**
 * Pods as an API server sends them, with all that Muster does not look at: environment, probes, container statuses and
 * `managedFields`. Training pods have the spec that was recorded from kube-scheduler; the others are modelled on what
 * runs beside them.
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

/** Where one pod of a workload is in its life. */
export interface PodProgress {
  readonly phase: 'Pending' | 'Running' | 'Succeeded';
  readonly node?: string;
  readonly nominated?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly gates?: readonly string[];
  /** Why kube-scheduler refused it. */
  readonly refusal?: string;
}

/** A controller's `managedFields` are the same on all its pods; making them is most of making a pod. */
const managedSpecs = new WeakMap<Workload, object>();

function managedSpecOf(workload: Workload): object {
  const { labels, annotations, spec } = workload;
  const known = managedSpecs.get(workload);
  if (known) return known;
  const metadata = { generateName: '', labels, annotations, ownerReferences: [] };
  const made = managed('kube-controller-manager', { metadata, spec });
  managedSpecs.set(workload, made);
  return made;
}

/** @param index its number among the workload's pods. */
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
      managedFields: [managedSpecOf(workload), kubeletFields(status)],
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

/** What kubelet (or, before it, kube-scheduler) owns: it writes whole conditions, but not `PodScheduled`. */
function kubeletFields(status: object): object {
  const { conditions } = status as { readonly conditions: readonly { readonly type: string }[] };
  const owned = conditions.filter(({ type }) => type !== 'PodScheduled');
  return managed('kubelet', { status: { ...status, conditions: owned } }, 'status');
}

function podName({ name }: Workload, index: number): string {
  return `${name}-${index.toString(36).padStart(5, 'x')}`;
}

/** What the DaemonSet controller writes into each of its pods. */
function pinTo(node: string): object {
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [node] }];
  const required = { nodeSelectorTerms: [{ matchFields }] };
  return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } };
}

function statusOf({ spec }: Workload, progress: PodProgress, index: number): object {
  const { phase, node, nominated, refusal, gates } = progress;
  const condition = (type: string, status: string, more: object = {}) => {
    return { type, observedGeneration: 1, status, lastProbeTime: null, lastTransitionTime: TIME, ...more };
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
  const ready = done ? condition.bind(undefined, 'Ready', 'False', { reason: 'PodCompleted' }) : () => condition('Ready', 'True');
  const ip = `10.${index % 250}.${(index >> 8) % 250}.7`;
  return {
    observedGeneration: 1,
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

/** A service, an agent on a node, or a batch Job, each of one container. */
export function serviceSpec(image: string, cpu: string, more: object = {}): Workload['spec'] {
  const probe = (path: string) => {
    const timing = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 };
    return { httpGet: { path, port: 8080, scheme: 'HTTP' }, initialDelaySeconds: 10, ...timing };
  };
  const token = 'kube-api-access-x7k2p';
  const container = (name: string, requests: object): Container => ({
    name,
    image: `registry.example.com/${name}/${image}:1.8.0`,
    args: ['--log-format=json', `--service=${image}`, '--metrics-address=:9090', '--shutdown-delay=15s'],
    ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } },
      { name: 'NODE_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'spec.nodeName' } } },
      { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://otel-collector.monitoring.svc:4317' },
      { name: 'OTEL_SERVICE_NAME', value: image },
      { name: 'DATABASE_URL', valueFrom: { secretKeyRef: { name: `${image}-database`, key: 'url' } } },
    ],
    resources: { limits: { memory: '2Gi' }, requests },
    volumeMounts: [
      { name: 'config', readOnly: true, mountPath: '/etc/service' },
      { name: token, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
    ],
    livenessProbe: probe('/livez'),
    readinessProbe: probe('/readyz'),
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
  });
  return {
    volumes: [
      { name: 'config', configMap: { name: `${image}-config`, defaultMode: 420 } },
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
