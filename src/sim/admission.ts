/**
 * What deploy/admission-policy.yaml does, written by hand, as CEL has no evaluator here: members of gangs get the gate,
 * and those that request nothing an extender manages get the marker. In force while a policy of that name is installed;
 * the e2e tests hold it against the real policy.
 */
import type { RawContainer } from '../core/raw-pod.ts';
import type { ObjectStore } from './object-store.ts';
import type { PodSpec } from './objects.ts';

export const GANG_POLICY = 'muster-gang-members';

const GATE = 'muster.dev/gang';
const MARKER = 'muster.dev/member';
const GROUP_LABELS = ['muster.dev/pod-group', 'scheduling.x-k8s.io/pod-group'];
const MANAGED: ReadonlySet<string> = new Set(['nvidia.com/gpu', 'amd.com/gpu', MARKER]);

/** The pod's spec with gate and marker, if a policy is installed that asks for them. */
export function admitGangMember(store: ObjectStore, labels: Readonly<Record<string, string>>, spec: PodSpec): PodSpec {
  const isMember = GROUP_LABELS.some((label) => label in labels);
  const isOurs = spec.schedulerName === 'default-scheduler' && !spec.nodeName && spec.schedulingGroup === undefined;
  if (!isMember || !isOurs || store.get('mutatingadmissionpolicies', undefined, GANG_POLICY) === undefined) return spec;
  const gates = spec.schedulingGates ?? [];
  const gated = gates.some(({ name }) => name === GATE) ? gates : [...gates, { name: GATE }];
  return isManaged(spec)
    ? { ...spec, schedulingGates: gated }
    : { ...spec, schedulingGates: gated, containers: (spec.containers ?? []).map(markFirst) };
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
