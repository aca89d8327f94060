/**
 * All capacity that is held without a bound pod: slots, holds of lone pods, placeholders, and what is reserved for
 * planned starts. The only owner of these. A slot is assumed when planned, confirmed when its member is seen bound, and
 * forgotten when it is given up.
 *
 * Invariants: a pod has at most one slot; a slot names one node; the slots of a gang come from one plan, or from later
 * plans of the same attempt.
 */
import type { PodModel, PodTemplate, PodUid, ResourceAmount } from '../../core/objects/model.ts';
import type { GangKey } from '../../core/podgroup/gang.ts';
import { exclusiveOf } from '../../core/podgroup/plan-record.ts';
import type { Slot } from './slot.ts';

/** What capacity is held for outside of slots. */
export type HoldKey =
  /** A lone pod that is being bound, or may preempt there. */
  { readonly kind: 'lone-pod'; readonly uid: PodUid } | PlaceholderKey;

/** A member that does not exist now. */
export type PlaceholderKey =
  /** The replacement of a member that a running gang lost. */
  | { readonly kind: 'replacement'; readonly gang: GangKey; readonly lost: PodUid }
  /** One of the last members of a gang that is planned early. */
  | { readonly kind: 'member-to-come'; readonly gang: GangKey; readonly rank: number };

/** The identity of a hold key: equal keys have equal ids. */
export type HoldId = string & { readonly holdId: never };

export function holdIdOf(key: HoldKey): HoldId {
  return renderKey(key) as HoldId;
}

function renderKey(key: HoldKey): string {
  switch (key.kind) {
    case 'lone-pod':
      return key.uid;
    case 'replacement':
      return `place of ${key.lost}`;
    case 'member-to-come':
      return `${key.gang}: member to come of rank ${key.rank}`;
    default:
      return key satisfies never;
  }
}

/** A pod that stands in for the member: like the example, with a UID that no other pod or stand-in has. */
export function standInFor(key: PlaceholderKey, example: PodModel): PodModel {
  return { ...example, uid: renderKey(key) as PodUid };
}

/** Capacity held outside of slots. */
export interface SpaceHold {
  readonly pod: PodModel;
  readonly node: string;
  /** When it expires unless confirmed, milliseconds. */
  readonly until: number;
}

/** Capacity held for a member that does not exist now; `pod` stands in for it. */
export interface Placeholder extends SpaceHold {
  readonly key: PlaceholderKey;
}

/**
 * Capacity of one node that is reserved for planned starts against lone pods. Gangs see planned starts in the reserved
 * view instead.
 */
export interface NodeReservation {
  readonly node: string;
  readonly priority: number;
  /** By resource. */
  readonly amounts: ReadonlyMap<string, number>;
}

interface Hold {
  readonly key: HoldKey;
  /** Several nodes: one of them will be used. */
  readonly spaces: readonly SpaceHold[];
}

export class Reservations {
  readonly #slots = new Map<string, Slot>();
  readonly #byGang = new Map<string, Map<string, Slot>>();
  /** `#byGang` and `#placeholders` as lists, until they change: each is asked for a dozen times in a cycle. */
  readonly #slotLists = new Map<string, readonly Slot[]>();
  readonly #placeholderLists = new Map<string, readonly Placeholder[]>();
  readonly #byNode = new Map<string, Map<string, { readonly pod: PodModel }>>();
  readonly #holds = new Map<HoldId, Hold>();
  readonly #placeholders = new Map<string, Map<HoldId, Placeholder>>();
  /** Nodes where something was taken or given back since `takeChangedNodes`. */
  #changedNodes = new Set<string>();
  #freed = 0;
  #taken = 0;
  /** On which node capacity became free, for each of the last freed generations; undefined: anywhere. */
  #freedNodes: (string | undefined)[] = [];
  #reserved = new Map<string, NodeReservation>();

  get size(): number {
    return this.#slots.size;
  }

  /**
   * The freed generation: grows each time capacity may have become free, so that a gang that found none tries again.
   */
  get freed(): number {
    return this.#freed;
  }

