/**
 * Projects pods. A big cluster has some 50,000 pods but a few hundred kinds of them, so templates are built once and
 * shared. Measured on 50,000 training pods of 300 kinds: 7 µs a pod, against 28 µs when each template is built.
 *
 * 1. The text of the raw parts that matter finds the template. Most pods end here.
 * 2. Otherwise the template is built, and its key finds an equal template that another text led to.
 */
import { LRUCache } from 'lru-cache';
import { isKnownKey } from './keys.ts';
import type { Labels, PodModel, PodTemplate, PodUid } from './model.ts';
import { describeSource, ephemeralClaims, type IsManaged, manageResources, readTemplate } from './pod-template.ts';
import { findController, isDeleted } from './projection.ts';
import type { RawMetadata, RawPod, RawPodStatus } from './raw-pod.ts';
import { MAX_CLAIMS } from './template-rules.ts';
import { boundValue, cutTo, instantOf, wholeNumber } from './text-values.ts';

const ANNOTATION_PREFIX = 'muster.dev/';
/** Annotations of other projects that Muster reads. Kept only if they are whole numbers: a tenant may write any text. */
const FOREIGN_NUMBERS: readonly string[] = ['leaderworkerset.sigs.k8s.io/size'];
/** Keys under `muster.dev/` that nobody knows and that are kept, so that their owner is told. */
const MAX_UNKNOWN = 8;
/** What is kept of kube-scheduler's words, characters. */
const MAX_REFUSAL = 1024;
/** Gates that are kept: another one than ours is enough to know that others decide. */
const MAX_GATES = 16;
const NO_LABELS: Labels = Object.freeze({});
const NO_NAMES: readonly string[] = Object.freeze([]);

export interface PodProjectorOptions {
  /** How many templates are kept for reuse. Any number is correct: a dropped template is built again. */
  readonly maxTemplates: number;
  /** What they may take in each of two caches, bytes, as far as their texts tell; 32 MiB unless given. */
  readonly maxTemplateBytes?: number;
  /** Resources that the extender's configuration manages, as `manageResources` takes them. */
  readonly managedResources: readonly string[];
  /** Those of the entry that binds, where that is another entry. */
  readonly bindResources?: readonly string[] | undefined;
  /** The schedulers whose pods are ours; `default-scheduler` unless given. */
  readonly schedulerNames?: readonly string[];
}

/** What the API server writes for a pod that names no scheduler. */
export const DEFAULT_SCHEDULER = 'default-scheduler';

/**
 * A template takes about five times its text: a pod with an affinity of 0.76 MB left 3.9 MB behind after it was deleted,
 * and 300 such pods filled a container when only the number of templates was bounded.
 */
const PER_CHARACTER = 4;
const PER_TEMPLATE = 1_000;
const MAX_TEMPLATE_BYTES = 32 * 2 ** 20;

function estimateBytes({ key }: PodTemplate, text: string): number {
  return text.length + PER_CHARACTER * key.length + PER_TEMPLATE;
}

/** The scheduler that the pod is meant for. @param raw as `PodProjector.project` takes it. */
export function schedulerNameOf(raw: unknown): string {
  return (raw as RawPod).spec?.schedulerName || DEFAULT_SCHEDULER;
}

/** Stands for the parts of a pod that make its template. */
export interface TemplateSource {
  /** Two pods share it only if their templates are equal, and no `describeSource` is like it. Undefined: none is known. */
  readonly key: string | undefined;
  /** The parts that `readTemplate` looks at. */
  readonly read: () => RawPod;
}

export class PodProjector {
  readonly #isManaged: IsManaged;
  readonly #isBound: IsManaged;
  readonly #schedulerNames: ReadonlySet<string>;
  readonly #bySource: LRUCache<string, PodTemplate>;
  readonly #byKey: LRUCache<string, PodTemplate>;

