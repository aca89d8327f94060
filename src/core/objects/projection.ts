/**
 * Projects objects as the wire has them to models, one function for each kind (pods: `pod-projection.ts`). The API server has validated
 * the objects, so they are typed, not checked. Absent fields get the API's defaults.
 */
import { COSCHEDULING_LABEL, POD_GROUP_LABEL, PREFIX } from './keys.ts';
import type {
  ClaimModel,
  DaemonSetModel,
  DisruptionBudgetModel,
  IndexRanges,
  JobModel,
  Labels,
  Named,
  NodeModel,
  Owner,
  PodGroupModel,
  StorageClassModel,
  Taint,
} from './model.ts';
import type { RawAmounts, RawCondition, RawLabelSelector, RawMetadata, RawOwner, RawTime } from './raw-pod.ts';
import { readAmounts } from './resources.ts';
import { readSelector } from './selector.ts';
import { cutTo, instantOf, wholeNumber } from './text-values.ts';

/** Set by the volume controller when a binding is complete (component-helpers storage/volume AnnBindCompleted). */
const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed';
/**
 * Older than `storageClassName`, and takes precedence (component-helpers storage/volume/helpers.go
 * GetPersistentVolumeClaimClass).
 */
const LEGACY_STORAGE_CLASS = 'volume.beta.kubernetes.io/storage-class';

const NO_LABELS: Labels = Object.freeze({});
const NO_RANGES: IndexRanges = Object.freeze([]);
const NO_KEYS: readonly string[] = Object.freeze([]);

interface RawNode {
  readonly metadata?: RawMetadata;
  readonly spec?: {
    readonly unschedulable?: boolean;
    readonly taints?:
      | readonly { readonly key: string; readonly value?: string; readonly effect: Taint['effect'] }[]
      | null;
  };
  readonly status?: { readonly allocatable?: RawAmounts | null; readonly conditions?: readonly RawCondition[] | null };
}

/** @throws Error when an allocatable amount is no quantity. */
export function projectNode(raw: unknown): NodeModel {
  const { metadata, spec, status } = raw as RawNode;
  const readiness = status?.conditions?.find(({ type }) => type === 'Ready');
  const ready = readiness?.status === 'True';
  return {
    name: metadata?.name ?? '',
    labels: metadata?.labels ?? NO_LABELS,
    taints: (spec?.taints ?? []).map(({ key, value = '', effect }) => ({ key, value, effect })),
    unschedulable: spec?.unschedulable ?? false,
    ready,
    notReadySince: ready ? undefined : instantOf(readiness?.lastTransitionTime),
    allocatable: readAmounts(status?.allocatable),
  };
}

interface RawFailureRule {
  readonly action?: string;
  readonly onPodConditions?: readonly { readonly type?: string; readonly status?: string }[] | null;
}

interface RawJob {
  readonly metadata?: RawMetadata;
  readonly spec?: {
    readonly parallelism?: number | null;
    readonly completions?: number | null;
    readonly activeDeadlineSeconds?: number | null;
    readonly suspend?: boolean | null;
    readonly backoffLimit?: number | null;
    readonly backoffLimitPerIndex?: number | null;
    readonly podFailurePolicy?: { readonly rules?: readonly RawFailureRule[] | null } | null;
    readonly template?: { readonly metadata?: RawMetadata | null };
  };
  readonly status?: {
    readonly startTime?: RawTime | null;
    readonly succeeded?: number | null;
    readonly completedIndexes?: string | null;
    readonly failedIndexes?: string | null;
    readonly conditions?: readonly RawCondition[] | null;
  };
}

export function projectJob(raw: unknown): JobModel {
  const { metadata, spec, status } = raw as RawJob;
  const rules = spec?.podFailurePolicy?.rules ?? [];
  return {
    ...projectName(metadata),
    uid: metadata?.uid ?? '',
    createdAt: instantOf(metadata?.creationTimestamp) ?? 0,
    parallelism: spec?.parallelism ?? 1,
    completions: spec?.completions ?? undefined,
    activeDeadlineSeconds: spec?.activeDeadlineSeconds ?? undefined,
    startedAt: instantOf(status?.startTime),
    templateLabels: pickGangLabels(spec?.template?.metadata?.labels),
    isSuspended: Boolean(spec?.suspend),
    isDeleting: isDeleted(metadata),
    isFinished: status?.conditions?.some(isFinish) ?? false,
    succeeded: status?.succeeded ?? 0,
    completedIndexes: readRanges(status?.completedIndexes),
    failedIndexes: readRanges(status?.failedIndexes),
    backoffLimit: spec?.backoffLimit ?? 6,
    ignoresDisruption: rules.some(ignoresDisruption),
    indexFailureLimit: rules.every(ignoresDisruption) ? (spec?.backoffLimitPerIndex ?? undefined) : undefined,
    ownKeys: findOwnKeys(metadata, spec?.template?.metadata),
    owner: findController(metadata),
    set: readJobSet(metadata?.labels ?? NO_LABELS),
  };
}

/** FailureTarget and SuccessCriteriaMet come first: from then on the Job makes no pods (job_controller.go syncJob). */
function isFinish({ type, status }: RawCondition): boolean {
  const ends = type === 'Complete' || type === 'Failed' || type === 'FailureTarget' || type === 'SuccessCriteriaMet';
  return ends && status === 'True';
}

/** `1,3-5,7`, as the Job controller writes indexes (indexed_job_utils.go). What is no range is left out. */
function readRanges(text: string | null | undefined): IndexRanges {
  if (!text) return NO_RANGES;
  const ranges: [number, number][] = [];
  for (const [, from, to = from] of text.matchAll(/(\d{1,9})(?:-(\d{1,9}))?(?:,|$)/g)) {
    if (Number(to) >= Number(from)) ranges.push([Number(from), Number(to)]);
  }
  return ranges;
}

