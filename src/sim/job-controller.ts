/**
 * The Job controller as far as training Jobs need it (kubernetes v1.37.2 pkg/controller/job): Indexed and NonIndexed,
 * suspend, backoffLimit, replacement of failed and deleted pods, back-off per Job or per index, indexes that are given up,
 * and ignored failures.
 *
 * Not implemented: success policies, failure policies by exit code, deadlines, and the
 * finalizer on pods, since no deletion goes unseen within one process.
 */
import type { Clock } from '../core/objects/clock.ts';
import {
  completedIndexes,
  failedIndexes,
  failureOf,
  ignoresFailure,
  indexText,
  isFinished,
  isPodFailed,
  isPodOver,
  type JobFailure,
  jobPod,
  rankOf,
  replacesEndedOnly,
} from './jobs.ts';
import type { ObjectStore, StoreEvent } from './object-store.ts';
import { type Condition, type Job, type JobStatus, type Pod, withCondition } from './objects.ts';
import type { Registry } from './registry.ts';
import { builtInKind } from './resource-kinds.ts';
import { timestamp } from './timestamp.ts';

/** Delay before a failed pod is replaced; it doubles with each further failure (job_controller.go:60). */
const BACKOFF_MS = 10_000;
const MAX_BACKOFF_MS = 600_000;

/** Failures since the last success, and the time of the latest one. */
interface Failures {
  readonly count: number;
  readonly lastAt: number;
}

const NO_FAILURES: Failures = { count: 0, lastAt: 0 };

/** What the controller keeps per Job between syncs. */
interface Memory {
  /** Pods already counted, by UID: each one succeeds or fails once. */
  readonly succeeded: Map<string, Pod>;
  readonly failed: Set<string>;
  /** Pods whose failure does not count but delays the replacement like any other failure. */
  readonly ignored: Set<string>;
  /** Surplus pods that the controller deleted; they do not count as failures (job_controller.go `deleteJobPods`). */
  readonly released: Set<string>;
  failures: Failures;
  readonly failuresOfIndex: Map<number, Failures>;
  /** Failures of an index that count towards its limit. */
  readonly countedOfIndex: Map<number, number>;
  /** How many pods to create next: 1, 2, 4, … A refusal then shows up early, and Jobs take turns. */
  batch: number;
  cancel: (() => void) | undefined;
}