  constructor(options: PodProjectorOptions) {
    const { maxTemplates: max, managedResources, bindResources, schedulerNames = [DEFAULT_SCHEDULER] } = options;
    const { maxTemplateBytes: maxSize = MAX_TEMPLATE_BYTES } = options;
    this.#isManaged = manageResources(managedResources);
    this.#isBound = bindResources ? manageResources(bindResources) : this.#isManaged;
    this.#schedulerNames = new Set(schedulerNames);
    this.#bySource = new LRUCache({ max, maxSize, sizeCalculation: estimateBytes });
    this.#byKey = new LRUCache({ max, maxSize, sizeCalculation: estimateBytes });
  }

  /**
   * @param raw a Pod of the API server or of an extender call.
   * @param source what stands for the parts of the pod that make its template; they are those of `raw` unless given.
   * @throws Error when a resource amount is no quantity.
   */
  project(raw: unknown, source?: TemplateSource): PodModel {
    const pod = raw as RawPod;
    const { metadata, spec, status } = pod;
    const name = metadata?.name ?? '';
    const template =
      source?.key === undefined ? this.#templateOf(source?.read() ?? pod) : this.#find(source.key, source.read);
    const ephemeral = spec?.volumes ? ephemeralClaims(name, spec) : NO_NAMES;
    return {
      namespace: metadata?.namespace ?? '',
      name,
      uid: (metadata?.uid ?? '') as PodUid,
      version: spec?.nodeName ? '' : (metadata?.resourceVersion ?? ''),
      labels: metadata?.labels ?? NO_LABELS,
      annotations: pickAnnotations(metadata?.annotations),
      priority: spec?.priority ?? 0,
      hasPriorityClass: Boolean(spec?.priorityClassName),
      nodeName: spec?.nodeName ?? '',
      isConfirmed: Boolean(spec?.nodeName) && isAccepted(status),
      nominatedNodeName: status?.nominatedNodeName ?? '',
      phase: status?.phase ?? 'Pending',
      deleting: isDeleted(metadata),
      goneBy: instantOf(metadata?.deletionTimestamp),
      createdAt: instantOf(metadata?.creationTimestamp) ?? 0,
      startedAt: instantOf(status?.startTime),
      endedAt: findEnd(status),
      disruption: findDisruption(status),
      indexFailures: readIndexFailures(metadata),
      gates: spec?.schedulingGates?.slice(0, MAX_GATES).map((gate) => gate.name) ?? NO_NAMES,
      owner: findController(metadata),
      isOfNode: isMirror(pod),
      isOurs: this.#schedulerNames.has(schedulerNameOf(raw)),
      nativeGang: Boolean(spec?.schedulingGroup),
      refusal: findRefusal(status),
      // One more than a gang may have is enough to know that there are too many.
      claims: ephemeral.length > 0 ? [...template.claims, ...ephemeral].slice(0, MAX_CLAIMS + 1) : template.claims,
      template,
    };
  }

  #templateOf(raw: RawPod): PodTemplate {
    const pod = withoutPin(raw);
    return this.#find(describeSource(pod), () => pod);
  }

  #find(key: string, read: () => RawPod): PodTemplate {
    const known = this.#bySource.get(key);
    if (known) return known;
    const built = readTemplate(withoutPin(read()), this.#isManaged, this.#isBound);
    const template = this.#byKey.get(built.key) ?? built;
    this.#byKey.set(template.key, template);
    this.#bySource.set(key, template);
    return template;
  }
}

/**
 * A DaemonSet pins each pod to its node by node affinity, so no two of its pods would share a template, and in a big
 * cluster they are a third of all pods. Once a pod is bound, its pin decides nothing any more. Measured on 15,000
 * such pods of 5,000 nodes: one template instead of 5,000, 5 µs a pod instead of 16.
 */
function withoutPin(pod: RawPod): RawPod {
  const { spec } = pod;
  if (!spec?.affinity?.nodeAffinity || !isPinned(pod)) return pod;
  return { ...pod, spec: { ...spec, affinity: { ...spec.affinity, nodeAffinity: null } } };
}

