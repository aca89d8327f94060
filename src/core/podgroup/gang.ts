/**
 * Describes a gang: which pods belong to its run and what it asks for. Pods, Jobs and PodGroup objects go in, one `Gang`
 * value comes out. What is wrong with a gang is a problem in the value (`problems.ts`): the gang waits and says
 * why. O(members), plus sorting the ranks.
 */
import type { CreationFailure } from '../objects/creation-failure.ts';
import { leastOf, mostOf } from '../objects/extremes.ts';
import {
  COSCHEDULING_LABEL,
  EXPECTED_DURATION,
  GANG_GATE,
  HOLD,
  ON_MEMBER_LOSS,
  OVER_TIME,
  POD_GROUP_LABEL,
  PREEMPTS,
  QUEUE,
  readDuration,
  TOPOLOGY_PATIENCE,
} from '../objects/keys.ts';
import { isTerminated, type JobModel, type Labels, type PodGroupModel, type PodModel } from '../objects/model.ts';
import type { TopologyRequest } from '../topology/request.ts';
import { levelsOf, type PlannedLevels } from './plan-record.ts';
import { type ClaimObstacle, findProblems, type GangFault, type GangProblem } from './problems.ts';
import { assignRanks, type Ranks, sortByRank } from './ranks.ts';
import { findRun, type KnownRun, type LaterRun, makesOneRunEach, type Run, type RunName } from './run.ts';
import { type GrowingSet, readSize, sizeOf } from './size.ts';
import { findSpeakers } from './speakers.ts';
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
  /** UIDs of the roots of its run (`run.ts`): the same run keeps at least one of them. */
  readonly roots: readonly string[];
  /** The object that makes its pods; undefined: nobody owns them. */
  readonly run: RunName | undefined;
  /** Younger runs of the same maker, which wait until this one has ended. */
  readonly laterRuns: readonly LaterRun[];
  /** All pods of the run that count (neither failed nor leaving), in rank order. Those that succeeded keep their rank. */
  readonly members: readonly PodModel[];
  /** Members that have not ended. */
  readonly present: readonly PodModel[];
  /** Pods of the run that failed or leave, on nodes: members that it lost, or lost once. */
  readonly lost: readonly PodModel[];
  /** Pods under its name, of any run, that are being deleted and still take up their nodes. */
  readonly leaving: readonly PodModel[];
  /** Of every member. */
  readonly ranks: Ranks;
  /** How many of the members that have not ended must run together; undefined while nothing says so. */
  readonly minMember: number | undefined;
  /** A JobSet that has not made all its Jobs yet: the size is unknown until then. */
  readonly growing: GrowingSet | undefined;
  /** Until when another Job may come that is part of the gang, milliseconds since the epoch; undefined: none is expected. */
  readonly settlesAt: number | undefined;
  /** How many members each of its Jobs will still make, by UID. No entry: the owner does not say. */
  readonly coming: ReadonlyMap<string, number>;
  readonly topology: TopologyRequest;
  /** How long it waits for its preferred level before a wider one is allowed, milliseconds. */
  readonly patienceMs: number | undefined;
  /** Whether gangs of lower priority may be evicted for it. */
  readonly preempts: boolean;
  readonly onMemberLoss: MemberLoss;
  /** Whether its Jobs are suspended, being deleted, finished or gone, so that nobody wants its pods any more. */
  readonly isEndedByOwner: boolean;
  /** Whether all its Jobs are suspended. */
  readonly isSuspended: boolean;
  /** Names of a few of its Jobs that are suspended. */
  readonly suspendedJobs: readonly string[];
  /** A Job of the gang that does not survive the eviction of its pods. */
  readonly fragileJob: JobModel | undefined;
  readonly priority: number;
  /** Whether a priority class gave it its priority. */
  readonly hasPriorityClass: boolean;
  /** The label `muster.dev/queue`, of a member that is bound if there is one; undefined: the namespace decides. */
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
  /** Why a controller of the gang could not create the members that are missing; undefined: none says so. */
  readonly refusedCreation: CreationFailure | undefined;
  /** The gang waits while there are any. */
  readonly problems: readonly GangProblem[];
  /** Why it is set aside (`invalid-gang.ts`); undefined: it is not. */
  readonly fault: GangFault | undefined;
}

