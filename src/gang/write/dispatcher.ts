/**
 * Step 6 of a cycle: starts every missing write, and opens barriers. Nothing is awaited; the end of each write wakes
 * the loop.
 */
import type { LoopContext } from '../framework/context.ts';
import type { GangRecord } from '../state/records.ts';
import type { BarrierOpener } from './barrier-opener.ts';
import type { Evictor } from './evictor.ts';
import type { GateKeeper } from './gate-keeper.ts';
import type { KeyAdvisor } from './key-advisor.ts';
import type { Nominator } from './nominator.ts';
import type { StrayKeeper } from './stray-keeper.ts';

/** The gangs; implemented by `observe/gang-table.ts`. */
export interface Gangs {
  get(gang: string): GangRecord | undefined;
  values(): Iterable<GangRecord>;
}

/** The steps that write. */
export interface DispatcherParts {
  readonly nominator: Nominator;
  readonly evictor: Evictor;
  readonly opener: BarrierOpener;
  readonly strays: StrayKeeper;
  readonly advisor: KeyAdvisor;
  readonly gates: GateKeeper;
}

export class Dispatcher {
  readonly #isolation: LoopContext['isolation'];
  readonly #clock: LoopContext['clock'];
  readonly #parts: DispatcherParts;

  constructor({ isolation, clock }: Pick<LoopContext, 'isolation' | 'clock'>, parts: DispatcherParts) {
    this.#isolation = isolation;
    this.#clock = clock;
    this.#parts = parts;
  }

  /** When a write is due by time alone, milliseconds; Infinity: never. */
  get nextAt(): number {
    return this.#parts.gates.nextAt;
  }

  /** Whether a member that is created now gets the gate. */
  get isGating(): boolean {
    return this.#parts.gates.isGating(this.#clock.now());
  }

  /**
   * Runs the step: nominations, gates and erasures, then notices and evictions, gang by gang; then lone pods, and whether
   * new members get the gate.
   */
  write(gangs: Gangs): void {
    const { nominator, evictor, opener, strays, advisor, gates } = this.#parts;
    this.#isolation.each(gangs.values(), 'write', (record) => {
      nominator.reconcile(record);
      evictor.reconcile(record);
      opener.tryOpen(record);
    });
    evictor.withdrawNotices(gangs);
    strays.reconcile();
    advisor.advise();
    gates.reconcile(gangs.values(), this.#clock.now());
  }
}
