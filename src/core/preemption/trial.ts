/**
 * One domain where a gang may start, and what is evicted for it so far: evicts units, restores them, and tells
 * whether the gang fits. O(pods of the unit) for each move.
 */

import type { RemovablePod, SnapshotWithoutPods } from '../snapshot/without-pods.ts';
import type { Ledger } from './budgets.ts';
import type { Candidate, Choice } from './candidates.ts';
import type { LiveCapacity } from './live-capacity.ts';

export interface TrialParts {
  /** The cluster without everything that may be evicted. */
  readonly snapshot: SnapshotWithoutPods;
  readonly capacity: LiveCapacity;
  readonly choices: readonly Choice[];
  /** The pods of each candidate that matter for the capacity. */
  readonly podsOf: ReadonlyMap<Candidate, readonly RemovablePod[]>;
  readonly ledger: Ledger;
  /** Whether capacity depends on which pods are on a node, not only on its free resources. */
  readonly readsPods: boolean;
  /** Asked when the capacity is enough; undefined: then the gang fits. */
  readonly confirm: (() => boolean) | undefined;
}

/** A plan counts as this many moves: it takes as long. */
const MOVES_OF_A_PLAN = 500;

/** How many plans one trial may make: a second or two on 5,000 nodes. */
export const MAX_PLANS = 200;

export class Trial {
  /** How many pods were moved so far: the cost of the search. */
  moves = 0;
  #plans = 0;
  readonly #parts: TrialParts;
  readonly #open: readonly Candidate[];
  readonly #evicted: Set<Candidate>;

  constructor(parts: TrialParts) {
    this.#parts = parts;
    this.#open = parts.choices.flatMap(({ whole, members }) => whole ?? members);
    this.#evicted = new Set(this.#open);
    for (const { cover } of this.#open) parts.ledger.add(cover);
  }

  get choices(): readonly Choice[] {
    return this.#parts.choices;
  }

  get evicted(): ReadonlySet<Candidate> {
    return this.#evicted;
  }

  /** How far the evicted units exceed the budgets. */
  get violations(): number {
    return this.#parts.ledger.violations;
  }

  /** No more plans are made, so nothing seems to fit any more: what the search found until then may not be minimal. */
  get isExhausted(): boolean {
    return this.#plans > MAX_PLANS;
  }

  /** Every test makes a plan, so it pays to test many changes at once. */
  get isCostly(): boolean {
    return this.#parts.confirm !== undefined;
  }

  isOverBudget({ cover }: Candidate): boolean {
    return this.#parts.ledger.isExceeded(cover);
  }

  fits(): boolean {
    const { capacity, confirm } = this.#parts;
    if (!capacity.fits()) return false;
    if (!confirm) return true;
    this.moves += MOVES_OF_A_PLAN;
    this.#plans++;
    return this.#plans <= MAX_PLANS && confirm();
  }

  /** A gang is never evicted together with one of its own members. */
  evict(candidate: Candidate): void {
    const { snapshot, ledger } = this.#parts;
    this.#evicted.add(candidate);
    ledger.add(candidate.cover);
    for (const pod of this.podsOf(candidate)) snapshot.remove(pod);
    this.#refresh(candidate);
  }

  restore(candidate: Candidate): void {
    const { snapshot, ledger } = this.#parts;
    this.#evicted.delete(candidate);
    ledger.remove(candidate.cover);
    for (const pod of this.podsOf(candidate)) snapshot.restore(pod);
    this.#refresh(candidate);
  }

  /** Makes exactly these the evicted ones. */
  setTo(candidates: Iterable<Candidate>): void {
    const wanted = new Set(candidates);
    for (const candidate of this.#evicted) if (!wanted.has(candidate)) this.restore(candidate);
    for (const candidate of wanted) if (!this.#evicted.has(candidate)) this.evict(candidate);
  }

  /**
   * Goes back to the start: everything is evicted, including more members of a gang that may not be evicted whole
   * than it can give up.
   */
  reopen(): void {
    this.setTo(this.#open);
  }

  podsOf(candidate: Candidate): readonly RemovablePod[] {
    return this.#parts.podsOf.get(candidate) ?? [];
  }

  #refresh(candidate: Candidate): void {
    const { snapshot, capacity, readsPods: isPicky } = this.#parts;
    const pods = this.podsOf(candidate);
    if (isPicky) snapshot.sync();
    for (const { node } of pods) capacity.refresh(node);
    this.moves += pods.length;
  }
}
