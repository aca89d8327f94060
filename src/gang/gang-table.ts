/** Step 1 of a round: the records of all gangs, read anew where their pods, Jobs or claims changed. */
import { isTerminated, type PodModel } from '../core/model.ts';
import { describeGang, type Gang, type GangKey, gangKeyOf } from '../core/pod-group.ts';
import { endAttempt, endPreemptions, type GangRecord, newRecord, stateOf } from './gang-record.ts';
import { sameMembers, takeCensus } from './lifecycle.ts';
import type { CoordinatorParts } from './parts.ts';
import { dropSlot } from './slot-keeper.ts';

export class GangTable {
  readonly #parts: CoordinatorParts;
  readonly #records = new Map<string, GangRecord>();
  readonly #dirty = new Set<string>();
  readonly #onFinished: (gang: Gang) => void;

  /** @param onFinished a gang ended, all its members well. */
  constructor(parts: CoordinatorParts, onFinished: (gang: Gang) => void) {
    this.#parts = parts;
    this.#onFinished = onFinished;
  }

  get(gang: string): GangRecord | undefined {
    return this.#records.get(gang);
  }

  values(): Iterable<GangRecord> {
    return this.#records.values();
  }

  /** The gang is read anew the next time; `undefined`: every one that is known. */
  mark(gang: string | undefined): void {
    if (gang !== undefined) this.#dirty.add(gang);
    else for (const key of this.#records.keys()) this.#dirty.add(key);
  }

  /** A pod changed: its gangs are read anew, and one that it left while it ran is told. */
  markPod(before: PodModel | undefined, now: PodModel | undefined): void {
    for (const pod of [before, now]) {
      const gang = pod && gangKeyOf(pod);
      if (gang !== undefined) this.#dirty.add(gang);
    }
    if (before && isLost(before, now)) this.#records.get(gangKeyOf(before) ?? '')?.left.push(now ?? before);
  }

  /** Reads every marked gang. */
  describe(): void {
    for (const key of this.#dirty) this.#describe(key);
    this.#dirty.clear();
  }

  #describe(key: string): void {
    const { view, reservations, clock, observer } = this.#parts;
    const sources = view.sourcesOf(key);
    if (sources.pods.length === 0) {
      this.#drop(key);
      return;
    }
    const gang = describeGang(key as GangKey, sources);
    const census = takeCensus(gang);
    const known = this.#records.get(key);
    const record = known ?? newRecord(gang, census, clock.now());
    if (record.gang.expectedMs !== gang.expectedMs || record.gang.deadlineMs !== gang.deadlineMs)
      record.hopelessAt = -1;
    if (!sameMembers(record.gang, gang)) {
      record.hopelessAt = -1;
      // Ranks may have moved, and with them the slices.
      record.topologyGeneration = -1;
    }
    record.gang = gang;
    record.census = census;
    const before = record.state;
    record.state = stateOf(record, reservations);
    if (record.state === 'Running' && before !== 'Running') {
      endAttempt(record);
      endPreemptions(record);
      if (known && gang.fragileJob) observer.onFragile(gang, gang.fragileJob);
    }
    if (known && record.state === 'Finished' && before !== 'Finished' && census.succeeded === gang.members.length) {
      this.#onFinished(gang);
    }
    record.opened = census.bound.length > 0 || (record.opened && this.#isStarting(key));
    this.#records.set(key, record);
  }

  /** The gang is gone, and with it whatever it held. */
  #drop(key: string): void {
    const { reservations } = this.#parts;
    for (const slot of reservations.slotsOf(key)) dropSlot(this.#parts, slot);
    for (const place of this.#records.get(key)?.vacancies.keys() ?? []) reservations.releaseHold(place);
    this.#records.delete(key);
  }

  /** Whether members passed the barrier and are not bound yet. */
  #isStarting(gang: string): boolean {
    const slots = this.#parts.reservations.slotsOf(gang);
    return slots.some((slot) => slot.state === 'binding' || !slot.pod.template.reachesExtender);
  }
}

/** Whether a member that ran does not any more, and did not end well. */
function isLost(before: PodModel, now: PodModel | undefined): boolean {
  if (before.nodeName === '' || isTerminated(before) || before.deleting) return false;
  return !now || now.deleting || now.phase === 'Failed';
}