/** The most members of a gang, unless configured: more than any cluster has nodes. */
export const MAX_GANG_SIZE = 100_000;

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
  /** How many Jobs of a JobSet exist and are not being deleted, whatever their labels. */
  readonly countJobsOfSet: (set: string) => number;
  /** The latest creation failure of the controller with this UID. */
  readonly creationFailure: (owner: string) => CreationFailure | undefined;
}

/** The name of the gang that a pod or a pod template belongs to; undefined: none of ours. */
export function gangNameOf(labels: Labels): string | undefined {
  return labels[POD_GROUP_LABEL] || labels[COSCHEDULING_LABEL] || undefined;
}

/**
 * The key of the pod's gang. Undefined for a lone pod, for a pod of another scheduler, and for a pod that another
 * controller schedules as a gang or still gates: never fight another controller.
 */
export function gangKeyOf(pod: PodModel): GangKey | undefined {
  if (!pod.isOurs || pod.nativeGang || pod.gates.some((gate) => gate !== GANG_GATE)) return undefined;
  const name = gangNameOf(pod.labels);
  return name === undefined ? undefined : gangKey(pod.namespace, name);
}

/**
 * Describes the gang from its sources. There must be pods.
 * @param known what the last look found; undefined: this is the first one.
 * @param maxSize the most members that it may have.
 */
export function describeGang(
  key: GangKey,
  sources: GangSources,
  known?: KnownRun,
  maxSize: number = MAX_GANG_SIZE,
): Gang {
  const [namespace, name] = key.split('/') as [string, string];
  const run = findRun(sources.pods, sources.jobs, known);
  const counted = run.pods.filter(countsAsMember);
  const ranks = assignRanks(counted);
  const members = sortByRank(counted, ranks);
  const subjects = members.length > 0 ? members : run.pods.length > 0 ? run.pods : sources.pods;
  const speakers = findSpeakers(subjects);
  const onMemberLoss = readMemberLoss(speakers[0]);
  const lost = run.pods.filter(isLostPod);
  const size = readSize({
    ...sources,
    jobs: run.jobs,
    pods: run.pods.filter(({ deleting, phase }) => !deleting || phase === 'Succeeded'),
    lost,
    speakers,
    givesUp: (pod) => onMemberLoss !== 'restart' && neverReplaced(pod),
  });
  const present = members.filter((pod) => !isTerminated(pod));
  const open = run.jobs.filter(({ isFinished }) => !isFinished);
  return {
    key,
    namespace,
    name,
    roots: run.roots,
    run: run.name,
    laterRuns: run.later,
    members,
    present,
    lost,
    leaving: sources.pods.filter((pod) => pod.deleting && pod.nodeName !== '' && !isTerminated(pod)),
    ranks,
    minMember: size.minMember,
    growing: size.growing,
    settlesAt: size.settlesAt,
    coming: size.coming,
    topology: { ...readTopologyKeys(speakers, counted, size.minMember), ...readPlannedLevels(present) },
    patienceMs: readDuration(speakers[0]?.annotations[TOPOLOGY_PATIENCE]),
    preempts: speakers.every(({ annotations }) => annotations[PREEMPTS] !== 'never'),
    onMemberLoss,
    isEndedByOwner: isEndedByOwner(subjects, run.jobs),
    isSuspended: open.length > 0 && open.every(({ isSuspended }) => isSuspended),
    suspendedJobs: listSuspended(open),
    fragileJob: open.find(isFragile),
    priority: mostOf(subjects.map((pod) => pod.priority)),
    hasPriorityClass: subjects.some((pod) => pod.hasPriorityClass),
    queue: (present.find(({ nodeName }) => nodeName !== '') ?? speakers[0])?.labels[QUEUE],
    isHeld: speakers.some(({ annotations }) => annotations[HOLD] === 'true'),
    lineage: readLineage(key, run.jobs),
    owners: listOwners(subjects, run.jobs),
    isOverTime: subjects.some(({ annotations }) => annotations[OVER_TIME] !== undefined),
    expectedMs: readDuration(speakers[0]?.annotations[EXPECTED_DURATION]),
    deadlineMs: shortestDeadline(open),
    createdAt: leastOf(subjects.map((pod) => pod.createdAt)),
    scheduleTimeoutMs: secondsToMs(sources.podGroup?.scheduleTimeoutSeconds),
    deadlineAt: earliestDeadline(open),
    refusedCreation: isComplete({ minMember: size.minMember, present }) ? undefined : findRefusal(sources, run),
    problems: findProblems(name, { members, speakers, size, maxSize, blocksOnClaim: sources.blocksOnClaim }),
    fault: undefined,
  };
}

