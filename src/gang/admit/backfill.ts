/**
 * Planned starts: when and where blocked gangs are expected to start. Later gangs may start first only if they delay no
 * planned start (EASY: Lifka, The ANL/IBM SP scheduling system, JSSPP 1995; conservative: no planned start at all).
 *
 * The start is computed from the run lengths of the gangs in the way. If those are unknown, nothing is reserved until
 * the gang has been blocked for `drainAfter`; from then on the drain reserves what becomes free for it.
 *
 * The only owner of planned starts. Volatile: after a restart they are planned again.
 */

import type { Ending, PlannedStart } from '../../core/backfill/planned-start.ts';
import { reserveStarts, type StartReservations } from '../../core/backfill/reserved-view.ts';
import type { RunLength } from '../../core/backfill/run-length.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { LoopContext } from '../framework/context.ts';
import type { ExcludedModels, PlanningInputs } from '../framework/planning-input.ts';
import type { Searcher, StartOutcome, Waker } from '../framework/ports.ts';
import { noteBlocked } from '../state/admission-status.ts';
import { upcoming } from '../state/deadlines.ts';
import { demandOf, type MembersDemand } from '../state/demand.ts';
import type { GangRecord } from '../state/records.ts';
import type { NodeReservation } from '../state/reservations.ts';
import type { ReservedStarts } from './candidate.ts';
import { type Endings, LEAVES_MS } from './endings.ts';

/** A start is planned again at most this often, and takes at most a fifth of the time, milliseconds. */
const REVIEW_MS = 1_000;
/** The same for a gang that would not fit even in an empty cluster. */
const NEVER_REVIEW_MS = 5_000;
/** The same for a gang whose start took too long to plan, or failed. */
const TROUBLE_REVIEW_MS = 60_000;
/** A pass plans no more starts after it has spent this long on them, milliseconds: later gangs keep what they have, or none. */
const MAX_PER_PASS_MS = 100;
const PAUSE_PER_PLAN = 4;
/** Conservative: at most this many gangs have a planned start. */
const MAX_STARTS = 64;

interface Planned {
  /** Undefined: the gang would not fit even in an empty cluster. */
  readonly start: PlannedStart | undefined;
  readonly reviewAt: number;
}

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'clock' | 'settings'>;

export interface BackfillParts {
  readonly inputs: PlanningInputs;
  readonly endings: Endings;
  readonly searcher: Pick<Searcher, 'planStart'>;
  readonly waker: Waker;
}

export class Backfill {
  readonly #context: Context;
  readonly #parts: BackfillParts;
  /** By record: another run of the gang has another one, and begins anew. */
  readonly #planned = new Map<GangRecord, Planned>();
  /** Gangs whose start is being planned elsewhere. Until the answer comes, the start that is known counts. */
  readonly #open = new Map<GangRecord, object>();
  /** A start has been planned elsewhere since the last pass began. */
  #hasArrived = false;
  /** How long the pass has spent on planning starts, milliseconds. */
  #spentMs = 0;
  /** Gangs for which the last pass needed a start. */
  readonly #asked = new Set<GangRecord>();
  /** Planned starts of the gangs that were blocked in the last pass, in queue order. */
  #starts: PlannedStart[] = [];
  /** Those with a known time that others must not delay. */
  readonly #known: PlannedStart[] = [];
  readonly #draining: PlannedStart[] = [];
  #reserved: StartReservations | undefined;
  /** The endings that this pass counts on. */
  #passEndings: readonly Ending[] | undefined;
  #records: readonly GangRecord[] = [];
  /** When the last pass began, milliseconds. */
  #begunAt = Number.NEGATIVE_INFINITY;
  #reservedStarts = '';
  /** The earliest start of each gang since it was blocked. */
  readonly #earliestStarts = new WeakMap<GangRecord, { readonly since: number; readonly at: number }>();
  /** Bound pods expected to leave before the reserved starts, by UID: the reservations count on their capacity. */
  readonly #departing = new Map<string, PodModel>();

