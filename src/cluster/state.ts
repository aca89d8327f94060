/**
 * The state of the cluster as the watches report it; nothing else writes it. Indexed for the coordinator's lookups;
 * `snapshot()` is the view for planning.
 */

import { isDeepStrictEqual } from 'node:util';
import type { CreationFailure } from '../core/objects/creation-failure.ts';
import { COSCHEDULING_LABEL, PREEMPTED_BY } from '../core/objects/keys.ts';
import {
  type ClaimModel,
  type DaemonSetModel,
  type DisruptionBudgetModel,
  isTerminated,
  type JobModel,
  type JobSetMembership,
  keyOf,
  type NodeModel,
  type PodGroupModel,
  type PodModel,
  type StorageClassModel,
} from '../core/objects/model.ts';
import { type GangKey, type GangSources, gangKey, gangKeyOf, gangNameOf } from '../core/podgroup/gang.ts';
import { keepQueue, keepRecord } from '../core/podgroup/plan-record.ts';
import type { ClaimObstacle } from '../core/podgroup/problems.ts';
import type { QueueModel } from '../core/queues/projection.ts';
import type { Snapshot } from '../core/snapshot/snapshot.ts';
import type { Drift } from '../core/topology/finding.ts';
import type { ConfiguredLevels } from '../core/topology/levels.ts';
import { ClaimIndex } from './claim-index.ts';
import { CreationFailures } from './creation-failures.ts';
import { DaemonIndex } from './daemon-index.ts';
import { type ClaimedSpace, ForeignHolders } from './foreign-holders.ts';
import { LonePodIndex } from './lone-index.ts';
import { NodeTable } from './node-table.ts';

/** Callbacks for the kinds of change. */
export interface ClusterListener {
  /** A pod was added, changed or (`now` undefined) deleted. */
  onPod(before: PodModel | undefined, now: PodModel | undefined): void;
  /** A Job, PodGroup or claim that describes a gang changed. `undefined`: any gang may be affected. */
  onSource(gang: GangKey | undefined): void;
  /** Nodes changed, so capacity may have appeared or gone. */
  onNodes(): void;
  /** A disruption budget changed, and with it what may be evicted. */
  onBudgets(): void;
  /** A queue object was added or deleted, or its spec changed. */
  onQueues(): void;
}

/** Receives the objects of a watch; `before` is the replaced object, always with the same UID. */
export interface Sink<T> {
  applied(object: T, before: T | undefined): void;
  deleted(object: T): void;
}

export class ClusterState {
  readonly #table: NodeTable;
  readonly #pods = new Map<string, PodModel>();
  readonly #gangPods = new Map<GangKey, Map<string, PodModel>>();
  readonly #foreignHolders = new ForeignHolders();
  readonly #lonePods = new LonePodIndex();
  readonly #preempted = new Map<string, PodModel>();
  readonly #jobsByKey = new Map<string, JobModel>();
  readonly #jobsOfGang = new Map<GangKey, Map<string, JobModel>>();
  /** The Jobs of each JobSet, whatever their labels, by namespace and the set's id; then by UID. */
  readonly #jobsOfSet = new Map<string, Map<string, JobModel>>();
  /** The gangs of those whose labels name one, by the Job's UID: looking through 10,000 Jobs at each event took seconds. */
  readonly #gangOfSet = new Map<string, Map<string, GangKey>>();
  /** The gang of a Job's pods by the Job's UID: the label may come from admission instead of the template. */
  readonly #gangByOwner = new Map<string, GangKey>();
  readonly #podGroups = new Map<string, PodGroupModel>();
  readonly #claims = new Map<string, ClaimModel>();
  readonly #claimUse = new ClaimIndex();
  readonly #storageClasses = new Map<string, StorageClassModel>();
  readonly #daemons = new DaemonIndex();
  readonly #disruptionBudgets = new Map<string, DisruptionBudgetModel>();
  readonly #failures = new CreationFailures();
  readonly #queues = new Map<string, QueueModel>();
  #listener: ClusterListener = { onPod() {}, onSource() {}, onNodes() {}, onBudgets() {}, onQueues() {} };

