/**
 * Takes off strays what only members have: first the record of the slot and its nomination, then our gate. Level-driven:
 * it looks at the strays that exist, so a failed write, a restart or a gang that is gone changes nothing.
 */
import { GANG_GATE, PLAN } from '../../core/objects/keys.ts';
import { keyOf, type PodModel } from '../../core/objects/model.ts';
import type { WriteOutcome } from '../../core/objects/write-outcome.ts';
import { parsePlan } from '../../core/podgroup/plan-record.ts';
import { isOnlyGatedByUs } from '../../core/podgroup/stray.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Waker } from '../framework/ports.ts';

/** A failed write is repeated after this, milliseconds. */
const RETRY_MS = 1_000;

/** Strays under way at once: members that start go first at the API server. */
const MAX_WRITES = 16;

type Context = Pick<LoopContext, 'view' | 'writer' | 'observer' | 'clock'>;

export class StrayKeeper {
  readonly #context: Context;
  readonly #waker: Waker;
  /** UIDs with a write under way, or about to be repeated. */
  readonly #busy = new Set<string>();
  /** What was written for this version of the pod; the watch has not shown the next one. */
  readonly #handled = new WeakSet<PodModel>();
  #underWay = 0;

  constructor(context: Context, waker: Waker) {
    this.#context = context;
    this.#waker = waker;
  }

  /** Starts what the strays lack. */
  reconcile(): void {
    for (const pod of this.#context.view.strays()) {
      if (this.#underWay >= MAX_WRITES) return;
      if (this.#busy.has(pod.uid) || this.#handled.has(pod)) continue;
      void this.#free(pod);
    }
  }

  async #free(pod: PodModel): Promise<void> {
    const { observer, clock } = this.#context;
    this.#busy.add(pod.uid);
    this.#underWay++;
    const outcome = await this.#write(pod);
    this.#underWay--;
    const done = () => {
      this.#busy.delete(pod.uid);
      this.#waker.wake();
    };
    if (outcome.kind === 'failed') {
      observer.onWriteFailed('free stray', '', keyOf(pod), outcome.message);
      clock.after(RETRY_MS, done);
      return;
    }
    // A conflict is a pod that was bound meanwhile: the watch will show it.
    this.#handled.add(pod);
    done();
  }

  /** Without its gate kube-scheduler takes the pod at once, and must not find the old nomination. */
  async #write(pod: PodModel): Promise<WriteOutcome> {
    const { writer } = this.#context;
    const erased = pod.annotations[PLAN] === undefined ? undefined : await this.#erase(pod);
    if ((erased && erased.kind !== 'ok') || !isOnlyGatedByUs(pod)) return erased ?? { kind: 'ok' };
    return await writer.removeGate(pod, GANG_GATE);
  }

  /** A nomination to another node than the record says is kube-scheduler's own and stays. */
  #erase(pod: PodModel): Promise<WriteOutcome> {
    const { writer } = this.#context;
    const { nominatedNodeName } = pod;
    const isOwn = nominatedNodeName === '' || nominatedNodeName === parsePlan(pod)?.node;
    return isOwn ? writer.clearNomination(pod) : writer.annotate(pod, { [PLAN]: null });
  }
}
