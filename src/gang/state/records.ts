/**
 * What is remembered of one gang between two cycles: what was observed, and five parts, each written only by the module
 * of its name. Volatile: a restart begins with empty records and reads back what is written in the cluster.
 */
import type { Gang } from '../../core/podgroup/gang.ts';
import { type AdmissionStatus, newAdmissionStatus } from './admission-status.ts';
import { type Attempt, clearAttempt, failAttempt, newAttempt, widensAt } from './attempt.ts';
import { type Census, deriveState, type GangState } from './lifecycle.ts';
import type { Victim } from './preempting.ts';
import { forgetSearch, newPreemptionStatus, type PreemptionStatus } from './preemption-status.ts';
import { newPublication, type Publication } from './publication.ts';
import { newRepairStatus, type RepairStatus } from './repair-status.ts';
import type { Reservations } from './reservations.ts';

interface WritableRecord {
  /** The gang as last read. */
  gang: Gang;
  census: Census;
  /** Derived from the gang, its losses and its reservations. */
  state: GangState;
  readonly attempt: Attempt;
  readonly admission: AdmissionStatus;
  readonly preemption: PreemptionStatus;
  readonly repair: RepairStatus;
  readonly publication: Publication;
}

export type GangRecord = Readonly<WritableRecord>;

/** @param now when the gang is first seen, milliseconds. */
export function newRecord(gang: Gang, census: Census, now: number): GangRecord {
  return {
    gang,
    census,
    state: 'Gathering',
    attempt: newAttempt(gang, now),
    admission: newAdmissionStatus(),
    preemption: newPreemptionStatus(),
    repair: newRepairStatus(),
    publication: newPublication(),
  };
}

/** Replaces the gang and its census by what was read now. */
export function observeGang(record: GangRecord, gang: Gang, census: Census): void {
  const state = record as WritableRecord;
  state.gang = gang;
  state.census = census;
}

/** Derives the state from what the gang holds now. */
export function refreshState(record: GangRecord, reservations: Reservations): void {
  const { gang, census, repair, attempt } = record;
  const slots = reservations.slotsOf(gang.key);
  const fenced = slots.filter(({ state }) => state === 'fenced').length;
  const { lost, hasRun } = repair;
  const holdings = { slots: slots.length, fenced, lost: lost.length, hasRun, losses: countOpenLosses(record) };
  (record as WritableRecord).state = deriveState(gang, census, holdings, attempt.unsatisfiable !== undefined);
}

/** Whether planning the gang now may end differently from the last time. @param freed the current freed generation. */
export function mayPlan({ attempt, preemption, gang }: GangRecord, now: number, freed: number): boolean {
  const { backoffUntil, unschedulableAt, shortfall } = attempt;
  const mayFit = unschedulableAt !== freed || now >= widensAt(shortfall) || now >= preemption.searchesAt;
  return now >= backoffUntil && mayFit && gang.problems.length === 0;
}

/** Ends an attempt that led to nothing. @param until when the next one may begin, milliseconds. */
export function giveUpAttempt(record: GangRecord, cause: string, until: number): void {
  failAttempt(record.attempt, cause, until);
  forgetSearch(record.preemption);
}

/** Ends the attempt of a gang that started or is not at fault: the next one begins without back-off. */
export function endAttempt(record: GangRecord): void {
  clearAttempt(record.attempt);
  forgetSearch(record.preemption);
}

/** Bound members, without those on lost nodes: they count towards the minimum. */
export function countStarted({ census, repair }: Pick<GangRecord, 'census' | 'repair'>): number {
  return census.bound.length - repair.lost.length;
}

/** Members that were seen to be lost and are to be replaced, those on lost nodes included. */
export function countLosses({ repair }: Pick<GangRecord, 'repair'>): number {
  return repair.left.length + repair.lost.length;
}

/** Those that no other member has made good since. */
export function countOpenLosses(record: Pick<GangRecord, 'census' | 'repair'>): number {
  return Math.min(countLosses(record), Math.max(0, record.repair.strength - countStarted(record)));
}

/**
 * How many members the gang lacks: until it has run, those up to its minimum; from then on only lost ones. A minimum
 * that was raised is no loss. 0 while the minimum is unknown.
 */
export function countLacking(record: Pick<GangRecord, 'gang' | 'census' | 'repair'>): number {
  const { gang, repair } = record;
  const below = Math.max(0, (gang.minMember ?? 0) - countStarted(record));
  return repair.hasRun ? Math.min(below, countOpenLosses(record)) : below;
}

/** The victims of the gang's preemption, by UID; empty while it preempts nobody. */
export function victimsOf({ preemption }: Pick<GangRecord, 'preemption'>): ReadonlyMap<string, Victim> {
  return preemption.preempting?.victims ?? NO_VICTIMS;
}

const NO_VICTIMS: ReadonlyMap<string, Victim> = new Map();

/** Orders by priority, then age; the name breaks ties. */
export function compareUrgency(a: GangRecord, b: GangRecord): number {
  const byUrgency = b.gang.priority - a.gang.priority || a.gang.createdAt - b.gang.createdAt;
  return byUrgency !== 0 ? byUrgency : a.gang.key < b.gang.key ? -1 : 1;
}
