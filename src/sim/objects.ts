/**
 * API objects as the embedded control plane stores them: plain immutable wire JSON without `apiVersion` and `kind`.
 * Only the fields that the control plane reads are typed; all other fields are kept as the client wrote them.
 */
import type {
  RawAmounts,
  RawCondition,
  RawLabelSelector,
  RawMetadata,
  RawPodSpec,
  RawPodStatus,
} from '../core/objects/raw-pod.ts';

export interface Metadata extends RawMetadata {
  readonly name: string;
  readonly generateName?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string | null;
  readonly deletionGracePeriodSeconds?: number | null;
  readonly finalizers?: readonly string[] | null;
}

/** The part that every stored object has. */
export interface ApiObject {
  readonly metadata: Metadata;
  readonly spec?: object;
  readonly status?: object;
  readonly [field: string]: unknown;
}

/** An object as a client submits it, with or without `apiVersion` and `kind`. */
export interface NewObject {
  readonly metadata?: Partial<Metadata>;
  readonly spec?: object;
  readonly status?: object;
  readonly [field: string]: unknown;
}

export interface Condition extends RawCondition {
  readonly type: string;
  readonly status: string;
  readonly lastTransitionTime?: string | null;
  readonly lastProbeTime?: string | null;
}

export interface PodSpec extends RawPodSpec {
  readonly schedulerName?: string;
  readonly priorityClassName?: string;
  readonly preemptionPolicy?: string;
  readonly terminationGracePeriodSeconds?: number | null;
  readonly restartPolicy?: string;
}

export interface PodStatus extends RawPodStatus {
  readonly conditions?: readonly Condition[] | null;
  readonly startTime?: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface Pod extends ApiObject {
  readonly metadata: Metadata & { readonly namespace: string };
  readonly spec: PodSpec;
  readonly status: PodStatus;
}

export interface NodeTaint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
  readonly timeAdded?: string;
}

export interface Node extends ApiObject {
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: readonly NodeTaint[] | null };
  readonly status?: {
    readonly allocatable?: RawAmounts | null;
    readonly capacity?: RawAmounts | null;
    readonly conditions?: readonly Condition[] | null;
  };
}

export interface JobSpec {
  readonly parallelism?: number;
  readonly completions?: number;
  readonly completionMode?: string;
  readonly backoffLimit?: number;
  readonly backoffLimitPerIndex?: number;
  readonly maxFailedIndexes?: number;
  readonly podFailurePolicy?: {
    readonly rules?: readonly { readonly action: string; readonly onPodConditions?: readonly Partial<Condition>[] }[];
  };
  readonly podReplacementPolicy?: string;
  readonly suspend?: boolean;
  readonly template: { readonly metadata?: Partial<Metadata>; readonly spec: PodSpec };
}

export interface JobStatus {
  readonly active?: number;
  readonly ready?: number;
  readonly succeeded?: number;
  readonly failed?: number;
  readonly completedIndexes?: string;
  readonly failedIndexes?: string;
  readonly startTime?: string;
  readonly completionTime?: string;
  readonly conditions?: readonly Condition[];
}

export interface Job extends ApiObject {
  readonly metadata: Metadata & { readonly namespace: string };
  readonly spec: JobSpec;
  readonly status?: JobStatus;
}

export interface PriorityClass extends ApiObject {
  readonly value: number;
  readonly globalDefault?: boolean;
  readonly preemptionPolicy?: string;
}

export interface DisruptionBudget extends ApiObject {
  readonly spec?: {
    readonly minAvailable?: number | string;
    readonly maxUnavailable?: number | string;
    readonly selector?: RawLabelSelector | null;
  };
  readonly status?: { readonly disruptionsAllowed?: number };
}

/** An Event in its core/v1 form, in which all Events are stored. */
export interface ApiEvent extends ApiObject {
  readonly involvedObject: {
    readonly kind?: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly uid?: string;
  };
  readonly reason?: string;
  readonly message?: string;
  readonly type?: string;
  readonly action?: string;
  readonly reportingComponent?: string;
  readonly reportingInstance?: string;
}

/** The resources with typed objects; all others hold plain `ApiObject`s. */
export interface KnownResources {
  readonly pods: Pod;
  readonly nodes: Node;
  readonly jobs: Job;
  readonly priorityclasses: PriorityClass;
  readonly poddisruptionbudgets: DisruptionBudget;
  readonly events: ApiEvent;
}

/** The object type of a resource. */
export type ObjectOf<R extends string> = R extends keyof KnownResources ? KnownResources[R] : ApiObject;

/** `namespace/name`, or `name` for cluster-scoped objects. */
export function objectKeyOf({ metadata: { namespace, name } }: { readonly metadata: Metadata }): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** Sets one condition. Its transition time moves only when its status changes (pkg/api/v1/pod/util.go:363-387). */
export function withCondition(
  conditions: readonly Condition[] | null | undefined,
  condition: Condition,
  now: string,
): readonly Condition[] {
  const all = conditions ?? [];
  const known = all.find(({ type }) => type === condition.type);
  const lastTransitionTime = known?.status === condition.status ? (known.lastTransitionTime ?? now) : now;
  const set = { ...condition, lastTransitionTime };
  return known === undefined ? [...all, set] : all.map((other) => (other === known ? set : other));
}
