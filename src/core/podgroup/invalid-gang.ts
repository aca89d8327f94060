/**
 * Describes a gang that is set aside, because handling it failed or took too long: its pods and what keeps it back, and
 * nothing that was computed from what its users wrote. So it is not planned, and what it holds is still counted. Plain
 * reading of the pods: O(pods).
 */
import { leastOf, mostOf } from '../objects/extremes.ts';
import { OVER_TIME, QUEUE } from '../objects/keys.ts';
import { isTerminated, type PodModel, type PodUid } from '../objects/model.ts';
import type { TopologyRequest } from '../topology/request.ts';
import type { Gang, GangKey } from './gang.ts';
import type { GangFault } from './problems.ts';

/** It asks for nothing of the fabric, as it is not planned. */
const NO_TOPOLOGY: TopologyRequest = {
  required: undefined,
  preferred: undefined,
  patientUntil: undefined,
  slice: undefined,
  spread: undefined,
  exclusive: undefined,
};

/**
 * @param pods all pods under its name.
 * @param known the gang as it was described before; undefined: it never was.
 */
export function describeInvalid(
  key: GangKey,
  pods: readonly PodModel[],
  fault: GangFault,
  known: Gang | undefined,
): Gang {
  const slash = key.indexOf('/');
  const members = pods.filter(({ phase, deleting }) => phase === 'Succeeded' || (phase !== 'Failed' && !deleting));
  return {
    key,
    namespace: key.slice(0, slash),
    name: key.slice(slash + 1),
    // The same run as before, so that nothing that is remembered of it gets lost.
    roots: known?.roots ?? [],
    run: known?.run,
    laterRuns: [],
    members,
    present: members.filter((pod) => !isTerminated(pod)),
    lost: [],
    leaving: pods.filter((pod) => pod.deleting && pod.nodeName !== '' && !isTerminated(pod)),
    ranks: known?.ranks ?? new Map<PodUid, number>(),
    minMember: undefined,
    growing: undefined,
    settlesAt: undefined,
    coming: new Map(),
    topology: NO_TOPOLOGY,
    patienceMs: undefined,
    preempts: false,
    onMemberLoss: 'ignore',
    isEndedByOwner: false,
    isSuspended: false,
    suspendedJobs: [],
    fragileJob: undefined,
    priority: members.length > 0 ? mostOf(members.map(({ priority }) => priority)) : 0,
    hasPriorityClass: members.some(({ hasPriorityClass }) => hasPriorityClass),
    queue: members[0]?.labels[QUEUE],
    isHeld: false,
    lineage: known?.lineage ?? key,
    owners: known?.owners ?? '',
    isOverTime: members.some(({ annotations }) => annotations[OVER_TIME] !== undefined),
    expectedMs: undefined,
    deadlineMs: undefined,
    createdAt: members.length > 0 ? leastOf(members.map(({ createdAt }) => createdAt)) : 0,
    scheduleTimeoutMs: undefined,
    deadlineAt: undefined,
    refusedCreation: undefined,
    problems: [{ kind: 'set-aside', fault }],
    fault,
  };
}
