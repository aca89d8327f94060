/**
 * Reads the part of a pod that decides where it fits from its wire JSON. `describeSource` names cheaply what matters,
 * `readTemplate` builds the content, `sealTemplate` adds the key.
 *
 * Nothing that differs between the members of a gang may enter a template, or they stop sharing it: no name, no
 * hostname, no labels. Pod labels only decide `selfAntiAffine` and the values that spread constraints take from
 * `matchLabelKeys`. Claims of generic ephemeral volumes bear the pod's name, so they are in `PodModel.claims`. Named
 * claims belong to the template: where a pod fits depends on its volumes, and pods with a claim each (StatefulSets)
 * do differ.
 */

import type { HostnameAntiAffinity, HostPort, LabelSelector, Labels, PodTemplate, SpreadConstraint } from './model.ts';
import { repelledBy } from './node-fit.ts';
import type { RawContainer, RawPod, RawPodSpec, RawPodTerm, RawSpread, RawVolume } from './raw-pod.ts';
import { MEMBER_MARKER, podRequests } from './resources.ts';
import { readNodeTerm, readSelector, requireLabel } from './selector.ts';
import { countAntiAffinity, countRules, MAX_CLAIMS, MAX_RULES } from './template-rules.ts';

const HOSTNAME = 'kubernetes.io/hostname';

/** Volumes that kube-scheduler judges without a claim (plugins volumerestrictions and nodevolumelimits). */
const INLINE_DISKS = ['csi', 'gcePersistentDisk', 'awsElasticBlockStore', 'azureDisk', 'iscsi', 'rbd'] as const;

/** Tells whether a request of this resource brings a pod to Muster. */
export type IsManaged = (resource: string) => boolean;

/** @param names resources that the extender's configuration manages; a trailing `*` matches every ending. */
export function manageResources(names: readonly string[]): IsManaged {
  const exact = new Set([MEMBER_MARKER, ...names]);
  const prefixes = names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
  return (resource) => exact.has(resource) || prefixes.some((prefix) => resource.startsWith(prefix));
}

/**
 * A text that two pods share only if their templates are equal: the raw parts that `readTemplate` looks at. Several
 * texts may lead to one template (a running pod also has resources in its status).
 */
export function describeSource(pod: RawPod): string {
  const { spec, status } = pod;
  // Inter-pod terms may refer to the pod's own namespace.
  const namespace =
    spec?.affinity?.podAntiAffinity || spec?.affinity?.podAffinity ? pod.metadata?.namespace : undefined;
  const statuses = [status?.containerStatuses, status?.initContainerStatuses].map((list) =>
    list?.map(({ name, allocatedResources, resources }) => [name, allocatedResources, resources?.requests]),
  );
  return JSON.stringify([
    spec?.containers?.map(describeContainer),
    spec?.initContainers?.map(describeContainer),
    spec?.overhead,
    spec?.resources,
    spec?.resourceClaims,
    spec?.nodeSelector,
    spec?.affinity,
    spec?.tolerations,
    spec?.topologySpreadConstraints,
    spec?.hostNetwork,
    spec && describeVolumes(spec),
    statuses,
    status?.allocatedResources,
    status?.resources,
    status?.conditions?.find(({ type }) => type === 'PodResizePending')?.reason,
    namespace,
    spec && readLabelsNamed(spec, pod.metadata?.labels ?? {}),
  ]);
}

/**
 * The values of the pod's labels that its own anti-affinity and `matchLabelKeys` look at. All labels would tell the
 * members of a Job apart by their completion index.
 */
function readLabelsNamed({ affinity, topologySpreadConstraints }: RawPodSpec, labels: Labels): unknown {
  const terms = affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  if (terms.length === 0 && !topologySpreadConstraints) return undefined;
  const selected = terms.flatMap(({ labelSelector }) => [
    ...Object.keys(labelSelector?.matchLabels ?? {}),
    ...(labelSelector?.matchExpressions ?? []).map(({ key }) => key),
  ]);
  const merged = (topologySpreadConstraints ?? []).flatMap(({ matchLabelKeys }) => matchLabelKeys ?? []);
  return [...selected, ...merged].map((key) => labels[key]);
}

function describeContainer({ name, resources, restartPolicy, ports }: RawContainer): unknown {
  return [name, resources, restartPolicy, ports];
}