export class JobController {
  readonly #registry: Registry;
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #memories = new Map<string, Memory>();
  #unsubscribe = () => {};

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#store = registry.store;
    this.#clock = registry.clock;
  }

  start(): void {
    this.#unsubscribe = this.#store.subscribe((event) => this.#onEvent(event));
  }

  stop(): void {
    this.#unsubscribe();
    for (const { cancel } of this.#memories.values()) cancel?.();
    this.#memories.clear();
  }

  #onEvent({ type, resource, object }: StoreEvent): void {
    if (resource === 'jobs') {
      const { uid } = object.metadata;
      if (type === 'DELETED') {
        this.#memories.get(uid)?.cancel?.();
        this.#memories.delete(uid);
      } else this.#wake(object as Job);
    } else if (resource === 'pods') {
      const pod = object as Pod;
      const owner = pod.metadata.ownerReferences?.find(({ controller, kind }) => controller && kind === 'Job');
      const job = this.#store.get('jobs', pod.metadata.namespace, owner?.name ?? '');
      if (job === undefined || job.metadata.uid !== owner?.uid) return;
      this.#count(job, pod, type === 'DELETED');
      this.#wake(job);
    }
  }

  #memoryOf({ metadata: { uid } }: Job): Memory {
    const known = this.#memories.get(uid);
    if (known !== undefined) return known;
    const fresh = {
      succeeded: new Map(),
      failed: new Set<string>(),
      ignored: new Set<string>(),
      released: new Set<string>(),
      failures: NO_FAILURES,
      failuresOfIndex: new Map(),
      countedOfIndex: new Map(),
      batch: 1,
      cancel: undefined,
    };
    this.#memories.set(uid, fresh);
    return fresh;
  }

  #count(job: Job, pod: Pod, isGone: boolean): void {
    const memory = this.#memoryOf(job);
    const { uid } = pod.metadata;
    if (pod.status.phase === 'Succeeded') {
      memory.succeeded.set(uid, pod);
      memory.failures = NO_FAILURES;
    } else if (isGone || isPodFailed(job, pod)) {
      if ([memory.failed, memory.ignored, memory.released].some((known) => known.has(uid))) return;
      const isIgnored = ignoresFailure(job, pod);
      (isIgnored ? memory.ignored : memory.failed).add(uid);
      const oneMore = ({ count }: Failures): Failures => ({ count: count + 1, lastAt: this.#clock.now() });
      const rank = rankOf(pod);
      memory.failures = oneMore(memory.failures);
      memory.failuresOfIndex.set(rank, oneMore(memory.failuresOfIndex.get(rank) ?? NO_FAILURES));
      if (!isIgnored) memory.countedOfIndex.set(rank, (memory.countedOfIndex.get(rank) ?? 0) + 1);
    }
  }

  #wake(job: Job, afterMs = 0): void {
    const memory = this.#memoryOf(job);
    memory.cancel?.();
    memory.cancel = this.#clock.after(afterMs, () => {
      memory.cancel = undefined;
      const live = this.#store.get('jobs', job.metadata.namespace, job.metadata.name);
      if (live !== undefined && live.metadata.uid === job.metadata.uid) this.#sync(live, memory);
    });
  }

  /**
   * One sync of a Job: 1. observe its pods, 2. decide whether it has ended, 3. create or delete pods, 4. write its
   * status.
   */
  #sync(job: Job, memory: Memory): void {
    if (isFinished(job)) return;
    const { namespace, uid } = job.metadata;
    const { parallelism = 1, completions, suspend = false, completionMode } = job.spec;
    const indexed = completionMode === 'Indexed';

    // 1. Observe its pods.
    const owned = this.#store
      .list('pods', namespace)
      .filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.controller && owner.uid === uid));
    const active = owned.filter((pod) => !isPodOver(pod) && !pod.metadata.deletionTimestamp);
    const terminating = owned.filter((pod) => !isPodOver(pod) && pod.metadata.deletionTimestamp);
    const indexes = completedIndexes([...memory.succeeded.values()]);
    const succeeded = indexed ? indexes.length : memory.succeeded.size;
    const givenUp = indexed ? failedIndexes(job, memory.countedOfIndex) : undefined;

    // 2. Decide whether it has ended.
    const failure = failureOf(job, { failed: memory.failed.size, succeeded, failedIndexes: givenUp?.length ?? 0 });
    const workQueueDone = completions === undefined && succeeded > 0 && active.length === 0;
    const complete = !failure && (workQueueDone || (completions !== undefined && succeeded >= completions));

    // 3. Create or delete pods.
    const stopped = failure !== undefined || complete || suspend;
    // Once a pod of a work queue has succeeded, the remaining pods run to their own end.
    const open = completions === undefined ? (succeeded > 0 ? active.length : parallelism) : completions - succeeded;
    const wanted = stopped ? 0 : Math.min(parallelism, open);
    for (const pod of [...active].sort((a, b) => rankOf(b) - rankOf(a)).slice(0, Math.max(0, active.length - wanted))) {
      if (!failure) memory.released.add(pod.metadata.uid);
      this.#registry.delete('pods', namespace, pod.metadata.name);
    }
    const kept = replacesEndedOnly(job) ? [...active, ...terminating] : active;
    const taken = new Set([...indexes, ...(givenUp ?? []), ...kept.map(rankOf)]);
    const limit = indexed ? (completions ?? 0) : Number.POSITIVE_INFINITY;
    const untaken = limit - [...taken].filter((rank) => rank < limit).length;
    this.#createPods(job, memory, Math.min(wanted - kept.length, untaken), taken);

    // 4. Write its status.
    const left = active.length + terminating.length;
    const conditions = nextConditions(job, { suspend, complete, failure, left }, timestamp(this.#clock.now()));
    this.#writeStatus(job, {
      active: stopped ? 0 : active.length,
      ready: active.filter(isReady).length,
      succeeded,
      failed: memory.failed.size,
      ...(indexed && { completedIndexes: indexText(indexes) }),
      ...(givenUp && { failedIndexes: indexText(givenUp) }),
      conditions,
    });
  }

  #createPods(job: Job, memory: Memory, missing: number, taken: ReadonlySet<number>): void {
    if (missing <= 0) {
      memory.batch = 1;
      return;
    }
    const indexed = job.spec.completionMode === 'Indexed';
    const perIndex = job.spec.backoffLimitPerIndex !== undefined;
    const waitOf = (rank: number) => {
      const { count, lastAt } = perIndex ? (memory.failuresOfIndex.get(rank) ?? NO_FAILURES) : memory.failures;
      const backoff = Math.min(BACKOFF_MS * 2 ** (count - 1), MAX_BACKOFF_MS);
      return count === 0 ? 0 : lastAt + backoff - this.#clock.now();
    };
    const free: number[] = [];
    for (let rank = 0; free.length < missing; rank++) if (!taken.has(rank)) free.push(rank);
    const due = free.filter((rank) => waitOf(rank) <= 0);
    if (due.length === 0) {
      this.#wake(job, Math.min(...free.map(waitOf)));
      return;
    }
    for (const rank of due.slice(0, memory.batch))
      this.#registry.create(builtInKind('pods'), job.metadata.namespace, jobPod(job, indexed ? rank : undefined));
    // The events of the new pods trigger the sync that creates the next batch.
    memory.batch *= 2;
  }

  #writeStatus({ metadata: { namespace, name, uid } }: Job, status: JobStatus): void {
    const now = timestamp(this.#clock.now());
    const isSuspended = status.conditions?.some(({ type, status: is }) => type === 'Suspended' && is === 'True');
    const write = (job: Job): Job => {
      const { startTime = now, ...known } = job.status ?? {};
      const isComplete = status.conditions?.some(({ type }) => type === 'Complete');
      return {
        ...job,
        status: {
          ...known,
          ...status,
          ...(!isSuspended && { startTime }),
          ...(isComplete && { completionTime: known.completionTime ?? now }),
        },
      };
    };
    this.#store.update('jobs', namespace, name, write, { uid });
  }
}

