/**
 * `bind` calls: lone pods are bound at once, gang members at the barrier. Idempotent by pod UID: a member that is bound
 * to the node already is a success, whoever bound it.
 */
import { PLACEMENT } from '../core/dialects/muster.ts';
import type { Labels } from '../core/model.ts';
import { renderPlacement } from '../core/placement-record.ts';
import { gangKeyOf } from '../core/pod-group.ts';
import { domainAt, pathOf } from '../core/topology.ts';
import type { Barrier } from './barrier.ts';
import type { Clock } from './clock.ts';
import type { Coordinator } from './coordinator.ts';
import type { ClusterWriter, WriteOutcome } from './nominator.ts';
import type { GangObserver } from './observer.ts';
import type { ClusterView } from './parts.ts';
import type { Reservations, Slot } from './reservations.ts';

export interface BindCall {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: string;
}

export type BindResult = { readonly kind: 'bound' } | { readonly kind: 'refused'; readonly message: string };

export interface BinderParts {
  readonly view: ClusterView;
  readonly reservations: Reservations;
  readonly barrier: Barrier;
  readonly coordinator: Coordinator;
  readonly writer: ClusterWriter;
  readonly observer: GangObserver;
  readonly clock: Clock;
  /** How long a gang's members may be held, below kube-scheduler's `httpTimeout`. */
  readonly barrierTimeoutMs: number;
}

const BOUND: BindResult = { kind: 'bound' };

export class Binder {
  readonly #parts: BinderParts;

  constructor(parts: BinderParts) {
    this.#parts = parts;
  }

  /**
   * Answers when the pod is bound or will not be.
   * @param onCallerGone registers what to do when the caller goes away; returns how to unregister it.
   */
  async bind(call: BindCall, onCallerGone: (leave: () => void) => () => void): Promise<BindResult> {
    const { view, reservations } = this.#parts;
    const pod = view.pod(call.uid);
    if (pod && pod.nodeName === call.node) return BOUND;
    const slot = reservations.slot(call.uid);
    if (slot) return this.#bindMember(call, slot, onCallerGone);
    const gang = pod && gangKeyOf(pod);
    if (gang !== undefined) return refuse(`gang ${gang} has no slot for this member now; it is planned again`);
    return this.#bindLone(call);
  }

  async #bindLone(call: BindCall): Promise<BindResult> {
    const { view, reservations, coordinator, writer } = this.#parts;
    const pod = view.pod(call.uid);
    // Until the watch shows the pod bound or gone, however late it is: nothing else can free the space.
    if (pod) reservations.hold(call.uid, [{ pod, node: call.node, until: Number.POSITIVE_INFINITY }]);
    const outcome = await writer.bind(call, call.node, {});
    if (outcome.kind !== 'ok') {
      reservations.releaseHold(call.uid);
      coordinator.wake();
    }
    return this.#conclude(outcome, call);
  }

  async #bindMember(call: BindCall, slot: Slot, onCallerGone: (leave: () => void) => () => void): Promise<BindResult> {
    const { reservations, barrier, coordinator, writer, observer, clock } = this.#parts;
    if (slot.node !== call.node) {
      return refuse(`gang ${slot.gang} planned this member for node ${slot.node}, not ${call.node}`);
    }
    if (slot.state === 'fenced') return refuse(`gang ${slot.gang} waits for the pods that it preempted to leave`);
    slot.state = 'held';
    slot.since = clock.now();
    const { result, leave } = barrier.hold(slot.gang, call.uid, this.#timeoutOf(slot.gang));
    const unregister = onCallerGone(leave);
    coordinator.tryOpen(slot.gang);
    observer.onHeld(barrier.held);
    const verdict = await result;
    unregister();
    observer.onHeld(barrier.held);
    // A newer call, plan or release may have taken over while this one was held.
    const current = reservations.slot(call.uid) === slot;
    if (verdict.kind === 'rejected' || !current) {
      if (current && !barrier.isHeld(slot.gang, call.uid)) this.#stepBack(slot);
      return refuse(`gang ${slot.gang}: ${verdict.kind === 'rejected' ? verdict.cause : 'planned anew'}`);
    }
    slot.state = 'binding';
    const outcome = await writer.bind(call, call.node, this.#describePlacement(slot));
    if (outcome.kind !== 'ok') this.#stepBack(slot);
    return this.#conclude(outcome, call);
  }

  /** Nothing when the member or its node is gone: that binding is about to be refused. */
  #describePlacement({ gang, pod, node, plan }: Slot): Labels {
    const rank = this.#parts.coordinator.record(gang)?.gang.ranks.get(pod.uid);
    const { topology, indexOf } = this.#parts.view.snapshot();
    const row = indexOf.get(node);
    if (rank === undefined || row === undefined) return {};
    const host = domainAt(topology, row, topology.levels.length - 1);
    return host === undefined ? {} : { [PLACEMENT]: renderPlacement({ plan, path: pathOf(topology, host), rank }) };
  }

  /** kube-scheduler erases the nomination after a failed bind; once that is seen it is written again. */
  #stepBack(slot: Slot): void {
    slot.state = 'nominated';
    slot.since = this.#parts.clock.now();
    this.#parts.coordinator.wake(slot.gang);
  }

  #timeoutOf(gang: string): number {
    const own = this.#parts.coordinator.record(gang)?.gang.scheduleTimeoutMs;
    return Math.min(this.#parts.barrierTimeoutMs, own ?? Number.POSITIVE_INFINITY);
  }

  #conclude(outcome: WriteOutcome, call: BindCall): BindResult {
    this.#parts.observer.onBound(outcome.kind);
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

function refuse(message: string): BindResult {
  return { kind: 'refused', message };
}
