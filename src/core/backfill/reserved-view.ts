/**
 * The cluster as a gang may use it without delaying planned starts.
 *
 * A gang that ends before a start is not in its way. Any other gang is still there when the start comes. Of a node it may
 * take what is free now, but no more than what will be free then beside the start's slots. So, resource by resource,
 * `free' = min(free, free + freed until then - slots)`; with several starts, the least of that over the instants at which
 * one begins.
 *
 * O(nodes + pods that end) for one view. `StartReservations` is made once for many views; each is then O(nodes + slots).
 */
import { isTerminated, type PodModel, type PodTemplate, type ResourceAmount } from '../objects/model.ts';
import type { Occupant, Snapshot } from '../snapshot/snapshot.ts';
import type { NodeIdx } from '../topology/tree.ts';
import type { Ending, PlannedStart } from './planned-start.ts';

/** What a start takes of one node. */
interface Claim {
  readonly start: PlannedStart;
  readonly amounts: readonly ResourceAmount[];
}

/** What a view lacks of one resource on one node. */
interface ReservedAmount {
  readonly node: NodeIdx;
  readonly column: number;
  readonly amount: number;
}

/** What is kept for planned starts: who will be there, and what of the nodes they need. */
export interface ReservedCapacity {
  readonly occupants: readonly Occupant[];
  readonly amounts: readonly ReservedAmount[];
}

/** The view without what is reserved; the snapshot itself when nothing is. */
export function withReserved(snapshot: Snapshot, { occupants, amounts }: ReservedCapacity): Snapshot {
  if (occupants.length === 0) return snapshot;
  const free = snapshot.free.map((column) => column.slice());
  for (const { node, column, amount } of amounts) free[column]![node]! -= amount;
  return { ...snapshot, free, occupants: [...snapshot.occupants, ...occupants] };
}

/** What is freed of one node. */
interface Release {
  readonly endsAt: number;
  readonly amounts: readonly ResourceAmount[];
}

interface StartSlot {
  readonly start: PlannedStart;
  readonly node: string;
  readonly amounts: readonly ResourceAmount[];
  /** Without requests: what it takes is taken off what is free. */
  readonly occupant: Omit<Occupant, 'node'>;
}

/**
 * The view for a gang that ends at `endsAt` (Infinity: unknown). The slots of each start with `startsAt < endsAt` become
 * occupants that take no resources; what they need is taken off what is free. The snapshot itself when there is no such
 * start. Unbound pods that end free something only if their occupant counts against everyone.
 */
export function reservedView(
  snapshot: Snapshot,
  starts: readonly PlannedStart[],
  endings: readonly Ending[],
  endsAt: number,
): Snapshot {
  return new StartReservations(starts, endings).viewUntil(snapshot, endsAt);
}

/** Later than any known end, milliseconds. */
const LAST_DAY = Number.MAX_SAFE_INTEGER;

/**
 * Reserves for all starts. Those that nobody knows the time of are treated as if they came on the last day, when all pods
 * of now have left: others may use what is free beyond that.
 * @param draining starts of unknown time.
 */
export function reserveStarts(
  known: readonly PlannedStart[],
  draining: readonly PlannedStart[],
  endings: readonly Ending[],
): StartReservations {
  if (draining.length === 0) return new StartReservations(known, endings);
  const starts = draining.map((start) => ({ ...start, startsAt: LAST_DAY, endsAt: Number.POSITIVE_INFINITY }));
  const ends = endings.map((ending) => (Number.isFinite(ending.endsAt) ? ending : { ...ending, endsAt: LAST_DAY }));
  return new StartReservations([...known, ...starts], ends);
}

/** Planned starts, and what is freed on their nodes. */
export class StartReservations {
  readonly #slots: readonly StartSlot[];
  readonly #nodes: ReadonlySet<string>;
  readonly #releases = new Map<string, Release[]>();
  /** When unbound pods end, by UID. */
  readonly #unbound = new Map<string, number>();

