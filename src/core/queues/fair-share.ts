/**
 * Ranks queues by how much less than their share they have used, across a tree of queues.
 *
 * 1. The usage of a leaf is the exponentially weighted mean of what it held: what is older than a half-life counts
 *    half.
 * 2. Queues are ranked by their usage a little later if nothing changes (`projectUsage`), so that a burst of starts
 *    shifts the order at once.
 * 3. Fair Tree (SchedMD Slurm, src/plugins/priority/multifactor/fair_tree.c and slurm.schedmd.com/fair_tree.html): at
 *    every level siblings are ranked by dominant share / weight, ascending. A subtree is ranked as a whole before its
 *    next sibling, so teams never pay for the usage of other teams of their organisation towards another
 *    organisation. Equal queues share a rank, and the children of equal inner queues are ranked together. The factor
 *    of a leaf is (n - rank) / n.
 *
 * The dominant share is the largest fraction of the cluster's capacity over all resources (Ghodsi et al., Dominant
 * Resource Fairness, NSDI 2011). O(queues × dimensions) at first, O(queues) after a change of one leaf.
 */
import { type Amounts, addAmounts, namesModel } from './amounts.ts';
import type { Queue, QueueTree } from './queue.ts';

export interface QueueShare {
  /** Dominant share of the projected usage: 0..1 unless more is used than the cluster has. */
  readonly share: number;
  /** The resource of which the share is largest; '' while nothing is used. */
  readonly dominant: string;
  /** The share that its weights entitle it to: the product of weight / sum of the siblings' weights along the path. */
  readonly entitled: number;
  /** (n - rank) / n among the leaves; for an inner queue, that of its first leaf. */
  readonly factor: number;
}

/** Smaller amounts are dropped; otherwise every dimension ever used would be kept. */
const NEGLIGIBLE = 1e-9;

/** The usage after `elapsedMs` more, during which `held` was held. */
export function decayUsage(usage: Amounts, held: Amounts, elapsedMs: number, halfLifeMs: number): Amounts {
  const kept = 2 ** (-Math.max(0, elapsedMs) / halfLifeMs);
  const next = new Map<string, number>();
  for (const dimension of new Set([...usage.keys(), ...held.keys()])) {
    const amount = (usage.get(dimension) ?? 0) * kept + (held.get(dimension) ?? 0) * (1 - kept);
    if (amount > NEGLIGIBLE) next.set(dimension, amount);
  }
  return next;
}

/**
 * In half-lives. Long enough that what is held now has weight (7 %). No longer, because the queue with the least
 * usage starts next: it overshoots by about half a gang, and keeps that weight for good. Measured with gangs of 1 to
 * 8 GPUs in queues entitled to 4 to 9: one half-life ahead gave them 11 to 18 % too much, a tenth 2 to 4 %.
 */
const LOOK_AHEAD = 0.1;

/** The usage a tenth of a half-life from now if nothing changes: queues are ranked by it. */
export function projectUsage(usage: Amounts, held: Amounts): Amounts {
  return decayUsage(usage, held, LOOK_AHEAD, 1);
}

/**
 * The largest fraction of the capacity that the amounts are, over resources. Models are parts of resources and do not
 * count.
 */
export function dominantShare(
  amounts: Amounts,
  capacity: Amounts,
): { readonly share: number; readonly dominant: string } {
  let share = 0;
  let dominant = '';
  for (const [dimension, amount] of amounts) {
    const whole = capacity.get(dimension) ?? 0;
    if (whole <= 0 || namesModel(dimension)) continue;
    const part = amount / whole;
    if (part > share || (part === share && part > 0 && dimension < dominant)) {
      share = part;
      dominant = dimension;
    }
  }
  return { share, dominant };
}

