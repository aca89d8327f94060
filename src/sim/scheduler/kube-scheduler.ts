/**
 * A model of kube-scheduler v1.37.2 as an extender's client, for the embedded control plane. It reads and writes the
 * object store directly, which replaces informers and client; to extenders it speaks HTTP.
 *
 * One pod at a time: pop, place, assume. The binding then runs on its own, any number at once. A pod that fails returns
 * to the queue with a condition and an Event that give the reason.
 *
 * Not implemented: volumes and DRA claims, pod groups, resizes, TLS, metrics, Reserve/Permit/PreBind, most Score
 * plugins, and the aggregation of repeated Events. Victims are deleted within the cycle, not concurrently; the cache is
 * read live, without a snapshot per cycle.
 */
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../core/objects/clock.ts';
import type { ObjectStore, StoreEvent } from '../object-store.ts';
import type { Node, Pod } from '../objects.ts';
import { bindPod } from '../pods.ts';
import { type ClusterEvent, nodeChanges, podChanges } from './cluster-event.ts';
import { SchedulingCycle } from './cycle.ts';
import { ExtenderClient, type ExtenderOptions } from './extender-client.ts';
import type { Plugin } from './filters.ts';
import { describeMisfit } from './fit-error.ts';
import { type PodInfo, PodReader } from './node-info.ts';
import { PodReports } from './pod-reports.ts';
import { PodPreemption } from './preemption.ts';
import { type QueuedPod, SchedulingQueue } from './queue.ts';
import { SchedulerCache } from './scheduler-cache.ts';

export interface KubeSchedulerParts {
  readonly store: ObjectStore;
  readonly clock: Clock;
  /** Returns a number in [0, 1). Breaks ties between nodes of equal score. */
  readonly random: () => number;
  /** As in a KubeSchedulerConfiguration; without any it is the plain kube-scheduler. */
  readonly extenders?: readonly ExtenderOptions[];
  /** 0, the default, selects kube-scheduler's adaptive rule. */
  readonly percentageOfNodesToScore?: number;
  readonly podInitialBackoffMs?: number;
  readonly podMaxBackoffMs?: number;
  /** Only pods with this `spec.schedulerName` are scheduled; `default-scheduler` by default. */
  readonly schedulerName?: string;
}

const NO_PLUGINS: ReadonlySet<Plugin> = new Set();
const STORAGE = new Set(['persistentvolumes', 'persistentvolumeclaims', 'storageclasses']);

/** One run of the process: it starts once. To restart it, create another. */
export class KubeScheduler {
  readonly #parts: KubeSchedulerParts;
  readonly #schedulerName: string;
  readonly #extenders: readonly ExtenderClient[];
  readonly #reader: PodReader;
  readonly #cache = new SchedulerCache();
  readonly #queue: SchedulingQueue;
  readonly #reports: PodReports;
  readonly #cycle: SchedulingCycle;
  readonly #preemption: PodPreemption;
  readonly #bindings = new Set<Promise<void>>();
  #unsubscribe: () => void = () => {};
  #running = false;
  #loop: Promise<void> = Promise.resolve();
  #wake: () => void = () => {};

