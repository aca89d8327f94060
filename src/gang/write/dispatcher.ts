/**
 * Step 6 of a cycle: starts every missing write, and opens barriers. Nothing is awaited; the end of each write wakes
 * the loop.
 */
import type { GangRecord } from '../state/records.ts';
import type { BarrierOpener } from './barrier-opener.ts';
import type { Evictor } from './evictor.ts';
import type { KeyAdvisor } from './key-advisor.ts';
import type { Nominator } from './nominator.ts';
import type { StrayKeeper } from './stray-keeper.ts';

/** The gangs; implemented by `observe/gang-table.ts`. */
export interface Gangs {
  get(gang: string): GangRecord | undefined;
  values(): Iterable<GangRecord>;
}

export class Dispatcher {
  readonly #nominator: Nominator;
  readonly #evictor: Evictor;
  readonly #opener: BarrierOpener;
  readonly #strays: StrayKeeper;
  readonly #advisor: KeyAdvisor;

  constructor(nominator: Nominator, evictor: Evictor, opener: BarrierOpener, strays: StrayKeeper, advisor: KeyAdvisor) {
    this.#nominator = nominator;
    this.#evictor = evictor;
    this.#opener = opener;
    this.#strays = strays;
    this.#advisor = advisor;
  }

  /** Runs the step: nominations, gates and erasures, then notices and evictions, gang by gang; then lone pods. */
  write(gangs: Gangs): void {
    for (const record of gangs.values()) {
      this.#nominator.reconcile(record);
      this.#evictor.reconcile(record);
      this.#opener.tryOpen(record);
    }
    this.#evictor.withdrawNotices(gangs);
    this.#strays.reconcile();
    this.#advisor.advise();
  }
}