  constructor(starts: readonly PlannedStart[], endings: readonly Ending[]) {
    this.#slots = starts.flatMap(listSlots);
    this.#nodes = new Set(this.#slots.map(({ node }) => node));
    if (this.#nodes.size === 0) return;
    for (const ending of endings) this.add(ending);
  }

  /** Adds one more ending: a gang that was placed just now. */
  add({ endsAt, pods }: Ending): void {
    if (endsAt === Number.POSITIVE_INFINITY) return;
    for (const pod of pods) this.#addPod(pod, endsAt);
  }

  /** As `reservedView`, for any snapshot on which the same pods are bound. */
  viewUntil(snapshot: Snapshot, endsAt: number): Snapshot {
    return this.viewBetween(snapshot, Number.NEGATIVE_INFINITY, endsAt);
  }

  /**
   * The same for a gang that starts at `from`.
   * @param snapshot without the pods that have ended by then.
   */
  viewBetween(snapshot: Snapshot, from: number, until: number): Snapshot {
    return withReserved(snapshot, this.reserve(snapshot, from, until));
  }

  /** What a gang that runs from `from` to `until` has to leave; the same whichever pods have ended already. */
  reserve(snapshot: Snapshot, from: number, until: number): ReservedCapacity {
    const claims = new Map<NodeIdx, Claim[]>();
    const occupants: Occupant[] = [];
    for (const { start, node, occupant, amounts } of this.#slots) {
      const row = snapshot.indexOf.get(node);
      if (row === undefined || start.startsAt >= until || start.endsAt <= from) continue;
      occupants.push({ ...occupant, node: row });
      const there = claims.get(row);
      if (there) there.push({ start, amounts });
      else claims.set(row, [{ start, amounts }]);
    }
    const reserved: ReservedAmount[] = [];
    if (claims.size === 0) return { occupants, amounts: reserved };
    const releases = this.#listReleases(snapshot);
    for (const [node, own] of claims) {
      countReserved(snapshot.columns, own, releases(node), from, until).forEach((amount, column) => {
        if (amount > 0) reserved.push({ node, column, amount });
      });
    }
    return { occupants, amounts: reserved };
  }

  #addPod(pod: PodModel, endsAt: number): void {
    if (pod.nodeName === '') this.#unbound.set(pod.uid, endsAt);
    if (!this.#nodes.has(pod.nodeName) || isTerminated(pod)) return;
    const release = { endsAt, amounts: pod.template.requests };
    const there = this.#releases.get(pod.nodeName);
    if (there) there.push(release);
    else this.#releases.set(pod.nodeName, [release]);
  }

  #listReleases(snapshot: Snapshot): (node: NodeIdx) => readonly Release[] {
    const unbound = new Map<NodeIdx, Release[]>();
    if (this.#unbound.size > 0) {
      for (const { uid, node, shields, template } of snapshot.occupants) {
        const endsAt = this.#unbound.get(uid);
        if (endsAt === undefined || shields !== Number.POSITIVE_INFINITY) continue;
        const there = unbound.get(node) ?? [];
        there.push({ endsAt, amounts: template.requests });
        unbound.set(node, there);
      }
    }
    return (node) => [...(this.#releases.get(snapshot.nodes[node]!.name) ?? []), ...(unbound.get(node) ?? [])];
  }
}

function listSlots(start: PlannedStart): readonly StartSlot[] {
  const { key, members, topology } = start.request;
  const { exclusive } = topology;
  const byUid = new Map(members.map((member) => [member.uid, member]));
  const empty = new Map<PodTemplate, PodTemplate>();
  return start.slots.flatMap(({ uid, node }) => {
    const member = byUid.get(uid);
    if (!member) return [];
    const { namespace, labels, template: full } = member;
    const template = empty.get(full) ?? { ...full, requests: [] };
    empty.set(full, template);
    const shields = Number.POSITIVE_INFINITY;
    const occupant = { uid, namespace, labels, template, shields, gang: key, exclusive };
    return [{ start, node, amounts: full.requests, occupant }];
  });
}

/** What the claims need of a node beyond what is freed for them, by column: the most at any instant from `from` to `until`. */
function countReserved(
  columns: Snapshot['columns'],
  claims: readonly Claim[],
  releases: readonly Release[],
  from: number,
  until: number,
): Float64Array {
  const instants = new Set([from]);
  for (const { start } of claims) if (start.startsAt > from && start.startsAt < until) instants.add(start.startsAt);
  const most = new Float64Array(columns.size);
  const need = new Float64Array(columns.size);
  const add = (amounts: readonly ResourceAmount[], sign: 1 | -1) => {
    for (const { name, amount } of amounts) {
      const column = columns.get(name);
      if (column !== undefined) need[column]! += sign * amount;
    }
  };
  for (const at of instants) {
    need.fill(0);
    for (const { start, amounts } of claims) if (start.startsAt <= at && at < start.endsAt) add(amounts, 1);
    for (const { endsAt, amounts } of releases) if (from < endsAt && endsAt <= at) add(amounts, -1);
    need.forEach((amount, column) => {
      if (amount > most[column]!) most[column] = amount;
    });
  }
  return most;
}