/** What scheduling needs to know of a volume: its claim, or the disk itself. Undefined for all other kinds. */
function describeVolume(volume: RawVolume): readonly [kind: string, content: unknown] | undefined {
  const { persistentVolumeClaim, ephemeral } = volume;
  if (persistentVolumeClaim) return ['claim', persistentVolumeClaim.claimName];
  if (ephemeral) return ['ephemeral', ephemeral.volumeClaimTemplate?.spec];
  const disk = INLINE_DISKS.find((kind) => kind in volume);
  return disk && [disk, (volume as Readonly<Record<string, unknown>>)[disk]];
}

function describeVolumes(spec: RawPodSpec): (readonly [kind: string, content: unknown])[] {
  return (spec.volumes ?? []).map(describeVolume).filter((volume) => volume !== undefined);
}

/**
 * @param isBound tells which resources the extender entry that binds manages, where that is another entry.
 * @throws Error when a resource amount is no quantity.
 */
export function readTemplate(pod: RawPod, isManaged: IsManaged, isBound: IsManaged = isManaged): PodTemplate {
  const spec = pod.spec ?? {};
  const labels = pod.metadata?.labels ?? {};
  const namespace = pod.metadata?.namespace ?? '';
  const constraints = spec.topologySpreadConstraints ?? [];
  const antiTerms = spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const hostTerms = antiTerms.filter(isModelled).map((term) => readAntiAffinity(term, namespace));
  const hostRules = countAntiAffinity(hostTerms);
  // Such a gang is not planned. Of pods that run, kube-scheduler keeps the rules: a plan that breaks them is refused.
  const unmodelled = hostRules > MAX_RULES ? hostRules : 0;
  const antiAffinity = unmodelled > 0 ? [] : hostTerms;
  const content = {
    requests: podRequests(spec, pod.status ?? {}),
    nodeSelector: spec.nodeSelector ?? {},
    nodeAffinity: readNodeAffinity(spec),
    // No operator means Equal (api v0.37.2 core/v1/toleration.go:62).
    tolerations: (spec.tolerations ?? []).map(({ key = '', operator, value = '', effect = '' }) => {
      return { key, operator: operator || 'Equal', value, effect };
    }),
    hostPorts: readHostPorts(spec),
    antiAffinity,
    selfAntiAffine: repelledBy(antiAffinity, [{ namespace, labels }]),
    spread: constraints
      .filter(({ whenUnsatisfiable }) => whenUnsatisfiable !== 'ScheduleAnyway')
      .map((constraint) => readSpread(constraint, labels)),
    claims: namedClaims(spec),
    hasPreferences: hasPreferences(spec),
    reachesExtender: requestsAny(spec, isManaged),
    skipsBarrier: isBound !== isManaged && requestsAny(spec, isManaged) && !requestsAny(spec, isBound),
    leftToScheduler: describeRest(spec, namespace, (term) => unmodelled > 0 || !isModelled(term)),
  };
  return sealTemplate(content, unmodelled);
}

/**
 * Gives a template its key. Templates with equal content have equal keys, in whatever order they were built.
 * @param unmodelled rules that are not in the content because they are too many.
 */
export function sealTemplate(content: Omit<PodTemplate, 'key' | 'rules'>, unmodelled = 0): PodTemplate {
  const key = JSON.stringify([
    content.requests.map(({ name, amount }) => [name, amount]),
    Object.entries(content.nodeSelector).sort(([a], [b]) => (a < b ? -1 : 1)),
    content.nodeAffinity ?? null,
    content.tolerations,
    content.hostPorts,
    content.antiAffinity,
    content.selfAntiAffine,
    content.spread,
    content.claims,
    content.hasPreferences,
    content.reachesExtender,
    content.skipsBarrier,
    content.leftToScheduler,
  ]);
  return { ...content, key, rules: countRules(content) + unmodelled };
}

/** Names of the claims that generic ephemeral volumes get (component-helpers v0.37.2 storage/ephemeral/ephemeral.go:41). */
export function ephemeralClaims(podName: string, spec: RawPodSpec): string[] {
  return (spec.volumes ?? []).filter(({ ephemeral }) => ephemeral).map(({ name = '' }) => `${podName}-${name}`);
}

function namedClaims(spec: RawPodSpec): string[] {
  const names = (spec.volumes ?? []).map(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? '');
  const named = names.filter((name) => name !== '').sort();
  return named.slice(0, MAX_CLAIMS + 1);
}

function readNodeAffinity(spec: RawPodSpec): PodTemplate['nodeAffinity'] {
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required ? (required.nodeSelectorTerms ?? []).map(readNodeTerm) : undefined;
}

/**
 * The ports that kube-scheduler counts: of containers and restartable init containers
 * (pkg/scheduler/util/utils.go:242). With hostNetwork every container port is a host port. The API server writes that
 * into the pod (pkg/apis/core/v1/defaults.go:440); templates that never went through it are treated alike.
 */
