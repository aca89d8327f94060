/**
 * kube-scheduler's queue of pods (backend/queue): active, in back-off, unschedulable or gated.
 *
 * - A pod that plugins or an extender rejected waits until an event may help, then backs off for initial << (n - 1),
 *   capped, rounded up to the next full second. An idle scheduler pops it early (SchedulerPopFromBackoffQ).
 * - A pod that failed with an error backs off at once, needs no event, and is never popped early.
 * - Events that arrive while a pod is in flight are considered when it returns.
 */
import type { Clock } from '../../core/objects/clock.ts';
import { type ClusterEvent, isWorthRequeuing } from './cluster-event.ts';
import type { Plugin } from './filters.ts';
import type { NamespaceLabels, PodInfo } from './node-info.ts';

const WINDOW_MS = 1_000;
const FLUSH_INTERVAL_MS = 30_000;
const MAX_UNSCHEDULABLE_MS = 300_000;

export interface QueueOptions {
  readonly clock: Clock;
  readonly initialBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly labelsOf: NamespaceLabels;
  /** Called when there may be a pod to pop. */
  readonly onReady: () => void;
}

type Place = 'active' | 'backoff' | 'unschedulable' | 'gated' | 'in flight';

/** A pod with its history of attempts. */
export interface QueuedPod {
  pod: PodInfo;
  place: Place;
  /** When it last entered the queue, in milliseconds since the epoch. */
  since: number;
  /** Attempts that ended with a rejection, and errors since the latest of them. */
  refusals: number;
  errors: number;
  /** The plugins that rejected it last; empty after an error. */
  plugins: ReadonlySet<Plugin>;
  /** Events since it was last popped. */
  events: ClusterEvent[];
}

