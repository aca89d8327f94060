/**
 * The records of all gangs; reads those again whose pods, Jobs or claims changed. The only owner of the set of gangs.
 */
import { PLACEMENT } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel, type PodUid } from '../../core/objects/model.ts';
import { describeGang, type Gang, type GangKey, gangKeyOf } from '../../core/podgroup/gang.ts';
import { type GangUpdate, mayFollow, updateGang } from '../../core/podgroup/gang-update.ts';
import { describeInvalid } from '../../core/podgroup/invalid-gang.ts';
import { parsePlacement } from '../../core/podgroup/placement-record.ts';
import { parsePlan } from '../../core/podgroup/plan-record.ts';
import type { GangFault } from '../../core/podgroup/problems.ts';
import { isSameRun } from '../../core/podgroup/run.ts';
import type { LoopContext } from '../framework/context.ts';
import { eraseNomination, noteBarrier, noteHolding, noteTopology, planAgain } from '../state/attempt.ts';
import { type Census, sameMembers, takeCensus, updateCensus } from '../state/lifecycle.ts';
import { clearPreemptionBackoff } from '../state/preemption-status.ts';
import { endAttempt, type GangRecord, newRecord, observeGang, refreshState } from '../state/records.ts';
import { noteLeft, noteReplaced, noteRun } from '../state/repair-status.ts';
import { HELD_IN_VAIN_MS } from '../state/start-failures.ts';
import { ComingGangs } from './coming-gangs.ts';
import { dropSlot } from './slot-keeper.ts';

/**
 * How long gangs that come are read in one cycle, milliseconds: reading 10,000 at once took 330 ms, in which nothing was
 * decided or answered.
 */
const PART_MS = 40;

/** What of a gang changed: these pods were created, or are as they are here now; or anything. */
type Changes = Map<PodUid, PodModel> | 'anything';

type Context = Pick<
  LoopContext,
  'view' | 'reservations' | 'barrier' | 'clock' | 'observer' | 'settings' | 'isolation' | 'startFailures'
>;

export class GangTable {
  readonly #context: Context;
  readonly #records = new Map<GangKey, GangRecord>();
  /** Gangs to be read in the next cycle, and what changed of each. */
  readonly #changed = new Map<GangKey, Changes>();
  /** Gangs that are not known and use nothing: they become known one part after the other. */
  readonly #coming = new ComingGangs();
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

