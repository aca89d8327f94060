/**
 * What freed space cannot help is not planned again. A gang whose equal members lack nothing but room says for how many of
 * them: as long as the nodes on which something was freed since hold fewer, another plan would end as the last one. With
 * 500 gangs of different shapes in a full cluster, each freed GPU planned all of them again; now it plans none.
 *
 * A gang that could take room from others is planned each time: with what is freed, it may need fewer victims. And
 * what others have taken since makes a reason untrue, so a gang is planned again for its reason's sake, now and then.
 */
import type { PodTemplate } from '../../core/objects/model.ts';
import type { GangRequest } from '../../core/placement/gang-request.ts';
import type { Unschedulable } from '../../core/placement/report.ts';
import type { QueueTree } from '../../core/queues/tree.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { LoopContext } from '../framework/context.ts';
import type { LowestPriority } from '../framework/lowest-priority.ts';
import { widensAt } from '../state/attempt.ts';
import type { GangRecord } from '../state/records.ts';

/** How long a reason may say what was so before others took or gave back capacity, milliseconds. */
const REASON_MS = 5_000;

export interface FreedSpaceParts {
  readonly lowest: LowestPriority;
  readonly queues: { readonly tree: QueueTree };
}

export class FreedSpace {
  readonly #context: Pick<LoopContext, 'view' | 'reservations'>;
  readonly #parts: FreedSpaceParts;
  /** For how many members there is room on the freed nodes, by freed generation and template; for this pass. */
  readonly #rooms = new Map<string, number>();
  #records: readonly GangRecord[] = [];
  #nextAt = Number.POSITIVE_INFINITY;
  /** Who could be displaced; undefined: not asked in this pass, or changed since. */
  #holders: { readonly at: number; readonly priority: number; readonly setBack: number } | undefined;

  constructor(context: Pick<LoopContext, 'view' | 'reservations'>, parts: FreedSpaceParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** A pass begins. */
  begin(records: readonly GangRecord[]): void {
    this.#records = records;
    this.#rooms.clear();
    this.#holders = undefined;
    this.#nextAt = Number.POSITIVE_INFINITY;
  }

  /** When a gang that was passed over is to be planned for its reason's sake, milliseconds; Infinity: none is. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** How the cluster's free capacity looks, as a number that grows with each change of it. */
  get revision(): number {
    const { view, reservations } = this.#context;
    return view.snapshot().generation + reservations.taken;
  }

  /** Whether planning the gang again would find too little room again. @param now milliseconds. */
  isInVain(record: GangRecord, now: number): boolean {
    const { attempt, preemption, census } = record;
    const { lacksRoomFor: lacking, unschedulableAt, shortfall } = attempt;
    const [member] = census.unbound;
    if (lacking === undefined || !member || now >= widensAt(shortfall) || now >= preemption.searchesAt) return false;
    // From half of it on it is planned again, so that what people read is not far off.
    const room = this.#roomFor(member.template, unschedulableAt);
    const isInVain = (room === 0 || 2 * room < lacking) && !this.#mayTakeRoom(record);
    return isInVain && !this.#isReasonDue(record, now);
  }

  /** Whether the gang's reason may have become untrue, and has stood long enough. */
  #isReasonDue({ attempt: { shortfallOf } }: GangRecord, now: number): boolean {
    if (shortfallOf.revision === this.revision) return false;
    const dueAt = shortfallOf.at + REASON_MS;
    if (now < dueAt) this.#nextAt = Math.min(this.#nextAt, dueAt);
    return now >= dueAt;
  }

  #roomFor(template: PodTemplate, since: number): number {
    const { view, reservations } = this.#context;
    const { freed } = reservations;
    const key = `${since} ${freed} ${template.key}`;
    let room = this.#rooms.get(key);
    if (room === undefined) {
      const nodes = reservations.freedSince(since);
      room = nodes ? countRoom(view.snapshot(), nodes, template) : Number.POSITIVE_INFINITY;
      this.#rooms.set(key, room);
    }
    return room;
  }

  /** Whether there may be anybody whom it may evict or displace. */
  #mayTakeRoom({ gang, admission }: GangRecord): boolean {
    if (!gang.preempts) return false;
    if (this.#parts.queues.tree.promised.size > 0 || gang.priority > this.#parts.lowest.now) return true;
    const { priority, setBack } = this.#listHolders();
    return gang.priority > priority || (gang.priority === priority && setBack > admission.setBack);
  }

  /** The lowest priority of what holds slots and placeholders, and how far a gang that does is set back at most. */
  #listHolders(): { readonly priority: number; readonly setBack: number } {
    const { reservations } = this.#context;
    const at = reservations.taken;
    if (this.#holders?.at === at) return this.#holders;
    let priority = Number.POSITIVE_INFINITY;
    let setBack = 0;
    for (const { pod } of reservations.slots()) priority = Math.min(priority, pod.priority);
    for (const [key, { pod }] of reservations.holds())
      if (key.kind !== 'lone-pod') priority = Math.min(priority, pod.priority);
    if (reservations.size > 0) {
      for (const { gang, admission } of this.#records) {
        if (reservations.countOf(gang.key) > 0) setBack = Math.max(setBack, admission.setBack);
      }
    }
    this.#holders = { at, priority, setBack };
    return this.#holders;
  }
}

/** For how many members there is room, at most: what others hold on the nodes without being bound is not taken off. */
export function countRoom(
  { indexOf, columns, free }: Snapshot,
  nodes: readonly string[],
  template: PodTemplate,
): number {
  let room = 0;
  for (const name of nodes) {
    const row = indexOf.get(name);
    if (row === undefined) continue;
    let fits = Number.POSITIVE_INFINITY;
    for (const { name: resource, amount } of template.requests) {
      const column = columns.get(resource);
      const left = column === undefined ? 0 : free[column]![row]!;
      if (amount > 0) fits = Math.min(fits, Math.floor(left / amount));
    }
    room += Math.max(0, fits);
  }
  return room;
}

/**
 * How many members more must find room, if they are alike and room is all that they lack; undefined: nodes may become
 * usable for another cause, or how many fit is an estimate.
 */
export function countLackingRoom(request: GangRequest, lacked: Unschedulable): number | undefined {
  const { members, placed, refused, avoided, excludedModels, topology } = request;
  const template = members[0]?.template;
  if (!template || placed.length + refused.size + avoided.size + excludedModels.size > 0) return undefined;
  if (topology.slice || topology.spread !== undefined || topology.exclusive !== undefined) return undefined;
  if (template.antiAffinity.length + template.spread.length + template.hostPorts.length > 0) return undefined;
  if (members.some((member) => member.template !== template || member.pinnedTo)) return undefined;
  return Math.max(1, lacked.want - lacked.fits);
}
