/**
 * The searcher of production, which knows how many of its questions are not answered: the clock of the benchmark stands
 * still meanwhile, as a search takes the thread no longer because the machine is busy or simulated time flies.
 */
import type { StartQuestion } from '../../src/core/backfill/start-question.ts';
import type { Preemption } from '../../src/core/preemption/preemption.ts';
import type { VictimQuestion } from '../../src/core/reclaim/victim-question.ts';
import type { Searcher, SearchOutcome, StartOutcome } from '../../src/gang/framework/ports.ts';
import { WorkerSearcher, type WorkerSearcherOptions } from '../../src/search/worker-searcher.ts';

export class CountingSearcher implements Searcher {
  readonly #searcher: WorkerSearcher;
  #open = 0;

  constructor(options: WorkerSearcherOptions) {
    this.#searcher = new WorkerSearcher(options);
  }

  /** Questions that the thread has not answered. */
  get open(): number {
    return this.#open;
  }

  findVictims(question: VictimQuestion, onOutcome: (outcome: SearchOutcome) => void): Preemption | 'busy' | undefined {
    return this.#count(this.#searcher.findVictims(question, this.#uncount(onOutcome)));
  }

  planStart(question: StartQuestion, onOutcome: (outcome: StartOutcome) => void): StartOutcome | 'busy' | undefined {
    return this.#count(this.#searcher.planStart(question, this.#uncount(onOutcome)));
  }

  async stop(): Promise<void> {
    await this.#searcher.stop();
  }

  #count<T>(answer: T | undefined): T | undefined {
    if (answer === undefined) this.#open++;
    return answer;
  }

  #uncount<T>(onOutcome: (outcome: T) => void): (outcome: T) => void {
    return (outcome) => {
      this.#open--;
      onOutcome(outcome);
    };
  }
}
