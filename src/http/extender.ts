/**
 * The four verbs kube-scheduler calls. Nothing is planned or awaited here but a held bind: answers are looked up.
 * Each answer has an outcome, one closed word for metrics and logs.
 */
import { PREEMPTIBLE } from '../core/dialects/muster.ts';
import { explainStably, type Reason } from '../core/explain.ts';
import { explainHoldReasonStably } from '../core/hold-reason.ts';
import type { PodModel } from '../core/model.ts';
import { gangKeyOf } from '../core/pod-group.ts';
import { MAX_SCORE } from '../core/scoring.ts';
import type { Binder } from '../gang/binder.ts';
import type { Clock } from '../gang/clock.ts';
import type { Coordinator } from '../gang/coordinator.ts';
import type { LonePods } from '../gang/lone-pods.ts';
import type { ClusterView } from '../gang/parts.ts';
import type { Reservations, Slot } from '../gang/reservations.ts';
import type { FilterArgs } from './filter-args.ts';
import type {
  BindArgs,
  BindResultBody,
  FilterResult,
  HostPriority,
  MetaVictims,
  PreemptArgs,
  PreemptResult,
} from './wire.ts';

export interface Answer<Body> {
  readonly outcome: string;
  readonly body: Body;
}

export interface ExtenderParts {
  readonly view: ClusterView;
  readonly reservations: Reservations;
  readonly coordinator: Coordinator;
  readonly binder: Binder;
  readonly lonePods: LonePods;
  readonly clock: Clock;
  readonly projectPod: (raw: object) => PodModel;
}

/** Keys of `FailedAndUnresolvableNodes` that name no node: kube-scheduler shows the text once and looks no further. */
const GANG_KEY = 'muster.dev/gang';
const QUEUE_KEY = 'muster.dev/queue';
const RESERVED_KEY = 'muster.dev/reserved';

/** A filter call without the nomination that was written this long ago was made without it, not just before it. */
const NOMINATION_LAG_MS = 1_000;

/** Space for a lone preemptor is kept this long on the nodes it was answered, until its nomination shows which it is. */
const PREEMPTOR_HOLD_MS = 5_000;

export class Extender {
  readonly #parts: ExtenderParts;

  constructor(parts: ExtenderParts) {
    this.#parts = parts;
  }

