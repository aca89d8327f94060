/**
 * Which gangs hold slots or placeholders. Of 10,000 gangs that wait, few do, and each of them asks: looking at all gangs
 * each time made one cycle of 10,000 gangs without room quadratic, most of its time.
 */
import type { GangRecord } from '../state/records.ts';
import type { Reservations } from '../state/reservations.ts';

/** The gangs of a pass by key; each pass has a list of its own. */
const byKey = new WeakMap<readonly GangRecord[], ReadonlyMap<string, GangRecord>>();

/** In the order in which they got the first of what they hold. O(slots and holds). */
export function listSlotHolders(
  records: readonly GangRecord[],
  reservations: Pick<Reservations, 'slots' | 'holds'>,
): readonly GangRecord[] {
  const known = byKey.get(records) ?? new Map(records.map((record) => [record.gang.key, record]));
  byKey.set(records, known);
  const holders = new Set<GangRecord | undefined>();
  for (const { gang } of reservations.slots()) holders.add(known.get(gang));
  for (const [key] of reservations.holds()) if (key.kind !== 'lone-pod') holders.add(known.get(key.gang));
  return [...holders].filter((record) => record !== undefined);
}
