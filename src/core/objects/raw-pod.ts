/**
 * The parts of a pod's wire JSON that Muster reads; what is read from protobuf has the same form. The API server has validated them, so they are typed, not
 * checked. Every field may be absent, as Go leaves out what is empty (and writes `null` for an empty list that it
 * keeps).
 */

/** Text in JSON, milliseconds since the epoch from protobuf. */
export type RawTime = string | number;

export type RawAmounts = Readonly<Record<string, string | number>>;

export interface RawResources {
  readonly requests?: RawAmounts | null;
  readonly limits?: RawAmounts | null;
}

export interface RawContainer {
  readonly name?: string;
  readonly resources?: RawResources | null;
  readonly restartPolicy?: string;
  readonly ports?: readonly RawPort[] | null;
}

export interface RawPort {
  readonly hostPort?: number;
  readonly containerPort?: number;
  readonly hostIP?: string;
  readonly protocol?: string;
}

export interface RawLabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | null;
  readonly matchExpressions?: readonly RawRequirement[] | null;
}

export interface RawRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  readonly values?: readonly string[] | null;
}

export interface RawNodeTerm {
  readonly matchExpressions?: readonly RawRequirement[] | null;
  readonly matchFields?: readonly RawRequirement[] | null;
}

export interface RawPodTerm {
  readonly labelSelector?: RawLabelSelector | null;
  readonly namespaceSelector?: RawLabelSelector | null;
  readonly namespaces?: readonly string[] | null;
  readonly topologyKey?: string;
}

interface RawTerms<Required> {
  readonly requiredDuringSchedulingIgnoredDuringExecution?: Required | null;
  readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly unknown[] | null;
}

export interface RawAffinity {
  readonly nodeAffinity?: RawTerms<{ readonly nodeSelectorTerms?: readonly RawNodeTerm[] | null }> | null;
  readonly podAffinity?: RawTerms<readonly RawPodTerm[]> | null;
  readonly podAntiAffinity?: RawTerms<readonly RawPodTerm[]> | null;
}

export interface RawToleration {
  readonly key?: string;
  readonly operator?: 'Exists' | 'Equal' | 'Gt' | 'Lt' | '';
  readonly value?: string;
  readonly effect?: string;
  readonly tolerationSeconds?: number | null;
}

export interface RawSpread {
  readonly topologyKey?: string;
  readonly maxSkew?: number;
  readonly minDomains?: number | null;
  readonly whenUnsatisfiable?: string;
  readonly labelSelector?: RawLabelSelector | null;
  readonly matchLabelKeys?: readonly string[] | null;
  readonly nodeAffinityPolicy?: string | null;
  readonly nodeTaintsPolicy?: string | null;
}

/** A volume has one more field, named after its kind. */
export interface RawVolume {
  readonly name?: string;
  readonly persistentVolumeClaim?: { readonly claimName?: string } | null;
  readonly ephemeral?: { readonly volumeClaimTemplate?: { readonly spec?: unknown } | null } | null;
}

export interface RawPodSpec {
  readonly containers?: readonly RawContainer[] | null;
  readonly initContainers?: readonly RawContainer[] | null;
  readonly overhead?: RawAmounts | null;
  readonly resources?: RawResources | null;
  readonly resourceClaims?: readonly unknown[] | null;
  readonly nodeName?: string;
  readonly nodeSelector?: Readonly<Record<string, string>> | null;
  readonly affinity?: RawAffinity | null;
  readonly tolerations?: readonly RawToleration[] | null;
  readonly topologySpreadConstraints?: readonly RawSpread[] | null;
  readonly volumes?: readonly RawVolume[] | null;
  readonly hostNetwork?: boolean;
  readonly priority?: number | null;
  readonly priorityClassName?: string | null;
  readonly schedulingGates?: readonly { readonly name: string }[] | null;
  readonly schedulingGroup?: unknown;
  readonly schedulerName?: string;
}

export interface RawCondition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: RawTime | null;
}

export interface RawContainerStatus {
  readonly name?: string;
  readonly state?: { readonly terminated?: { readonly finishedAt?: RawTime | null } | null } | null;
  readonly allocatedResources?: RawAmounts | null;
  readonly resources?: RawResources | null;
}

export interface RawPodStatus {
  readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  readonly nominatedNodeName?: string;
  readonly startTime?: RawTime | null;
  readonly conditions?: readonly RawCondition[] | null;
  readonly containerStatuses?: readonly RawContainerStatus[] | null;
  readonly initContainerStatuses?: readonly RawContainerStatus[] | null;
  readonly allocatedResources?: RawAmounts | null;
  readonly resources?: RawResources | null;
}

export interface RawOwner {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly uid?: string;
  readonly controller?: boolean | null;
}

export interface RawMetadata {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly annotations?: Readonly<Record<string, string>> | null;
  readonly creationTimestamp?: RawTime | null;
  readonly deletionTimestamp?: RawTime | null;
  readonly ownerReferences?: readonly RawOwner[] | null;
  readonly finalizers?: readonly string[] | null;
}

export interface RawPod {
  readonly metadata?: RawMetadata | null;
  readonly spec?: RawPodSpec | null;
  readonly status?: RawPodStatus | null;
}
