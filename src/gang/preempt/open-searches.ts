/**
 * Searches for victims that are under way elsewhere, one for each gang, and the answers that have arrived and were not
 * used yet. An answer waits for the next cycle that tries its gang. Volatile: after a restart they are asked again.
 */
import type { Gang } from '../../core/podgroup/gang.ts';
import type { VictimQuestion } from '../../core/reclaim/victim-question.ts';
import type { Searcher, SearchOutcome, Waker } from '../framework/ports.ts';
import { scheduleSearch } from '../state/preemption-status.ts';
import type { GangRecord } from '../state/records.ts';

/** What a question was asked on. */
export interface AskedOn {
  /** Milliseconds. */
  readonly askedAt: number;
  /** How often the gang asked again because an answer did not hold any more. */
  readonly repeats: number;
  /** The freed generation. */
  readonly freed: number;
  readonly gang: Gang;
}

/** An answer that arrived. */
export interface ArrivedAnswer extends AskedOn {
  readonly outcome: SearchOutcome;
}

interface OpenSearch {
  readonly on: AskedOn;
  outcome: SearchOutcome | undefined;
}

export class OpenSearches {
  readonly #searcher: Searcher;
  readonly #waker: Waker;
  /** A gang that is gone, or another run under its name, has another record: its search is forgotten. */
  readonly #open = new WeakMap<GangRecord, OpenSearch>();

  constructor(searcher: Searcher, waker: Waker) {
    this.#searcher = searcher;
    this.#waker = waker;
  }

  /** Whether the gang's question is not answered yet. */
  isOpen(record: GangRecord): boolean {
    const open = this.#open.get(record);
    return open !== undefined && open.outcome === undefined;
  }

  /** Whether an answer has arrived. */
  hasArrived(record: GangRecord): boolean {
    return this.#open.get(record)?.outcome !== undefined;
  }

  take(record: GangRecord): ArrivedAnswer | undefined {
    const open = this.#open.get(record);
    if (!open?.outcome) return undefined;
    this.#open.delete(record);
    return { ...open.on, outcome: open.outcome };
  }

  /** Forgets the search, and its answer whenever it comes. */
  forget(record: GangRecord): void {
    this.#open.delete(record);
  }

  /**
   * @returns the answer if it is known at once. `busy`: too many others search. Undefined: it arrives later, and leads to
   * a cycle that tries the gang.
   */
  ask(record: GangRecord, question: VictimQuestion, on: AskedOn): ReturnType<Searcher['findVictims']> {
    const open: OpenSearch = { on, outcome: undefined };
    const answer = this.#searcher.findVictims(question, (outcome) => {
      if (this.#open.get(record) !== open) return;
      open.outcome = outcome;
      // Due in the past: whenever the next cycle runs.
      scheduleSearch(record.preemption, 0);
      this.#waker.wake();
    });
    if (answer === undefined) this.#open.set(record, open);
    return answer;
  }
}