  /** Marks the gang to be read again, whatever of it changed; `undefined`: all known gangs. */
  mark(gang: GangKey | undefined): void {
    if (gang !== undefined) this.#note(gang, false, 'anything');
    else for (const key of this.#records.keys()) this.#changed.set(key, 'anything');
  }

  /** Something of its slots changed, or of what is written for it: its pods and other sources are as they were. */
  touch(gang: GangKey): void {
    this.#note(gang, false, undefined);
  }

  /** A pod changed: marks its gangs, and records a member that left its node, or came to one. */
  markPod(before: PodModel | undefined, now: PodModel | undefined): void {
    const [left, joined] = [before && gangKeyOf(before), now && gangKeyOf(now)];
    if (left !== undefined) this.#note(left, before!.nodeName !== '', left === joined ? undefined : 'anything');
    if (joined !== undefined) this.#note(joined, now!.nodeName !== '', now);
    if (!before) return;
    const record = this.get(gangKeyOf(before) ?? '');
    // Pods of another run are no members.
    if (!record?.gang.ranks.has(before.uid)) return;
    const at = this.#context.clock.now();
    if (now && wasBound(before, now)) noteReplaced(record.repair, now);
    if (isLost(before, now)) noteLeft(record.repair, { pod: now ?? before, at, since: at });
  }

  /**
   * @param usesNode whether the gang has, or had, a pod on a node: that counts in the next cycle already.
   * @param what the pod that was created or changed; undefined: none of its pods, nor anything else that describes it.
   */
  #note(gang: GangKey, usesNode: boolean, what: PodModel | 'anything' | undefined): void {
    if (!usesNode && !this.#records.has(gang)) {
      if (!this.#changed.has(gang)) this.#coming.add(gang);
      return;
    }
    this.#coming.delete(gang);
    const known = this.#changed.get(gang);
    if (known === 'anything' || what === 'anything') {
      this.#changed.set(gang, 'anything');
      return;
    }
    const pods = known ?? new Map<PodUid, PodModel>();
    if (what) pods.set(what.uid, what);
    if (!known) this.#changed.set(gang, pods);
  }

  /** Whether gangs that came wait for the next cycle to be read. */
  get isBehind(): boolean {
    return !this.#coming.isEmpty;
  }

  /** Whether the gang waits for the next cycle to be read. */
  isComing(gang: GangKey): boolean {
    return this.#coming.has(gang);
  }

  /** Reads every marked gang. */
  readChanged(): void {
    this.#readMarked(Number.POSITIVE_INFINITY);
  }

  /** Reads every marked gang that is known or has pods on nodes, and others for a while. */
  readPart(): void {
    this.#readMarked(PART_MS);
  }

  #readMarked(partMs: number): void {
    const { isolation, clock } = this.#context;
    const read = (key: GangKey, changes: Changes) => {
      isolation.noteChanged(key);
      isolation.run(key, 'observe', () => this.#read(key, changes));
    };
    for (const [key, changes] of this.#changed) read(key, changes);
    this.#changed.clear();
    const begunAt = clock.now();
    for (let key = this.#coming.take(); key; key = this.#coming.take()) {
      read(key, 'anything');
      if (clock.now() - begunAt >= partMs) return;
    }
  }

  /** Handling the gang failed: from now on it is what its pods are, and nothing that was computed. */
  setAside(gang: string, fault: GangFault): GangRecord | undefined {
    const key = gang as GangKey;
    const past = this.#records.get(key);
    const { pods } = this.#context.view.sourcesOf(key);
    if (pods.length === 0) return past;
    this.#replace(key, describeInvalid(key, pods, fault, past?.gang), past);
    return this.#records.get(key);
  }

  /** Gangs whose members have all succeeded since the last call, also while Muster was starting. */
  takeSucceeded(): readonly Gang[] {
    return this.#succeeded.splice(0);
  }

  #read(key: GangKey, changes: Changes): void {
    const { view, settings, isolation } = this.#context;
    const past = this.#records.get(key);
    const fault = isolation.faultOf(key);
    if (past && !past.gang.fault && !fault && changes !== 'anything') {
      const { gang, census } = past;
      const update: GangUpdate | undefined =
        changes.size === 0
          ? { gang, changes: [], hasGrown: false }
          : updateGang(gang, changes.values(), settings.maxGangSize);
      if (update) {
        this.#follow(past, update, changes.size === 0 ? census : updateCensus(census, update.gang, update.changes));
        return;
      }
    }
    const sources = view.sourcesOf(key);
    if (sources.pods.length === 0) {
      this.#drop(key);
      return;
    }
    const gang = fault
      ? describeInvalid(key, sources.pods, fault, past?.gang)
      : describeGang(key, sources, past?.gang, settings.maxGangSize);
    mayFollow(gang, sources.pods.length);
    this.#replace(key, gang, past);
  }

  #replace(key: GangKey, gang: Gang, past: GangRecord | undefined): void {
    const { view, reservations, clock } = this.#context;
    // Another run begins anew: what was learnt, lost and held belongs to the one before.
    const isKnown = past && (isSameRun(past.gang, gang) || (past.gang.fault && gang.fault));
    const known = isKnown ? past : undefined;
    const dropped = known ? [] : reservations.slotsOf(key).map(({ pod }) => pod);
    if (past && !known) this.#drop(key);
    const census = takeCensus(gang);
    const record = known ?? newRecord(gang, census, clock.now());
    if (!known) this.#noteFirstLook(record);
    // The pods may be there still, and wait for this run to end.
    for (const pod of dropped) if (view.pod(pod.uid)?.nodeName === '') eraseNomination(record.attempt, pod);
    const { gang: before } = record;
    if (before.expectedMs !== gang.expectedMs || before.deadlineMs !== gang.deadlineMs) planAgain(record.attempt);
    const hasChanged = !sameMembers(before, gang);
    this.#observe(record, gang, census, { hasChanged, isKnown: known !== undefined });
    this.#records.set(key, record);
    const isOver = known !== undefined && record.state === 'Finished' && before.present.length > 0;
    if (isOver && census.succeeded > 0 && census.succeeded === gang.members.length) this.#succeeded.push(gang);
  }

