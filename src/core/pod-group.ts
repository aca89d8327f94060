/**
 * Who is in which gang, and what the gang asks for: pods, Jobs and PodGroup objects in, one `Gang` value out.
 * Whatever is wrong with a gang is a problem in the value: the gang waits and says why.
 */
import { COSCHEDULING_LABEL } from './dialects/coscheduling.ts';
import {
  checkKeys,
  GANG_GATE,
  type KeyProblem,
  MAX_MEMBERS,
  MIN_MEMBERS,
  POD_GROUP_LABEL,
  PREFIX,
  RANK,
} from './dialects/muster.ts';
import { isTerminated, type JobModel, type Labels, type PodGroupModel, type PodModel } from './model.ts';

export type GangProblem =
  | ((KeyProblem | { readonly kind: 'unreachable-member' }) & { readonly pod: string })
  | { readonly kind: 'contradiction'; readonly key: string; readonly values: readonly string[] }
  | { readonly kind: 'min-above-max'; readonly min: number; readonly max: number }
  | { readonly kind: 'no-min-members' }
  | { readonly kind: 'no-pod-group-object'; readonly name: string }
  | { readonly kind: 'unbound-claim'; readonly claim: string };

export interface Gang {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** Every pod of the gang that counts (not failed, not leaving), in rank order. */
  readonly members: readonly PodModel[];
  /** How many members must be there together; undefined while nothing says so. */
  readonly minMember: number | undefined;
  readonly priority: number;
  /** Creation of the oldest member, milliseconds since the epoch: the gang's age. */
  readonly createdAt: number;
  /** From the PodGroup object: how long members may wait for each other at the barrier. */
  readonly scheduleTimeoutMs: number | undefined;
  /** When a Job of the gang is ended by its activeDeadlineSeconds, milliseconds since the epoch. */
  readonly deadlineAt: number | undefined;
  /** Not empty: the gang waits. */
  readonly problems: readonly GangProblem[];
}

/** What a gang is made from; all of one namespace. */
export interface GangSources {
  readonly pods: readonly PodModel[];
  /** Jobs whose pod template carries the gang's label, or that own one of the pods. */
  readonly jobs: readonly JobModel[];
  readonly podGroup: PodGroupModel | undefined;
  /** Says whether a claim holds the gang back: not bound, and not waiting for its first consumer. */
  readonly blocksOnClaim: (claim: string) => boolean;
}

/** The gang a pod or a pod template belongs to; undefined for none of ours. */
export function gangNameOf(labels: Labels): string | undefined {
  return labels[POD_GROUP_LABEL] || labels[COSCHEDULING_LABEL] || undefined;
}

/**
 * `namespace/name` of the pod's gang. Undefined for a lone pod, and for a pod that another controller schedules as a
 * gang or still gates: never fight another controller.
 */
export function gangKeyOf(pod: PodModel): string | undefined {
  if (pod.nativeGang || pod.gates.some((gate) => gate !== GANG_GATE)) return undefined;
  const name = gangNameOf(pod.labels);
  return name === undefined ? undefined : `${pod.namespace}/${name}`;
}

/** Reads a gang off its sources. Pods must not be empty. */
export function describeGang(key: string, sources: GangSources): Gang {
  const [namespace, name] = key.split('/') as [string, string];
  const members = sources.pods.filter(countsAsMember).sort(compareRank);
  const subjects = members.length > 0 ? members : sources.pods;
  const minimum = readMinimum(subjects, sources);
  return {
    key,
    namespace,
    name,
    members,
    minMember: minimum,
    priority: Math.max(...subjects.map((pod) => pod.priority)),
    createdAt: Math.min(...subjects.map((pod) => pod.createdAt)),
    scheduleTimeoutMs: secondsToMs(sources.podGroup?.scheduleTimeoutSeconds),
    deadlineAt: earliestDeadline(sources.jobs),
    problems: findProblems(name, members, sources, minimum),
  };
}

/** Succeeded members count as present, failed ones and unfinished ones on their way out do not. */
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

