/**
 * The cluster as a gang may use it that must not delay planned starts.
 *
 * A gang that ends before a start is not in its way. Any other one is still there when the start comes: it may take of a node what is
 * free now, but no more than what will be free then beside the start's slots. So, resource by resource,
 * `free' = min(free, free + freed until then - slots)`, and with several starts the least of that over the instants at which one begins.
 */
import { isTerminated, type PodModel, type PodTemplate, type ResourceAmount } from '../model.ts';
import type { NodeIdx } from '../node-idx.ts';
import type { Occupant, Snapshot } from '../snapshot.ts';
import type { Ending, PlannedStart } from './planned-start.ts';

/** What a start takes of one node. */
interface Claim {
  readonly start: PlannedStart;
  readonly amounts: readonly ResourceAmount[];
}

/** What a view lacks on one node, and who will be there. */
interface Take {
  readonly node: NodeIdx;
  readonly column: number;
  readonly amount: number;
}

export interface Keep {
  readonly occupants: readonly Occupant[];
  readonly takes: readonly Take[];
}

/** The view with what is kept; the snapshot itself when nothing is. */
export function layOver(snapshot: Snapshot, { occupants, takes }: Keep): Snapshot {
  if (occupants.length === 0) return snapshot;
  const free = snapshot.free.map((column) => column.slice());
  for (const { node, column, amount } of takes) free[column]![node]! -= amount;
  return { ...snapshot, free, occupants: [...snapshot.occupants, ...occupants] };
}

/** What is freed of one node. */
interface Release {
  readonly endsAt: number;
  readonly amounts: readonly ResourceAmount[];
}

interface Slot {
  readonly start: PlannedStart;
  readonly node: string;
  readonly amounts: readonly ResourceAmount[];
  /** Without requests: what it takes is taken off what is free. */
  readonly occupant: Omit<Occupant, 'node'>;
}

/**
 * The snapshot as a gang may use it that ends at `endsAt` (Infinity: unknown) without delaying any of the starts: for each one with
 * `startsAt < endsAt` its slots are occupants, which take no resources, and free is what they leave of it. The snapshot itself when
 * no start is in question. Of unbound pods that end, only those whose occupant counts against everyone free anything. O(nodes + pods
 * that end); whoever asks often makes the `KeptStarts` once, then it is O(nodes + slots).
 */
export function besideStarts(
  snapshot: Snapshot,
  starts: readonly PlannedStart[],
  endings: readonly Ending[],
  endsAt: number,
): Snapshot {
  return new KeptStarts(starts, endings).until(snapshot, endsAt);
}

/** Later than anything that is known to end, milliseconds. */
const LAST_DAY = Number.MAX_SAFE_INTEGER;

/**
 * Starts of which nobody knows when they come are kept as if that were on the last day, when all who are there will have left: what is
 * free now beyond that is there for others.
 */
export function keepStarts(
  known: readonly PlannedStart[],
  draining: readonly PlannedStart[],
  endings: readonly Ending[],
): KeptStarts {
  if (draining.length === 0) return new KeptStarts(known, endings);
  const starts = draining.map((start) => ({ ...start, startsAt: LAST_DAY, endsAt: Number.POSITIVE_INFINITY }));
  const ends = endings.map((ending) => (Number.isFinite(ending.endsAt) ? ending : { ...ending, endsAt: LAST_DAY }));
  return new KeptStarts([...known, ...starts], ends);
}

/** Planned starts, and what is freed on their nodes. */
export class KeptStarts {
  readonly #slots: readonly Slot[];
  readonly #nodes: ReadonlySet<string>;
  readonly #releases = new Map<string, Release[]>();
  /** When unbound pods leave, by UID. */
  readonly #unbound = new Map<string, number>();

  constructor(starts: readonly PlannedStart[], endings: readonly Ending[]) {
    this.#slots = starts.flatMap(listSlots);
    this.#nodes = new Set(this.#slots.map(({ node }) => node));
    if (this.#nodes.size === 0) return;
    for (const ending of endings) this.add(ending);
  }

  /** One more that ends: a gang that was placed just now. */
  add({ endsAt, pods }: Ending): void {
    if (endsAt === Number.POSITIVE_INFINITY) return;
    for (const pod of pods) this.#addPod(pod, endsAt);
  }

  /** As `besideStarts`, for any snapshot on which the same pods are bound. */
  until(snapshot: Snapshot, endsAt: number): Snapshot {
    return this.between(snapshot, Number.NEGATIVE_INFINITY, endsAt);
  }

  /**
   * The same for a gang that is there from `from` on.
   * @param snapshot without whoever has left by then.
   */
  between(snapshot: Snapshot, from: number, until: number): Snapshot {
    return layOver(snapshot, this.keep(snapshot, from, until));
  }

  /** What is kept from a gang that is there from `from` to `until`; the same whoever has left already. */
  keep(snapshot: Snapshot, from: number, until: number): Keep {
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
    const takes: Take[] = [];
    if (claims.size === 0) return { occupants, takes };
    const releases = this.#listReleases(snapshot);
    for (const [node, own] of claims) {
      countKept(snapshot.columns, own, releases(node), from, until).forEach((amount, column) => {
        if (amount > 0) takes.push({ node, column, amount });
      });
    }
    return { occupants, takes };
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

function listSlots(start: PlannedStart): readonly Slot[] {
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

/** What the claims need of a node beyond what is freed for them: the most at any instant of the span, by column. */
function countKept(
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
