/**
 * Judges whether a queue may use more, and whether that is within its guarantee or borrowed from what others leave
 * idle.
 *
 * A guarantee is kept at every level. A queue claims of its parent what it uses or what it is guaranteed, whichever
 * is more. A gang is within the guarantee of a queue on its path if the claims of the queues below it, with the gang,
 * fit in that guarantee. So a leaf may always use its own guarantee, whatever its siblings borrow, and beyond it the
 * part of its organisation's guarantee that no team is guaranteed. Limits are hard at every level.
 *
 * Using more only makes verdicts worse, never better. O(dimensions × depth), and O(queues below) where the leaf's own
 * guarantee is used up and an outer one may cover the rest.
 */
import { type Amounts, addAmounts, namesModel, resourceOf } from './amounts.ts';
import type { Queue, QueueTree } from './tree.ts';

/** What each queue holds now, descendants included, by queue name. */
export type UseByQueue = ReadonlyMap<string, Amounts>;

/** The same, as far as a verdict on one queue asks. */
export type Use = Pick<UseByQueue, 'get'>;

export interface QuotaRefusal {
  readonly cause: 'limit' | 'no-borrowing';
  /** The queue on the path that refuses. */
  readonly queue: string;
  readonly dimension: string;
  readonly used: number;
  readonly asked: number;
  /** The limit, or the guarantee. */
  readonly bound: number;
}

export type QuotaVerdict =
  | { readonly kind: 'within' }
  | { readonly kind: 'borrows'; readonly dimensions: readonly string[] }
  | { readonly kind: 'refused'; readonly refusal: QuotaRefusal };

export const WITHIN: QuotaVerdict = { kind: 'within' };

/** Sums what the leaves use into what every queue uses, descendants included. */
export function rollUp(tree: QueueTree, ofLeaves: ReadonlyMap<string, Amounts>): Map<string, Map<string, number>> {
  const use = new Map<string, Map<string, number>>();
  for (const name of tree.byName.keys()) use.set(name, new Map());
  for (const leaf of tree.leaves) {
    const amounts = ofLeaves.get(leaf.name);
    if (amounts) for (const queue of leaf.path) addAmounts(use.get(queue.name)!, amounts);
  }
  return use;
}

/**
 * Judges a gang of a leaf. A dimension that no queue is guaranteed cannot be borrowed.
 * @param asked what the gang would use beyond `use`.
 */
export function judgeQuota(queue: Queue, asked: Amounts, use: Use): QuotaVerdict {
  let borrows: string[] | undefined;
  for (const [dimension, amount] of asked) {
    if (amount <= 0) continue;
    const refusal = findLimit(queue, dimension, amount, use);
    if (refusal) return { kind: 'refused', refusal };
    if (!queue.promised.has(dimension) || isAskedByModel(queue, dimension, asked)) continue;
    const covered = isCovered(queue, dimension, amount, use);
    const bar = findBar(queue, dimension, amount, use, covered);
    if (bar) return { kind: 'refused', refusal: bar };
    if (!covered) borrows = [...(borrows ?? []), dimension];
  }
  return borrows ? { kind: 'borrows', dimensions: borrows } : WITHIN;
}

/**
 * Everything that refuses the gang; `judgeQuota` names only the first. Room has to be made in all of these.
 * @returns the outermost queue first.
 */
export function listRefusals(queue: Queue, asked: Amounts, use: Use): readonly QuotaRefusal[] {
  const positive = [...asked].filter(([, amount]) => amount > 0);
  return queue.path.flatMap((level) =>
    positive.flatMap(([dimension, amount]) => {
      const refusal =
        refuseByLimit(level, dimension, amount, use) ??
        (isBarring(queue, dimension) &&
          refuseByBar(level, dimension, amount, use, isCovered(queue, dimension, amount, use)));
      return refusal || [];
    }),
  );
}

/** Where only models of a resource are guaranteed, a gang that insists on a model is judged by that model alone. */
function isAskedByModel({ promisedByName }: Queue, dimension: string, asked: Amounts): boolean {
  if (promisedByName.has(dimension)) return false;
  return [...asked.keys()].some((other) => other !== dimension && resourceOf(other) === dimension);
}

function findLimit(queue: Queue, dimension: string, asked: number, use: Use): QuotaRefusal | undefined {
  for (const level of queue.path) {
    const refusal = refuseByLimit(level, dimension, asked, use);
    if (refusal) return refusal;
  }
  return undefined;
}

