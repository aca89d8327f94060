/**
 * Describes a gang: which pods belong to it and what it asks for. Pods, Jobs and PodGroup objects go in, one `Gang`
 * value comes out. What is wrong with a gang is a problem in the value (`problems.ts`): the gang waits and says
 * why. O(members), plus sorting the ranks.
 */
import {
  COSCHEDULING_LABEL,
  EXPECTED_DURATION,
  GANG_GATE,
  HOLD,
  MIN_MEMBERS,
  ON_MEMBER_LOSS,
  OVER_TIME,
  POD_GROUP_LABEL,
  PREEMPTS,
  QUEUE,
  readDuration,
  TOPOLOGY_PATIENCE,
} from '../objects/keys.ts';
import type { JobModel, Labels, PodGroupModel, PodModel } from '../objects/model.ts';
import type { TopologyRequest } from '../topology/request.ts';
import { type ClaimObstacle, findProblems, type GangProblem } from './problems.ts';
import { assignRanks, type Ranks, sortByRank } from './ranks.ts';
import { readTopologyKeys } from './topology-keys.ts';

declare const gangKeyBrand: unique symbol;

/** `namespace/name` of a gang; `gangKey` makes it. */
export type GangKey = string & { readonly [gangKeyBrand]: true };

export function gangKey(namespace: string, name: string): GangKey {
  return `${namespace}/${name}` as GangKey;
}

export interface Gang {
  readonly key: GangKey;
  readonly namespace: string;
  readonly name: string;
  /** All pods of the gang that count (neither failed nor leaving), in rank order. */
  readonly members: readonly PodModel[];
  /** Of every member. */
  readonly ranks: Ranks;
  /** How many members must start together; undefined while nothing says so. */
  readonly minMember: number | undefined;
  readonly topology: TopologyRequest;
  /** How long it waits for its preferred level before a wider one is allowed, milliseconds. */
  readonly patienceMs: number | undefined;
  /** Whether gangs of lower priority may be evicted for it. */
  readonly preempts: boolean;
  readonly onMemberLoss: MemberLoss;
  /** Whether its Jobs are suspended, being deleted, or gone, so that nobody wants its pods any more. */
  readonly isEndedByOwner: boolean;
  /** A Job of the gang that does not survive the eviction of its pods. */
  readonly fragileJob: JobModel | undefined;
  readonly priority: number;
  /** Whether a priority class gave it its priority. */
  readonly hasPriorityClass: boolean;
  /** The label `muster.dev/queue`; undefined: the namespace decides. */
  readonly queue: string | undefined;
  /** Whether an operator holds it back. */
  readonly isHeld: boolean;
  /** Who makes gangs like this one again and again: their run times are an estimate for this one. */
  readonly lineage: string;
  /**
   * UIDs of its owners and of the controllers that make those anew. As long as one of them stays, it is the same
   * gang. '' when nobody owns its pods.
   */
  readonly owners: string;
  /** Whether it ran as long as its queue allows, with the same owners as now. */
  readonly isOverTime: boolean;
  /** How long its owner expects it to run, milliseconds. */
  readonly expectedMs: number | undefined;
  /** How long its Jobs may take from their start, milliseconds: the shortest of them. */
  readonly deadlineMs: number | undefined;
  /** Creation of the oldest member, milliseconds since the epoch: the gang's age. */
  readonly createdAt: number;
  /** From the PodGroup object: how long members may wait for each other at the barrier. */
  readonly scheduleTimeoutMs: number | undefined;
  /** When activeDeadlineSeconds ends one of its Jobs, milliseconds since the epoch. */
  readonly deadlineAt: number | undefined;
  /** The gang waits while there are any. */
  readonly problems: readonly GangProblem[];
}

/** What is done about a running gang that has fewer members than its minimum. */
export type MemberLoss = 'replace' | 'restart' | 'ignore';

/** What a gang is made from, all in one namespace. */
export interface GangSources {
  readonly pods: readonly PodModel[];
  /** Jobs whose pod template carries the gang's label, or that own one of the pods. */
  readonly jobs: readonly JobModel[];
  readonly podGroup: PodGroupModel | undefined;
  /** How a claim holds the gang back; undefined: it does not. */
  readonly blocksOnClaim: (claim: string) => ClaimObstacle | undefined;
}

/** The name of the gang that a pod or a pod template belongs to; undefined: none of ours. */
export function gangNameOf(labels: Labels): string | undefined {
  return labels[POD_GROUP_LABEL] || labels[COSCHEDULING_LABEL] || undefined;
}

/**
 * The key of the pod's gang. Undefined for a lone pod, and for a pod that another controller schedules as a gang or
 * still gates: never fight another controller.
 */
export function gangKeyOf(pod: PodModel): GangKey | undefined {
  if (pod.nativeGang || pod.gates.some((gate) => gate !== GANG_GATE)) return undefined;
  const name = gangNameOf(pod.labels);
  return name === undefined ? undefined : gangKey(pod.namespace, name);
}

