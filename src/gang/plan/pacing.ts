/**
 * Limits how many planned members kube-scheduler has at once. It takes pods one by one, from all gangs in turn: of
 * three gangs of 1,000 that are nominated together, none is complete before nearly all 3,000 have come, and by then
 * their barriers have timed out, again and again. One after the other, each is through in a third of the time.
 */
import { GANG_GATE } from '../../core/objects/keys.ts';
import type { Passage } from '../state/passage.ts';
import type { GangRecord } from '../state/records.ts';
import type { Reservations } from '../state/reservations.ts';
import type { Slot } from '../state/slot.ts';

/** Members that may be on their way when another gang is nominated: enough to keep kube-scheduler busy for a second. */
const MAX_ON_THEIR_WAY = 128;
/**
 * A gang without progress for this long, milliseconds, is stuck with kube-scheduler: others need not wait for it. With
 * 3 s, gangs were started side by side whenever the API server was slow, which made it slower still. For the same reason
 * no gang counts as stuck while nominations or gates are being written, nor while kube-scheduler has not had its members.
 */
const STALLED_MS = 10_000;
/** When to check again, milliseconds: arrivals at the barrier are no events of the watch. */
export const RECHECK_MS = 200;

export class Pacing {
  readonly #reservations: Reservations;
  readonly #passage: Passage;
  #onTheirWay = 0;
  #defers = false;

  constructor(reservations: Reservations, passage: Passage) {
    this.#reservations = reservations;
    this.#passage = passage;
  }

  /** Whether gangs wait only for others to get through, as of the last pass. */
  get defers(): boolean {
    return this.#defers;
  }

  /** Counts again, before the first gang of a pass is planned. O(slots + records). */
  begin(records: readonly GangRecord[], now: number): void {
    this.#defers = false;
    this.#onTheirWay = countOnTheirWay(this.#reservations.slots(), this.#passage, now);
    for (const record of records) this.#onTheirWay += this.#countExpected(record);
  }

  /** Adds members that were planned. */
  add(members: number): void {
    this.#onTheirWay += members;
  }

  /** Adds a gang that was planned before its last members exist. */
  addEarly(record: GangRecord): void {
    this.#onTheirWay += this.#reservations.countOf(record.gang.key) + this.#countExpected(record);
  }

  /** Whether the gang must wait until others are through. */
  isCrowded(record: GangRecord): boolean {
    return this.#onTheirWay >= MAX_ON_THEIR_WAY && isGated(record);
  }

  /** The gang waits for others: the next cycle comes soon. */
  defer(): void {
    this.#defers = true;
  }

  /** Members to come of a gang that is planned early. */
  #countExpected({ gang, attempt }: GangRecord): number {
    return attempt.early === 'under-way' ? this.#reservations.countPlaceholders(gang.key) : 0;
  }
}

/** Members that have a slot and have not come to the barrier, of gangs that make progress. */
function countOnTheirWay(slots: Iterable<Slot>, passage: Passage, now: number): number {
  const gangs = new Map<string, { nominated: number; movedAt: number; last: Slot }>();
  let onTheirWay = 0;
  let areWriting = false;
  let seen: { nominated: number; movedAt: number; last: Slot } | undefined;
  let current: string | undefined;
  for (const slot of slots) {
    const { gang, pod, state, since, isFailing, isUngated } = slot;
    // The slots of a gang follow one another.
    if (seen === undefined || gang !== current) {
      seen = gangs.get(gang) ?? { nominated: 0, movedAt: 0, last: slot };
      gangs.set(gang, seen);
      current = gang;
    }
    seen.movedAt = Math.max(seen.movedAt, since);
    // Nobody waits for a member that bypasses the extender.
    if (!pod.template.reachesExtender) continue;
    const isGated = pod.gates.includes(GANG_GATE) && !isUngated;
    if (!isFailing && (state === 'assumed' || (state === 'nominated' && isGated))) areWriting = true;
    if (state === 'nominated') {
      seen.nominated++;
      if (seen.last.since < since) seen.last = slot;
    }
    // Its nomination is being written: a slow API server is no reason to write more.
    else if (state === 'assumed') onTheirWay++;
  }
  for (const { nominated, movedAt, last } of gangs.values()) {
    if (nominated === 0) continue;
    const isStuck =
      !areWriting &&
      now - movedAt >= STALLED_MS &&
      now - passage.lastBefore(last.pod.priority, last.since) >= STALLED_MS;
    if (!isStuck) onTheirWay += nominated;
  }
  return onTheirWay;
}

/**
 * Whether the gang costs kube-scheduler nothing while it waits. Members without the gate are tried on all nodes and
 * refused again and again, so such a gang is nominated at once.
 */
function isGated({ census }: GangRecord): boolean {
  return census.unbound.every(({ gates }) => gates.includes(GANG_GATE));
}
