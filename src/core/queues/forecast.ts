/**
 * Estimates when waiting gangs will start, for people who ask. A planned start is exact. For all other gangs
 * accelerators are counted, by resource and over the whole cluster: each gang starts in queue order as soon as enough
 * are free, and none before a gang ahead of it. That is too late for gangs that will be backfilled, and too early for
 * gangs that find the free space fragmented.
 *
 * O((waiting + endings) log endings + pods that end + nodes).
 */
import { sumAccelerators } from '../accelerators.ts';
import type { GangRequest, MemberRequest, PlanPolicy } from '../gang-request.ts';
import { isTerminated, type PodTemplate } from '../model.ts';
import type { GangKey } from '../pod-group.ts';
import type { Snapshot } from '../snapshot.ts';
import type { Ending, PlannedStart } from './planned-start.ts';

/** A gang that waits in the order of queues. */
export interface WaitingGang {
  readonly request: GangRequest;
  /** Undefined: unknown. */
  readonly lengthMs: number | undefined;
  /** Undefined: it has no planned start. */
  readonly start: PlannedStart | undefined;
}

export interface Forecast {
  readonly gang: GangKey;
  /** Its position in the order, from 1. */
  readonly position: number;
  /** Milliseconds since the epoch; undefined: unknown, because it depends on pods of unknown end. */
  readonly startsAt: number | undefined;
  /** What the estimate rests on; undefined: there is none. */
  readonly basis: 'planned start' | 'count' | undefined;
}

/** By accelerator resource. */
type Counts = ReadonlyMap<string, number>;

/**
 * A gang of unknown start takes nothing from the gangs behind it: nothing is reserved for it either.
 * @param waiting in the order in which they are tried.
 * @param endings as for `planStart`.
 */
export function forecastStarts(
  snapshot: Snapshot,
  waiting: readonly WaitingGang[],
  endings: readonly Ending[],
  policy: PlanPolicy,
  now: number,
): readonly Forecast[] {
  const line = new Timeline(countFree(snapshot, policy), now);
  const unbound = new Map(snapshot.occupants.map(({ uid, node }) => [uid, node]));
  for (const { endsAt, pods } of endings) {
    if (endsAt === Number.POSITIVE_INFINITY) continue;
    const held = new Map<string, number>();
    for (const pod of pods) {
      const node = snapshot.indexOf.get(pod.nodeName) ?? unbound.get(pod.uid);
      if (node !== undefined && isOpen(snapshot, node) && !isTerminated(pod)) addTo(held, pod.template, policy);
    }
    line.release(endsAt, held);
  }
  return waiting.map(({ request, lengthMs = Number.POSITIVE_INFINITY, start }, i): Forecast => {
    const asked = countAsked(request, policy);
    const known = start && Number.isFinite(start.startsAt) ? start.startsAt : undefined;
    const at = start ? known : line.findRoom(asked);
    if (at !== undefined) line.take(at, asked, lengthMs);
    const basis = at === undefined ? undefined : start ? 'planned start' : 'count';
    return { gang: request.key, position: i + 1, startsAt: at, basis };
  });
}

/** What is free as time goes on. Time never goes back. */
class Timeline {
  #now: number;
  readonly #free: Map<string, number>;
  /** What will still be freed, by resource. */
  readonly #coming = new Map<string, number>();
  readonly #releases = new Heap();

  constructor(free: Map<string, number>, now: number) {
    this.#free = free;
    this.#now = now;
  }

  release(at: number, amounts: Counts): void {
    if (at === Number.POSITIVE_INFINITY || amounts.size === 0) return;
    for (const [name, amount] of amounts) this.#coming.set(name, (this.#coming.get(name) ?? 0) + amount);
    this.#releases.push({ at, amounts });
  }

  /** The first instant from now on at which so much is free. Undefined: none is known, and time does not advance. */
  findRoom(asked: Counts): number | undefined {
    for (const [name, amount] of asked) {
      if ((this.#free.get(name) ?? 0) + (this.#coming.get(name) ?? 0) < amount) return undefined;
    }
    while ([...asked].some(([name, amount]) => (this.#free.get(name) ?? 0) < amount))
      this.#goTo(this.#releases.first!.at);
    return this.#now;
  }

  take(at: number, amounts: Counts, lengthMs: number): void {
    this.#goTo(at);
    for (const [name, amount] of amounts) this.#free.set(name, (this.#free.get(name) ?? 0) - amount);
    this.release(at + lengthMs, amounts);
  }

  #goTo(at: number): void {
    this.#now = Math.max(this.#now, at);
    for (let { first } = this.#releases; first && first.at <= this.#now; { first } = this.#releases) {
      for (const [name, amount] of first.amounts) {
        this.#free.set(name, (this.#free.get(name) ?? 0) + amount);
        this.#coming.set(name, this.#coming.get(name)! - amount);
      }
      this.#releases.pop();
    }
  }
}

interface Release {
  readonly at: number;
  readonly amounts: Counts;
}

/** The earliest release first. */
class Heap {
  readonly #items: Release[] = [];

  get first(): Release | undefined {
    return this.#items[0];
  }

  push(item: Release): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0 && items[(at - 1) >> 1]!.at > item.at) {
      items[at] = items[(at - 1) >> 1]!;
      at = (at - 1) >> 1;
    }
    items[at] = item;
  }

  pop(): void {
    const items = this.#items;
    const last = items.pop();
    if (!last || items.length === 0) return;
    let at = 0;
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && items[child + 1]!.at < items[child]!.at) child++;
      if (items[child]!.at >= last.at) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
  }
}

/** Free accelerators on nodes that take pods at all, minus what occupants hold. */
function countFree(snapshot: Snapshot, { isAccelerator }: PlanPolicy): Map<string, number> {
  const { byName, columns, free, occupants } = snapshot;
  const counts = new Map<string, number>();
  for (const [name, column] of columns) {
    if (!isAccelerator(name)) continue;
    const left = free[column]!.slice();
    for (const { node, template } of occupants) {
      for (const request of template.requests) if (request.name === name) left[node]! -= request.amount;
    }
    let sum = 0;
    // An overcommitted node counts as full.
    for (const node of byName) if (isOpen(snapshot, node)) sum += Math.max(0, left[node]!);
    counts.set(name, sum);
  }
  return counts;
}

function isOpen({ nodes }: Snapshot, node: number): boolean {
  const model = nodes[node];
  return model?.ready === true && !model.unschedulable;
}

/** What the gang needs at least to start: of an elastic gang, the members that ask for least. */
function countAsked({ members, min }: GangRequest, policy: PlanPolicy): Counts {
  const counts = new Map<string, number>();
  const total = ({ template }: MemberRequest) => sumAccelerators(template, policy.isAccelerator);
  const least = min < members.length ? members.toSorted((a, b) => total(a) - total(b)).slice(0, min) : members;
  for (const { template } of least) addTo(counts, template, policy);
  return counts;
}

function addTo(counts: Map<string, number>, { requests }: PodTemplate, { isAccelerator }: PlanPolicy): void {
  for (const { name, amount } of requests) {
    if (isAccelerator(name)) counts.set(name, (counts.get(name) ?? 0) + amount);
  }
}