  constructor(context: Context, parts: BackfillParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** The planned starts in queue order, including those without a known time (Infinity). */
  get starts(): readonly PlannedStart[] {
    return this.#starts;
  }

  /** Reserves what a departing pod frees at once: otherwise lone pods would take it before the next pass. */
  onPod(uid: string, pod: PodModel | undefined): void {
    const departing = this.#departing.get(uid);
    if (!departing || (pod && !isTerminated(pod))) return;
    this.#departing.delete(uid);
    this.#context.reservations.addReserved(departing.nodeName, departing.template.requests);
  }

  /** A step begins in which gangs may pass planned starts: finds out whose run lengths are believed. */
  review(records: readonly GangRecord[]): void {
    this.#parts.endings.review(records);
  }

  /** A pass over the waiting gangs begins; nothing is reserved yet. */
  begin(records: readonly GangRecord[]): void {
    this.#records = records;
    this.#begunAt = this.#context.clock.now();
    this.#asked.clear();
    this.#hasArrived = false;
    this.#spentMs = 0;
    this.#passEndings = undefined;
    this.#starts = [];
    this.#known.length = 0;
    this.#draining.length = 0;
    this.#reserved = undefined;
  }

  /** Bound pods that are expected to leave about as soon as a victim would, and when, milliseconds. */
  listImminentDepartures(): ReadonlyMap<PodModel, number> {
    this.#passEndings ??= this.#parts.endings.list(this.#records);
    const by = this.#context.clock.now() + LEAVES_MS;
    const soon = this.#passEndings.filter(({ endsAt }) => endsAt <= by);
    return new Map(
      soon.flatMap(({ pods, endsAt }) =>
        pods.filter(({ nodeName, deleting }) => nodeName !== '' && !deleting).map((pod) => [pod, endsAt]),
      ),
    );
  }

  /** Whether no gang may start before a blocked one. */
  get isOff(): boolean {
    return this.#context.settings.queues.backfill === 'none';
  }

  /** The next gang in queue order found no capacity. */
  block(record: GangRecord, excludedModels: ExcludedModels): void {
    const now = this.#context.clock.now();
    noteBlocked(record.admission, now);
    if (this.#hasAllStarts()) return;
    const start = this.#planStart(record, excludedModels, now);
    if (start) this.#addStart(record, start, now);
  }

  /** The next gang in queue order is tried in a later part of the pass: until then the start that is known counts. */
  keep(record: GangRecord): void {
    if (record.admission.blockedSince === undefined || this.#hasAllStarts()) return;
    this.#asked.add(record);
    const start = this.#planned.get(record)?.start;
    if (!start || !areNodesPresent(start, this.#context.view.snapshot())) return;
    this.#addStart(record, start, this.#context.clock.now());
  }

  #hasAllStarts(): boolean {
    const { backfill } = this.#context.settings.queues;
    return this.#starts.length >= (backfill === 'conservative' ? MAX_STARTS : 1);
  }

  #addStart(record: GangRecord, start: PlannedStart, now: number): void {
    this.#starts.push(start);
    if (now >= this.#drainsAt(record, start.startsAt)) this.#draining.push(start);
    else if (Number.isFinite(start.startsAt)) this.#known.push(start);
    else return;
    this.#passEndings ??= this.#parts.endings.list(this.#records);
    this.#reserved = reserveStarts(this.#known, this.#draining, this.#passEndings);
  }

  /**
   * When the drain for the gang begins, milliseconds: after it has been blocked for `drainAfter` without a known start,
   * or `drainAfter` past its earliest known start, because the gangs in its way run longer than they said.
   */
  #drainsAt(record: GangRecord, startsAt: number): number {
    const { blockedSince: since = 0 } = record.admission;
    const known = this.#earliestStarts.get(record);
    const earliest = Math.min(startsAt, known?.since === since ? known.at : Number.POSITIVE_INFINITY);
    this.#earliestStarts.set(record, { since, at: earliest });
    const from = Number.isFinite(startsAt) ? earliest : since;
    return from + this.#context.settings.queues.drainAfterMs;
  }

  /** Whether the gang would fit if all gangs in its way left. */
  everFits(record: GangRecord, excludedModels: ExcludedModels): boolean {
    return this.#planStart(record, excludedModels, this.#context.clock.now()) !== undefined;
  }

  /** The planned starts that the gang must not delay; undefined: none are reserved, or it ends before them. */
  reservedFor(record: GangRecord): ReservedStarts | undefined {
    const reserved = this.#reserved;
    if (!reserved) return undefined;
    const { starts, endsAt } = this.#listInTheWay(this.#lengthOf(record));
    const [first] = starts;
    return first && { starts: reserved, endsAt, behind: first, span: starts.map(({ gang }) => gang).join(' ') };
  }

  /** Members got places: notes by which run length they passed planned starts, if they did. */
  notePlaced(record: GangRecord): void {
    const length = this.#reserved && this.#lengthOf(record);
    if (!length || this.#listInTheWay(length).starts.length === this.#known.length) return;
    const slots = this.#context.reservations.slotsOf(record.gang.key);
    this.#parts.endings.notePassed(
      slots.map(({ pod }) => pod),
      length,
    );
  }

  /** By which the gang may pass planned starts. A drain lets nobody pass: it began because others ran on. */
  #lengthOf(record: GangRecord): RunLength | undefined {
    return this.#draining.length > 0 ? undefined : this.#parts.endings.believedLengthOf(record);
  }

  /** The planned starts before the end of what runs so long from now on, and that end, milliseconds. */
  #listInTheWay(length: RunLength | undefined): { readonly starts: readonly PlannedStart[]; readonly endsAt: number } {
    const endsAt = length ? this.#context.clock.now() + length.ms : Number.POSITIVE_INFINITY;
    const all = [...this.#known, ...this.#draining];
    return { starts: all.filter(({ startsAt }) => startsAt < endsAt || endsAt === startsAt), endsAt };
  }

  /**
   * Ends the pass: from now on lone pods stay off the reserved capacity, too.
   * @returns whether the reserved starts changed, so that a gang that was held back may be allowed to start.
   */
  end(): boolean {
    const { reservations, view } = this.#context;
    reservations.setReserved(this.#reserved ? this.#listReserved(view.snapshot()) : []);
    this.#departing.clear();
    for (const { pods, endsAt } of (this.#reserved && this.#passEndings) ?? []) {
      if (this.#draining.length === 0 && !Number.isFinite(endsAt)) continue;
      for (const pod of pods) if (pod.nodeName !== '') this.#departing.set(pod.uid, pod);
    }
    const text = JSON.stringify([this.#known, this.#draining].map((starts) => starts.map(summarize)));
    const isChanged = text !== this.#reservedStarts;
    this.#reservedStarts = text;
    for (const record of [...this.#planned.keys(), ...this.#open.keys()]) {
      if (this.#asked.has(record)) continue;
      this.#planned.delete(record);
      this.#open.delete(record);
    }
    return isChanged;
  }

  /** Whether a pass is due although no gang may be planned: a reserved start is no longer needed or changes by time. */
  isDue(records: readonly GangRecord[], now: number): boolean {
    if (this.#hasArrived) return true;
    const blocked = this.#starts.filter(({ gang }) =>
      records.some((record) => record.gang.key === gang && record.state === 'Pending'),
    );
    if (blocked.length < this.#starts.length) return true;
    // Timers fire late: anything due since the last pass counts.
    return now >= this.#nextChange(this.#begunAt);
  }

  /** When a planned start changes by time alone, milliseconds; Infinity: never. */
  nextAt(now: number): number {
    return this.#nextChange(now);
  }

  #nextChange(after: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { gang, startsAt } of this.#starts) {
      const record = this.#records.find((each) => each.gang.key === gang);
      const { reviewAt = 0 } = (record && this.#planned.get(record)) ?? {};
      const drainsAt = record ? this.#drainsAt(record, startsAt) : after;
      const changesAt = Number.isFinite(startsAt) ? Math.max(startsAt, reviewAt) : drainsAt;
      const at = drainsAt > after ? Math.min(changesAt, drainsAt) : changesAt;
      next = Math.min(next, upcoming(at, after));
    }
    return next;
  }

  #planStart(record: GangRecord, excludedModels: ExcludedModels, now: number): PlannedStart | undefined {
    const known = this.#planned.get(record);
    const isPresent = areNodesPresent(known?.start, this.#context.view.snapshot());
    this.#asked.add(record);
    if (known && now < known.reviewAt && isPresent) return known.start;
    // What is known counts until something else is found: others would take its places meanwhile.
    if (this.#open.has(record) || this.#spentMs > MAX_PER_PASS_MS) return isPresent ? known?.start : undefined;
    this.#askStart(record, excludedModels, now);
    return isPresent || !this.#open.has(record) ? this.#planned.get(record)?.start : undefined;
  }

  #askStart(record: GangRecord, excludedModels: ExcludedModels, now: number): void {
    const { clock } = this.#context;
    const { inputs, endings, searcher, waker } = this.#parts;
    const demand = demandOf(record, []) as MembersDemand;
    const { request, occupied: snapshot } = inputs.of(record, demand, { excludedModels });
    this.#passEndings ??= endings.list(this.#records);
    const lengthMs = endings.lengthOf(record)?.ms;
    const query = { request, lengthMs, endings: this.#passEndings, earlier: [...this.#starts] };
    const token = {};
    const begun = clock.now();
    const answer = searcher.planStart({ snapshot, query, now }, (outcome) => {
      if (this.#open.get(record) !== token) return;
      this.#open.delete(record);
      this.#note(record, outcome, now);
      this.#hasArrived = true;
      waker.wake();
    });
    this.#spentMs += clock.now() - begun;
    if (answer === undefined) this.#open.set(record, token);
    else this.#note(record, answer, now);
  }

  /** @param askedAt milliseconds. */
  #note(record: GangRecord, outcome: StartOutcome | 'busy', askedAt: number): void {
    const { clock, observer } = this.#context;
    const { key } = record.gang;
    const now = clock.now();
    if (outcome === 'busy') {
      observer.onSearchTrouble(key, 'start', 'busy');
      this.#planned.set(record, { start: this.#planned.get(record)?.start, reviewAt: now + REVIEW_MS });
      return;
    }
    if (outcome.kind !== 'start') {
      const message = outcome.kind === 'failed' ? outcome.message : `it took longer than ${outcome.seconds} s`;
      observer.onSearchTrouble(key, 'start', outcome.kind, message);
      const known = this.#planned.get(record)?.start;
      // Nothing contradicts it, until its time has passed.
      const start = known && known.startsAt > now ? known : undefined;
      this.#planned.set(record, { start, reviewAt: now + TROUBLE_REVIEW_MS });
      return;
    }
    const { start } = outcome;
    const tookMs = now - askedAt;
    observer.onStartPlanned(key, start, tookMs / 1000);
    const reviewAt = askedAt + Math.max(start ? REVIEW_MS : NEVER_REVIEW_MS, PAUSE_PER_PLAN * tookMs);
    this.#planned.set(record, { start, reviewAt });
  }

  /**
   * What a pod of unknown run length may not use on each node: what is planned there, minus what becomes free until
   * then.
   */
  #listReserved(snapshot: Snapshot): readonly NodeReservation[] {
    const { free } = this.#reserved!.viewUntil(snapshot, Number.POSITIVE_INFINITY);
    const reserved = new Map<string, NodeReservation>();
    for (const { slots, request } of [...this.#known, ...this.#draining]) {
      for (const { node } of slots) {
        const row = snapshot.indexOf.get(node);
        if (row === undefined || reserved.has(node)) continue;
        const amounts = new Map<string, number>();
        for (const [resource, column] of snapshot.columns) {
          const amount = snapshot.free[column]![row]! - free[column]![row]!;
          if (amount > 0) amounts.set(resource, amount);
        }
        // Also when nothing is free: `addReserved` adds what becomes free later.
        reserved.set(node, { node, priority: request.priority, amounts });
      }
    }
    return [...reserved.values()];
  }
}

function summarize({ gang, startsAt, slots }: PlannedStart): readonly unknown[] {
  return [gang, startsAt, slots.map(({ node }) => node)];
}

/** Whether all nodes of the start still exist. */
function areNodesPresent(start: PlannedStart | undefined, { indexOf }: Snapshot): boolean {
  return start?.slots.every(({ node }) => indexOf.has(node)) ?? true;
}
