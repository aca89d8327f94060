/** Option-record builders of API objects for the e2e tests and benchmarks. */
import type { V1Job, V1Pod, V1PodSpec } from '@kubernetes/client-node';

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

/** An indexed Job, whose size Muster infers from its parallelism unless `minMembers` is given. */
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
      template: { metadata: { labels: labels ?? {}, annotations: annotations ?? {} }, spec: template.spec! },
      ...job,
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
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([key, value]) => [`muster.dev/${key}`, String(value)]));
}

function buildPod(options: PodOptions): V1Pod {
  const { name = 'pod', namespace = 'default', gpus = 8, cpu = 1, memory = '1Gi', graceSeconds = 1 } = options;
  const { runSeconds, exitCode, priorityClassName, nodeSelector } = options;
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
