/** Option-record builders of API objects for the e2e tests and benchmarks. */
import type {
  V1Deployment,
  V1Job,
  V1Pod,
  V1PodDisruptionBudget,
  V1PodSpec,
  V1PriorityClass,
} from '@kubernetes/client-node';

/** What a pod asks for; all of it has a default that suits one whole node with 8 GPUs. */
export interface PodOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly gpus?: number;
  readonly cpu?: number | string;
  readonly memory?: string;
  /** Ends by itself after this time; runs for ever without it. */
  readonly runSeconds?: number;
  /** With `runSeconds`: anything but 0 makes it fail. */
  readonly exitCode?: number;
  /** How long it takes to end when deleted. */
  readonly graceSeconds?: number;
  readonly priorityClassName?: string;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** How long it stays on a node that is not ready or unreachable; five minutes unless given. */
  readonly nodeLossSeconds?: number;
  /** Fields that overwrite those of the spec. */
  readonly spec?: Partial<V1PodSpec>;
}

/** A member of a gang; keys of muster.dev without the prefix. */
export interface GangPodOptions extends PodOptions {
  readonly gang: string;
  readonly minMembers?: number;
  readonly rank?: number;
  readonly queue?: string;
  readonly topologyRequired?: string;
  readonly topologyPreferred?: string;
  /** A duration such as `5s`. */
  readonly topologyPatience?: string;
  readonly topologySpread?: string;
  readonly topologyExclusive?: string;
  readonly sliceSize?: number;
  readonly sliceRequired?: string;
  readonly maxMembers?: number;
  /** A duration such as `5m`. */
  readonly minRuntime?: string;
  readonly checkpointedAt?: Date;
  readonly preemptible?: boolean;
  readonly preempts?: 'never';
  readonly onMemberLoss?: 'replace' | 'restart' | 'ignore';
  /** A duration such as `5m`. */
  readonly expectedDuration?: string;
  readonly hold?: boolean;
  /** Writes the gate as a template does that relies on no admission policy. */
  readonly gated?: boolean;
}

/** A Job whose pods form a gang. */
export interface GpuJobOptions extends Omit<GangPodOptions, 'gang' | 'rank'> {
  readonly name: string;
  readonly size: number;
  /** The gang's name: that of the job unless given; `null` makes it a job without a gang. */
  readonly gang?: string | null;
  readonly job?: Partial<V1Job['spec']>;
}

/** The gate that holds a member until its gang is planned. */
export const gangGate = 'muster.dev/gang';
/** The resource that brings a member without an accelerator to Muster. */
export const memberResource = 'muster.dev/member';

/** A pod without any GPU. */
export function cpuPod(options: PodOptions = {}): V1Pod {
  return buildPod({ gpus: 0, ...options });
}

/** A pod with GPUs that belongs to no gang. */
export function gpuPod(options: PodOptions = {}): V1Pod {
  return buildPod(options);
}

/** One member of a gang. Its name is `<gang>-<rank>` unless given. */
export function gangPod(options: GangPodOptions): V1Pod {
  const { gang, rank = 0, gated = false, spec } = options;
  return buildPod({
    ...options,
    name: options.name ?? `${gang}-${rank}`,
    labels: { ...gangLabels(options), ...options.labels },
    annotations: { ...gangAnnotations(options), 'muster.dev/rank': String(rank), ...options.annotations },
    spec: { ...(gated ? { schedulingGates: [{ name: gangGate }] } : {}), ...spec },
  });
}

/** All members of a gang, which start together or not at all. */
export function gangPods(options: Omit<GangPodOptions, 'rank' | 'name'> & { readonly size: number }): readonly V1Pod[] {
  const { size } = options;
  return Array.from({ length: size }, (_, rank) => gangPod({ minMembers: size, ...options, rank }));
}

/** A disrupted pod (evicted, preempted, on a lost node) is replaced and counts as no failure. */
const ignoreDisruption = {
  rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }],
};

/**
 * An indexed Job, whose size Muster infers from its parallelism unless `minMembers` is given. Any failure but a disruption
 * fails it. The limit per index makes the Job controller wait 10 s before it replaces a disrupted pod; without one it
 * doubles the wait for each pod that went, to 10 min for seven (job_controller.go `manageJob`).
 */
