/**
 * Finds the run of a gang: of all pods and Jobs that carry its label, those that belong together now.
 *
 * A run is what live controlling owners make. Each pod is followed up through owners that make one thing (a JobSet, an
 * MPIJob) to its root, but not through makers of runs (a CronJob): each of their Jobs is a run of its own.
 *
 *   several live roots without a common maker   one run: a driver Job and a worker Job of one gang
 *   several live roots of one maker             the oldest is the run; the others are later runs and wait
 *   ended roots                                 earlier runs, unless their pods ran beside a member of the live run
 *   Jobs that ended, are gone or not seen yet   no run while there is another owner, though their pods are alive
 *
 * O(pods + Jobs).
 */
import { isTerminated, type JobModel, type Owner, type PodModel, type PodUid } from '../objects/model.ts';

/** A run, as people know it: the object that makes its pods. */
export interface RunName {
  readonly kind: string;
  readonly name: string;
}

export interface Run {
  /** UIDs of its live roots, sorted; '' when nobody owns its pods. The same run keeps at least one of them. */
  readonly roots: readonly string[];
  readonly name: RunName | undefined;
  /** All its pods: also those that ended or leave. */
  readonly pods: readonly PodModel[];
  /** Its Jobs, also those that finished. */
  readonly jobs: readonly JobModel[];
  /** Younger live runs of the same maker, the oldest first. They wait for this one to end. */
  readonly later: readonly LaterRun[];
}

export interface LaterRun {
  readonly name: RunName;
  readonly pods: readonly PodModel[];
}

/** What the last look at the gang found. A member that has ended since then stays a member. */
export interface KnownRun {
  readonly roots: Run['roots'];
  readonly members: readonly PodModel[];
}

/** Owners of which each object that they make is a run of its own. */
const MAKERS_OF_RUNS: ReadonlySet<string> = new Set([
  'CronJob',
  'CronWorkflow',
  'ScheduledSparkApplication',
  'RayService',
]);

/**
 * Objects that a maker of runs named: the name says so, because the watches do not show these kinds. A CronWorkflow
 * adds the time in seconds (argo-workflows workflow/cron/operator.go), a ScheduledSparkApplication in nanoseconds
 * (spark-operator scheduledsparkapplication/controller.go), a RayService five random characters
 * (kuberay ray-operator/controllers/ray/utils/util.go).
 */
const NAMED_BY_MAKERS: ReadonlyMap<string, { readonly maker: string; readonly suffix: RegExp }> = new Map([
  ['Workflow', { maker: 'CronWorkflow', suffix: /-\d{10}$/ }],
  ['SparkApplication', { maker: 'ScheduledSparkApplication', suffix: /-\d{19}$/ }],
  ['RayCluster', { maker: 'RayService', suffix: /-[bcdfghjklmnpqrstvwxz2456789]{5}$/ }],
]);

/** A workflow makes one set of pods after the other: pods of an earlier step belong to an earlier run. */
const MAKES_STEPS: ReadonlySet<string> = new Set(['Workflow']);

/** The object that a pod's existence goes back to. */
interface Root extends RunName {
  /** UID, or what stands for it where only the name is known; '' for pods without an owner. */
  readonly id: string;
  /** Identifies the maker of runs that made it; undefined: none. */
  readonly maker: string | undefined;
}

interface RootFacts {
  readonly root: Root;
  readonly pods: PodModel[];
  readonly jobs: JobModel[];
}

const BY_HAND: Root = { id: '', kind: '', name: '', maker: undefined };

/** @param known what the last look found; undefined: this is the first one. */
export function findRun(pods: readonly PodModel[], jobs: readonly JobModel[], known: KnownRun | undefined): Run {
  const all = groupByRoot(pods, jobs);
  const live = withoutClosedJobs(all.filter(isLive));
  if (live.length === 0) return describeRun(chooseEnded(all, known), []);
  const { chosen, later } = chooseOldest(live);
  const own: PodModel[] = [];
  const ended: PodModel[] = [];
  const endedJobs: JobModel[] = [];
  // Anybody may write an owner of its own on each pod: there may be as many roots as pods.
  const [runNow, runLater] = [new Set(chosen), new Set(later)];
  for (const facts of all) {
    if (runLater.has(facts)) continue;
    const isChosen = runNow.has(facts);
    const stays = isChosen && staysMember(facts.root);
    for (const pod of facts.pods) (stays || (isChosen && isLivePod(pod)) ? own : ended).push(pod);
    if (!isChosen) for (const job of facts.jobs) endedJobs.push(job);
  }
  const beside = findBeside(ended, own, known);
  const owners = new Set(beside.flatMap(({ owner }) => owner?.uid ?? []));
  const run = describeRun(chosen, later);
  return {
    ...run,
    pods: [...own, ...beside],
    jobs: [...run.jobs, ...endedJobs.filter(({ uid }) => owners.has(uid))],
  };
}

