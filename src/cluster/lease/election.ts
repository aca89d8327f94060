/**
 * Leader election as a pure machine: what a candidate knows of the Lease, and what it does next. Time and chance are
 * arguments; `elector.ts` runs it. The rules are those of client-go (tools/leaderelection):
 *
 *   - A Lease counts as held for its duration after this process has *seen* it change, by its own clock. The times that are
 *     written in it are for people: no two clocks are compared.
 *   - Every write names the version of the Lease that it replaces, so of two candidates the API server takes one.
 *   - A leader renews, and leads until the renew deadline after the last renewal that was accepted, counted from when that
 *     was *sent*. The deadline is shorter than the duration, so it stops before anybody else may begin.
 *   - A leader that goes gives the Lease back, and the next one need not wait.
 *
 * One rule differs. client-go gives up for good at the renew deadline. Here the leader stops deciding, and goes on if its
 * next renewal is accepted: then nobody else has led meanwhile, and an outage of the API server costs no restart.
 */

/** Milliseconds. */
export interface LeaseTiming {
  readonly leaseMs: number;
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/** One version of the Lease. */
export interface LeaseRecord {
  /** '': nobody, it was given back. */
  readonly holder: string;
  readonly leaseMs: number;
  /** How often it went from one holder to another. */
  readonly transitions: number;
  /** As it is written; '' if it is not. */
  readonly acquireTime: string;
  /** The object's resourceVersion. */
  readonly version: string;
}

/** What a candidate writes. */
export interface LeaseClaim {
  readonly holder: string;
  readonly transitions: number;
  /** Undefined: now. */
  readonly acquireTime: string | undefined;
}

export type LeaseStep =
  /** Infinity: until something happens. */
  | { readonly kind: 'wait'; readonly until: number }
  /** `before`: what had been seen until then. */
  | { readonly kind: 'read'; readonly before: Sighting | undefined }
  | { readonly kind: 'create'; readonly claim: LeaseClaim }
  /** `doubts`: those that it settles if it is accepted. */
  | { readonly kind: 'update'; readonly claim: LeaseClaim; readonly version: string; readonly doubts: number };

/** What came of a request. `refused`: another version is there. `gone`: none is. */
export type LeaseAnswer =
  | { readonly kind: 'written'; readonly record: LeaseRecord }
  | { readonly kind: 'read'; readonly record: LeaseRecord | undefined }
  | { readonly kind: 'refused' | 'gone' | 'failed' };

/** The newest version that was seen, undefined for none, and since when it has been. */
interface Sighting {
  readonly record: LeaseRecord | undefined;
  readonly at: number;
}

/** The time for which this candidate leads. */
export interface Term {
  readonly transitions: number;
  readonly acquireTime: string;
  readonly version: string;
  /** When the last accepted renewal was sent. */
  readonly confirmedAt: number;
  /** How often something was seen that speaks against it, and how often when the last accepted renewal was sent. */
  readonly doubts: number;
  readonly settledDoubts: number;
}

export interface Election {
  readonly identity: string;
  readonly timing: LeaseTiming;
  /** It may lead: what it needs for that is known. */
  readonly isCandidate: boolean;
  readonly isResigning: boolean;
  readonly sighting: Sighting | undefined;
  readonly term: Term | undefined;
  /** It never leads again. */
  readonly isOver: boolean;
  /** No request before. */
  readonly retryAt: number;
  readonly mustRead: boolean;
  /** Writes in a row that met another version. */
  readonly refusals: number;
  /** In [0, 1). */
  readonly jitter: number;
}

/** When something happened, and the draw for what follows from it. */
export interface Moment {
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
}

/** client-go's factor is 1.2, for candidates that ask again and again. Here they watch, and only must not all ask at once. */
const JITTER = 0.2;
const NEVER = Number.POSITIVE_INFINITY;
const LONG_AGO = Number.NEGATIVE_INFINITY;
const WAIT: LeaseStep = { kind: 'wait', until: NEVER };

/** A process that has not seen the Lease yet. */
export function openElection(identity: string, timing: LeaseTiming): Election {
  return {
    identity,
    timing,
    isCandidate: false,
    isResigning: false,
    sighting: undefined,
    term: undefined,
    isOver: false,
    retryAt: LONG_AGO,
    mustRead: false,
    refusals: 0,
    jitter: 0,
  };
}

/** Whether it leads at this time. */
export function leads({ term, isOver, isResigning, timing }: Election, now: number): boolean {
  return term !== undefined && !isOver && !isResigning && now < term.confirmedAt + timing.renewDeadlineMs;
}

/**
 * Whether a write may begin: the API server has accepted a renewal that was sent a moment ago, and nothing seen since speaks
 * against it. A leader that renews in time always is; one that was stopped or cut off must renew first.
 */
export function isConfirmed(election: Election, now: number): boolean {
  const { term, timing } = election;
  return leads(election, now) && !isDoubted(term!) && now < term!.confirmedAt + confirmedForMs(timing);
}

/** For how long a renewal permits writes: two periods, so that one renewal may be late. */
export function confirmedForMs({ retryMs, renewDeadlineMs }: LeaseTiming): number {
  return Math.min(2 * retryMs, renewDeadlineMs);
}

/** How long nobody else can hold the Lease, milliseconds. */
export function securedForMs({ term, timing }: Election, now: number): number {
  return term ? Math.max(0, term.confirmedAt + timing.leaseMs - now) : 0;
}

/** What to do now. */
export function nextStep(election: Election, now: number): LeaseStep {
  const { isOver, isCandidate, isResigning, sighting, term, retryAt, mustRead } = election;
  if (isOver || !isCandidate || (isResigning && !term)) return WAIT;
  if (now < retryAt) return { kind: 'wait', until: retryAt };
  if (mustRead || sighting === undefined) return { kind: 'read', before: sighting };
  return term ? nextOfLeader(election, term, now) : nextOfOthers(election, sighting, now);
}

function nextOfLeader({ identity, timing, isResigning }: Election, term: Term, now: number): LeaseStep {
  const { version, transitions, acquireTime } = term;
  const due = isResigning || isDoubted(term) ? now : term.confirmedAt + timing.retryMs;
  if (now < due) return { kind: 'wait', until: due };
  const holder = isResigning ? '' : identity;
  return { kind: 'update', version, claim: { holder, transitions, acquireTime }, doubts: term.doubts };
}

function nextOfOthers(election: Election, { record, at }: Sighting, now: number): LeaseStep {
  const { identity, timing, jitter } = election;
  const isOwn = record?.holder === identity;
  const isFree = record !== undefined && (record.holder === '' || isOwn);
  const heldForMs = Math.max(timing.leaseMs, record?.leaseMs ?? 0);
  const freeAt = isFree ? now : at + heldForMs + jitter * JITTER * timing.retryMs;
  if (now < freeAt) return { kind: 'wait', until: freeAt };
  if (!record) return { kind: 'create', claim: { holder: identity, transitions: 0, acquireTime: undefined } };
  // Its own: a write of it was accepted, and the answer was lost.
  const transitions = isOwn ? record.transitions : record.transitions + 1;
  const acquireTime = isOwn && record.acquireTime !== '' ? record.acquireTime : undefined;
  return { kind: 'update', version: record.version, claim: { holder: identity, transitions, acquireTime }, doubts: 0 };
}

/** From now on it may lead. */
export function campaign(election: Election): Election {
  return { ...election, isCandidate: true };
}

/** It leads no more, and gives back what it holds, or gets by a request that is under way. */
export function resign(election: Election): Election {
  return { ...election, isResigning: true };
}

/** A renewal is due at once, and nothing is written before it is accepted. */
export function doubt(election: Election): Election {
  const { term } = election;
  return term ? { ...election, term: { ...term, doubts: term.doubts + 1 } } : election;
}

/** The watch shows a version of the Lease, or that there is none. It may be late: it proves nothing about now. */
export function see(election: Election, record: LeaseRecord | undefined, { now, random }: Moment): Election {
  const { term } = election;
  if (term) return record && isOf(term, election, record) ? election : doubt(election);
  return look({ ...election, jitter: random }, record, now);
}

/** The answer to a request came. @param sentAt when the request was sent. */
export function settle(
  before: Election,
  step: LeaseStep,
  answer: LeaseAnswer,
  { now, random, sentAt }: Moment & { readonly sentAt: number },
): Election {
  const election = { ...before, jitter: random };
  const retryAt = now + election.timing.retryMs * (1 + JITTER * random);
  switch (answer.kind) {
    case 'written':
      return accept(election, step, answer.record, sentAt, now);
    case 'read':
      return isOutrun(election, step)
        ? { ...election, mustRead: false }
        : learn({ ...election, mustRead: false }, answer.record, now);
    case 'refused':
      // The first time it is read at once; whoever is refused again waits, as somebody else writes all the time.
      return {
        ...election,
        mustRead: true,
        refusals: election.refusals + 1,
        retryAt: election.refusals > 0 ? retryAt : LONG_AGO,
      };
    case 'gone':
      return learn(election, undefined, now);
    case 'failed':
      return { ...election, retryAt };
    default:
      return answer satisfies never;
  }
}

function accept(election: Election, step: LeaseStep, record: LeaseRecord, sentAt: number, now: number): Election {
  const { term } = election;
  const settled = { ...election, refusals: 0, retryAt: LONG_AGO, mustRead: false, sighting: { record, at: now } };
  const claim = step.kind === 'create' || step.kind === 'update' ? step.claim : undefined;
  if (claim?.holder !== election.identity) return { ...settled, isOver: true, term: undefined };
  const { version, transitions, acquireTime } = record;
  // What was seen while the request was on its way still counts.
  const doubts = term?.doubts ?? 0;
  const settledDoubts = step.kind === 'update' ? step.doubts : 0;
  return { ...settled, term: { version, transitions, acquireTime, confirmedAt: sentAt, doubts, settledDoubts } };
}

/** What the API server has now. A term ends if that is not its own Lease: somebody else has led, or may have. */
function learn(election: Election, record: LeaseRecord | undefined, now: number): Election {
  const { term } = election;
  if (!term) return look(election, record, now);
  if (!record || !isOf(term, election, record)) {
    return { ...election, isOver: true, term: undefined, sighting: { record, at: now } };
  }
  return doubt({ ...election, term: { ...term, version: record.version } });
}

/** Whether the watch showed something else after the read was sent: the answer may be older than that. */
function isOutrun({ term, sighting }: Election, step: LeaseStep): boolean {
  return !term && step.kind === 'read' && step.before !== sighting;
}

function look(election: Election, record: LeaseRecord | undefined, now: number): Election {
  const { sighting } = election;
  if (sighting && sighting.record?.version === record?.version) return election;
  // Where none ever was, nobody leads. One that vanishes may have a leader that does not know it yet.
  const at = sighting === undefined && record === undefined ? LONG_AGO : now;
  return { ...election, sighting: { record, at } };
}

function isOf(term: Term, { identity }: Election, record: LeaseRecord): boolean {
  return record.holder === identity && record.transitions === term.transitions;
}

function isDoubted({ doubts, settledDoubts }: Term): boolean {
  return doubts > settledDoubts;
}
