/** Decides whether the queues allow a lone pod to start. */
import { requestsAccelerator } from '../../core/objects/accelerators.ts';
import { HOLD, QUEUE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { judgeQuota } from '../../core/queues/quota.ts';
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { Admission } from '../admit/admission.ts';
import type { QueueTable } from '../admit/queue-table.ts';
import type { LoopContext } from '../framework/context.ts';

type Context = Pick<LoopContext, 'reservations' | 'settings'>;

export class LoneAdmission {
  readonly #context: Context;
  readonly #queues: QueueTable;
  readonly #admission: Pick<Admission, 'closedFor'>;

  constructor(context: Context, queues: QueueTable, admission: Pick<Admission, 'closedFor'>) {
    this.#context = context;
    this.#queues = queues;
    this.#admission = admission;
  }

  /**
   * Why the pod may not start now; undefined: it may. Counts pods that are being bound and pods bound since the last
   * cycle, because kube-scheduler asks for one pod after the other, faster than cycles follow.
   */
  findHoldReason(pod: PodModel): HoldReason | undefined {
    const { settings, reservations } = this.#context;
    if (!pod.isOurs || !requestsAccelerator(pod.template, settings.policy.isAccelerator)) return undefined;
    if (pod.annotations[HOLD] === 'true') return { kind: 'held' };
    const choice = this.#queues.choose(pod.namespace, pod.labels[QUEUE]);
    if (choice.kind === 'problem') return { kind: 'queue', problem: choice.problem };
    const { queue } = choice;
    const closed = this.#admission.closedFor(queue);
    if (closed) return closed;
    if (queue.path.every(({ limit, spec }) => limit.size === 0 && spec.allowBorrowing)) return undefined;
    this.#queues.countLonePods();
    const others = new Map<string, PodModel>();
    for (const [key, { pod: other }] of reservations.holds()) {
      const isLone = key.kind === 'lone-pod' && key.uid !== pod.uid && other.isOurs && gangKeyOf(other) === undefined;
      if (isLone && this.#queues.queueOf(other.namespace, other.labels[QUEUE]) === queue) others.set(other.uid, other);
    }
    const verdict = judgeQuota(queue, this.#queues.amountsOf([...others.values(), pod]), this.#queues.use);
    return verdict.kind === 'refused' ? { kind: 'quota', refusal: verdict.refusal } : undefined;
  }
}
