/**
 * Answers `bind` calls: lone pods are bound at once where nothing is reserved against them, gang members when the barrier opens. Idempotent by pod UID: a pod
 * that is bound to the node already is a success, whoever bound it.
 */
import { PLACEMENT, PLAN } from '../../core/objects/keys.ts';
import type { Labels } from '../../core/objects/model.ts';
import type { WriteOutcome } from '../../core/objects/write-outcome.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { renderPlacement } from '../../core/podgroup/placement-record.ts';
import { renderPlan } from '../../core/podgroup/plan-record.ts';
import { domainAt, pathOf } from '../../core/topology/tree.ts';
import type { LoopContext } from '../framework/context.ts';
import type { BindAnswer, BindCall, Waker } from '../framework/ports.ts';
import type { GangTable } from '../observe/gang-table.ts';
import { noteBinding, noteHeld, type Slot, stepBack } from '../state/slot.ts';
import type { BarrierOpener } from '../write/barrier-opener.ts';
import type { LonePods } from './lone-pods.ts';

type Context = Pick<
  LoopContext,
  'view' | 'reservations' | 'passage' | 'reach' | 'barrier' | 'writer' | 'observer' | 'clock'
>;

export interface BinderParts {
  readonly gangs: GangTable;
  readonly opener: BarrierOpener;
  readonly waker: Waker;
  readonly lonePods: LonePods;
}

const BOUND: BindAnswer = { outcome: 'bound' };

export class Binder {
  readonly #context: Context;
  readonly #parts: BinderParts;

  constructor(context: Context, parts: BinderParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /**
   * Answers when the pod is bound or will not be.
   * @param onCallerGone registers what to do when the caller goes away; returns how to unregister it.
   */
  async bind(call: BindCall, onCallerGone: (leave: () => void) => () => void): Promise<BindAnswer> {
    const { view, reservations } = this.#context;
    const pod = view.pod(call.uid);
    if (pod && pod.nodeName === call.node) return BOUND;
    const slot = reservations.slot(call.uid);
    if (slot) return this.#bindMember(call, slot, onCallerGone);
    const gang = pod && gangKeyOf(pod);
    if (gang !== undefined) return refuse(`gang ${gang} has no slot for this member now; it is planned again`);
    return this.#bindLone(call);
  }

  async #bindLone(call: BindCall): Promise<BindAnswer> {
    const { view, reservations, writer } = this.#context;
    const pod = view.pod(call.uid);
    // The filter call said so too, unless the capacity was reserved since, or the pod was a member with a slot then.
    if (pod && !this.#parts.lonePods.fitsWithReservations(view.snapshot(), call.node, pod, [])) {
      return refuse(`what is free on ${call.node} is reserved for gangs that are starting`);
    }
    // Until the watch shows the pod bound or gone, however late: nothing else may free the capacity.
    if (pod) reservations.holdFor(pod, [call.node], Number.POSITIVE_INFINITY);
    const outcome = await writer.bind(call, call.node, {});
    if (outcome.kind !== 'ok') {
      reservations.releaseHoldFor(call.uid);
      this.#parts.waker.wake();
    }
    return this.#conclude(outcome, call);
  }

  async #bindMember(call: BindCall, slot: Slot, onCallerGone: (leave: () => void) => () => void): Promise<BindAnswer> {
    const { reservations, barrier, writer, observer, clock } = this.#context;
    if (slot.node !== call.node) {
      return refuse(`gang ${slot.gang} planned this member for node ${slot.node}, not ${call.node}`);
    }
    if (slot.state === 'fenced') return refuse(`gang ${slot.gang} waits for the pods that it preempted to leave`);
    this.#context.passage.note(slot.pod.priority, slot.since, clock.now());
    noteHeld(slot, clock.now());
    const { result, leave } = barrier.hold(slot.gang, call.uid, this.#timeoutOf(slot.gang));
    const unregister = onCallerGone(leave);
    const record = this.#parts.gangs.get(slot.gang);
    if (record) this.#parts.opener.tryOpen(record);
    observer.onHeld(barrier.held);
    const verdict = await result;
    unregister();
    observer.onHeld(barrier.held);
    // A newer call, plan or release may have replaced this one while it was held.
    const current = reservations.slot(call.uid) === slot;
    if (verdict.kind === 'rejected' || !current) {
      if (current && !barrier.isHeld(slot.gang, call.uid)) this.#stepBack(slot);
      return refuse(`gang ${slot.gang}: ${verdict.kind === 'rejected' ? verdict.cause : 'planned anew'}`);
    }
    const placement = this.#describePlacement(slot);
    noteBinding(slot);
    const outcome = await writer.bind(call, call.node, placement);
    if (outcome.kind !== 'ok') {
      // Without the slot, the pod left the gang meanwhile, and its capacity is held as that of a lone pod.
      if (reservations.slot(call.uid) === slot) this.#stepBack(slot);
      else {
        reservations.releaseHoldFor(call.uid);
        this.#parts.waker.wake();
      }
    }
    return this.#conclude(outcome, call);
  }

  /** Empty if the member or its node is gone: that binding is about to be refused. */
  #describePlacement(slot: Slot): Labels {
    const { gang, pod, node, plan } = slot;
    const rank = this.#parts.gangs.get(gang)?.gang.ranks.get(pod.uid);
    const { topology, indexOf } = this.#context.view.snapshot();
    const row = indexOf.get(node);
    if (rank === undefined || row === undefined) return {};
    const host = domainAt(topology, row, topology.levels.length - 1);
    const path = host === undefined ? undefined : pathOf(topology, host);
    return {
      // Written once more: somebody may have changed it since the nomination, and from now on it counts for others.
      [PLAN]: renderPlan(slot),
      ...(path !== undefined && { [PLACEMENT]: renderPlacement({ plan, path, rank }) }),
    };
  }

  /** kube-scheduler erases the nomination after a failed bind; it is written again once that is seen. */
  #stepBack(slot: Slot): void {
    stepBack(slot, this.#context.clock.now());
    this.#parts.waker.wake(slot.gang);
  }

  #timeoutOf(gang: string): number {
    const { scheduleTimeoutMs } = this.#parts.gangs.get(gang)?.gang ?? {};
    return this.#context.reach.timeoutOf({ scheduleTimeoutMs });
  }

  #conclude(outcome: WriteOutcome, call: BindCall): BindAnswer {
    this.#context.observer.onBound(outcome.kind);
    switch (outcome.kind) {
      case 'ok':
        return BOUND;
      case 'gone':
        return refuse(`pod ${call.namespace}/${call.name} with UID ${call.uid} does not exist any more`);
      case 'conflict':
      case 'failed':
        return refuse(outcome.message);
      default:
        return outcome satisfies never;
    }
  }
}

function refuse(message: string): BindAnswer {
  return { outcome: 'refused', message };
}
