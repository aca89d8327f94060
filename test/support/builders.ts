/**
 * Builders with option records: a test states what it is about, the rest has sensible defaults. Specific options win:
 * an explicit `requests`, `template` or `allocatable` overrides the short forms (`gpus`, `cpu`, …).
 */
import {
  type JobModel,
  keyOf,
  type NodeModel,
  type PodModel,
  type PodTemplate,
  type PodUid,
  type ResourceAmount,
} from '../../src/core/objects/model.ts';
import { sealTemplate } from '../../src/core/objects/pod-template.ts';
import type { GangSources } from '../../src/core/podgroup/gang.ts';

export const GPU = 'nvidia.com/gpu';
export const GIB = 2 ** 30;

/** Amounts in short form. Zero omits the resource. */
interface ShortAmounts {
  /** nvidia.com/gpu, in units. */
  readonly gpus?: number;
  /** In cores. */
  readonly cpu?: number;
  /** In GiB. */
  readonly memory?: number;
  readonly pods?: number;
}

function amountsOf(short: Required<ShortAmounts>, extra: Readonly<Record<string, number>>): ResourceAmount[] {
  const all: Record<string, number> = {
    cpu: short.cpu * 1000,
    memory: short.memory * GIB,
    pods: short.pods,
    [GPU]: short.gpus,
    ...extra,
  };
  return Object.keys(all)
    .sort()
    .map((name) => ({ name, amount: all[name]! }))
    .filter(({ amount }) => amount > 0);
}

export type TemplateOptions = Omit<Partial<PodTemplate>, 'key' | 'requests'> &
  Omit<ShortAmounts, 'pods'> & {
    /** More resources by name, in base units (cpu in milli-CPU); they override the short forms. */
    readonly requests?: Readonly<Record<string, number>>;
  };

/** A pod template: 8 GPUs (a whole default node), 1 CPU, 1 GiB, and no constraint on nodes. */
export function aTemplate(options: TemplateOptions = {}): PodTemplate {
  const { gpus = 8, cpu = 1, memory = 1, requests: extra = {}, ...rest } = options;
  const requests = amountsOf({ gpus, cpu, memory, pods: 1 }, extra);
  return sealTemplate({
    requests,
    nodeSelector: {},
    nodeAffinity: undefined,
    tolerations: [],
    hostPorts: [],
    antiAffinity: [],
    selfAntiAffine: false,
    spread: [],
    claims: [],
    hasPreferences: false,
    skipsBarrier: false,
    reachesExtender: requests.some(({ name }) => name.includes('.com/')),
    leftToScheduler: '',
    ...rest,
  });
}

export type PodOptions = Omit<Partial<PodModel>, 'template'> &
  Omit<ShortAmounts, 'pods'> & {
    readonly requests?: Readonly<Record<string, number>>;
    /** A whole template, or options for one. */
    readonly template?: PodTemplate | TemplateOptions;
  };

/** The annotations of a pod that Muster has bound to the node with the levels that it asks for; a plan that is given stays. */
export function asPlanned(annotations: PodModel['annotations'], node: string): PodModel['annotations'] {
  const exclusive = annotations['muster.dev/topology-exclusive'];
  if (exclusive === undefined || node === '') return annotations;
  return { 'muster.dev/plan': `plan/${node}/1 exclusive=${exclusive}`, ...annotations };
}

/**
 * A pod named `pod` in `default`: pending with 8 GPUs, or running if it has a `nodeName`, with the levels that it was
 * planned with.
 */
export function aPod(options: PodOptions = {}): PodModel {
  const { gpus, cpu, memory, requests, template = {}, ...given } = options;
  const rest = { ...given, annotations: asPlanned(given.annotations ?? {}, given.nodeName ?? '') };
  const named = { namespace: rest.namespace ?? 'default', name: rest.name ?? 'pod' };
  const short = {
    ...(gpus !== undefined && { gpus }),
    ...(cpu !== undefined && { cpu }),
    ...(memory !== undefined && { memory }),
    ...(requests !== undefined && { requests }),
  };
  return {
    ...named,
    uid: `uid-of-${keyOf(named)}` as PodUid,
    version: '',
    labels: {},
    priority: 0,
    hasPriorityClass: false,
    nodeName: '',
    isConfirmed: Boolean(rest.nodeName),
    nominatedNodeName: '',
    phase: rest.nodeName ? 'Running' : 'Pending',
    deleting: false,
    goneBy: undefined,
    createdAt: 0,
    startedAt: undefined,
    endedAt: undefined,
    disruption: '',
    indexFailures: undefined,
    gates: [],
    owner: undefined,
    isOfNode: rest.owner?.kind === 'DaemonSet' || rest.owner?.kind === 'Node',
    isOurs: true,
    nativeGang: false,
    refusal: '',
    claims: template.claims ?? [],
    template: 'key' in template ? template : aTemplate({ ...short, ...template }),
    ...rest,
  };
}