  constructor(parts: KubeSchedulerParts) {
    const { store, clock, random, extenders = [], percentageOfNodesToScore = 0 } = parts;
    this.#parts = parts;
    this.#schedulerName = parts.schedulerName ?? 'default-scheduler';
    // Ignorable extenders are called last (scheduler.go:583).
    this.#extenders = extenders
      .toSorted((a, b) => Number(a.ignorable ?? false) - Number(b.ignorable ?? false))
      .map((options) => new ExtenderClient(options, clock));
    const managed = extenders.flatMap(({ managedResources = [] }) => managedResources);
    this.#reader = new PodReader(
      new Set(managed.filter(({ ignoredByScheduler }) => ignoredByScheduler).map(({ name }) => name)),
    );
    const labelsOf = (namespace: string) => store.get('namespaces', undefined, namespace)?.metadata.labels ?? {};
    this.#queue = new SchedulingQueue({
      clock,
      initialBackoffMs: parts.podInitialBackoffMs ?? 1_000,
      maxBackoffMs: parts.podMaxBackoffMs ?? 10_000,
      labelsOf,
      onReady: () => this.#wake(),
    });
    this.#reports = new PodReports(store, clock);
    const cycle = { cache: this.#cache, extenders: this.#extenders, labelsOf, random, percentageOfNodesToScore };
    this.#cycle = new SchedulingCycle(cycle);
    this.#preemption = new PodPreemption({ ...cycle, store, clock, reports: this.#reports });
  }

  start(): void {
    if (this.#running) throw new Error('expected kube-scheduler to be started once');
    this.#running = true;
    const { store } = this.#parts;
    this.#unsubscribe = store.subscribe((event) => this.#observe(event));
    for (const node of store.list('nodes')) this.#cache.setNode(node);
    for (const pod of store.list('pods')) this.#observePod(undefined, pod);
    this.#loop = this.#run();
  }

  /** Ends like a killed process: calls in flight are cut off and assumed pods are forgotten. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#unsubscribe();
    this.#queue.close();
    for (const extender of this.#extenders) extender.close();
    this.#wake();
    await this.#loop;
    await Promise.all(this.#bindings);
  }

  async #run(): Promise<void> {
    while (this.#running) {
      const entry = this.#queue.pop();
      if (entry) await this.#scheduleOne(entry);
      else await this.#untilReady();
      // Yields to the event loop, since the extender may run in this process.
      await setImmediate();
    }
  }

  #untilReady(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  async #scheduleOne(entry: QueuedPod): Promise<void> {
    const { pod } = entry;
    const { uid, deleting } = pod.model;
    if (deleting || this.#cache.isAssumed(uid)) {
      if (deleting) this.#reports.skipped(pod.raw);
      this.#queue.done(entry);
      return;
    }
    const verdict = await this.#cycle.place(pod);
    if (!this.#running) return;
    if (verdict.kind === 'node') {
      this.#cache.assume(pod, verdict.node);
      this.#queue.done(entry);
      const binding = this.#bind(entry, verdict.node).finally(() => this.#bindings.delete(binding));
      this.#bindings.add(binding);
      return;
    }
    if (verdict.kind !== 'misfit') {
      const reason = verdict.kind === 'error' ? 'SchedulerError' : 'Unschedulable';
      this.#fail(entry, NO_PLUGINS, reason, verdict.message, '');
      return;
    }
    const { message, nomination } = await this.#preemption.run(pod, verdict);
    if (!this.#running) return;
    const text = `${describeMisfit(verdict.nodeCount, verdict.statuses)} ${message}`;
    this.#fail(entry, verdict.plugins, 'Unschedulable', text, nomination);
  }

  /** The binding cycle of an assumed pod. */
  async #bind(entry: QueuedPod, node: string): Promise<void> {
    const { raw, model } = entry.pod;
    await setImmediate();
    try {
      if (!(await this.#bindByExtender(raw, node))) this.#bindDirectly(raw, node);
      if (this.#running) this.#reports.scheduled(raw, node);
    } catch (error) {
      if (!this.#running) return;
      // The pod has taken up space until now. For other pods this is like the deletion of a bound pod.
      if (this.#cache.forget(model.uid)) this.#queue.move({ kind: 'AssignedPodDelete', pod: entry.pod });
      this.#fail(entry, NO_PLUGINS, 'SchedulerError', (error as Error).message, '');
    }
  }

  /**
   * Returns false when no extender binds this pod, or those that do failed and are ignorable.
   * @throws Error when an extender's bind fails and the extender is not ignorable.
   */
  async #bindByExtender(pod: Pod, node: string): Promise<boolean> {
    for (const extender of this.#extenders) {
      if (!extender.options.bindVerb || !extender.isInterested(pod)) continue;
      try {
        await extender.bind(pod, node);
        return true;
      } catch (error) {
        if (!extender.options.ignorable) throw error;
      }
    }
    return false;
  }

  #bindDirectly({ metadata: { namespace, name, uid } }: Pod, node: string): void {
    if (!this.#running) return;
    try {
      bindPod(this.#parts.store, this.#parts.clock, { namespace, name, node, uid });
    } catch (error) {
      throw new Error(`running Bind plugin "DefaultBinder": ${(error as Error).message}`);
    }
  }

  /**
   * Requeues first, then patches the status: events from the patch must find the pod queued (schedule_one.go
   * FailureHandler).
   */
  #fail(
    entry: QueuedPod,
    plugins: ReadonlySet<Plugin>,
    reason: 'Unschedulable' | 'SchedulerError',
    message: string,
    nomination: string | undefined,
  ): void {
    const { namespace, name, uid } = entry.pod.raw.metadata;
    const live = this.#parts.store.get('pods', namespace, name);
    if (live && live.metadata.uid !== uid) {
      this.#queue.done(entry);
      return;
    }
    if (!live || live.spec.nodeName) this.#queue.done(entry);
    else {
      const pod = this.#reader.read(live);
      this.#queue.giveBack(entry, pod, plugins);
      this.#cache.nominate(pod, nomination ?? pod.model.nominatedNodeName);
    }
    this.#reports.failed(live ?? entry.pod.raw, reason, message, nomination);
  }

  #observe({ type, resource, object, previous }: StoreEvent): void {
    if (resource === 'pods') {
      this.#observePod(previous as Pod | undefined, type === 'DELETED' ? undefined : (object as unknown as Pod));
    } else if (resource === 'nodes') {
      this.#observeNode(previous as Node | undefined, type === 'DELETED' ? undefined : (object as Node));
    } else if (STORAGE.has(resource)) this.#queue.move({ kind: 'Storage' });
  }

  #observeNode(before: Node | undefined, after: Node | undefined): void {
    if (!after) {
      this.#queue.move({ kind: 'NodeDelete' });
      this.#cache.removeNode(before!.metadata.name);
      return;
    }
    this.#cache.setNode(after);
    const node = this.#cache.node(after.metadata.name)!;
    if (!before) this.#queue.move({ kind: 'NodeAdd', node });
    else for (const change of nodeChanges(before, after)) this.#queue.move({ kind: `Node${change}`, node });
  }

  /** Ended pods count as absent, since the informer does not list them. */
  #observePod(before: Pod | undefined, after: Pod | undefined): void {
    const old = before && isLive(before) ? this.#reader.read(before) : undefined;
    const pod = after && isLive(after) ? this.#reader.read(after) : undefined;
    if (pod?.model.nodeName) this.#observeAssigned(old, pod);
    else if (pod) this.#observeWaiting(old, pod);
    else if (old?.model.nodeName) {
      this.#cache.removePod(old.model.uid);
      this.#queue.move({ kind: 'AssignedPodDelete', pod: old });
    } else if (old) this.#observeGone(old);
  }

  #observeAssigned(old: PodInfo | undefined, pod: PodInfo): void {
    this.#cache.setPod(pod);
    if (old?.model.nodeName) {
      for (const change of podChanges(old, pod)) this.#queue.move({ kind: `AssignedPod${change}`, pod });
      return;
    }
    this.#queue.move({ kind: 'AssignedPodAdd', pod });
    this.#queue.remove(pod.model.uid);
  }

  #observeWaiting(old: PodInfo | undefined, pod: PodInfo): void {
    const { uid, nominatedNodeName, deleting } = pod.model;
    if ((pod.raw.spec.schedulerName ?? 'default-scheduler') !== this.#schedulerName) return;
    if (this.#cache.isAssumed(uid)) {
      if (deleting && !old?.model.deleting) this.#observeGone(pod);
      return;
    }
    if (!old) this.#queue.add(pod);
    else {
      const events = podChanges(old, pod).map((change): ClusterEvent => ({ kind: `TargetPod${change}` }));
      this.#queue.update(pod, events);
    }
    if (this.#queue.placeOf(uid) !== 'in flight') this.#cache.nominate(pod, nominatedNodeName);
    const left = old?.model.nominatedNodeName;
    if (left && left !== nominatedNodeName) this.#freeNomination(old);
  }

  /** An unbound pod was deleted, or an assumed one is about to be; its binding goes on but will fail. */
  #observeGone(pod: PodInfo): void {
    const { uid, nominatedNodeName } = pod.model;
    this.#queue.remove(uid);
    this.#cache.denominate(uid);
    if (this.#cache.forget(uid)) this.#queue.move({ kind: 'AssignedPodDelete', pod });
    else if (nominatedNodeName) this.#freeNomination(pod);
  }

  /** The node of the former nomination is open again to pods of the same or a lower priority. */
  #freeNomination(pod: PodInfo): void {
    this.#queue.move({ kind: 'AssignedPodDelete', pod }, ({ model }) => model.priority <= pod.model.priority);
  }
}

/** The field selector of kube-scheduler's pod informer. */
function isLive({ status }: Pod): boolean {
  return status.phase !== 'Succeeded' && status.phase !== 'Failed';
}
