/**
 * Step 6 of a cycle: starts every missing write, and opens barriers. Nothing is awaited; the end of each write wakes
 * the loop.
 */
import type { GangRecord } from '../state/records.ts';
import type { BarrierOpener } from './barrier-opener.ts';
import type { Evictor } from './evictor.ts';
import type { Nominator } from './nominator.ts';

/** The gangs; implemented by `observe/gang-table.ts`. */
export interface Gangs {
  get(gang: string): GangRecord | undefined;
  values(): Iterable<GangRecord>;
}

export class Dispatcher {
  readonly #nominator: Nominator;
  readonly #evictor: Evictor;
  readonly #opener: BarrierOpener;

  constructor(nominator: Nominator, evictor: Evictor, opener: BarrierOpener) {
    this.#nominator = nominator;
    this.#evictor = evictor;
    this.#opener = opener;
  }

  /** Runs the step: nominations, gates and erasures, then notices and evictions, gang by gang. */
  write(gangs: Gangs): void {
    for (const record of gangs.values()) {
      this.#nominator.reconcile(record);
      this.#evictor.reconcile(record);
      this.#opener.tryOpen(record);
    }
    this.#evictor.withdrawNotices(gangs);
  }
}