  /**
   * @param levels topology levels, outer to inner; undefined: detected from the nodes' labels.
   * @param exclusiveLevels those of which a gang may have domains for itself; undefined: all.
   */
  constructor(levels: ConfiguredLevels | undefined, exclusiveLevels?: readonly string[]) {
    this.#table = new NodeTable(levels, exclusiveLevels);
  }

  /** Sets the listener, which is called synchronously after each change. */
  listen(listener: ClusterListener): void {
    this.#listener = listener;
  }

  get generation(): number {
    return this.#table.generation;
  }

  /** Increases with every change that may move a node to another topology domain. */
  get topologyGeneration(): number {
    return this.#table.topologyGeneration;
  }

  get drift(): Drift {
    return this.#table.drift;
  }

  snapshot(): Snapshot {
    return this.#table.snapshot();
  }

  /** Keys (`namespace/name`) of all gangs that have pods. */
  gangs(): Iterable<GangKey> {
    return this.#gangPods.keys();
  }

  pod(uid: string): PodModel | undefined {
    return this.#pods.get(uid);
  }

  /** Unbound pods outside Muster's gangs that take up space: nominated ones, and pinned DaemonSet pods. */
  foreignHolders(): Iterable<ClaimedSpace> {
    return this.#foreignHolders.values();
  }

  /** See `ForeignHolders.endClaims`. */
  endClaims(now: number): { readonly hasEnded: boolean; readonly nextAt: number } {
    return this.#foreignHolders.endClaims(now);
  }

  /** Pods outside gangs that carry our gate or the record of a slot (`core/podgroup/stray.ts`). */
  strays(): Iterable<PodModel> {
    return this.#lonePods.strays();
  }

  /** Pods that may carry keys that do nothing, each version once. @param most how many. */
  takeUnread(most: number): readonly PodModel[] {
    return this.#lonePods.takeUnread(most, (pod) => this.jobOf(pod));
  }

  /** The Job that owns the pod; undefined: none, or not seen yet. */
  jobOf({ namespace, owner }: PodModel): JobModel | undefined {
    const job = owner?.kind === 'Job' ? this.#jobsByKey.get(`${namespace}/${owner.name}`) : undefined;
    return job?.uid === owner?.uid ? job : undefined;
  }

  /** Unfinished pods marked as victims (annotation `muster.dev/preempted-by`), whether evicted yet or not. */
  preempted(): Iterable<PodModel> {
    return this.#preempted.values();
  }

  budgets(): Iterable<DisruptionBudgetModel> {
    return this.#disruptionBudgets.values();
  }

  /** The queue objects; empty without the CRD. */
  queues(): Iterable<QueueModel> {
    return this.#queues.values();
  }