/** What the gang runs with: keys that are changed on a gang that has started count when it starts again. */
function readPlannedLevels(present: readonly PodModel[]): PlannedLevels | undefined {
  for (const pod of present) {
    const levels = levelsOf(pod);
    if (levels) return levels;
  }
  return undefined;
}

/** The latest failure among the controllers of its pods, its Jobs, and what makes these. */
function findRefusal({ creationFailure }: GangSources, { pods, jobs }: Run): CreationFailure | undefined {
  const owners = new Set<string>();
  for (const { owner } of pods) if (owner) owners.add(owner.uid);
  for (const { uid, owner } of jobs) {
    owners.add(uid);
    if (owner) owners.add(owner.uid);
  }
  const failures = [...owners].flatMap((owner) => creationFailure(owner) ?? []);
  return failures.sort((a, b) => b.at - a.at || (a.name < b.name ? -1 : 1))[0];
}

/** Whether as many members exist as must start together. */
export function isComplete({ minMember, present }: Pick<Gang, 'minMember' | 'present'>): boolean {
  return minMember !== undefined && present.length >= minMember;
}

/** Succeeded members count as present. Failed members and unfinished ones that are being deleted do not. */
function countsAsMember(pod: PodModel): boolean {
  return pod.phase === 'Succeeded' || (pod.phase !== 'Failed' && !pod.deleting);
}

/** Whether the pod was on a node and has left it, or is about to, without success. */
function isLostPod({ nodeName, phase, deleting }: PodModel): boolean {
  return nodeName !== '' && phase !== 'Succeeded' && (phase === 'Failed' || deleting);
}

/** How many suspended Jobs are named. */
const MAX_NAMED = 4;

function listSuspended(jobs: readonly JobModel[]): readonly string[] {
  const suspended = jobs.filter(({ isSuspended }) => isSuspended);
  return suspended.slice(0, MAX_NAMED).map(({ name }) => name);
}

/** mpi-operator makes a worker anew when its pod is deleted, never when it failed (pkg/controller/mpi_job_controller.go). */
function neverReplaced({ owner }: PodModel): boolean {
  return owner?.kind === 'MPIJob';
}

function isEndedByOwner(pods: readonly PodModel[], jobs: readonly JobModel[]): boolean {
  if (jobs.length === 0) return pods.some(({ owner }) => owner?.kind === 'Job');
  return jobs.every(({ isSuspended, isDeleting, isFinished }) => isSuspended || isDeleting || isFinished);
}

function readMemberLoss(pod: PodModel | undefined): MemberLoss {
  const written = pod?.annotations[ON_MEMBER_LOSS];
  return written === 'restart' || written === 'ignore' ? written : 'replace';
}

/**
 * Whether evicting the gang fails the Job: all pods are evicted together, and each counts as a failure unless the
 * policy says otherwise.
 */
function isFragile(job: JobModel): boolean {
  return !job.ignoresDisruption && sizeOf(job) > job.backoffLimit;
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
  const makers = new Map(jobs.map(({ uid, owner }) => [uid, owner && makesOneRunEach(owner) ? undefined : owner]));
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
  return seconds.length > 0 ? leastOf(seconds) * 1000 : undefined;
}

function earliestDeadline(jobs: readonly JobModel[]): number | undefined {
  const deadlines = jobs.flatMap((job) =>
    job.startedAt !== undefined && job.activeDeadlineSeconds !== undefined
      ? [job.startedAt + job.activeDeadlineSeconds * 1000]
      : [],
  );
  return deadlines.length > 0 ? leastOf(deadlines) : undefined;
}