/** The labels that say which gang the pods will be in. */
function pickGangLabels(labels: Labels | null | undefined): Labels {
  const picked: Record<string, string> = {};
  for (const key of [POD_GROUP_LABEL, COSCHEDULING_LABEL]) {
    const value = labels?.[key];
    if (value !== undefined) picked[key] = value;
  }
  return picked;
}

const JOBSET = 'jobset.sigs.k8s.io/';

/** kubernetes-sigs/jobset api/jobset/v1alpha2/jobset_types.go: the labels that it puts on each of its Jobs. */
function readJobSet(labels: Labels): JobModel['set'] {
  const name = labels[`${JOBSET}jobset-name`];
  if (name === undefined) return undefined;
  return { id: labels[`${JOBSET}jobset-uid`] ?? name, name, jobs: wholeNumber(labels[`${JOBSET}global-replicas`]) };
}

/** Nobody reads more of them, and a user decides how many there are. */
const MAX_OWN_KEYS = 8;

function findOwnKeys(own: RawMetadata | undefined, template: RawMetadata | null | undefined): readonly string[] {
  const written = { ...template?.labels, ...template?.annotations };
  const keys = Object.keys({ ...own?.labels, ...own?.annotations }).filter((key) => key.startsWith(PREFIX));
  return keys.length === 0
    ? NO_KEYS
    : keys
        .filter((key) => written[key] === undefined)
        .sort()
        .slice(0, MAX_OWN_KEYS);
}

function ignoresDisruption({ action, onPodConditions }: RawFailureRule): boolean {
  return (
    action === 'Ignore' &&
    (onPodConditions ?? []).some(({ type, status = 'True' }) => type === 'DisruptionTarget' && status === 'True')
  );
}

export function projectDaemonSet(raw: unknown): DaemonSetModel {
  const { metadata } = raw as { readonly metadata?: RawMetadata };
  return { ...projectName(metadata), uid: metadata?.uid ?? '' };
}

interface RawDisruptionBudget {
  readonly metadata?: RawMetadata;
  readonly spec?: { readonly selector?: RawLabelSelector | null };
  readonly status?: { readonly disruptionsAllowed?: number };
}

/** policy/v1: an absent selector covers no pod, an empty one every pod of the namespace. */
export function projectDisruptionBudget(raw: unknown): DisruptionBudgetModel {
  const { metadata, spec, status } = raw as RawDisruptionBudget;
  return {
    ...projectName(metadata),
    selector: readSelector(spec?.selector),
    disruptionsAllowed: status?.disruptionsAllowed ?? 0,
  };
}

interface RawPodGroup {
  readonly metadata?: RawMetadata;
  readonly spec?: { readonly minMember?: number; readonly scheduleTimeoutSeconds?: number | null };
}

/** `scheduling.x-k8s.io/v1alpha1`. A timeout of 0, which the mpi-operator writes unless told otherwise, is none. */
export function projectPodGroup(raw: unknown): PodGroupModel {
  const { metadata, spec } = raw as RawPodGroup;
  const timeout = spec?.scheduleTimeoutSeconds ?? 0;
  return {
    ...projectName(metadata),
    uid: metadata?.uid ?? '',
    minMember: spec?.minMember ?? 1,
    scheduleTimeoutSeconds: timeout > 0 ? timeout : undefined,
  };
}

interface RawClaim {
  readonly metadata?: RawMetadata;
  readonly spec?: { readonly volumeName?: string; readonly storageClassName?: string | null };
}

/**
 * Bound as kube-scheduler defines it (plugins/volumebinding/binder.go:774): it has a volume, and the binding is
 * complete.
 */
export function projectClaim(raw: unknown): ClaimModel {
  const { metadata, spec } = raw as RawClaim;
  const annotations = metadata?.annotations ?? NO_LABELS;
  return {
    ...projectName(metadata),
    bound: Boolean(spec?.volumeName) && annotations[BIND_COMPLETED] !== undefined,
    storageClass: annotations[LEGACY_STORAGE_CLASS] ?? spec?.storageClassName ?? '',
  };
}

interface RawStorageClass {
  readonly metadata?: RawMetadata;
  readonly volumeBindingMode?: string | null;
}

export function projectStorageClass(raw: unknown): StorageClassModel {
  const { metadata, volumeBindingMode } = raw as RawStorageClass;
  return { name: metadata?.name ?? '', waitsForConsumer: volumeBindingMode === 'WaitForFirstConsumer' };
}

/**
 * The API server does not look at what an owner reference says, but no object has a longer name or UID. One that is cut
 * names nobody.
 */
const MAX_NAME = 253;
const MAX_WORD = 64;

/** The owner that controls the object; undefined: none. */
export function findController(metadata: RawMetadata | null | undefined): Owner | undefined {
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller);
  if (!owner) return undefined;
  const { name = '', uid = '' } = owner;
  return { kind: cutTo(readKind(owner), MAX_WORD), name: cutTo(name, MAX_NAME), uid: cutTo(uid, MAX_WORD) };
}

/** Volcano has a kind `Job` as well. It is none of those that the watch shows, and no Job controller makes its pods. */
function readKind({ kind = '', apiVersion = '' }: RawOwner): string {
  if (kind !== 'Job') return kind;
  const group = apiVersion.split('/').slice(0, -1).join('');
  return group !== '' && group !== 'batch' ? `${kind}.${group}` : kind;
}

/** Whether its deletion was asked for. A time may be 0. */
export function isDeleted(metadata: RawMetadata | null | undefined): boolean {
  return (metadata?.deletionTimestamp ?? '') !== '';
}

function projectName(metadata: RawMetadata | undefined): Named {
  return { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' };
}
