/** How calls of kube-scheduler end: the closed words that answers, the request metric, its docs and the tests share. */

export const extenderOutcomes = {
  /** `placed`, `refused`, `early`: a member with a slot; `waiting`: one without; the others: a lone pod. */
  filter: ['placed', 'refused', 'early', 'waiting', 'lone', 'queued', 'reserved'],
  prioritize: ['member', 'lone'],
  preempt: ['vetoed', 'echoed', 'narrowed'],
  bind: ['bound', 'refused'],
} as const;

/** Calls that were not answered: the body was no such call, or Muster is not ready; another Muster leads; or an error in Muster. */
export const failedOutcomes = ['bad-request', 'standby', 'error'] as const;

export type ExtenderVerb = keyof typeof extenderOutcomes;
export type CallOutcome<Verb extends ExtenderVerb = ExtenderVerb> = (typeof extenderOutcomes)[Verb][number];
export type FailedOutcome = (typeof failedOutcomes)[number];

/** Why a call was not answered: who called was not allowed to, or it is not known whether they are. */
export const refusedCalls = [
  'no-certificate',
  'unlisted',
  'bad-token',
  'forbidden',
  'not-reviewed',
  'malformed',
  'browser',
] as const;

/** Why a connection was closed: too many of them, or it took too long. */
export const refusedConnections = ['limit', 'strangers', 'handshake', 'slow', 'idle', 'unread'] as const;

export type RefusedCall = (typeof refusedCalls)[number];
export type RefusedConnection = (typeof refusedConnections)[number];
