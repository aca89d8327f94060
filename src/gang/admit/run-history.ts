/** How long gangs of the same makers ran before: what the length of the next one is guessed from. Lost in a restart. */
import { LRUCache } from 'lru-cache';

/** Runs that are remembered of each maker. */
const RUNS = 8;
const LINEAGES = 10_000;

export class RunHistory {
  readonly #runs = new LRUCache<string, readonly number[]>({ max: LINEAGES });

  /** A gang ended well. @param lineage who makes gangs like it. @param ms how long it ran. */
  add(lineage: string, ms: number): void {
    this.#runs.set(lineage, [...this.of(lineage), ms].slice(-RUNS));
  }

  /** Milliseconds, the last one last. */
  of(lineage: string): readonly number[] {
    return this.#runs.get(lineage) ?? [];
  }
}
