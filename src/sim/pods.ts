/**
 * What the API server does with pods beyond storing them: defaults, and the rules of updates, binding, deletion and
 * eviction. Sources: kubernetes v1.37.2 pkg/registry/core/pod/{strategy.go,storage/storage.go,storage/eviction.go},
 * pkg/apis/core/validation/validation.go; the messages match a real server's answers.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../core/objects/clock.ts';
import type { RawContainer, RawToleration } from '../core/objects/raw-pod.ts';
import { matchesSelector, readSelector } from '../core/objects/selector.ts';
import { admitGangMember } from './admission.ts';
import { ApiRefusal, conflict, foreignUid, invalid, notFound } from './api-refusal.ts';
import type { ObjectStore, Preconditions } from './object-store.ts';
import { type ApiObject, type NewObject, type Pod, type PodSpec, withCondition } from './objects.ts';
import { timestamp } from './timestamp.ts';

const DEFAULT_GRACE_SECONDS = 30;
const TAINT_TOLERATION_SECONDS = 300;
/** kube-scheduler never looks at a gated pod, so the API server itself sets the condition. */
const GATED = {
  type: 'PodScheduled',
  status: 'False',
  reason: 'SchedulingGated',
  message: 'Scheduling is blocked due to non-empty scheduling gates',
};

/**
 * Completes a pod at creation: defaults, priority, admission.
 * @throws ApiRefusal 403 when its PriorityClass does not exist.
 */
export function completePod(store: ObjectStore, clock: Clock, object: NewObject): NewObject {
  const given = (object.spec ?? {}) as PodSpec;
  const spec: PodSpec = {
    restartPolicy: 'Always',
    schedulerName: 'default-scheduler',
    terminationGracePeriodSeconds: DEFAULT_GRACE_SECONDS,
    ...given,
    ...priorityOf(store, object, given),
    containers: (given.containers ?? []).map((container) => completeContainer(container, given.hostNetwork)),
    ...(given.initContainers && {
      initContainers: given.initContainers.map((container) => completeContainer(container, given.hostNetwork)),
    }),
    tolerations: completeTolerations(given.tolerations ?? []),
  };
  const admitted = admitGangMember(store, object.metadata?.labels ?? {}, spec);
  const conditions = admitted.schedulingGates?.length ? [{ ...GATED, lastTransitionTime: timestamp(clock.now()) }] : [];
  return { ...object, spec: admitted, status: { phase: 'Pending', ...(conditions.length > 0 && { conditions }) } };
}

function priorityOf(store: ObjectStore, { metadata }: NewObject, spec: PodSpec): Partial<PodSpec> {
  const name = spec.priorityClassName;
  const found = name
    ? store.get('priorityclasses', undefined, name)
    : store.list('priorityclasses').find(({ globalDefault }) => globalDefault);
  if (name && found === undefined) {
    const why = `no PriorityClass with name ${name} was found`;
    throw new ApiRefusal(403, 'Forbidden', `pods "${metadata?.name ?? ''}" is forbidden: ${why}`);
  }
  return {
    ...(found && { priorityClassName: found.metadata.name }),
    priority: found?.value ?? 0,
    preemptionPolicy: found?.preemptionPolicy ?? 'PreemptLowerPriority',
  };
}

/** Missing requests default to the limits; with hostNetwork every container port becomes a host port. */
function completeContainer(container: RawContainer, hostNetwork: boolean | undefined): RawContainer {
  const { resources, ports } = container;
  const requests = { ...resources?.limits, ...resources?.requests };
  return {
    ...container,
    resources: { ...resources, ...(Object.keys(requests).length > 0 && { requests }) },
    ...(ports && {
      ports: ports.map((port) => ({
        protocol: 'TCP',
        ...(hostNetwork && port.containerPort !== undefined && { hostPort: port.containerPort }),
        ...port,
      })),
    }),
  };
}