/** @param projected of the leaves, by name. */
export function rankQueues(
  tree: QueueTree,
  projected: ReadonlyMap<string, Amounts>,
  capacity: Amounts,
): ReadonlyMap<string, QueueShare> {
  const ranking = new FairTree(tree, projected, capacity);
  const shares = new Map<string, QueueShare>();
  const visit = (siblings: readonly Queue[], entitled: number): number => {
    const total = siblings.reduce((sum, queue) => sum + queue.spec.weight, 0);
    let best = 0;
    for (const queue of siblings) {
      const own = (entitled * queue.spec.weight) / total;
      const below = visit(queue.children, own);
      const factor = queue.children.length === 0 ? ranking.factorOf(queue) : below;
      shares.set(queue.name, { ...ranking.shareOf(queue), entitled: own, factor });
      best = Math.max(best, factor);
    }
    return best;
  };
  visit(tree.roots, 1);
  return shares;
}

interface Branch {
  readonly queue: Queue;
  /** Projected usage, descendants included. */
  readonly amounts: Map<string, number>;
  readonly children: Branch[];
  share: number;
  dominant: string;
  /** share / weight */
  ratio: number;
  factor: number;
}

/** The ranking of all queues, kept up to date while usage is added. */
export class FairTree {
  readonly #capacity: Amounts;
  readonly #roots: Branch[];
  readonly #leaves: number;
  readonly #branches = new Map<string, Branch>();
  #ranked = false;

  /** @param projected of the leaves, by name. */
  constructor(tree: QueueTree, projected: ReadonlyMap<string, Amounts>, capacity: Amounts) {
    this.#capacity = capacity;
    this.#leaves = tree.leaves.length;
    this.#roots = tree.roots.map((queue) => this.#grow(queue, projected));
  }

  /** Adds projected usage to a leaf. */
  add(leaf: Queue, amounts: Amounts): void {
    for (const { name } of leaf.path) {
      const branch = this.#branches.get(name)!;
      addAmounts(branch.amounts, amounts);
      this.#measure(branch);
    }
    this.#ranked = false;
  }

  shareOf(queue: Queue): { readonly share: number; readonly dominant: string } {
    const { share, dominant } = this.#branches.get(queue.name)!;
    return { share, dominant };
  }

  /** (n - rank) / n of a leaf. */
  factorOf(leaf: Queue): number {
    if (!this.#ranked) this.#rank(this.#roots, 0, 0);
    this.#ranked = true;
    return this.#branches.get(leaf.name)!.factor;
  }

  #grow(queue: Queue, projected: ReadonlyMap<string, Amounts>): Branch {
    const children = queue.children.map((child) => this.#grow(child, projected));
    const amounts = new Map(children.length === 0 ? projected.get(queue.name) : undefined);
    for (const child of children) addAmounts(amounts, child.amounts);
    const branch: Branch = { queue, amounts, children, share: 0, dominant: '', ratio: 0, factor: 0 };
    this.#branches.set(queue.name, branch);
    this.#measure(branch);
    return branch;
  }

  #measure(branch: Branch): void {
    const { share, dominant } = dominantShare(branch.amounts, this.#capacity);
    branch.share = share;
    branch.dominant = dominant;
    branch.ratio = share / branch.queue.spec.weight;
  }

  /**
   * @param siblings sorted in place: after a change they are nearly sorted already.
   * @param before how many leaves precede them.
   * @param first the rank of the first of them; lower than `before` when leaves of equal ratio share it.
   * @returns how many leaves precede what follows.
   */
  #rank(siblings: Branch[], before: number, first: number): number {
    siblings.sort((a, b) => a.ratio - b.ratio);
    let rank = first;
    for (let from = 0; from < siblings.length; ) {
      let to = from + 1;
      while (to < siblings.length && siblings[to]!.ratio === siblings[from]!.ratio) to++;
      before = this.#rankEqual(siblings, from, to, before, rank);
      from = to;
      rank = before;
    }
    return before;
  }

  #rankEqual(siblings: readonly Branch[], from: number, to: number, before: number, rank: number): number {
    let below: Branch[] | undefined;
    let inner = 0;
    for (let i = from; i < to; i++) {
      const branch = siblings[i]!;
      if (branch.children.length === 0) {
        branch.factor = (this.#leaves - rank) / this.#leaves;
        before++;
      } else {
        below = inner++ === 0 ? branch.children : [...below!, ...branch.children];
      }
    }
    return below ? this.#rank(below, before, rank) : before;
  }
}