export type NodeOptions = Omit<Partial<NodeModel>, 'allocatable'> &
  ShortAmounts & {
    /** More resources by name, in base units (cpu in milli-CPU); they override the short forms. */
    readonly allocatable?: Readonly<Record<string, number>>;
  };

/** A ready node named `node`: 8 GPUs, 96 CPUs, 1 TiB, 110 pods, and its hostname label beside the given labels. */
export function aNode(options: NodeOptions = {}): NodeModel {
  const { gpus = 8, cpu = 96, memory = 1024, pods = 110, allocatable = {}, labels = {}, ...rest } = options;
  const name = rest.name ?? 'node';
  return {
    name,
    labels: { 'kubernetes.io/hostname': name, ...labels },
    taints: [],
    unschedulable: false,
    ready: true,
    notReadySince: undefined,
    allocatable: amountsOf({ gpus, cpu, memory, pods }, allocatable),
    ...rest,
  };
}

type Json = Readonly<Record<string, unknown>>;

export interface RawPodOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly gpus?: number;
  readonly nodeName?: string;
  readonly priority?: number;
  /** Merged over the defaults of each part, one level deep. */
  readonly metadata?: Json;
  readonly spec?: Json;
  readonly status?: Json;
}

/** A pod as the API server sends it: one container with the given GPUs (8), 1 CPU and 1 GiB. */
export function aRawPod(options: RawPodOptions = {}): Json {
  const { name = 'pod', namespace = 'default', labels = {}, annotations = {}, gpus = 8, nodeName, priority } = options;
  const gpu = gpus > 0 ? { [GPU]: String(gpus) } : {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid: `uid-of-${namespace}/${name}`,
      creationTimestamp: '1970-01-01T00:00:00Z',
      labels,
      annotations,
      ...options.metadata,
    },
    spec: {
      schedulerName: 'default-scheduler',
      containers: [{ name: 'main', resources: { requests: { cpu: '1', memory: '1Gi', ...gpu }, limits: gpu } }],
      ...(nodeName !== undefined && { nodeName }),
      ...(priority !== undefined && { priority }),
      ...options.spec,
    },
    status: { phase: nodeName === undefined ? 'Pending' : 'Running', ...options.status },
  };
}

export interface RawNodeOptions {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly gpus?: number;
  readonly allocatable?: Readonly<Record<string, string>>;
  readonly ready?: boolean;
  readonly metadata?: Json;
  readonly spec?: Json;
  readonly status?: Json;
}

/** A node as the API server sends it, with the same capacity as `aNode()`. */
export function aRawNode(options: RawNodeOptions = {}): Json {
  const { name = 'node', labels = {}, gpus = 8, allocatable = {}, ready = true } = options;
  const amounts = { cpu: '96', memory: '1Ti', pods: '110', ...(gpus > 0 && { [GPU]: String(gpus) }), ...allocatable };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      uid: `uid-of-${name}`,
      labels: { 'kubernetes.io/hostname': name, ...labels },
      ...options.metadata,
    },
    spec: { ...options.spec },
    status: {
      allocatable: amounts,
      capacity: amounts,
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      ...options.status,
    },
  };
}

/** A Job named `job` in `default` that runs 4 pods; its template names no gang. */
export function aJobModel(options: Partial<JobModel> = {}): JobModel {
  return {
    namespace: 'default',
    name: 'job',
    uid: 'uid-of-job',
    createdAt: 0,
    parallelism: 4,
    completions: 4,
    activeDeadlineSeconds: undefined,
    startedAt: undefined,
    templateLabels: {},
    ownKeys: [],
    isSuspended: false,
    isDeleting: false,
    isFinished: false,
    succeeded: 0,
    completedIndexes: [],
    failedIndexes: [],
    backoffLimit: 6,
    ignoresDisruption: true,
    indexFailureLimit: undefined,
    owner: undefined,
    set: undefined,
    ...options,
  };
}

/** What a gang of these pods is made from, when nothing but the pods is of interest. */
export function aGangSources(pods: readonly PodModel[], options: Partial<GangSources> = {}): GangSources {
  return {
    pods,
    jobs: [],
    podGroup: undefined,
    blocksOnClaim: () => undefined,
    countJobsOfSet: () => 0,
    creationFailure: () => undefined,
    ...options,
  };
}
