/**
 * The records of all gangs; reads those again whose pods, Jobs or claims changed. The only owner of the set of gangs.
 */
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { describeGang, type Gang, type GangKey, gangKeyOf } from '../../core/podgroup/gang.ts';
import type { LoopContext } from '../framework/context.ts';
import { noteBarrier, noteTopology, planAgain } from '../state/attempt.ts';
import { sameMembers, takeCensus } from '../state/lifecycle.ts';
import { clearPreemptionBackoff } from '../state/preemption-status.ts';
import { endAttempt, type GangRecord, newRecord, observeGang, refreshState } from '../state/records.ts';
import { noteLeft } from '../state/repair-status.ts';
import { dropSlot } from './slot-keeper.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'barrier' | 'clock' | 'observer'>;

export class GangTable {
  readonly #context: Context;
  readonly #records = new Map<GangKey, GangRecord>();
  readonly #changed = new Set<GangKey>();
  readonly #succeeded: Gang[] = [];

  constructor(context: Context) {
    this.#context = context;
  }

  /** @param gang any text; undefined unless it is the key of a gang. */
  get(gang: string): GangRecord | undefined {
    return this.#records.get(gang as GangKey);
  }

  values(): Iterable<GangRecord> {
    return this.#records.values();
  }

  /** Marks the gang to be read again; `undefined`: all known gangs. */
  mark(gang: GangKey | undefined): void {
    if (gang !== undefined) this.#changed.add(gang);
    else for (const key of this.#records.keys()) this.#changed.add(key);
  }

  /** A pod changed: marks its gangs, and records a member that left its node. */
  markPod(before: PodModel | undefined, now: PodModel | undefined): void {
    for (const pod of [before, now]) {
      const gang = pod && gangKeyOf(pod);
      if (gang !== undefined) this.#changed.add(gang);
    }
    if (!before || !isLost(before, now)) return;
    const record = this.get(gangKeyOf(before) ?? '');
    if (record) noteLeft(record.repair, now ?? before);
  }

  /** Reads every marked gang. */
  readChanged(): void {
    for (const key of this.#changed) this.#read(key);
    this.#changed.clear();
  }

  /** Gangs whose members have all succeeded since the last call, also while Muster was starting. */
  takeSucceeded(): readonly Gang[] {
    return this.#succeeded.splice(0);
  }

  #read(key: GangKey): void {
    const { view, reservations, clock, observer } = this.#context;
    const sources = view.sourcesOf(key);
    if (sources.pods.length === 0) {
      this.#drop(key);
      return;
    }
    const gang = describeGang(key, sources);
    const census = takeCensus(gang);
    const known = this.#records.get(key);
    const record = known ?? newRecord(gang, census, clock.now());
    const { attempt, preemption, gang: past, state: before } = record;
    if (past.expectedMs !== gang.expectedMs || past.deadlineMs !== gang.deadlineMs) planAgain(attempt);
    if (!sameMembers(past, gang)) {
      planAgain(attempt);
      // Ranks may have changed, and slices with them.
      noteTopology(attempt, -1);
    }
    observeGang(record, gang, census);
    refreshState(record, reservations);
    if (record.state === 'Running' && before !== 'Running') {
      endAttempt(record);
      clearPreemptionBackoff(preemption);
      if (known && gang.fragileJob) observer.onFragile(gang, gang.fragileJob);
    }
    noteBarrier(attempt, census.bound.length > 0 || (attempt.isOpen && this.#isStarting(key)));
    this.#records.set(key, record);
    const hasEnded = known !== undefined && record.state === 'Finished' && before !== 'Finished';
    if (hasEnded && census.succeeded === gang.members.length) this.#succeeded.push(gang);
  }

  /** The gang is gone: gives up all that it holds. */
  #drop(key: GangKey): void {
    const { reservations } = this.#context;
    for (const slot of reservations.slotsOf(key)) dropSlot(this.#context, slot);
    reservations.releasePlaceholdersOf(key);
    this.#records.delete(key);
  }

  /** Whether members passed the barrier and are not bound yet. */
  #isStarting(gang: GangKey): boolean {
    const slots = this.#context.reservations.slotsOf(gang);
    return slots.some((slot) => slot.state === 'binding' || !slot.pod.template.reachesExtender);
  }
}

/** Whether a member that was on a node has left it without success. */
function isLost(before: PodModel, now: PodModel | undefined): boolean {
  if (before.nodeName === '' || isTerminated(before) || before.deleting) return false;
  return !now || now.deleting || now.phase === 'Failed';
}
