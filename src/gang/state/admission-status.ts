/** What admission has decided about a waiting gang. Only this module writes it, for admission. Volatile. */

import type { OrderScore } from '../../core/queues/order.ts';
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { ReadonlyPart } from './part.ts';
import type { SetBack } from './start-failures.ts';

/** A gang's position in queue order. */
export interface Position {
  /** From 1. */
  readonly position: number;
  /** The order factors that led to it. */
  readonly standing: OrderScore;
}

interface WritableAdmissionStatus {
  /** Why the gang may not be planned although there may be capacity; undefined: it may. */
  holdReason: HoldReason | undefined;
  /** How far it stands behind gangs of equal priority, because it or its namespace held capacity in vain. */
  setBack: SetBack;
  /** Undefined: it is not in queue order. */
  position: Position | undefined;
  /** Since when it has been complete and allowed to start but without capacity, milliseconds. */
  blockedSince: number | undefined;
  /** Since when its queue has had too little guarantee or limit left for it, milliseconds. */
  lacksQuotaSince: number | undefined;
}

export type AdmissionStatus = ReadonlyPart<WritableAdmissionStatus>;

function writable(status: AdmissionStatus): WritableAdmissionStatus {
  return status as WritableAdmissionStatus;
}

export function newAdmissionStatus(): AdmissionStatus {
  return {
    holdReason: undefined,
    setBack: 0,
    position: undefined,
    blockedSince: undefined,
    lacksQuotaSince: undefined,
  };
}

export function holdBack(status: AdmissionStatus, reason: HoldReason | undefined): void {
  writable(status).holdReason = reason;
}

export function noteSetBack(status: AdmissionStatus, setBack: SetBack): void {
  writable(status).setBack = setBack;
}

export function assignPosition(status: AdmissionStatus, position: Position | undefined): void {
  writable(status).position = position;
}

/** The gang found no capacity. @param since ignored if an earlier time is known. */
export function noteBlocked(status: AdmissionStatus, since: number): void {
  writable(status).blockedSince ??= since;
}

/** The gang does not wait for capacity. */
export function clearBlocked(status: AdmissionStatus): void {
  writable(status).blockedSince = undefined;
}

/** @param since when quota was found missing, ignored if an earlier time is known; undefined: there is enough. */
export function noteQuota(status: AdmissionStatus, since: number | undefined): void {
  const state = writable(status);
  state.lacksQuotaSince = since === undefined ? undefined : (state.lacksQuotaSince ?? since);
}

/** The gang has its slots. */
export function noteStarted(status: AdmissionStatus): void {
  const state = writable(status);
  state.holdReason = undefined;
  state.blockedSince = undefined;
  state.lacksQuotaSince = undefined;
}