interface Standing {
  readonly suspend: boolean;
  readonly complete: boolean;
  readonly failure: JobFailure | undefined;
  /** Pods that have not ended yet. */
  readonly left: number;
}

/** A Job becomes Failed or Complete when all its pods have ended; until then, FailureTarget or SuccessCriteriaMet. */
function nextConditions(job: Job, { suspend, complete, failure, left }: Standing, now: string): readonly Condition[] {
  let conditions = job.status?.conditions ?? [];
  const set = (type: string, reason: string, message: string, status = 'True') => {
    conditions = withCondition(conditions, { type, status, reason, message }, now);
  };
  if (failure) {
    set('FailureTarget', failure.reason, failure.message);
    if (left === 0) set('Failed', failure.reason, failure.message);
  } else if (complete) {
    const message = 'Reached expected number of succeeded pods';
    set('SuccessCriteriaMet', 'CompletionsReached', message);
    if (left === 0) set('Complete', 'CompletionsReached', message);
  } else if (suspend) set('Suspended', 'JobSuspended', 'Job suspended');
  else if (conditions.some(({ type }) => type === 'Suspended')) set('Suspended', 'JobResumed', 'Job resumed', 'False');
  return conditions;
}

function isReady({ status }: Pod): boolean {
  return status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;
}
