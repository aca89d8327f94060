/** Gives all slots of a gang back, as a step of the loop decided. */

import { eraseNomination } from '../state/attempt.ts';
import { abandonPreempting } from '../state/preemption-status.ts';
import { endAttempt, giveUpAttempt } from '../state/records.ts';
import { HELD_IN_VAIN_MS } from '../state/start-failures.ts';
import type { LoopContext } from './context.ts';
import type { Release, ReleaseCause, Waker } from './ports.ts';

/** Causes for which the gang itself answers: it held capacity and did not start. */
const OWN_FAULTS: ReadonlySet<ReleaseCause> = new Set<ReleaseCause>([
  'refused',
  'not-written',
  'barrier-timeout',
  'members-left',
  'fence-ended',
]);

/**
 * Causes that the owner of the gang brings about whenever he likes, by a change of its pods. A gang that held slots for long
 * by then did not start: who has his gangs held by turns must not keep the nodes for ever.
 */
const OWN_DOING: ReadonlySet<ReleaseCause> = new Set<ReleaseCause>([
  'held',
  'ranks-moved',
  'members-left',
  'request-changed',
]);

type Context = Pick<LoopContext, 'reservations' | 'barrier' | 'observer' | 'clock' | 'settings' | 'startFailures'>;

export class Releaser {
  readonly #context: Context;
  readonly #waker: Waker;

  constructor(context: Context, waker: Waker) {
    this.#context = context;
    this.#waker = waker;
  }

  /**
   * Erases what was written for the slots; the gang is planned again after its back-off. A binding that is being
   * written, or that the watch has not shown yet, keeps its slot.
   */
  release({ record, cause, message, isBlameless }: Release): void {
    const { reservations, barrier, observer, clock, settings, startFailures } = this.#context;
    const { gang, census, attempt, preemption } = record;
    const slots = reservations.slotsOf(gang.key).filter(({ state }) => state !== 'binding');
    observer.onReleased(gang.key, cause, slots.length, message);
    for (const slot of slots) reservations.forget(slot.pod.uid);
    // Refused members have lost their slots already, but their last nomination is still written.
    for (const pod of census.unbound) if (!reservations.slot(pod.uid)) eraseNomination(attempt, pod);
    barrier.rejectAll(gang.key, message);
    const now = clock.now();
    const heldFor = now - (attempt.heldSince ?? now);
    const isAtFault = (OWN_FAULTS.has(cause) && !isBlameless) || (OWN_DOING.has(cause) && heldFor >= HELD_IN_VAIN_MS);
    const until = isAtFault ? startFailures.noteFailure(gang, now, heldFor) : now + settings.backoffInitialMs;
    giveUpAttempt(record, message, until);
    if (isAtFault && preemption.hasPreempted) startFailures.noteVainPreemption(gang, now);
    if (cause === 'members-late') startFailures.noteVainEarlyPlan(gang, now);
    abandonPreempting(preemption, now, settings.preemption.backoffInitialMs, settings.preemption.backoffMaxMs);
    if (isBlameless) endAttempt(record);
    this.#waker.wake(gang.key);
  }
}
