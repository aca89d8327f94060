/**
 * Who holds which space without being bound yet: the only owner of slots. A slot is assumed when planned, confirmed when
 * the member is seen bound, forgotten when it is given up.
 *
 * Invariants: a pod has at most one slot; a slot names one node; a gang's slots come from one plan or from later plans
 * of the same attempt.
 */
import type { PodModel, PodTemplate, ResourceAmount } from '../core/model.ts';

export type SlotState =
  /** Decided, and recorded on the member; the node is not free yet: pods that are preempted, or leave anyway, are on it. */
  | 'fenced'
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
  /** The record was written ahead of the nomination, while the slot was fenced. */
  recorded: boolean;
  /** The nomination was written at least once; writing it again is no progress. */
  written: boolean;
  /** How often the nomination was renewed because nothing happened. */
  renewals: number;
  /** The gate was removed; the watch may not show it yet. A gate never comes back. */
  ungated: boolean;
}

/** A slot that was just decided. */
export function newSlot(
  decided: Pick<Slot, 'pod' | 'gang' | 'node' | 'plan' | 'attempt' | 'since'>,
  state: 'assumed' | 'fenced' = 'assumed',
): Slot {
  return { ...decided, state, recorded: false, written: false, renewals: 0, ungated: false };
}

/**
 * Space held outside of slots: for a lone pod that is being bound or may preempt there, or for the replacement of a
 * member that left a running gang.
 */
export interface SpaceHold {
  readonly pod: PodModel;
  readonly node: string;
  /** When it lapses unless confirmed, milliseconds. */
  readonly until: number;
}

/** What is kept of a node for a gang that is planned to start there later; gangs know of it from their plans. */
export interface Kept {
  readonly node: string;
  readonly priority: number;
  /** By resource. */
  readonly amounts: ReadonlyMap<string, number>;
}

export class Reservations {
  readonly #slots = new Map<string, Slot>();
  readonly #byGang = new Map<string, Map<string, Slot>>();
  readonly #byNode = new Map<string, Map<string, { readonly pod: PodModel }>>();
  readonly #holds = new Map<string, readonly SpaceHold[]>();
  /** Nodes where something was taken or given back since `takeChangedNodes`. */
  #changedNodes = new Set<string>();
  #freed = 0;
  #kept = new Map<string, Kept>();

  get size(): number {
    return this.#slots.size;
  }

  /** Grows each time space is given back: whoever found none may find some now. */
  get freed(): number {
    return this.#freed;
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
    this.#take(slot.node, slot.pod.uid, slot);
  }

  /** The member is bound: the cluster model counts it from now on. */
  confirm(uid: string): Slot | undefined {
    return this.#remove(uid);
  }

  /** Gives the space back. */
  forget(uid: string): Slot | undefined {
    const slot = this.#remove(uid);
    if (slot) this.#freed++;
    return slot;
  }

  #remove(uid: string): Slot | undefined {
    const slot = this.#slots.get(uid);
    if (!slot) return undefined;
    this.#slots.delete(uid);
    removeFrom(this.#byGang, slot.gang, uid);
    this.#giveBack(slot.node, uid);
    return slot;
  }

  /**
   * Holds space outside of slots: on one node, or on several of which one will be used.
   * @param key what `releaseHold` takes: the UID of a lone pod, or a name of the holder's own.
   */
  hold(key: string, holds: readonly SpaceHold[]): void {
    this.releaseHold(key);
    if (holds.length > 0) this.#holds.set(key, holds);
    for (const hold of holds) this.#take(hold.node, key, hold);
  }

  /** The space of a hold goes over to a slot: nothing becomes free for others. */
  assumeHeld(key: string, slot: Slot): void {
    const freed = this.#freed;
    this.releaseHold(key);
    this.assume(slot);
    this.#freed = freed;
  }

  releaseHold(key: string): void {
    const holds = this.#holds.get(key);
    if (!holds) return;
    for (const hold of holds) this.#giveBack(hold.node, key);
    this.#holds.delete(key);
    this.#freed++;
  }

  /** What is held under the key. */
  holdsOf(key: string): readonly SpaceHold[] {
    return this.#holds.get(key) ?? [];
  }

  hasHold(key: string): boolean {
    return this.#holds.has(key);
  }

  *holds(): Generator<readonly [key: string, hold: SpaceHold]> {
    for (const [key, holds] of this.#holds) for (const hold of holds) yield [key, hold];
  }

  /** Ends holds that were never confirmed. */
  expire(now: number): void {
    for (const [key, holds] of this.#holds) if (holds.some((hold) => hold.until <= now)) this.releaseHold(key);
  }

  /** From now on this, and nothing else, is kept. */
  keep(kept: readonly Kept[]): void {
    this.#kept = new Map(kept.map((each) => [each.node, each]));
  }

  /** What a pod leaves of a node where something is kept is kept, too, until `keep` says what is. */
  keepMore(node: string, left: readonly ResourceAmount[]): void {
    const kept = this.#kept.get(node);
    if (!kept) return;
    const amounts = new Map(kept.amounts);
    for (const { name, amount } of left) amounts.set(name, (amounts.get(name) ?? 0) + amount);
    this.#kept.set(node, { ...kept, amounts });
  }

  /** What is kept of the node against pods of this priority or lower; undefined: nothing. */
  keptAgainst(node: string, priority: number): Kept['amounts'] | undefined {
    const kept = this.#kept.get(node);
    return kept && kept.priority >= priority ? kept.amounts : undefined;
  }

  #take(node: string, key: string, holder: { readonly pod: PodModel }): void {
    addTo(this.#byNode, node, key, holder);
    this.#changedNodes.add(node);
  }

  #giveBack(node: string, key: string): void {
    removeFrom(this.#byNode, node, key);
    this.#changedNodes.add(node);
  }

  /** Nodes where the space held is not what it was at the last such call; for the one who adds it up by node. */
  takeChangedNodes(): Iterable<string> {
    const changed = this.#changedNodes;
    if (changed.size > 0) this.#changedNodes = new Set();
    return changed;
  }

  /** Templates that hold space on the node. */
  *templatesOn(node: string): Generator<PodTemplate> {
    for (const { pod } of this.#byNode.get(node)?.values() ?? []) yield pod.template;
  }

  /** Templates that hold space on the node against the pod: everyone's of its priority or higher, but its own. */
  templatesAgainst(node: string, pod: Pick<PodModel, 'uid' | 'priority'>): readonly PodTemplate[] {
    const holders = this.#byNode.get(node);
    if (!holders) return [];
    const templates: PodTemplate[] = [];
    for (const holder of holders.values()) {
      if (holder.pod.uid !== pod.uid && holder.pod.priority >= pod.priority) templates.push(holder.pod.template);
    }
    return templates;
  }
}

/** Whether a binding is being written, or was and is not seen yet: that space is taken whatever is decided. */
export function anyBinding(slots: readonly Slot[]): boolean {
  return slots.some(({ state }) => state === 'binding');
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