function describeRun(chosen: readonly RootFacts[], later: readonly RootFacts[]): Run {
  return {
    roots: chosen.map(({ root }) => root.id).sort(),
    name: chosen.map(({ root }) => root).find(({ kind }) => kind !== ''),
    pods: chosen.flatMap((facts) => facts.pods),
    jobs: chosen.flatMap((facts) => facts.jobs),
    later: later.map((facts) => ({ name: facts.root, pods: facts.pods })),
  };
}

/** Whether each object that the owner makes is a run of its own. */
export function makesOneRunEach({ kind }: Pick<Owner, 'kind'>): boolean {
  return MAKERS_OF_RUNS.has(kind);
}

/** Whether two looks at a gang saw the same run. */
export function isSameRun(a: Pick<Run, 'roots'>, b: Pick<Run, 'roots'>): boolean {
  const roots = new Set(b.roots);
  return a.roots.some((root) => roots.has(root));
}

function groupByRoot(pods: readonly PodModel[], jobs: readonly JobModel[]): readonly RootFacts[] {
  const jobOf = new Map(jobs.map((job) => [job.uid, job]));
  const groups = new Map<string, RootFacts>();
  const groupOf = (root: Root): RootFacts => {
    const group = groups.get(root.id) ?? { root, pods: [], jobs: [] };
    groups.set(root.id, group);
    return group;
  };
  for (const job of jobs) groupOf(rootOfJob(job)).jobs.push(job);
  // A pod that nobody owns, beside Jobs of the same gang: as if the newest of them had made it.
  const newest = jobs.toSorted((a, b) => Number(isOpen(b)) - Number(isOpen(a)) || b.createdAt - a.createdAt)[0];
  const adoptive = newest ? rootOfJob(newest) : BY_HAND;
  // All pods of one owner have one root. Looking it up for each pod took half the time of describing a gang.
  const byOwner = new Map<string, RootFacts>();
  let byUid: ReadonlyMap<string, PodModel> | undefined;
  const podOf = (uid: string) => {
    byUid ??= new Map(pods.map((pod) => [pod.uid, pod]));
    return byUid.get(uid);
  };
  for (const pod of pods) {
    const owner = pod.owner?.uid ?? '';
    let group = byOwner.get(owner);
    if (!group) {
      group = groupOf(pod.owner ? rootOfPod(pod, pod.owner, jobOf, podOf) : adoptive);
      byOwner.set(owner, group);
    }
    group.pods.push(pod);
  }
  return [...groups.values()];
}

function isOpen({ isFinished, isDeleting }: JobModel): boolean {
  return !isFinished && !isDeleting;
}

function rootOfJob(job: JobModel): Root {
  const { uid, name, owner, set } = job;
  if (owner && makesOneRunEach(owner)) return { id: uid, kind: 'Job', name, maker: owner.uid };
  if (owner) return rootOfOwner(owner);
  if (set) return { id: set.id, kind: 'JobSet', name: set.name, maker: undefined };
  return { id: uid, kind: 'Job', name, maker: undefined };
}

function rootOfPod(
  { labels }: PodModel,
  owner: Owner,
  jobOf: ReadonlyMap<string, JobModel>,
  podOf: (uid: string) => PodModel | undefined,
): Root {
  const job = jobOf.get(owner.uid);
  if (job) return rootOfJob(job);
  if (owner.kind === 'Pod') {
    // Executors belong to the pod that made them. One step is enough: no field's driver is itself made by a pod.
    const driver = podOf(owner.uid);
    if (driver?.owner && driver.owner.kind !== 'Pod') return rootOfOwner(driver.owner);
  }
  const jobSet = labels['jobset.sigs.k8s.io/jobset-uid'];
  if (owner.kind === 'Job' && jobSet) {
    return { id: jobSet, kind: 'JobSet', name: labels['jobset.sigs.k8s.io/jobset-name'] ?? '', maker: undefined };
  }
  // The objects in between have other UIDs after a rollout; the names stay.
  const workerSet = labels['leaderworkerset.sigs.k8s.io/name'];
  if (owner.kind === 'StatefulSet' && workerSet) return rootByName('LeaderWorkerSet', workerSet);
  const hash = labels['pod-template-hash'];
  if (owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(`-${hash}`)) {
    return rootByName('Deployment', owner.name.slice(0, -hash.length - 1));
  }
  return rootOfOwner(owner);
}