function refuseByLimit({ name, limit }: Queue, dimension: string, asked: number, use: Use): QuotaRefusal | undefined {
  const bound = limit.get(dimension);
  if (bound === undefined) return undefined;
  const used = amountOf(use, name, dimension);
  return used + asked > bound ? { cause: 'limit', queue: name, dimension, used, asked, bound } : undefined;
}

/** Whether the guarantee of some queue on the path has room for the amount. */
function isCovered(leaf: Queue, dimension: string, asked: number, use: Use): boolean {
  let queue = leaf;
  let claim = amountOf(use, leaf.name, dimension);
  let withAsked = claim + asked;
  for (;;) {
    const guaranteed = queue.guaranteed.get(dimension) ?? 0;
    if (withAsked <= guaranteed) return true;
    const { parent } = queue;
    // Where no outer queue is guaranteed anything, there is nothing to sum.
    if (parent === undefined || !isPromised(parent, dimension)) return false;
    const claimOfParent = claimOf(parent, dimension, use);
    withAsked += claimOfParent - Math.max(claim, guaranteed);
    claim = claimOfParent;
    queue = parent;
  }
}

function isPromised(queue: Queue, dimension: string): boolean {
  return queue.path.some(({ guaranteed }) => (guaranteed.get(dimension) ?? 0) > 0);
}

/** What a queue uses, plus what queues below it are guaranteed and do not use. */
function claimOf({ name, children }: Queue, dimension: string, use: Use): number {
  if (children.length === 0) return amountOf(use, name, dimension);
  let claim = 0;
  for (const child of children) {
    claim += Math.max(claimOf(child, dimension, use), child.guaranteed.get(dimension) ?? 0);
  }
  return claim;
}

/** The queue on the path that may not borrow, but would have to. */
function findBar(queue: Queue, dimension: string, asked: number, use: Use, covered: boolean): QuotaRefusal | undefined {
  if (!isBarring(queue, dimension)) return undefined;
  for (const level of queue.path) {
    const refusal = refuseByBar(level, dimension, asked, use, covered);
    if (refusal) return refusal;
  }
  return undefined;
}

/**
 * Where only models of a resource are guaranteed, each model is barred on its own (`findModelRefusals`): the others
 * may be used.
 */
function isBarring({ promisedByName }: Queue, dimension: string): boolean {
  return promisedByName.has(dimension);
}

function refuseByBar(
  { name, spec, guaranteed }: Queue,
  dimension: string,
  asked: number,
  use: Use,
  covered: boolean,
): QuotaRefusal | undefined {
  if (spec.allowBorrowing) return undefined;
  const bound = guaranteed.get(dimension) ?? 0;
  const used = amountOf(use, name, dimension);
  // A queue without a guarantee of its own lives on the guarantee of a queue above it.
  if (bound === 0 ? covered : used + asked <= bound) return undefined;
  return { cause: 'no-borrowing', queue: name, dimension, used, asked, bound };
}

function amountOf(use: Use, queue: string, dimension: string): number {
  return use.get(queue)?.get(dimension) ?? 0;
}

/**
 * The GPU models that a gang which does not care about the model has to avoid, and why: limits, or guarantees that
 * may not be exceeded, leave too little of them on the queue's path for all its members. Decided before the gang is
 * placed, as its model is known only afterwards.
 */
export function findModelRefusals(queue: Queue, asked: Amounts, use: Use): ReadonlyMap<string, QuotaRefusal> {
  const refusals = new Map<string, QuotaRefusal>();
  for (const { name, spec, guaranteed, limit } of queue.path) {
    const bounds = spec.allowBorrowing ? limit : new Map([...limit, ...guaranteed]);
    for (const [dimension, bound] of bounds) {
      const resource = resourceOf(dimension);
      const amount = namesModel(dimension) ? (asked.get(resource) ?? 0) : 0;
      const used = use.get(name)?.get(dimension) ?? 0;
      if (amount === 0 || used + amount <= bound) continue;
      const cause = limit.get(dimension) === bound ? 'limit' : 'no-borrowing';
      refusals.set(dimension.slice(resource.length + 1), { cause, queue: name, dimension, used, asked: amount, bound });
    }
  }
  return refusals;
}

/** What the queue uses above its guarantee, for each dimension that some queue is guaranteed. */
export function borrowed(queue: Queue, use: Use): Amounts {
  const above = new Map<string, number>();
  for (const [dimension, used] of use.get(queue.name) ?? []) {
    const excess = used - (queue.guaranteed.get(dimension) ?? 0);
    if (excess > 0 && queue.promised.has(dimension)) above.set(dimension, excess);
  }
  return above;
}