/** Admission plugin DefaultTolerationSeconds: a pod tolerates a node that is down for five minutes. */
function completeTolerations(tolerations: readonly RawToleration[]): readonly RawToleration[] {
  const missing = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'].filter(
    (key) => !tolerations.some((one) => (one.key ?? key) === key && (one.effect || 'NoExecute') === 'NoExecute'),
  );
  const added = missing.map((key) => ({
    key,
    operator: 'Exists' as const,
    effect: 'NoExecute',
    tolerationSeconds: TAINT_TOLERATION_SECONDS,
  }));
  return [...tolerations, ...added];
}

/** Fields of a pod's spec that a client may change; gates may only be removed. */
const MUTABLE_SPEC = ['containers', 'initContainers', 'tolerations', 'activeDeadlineSeconds', 'schedulingGates'];
/** Fields that may also change while the pod is gated. */
const MUTABLE_WHILE_GATED = ['nodeSelector', 'affinity'];

const SPEC_IS_FIXED =
  'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,' +
  '`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),' +
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** @throws ApiRefusal 422 when `next` is no valid update of `previous`. */
export function checkPodUpdate(previous: Pod, next: Pod): void {
  const { name } = previous.metadata;
  const gates = new Set((previous.spec.schedulingGates ?? []).map((gate) => gate.name));
  for (const [i, gate] of (next.spec.schedulingGates ?? []).entries()) {
    if (gates.has(gate.name)) continue;
    const why = `Forbidden: only deletion is allowed, but found new scheduling gate '${gate.name}'`;
    throw invalid('Pod', name, `spec.schedulingGates[${i}].name`, why);
  }
  const mutable = gates.size > 0 ? [...MUTABLE_SPEC, ...MUTABLE_WHILE_GATED] : MUTABLE_SPEC;
  const fixed = (spec: PodSpec) => Object.entries(spec).filter(([field]) => !mutable.includes(field));
  if (!isDeepStrictEqual(Object.fromEntries(fixed(previous.spec)), Object.fromEntries(fixed(next.spec)))) {
    throw invalid('Pod', name, 'spec', SPEC_IS_FIXED);
  }
  const { nominatedNodeName } = next.status;
  if (next.spec.nodeName && nominatedNodeName && nominatedNodeName !== previous.status.nominatedNodeName) {
    const why = 'Forbidden: may not be set on pods that are already bound to a node';
    throw invalid('Pod', name, 'status.nominatedNodeName', why);
  }
}

