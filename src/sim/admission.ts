/**
 * A hand-written equivalent of deploy/admission-policy.yaml, because the embedded control plane evaluates no CEL. It
 * adds the scheduling gate to gang members unless its parameter says `off`, and the marker to members that request no
 * resource managed by an extender. It applies while a policy of that name and its parameter are installed. The e2e tests compare it with the real policy.
 */
import type { RawContainer } from '../core/objects/raw-pod.ts';
import type { ObjectStore } from './object-store.ts';
import type { PodSpec } from './objects.ts';

const POLICY = 'muster-gang-members';
const PARAMETER = { namespace: 'muster-system', name: 'muster-gates' } as const;
const GATE = 'muster.dev/gang';
const MARKER = 'muster.dev/member';
const GROUP_LABELS = ['muster.dev/pod-group', 'scheduling.x-k8s.io/pod-group'];
const MANAGED: ReadonlySet<string> = new Set(['nvidia.com/gpu', 'amd.com/gpu', MARKER]);

/** Installs what the manifest has. */
export function installGangPolicy(store: ObjectStore): void {
  store.create('mutatingadmissionpolicies', { metadata: { name: POLICY } });
  store.create('limitranges', { metadata: { ...PARAMETER } });
}

/**
 * Returns the pod's spec with gate and marker, or unchanged if the pod is no gang member or the policy is not
 * installed.
 */
export function admitGangMember(store: ObjectStore, labels: Readonly<Record<string, string>>, spec: PodSpec): PodSpec {
  const isMember = GROUP_LABELS.some((label) => label in labels);
  const isOurs = spec.schedulerName === 'default-scheduler' && !spec.nodeName && spec.schedulingGroup === undefined;
  const parameter = store.get('limitranges', PARAMETER.namespace, PARAMETER.name);
  if (!isMember || !isOurs || !parameter || !store.get('mutatingadmissionpolicies', undefined, POLICY)) return spec;
  const gates = spec.schedulingGates ?? [];
  const isGated = gates.some(({ name }) => name === GATE);
  const gated =
    isGated || parameter.metadata.annotations?.['muster.dev/gate'] === 'off'
      ? spec
      : { ...spec, schedulingGates: [...gates, { name: GATE }] };
  return isManaged(spec) ? gated : { ...gated, containers: (spec.containers ?? []).map(markFirst) };
}

function isManaged({ containers, initContainers }: PodSpec): boolean {
  return [...(containers ?? []), ...(initContainers ?? [])].some(({ resources }) =>
    Object.keys({ ...resources?.requests, ...resources?.limits }).some(
      (name) => MANAGED.has(name) || name.startsWith('nvidia.com/mig-'),
    ),
  );
}

function markFirst(container: RawContainer, index: number): RawContainer {
  if (index > 0) return container;
  const { requests, limits } = container.resources ?? {};
  return {
    ...container,
    resources: { requests: { ...requests, [MARKER]: '1' }, limits: { ...limits, [MARKER]: '1' } },
  };
}