function readHostPorts(spec: RawPodSpec): HostPort[] {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...sidecars, ...(spec.containers ?? [])]
    .flatMap(({ ports }) => ports ?? [])
    .map(({ hostIP, protocol, hostPort, containerPort }) => ({
      ip: hostIP || '0.0.0.0',
      protocol: protocol || 'TCP',
      port: hostPort || (spec.hostNetwork ? (containerPort ?? 0) : 0),
    }))
    .filter(({ port }) => port > 0);
}

function isModelled(term: RawPodTerm): boolean {
  return term.topologyKey === HOSTNAME && !term.namespaceSelector;
}

/** `matchLabelKeys` and `mismatchLabelKeys` are in the selector already: the API server merges them at creation. */
function readAntiAffinity(term: RawPodTerm, namespace: string): HostnameAntiAffinity {
  return { selector: readSelector(term.labelSelector), namespaces: namespacesOf(term, namespace) };
}

/** kube-scheduler v0.37.2 framework/types.go:473. */
function namespacesOf({ namespaces, namespaceSelector }: RawPodTerm, own: string): readonly string[] {
  return namespaces?.length || namespaceSelector ? (namespaces ?? []) : [own];
}

/** Defaults as plugins/podtopologyspread/common.go:107. */
function readSpread(constraint: RawSpread, labels: Labels): SpreadConstraint {
  return {
    topologyKey: constraint.topologyKey ?? '',
    maxSkew: constraint.maxSkew ?? 1,
    minDomains: constraint.minDomains ?? 1,
    selector: spreadSelector(constraint, labels),
    honorsAffinity: constraint.nodeAffinityPolicy !== 'Ignore',
    honorsTaints: constraint.nodeTaintsPolicy === 'Honor',
  };
}

/**
 * The API server has merged `matchLabelKeys` into the selector since 1.34; kube-scheduler merges them again for older
 * pods (common.go:96). Keys that are merged already are not repeated.
 */
function spreadSelector(constraint: RawSpread, labels: Labels): LabelSelector | undefined {
  const selector = readSelector(constraint.labelSelector);
  if (!selector) return undefined;
  const keys = (constraint.matchLabelKeys ?? []).filter((key) => {
    const isMerged = selector.some(({ key: merged, operator }) => merged === key && operator === 'In');
    return labels[key] !== undefined && !isMerged;
  });
  const merged = [...selector, ...keys.map((key) => requireLabel(key, labels[key]!))];
  return merged.length > 0 ? merged : undefined;
}

/** Required pod affinity counts, too: such a pod must see the nodes where the pods are that it wants to be near. */
function hasPreferences({ affinity, topologySpreadConstraints }: RawPodSpec): boolean {
  return (
    [affinity?.nodeAffinity, affinity?.podAffinity, affinity?.podAntiAffinity].some(
      (kind) => (kind?.preferredDuringSchedulingIgnoredDuringExecution?.length ?? 0) > 0,
    ) ||
    (affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length ?? 0) > 0 ||
    (topologySpreadConstraints ?? []).some(({ whenUnsatisfiable }) => whenUnsatisfiable === 'ScheduleAnyway')
  );
}

/** Decided by name, even for amount 0, as kube-scheduler does (pkg/scheduler/extender.go:442). */
function requestsAny({ containers, initContainers }: RawPodSpec, isManaged: IsManaged): boolean {
  return [...(containers ?? []), ...(initContainers ?? [])].some((container) => requests(container, isManaged));
}

function requests({ resources }: RawContainer, isManaged: IsManaged): boolean {
  for (const name in resources?.requests) if (isManaged(name)) return true;
  for (const name in resources?.limits) if (isManaged(name)) return true;
  return false;
}

function describeRest(spec: RawPodSpec, namespace: string, isLeft: (term: RawPodTerm) => boolean): string {
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {};
  const describeTerm = (term: RawPodTerm) => [
    term.topologyKey,
    term.labelSelector,
    term.namespaceSelector,
    namespacesOf(term, namespace),
  ];
  const antiTerms = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const parts = [
    spec.resourceClaims ?? [],
    (podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(describeTerm),
    antiTerms.filter(isLeft).map(describeTerm),
    describeVolumes(spec).filter(([kind]) => kind !== 'claim'),
  ];
  return parts.some((part) => part.length > 0) ? JSON.stringify(parts, inOrder) : '';
}

/** Keys in one order, and no nulls: JSON and protobuf differ in both. */
function inOrder(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).filter(([, each]) => each !== null);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