/** Whether its node affinity decides nothing any more. */
export function isPinned({ spec, metadata }: RawPod): boolean {
  return Boolean(spec?.nodeName) && findController(metadata)?.kind === 'DaemonSet';
}

/**
 * The kubelet makes a mirror for each static pod, owned by its own node, and deletes one that it did not make (kubelet
 * pkg/kubelet/kubelet_pods.go deleteOrphanedMirrorPods), so nothing runs under a false one.
 */
function isMirror({ metadata, spec }: RawPod): boolean {
  if (metadata?.annotations?.[MIRROR] === undefined) return false;
  const owner = findController(metadata);
  return owner?.kind === 'Node' && owner.name === spec?.nodeName;
}

const MIRROR = 'kubernetes.io/config.mirror';
const INDEX_FAILURES = 'batch.kubernetes.io/job-index-failure-count';

/** The conditions of a pod that a projection or its template looks at. */
export const READ_CONDITIONS: ReadonlySet<string> = new Set([
  'Ready',
  'DisruptionTarget',
  'PodScheduled',
  'PodResizePending',
]);

/** Whether a projection looks at the annotation of a pod. */
export function isReadAnnotation(key: string): boolean {
  return key.startsWith(ANNOTATION_PREFIX) || key === MIRROR || key === INDEX_FAILURES || FOREIGN_NUMBERS.includes(key);
}

/**
 * The API server writes the condition together with the node of a binding (kubernetes pkg/registry/core/pod/storage
 * setPodNodeAndMetadata), and resets the status of a pod that is created.
 */
function isAccepted(status: RawPodStatus | null | undefined): boolean {
  if (!status) return false;
  if (instantOf(status.startTime) !== undefined || (status.phase ?? 'Pending') !== 'Pending') return true;
  return status.conditions?.some(({ type, status: is }) => type === 'PodScheduled' && is === 'True') ?? false;
}

/** What a tenant wrote is kept only as far as somebody reads it: long values and many unknown keys are not. */
function pickAnnotations(all: RawMetadata['annotations']): Labels {
  const picked: Record<string, string> = {};
  let isEmpty = true;
  let unknown = 0;
  for (const key in all) {
    if (!key.startsWith(ANNOTATION_PREFIX)) continue;
    if (!isKnownKey(key) && ++unknown > MAX_UNKNOWN) continue;
    picked[key] = boundValue(all[key]!);
    isEmpty = false;
  }
  for (const key of FOREIGN_NUMBERS) {
    const value = all?.[key];
    if (value === undefined || wholeNumber(value) === undefined) continue;
    picked[key] = value;
    isEmpty = false;
  }
  return isEmpty ? NO_LABELS : picked;
}

/** The kubelet writes the end of each container; a pod that ends otherwise changes its Ready condition. */
function findEnd(status: RawPodStatus | null | undefined): number | undefined {
  if (status?.phase !== 'Succeeded' && status?.phase !== 'Failed') return undefined;
  let last: number | undefined;
  for (const { state } of status.containerStatuses ?? []) {
    const end = instantOf(state?.terminated?.finishedAt);
    if (end !== undefined && end > (last ?? 0)) last = end;
  }
  return last ?? instantOf(status.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime);
}

function findDisruption(status: RawPodStatus | null | undefined): string {
  const target = status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
  return target?.status === 'True' ? (target.reason ?? 'Disrupted') : '';
}

/** The Job controller takes its finalizer off when it has counted the pod, or does not want it any more. */
function readIndexFailures(metadata: RawMetadata | null | undefined): number | undefined {
  if (!metadata?.finalizers?.includes('batch.kubernetes.io/job-tracking')) return undefined;
  return wholeNumber(metadata.annotations?.[INDEX_FAILURES]);
}

/** The API server itself writes the condition of a gated pod. Only kube-scheduler's conditions are refusals. */
function findRefusal(status: RawPodStatus | null | undefined): string {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  return scheduled?.status === 'False' && scheduled.reason !== 'SchedulingGated'
    ? cutTo(scheduled.message ?? '', MAX_REFUSAL)
    : '';
}
