/** Answers the calls of kube-scheduler from the tables: nothing is planned here, and only a held bind waits. */
import { POD_GROUP_LABEL, PREEMPTIBLE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import { schedulerNameOf } from '../../core/objects/pod-projection.ts';
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
import type { KeyAdvisor } from '../write/key-advisor.ts';
import type { Binder } from './binder.ts';
import type { LoneAdmission } from './lone-admission.ts';
import type { LonePods } from './lone-pods.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'clock' | 'isolation'>;

export interface VerbsParts {
  readonly gangs: GangTable;
  readonly observation: Observation;
  readonly binder: Binder;
  readonly lonePods: LonePods;
  readonly loneAdmission: LoneAdmission;
  readonly projectPod: (raw: object) => PodModel;
  readonly advisor: KeyAdvisor;
}

/** Keys of `FailedAndUnresolvableNodes` that name no node: kube-scheduler shows the text once and looks no further. */
const GANG_KEY = 'muster.dev/gang';
const QUEUE_KEY = 'muster.dev/queue';
const RESERVED_KEY = 'muster.dev/reserved';

/** If a filter call lacks a nomination that was written longer ago than this, it was erased, not just late. */
const NOMINATION_LAG_MS = 1_000;

/** How long capacity is held for a lone preemptor on all answered nodes, until its nomination shows the one it uses. */
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
    const { reservations, view, isolation } = this.#context;
    const { lonePods, loneAdmission, advisor } = this.#parts;
    const slot = reservations.slot(call.uid);
    if (slot) return isolation.run(slot.gang, 'answer', () => this.#filterMember(call, slot)) ?? refusalOf(slot.gang);
    const pod = this.#podOf(call);
    if (!pod.isOurs && pod.labels[POD_GROUP_LABEL]) advisor.onForeignMember(pod, schedulerNameOf(call.pod));
    const gang = gangKeyOf(pod);
    if (gang !== undefined) return isolation.run(gang, 'answer', () => this.#wait(gang, pod)) ?? refusalOf(gang);
    const held = loneAdmission.findHoldReason(pod);
    if (held) return { outcome: 'queued', key: QUEUE_KEY, reason: `the pod ${explainHoldReasonStably(held)}` };
    const nodeNames = lonePods.filter(view.snapshot(), pod, call.nodeNames);
    if (nodeNames.length > 0 || call.nodeNames.length === 0) return { outcome: 'lone', nodeNames };
    const reason = 'what is free is reserved for gangs that are starting';
    return { outcome: 'reserved', key: RESERVED_KEY, reason };
  }

  /** The same version is the same pod, and reading it again from the call takes a fifth of a lone pod's call. */
  #podOf(call: NodesCall): PodModel {
    const seen = call.version === '' ? undefined : this.#context.view.pod(call.uid);
    return seen?.version === call.version ? seen : this.#parts.projectPod(call.pod);
  }

  #wait(gang: string, pod: PodModel): FilterAnswer {
    return { outcome: 'waiting', key: GANG_KEY, reason: this.#reasonFor(gang, pod) };
  }

  /** The member's node if it is offered; else none, and the cause is determined. */
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
    // The member was popped before its nomination arrived, so the offered names are a sample without its node. The
    // nomination wakes it again.
    const isLate = slot.state === 'nominated' && this.#context.clock.now() - slot.since > NOMINATION_LAG_MS;
    if (isLate) observation.renominate(call.uid);
    return { outcome: 'early', key: GANG_KEY, reason };
  }

  prioritize(call: NodesCall): PrioritizeAnswer {
    const { reservations, view } = this.#context;
    const { lonePods, projectPod } = this.#parts;
    const slot = reservations.slot(call.uid);
    if (slot) return { outcome: 'member', scoreOf: (name) => (name === slot.node ? MAX_SCORE : 0) };
    // The watch has nearly always shown the pod; that saves parsing it.
    const pod = view.pod(call.uid) ?? projectPod(call.pod);
    return { outcome: 'lone', scoreOf: lonePods.scorer(view.snapshot(), pod) };
  }

  /**
   * Vetoes preemption for a gang member: Muster preempts whole gangs. For other pods, returns the nodes where evicting
   * the victims is enough. Nodes where that would leave a gang below its minimum with members still running, or evict a
   * pod that is not preemptible, are returned only if there are no others.
   */
  preempt(call: PreemptCall): PreemptAnswer {
    const { reservations, view, clock, isolation } = this.#context;
    const { lonePods, observation, projectPod } = this.#parts;
    const slot = reservations.slot(call.uid);
    if (slot) {
      // As with a filter call: a call made before the nomination arrived says nothing about the node.
      const refuse = () => observation.refuse(call.uid, 'preempt', undefined);
      if (call.nominatedNodeName === slot.node) isolation.run(slot.gang, 'answer', refuse);
      return VETO;
    }
    const pod = projectPod(call.pod);
    if (gangKeyOf(pod) !== undefined) return VETO;
    const snapshot = view.snapshot();
    const victimsOf = (uids: readonly string[]) => uids.flatMap((uid) => view.pod(uid) ?? []);
    // A node whose reservations leave too little even then would be preempted on again and again.
    const fitting = [...call.victims].filter(([node, uids]) => {
      const templates = victimsOf(uids).map(({ template }) => template);
      return lonePods.fitsWithReservations(snapshot, node, pod, templates);
    });
    const isHarmless = (victims: readonly PodModel[]) => !victims.some(isProtected) && !this.#breaksGang(victims);
    const harmless = fitting.filter(([, uids]) => isHarmless(victimsOf(uids)));
    const nodes = (harmless.length > 0 ? harmless : fitting).map(([node]) => node);
    if (pod.isOurs) reservations.holdFor(pod, nodes, clock.now() + PREEMPTOR_HOLD_MS);
    return { outcome: nodes.length === call.victims.size ? 'echoed' : 'narrowed', nodes };
  }

  async bind(call: BindCall, onCallerGone: (leave: () => void) => () => void): Promise<BindAnswer> {
    const { reservations, isolation } = this.#context;
    const gang = reservations.slot(call.uid)?.gang;
    try {
      return await this.#parts.binder.bind(call, onCallerGone);
    } catch (error) {
      if (gang === undefined) throw error;
      isolation.fail(gang, 'answer', error);
      return { outcome: 'refused', message: `gang ${gang}: the binding failed, see its reason` };
    }
  }

  /** Members held at the barrier can be victims too: kube-scheduler counts them on their node already. */
  #breaksGang(victims: readonly PodModel[]): boolean {
    const uids = new Set(victims.map(({ uid }) => uid));
    return victims.some((victim) => {
      const record = this.#parts.gangs.get(gangKeyOf(victim) ?? '');
      if (!record) return false;
      const onTheirWay = this.#context.reservations.slotsOf(record.gang.key).map(({ pod }) => pod);
      const left = [...record.census.bound, ...onTheirWay].filter(({ uid }) => !uids.has(uid)).length;
      return left > 0 && left < (record.gang.minMember ?? 0);
    });
  }

  /** Pods of a later run wait for the end of the gang's run, whatever that one waits for. */
  #reasonFor(gang: string, { uid }: PodModel): string {
    const { run, laterRuns } = this.#parts.gangs.get(gang)?.gang ?? {};
    const own = laterRuns?.find(({ pods }) => pods.some((pod) => pod.uid === uid));
    if (!own) return this.#stableReason(gang);
    return explainStably(gang, { kind: 'later-runs', run, later: [own.name], count: 1 });
  }

  #stableReason(gang: string): string {
    const record = this.#parts.gangs.get(gang);
    // A running gang needs no reason, but a member without capacity beside it does.
    const known = record?.publication.reason ?? record?.attempt.shortfall;
    const reason: Reason = known ?? { kind: 'gathering', have: 0, want: 0 };
    return explainStably(gang, reason);
  }
}

/** The answer when even the reason could not be found. */
function refusalOf(gang: string): FilterAnswer {
  return { outcome: 'waiting', key: GANG_KEY, reason: `gang ${gang} is set aside` };
}

function isProtected({ annotations }: PodModel): boolean {
  return annotations[PREEMPTIBLE] === 'false';
}