/** Describes the gang from its sources. There must be pods. */
export function describeGang(key: GangKey, sources: GangSources): Gang {
  const [namespace, name] = key.split('/') as [string, string];
  const present = sources.pods.filter(countsAsMember);
  const ranks = assignRanks(present);
  const members = sortByRank(present, ranks);
  const subjects = members.length > 0 ? members : sources.pods;
  const minimum = readMinimum(subjects, sources);
  return {
    key,
    namespace,
    name,
    members,
    ranks,
    minMember: minimum,
    topology: readTopologyKeys(subjects, minimum),
    patienceMs: readDuration(subjects[0]?.annotations[TOPOLOGY_PATIENCE]),
    preempts: subjects.every(({ annotations }) => annotations[PREEMPTS] !== 'never'),
    onMemberLoss: readMemberLoss(subjects[0]),
    isEndedByOwner: isEndedByOwner(subjects, sources.jobs),
    fragileJob: sources.jobs.find(isFragile),
    priority: Math.max(...subjects.map((pod) => pod.priority)),
    hasPriorityClass: subjects.some((pod) => pod.hasPriorityClass),
    queue: subjects[0]?.labels[QUEUE],
    isHeld: subjects.some(({ annotations }) => annotations[HOLD] === 'true'),
    lineage: readLineage(key, sources.jobs),
    owners: listOwners(subjects, sources.jobs),
    isOverTime: subjects.some(({ annotations }) => annotations[OVER_TIME] !== undefined),
    expectedMs: readDuration(subjects[0]?.annotations[EXPECTED_DURATION]),
    deadlineMs: shortestDeadline(sources.jobs),
    createdAt: Math.min(...subjects.map((pod) => pod.createdAt)),
    scheduleTimeoutMs: secondsToMs(sources.podGroup?.scheduleTimeoutSeconds),
    deadlineAt: earliestDeadline(sources.jobs),
    problems: findProblems(name, members, minimum, sources.blocksOnClaim),
  };
}

/** Succeeded members count as present. Failed members and unfinished ones that are being deleted do not. */
function countsAsMember(pod: PodModel): boolean {
  return pod.phase === 'Succeeded' || (pod.phase !== 'Failed' && !pod.deleting);
}

/** The annotation, else the PodGroup object, else what the Jobs create. */
function readMinimum(pods: readonly PodModel[], { jobs, podGroup }: GangSources): number | undefined {
  const written = pods.map((pod) => pod.annotations[MIN_MEMBERS]).find((value) => value !== undefined);
  if (written !== undefined) return /^\d{1,9}$/.test(written) && Number(written) >= 1 ? Number(written) : undefined;
  if (podGroup) return podGroup.minMember;
  if (jobs.length === 0) return undefined;
  const created = jobs.reduce((sum, job) => sum + Math.min(job.parallelism, job.completions ?? job.parallelism), 0);
  return created > 0 ? created : undefined;
}

function isEndedByOwner(pods: readonly PodModel[], jobs: readonly JobModel[]): boolean {
  return jobs.length > 0 ? jobs.every(({ isEnding }) => isEnding) : pods.some(({ owner }) => owner?.kind === 'Job');
}

function readMemberLoss(pod: PodModel | undefined): MemberLoss {
  const written = pod?.annotations[ON_MEMBER_LOSS];
  return written === 'restart' || written === 'ignore' ? written : 'replace';
}

/**
 * Whether evicting the gang fails the Job: all pods are evicted together, and each counts as a failure unless the
 * policy says otherwise.
 */
function isFragile({ parallelism, completions = parallelism, backoffLimit, ignoresDisruption }: JobModel): boolean {
  return !ignoresDisruption && Math.min(parallelism, completions) > backoffLimit;
}

function secondsToMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

/** The controller of its Jobs, such as a CronJob that makes one each night; else the gang itself. */
function readLineage(key: string, jobs: readonly JobModel[]): string {
  const maker = jobs.find(({ owner }) => owner)?.owner;
  return maker ? `${key.slice(0, key.indexOf('/'))}/${maker.kind}/${maker.name}` : key;
}

/**
 * A controller that keeps one run alive makes its Jobs anew (a JobSet), so it counts as an owner. Each Job of a
 * CronJob is a run of its own.
 */
function listOwners(pods: readonly PodModel[], jobs: readonly JobModel[]): string {
  const makers = new Map(jobs.map(({ uid, owner }) => [uid, owner?.kind === 'CronJob' ? undefined : owner]));
  const owners = new Set<string>();
  for (const { owner } of pods) {
    if (!owner) continue;
    owners.add(owner.uid);
    const maker = makers.get(owner.uid);
    if (maker) owners.add(maker.uid);
  }
  return [...owners].sort().join(' ');
}

function shortestDeadline(jobs: readonly JobModel[]): number | undefined {
  const seconds = jobs.flatMap(({ activeDeadlineSeconds }) => activeDeadlineSeconds ?? []);
  return seconds.length > 0 ? Math.min(...seconds) * 1000 : undefined;
}

function earliestDeadline(jobs: readonly JobModel[]): number | undefined {
  const deadlines = jobs.flatMap((job) =>
    job.startedAt !== undefined && job.activeDeadlineSeconds !== undefined
      ? [job.startedAt + job.activeDeadlineSeconds * 1000]
      : [],
  );
  return deadlines.length > 0 ? Math.min(...deadlines) : undefined;
}
