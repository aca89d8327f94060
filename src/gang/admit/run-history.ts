/** How long earlier gangs of the same lineage ran, to estimate run lengths. Lost in a restart. */
import { LRUCache } from 'lru-cache';
import { leastOf } from '../../core/objects/extremes.ts';
import type { Gang } from '../../core/podgroup/gang.ts';

/** Remembered runs of each lineage. */
const RUNS = 8;
const LINEAGES = 10_000;

export class RunHistory {
  readonly #runs = new LRUCache<string, readonly number[]>({ max: LINEAGES });

  /** The gang succeeded just now. */
  learn({ lineage, members }: Pick<Gang, 'lineage' | 'members'>, now: number): void {
    const starts = members.flatMap(({ startedAt }) => startedAt ?? []);
    if (starts.length > 0) this.#runs.set(lineage, [...this.of(lineage), now - leastOf(starts)].slice(-RUNS));
  }

  /** Milliseconds, the newest last. @param lineage identifies gangs of the same kind and origin. */
  of(lineage: string): readonly number[] {
    return this.#runs.get(lineage) ?? [];
  }
}
