/** What the queues have decided about a gang that waits. Written by this module only, for admission. Volatile. */

import type { OrderScore } from '../../core/queues/order.ts';
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { ReadonlyPart } from './part.ts';

/** A gang's place in the order of all that wait. */
export interface Position {
  /** From 1. */
  readonly position: number;
  /** What the place follows from. */
  readonly standing: OrderScore;
}

interface WritableAdmissionStatus {
  /** Why the gang may not be placed, whatever room there is; undefined: it may. */
  holdReason: HoldReason | undefined;
  /** Undefined: it is not in the order. */
  position: Position | undefined;
  /** Since when it has been complete and allowed to start, without room, milliseconds. */
  blockedSince: number | undefined;
  /** Since when its queue has had too little quota left for it, be it a guarantee or a limit, milliseconds. */
  lacksQuotaSince: number | undefined;
}

export type AdmissionStatus = ReadonlyPart<WritableAdmissionStatus>;

function writable(status: AdmissionStatus): WritableAdmissionStatus {
  return status as WritableAdmissionStatus;
}

export function newAdmissionStatus(): AdmissionStatus {
  return { holdReason: undefined, position: undefined, blockedSince: undefined, lacksQuotaSince: undefined };
}

export function holdBack(status: AdmissionStatus, reason: HoldReason | undefined): void {
  writable(status).holdReason = reason;
}

export function assignPosition(status: AdmissionStatus, position: Position | undefined): void {
  writable(status).position = position;
}

/** The gang found no room; @param since when it first did not, unless it is known already. */
export function noteBlocked(status: AdmissionStatus, since: number): void {
  writable(status).blockedSince ??= since;
}

/** The gang is not waiting for room. */
export function clearBlocked(status: AdmissionStatus): void {
  writable(status).blockedSince = undefined;
}

/** @param since when quota was first missing, unless it is known already; undefined: there is enough. */
export function noteQuota(status: AdmissionStatus, since: number | undefined): void {
  const state = writable(status);
  state.lacksQuotaSince = since === undefined ? undefined : (state.lacksQuotaSince ?? since);
}

/** The gang has its places. */
export function noteStarted(status: AdmissionStatus): void {
  const state = writable(status);
  state.holdReason = undefined;
  state.blockedSince = undefined;
  state.lacksQuotaSince = undefined;
}
