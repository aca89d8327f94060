/**
 * How many planned members kube-scheduler has before it. It takes pods one by one, those of all gangs in turns: of three
 * gangs of 1,000 that are nominated together none is complete before nearly all 3,000 have come, and by then their barriers
 * have timed out, again and again. One after the other each is through in a third of the time.
 */
import { GANG_GATE } from '../core/dialects/muster.ts';
import type { GangRecord } from './gang-record.ts';
import type { Slot } from './reservations.ts';

/** Members that may be on their way when another gang is started: enough to keep kube-scheduler busy for a second. */
export const CROWDED = 128;
/**
 * A gang of which nothing moved for so long, milliseconds, is stuck with kube-scheduler: others need not wait for it. With 3 s
 * gangs were started beside each other whenever the API server was slow, which made it slower still.
 */
const STALLED_MS = 10_000;
/** When to look again, milliseconds: arrivals at the barrier are no events of the watch. */
export const LOOK_AGAIN_MS = 200;

/** Members that have a slot and have not come to the barrier, of gangs that get further. */
export function countOnTheirWay(slots: Iterable<Slot>, now: number): number {
  const gangs = new Map<string, { nominated: number; movedAt: number }>();
  let onTheirWay = 0;
  for (const { gang, pod, state, since } of slots) {
    const seen = gangs.get(gang) ?? { nominated: 0, movedAt: 0 };
    gangs.set(gang, seen);
    seen.movedAt = Math.max(seen.movedAt, since);
    // One that never calls bind is never waited for.
    if (!pod.template.reachesExtender) continue;
    if (state === 'nominated') seen.nominated++;
    // Its nomination is being written: a slow API server is no reason to write more.
    else if (state === 'assumed') onTheirWay++;
  }
  for (const { nominated, movedAt } of gangs.values()) if (now - movedAt < STALLED_MS) onTheirWay += nominated;
  return onTheirWay;
}

/**
 * Whether the gang costs kube-scheduler nothing while it waits. Members without the gate are tried on all nodes and refused, again
 * and again: they are better nominated at once, beside whoever is on the way.
 */
export function isGated({ census }: GangRecord): boolean {
  return census.unbound.every(({ gates }) => gates.includes(GANG_GATE));
}

/** Members that do not exist yet, of gangs that are planned early. */
export function countExpected(records: readonly GangRecord[]): number {
  return records.reduce((sum, { early, vacancies }) => (early === 'under-way' ? sum + vacancies.size : sum), 0);
}
