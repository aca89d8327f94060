/**
 * Slim, readonly projections of the API objects that Muster watches: what deciding needs and nothing more.
 * `projection.ts` makes them from wire JSON. Amounts are exact integers in base units (`quantity.ts`).
 */

/** One resource and its amount: cpu in milli-CPU, memory and storage in bytes, everything else in units. */
export interface ResourceAmount {
  readonly name: string;
  readonly amount: number;
}

/** An object's place: `namespace/name` is its key everywhere in Muster. */
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

/** A label selector; `matchLabels` is folded into `In` requirements. No requirements: matches everything. */
export type LabelSelector = readonly LabelRequirement[];

/** One term of a required node affinity; terms are ORed, the requirements inside one are ANDed. */
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
  /** Namespaces it looks at; a term with a namespace selector is left to kube-scheduler and not projected. */
  readonly namespaces: readonly string[];
}

/** A DoNotSchedule topology spread constraint. */
export interface SpreadConstraint {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  /**
   * Undefined also for an empty selector: kube-scheduler counts no pod for it, so that such a constraint only demands
   * the topology key on the node (podtopologyspread/common.go:143).
   */
  readonly selector: LabelSelector | undefined;
  readonly honorsAffinity: boolean;
  readonly honorsTaints: boolean;
}

/**
 * The part of a pod that decides where it fits. Shared by all pods with the same `key`, so that the members of a gang
 * fall into a few classes and a node is judged once for each class, not once for each pod.
 */
export interface PodTemplate {
  readonly key: string;
  /** What kube-scheduler counts for the pod, `pods: 1` included, the marker `muster.dev/member` left out. */
  readonly requests: readonly ResourceAmount[];
  readonly nodeSelector: Labels;
  /** Undefined: no required node affinity. An empty list matches no node. */
  readonly nodeAffinity: readonly NodeSelectorTerm[] | undefined;
  readonly tolerations: readonly Toleration[];
  readonly hostPorts: readonly HostPort[];
  readonly antiAffinity: readonly HostnameAntiAffinity[];
  /** True when one of `antiAffinity` matches the pod itself: at most one such pod fits on a node. */
  readonly selfAntiAffine: boolean;
  readonly spread: readonly SpreadConstraint[];
  /** Names of the PersistentVolumeClaims that it mounts by name; `PodModel.claims` has those of ephemeral volumes too. */
  readonly claims: readonly string[];
  /** True when the pod prefers some nodes (preferred affinity, soft spread): it wants to see every node that fits. */
  readonly hasPreferences: boolean;
  /** True when it requests something an extender entry manages (accelerator or marker), so that it reaches Muster. */
  readonly reachesExtender: boolean;
  /**
   * Canonical text of what only kube-scheduler judges: DRA claims, inter-pod affinity over wider domains, ephemeral
   * volumes, inline disks. '' for most pods. It is there to tell templates apart, so that a refusal learnt for one
   * is not believed of another.
   */
  readonly leftToScheduler: string;
}

export interface Owner {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

declare const podUidBrand: unique symbol;

/** A pod's `metadata.uid`: the projection makes it, and whoever plans for a pod that does not exist yet. */
export type PodUid = string & { readonly [podUidBrand]: true };

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

export interface PodModel extends Named {
  readonly uid: PodUid;
  readonly labels: Labels;
  /** Only the keys under `muster.dev/`. */
  readonly annotations: Labels;
  readonly priority: number;
  /** A priority class gave it its priority, the cluster's default one included. */
  readonly hasPriorityClass: boolean;
  /** '' while unbound. */
  readonly nodeName: string;
  /** '' when not nominated. */
  readonly nominatedNodeName: string;
  readonly phase: PodPhase;
  readonly deleting: boolean;
  /** When its grace period ends, milliseconds since the epoch; undefined while nobody deletes it. */
  readonly goneBy: number | undefined;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** When the kubelet took it, milliseconds since the epoch; undefined before. */
  readonly startedAt: number | undefined;
  readonly gates: readonly string[];
  /** The controller that owns it. */
  readonly owner: Owner | undefined;
  /** Has `spec.schedulingGroup`: a native gang, which is none of ours. */
  readonly nativeGang: boolean;
  /** The text of its `PodScheduled=False` condition, why kube-scheduler refused it; '' without one and while gated. */
  readonly refusal: string;
  /** Every PersistentVolumeClaim it mounts, those of its generic ephemeral volumes (`<pod>-<volume>`) included. */
  readonly claims: readonly string[];
  readonly template: PodTemplate;
}

export interface NodeModel {
  readonly name: string;
  readonly labels: Labels;
  readonly taints: readonly Taint[];
  readonly unschedulable: boolean;
  readonly ready: boolean;
  /** When it stopped being ready, milliseconds since the epoch; undefined while it is, or when nothing says so. */
  readonly notReadySince: number | undefined;
  readonly allocatable: readonly ResourceAmount[];
}

export interface JobModel extends Named {
  readonly uid: string;
  readonly parallelism: number;
  /** Undefined: a work queue Job without a fixed number of completions. */
  readonly completions: number | undefined;
  readonly activeDeadlineSeconds: number | undefined;
  /** Milliseconds since the epoch; undefined while the Job has not started. */
  readonly startedAt: number | undefined;
  /** The labels of its pod template: which gang its pods will be in. */
  readonly templateLabels: Labels;
  /** It is suspended or being deleted. */
  readonly isEnding: boolean;
  /** How many pods may fail before the Job does. */
  readonly backoffLimit: number;
  /** Its podFailurePolicy ignores pods that were disrupted (condition DisruptionTarget): evictions are no failures. */
  readonly ignoresDisruption: boolean;
  /** The controller that made it, such as a CronJob; undefined: none did. */
  readonly owner: Owner | undefined;
}

export interface PriorityClassModel {
  readonly name: string;
  readonly value: number;
  readonly preempts: boolean;
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

/** Succeeded and Failed pods hold no resources. */
export function isTerminated(pod: PodModel): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}