  /** Grows with each slot or hold that is taken. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Capacity may have become free in the cluster: a pod left its node, or nodes changed.
   * @param node what the pod took up on this node is all that became free; undefined: anything may have.
   */
  noteFreed(node?: string): void {
    this.#freed++;
    if (this.#freedNodes.length >= MAX_FREED) this.#freedNodes = this.#freedNodes.slice(MAX_FREED / 2);
    this.#freedNodes.push(node);
  }

  /** The nodes on which capacity became free since that freed generation; undefined: anything may have become free. */
  freedSince(generation: number): readonly string[] | undefined {
    const count = this.#freed - generation;
    if (count > this.#freedNodes.length) return undefined;
    const nodes = new Set(count === 0 ? [] : this.#freedNodes.slice(-count));
    return nodes.has(undefined) ? undefined : ([...nodes] as readonly string[]);
  }

  slot(uid: string): Slot | undefined {
    return this.#slots.get(uid);
  }

  slots(): Iterable<Slot> {
    return this.#slots.values();
  }

  /** The same list as at the last call, unless slots were taken or given back since. */
  slotsOf(gang: string): readonly Slot[] {
    return listOf(this.#slotLists, this.#byGang, gang);
  }

  countOf(gang: string): number {
    return this.#byGang.get(gang)?.size ?? 0;
  }

  /** Takes the capacity. If the pod has a slot already, the new one replaces it. */
  assume(slot: Slot): void {
    this.forget(slot.pod.uid);
    this.#slots.set(slot.pod.uid, slot);
    addEntry(this.#byGang, slot.gang, slot.pod.uid, slot);
    this.#slotLists.delete(slot.gang);
    this.#take(slot.node, slot.pod.uid, slot);
  }

  /** The member is bound: from now on the snapshot counts it. */
  confirm(uid: string): Slot | undefined {
    return this.#remove(uid);
  }

  /** Gives the capacity back. */
  forget(uid: string): Slot | undefined {
    const slot = this.#remove(uid);
    if (slot) this.noteFreed(slot.levels.exclusive === undefined ? nodeFreedBy(slot) : undefined);
    return slot;
  }

  #remove(uid: string): Slot | undefined {
    const slot = this.#slots.get(uid);
    if (!slot) return undefined;
    this.#slots.delete(uid);
    removeEntry(this.#byGang, slot.gang, uid);
    this.#slotLists.delete(slot.gang);
    this.#giveBack(slot.node, uid);
    return slot;
  }

  /** Holds capacity for a lone pod: on one node, or on several of which one will be used. */
  holdFor(pod: PodModel, nodes: readonly string[], until: number): void {
    this.#hold(
      { kind: 'lone-pod', uid: pod.uid },
      nodes.map((node) => ({ pod, node, until })),
    );
  }

  /** Ends the holds of a lone pod. */
  releaseHoldFor(uid: string): void {
    this.#release({ kind: 'lone-pod', uid: uid as PodUid });
  }

  /** The nodes among which a lone preemptor chose are free again. A binding that is being written keeps its node. */
  releaseChoiceOf(uid: string): void {
    const key: HoldKey = { kind: 'lone-pod', uid: uid as PodUid };
    const isEndless = this.#holds.get(holdIdOf(key))?.spaces.some(({ until }) => until === Number.POSITIVE_INFINITY);
    if (!isEndless) this.#release(key);
  }

  /** Holds capacity for a member that does not exist now. */
  addPlaceholder(placeholder: Placeholder): void {
    const { key } = placeholder;
    this.#hold(key, [placeholder]);
    addEntry(this.#placeholders, key.gang, holdIdOf(key), placeholder);
    this.#placeholderLists.delete(key.gang);
  }

  releasePlaceholder(key: PlaceholderKey): void {
    this.#release(key);
  }

  releasePlaceholdersOf(gang: string): void {
    for (const { key } of this.placeholdersOf(gang)) this.#release(key);
  }

  /** Turns a placeholder into a slot: nothing becomes free for others. */
  fillPlaceholder(key: PlaceholderKey, slot: Slot): void {
    const freed = this.#freed;
    const freedNodes = [...this.#freedNodes];
    this.#release(key);
    this.assume(slot);
    this.#freed = freed;
    this.#freedNodes = freedNodes;
  }

  /** Placeholders of the gang, in the order in which they were added. The same list as long as they are the same. */
  placeholdersOf(gang: string): readonly Placeholder[] {
    return listOf(this.#placeholderLists, this.#placeholders, gang);
  }

  countPlaceholders(gang: string): number {
    return this.#placeholders.get(gang)?.size ?? 0;
  }

  /** All holds and placeholders. */
  *holds(): Generator<readonly [key: HoldKey, hold: SpaceHold]> {
    for (const { key, spaces } of this.#holds.values()) for (const hold of spaces) yield [key, hold];
  }

  /** Ends the holds whose time is over. @param now milliseconds. */
  expire(now: number): void {
    for (const { key, spaces } of this.#holds.values())
      if (spaces.some(({ until }) => until <= now)) this.#release(key);
  }

  #hold(key: HoldKey, spaces: readonly SpaceHold[]): void {
    this.#release(key);
    const id = holdIdOf(key);
    if (spaces.length > 0) this.#holds.set(id, { key, spaces });
    for (const hold of spaces) this.#take(hold.node, id, hold);
  }

  #release(key: HoldKey): void {
    const id = holdIdOf(key);
    const hold = this.#holds.get(id);
    if (!hold) return;
    for (const { node } of hold.spaces) this.#giveBack(node, id);
    this.#holds.delete(id);
    if (key.kind !== 'lone-pod') {
      removeEntry(this.#placeholders, key.gang, id);
      this.#placeholderLists.delete(key.gang);
    }
    for (const space of hold.spaces) this.noteFreed(nodeFreedBy(space));
  }

  /** Replaces what is reserved for planned starts. */
  setReserved(reserved: readonly NodeReservation[]): void {
    this.#reserved = new Map(reserved.map((each) => [each.node, each]));
  }

  /** Adds what a departing pod frees on a node that has a reservation, until the next `setReserved`. */
  addReserved(node: string, left: readonly ResourceAmount[]): void {
    const reserved = this.#reserved.get(node);
    if (!reserved) return;
    const amounts = new Map(reserved.amounts);
    for (const { name, amount } of left) amounts.set(name, (amounts.get(name) ?? 0) + amount);
    this.#reserved.set(node, { ...reserved, amounts });
  }

  /** What is reserved of the node against pods of this priority or lower; undefined: nothing. */
  reservedAgainst(node: string, priority: number): NodeReservation['amounts'] | undefined {
    const reserved = this.#reserved.get(node);
    return reserved && reserved.priority >= priority ? reserved.amounts : undefined;
  }

  #take(node: string, id: string, holder: { readonly pod: PodModel }): void {
    this.#taken++;
    addEntry(this.#byNode, node, id, holder);
    this.#changedNodes.add(node);
  }

  #giveBack(node: string, id: string): void {
    removeEntry(this.#byNode, node, id);
    this.#changedNodes.add(node);
  }

  /** Nodes where held capacity changed since the last call. For one caller, which sums it by node. */
  takeChangedNodes(): Iterable<string> {
    const changed = this.#changedNodes;
    if (changed.size > 0) this.#changedNodes = new Set();
    return changed;
  }

  /** Templates that hold capacity on the node. */
  *templatesOn(node: string): Generator<PodTemplate> {
    for (const { pod } of this.#byNode.get(node)?.values() ?? []) yield pod.template;
  }

  /** Templates that hold capacity on the node against the pod: those of its priority or higher, except its own. */
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

/** For so many generations it is known where capacity became free. */
const MAX_FREED = 1_024;

/** The node, unless other nodes may be open now that it is gone: it repelled others, or kept a domain closed. */
export function nodeFreedBy({ pod, node }: { readonly pod: PodModel; readonly node: string }): string | undefined {
  return pod.template.antiAffinity.length === 0 && exclusiveOf(pod) === undefined ? node : undefined;
}

function listOf<Value>(
  lists: Map<string, readonly Value[]>,
  index: ReadonlyMap<string, ReadonlyMap<string, Value>>,
  group: string,
): readonly Value[] {
  const entries = index.get(group);
  if (!entries) return NONE;
  let list = lists.get(group);
  if (!list) {
    list = [...entries.values()];
    lists.set(group, list);
  }
  return list;
}

const NONE: readonly never[] = [];

function addEntry<Key, Value>(index: Map<string, Map<Key, Value>>, group: string, key: Key, value: Value): void {
  const entries = index.get(group);
  if (entries) entries.set(key, value);
  else index.set(group, new Map([[key, value]]));
}

function removeEntry<Key, Value>(index: Map<string, Map<Key, Value>>, group: string, key: Key): void {
  const entries = index.get(group);
  entries?.delete(key);
  if (entries?.size === 0) index.delete(group);
}
