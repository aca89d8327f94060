/**
 * How many planned members kube-scheduler has before it. It takes pods one by one, those of all gangs in turns: of three
 * gangs of 1,000 that are nominated together none is complete before nearly all 3,000 have come, and by then their barriers
 * have timed out, again and again. One after the other each is through in a third of the time.
 */
import type { Slot } from './reservations.ts';

/** Members that may be on their way when another gang is started: enough to keep kube-scheduler busy for a second. */
export const CROWDED = 128;
/** A gang of which nothing moved for so long, milliseconds, is stuck: others need not wait for it. */
const STALLED_MS = 3_000;
/** When to look again, milliseconds: arrivals at the barrier are no events of the watch. */
export const LOOK_AGAIN_MS = 200;

/** Members that have a slot and have not come to the barrier, of gangs that get further. */
export function countOnTheirWay(slots: Iterable<Slot>, now: number): number {
  const gangs = new Map<string, { members: number; movedAt: number }>();
  for (const { gang, pod, state, since } of slots) {
    const seen = gangs.get(gang) ?? { members: 0, movedAt: 0 };
    seen.movedAt = Math.max(seen.movedAt, since);
    // One that never calls bind is never waited for.
    if ((state === 'assumed' || state === 'nominated') && pod.template.reachesExtender) seen.members++;
    gangs.set(gang, seen);
  }
  let onTheirWay = 0;
  for (const { members, movedAt } of gangs.values()) if (now - movedAt < STALLED_MS) onTheirWay += members;
  return onTheirWay;
}
