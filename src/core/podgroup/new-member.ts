/**
 * What a member of a gang lacks when it is created: the gate, while new members get one, and the marker that brings a member
 * without an accelerator to Muster. The same as deploy/admission-policy.yaml says in CEL; an e2e test compares the two.
 */
import { COSCHEDULING_LABEL, GANG_GATE, POD_GROUP_LABEL } from '../objects/keys.ts';
import type { IsManaged } from '../objects/pod-template.ts';
import type { RawContainer, RawPod, RawPodSpec } from '../objects/raw-pod.ts';
import { MEMBER_MARKER } from '../objects/resources.ts';

/** One operation of a JSON patch (RFC 6902). */
export interface PatchOperation {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

export interface MemberRules {
  /** The schedulers that have Muster as their extender: nobody would open the gate of another one's pod. */
  readonly schedulerNames: readonly string[];
  /** The resources with which a pod comes to the barrier; the marker is one of them. */
  readonly isManaged: IsManaged;
}

/**
 * The patch of a new pod; empty for a pod that is no member or lacks nothing, so that applying it twice changes nothing.
 * @param isGating whether new members get the gate now.
 */
export function completeMember(pod: RawPod, isGating: boolean, rules: MemberRules): readonly PatchOperation[] {
  const { metadata, spec } = pod;
  if (!spec || !isMember(metadata?.labels ?? {}) || !isOurs(spec, rules)) return [];
  return [...(isGating ? addGate(spec) : []), ...addMarker(spec, rules.isManaged)];
}

function isMember(labels: object): boolean {
  return Object.hasOwn(labels, POD_GROUP_LABEL) || Object.hasOwn(labels, COSCHEDULING_LABEL);
}

/** Static pods are bound already: a gate would make them invalid. Native groups are Kubernetes' own. */
function isOurs(
  { schedulerName = '', nodeName, schedulingGroup }: RawPodSpec,
  { schedulerNames }: MemberRules,
): boolean {
  return schedulerNames.includes(schedulerName) && !nodeName && (schedulingGroup ?? undefined) === undefined;
}

function addGate({ schedulingGates }: RawPodSpec): readonly PatchOperation[] {
  const gate = { name: GANG_GATE };
  if (!schedulingGates) return [{ op: 'add', path: '/spec/schedulingGates', value: [gate] }];
  if (schedulingGates.some(({ name }) => name === GANG_GATE)) return [];
  return [{ op: 'add', path: '/spec/schedulingGates/-', value: gate }];
}

/** Extended resources need the same amount in requests and limits. */
function addMarker({ containers, initContainers }: RawPodSpec, isManaged: IsManaged): readonly PatchOperation[] {
  const first = containers?.[0];
  const all = [...(containers ?? []), ...(initContainers ?? [])];
  if (first === undefined || all.some((container) => namesOf(container).some(isManaged))) return [];
  const path = '/spec/containers/0/resources';
  const alone = { [MEMBER_MARKER]: '1' };
  if (!first.resources) return [{ op: 'add', path, value: { requests: alone, limits: alone } }];
  const key = MEMBER_MARKER.replace('/', '~1');
  return (['requests', 'limits'] as const).map((part) =>
    first.resources?.[part]
      ? { op: 'add', path: `${path}/${part}/${key}`, value: '1' }
      : { op: 'add', path: `${path}/${part}`, value: alone },
  );
}

function namesOf({ resources }: RawContainer): readonly string[] {
  return [...Object.keys(resources?.requests ?? {}), ...Object.keys(resources?.limits ?? {})];
}
