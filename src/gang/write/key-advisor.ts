/**
 * Tells users about keys that do nothing and gates that nobody of ours opens. Told once for each controller, whose pods
 * share their mistakes. What was told is remembered for a while only: telling it again is no harm.
 */
import { LRUCache } from 'lru-cache';
import { POD_GROUP_LABEL, QUEUE } from '../../core/objects/keys.ts';
import { keyOf, type PodModel } from '../../core/objects/model.ts';
import { cutText } from '../../core/objects/text-values.ts';
import { findIgnoredKeys, type IgnoredKey } from '../../core/podgroup/ignored-keys.ts';
import { listOtherGates } from '../../core/podgroup/stray.ts';
import { findKeysNotAllowed } from '../../core/reclaim/immunity.ts';
import type { QueueTable } from '../admit/queue-table.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Waker } from '../framework/ports.ts';

/** Pods that are looked at in one cycle. */
const PODS_PER_CYCLE = 500;

/** Causes that are remembered as told. */
const MAX_TOLD = 4096;

export class KeyAdvisor {
  readonly #context: Pick<LoopContext, 'view' | 'observer' | 'isolation'>;
  readonly #waker: Waker;
  readonly #queues: Pick<QueueTable, 'choose'>;
  readonly #schedulerNames: readonly string[];
  readonly #told = new LRUCache<string, true>({ max: MAX_TOLD });

  /** @param schedulerNames the schedulers whose pods are ours. */
  constructor(
    context: Pick<LoopContext, 'view' | 'observer' | 'isolation'>,
    waker: Waker,
    queues: Pick<QueueTable, 'choose'>,
    schedulerNames: readonly string[],
  ) {
    this.#context = context;
    this.#queues = queues;
    this.#waker = waker;
    this.#schedulerNames = schedulerNames;
  }

  /** Looks at the next pods whose keys changed. */
  advise(): void {
    const { view, isolation } = this.#context;
    const pods = view.takeUnread(PODS_PER_CYCLE);
    for (const pod of pods) isolation.guard(keyOf(pod), 'write', () => this.#adviseOn(pod));
    if (pods.length === PODS_PER_CYCLE) this.#waker.wake();
  }

  #adviseOn(pod: PodModel): void {
    const { view, observer } = this.#context;
    const ignored = [...findIgnoredKeys(pod, view.jobOf(pod)), ...this.#findKeysNotAllowed(pod)];
    if (ignored.length > 0 && this.#isNew(pod, ignored)) observer.onKeysIgnored(pod, ignored);
    const gates = listOtherGates(pod);
    if (gates.length > 0 && this.#isNew(pod, gates)) observer.onOtherGates(pod, gates);
  }

  #findKeysNotAllowed(pod: PodModel): readonly IgnoredKey[] {
    if (!pod.isOurs || pod.nativeGang) return [];
    const choice = this.#queues.choose(pod.namespace, pod.labels[QUEUE]);
    return choice.kind === 'queue' ? findKeysNotAllowed(pod, choice.queue) : [];
  }

  /** kube-scheduler asked for a pod whose label names a gang, but whose scheduler is not configured as ours. */
  onForeignMember(pod: PodModel, schedulerName: string): void {
    const name = cutText(schedulerName);
    const ignored = { kind: 'other-scheduler', key: POD_GROUP_LABEL, schedulerName: name, ours: this.#schedulerNames };
    if (this.#isNew(pod, ignored)) this.#context.observer.onKeysIgnored(pod, [{ ...ignored, kind: 'other-scheduler' }]);
  }

  #isNew({ uid, owner }: PodModel, cause: object): boolean {
    const key = `${owner?.uid ?? uid} ${JSON.stringify(cause)}`;
    if (this.#told.has(key)) return false;
    this.#told.set(key, true);
    return true;
  }
}
