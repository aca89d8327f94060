/**
 * Quotas by GPU model of gangs that do not care which model they get: where they may go is decided before it is known where
 * they go, so they keep off every model of which there is not enough left for all of them.
 */
import { type Amounts, namesModel, resourceOf } from './amounts.ts';
import type { Queue } from './queue.ts';
import type { QuotaRefusal, UseByQueue } from './quota.ts';

/** GPU models of which limits, or guarantees that may not be exceeded, leave too little on the queue's path; by model. */
export function findModelRefusals(queue: Queue, asked: Amounts, use: UseByQueue): ReadonlyMap<string, QuotaRefusal> {
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
