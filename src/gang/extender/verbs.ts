/** What kube-scheduler is answered, looked up in the tables: nothing is planned or awaited here but a held bind. */
import { PREEMPTIBLE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import { MAX_SCORE } from '../../core/placement/scoring.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { explainStably, type Reason } from '../../core/reasons/explain.ts';
import { explainHoldReasonStably } from '../../core/reasons/hold-reason.ts';
import type { LoopContext } from '../framework/context.ts';
import type {
  BindAnswer,
  BindCall,
  ExtenderVerbs,
  FilterAnswer,
  NodesCall,
  PreemptAnswer,
  PreemptCall,
  PrioritizeAnswer,
} from '../framework/ports.ts';
import type { GangTable } from '../observe/gang-table.ts';
import type { Observation } from '../observe/observation.ts';
import type { Slot } from '../state/slot.ts';
import type { Binder } from './binder.ts';
import type { LoneAdmission } from './lone-admission.ts';
import type { LonePods } from './lone-pods.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'clock'>;

export interface VerbsParts {
  readonly gangs: GangTable;
  readonly observation: Observation;
  readonly binder: Binder;
  readonly lonePods: LonePods;
  readonly loneAdmission: LoneAdmission;
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

const VETO: PreemptAnswer = { outcome: 'vetoed', nodes: [] };

export class Verbs implements ExtenderVerbs {
  readonly #context: Context;
  readonly #parts: VerbsParts;

  constructor(context: Context, parts: VerbsParts) {
    this.#context = context;
    this.#parts = parts;
  }

  filter(call: NodesCall): FilterAnswer {
    const { reservations, view } = this.#context;
    const { lonePods, loneAdmission, projectPod } = this.#parts;
    const slot = reservations.slot(call.uid);
    if (slot) return this.#filterMember(call, slot);
    const pod = projectPod(call.pod);
    const gang = gangKeyOf(pod);
    if (gang !== undefined) return { outcome: 'waiting', key: GANG_KEY, reason: this.#stableReason(gang) };
    const held = loneAdmission.findHoldReason(pod);
    if (held) return { outcome: 'queued', key: QUEUE_KEY, reason: `the pod ${explainHoldReasonStably(held)}` };
    const nodeNames = lonePods.filter(view.snapshot(), pod, call.nodeNames);
    if (nodeNames.length > 0 || call.nodeNames.length === 0) return { outcome: 'lone', nodeNames };
    const reason = 'what is free is reserved for gangs that are starting';
    return { outcome: 'reserved', key: RESERVED_KEY, reason };
  }

  /** Its node if offered; else none, and it is found out why. */
  #filterMember(call: NodesCall, slot: Slot): FilterAnswer {
    const { observation } = this.#parts;
    if (slot.state !== 'fenced' && call.nodeNames.includes(slot.node)) {
      return { outcome: 'placed', nodeNames: [slot.node] };
    }
    const reason = this.#stableReason(slot.gang);
    if (call.nominatedNodeName === slot.node) {
      observation.refuse(call.uid, 'filter', call.nodeNames.toArray());
      return { outcome: 'refused', key: GANG_KEY, reason };
    }
    // Popped before its nomination arrived, the list is a sample without its node: the nomination itself wakes it again.
    const isLate = slot.state === 'nominated' && this.#context.clock.now() - slot.since > NOMINATION_LAG_MS;
    if (isLate) observation.renominate(call.uid);
    return { outcome: 'early', key: GANG_KEY, reason };
  }

  prioritize(call: NodesCall): PrioritizeAnswer {
    const { reservations, view } = this.#context;
    const { lonePods, projectPod } = this.#parts;
    const slot = reservations.slot(call.uid);
    if (slot) return { outcome: 'member', scoreOf: (name) => (name === slot.node ? MAX_SCORE : 0) };
    // The watch has shown the pod nearly always, which saves parsing it.
    const pod = view.pod(call.uid) ?? projectPod(call.pod);
    return { outcome: 'lone', scoreOf: lonePods.scorer(view.snapshot(), pod) };
  }

  /**
   * Never for a gang member: Muster preempts whole gangs. For others, nodes where evicting the victims is enough; those
   * that leave a gang below its minimum with members still running, or cost a pod that is not preemptible, only when there
   * are no others.
   */
  preempt(call: PreemptCall): PreemptAnswer {
    const { reservations, view, clock } = this.#context;
    const { lonePods, observation, projectPod } = this.#parts;
    const slot = reservations.slot(call.uid);
    if (slot) {
      // As with a filter call: one made before the nomination arrived says nothing about the node.
      if (call.nominatedNodeName === slot.node) observation.refuse(call.uid, 'preempt', undefined);
      return VETO;
    }
    const pod = projectPod(call.pod);
    if (gangKeyOf(pod) !== undefined) return VETO;
    const snapshot = view.snapshot();
    const victimsOf = (uids: readonly string[]) => uids.flatMap((uid) => view.pod(uid) ?? []);
    // A node whose reservations leave no room even then would be preempted on again and again.
    const fitting = [...call.victims].filter(([node, uids]) => {
      const templates = victimsOf(uids).map(({ template }) => template);
      return lonePods.fitsWithReservations(snapshot, node, pod, templates);
    });
    const isHarmless = (victims: readonly PodModel[]) => !victims.some(isProtected) && !this.#breaksGang(victims);
    const harmless = fitting.filter(([, uids]) => isHarmless(victimsOf(uids)));
    const nodes = (harmless.length > 0 ? harmless : fitting).map(([node]) => node);
    reservations.holdFor(pod, nodes, clock.now() + PREEMPTOR_HOLD_MS);
    return { outcome: nodes.length === call.victims.size ? 'echoed' : 'narrowed', nodes };
  }

  bind(call: BindCall, onCallerGone: (leave: () => void) => () => void): Promise<BindAnswer> {
    return this.#parts.binder.bind(call, onCallerGone);
  }

  /** Members that are held at the barrier are victims too: kube-scheduler counts them on their node already. */
  #breaksGang(victims: readonly PodModel[]): boolean {
    const uids = new Set(victims.map(({ uid }) => uid));
    return victims.some((victim) => {
      const record = this.#parts.gangs.get(gangKeyOf(victim) ?? '');
      if (!record) return false;
      const onTheirWay = this.#context.reservations.slotsOf(record.gang.key).map(({ pod }) => pod);
      const left = [...record.census.bound, ...onTheirWay].filter(({ uid }) => !uids.has(uid)).length;
      return left > 0 && left + record.census.succeeded < (record.gang.minMember ?? 0);
    });
  }

  #stableReason(gang: string): string {
    const record = this.#parts.gangs.get(gang);
    // A running gang has nothing to explain, but a member that found no place beside it has.
    const known = record?.publication.reason ?? record?.attempt.shortfall;
    const reason: Reason = known ?? { kind: 'gathering', have: 0, want: 0 };
    return explainStably(gang, reason);
  }
}

function isProtected({ annotations }: PodModel): boolean {
  return annotations[PREEMPTIBLE] === 'false';
}