function rootByName(kind: string, name: string): Root {
  return { id: `${kind}/${name}`, kind, name, maker: undefined };
}

function rootOfOwner({ kind, name, uid }: Owner): Root {
  const { maker, suffix } = NAMED_BY_MAKERS.get(kind) ?? {};
  const madeBy = maker && suffix?.test(name) ? `${maker}/${name.replace(suffix, '')}` : undefined;
  return { id: uid, kind, name, maker: madeBy };
}

/** Whether pods of the root that ended belong to the same run as its live ones. */
function staysMember({ id, kind }: Root): boolean {
  return id !== '' && !MAKES_STEPS.has(kind);
}

function isLivePod(pod: PodModel): boolean {
  return !isTerminated(pod) && !pod.deleting;
}

/**
 * Pods of a Job that has ended or is gone are about to leave, and of one that is not seen yet only the Job tells whether
 * they are of this run: beside those of others, they belong to none.
 */
function withoutClosedJobs(live: readonly RootFacts[]): readonly RootFacts[] {
  const open = live.filter(({ root: { kind }, jobs }) => kind !== 'Job' || jobs.some(isOpen));
  return open.some(({ root }) => root.id !== '') ? open : live;
}

function isLive({ pods, jobs }: RootFacts): boolean {
  return pods.some(isLivePod) || jobs.some(isOpen);
}

/** Of the roots of one maker only the oldest is in the run. */
function chooseOldest(live: readonly RootFacts[]): {
  readonly chosen: readonly RootFacts[];
  readonly later: readonly RootFacts[];
} {
  const chosen: RootFacts[] = [];
  const later: RootFacts[] = [];
  const makers = new Set<string>();
  for (const facts of live.toSorted(compareAge)) {
    const { maker } = facts.root;
    if (maker !== undefined && makers.has(maker)) later.push(facts);
    else chosen.push(facts);
    if (maker !== undefined) makers.add(maker);
  }
  return { chosen, later };
}

/** A run that has started goes before one that has not, whatever their ages, and a suspended one after all others. */
function compareAge(a: RootFacts, b: RootFacts): number {
  const started = Number(hasStarted(b)) - Number(hasStarted(a));
  const parked = Number(isParked(a)) - Number(isParked(b));
  return started || parked || createdAt(a) - createdAt(b) || (a.root.name < b.root.name ? -1 : 1);
}

function isParked({ pods, jobs }: RootFacts): boolean {
  return jobs.length > 0 && jobs.every(({ isSuspended }) => isSuspended) && !pods.some(isLivePod);
}

function hasStarted({ pods }: RootFacts): boolean {
  return pods.some((pod) => isLivePod(pod) && pod.nodeName !== '');
}

function createdAt({ pods, jobs }: RootFacts): number {
  let oldest = Number.POSITIVE_INFINITY;
  for (const job of jobs) oldest = Math.min(oldest, job.createdAt);
  if (jobs.length === 0) for (const pod of pods) oldest = Math.min(oldest, pod.createdAt);
  return oldest;
}

/** When nothing is live, the run that was seen last is shown; else the newest one. */
function chooseEnded(all: readonly RootFacts[], known: KnownRun | undefined): readonly RootFacts[] {
  const roots = new Set(known?.roots);
  const seen = all.filter(({ root }) => roots.has(root.id));
  if (seen.length > 0) return seen;
  const newest = all.toSorted((a, b) => createdAt(b) - createdAt(a) || (a.root.name < b.root.name ? 1 : -1))[0];
  if (newest?.root.maker !== undefined) return [newest];
  return all.filter(({ root }) => root.maker === undefined);
}

/** Of pods that ended or leave, those that ran at the same time as a live member. */
function findBeside(
  ended: readonly PodModel[],
  live: readonly PodModel[],
  known: KnownRun | undefined,
): readonly PodModel[] {
  if (ended.length === 0) return [];
  const present = new Set<PodUid>();
  let firstStart = Number.POSITIVE_INFINITY;
  for (const pod of live) {
    if (!isLivePod(pod)) continue;
    present.add(pod.uid);
    if (pod.nodeName !== '') firstStart = Math.min(firstStart, pod.startedAt ?? Number.POSITIVE_INFINITY);
  }
  const isSame = known?.members.some(({ uid }) => present.has(uid)) ?? false;
  const remembered = new Set(isSame ? known!.members.map(({ uid }) => uid) : []);
  return ended.filter((pod) => remembered.has(pod.uid) || (pod.endedAt ?? Number.NEGATIVE_INFINITY) > firstStart);
}
