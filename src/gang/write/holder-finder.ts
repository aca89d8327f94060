/**
 * Adds to the reason of a gang without room who holds what it lacks. Only for people: when a reason is announced, and
 * when somebody asks. Gangs that lack the same share the answer, and the search takes a tenth of the time at most.
 */
import { findHolders, type Holders } from '../../core/placement/holders.ts';
import type { Unschedulable } from '../../core/placement/report.ts';
import type { Reason } from '../../core/reasons/explain.ts';
import type { LoopContext } from '../framework/context.ts';
import { occupy } from '../state/occupancy.ts';
import type { GangRecord } from '../state/records.ts';

/** After so much time spent, milliseconds, the finder pauses for nine times as long: reasons then name no new holders. */
const BUDGET_MS = 20;
const PAUSE_PER_SEARCH = 9;

type Context = Pick<LoopContext, 'view' | 'reservations' | 'clock'>;

export class HolderFinder {
  readonly #context: Context;
  /**
   * By what the gang lacks, with the freed generation: gangs of one shape have the same, and a gang that what was freed
   * cannot help is not planned again (`plan/freed-space.ts`).
   */
  readonly #known = new WeakMap<Unschedulable, { readonly freed: number; readonly holders: Holders | 'nobody' }>();
  /** Since the last pause. */
  #spentMs = 0;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(context: Context) {
    this.#context = context;
  }

  /** The reason with the holders, if it is a lack of room and they can be found. */
  complete({ gang, attempt: { shortfall } }: GangRecord, reason: Reason | undefined): Reason | undefined {
    if (reason?.kind !== 'unschedulable' || !shortfall || reason.lacking === undefined) return reason;
    const known = this.#known.get(shortfall);
    const isCurrent = known?.freed === this.#context.reservations.freed;
    const holders = isCurrent ? known.holders : (this.#find(gang, shortfall, reason.lacking) ?? known?.holders);
    return holders === undefined || holders === 'nobody' ? reason : { ...reason, holders };
  }

  #find(gang: GangRecord['gang'], shortfall: Unschedulable, resource: string): Holders | 'nobody' | undefined {
    const { view, reservations, clock } = this.#context;
    const asks = gang.members.find(({ template }) => template.requests.some(({ name }) => name === resource));
    const start = clock.now();
    if (!asks || start < this.#pausedUntil) return undefined;
    const occupied = occupy(view.snapshot(), reservations, view.foreignHolders());
    const { topology } = shortfall;
    const domain = topology?.kind === 'no-domain' ? topology.best : undefined;
    const query = { gang: gang.key, resource, template: asks.template, domain };
    const holders = findHolders(occupied, query) ?? 'nobody';
    const end = clock.now();
    this.#spentMs += end - start;
    if (this.#spentMs >= BUDGET_MS) {
      this.#pausedUntil = end + PAUSE_PER_SEARCH * this.#spentMs;
      this.#spentMs = 0;
    }
    this.#known.set(shortfall, { freed: reservations.freed, holders });
    return holders;
  }
}