/** A Binding as a scheduler posts it. */
export interface Binding extends Preconditions {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Assigns a pod to a node and clears its nomination.
 * @throws ApiRefusal 404; 409 when the UID differs or the pod is being deleted, already bound or gated.
 */
export function bindPod(store: ObjectStore, clock: Clock, binding: Binding): Pod {
  const { namespace, name, node, annotations, uid, resourceVersion } = binding;
  const refuse = (why: string) => conflict('pods/binding', name, why);
  const assign = (pod: Pod): Pod => {
    const { metadata, spec, status } = pod;
    if (uid !== undefined && uid !== metadata.uid) {
      const key = `Code: 4, Key: /registry/pods/${namespace}/${name}, ResourceVersion: 0`;
      const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`;
      throw conflict('pods', name, `StorageError: invalid object, ${key}, AdditionalErrorMsg: ${why}`);
    }
    if (metadata.deletionTimestamp) throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`);
    if (spec.nodeName) throw refuse(`pod ${name} is already assigned to node "${spec.nodeName}"`);
    if (spec.schedulingGates?.length) throw refuse(`pod ${name} has non-empty .spec.schedulingGates`);
    const { nominatedNodeName: _, ...rest } = status;
    const bound = { type: 'PodScheduled', status: 'True' };
    return {
      ...pod,
      metadata: { ...metadata, ...(annotations && { annotations: { ...metadata.annotations, ...annotations } }) },
      spec: { ...spec, nodeName: node },
      status: { ...rest, conditions: withCondition(status.conditions, bound, timestamp(clock.now())) },
    };
  };
  return store.update('pods', namespace, name, assign, { resourceVersion });
}

/** How to delete a pod; the grace period defaults to the pod's own. */
export interface PodDeletion extends Preconditions {
  readonly graceSeconds?: number | undefined;
}

/**
 * Deletes a pod: at once if it is unbound or has ended, otherwise after its grace period, which the kubelet waits out.
 * A second deletion can only shorten the period. Returns the pod's last state.
 * @throws ApiRefusal 404, or 409 when a precondition does not hold.
 */
export function deletePod(
  store: ObjectStore,
  clock: Clock,
  namespace: string,
  name: string,
  { graceSeconds, ...preconditions }: PodDeletion = {},
): ApiObject {
  const pod = store.get('pods', namespace, name);
  if (pod === undefined) throw notFound('pods', name);
  const { metadata, spec, status } = pod;
  const { uid = metadata.uid } = preconditions;
  // The kind, not the resource: kube-apiserver words deletions this way (apiserver registry/rest/delete.go).
  if (uid !== metadata.uid) throw foreignUid('Pod', name, uid, metadata.uid);
  const ended = !spec.nodeName || status.phase === 'Succeeded' || status.phase === 'Failed';
  const grace = ended ? 0 : (graceSeconds ?? spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS);
  if (grace === 0) return store.remove('pods', namespace, name, preconditions);
  const end = clock.now() + grace * 1000;
  return store.update(
    'pods',
    namespace,
    name,
    (live) =>
      metadata.deletionTimestamp && Date.parse(metadata.deletionTimestamp) <= end
        ? live
        : {
            ...live,
            metadata: {
              ...live.metadata,
              deletionTimestamp: timestamp(end),
              deletionGracePeriodSeconds: grace,
            },
          },
    preconditions,
  );
}

/**
 * Sets the DisruptionTarget condition and deletes the pod, unless its disruption budget forbids it.
 * @throws ApiRefusal as `deletePod`; 429 when the budget is exhausted, 500 when several budgets match.
 */
export function evictPod(
  store: ObjectStore,
  clock: Clock,
  namespace: string,
  name: string,
  deletion: PodDeletion = {},
): void {
  const pod = store.get('pods', namespace, name);
  if (pod === undefined) throw notFound('pods', name);
  const { metadata, status } = pod;
  if (status.phase === 'Running' && !metadata.deletionTimestamp) spendBudget(store, pod);
  disruptPod(store, clock, pod, ['EvictionByEvictionAPI', 'Eviction API: evicting'], deletion);
}

/**
 * Sets the DisruptionTarget condition, which tells the pod's owner why it ended, then deletes the pod.
 * @throws ApiRefusal as `deletePod`.
 */
export function disruptPod(
  store: ObjectStore,
  clock: Clock,
  { metadata: { namespace, name, uid } }: Pod,
  [reason, message]: readonly [reason: string, message: string],
  deletion: PodDeletion = {},
): void {
  if (deletion.uid !== undefined && deletion.uid !== uid) throw foreignUid('Pod', name, deletion.uid, uid);
  const condition = { type: 'DisruptionTarget', status: 'True', reason, message };
  store.update('pods', namespace, name, (live) => ({
    ...live,
    status: { ...live.status, conditions: withCondition(live.status.conditions, condition, timestamp(clock.now())) },
  }));
  deletePod(store, clock, namespace, name, deletion);
}

function spendBudget(store: ObjectStore, { metadata: { namespace, labels } }: Pod): void {
  const [budget, another] = store
    .list('poddisruptionbudgets', namespace)
    .filter(({ spec }) => matchesSelector(readSelector(spec?.selector), labels ?? {}));
  if (budget === undefined) return;
  if (another !== undefined) {
    const why = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';
    throw new ApiRefusal(500, '', why);
  }
  const { name } = budget.metadata;
  const allowed = budget.status?.disruptionsAllowed ?? 0;
  if (allowed <= 0) {
    const cause = { reason: 'DisruptionBudget', message: `The disruption budget ${name} allows no disruption now` };
    const why = "Cannot evict pod as it would violate the pod's disruption budget.";
    throw new ApiRefusal(429, 'TooManyRequests', why, [cause]);
  }
  store.update('poddisruptionbudgets', namespace, name, (live) => ({
    ...live,
    status: { ...live.status, disruptionsAllowed: allowed - 1 },
  }));
}
