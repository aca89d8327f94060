/**
 * Nodes that failed under running gangs. A failure is remembered for the gang that it hit, and its weight decays: after
 * one half-life a single failure is forgotten. Volatile: a restart forgets all of them.
 */

import type { Suspect } from '../framework/ports.ts';

interface Failures {
  /** Weight of the failures at `at`. */
  weight: number;
  /** Milliseconds. */
  at: number;
}

/** The weight of one failure after its half-life: anything less counts as none. */
const MIN_WEIGHT = 0.5;

export class NodeFailures {
  readonly #halfLifeMs: number;
  readonly #suspectAfter: number;
  /** By node, then by gang. */
  readonly #failures = new Map<string, Map<string, Failures>>();

  /** @param suspectAfter number of failures that make a node a suspect. */
  constructor(halfLifeMs: number, suspectAfter: number) {
    this.#halfLifeMs = halfLifeMs;
    this.#suspectAfter = suspectAfter;
  }

  /**
   * Remembers that the gang lost members because of the node.
   * @returns whether this makes the node a suspect.
   */
  add(node: string, gang: string, now: number): boolean {
    const before = this.#weigh(node, now);
    const gangs = this.#failures.get(node) ?? new Map<string, Failures>();
    this.#failures.set(node, gangs);
    const known = gangs.get(gang);
    gangs.set(gang, { weight: (known ? this.#fade(known, now) : 0) + 1, at: now });
    return !this.#isSuspect(before) && this.#isSuspect(before + 1);
  }

  /** Nodes that the gang avoids. */
  avoidedBy(gang: string, now: number): ReadonlySet<string> {
    const avoided = new Set<string>();
    for (const [node, gangs] of this.#failures) {
      const known = gangs.get(gang);
      if (known && this.#fade(known, now) > MIN_WEIGHT) avoided.add(node);
    }
    return avoided;
  }

  /** Suspect nodes, by name. */
  suspects(now: number): readonly Suspect[] {
    const suspects = [...this.#failures.keys()].map((node) => ({ node, failures: this.#weigh(node, now) }));
    return suspects.filter(({ failures }) => this.#isSuspect(failures)).sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  /** Earlier failures have always decayed a little when the last one is added. */
  #isSuspect(failures: number): boolean {
    return failures > this.#suspectAfter - MIN_WEIGHT;
  }

  /** The weight of all failures of the node. Forgets those that have decayed. */
  #weigh(node: string, now: number): number {
    const gangs = this.#failures.get(node);
    if (!gangs) return 0;
    let sum = 0;
    for (const [gang, known] of gangs) {
      const weight = this.#fade(known, now);
      if (weight > MIN_WEIGHT) sum += weight;
      else gangs.delete(gang);
    }
    if (gangs.size === 0) this.#failures.delete(node);
    return sum;
  }

  #fade({ weight, at }: Failures, now: number): number {
    return weight * 2 ** (-(now - at) / this.#halfLifeMs);
  }
}