function findProblems(
  name: string,
  members: readonly PodModel[],
  sources: GangSources,
  minimum: number | undefined,
): readonly GangProblem[] {
  const problems: GangProblem[] = [];
  const seen = new Set<string>();
  for (const pod of members) {
    for (const problem of checkKeys(pod.labels, pod.annotations)) {
      // The members of a Job share their mistakes: each is reported once, with the first pod that has it.
      const mark = `${problem.kind} ${problem.key} ${problem.kind === 'bad-value' ? problem.value : ''}`;
      if (!seen.has(mark)) problems.push({ ...problem, pod: pod.name });
      seen.add(mark);
    }
  }
  problems.push(...findContradictions(members));
  const badMinimum = problems.some((problem) => 'key' in problem && problem.key === MIN_MEMBERS);
  if (minimum === undefined && !badMinimum) problems.push(missingMinimum(name, members));
  const max = members.map((pod) => Number(pod.annotations[MAX_MEMBERS])).find((value) => Number.isInteger(value));
  if (minimum !== undefined && max !== undefined && max < minimum) {
    problems.push({ kind: 'min-above-max', min: minimum, max });
  }
  const waiting = members.filter((pod) => pod.nodeName === '' && !isTerminated(pod));
  const unreachable = waiting.find((pod) => !pod.template.reachesExtender && !pod.gates.includes(GANG_GATE));
  if (unreachable) problems.push({ kind: 'unreachable-member', pod: unreachable.name });
  const claim = waiting.flatMap((pod) => pod.claims).find(sources.blocksOnClaim);
  if (claim !== undefined) problems.push({ kind: 'unbound-claim', claim });
  return problems;
}

function missingMinimum(name: string, members: readonly PodModel[]): GangProblem {
  const viaPodGroup = members.some((pod) => pod.labels[POD_GROUP_LABEL] === undefined);
  return viaPodGroup ? { kind: 'no-pod-group-object', name } : { kind: 'no-min-members' };
}

/** Keys that speak about the whole gang must say the same on every member. */
function findContradictions(members: readonly PodModel[]): readonly GangProblem[] {
  const problems: GangProblem[] = [];
  const entries = members.map(({ labels, annotations }) => ({ ...labels, ...annotations }));
  const keys = new Set(entries.flatMap(Object.keys).filter(speaksForGang));
  for (const key of [...keys].sort()) {
    const values = distinct(entries.map((all) => all[key]).filter((value) => value !== undefined));
    if (values.length > 1) problems.push({ kind: 'contradiction', key, values });
  }
  for (const pod of members) {
    const names = distinct(
      [pod.labels[POD_GROUP_LABEL], pod.labels[COSCHEDULING_LABEL]].filter((value) => value !== undefined),
    );
    if (names.length > 1) return [...problems, { kind: 'contradiction', key: POD_GROUP_LABEL, values: names }];
  }
  const priorities = distinct(members.filter((pod) => pod.nodeName === '').map((pod) => String(pod.priority)));
  if (priorities.length > 1) problems.push({ kind: 'contradiction', key: 'spec.priority', values: priorities });
  return problems;
}

const OF_ONE_MEMBER: ReadonlySet<string> = new Set(
  ['pod-group', 'rank', 'plan', 'placement', 'preempted-by', 'preemption-notice', 'checkpointed-at'].map(
    (key) => PREFIX + key,
  ),
);

function speaksForGang(key: string): boolean {
  return key.startsWith(PREFIX) && !OF_ONE_MEMBER.has(key);
}

function distinct(values: readonly string[]): readonly string[] {
  return [...new Set(values)].sort();
}

function secondsToMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function earliestDeadline(jobs: readonly JobModel[]): number | undefined {
  const deadlines = jobs.flatMap((job) =>
    job.startedAt !== undefined && job.activeDeadlineSeconds !== undefined
      ? [job.startedAt + job.activeDeadlineSeconds * 1000]
      : [],
  );
  return deadlines.length > 0 ? Math.min(...deadlines) : undefined;
}

const JOB_COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';

/** Explicit rank, else completion index, else name order with numbers compared as numbers. */
function compareRank(a: PodModel, b: PodModel): number {
  const byRank = rankOf(a) - rankOf(b);
  return Number.isNaN(byRank) || byRank === 0 ? compareNames(a.name, b.name) : byRank;
}

function rankOf(pod: PodModel): number {
  const rank = Number(pod.annotations[RANK] ?? pod.labels[JOB_COMPLETION_INDEX] ?? Number.POSITIVE_INFINITY);
  return Number.isNaN(rank) ? Number.POSITIVE_INFINITY : rank;
}

/** Made once: `localeCompare` with options builds a collator at every call and took most of reading a 1,000-pod gang. */
const NATURAL_ORDER = new Intl.Collator('en', { numeric: true });

function compareNames(a: string, b: string): number {
  const order = NATURAL_ORDER.compare(a, b);
  return order !== 0 ? order : a < b ? -1 : 1;
}