export class SchedulingQueue {
  readonly #options: QueueOptions;
  readonly #pods = new Map<string, QueuedPod>();
  #cancelTimer: () => void = () => {};
  #timerAt = Number.POSITIVE_INFINITY;
  #cancelFlush: () => void = () => {};

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#flushLater();
  }

  close(): void {
    this.#cancelTimer();
    this.#cancelFlush();
    this.#pods.clear();
  }

  /** Where a pod is; undefined when it is not in the queue. */
  placeOf(uid: string): Place | undefined {
    return this.#pods.get(uid)?.place;
  }

  add(pod: PodInfo): void {
    const { now } = this;
    this.#pods.set(pod.model.uid, {
      pod,
      place: 'gated',
      since: now,
      refusals: 0,
      errors: 0,
      plugins: new Set(),
      events: [],
    });
    this.#activate(this.#pods.get(pod.model.uid)!);
  }

  /** A pod changed in the given ways. A pod missing from the queue is added again. */
  update(pod: PodInfo, events: readonly ClusterEvent[]): void {
    const entry = this.#pods.get(pod.model.uid);
    if (entry?.place === 'in flight') {
      entry.events.push(...events);
      return;
    }
    if (entry) entry.pod = pod;
    if (!entry) this.add(pod);
    else if (entry.place === 'gated') this.#activate(entry);
    else if (entry.place === 'unschedulable' && events.some((event) => this.#concerns(entry, event))) {
      this.#requeue(entry);
    }
  }

  remove(uid: string): void {
    this.#pods.delete(uid);
  }

  /** Takes out the pod to schedule next: active pods first, by priority, then by age. */
  pop(): QueuedPod | undefined {
    this.#completeBackoffs();
    const next =
      this.#first('active', isBefore) ??
      this.#first('backoff', (a, b) => {
        const difference = this.#backoffEnd(a) - this.#backoffEnd(b);
        return difference < 0 || (difference === 0 && isBefore(a, b));
      });
    if (next) {
      next.place = 'in flight';
      next.events = [];
    }
    return next;
  }

  /** Drops a pod in flight: it needs no further attempt. */
  done({ pod }: QueuedPod): void {
    const { uid } = pod.model;
    if (this.#pods.get(uid)?.place === 'in flight') this.#pods.delete(uid);
  }

  /** Returns a pod after a failed attempt. `plugins` are those that rejected it; empty after an error. */
  giveBack(entry: QueuedPod, pod: PodInfo, plugins: ReadonlySet<Plugin>): void {
    const known = this.#pods.get(pod.model.uid);
    // The pod was added again in the meantime: it was updated during a binding that then failed.
    if (known && known !== entry) return;
    entry.pod = pod;
    entry.since = this.now;
    entry.plugins = plugins;
    if (plugins.size === 0) entry.errors++;
    else {
      entry.refusals++;
      entry.errors = 0;
    }
    this.#pods.set(pod.model.uid, entry);
    entry.place = 'unschedulable';
    if (plugins.size === 0 || entry.events.some((event) => this.#concerns(entry, event))) this.#requeue(entry);
  }

  /** Moves the pods that a cluster event may help, restricted to those that `mayHelp` accepts. */
  move(event: ClusterEvent, mayHelp: (pod: PodInfo) => boolean = () => true): void {
    for (const entry of this.#pods.values()) {
      if (entry.place === 'in flight') entry.events.push(event);
      else if (entry.place === 'unschedulable' && mayHelp(entry.pod) && this.#concerns(entry, event)) {
        this.#requeue(entry);
      }
    }
  }

  get now(): number {
    return this.#options.clock.now();
  }

  #concerns({ pod, plugins }: QueuedPod, event: ClusterEvent): boolean {
    return isWorthRequeuing(pod, plugins, event, this.#options.labelsOf);
  }

  #requeue(entry: QueuedPod): void {
    if (this.#backoffEnd(entry) > this.now) {
      entry.place = 'backoff';
      this.#wakeAt(this.#backoffEnd(entry));
      if (entry.plugins.size > 0) this.#options.onReady();
    } else this.#activate(entry);
  }

  /** Gates are checked whenever a pod would become active (plugins/schedulinggates PreEnqueue). */
  #activate(entry: QueuedPod): void {
    entry.place = entry.pod.model.gates.length > 0 ? 'gated' : 'active';
    if (entry.place === 'active') this.#options.onReady();
  }

  /** End of the back-off in full seconds; within a second, priority decides (backoff_queue.go alignToWindow). */
  #backoffEnd({ since, errors, refusals }: QueuedPod): number {
    const { initialBackoffMs, maxBackoffMs } = this.#options;
    const count = errors > 0 ? errors : refusals;
    if (count === 0 || maxBackoffMs === 0) return 0;
    const duration = Math.min(initialBackoffMs * 2 ** (count - 1), maxBackoffMs);
    return (Math.floor((since + duration) / WINDOW_MS) + 1) * WINDOW_MS;
  }

  #completeBackoffs(): void {
    const { now } = this;
    for (const entry of this.#pods.values()) {
      if (entry.place === 'backoff' && this.#backoffEnd(entry) <= now) this.#activate(entry);
    }
  }

  #first(place: Place, isLess: (a: QueuedPod, b: QueuedPod) => boolean): QueuedPod | undefined {
    let first: QueuedPod | undefined;
    for (const entry of this.#pods.values()) {
      if (entry.place !== place || (place === 'backoff' && entry.plugins.size === 0)) continue;
      if (!first || isLess(entry, first)) first = entry;
    }
    return first;
  }

  #wakeAt(time: number): void {
    if (time >= this.#timerAt) return;
    this.#cancelTimer();
    this.#timerAt = time;
    this.#cancelTimer = this.#options.clock.after(Math.max(0, time - this.now), () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#completeBackoffs();
      for (const entry of this.#pods.values()) if (entry.place === 'backoff') this.#wakeAt(this.#backoffEnd(entry));
    });
  }

  /** A missed event must not strand a pod (scheduling_queue.go flushUnschedulableEntitiesLeftover). */
  #flushLater(): void {
    this.#cancelFlush = this.#options.clock.after(FLUSH_INTERVAL_MS, () => {
      const before = this.now - MAX_UNSCHEDULABLE_MS;
      for (const entry of this.#pods.values()) {
        if (entry.place === 'unschedulable' && entry.since < before) this.#requeue(entry);
      }
      this.#flushLater();
    });
  }
}

/** queuesort/priority_sort.go Less. */
function isBefore(a: QueuedPod, b: QueuedPod): boolean {
  const [one, other] = [a.pod.model.priority, b.pod.model.priority];
  return one > other || (one === other && a.since < b.since);
}
