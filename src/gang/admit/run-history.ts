/** How long earlier gangs of the same lineage ran, to estimate run lengths. Lost in a restart. */
import { LRUCache } from 'lru-cache';

/** Remembered runs of each lineage. */
const RUNS = 8;
const LINEAGES = 10_000;

export class RunHistory {
  readonly #runs = new LRUCache<string, readonly number[]>({ max: LINEAGES });

  /** A gang succeeded. @param lineage identifies gangs of the same kind and origin. @param ms how long it ran. */
  add(lineage: string, ms: number): void {
    this.#runs.set(lineage, [...this.of(lineage), ms].slice(-RUNS));
  }

  /** Milliseconds, the newest last. */
  of(lineage: string): readonly number[] {
    return this.#runs.get(lineage) ?? [];
  }
}