  /** The objects that describe the gang; no pods when it is gone. */
  sourcesOf(gang: GangKey): GangSources {
    const pods = [...(this.#gangPods.get(gang)?.values() ?? [])];
    const namespace = gang.slice(0, gang.indexOf('/'));
    const jobs = new Map(this.#jobsOfGang.get(gang));
    for (const pod of pods) {
      const job = this.jobOf(pod);
      if (job) jobs.set(job.uid, job);
    }
    const viaPodGroup = pods.some((pod) => pod.labels[COSCHEDULING_LABEL] !== undefined);
    return {
      pods,
      jobs: [...jobs.values()],
      podGroup: viaPodGroup ? this.#podGroups.get(gang) : undefined,
      blocksOnClaim: (claim) => this.#judgeClaim(`${namespace}/${claim}`),
      countJobsOfSet: (set) => this.#countJobsOfSet(`${namespace}/${set}`),
      creationFailure: (owner) => this.#failures.latestOf(owner, namespace),
    };
  }

  readonly nodes: Sink<NodeModel> = {
    applied: (node) => {
      if (this.#table.applyNode(node)) this.#listener.onNodes();
    },
    deleted: (node) => {
      this.#table.deleteNode(node.name);
      this.#listener.onNodes();
    },
  };

  readonly pods: Sink<PodModel> = {
    applied: (seen, replaced) => {
      const before = this.#pods.get(seen.uid) ?? replaced;
      const pod = this.#daemons.judge(before ? keepQueue(keepRecord(seen, before), before) : seen);
      if (before) this.#unindex(before);
      this.#index(pod);
      this.#listener.onPod(before, pod);
    },
    deleted: (seen) => {
      const pod = this.#pods.get(seen.uid) ?? seen;
      this.#unindex(pod);
      this.#listener.onPod(pod, undefined);
    },
  };

  readonly jobs: Sink<JobModel> = {
    applied: (job, before) => {
      if (before) this.#unindexJob(before);
      this.#jobsByKey.set(keyOf(job), job);
      const gang = gangOfJob(job);
      this.#countJob(job, 1);
      if (gang !== undefined) put(this.#jobsOfGang, gang, job.uid, job);
      if (job.set) {
        const set = setKeyOf(job, job.set);
        put(this.#jobsOfSet, set, job.uid, job);
        if (gang !== undefined) put(this.#gangOfSet, set, job.uid, gang);
      }
      const [was, is] = [before && this.#gangOf(before), this.#gangOf(job)];
      if (was !== undefined && was !== is) this.#listener.onSource(was);
      // In a shared cluster most Jobs belong to no gang; their changes trigger nothing.
      if (is !== undefined) this.#listener.onSource(is);
    },
    deleted: (job) => {
      this.#unindexJob(job);
      const gang = this.#gangOf(job);
      this.#gangByOwner.delete(job.uid);
      if (gang !== undefined) this.#listener.onSource(gang);
    },
  };

  readonly podGroups: Sink<PodGroupModel> = keep(this.#podGroups, keyOf, ({ namespace, name }) =>
    this.#listener.onSource(gangKey(namespace, name)),
  );
  readonly claims: Sink<ClaimModel> = keep(this.#claims, keyOf, (claim) => {
    for (const gang of this.#claimUse.gangsOf(keyOf(claim))) this.#listener.onSource(gang);
  });
  readonly storageClasses: Sink<StorageClassModel> = keep(
    this.#storageClasses,
    ({ name }) => name,
    () => this.#listener.onSource(undefined),
  );
  readonly daemonSets: Sink<DaemonSetModel> = {
    applied: (set, before) => {
      if (before) return;
      this.#daemons.add(set);
      this.#judgeAgain(this.#daemons.podsNaming(set.uid));
    },
    deleted: (set) => {
      this.#daemons.delete(set);
      this.#judgeAgain(this.#daemons.podsNaming(set.uid));
    },
  };
  readonly disruptionBudgets: Sink<DisruptionBudgetModel> = keep(this.#disruptionBudgets, keyOf, () =>
    this.#listener.onBudgets(),
  );
  readonly creationFailures: Sink<CreationFailure> = {
    applied: (failure, before) => {
      if (before && before.ownerUid !== failure.ownerUid) this.#failures.delete(before);
      this.#failures.add(failure);
      for (const gang of this.#failures.gangsOf(failure.ownerUid)) this.#listener.onSource(gang);
    },
    deleted: (failure) => {
      this.#failures.delete(failure);
      for (const gang of this.#failures.gangsOf(failure.ownerUid)) this.#listener.onSource(gang);
    },
  };
  readonly queueObjects: Sink<QueueModel> = {
    applied: (queue, before) => {
      this.#queues.set(queue.name, queue);
      // Muster writes the status itself, which must not wake it.
      if (!before || !isDeepStrictEqual([before.spec, before.problem], [queue.spec, queue.problem])) {
        this.#listener.onQueues();
      }
    },
    deleted: ({ name }) => {
      this.#queues.delete(name);
      this.#listener.onQueues();
    },
  };

  /** Whether these pods belong to their nodes may have changed. */
  #judgeAgain(uids: readonly string[]): void {
    for (const uid of uids) {
      const before = this.#pods.get(uid)!;
      const pod = this.#daemons.judge(before);
      if (pod === before) continue;
      this.#unindex(before);
      this.#index(pod);
      this.#listener.onPod(before, pod);
    }
  }

  #index(pod: PodModel): void {
    this.#pods.set(pod.uid, pod);
    this.#daemons.addPod(pod);
    this.#lonePods.add(pod, () => this.jobOf(pod));
    if (pod.nodeName !== '' && !isTerminated(pod)) this.#table.addPod(pod);
    if (pod.annotations[PREEMPTED_BY] !== undefined && !isTerminated(pod)) this.#preempted.set(pod.uid, pod);
    const gang = gangKeyOf(pod);
    if (gang !== undefined) {
      put(this.#gangPods, gang, pod.uid, pod);
      this.#claimUse.add(pod, gang);
      if (pod.owner) this.#failures.count(pod.owner.uid, gang, 1);
      if (pod.owner?.kind === 'Job') this.#gangByOwner.set(pod.owner.uid, gang);
    } else this.#foreignHolders.add(pod);
  }

  #unindex(pod: PodModel): void {
    this.#pods.delete(pod.uid);
    this.#daemons.removePod(pod);
    this.#lonePods.remove(pod);
    if (pod.nodeName !== '' && !isTerminated(pod)) this.#table.removePod(pod);
    this.#foreignHolders.delete(pod.uid);
    this.#preempted.delete(pod.uid);
    this.#claimUse.remove(pod);
    const gang = gangKeyOf(pod);
    if (gang !== undefined && pod.owner) this.#failures.count(pod.owner.uid, gang, -1);
    if (gang !== undefined) drop(this.#gangPods, gang, pod.uid);
  }

  /** A Job outside gangs belongs to that of its JobSet's other Jobs: the JobSet is complete only with it. */
  #gangOf(job: JobModel): GangKey | undefined {
    const own = gangOfJob(job) ?? this.#gangByOwner.get(job.uid);
    if (own !== undefined || !job.set) return own;
    return this.#gangOfSet.get(setKeyOf(job, job.set))?.values().next().value;
  }

  /** A Job's own failure is about its gang, and so is the failure of what makes its Jobs. */
  #countJob({ uid, owner, ...job }: JobModel, change: 1 | -1): void {
    const gang = gangOfJob(job);
    if (gang === undefined) return;
    this.#failures.count(uid, gang, change);
    if (owner) this.#failures.count(owner.uid, gang, change);
  }

  #unindexJob(job: JobModel): void {
    this.#countJob(job, -1);
    this.#jobsByKey.delete(keyOf(job));
    const gang = gangOfJob(job);
    if (gang !== undefined) drop(this.#jobsOfGang, gang, job.uid);
    if (!job.set) return;
    const set = setKeyOf(job, job.set);
    drop(this.#jobsOfSet, set, job.uid);
    drop(this.#gangOfSet, set, job.uid);
  }

  #countJobsOfSet(set: string): number {
    let count = 0;
    for (const { isDeleting } of this.#jobsOfSet.get(set)?.values() ?? []) if (!isDeleting) count++;
    return count;
  }

  /** A claim blocks while it is missing, or neither bound nor waiting for its first consumer. */
  #judgeClaim(key: string): ClaimObstacle | undefined {
    const claim = this.#claims.get(key);
    if (!claim) return 'missing-claim';
    const mayBind = claim.bound || this.#storageClasses.get(claim.storageClass)?.waitsForConsumer;
    return mayBind ? undefined : 'unbound-claim';
  }
}

/**
 * A sink that only stores.
 * @param changed called after each change.
 */
function keep<T>(
  store: Map<string, T>,
  keyOfObject: (object: T) => string,
  changed: (object: T) => void = () => {},
): Sink<T> {
  return {
    applied: (object) => {
      store.set(keyOfObject(object), object);
      changed(object);
    },
    deleted: (object) => {
      store.delete(keyOfObject(object));
      changed(object);
    },
  };
}

function put<K, V>(groups: Map<K, Map<string, V>>, group: K, uid: string, value: V): void {
  groups.set(group, (groups.get(group) ?? new Map<string, V>()).set(uid, value));
}

/** A group without entries is dropped. */
function drop<K, V>(groups: Map<K, Map<string, V>>, group: K, uid: string): void {
  const values = groups.get(group);
  values?.delete(uid);
  if (values?.size === 0) groups.delete(group);
}

function setKeyOf({ namespace }: Pick<JobModel, 'namespace'>, { id }: JobSetMembership): string {
  return `${namespace}/${id}`;
}

function gangOfJob(job: Pick<JobModel, 'namespace' | 'templateLabels'>): GangKey | undefined {
  const name = gangNameOf(job.templateLabels);
  return name === undefined ? undefined : gangKey(job.namespace, name);
}
