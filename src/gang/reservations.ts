/**
 * Who holds which space without being bound yet: the only owner of slots. A slot is assumed when planned, confirmed when
 * the member is seen bound, forgotten when it is given up.
 *
 * Invariants: a pod has at most one slot; a slot names one node; a gang's slots come from one plan or from later plans
 * of the same attempt.
 */
import type { PodModel, PodTemplate } from '../core/model.ts';

export type SlotState =
  /** Decided; the nomination is not written yet. */
  | 'assumed'
  /** The nomination is written. */
  | 'nominated'
  /** kube-scheduler called bind; held at the barrier. */
  | 'held'
  /** The binding is being written. */
  | 'binding';

/** Mutable on purpose: it is the record of one member's progress. Only the coordinator writes it. */
export interface Slot {
  readonly pod: PodModel;
  readonly gang: string;
  readonly node: string;
  readonly plan: string;
  attempt: number;
  state: SlotState;
  /** When the slot last made progress, milliseconds. */
  since: number;
  /** How often the nomination was renewed because nothing happened. */
  renewals: number;
}

/**
 * Space held outside of slots: for a lone pod that is being bound or may preempt there, or for the replacement of a
 * member that left a running gang.
 */
export interface LoneHold {
  readonly pod: PodModel;
  readonly node: string;
  /** When it lapses unless confirmed, milliseconds. */
  readonly until: number;
}

export class Reservations {
  readonly #slots = new Map<string, Slot>();
  readonly #byGang = new Map<string, Map<string, Slot>>();
  readonly #byNode = new Map<string, Map<string, { readonly pod: PodModel }>>();
  readonly #lone = new Map<string, LoneHold[]>();

  get size(): number {
    return this.#slots.size;
  }

  slot(uid: string): Slot | undefined {
    return this.#slots.get(uid);
  }

  slots(): Iterable<Slot> {
    return this.#slots.values();
  }

  slotsOf(gang: string): readonly Slot[] {
    return [...(this.#byGang.get(gang)?.values() ?? [])];
  }

  countOf(gang: string): number {
    return this.#byGang.get(gang)?.size ?? 0;
  }

  /** Takes the space. A pod that had a slot loses the old one. */
  assume(slot: Slot): void {
    this.forget(slot.pod.uid);
    this.#slots.set(slot.pod.uid, slot);
    addTo(this.#byGang, slot.gang, slot.pod.uid, slot);
    addTo(this.#byNode, slot.node, slot.pod.uid, slot);
  }

  /** The member is bound: the cluster model counts it from now on. */
  confirm(uid: string): Slot | undefined {
    return this.forget(uid);
  }

  /** Gives the space back. */
  forget(uid: string): Slot | undefined {
    const slot = this.#slots.get(uid);
    if (!slot) return undefined;
    this.#slots.delete(uid);
    removeFrom(this.#byGang, slot.gang, uid);
    removeFrom(this.#byNode, slot.node, uid);
    return slot;
  }

  /** Holds space for a lone pod on each of the nodes: one that is being bound, or several that it may preempt on. */
  holdLone(holds: readonly LoneHold[]): void {
    const uid = holds[0]?.pod.uid;
    if (uid === undefined) return;
    this.releaseLone(uid);
    this.#lone.set(uid, [...holds]);
    for (const hold of holds) addTo(this.#byNode, hold.node, uid, hold);
  }

  releaseLone(uid: string): void {
    for (const hold of this.#lone.get(uid) ?? []) removeFrom(this.#byNode, hold.node, uid);
    this.#lone.delete(uid);
  }

  hasLone(uid: string): boolean {
    return this.#lone.has(uid);
  }

  loneHolds(): readonly LoneHold[] {
    return [...this.#lone.values()].flat();
  }

  /** Ends holds that were never confirmed. */
  expire(now: number): void {
    for (const [uid, holds] of this.#lone) if (holds.some((hold) => hold.until <= now)) this.releaseLone(uid);
  }

  /** True when nobody holds anything anywhere: the usual case, and a filter call then has nothing to check. */
  get isEmpty(): boolean {
    return this.#byNode.size === 0;
  }

  /** Templates that hold space on the node against the pod: everyone's of its priority or higher, but its own. */
  templatesAgainst(node: string, pod: Pick<PodModel, 'uid' | 'priority'>): readonly PodTemplate[] {
    const holders = this.#byNode.get(node);
    if (!holders) return [];
    const templates: PodTemplate[] = [];
    for (const [uid, holder] of holders) {
      if (uid !== pod.uid && holder.pod.priority >= pod.priority) templates.push(holder.pod.template);
    }
    return templates;
  }
}

function addTo<Value>(index: Map<string, Map<string, Value>>, key: string, uid: string, value: Value): void {
  const entries = index.get(key);
  if (entries) entries.set(uid, value);
  else index.set(key, new Map([[uid, value]]));
}

function removeFrom<Value>(index: Map<string, Map<string, Value>>, key: string, uid: string): void {
  const entries = index.get(key);
  entries?.delete(uid);
  if (entries?.size === 0) index.delete(key);
}