  /** The gang went on undisturbed: it is the same run, and none of its members is over. */
  #follow(record: GangRecord, { gang, hasGrown }: GangUpdate, census: Census): void {
    this.#observe(record, gang, census, { hasChanged: hasGrown, isKnown: true });
  }

  /** @param hasChanged whether its members are others than before. */
  #observe(
    record: GangRecord,
    gang: Gang,
    census: Census,
    { hasChanged, isKnown }: { readonly hasChanged: boolean; readonly isKnown: boolean },
  ): void {
    const { reservations, clock, observer, startFailures } = this.#context;
    const { attempt, preemption, state: stateBefore } = record;
    if (hasChanged) {
      planAgain(attempt);
      // Ranks may have changed, and slices with them.
      noteTopology(attempt, -1);
    }
    observeGang(record, gang, census);
    refreshState(record, reservations);
    if (record.state === 'Running' && stateBefore !== 'Running') {
      endAttempt(record);
      clearPreemptionBackoff(preemption);
      startFailures.noteStart(gang, clock.now());
      // It was told that it runs before it was set aside.
      const isTold = stateBefore === 'Invalid' && record.publication.started !== undefined;
      if (isKnown && !isTold && gang.fragileJob) observer.onFragile(gang, gang.fragileJob);
    }
    noteBarrier(attempt, census.bound.length > 0 || (attempt.isOpen && this.#isStarting(gang.key)));
  }

  /**
   * A gang with bound members has run, unless others have slots of the plan by which these were bound: then it was
   * starting. What it lost before can be seen on the pods that failed or leave.
   */
  #noteFirstLook({ gang, census, repair }: GangRecord): void {
    if (census.bound.length === 0) return;
    const plans = new Set(census.bound.map(({ annotations }) => parsePlacement(annotations[PLACEMENT] ?? '')?.plan));
    if (!census.unbound.some((pod) => plans.has(parsePlan(pod)?.plan ?? ''))) noteRun(repair);
    const at = this.#context.clock.now();
    for (const pod of gang.lost) if (pod.isConfirmed) noteLeft(repair, { pod, at, since: Number.NEGATIVE_INFINITY });
  }

  /**
   * The gang holds slots no longer, and not because it started or gave them back: its members are gone, or in other
   * gangs. Deleting a gang in time is no way around the pause of a gang that does not start.
   */
  noteVanished({ gang, attempt, preemption }: GangRecord): void {
    const { clock, startFailures } = this.#context;
    const now = clock.now();
    const { heldSince } = attempt;
    if (preemption.hasPreempted) startFailures.noteVainPreemption(gang, now);
    if (heldSince === undefined) return;
    noteHolding(attempt, undefined);
    if (now - heldSince >= HELD_IN_VAIN_MS) startFailures.noteFailure(gang, now, now - heldSince);
  }

  /** The gang is gone: gives up all that it holds. */
  #drop(key: GangKey): void {
    const { reservations } = this.#context;
    const past = this.#records.get(key);
    if (past) this.noteVanished(past);
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

function wasBound(before: PodModel, now: PodModel): boolean {
  return before.nodeName === '' && now.nodeName !== '' && !isTerminated(now) && !now.deleting;
}

/** Whether a member that was on a node has left it without success. */
function isLost(before: PodModel, now: PodModel | undefined): boolean {
  if (!before.isConfirmed || isTerminated(before) || before.deleting) return false;
  return !now || now.deleting || now.phase === 'Failed';
}
