/**
 * What keeps a gang back although there may be room: its queue, an operator, or another gang ahead of it. As data,
 * and as text.
 */

import { formatDuration, instantText } from '../objects/text-values.ts';
import type { GangKey } from '../podgroup/gang.ts';
import type { QueueChoiceProblem } from '../queues/choice.ts';
import type { QuotaRefusal } from '../queues/quota.ts';
import { explainQueueProblem, explainQuota } from './explain-queue.ts';

/** Why a complete gang is not placed, whatever room there is. */
export type HoldReason =
  /** An operator holds it. */
  | { readonly kind: 'held' }
  /** Another Job may come that is part of it; until when, milliseconds since the epoch. */
  | { readonly kind: 'settling'; readonly until: number }
  | { readonly kind: 'queue'; readonly problem: QueueChoiceProblem }
  | { readonly kind: 'quota'; readonly refusal: QuotaRefusal }
  /** It ran as long as its queue allows; milliseconds. */
  | { readonly kind: 'over-time'; readonly queue: string; readonly limitMs: number }
  /** Never all its members would be at the barrier at once: kube-scheduler is too slow for so many. */
  | {
      readonly kind: 'outruns-barrier';
      readonly members: number;
      /** How many would be, at best. */
      readonly most: number;
      /** How long the barrier holds the first of them, milliseconds. */
      readonly timeoutMs: number;
      /** Whether its own PodGroup says so. */
      readonly isOwn: boolean;
    }
  /** It would fit, but would keep another gang waiting. */
  | {
      readonly kind: 'behind';
      readonly gang: GangKey;
      /**
       * `strict`: no gang passes the first gang of this queue. `quota`: the other gang has waited long for quota that
       * this one would use up. `planned-start`: the room is reserved for the other gang. `no-backfill`: no gang
       * passes another.
       */
      readonly cause: 'strict' | 'quota' | 'planned-start' | 'no-backfill';
      /** When the other gang is planned to start, milliseconds since the epoch; Infinity: unknown. */
      readonly startsAt: number;
    };

/** For people. */
export function explainHoldReason(reason: HoldReason): string {
  switch (reason.kind) {
    case 'held':
      return 'held by muster.dev/hold: "true"; set it to "false" or remove it from every member to release the gang';
    case 'settling':
      return 'complete, waits a moment for other Jobs of the gang; muster.dev/min-members says how many members there are';
    case 'queue':
      return explainQueueProblem(reason.problem);
    case 'quota':
      return explainQuota(reason.refusal);
    case 'over-time':
      return `ran for ${formatDuration(reason.limitMs)}, the longest that queue ${reason.queue} allows; it starts again only with another owner: delete its Job and create it anew`;
    case 'outruns-barrier':
      return explainOutrun(reason);
    case 'behind':
      return explainBehind(reason);
    default:
      return reason satisfies never;
  }
}

/** For filter replies: without counts and times. */
export function explainHoldReasonStably(reason: HoldReason): string {
  switch (reason.kind) {
    case 'held':
      return 'is held by an operator';
    case 'settling':
      return 'waits a moment for other Jobs';
    case 'queue':
      return `cannot start: ${explainQueueProblem(reason.problem)}`;
    case 'quota':
      return `waits for quota of queue ${reason.refusal.queue}`;
    case 'over-time':
      return `ran as long as queue ${reason.queue} allows`;
    case 'outruns-barrier':
      return 'has more members than kube-scheduler brings to the bind barrier in time';
    case 'behind':
      return 'waits so that it does not delay a gang before it';
    default:
      return reason satisfies never;
  }
}

function explainOutrun({ members, most, timeoutMs, isOwn }: HoldReason & { readonly kind: 'outruns-barrier' }): string {
  const remedy = isOwn
    ? 'raise scheduleTimeoutSeconds of its PodGroup'
    : 'raise gang.barrierTimeout, and httpTimeout of the extender entry with the bindVerb above it';
  return `not tried: it needs ${members} members at the bind barrier within ${formatDuration(timeoutMs)}, and kube-scheduler brought at most ${most} in that time; ${remedy}`;
}

function explainBehind({ gang, cause, startsAt }: HoldReason & { readonly kind: 'behind' }): string {
  switch (cause) {
    case 'strict':
      return `waits behind gang ${gang}, which is first in its queue, and the queue's order is strict`;
    case 'quota':
      return `waits behind gang ${gang}, which has waited long for quota of their queue`;
    case 'no-backfill':
      return `waits behind gang ${gang}, which is first in order; backfill is off`;
    case 'planned-start': {
      const at = instantText(startsAt);
      const when = at === undefined ? '' : ` at ${at} (estimated)`;
      return `would fit, but could delay gang ${gang}, which is planned to start there${when}; say muster.dev/expected-duration to be let past if short enough`;
    }
    default:
      return cause satisfies never;
  }
}