  filter(args: FilterArgs): Answer<FilterResult> {
    const { reservations, lonePods, view } = this.#parts;
    const slot = reservations.slot(args.uid);
    if (slot) return this.#filterMember(args, slot);
    const pod = this.#parts.projectPod(args.pod);
    const gang = gangKeyOf(pod);
    if (gang !== undefined) return { outcome: 'waiting', body: reject(GANG_KEY, this.#stableReason(gang)) };
    const obstacle = this.#parts.coordinator.queueing.obstacleOfLone(pod);
    if (obstacle) return { outcome: 'queued', body: reject(QUEUE_KEY, `the pod ${explainHoldReasonStably(obstacle)}`) };
    const names = lonePods.filter(view.snapshot(), pod, args.nodeNames);
    if (names.length > 0 || args.nodeNames.length === 0) return { outcome: 'lone', body: { NodeNames: names } };
    return { outcome: 'reserved', body: reject(RESERVED_KEY, 'what is free is reserved for gangs that are starting') };
  }

  /** Its node if offered; else none, and it is found out why. */
  #filterMember(args: FilterArgs, slot: Slot): Answer<FilterResult> {
    const { coordinator, clock } = this.#parts;
    if (slot.state !== 'fenced' && args.nodeNames.includes(slot.node)) {
      return { outcome: 'placed', body: { NodeNames: [slot.node] } };
    }
    const body = reject(GANG_KEY, this.#stableReason(slot.gang));
    if (args.nominatedNodeName === slot.node) {
      coordinator.refuse(args.uid, 'filter', args.nodeNames.toArray());
      return { outcome: 'refused', body };
    }
    // Popped before its nomination arrived, the list is a sample without its node: the nomination itself wakes it again.
    if (slot.state === 'nominated' && clock.now() - slot.since > NOMINATION_LAG_MS) coordinator.renominate(args.uid);
    return { outcome: 'early', body };
  }

  prioritize(args: FilterArgs): Answer<readonly HostPriority[]> {
    const { reservations, lonePods, view } = this.#parts;
    const slot = reservations.slot(args.uid);
    const snapshot = view.snapshot();
    // The watch has shown the pod nearly always, which saves parsing it.
    const lone = () => lonePods.scorer(snapshot, view.pod(args.uid) ?? this.#parts.projectPod(args.pod));
    const score = slot ? (name: string) => (name === slot.node ? MAX_SCORE : 0) : lone();
    return {
      outcome: slot ? 'member' : 'lone',
      body: args.nodeNames.toArray().map((name) => ({ Host: name, Score: score(name) })),
    };
  }

  /**
   * Never for a gang member: Muster preempts whole gangs. For others, nodes where evicting the victims is enough; those
   * that leave a gang below its minimum with members still running, or cost a pod that is not preemptible, only when there
   * are no others.
   */
  preempt(args: PreemptArgs): Answer<PreemptResult> {
    const { reservations, coordinator, lonePods, view, clock } = this.#parts;
    const slot = reservations.slot(args.uid);
    if (slot) {
      // As with a filter call: one made before the nomination arrived says nothing about the node.
      if (args.nominatedNodeName === slot.node) coordinator.refuse(args.uid, 'preempt', undefined);
      return { outcome: 'vetoed', body: { NodeNameToMetaVictims: {} } };
    }
    const pod = this.#parts.projectPod(args.pod);
    if (gangKeyOf(pod) !== undefined) return { outcome: 'vetoed', body: { NodeNameToMetaVictims: {} } };
    const snapshot = view.snapshot();
    const victimsOf = ({ Pods }: MetaVictims) => Pods.flatMap(({ UID }) => view.pod(UID) ?? []);
    // A node whose reservations leave no room even then would be preempted on again and again.
    const fitting = [...args.victims].filter(([node, meta]) => {
      const templates = victimsOf(meta).map(({ template }) => template);
      return lonePods.fitsBeside(snapshot, node, pod, templates);
    });
    const isHarmless = (victims: readonly PodModel[]) => !victims.some(isProtected) && !this.#breaksGang(victims);
    const harmless = fitting.filter(([, meta]) => isHarmless(victimsOf(meta)));
    const kept = harmless.length > 0 ? harmless : fitting;
    const until = clock.now() + PREEMPTOR_HOLD_MS;
    reservations.hold(
      args.uid,
      kept.map(([node]) => ({ pod, node, until })),
    );
    return {
      outcome: kept.length === args.victims.size ? 'echoed' : 'narrowed',
      body: { NodeNameToMetaVictims: Object.fromEntries(kept) },
    };
  }

  async bind(args: BindArgs, onCallerGone: (leave: () => void) => () => void): Promise<Answer<BindResultBody>> {
    const result = await this.#parts.binder.bind(args, onCallerGone);
    return result.kind === 'bound'
      ? { outcome: 'bound', body: {} }
      : { outcome: 'refused', body: { Error: result.message } };
  }

  /** Members that are held at the barrier are victims too: kube-scheduler counts them on their node already. */
  #breaksGang(victims: readonly PodModel[]): boolean {
    const { coordinator, reservations } = this.#parts;
    const uids = new Set(victims.map(({ uid }) => uid));
    return victims.some((victim) => {
      const record = coordinator.record(gangKeyOf(victim) ?? '');
      if (!record) return false;
      const onTheirWay = reservations.slotsOf(record.gang.key).map(({ pod }) => pod);
      const left = [...record.census.bound, ...onTheirWay].filter(({ uid }) => !uids.has(uid)).length;
      return left > 0 && left + record.census.succeeded < (record.gang.minMember ?? 0);
    });
  }

  #stableReason(gang: string): string {
    const record = this.#parts.coordinator.record(gang);
    // A running gang has nothing to explain, but a member that found no place beside it has.
    const reason: Reason = record?.reason ?? record?.shortfall ?? { kind: 'gathering', have: 0, want: 0 };
    return explainStably(gang, reason);
  }
}

function isProtected({ annotations }: PodModel): boolean {
  return annotations[PREEMPTIBLE] === 'false';
}

function reject(key: string, reason: string): FilterResult {
  return { NodeNames: [], FailedAndUnresolvableNodes: { [key]: reason } };
}