export function gpuJob(options: GpuJobOptions): V1Job {
  const { name, size, gang = name, namespace = 'default', job, gated = false } = options;
  const inGang = gang === null ? undefined : { ...options, gang };
  const template = buildPod({
    ...options,
    labels: { ...(inGang && gangLabels(inGang)), ...options.labels },
    annotations: { ...(inGang && gangAnnotations(inGang)), ...options.annotations },
    spec: {
      restartPolicy: 'Never',
      ...(gated ? { schedulingGates: [{ name: gangGate }] } : {}),
      ...options.spec,
    },
  });
  const { labels, annotations } = template.metadata ?? {};
  return {
    metadata: { name, namespace },
    spec: {
      parallelism: size,
      completions: size,
      completionMode: 'Indexed',
      backoffLimit: 0,
      backoffLimitPerIndex: 6,
      podFailurePolicy: ignoreDisruption,
      template: { metadata: { labels: labels ?? {}, annotations: annotations ?? {} }, spec: template.spec! },
      ...job,
    },
  };
}

/** A PriorityClass; kube-scheduler does not preempt for its pods unless `preempts`: for gangs that is Muster's part. */
export function priorityClass(
  name: string,
  value: number,
  { preempts = false }: { readonly preempts?: boolean } = {},
): V1PriorityClass {
  return { metadata: { name }, value, preemptionPolicy: preempts ? 'PreemptLowerPriority' : 'Never' };
}

/** A PodDisruptionBudget in `default` over the pods with these labels. */
export function disruptionBudget(
  name: string,
  labels: Readonly<Record<string, string>>,
  limit: Pick<NonNullable<V1PodDisruptionBudget['spec']>, 'minAvailable' | 'maxUnavailable'>,
): V1PodDisruptionBudget {
  return { metadata: { name, namespace: 'default' }, spec: { selector: { matchLabels: { ...labels } }, ...limit } };
}

/** A Deployment of pods with GPUs, as inference has them: label `app`, no gang. The embedded control plane runs none. */
export function deployment(options: PodOptions & { readonly name: string; readonly replicas: number }): V1Deployment {
  const { name, replicas, namespace = 'default' } = options;
  const labels = { app: name, ...options.labels };
  const { metadata, spec } = buildPod({ ...options, labels });
  return {
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels, annotations: metadata?.annotations ?? {} }, spec: spec! },
    },
  };
}

function gangLabels({ gang, queue }: Pick<GangPodOptions, 'gang' | 'queue'>): Record<string, string> {
  return { 'muster.dev/pod-group': gang, ...(queue === undefined ? {} : { 'muster.dev/queue': queue }) };
}

function gangAnnotations(options: GangPodOptions): Record<string, string> {
  const values = {
    'min-members': options.minMembers,
    'topology-required': options.topologyRequired,
    'topology-preferred': options.topologyPreferred,
    'topology-patience': options.topologyPatience,
    'topology-spread': options.topologySpread,
    'topology-exclusive': options.topologyExclusive,
    'slice-size': options.sliceSize,
    'slice-required': options.sliceRequired,
    'max-members': options.maxMembers,
    'min-runtime': options.minRuntime,
    'checkpointed-at': options.checkpointedAt?.toISOString(),
    preemptible: options.preemptible,
    preempts: options.preempts,
    'on-member-loss': options.onMemberLoss,
    'expected-duration': options.expectedDuration,
    hold: options.hold,
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([key, value]) => [`muster.dev/${key}`, String(value)]));
}

function buildPod(options: PodOptions): V1Pod {
  const { name = 'pod', namespace = 'default', gpus = 8, cpu = 1, memory = '1Gi', graceSeconds = 1 } = options;
  const { runSeconds, exitCode, priorityClassName, nodeSelector, nodeLossSeconds } = options;
  const accelerators: Record<string, string> = gpus > 0 ? { 'nvidia.com/gpu': String(gpus) } : {};
  return {
    metadata: {
      name,
      namespace,
      labels: { ...options.labels },
      annotations: {
        ...(runSeconds === undefined ? {} : { 'e2e.muster.dev/run-seconds': String(runSeconds) }),
        ...(exitCode === undefined ? {} : { 'e2e.muster.dev/exit-code': String(exitCode) }),
        ...options.annotations,
      },
    },
    spec: {
      terminationGracePeriodSeconds: graceSeconds,
      ...(priorityClassName === undefined ? {} : { priorityClassName }),
      ...(nodeSelector === undefined ? {} : { nodeSelector: { ...nodeSelector } }),
      ...(nodeLossSeconds === undefined ? {} : { tolerations: tolerateNodeLoss(nodeLossSeconds) }),
      containers: [
        {
          name: 'main',
          // Never pulled: no container runs.
          image: 'training',
          resources: { requests: { cpu: String(cpu), memory, ...accelerators }, limits: accelerators },
        },
      ],
      ...options.spec,
    },
  };
}

/** In place of the tolerations of five minutes that the API server would add. */
function tolerateNodeLoss(tolerationSeconds: number) {
  return ['not-ready', 'unreachable'].map((state) => ({
    key: `node.kubernetes.io/${state}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds,
  }));
}
