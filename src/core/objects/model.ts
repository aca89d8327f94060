/**
 * Slim, readonly projections of the API objects that Muster watches: only what decisions need. `projection.ts` makes
 * them from wire JSON. Amounts are exact integers in base units (`quantity.ts`).
 */

/** One resource and its amount: cpu in milli-CPU, memory and storage in bytes, everything else in units. */
export interface ResourceAmount {
  readonly name: string;
  readonly amount: number;
}

/** An object's namespace and name. `namespace/name` is its key everywhere in Muster. */
export interface Named {
  readonly namespace: string;
  readonly name: string;
}

export type Labels = Readonly<Record<string, string>>;

export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  readonly values: readonly string[];
}

/** A label selector. `matchLabels` is folded into `In` requirements. Without requirements it matches everything. */
export type LabelSelector = readonly LabelRequirement[];

/** One term of a required node affinity. Terms are ORed, the requirements of one term are ANDed. */
export interface NodeSelectorTerm {
  readonly matchLabels: readonly LabelRequirement[];
  readonly matchFields: readonly LabelRequirement[];
}

export interface Taint {
  readonly key: string;
  readonly value: string;
  readonly effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

export interface Toleration {
  readonly key: string;
  readonly operator: 'Exists' | 'Equal' | 'Gt' | 'Lt';
  readonly value: string;
  /** Empty: every effect. */
  readonly effect: string;
}

export interface HostPort {
  /** `0.0.0.0`: every address of the node. */
  readonly ip: string;
  readonly protocol: string;
  readonly port: number;
}

/** A required inter-pod anti-affinity term over `kubernetes.io/hostname`. `selector` undefined matches no pod. */
export interface HostnameAntiAffinity {
  readonly selector: LabelSelector | undefined;
  /** The namespaces that it looks at. A term with a namespace selector is left to kube-scheduler and not projected. */
  readonly namespaces: readonly string[];
}

/** A DoNotSchedule topology spread constraint. */
export interface SpreadConstraint {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  /**
   * Undefined also for an empty selector: kube-scheduler counts no pod for it, so such a constraint only demands the
   * topology key on the node (podtopologyspread/common.go:143).
   */
  readonly selector: LabelSelector | undefined;
  readonly honorsAffinity: boolean;
  readonly honorsTaints: boolean;
}

/**
 * The part of a pod that decides where it fits. All pods with the same `key` share it, so the members of a gang fall
 * into a few classes, and a node is judged once for each class, not once for each pod.
 */
export interface PodTemplate {
  readonly key: string;
  /** What kube-scheduler counts for the pod: `pods: 1` included, the marker `muster.dev/member` left out. */
  readonly requests: readonly ResourceAmount[];
  readonly nodeSelector: Labels;
  /** Undefined: no required node affinity. An empty list matches no node. */
  readonly nodeAffinity: readonly NodeSelectorTerm[] | undefined;
  readonly tolerations: readonly Toleration[];
  readonly hostPorts: readonly HostPort[];
  readonly antiAffinity: readonly HostnameAntiAffinity[];
  /** Whether one of `antiAffinity` matches the pod itself: then at most one such pod fits on a node. */
  readonly selfAntiAffine: boolean;
  readonly spread: readonly SpreadConstraint[];
  /**
   * Names of the PersistentVolumeClaims that it mounts by name. `PodModel.claims` also has those of ephemeral
   * volumes.
   */
  readonly claims: readonly string[];
  /**
   * Whether the pod prefers some nodes (preferred affinity, soft spread), so that it should see every node that fits.
   */
  readonly hasPreferences: boolean;
  /**
   * Whether it requests something that an extender entry manages (accelerator or marker), so that it reaches Muster.
   */
  readonly reachesExtender: boolean;
  /**
   * Whether it requests something of the extender entry that filters, but nothing of the one that binds: kube-scheduler
   * would bind it by itself, past the barrier. Never with one entry.
   */
  readonly skipsBarrier: boolean;
  /**
   * Canonical text of what only kube-scheduler judges: DRA claims, inter-pod affinity over wider domains, ephemeral
   * volumes, inline disks. '' for most pods. It tells templates apart, so that a refusal learnt for one is not
   * assumed for another.
   */
  readonly leftToScheduler: string;
  /** How many rules decide where it fits: what judging a node for it costs (`template-rules.ts`). */
  readonly rules: number;
}

export interface Owner {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

declare const podUidBrand: unique symbol;

/** A pod's `metadata.uid`. The projection makes it; a plan for a pod that does not exist yet makes a stand-in. */
export type PodUid = string & { readonly [podUidBrand]: true };

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

export interface PodModel extends Named {
  readonly uid: PodUid;
  /** `metadata.resourceVersion` while it is unbound, by which a call about it is recognized; '' from then on. */
  readonly version: string;
  readonly labels: Labels;
  /** Only the keys under `muster.dev/`, and few of others that are whole numbers (`pod-projection.ts`). */
  readonly annotations: Labels;
  readonly priority: number;
  /** Whether a priority class gave it its priority; the cluster's default class counts. */
  readonly hasPriorityClass: boolean;
  /** '' while unbound. */
  readonly nodeName: string;
  /**
   * Whether it is on its node by more than the word of its creator, who may have written any `nodeName`: the API server
   * noted a binding, or the kubelet accepted it. Both are status, which tenants cannot write. False while it is unbound.
   */
  readonly isConfirmed: boolean;
  /** '' when not nominated. */
  readonly nominatedNodeName: string;
  readonly phase: PodPhase;
  readonly deleting: boolean;
  /** When its grace period ends, milliseconds since the epoch; undefined while it is not being deleted. */
  readonly goneBy: number | undefined;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** When the kubelet accepted it, milliseconds since the epoch; undefined before. */
  readonly startedAt: number | undefined;
  /** When its last container ended, milliseconds since the epoch; undefined before, and when nobody says so. */
  readonly endedAt: number | undefined;
  /** Who disrupts it, as its condition DisruptionTarget says (`EvictionByEvictionAPI`, …); '' when nobody does. */
  readonly disruption: string;
  /**
   * How often the index of its Job had failed before it was made. Undefined when the Job counts no failures of an
   * index, and once the Job has counted the end of this pod or has let it go.
   */
  readonly indexFailures: number | undefined;
  readonly gates: readonly string[];
  /** The controller that owns it. */
  readonly owner: Owner | undefined;
  /**
   * Whether it belongs to its node: the mirror of a static pod, or a pod of a DaemonSet that exists. To name one as its owner
   * is not enough: whoever creates a pod may name any (`cluster/state.ts` knows which exist).
   */
  readonly isOfNode: boolean;
  /** Whether one of the configured schedulers is to schedule it. Any other pod is only seen, never acted for. */
  readonly isOurs: boolean;
  /** Whether it has `spec.schedulingGroup`: a native gang, which Muster does not schedule. */
  readonly nativeGang: boolean;
  /**
   * The message of its `PodScheduled=False` condition: why kube-scheduler refused it. '' without one and while gated.
   */
  readonly refusal: string;
  /**
   * Every PersistentVolumeClaim that it mounts, including those of its generic ephemeral volumes (`<pod>-<volume>`).
   */
  readonly claims: readonly string[];
  readonly template: PodTemplate;
}

export interface NodeModel {
  readonly name: string;
  readonly labels: Labels;
  readonly taints: readonly Taint[];
  readonly unschedulable: boolean;
  readonly ready: boolean;
  /**
   * When it stopped being ready, milliseconds since the epoch; undefined while it is ready, and when that is unknown.
   */
  readonly notReadySince: number | undefined;
  readonly allocatable: readonly ResourceAmount[];
}

/** Ranges of whole numbers, ends included, in ascending order. */
export type IndexRanges = readonly (readonly [from: number, to: number])[];

export interface JobModel extends Named {
  readonly uid: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly parallelism: number;
  /** Undefined for a work queue Job without a fixed number of completions. */
  readonly completions: number | undefined;
  readonly activeDeadlineSeconds: number | undefined;
  /** Milliseconds since the epoch; undefined while the Job has not started. */
  readonly startedAt: number | undefined;
  /** Those labels of its pod template that say which gang its pods will be in. */
  readonly templateLabels: Labels;
  readonly isSuspended: boolean;
  readonly isDeleting: boolean;
  /** Whether it is complete or has failed: it makes no pods any more. */
  readonly isFinished: boolean;
  /** How many of its pods succeeded. */
  readonly succeeded: number;
  /** Indexes that succeeded, and those that it gave up for good. Empty unless it is indexed. */
  readonly completedIndexes: IndexRanges;
  readonly failedIndexes: IndexRanges;
  /** How many pods may fail before the Job does. */
  readonly backoffLimit: number;
  /**
   * Whether its podFailurePolicy ignores disrupted pods (condition DisruptionTarget), so that evictions are no
   * failures.
   */
  readonly ignoresDisruption: boolean;
  /**
   * How often an index may fail before it is given up for good; undefined: without limit, or only the Job can tell,
   * because its podFailurePolicy judges by more than disruption.
   */
  readonly indexFailureLimit: number | undefined;
  /** Keys under `muster.dev/` on the Job itself that its pod template lacks: nothing reads them there. A few at most. */
  readonly ownKeys: readonly string[];
  /** The controller that made it, such as a CronJob; undefined: none. */
  readonly owner: Owner | undefined;
  /** The JobSet that it is part of; undefined: none. */
  readonly set: JobSetMembership | undefined;
}

/** What the labels of a Job say about its JobSet. */
export interface JobSetMembership {
  /** The JobSet's UID, or its name if the label is missing. */
  readonly id: string;
  readonly name: string;
  /** How many Jobs the JobSet has in all; undefined when it does not say so. */
  readonly jobs: number | undefined;
}

/** `apps/v1` DaemonSet, as far as it proves that its pods are its own. */
export interface DaemonSetModel extends Named {
  readonly uid: string;
}

export interface DisruptionBudgetModel extends Named {
  /** Undefined: covers no pod. */
  readonly selector: LabelSelector | undefined;
  readonly disruptionsAllowed: number;
}

/** `scheduling.x-k8s.io/v1alpha1` PodGroup. */
export interface PodGroupModel extends Named {
  readonly uid: string;
  readonly minMember: number;
  /** Above 0; undefined: Muster's default. */
  readonly scheduleTimeoutSeconds: number | undefined;
}

export interface ClaimModel extends Named {
  readonly bound: boolean;
  readonly storageClass: string;
}

export interface StorageClassModel {
  readonly name: string;
  readonly waitsForConsumer: boolean;
}

/** `namespace/name`. */
export function keyOf(object: Named): string {
  return `${object.namespace}/${object.name}`;
}

/** Whether the pod belongs to its node: a DaemonSet or the kubelet makes one on each, and puts it back at once. */
export function staysOnNode({ isOfNode }: Pick<PodModel, 'isOfNode'>): boolean {
  return isOfNode;
}

/** Whether the pod has succeeded or failed: it holds no resources any more. */
export function isTerminated(pod: PodModel): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}
