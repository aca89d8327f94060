/** Turns the reasons of queues into text: what was expected, what was found, what to do. */

import { listFirst } from '../objects/text-values.ts';
import type { QueueChoiceProblem } from '../queues/choice.ts';
import type { QuotaRefusal } from '../queues/quota.ts';
import type { QueueProblem } from '../queues/tree.ts';
import { formatAmount } from './format-amount.ts';

/** Why a queue is left out of the tree, or why a gang is in no queue. */
export function explainQueueProblem(problem: QueueProblem | QueueChoiceProblem): string {
  switch (problem.kind) {
    case 'duplicate':
      return `queue ${problem.queue} is defined more than once; keep one definition`;
    case 'unknown-parent':
      return `queue ${problem.queue}: expected its parent to be a queue, found none named ${problem.parent}; create it or correct the parent`;
    case 'left-out-parent':
      return `queue ${problem.queue}: its parent ${problem.parent} is misconfigured itself; correct that one`;
    case 'cycle':
      return `queue ${problem.queue}: expected parents that lead to a queue without one, found the cycle ${describeCycle(problem.path)}; remove the parent of one of them`;
    case 'too-deep':
      return `queue ${problem.queue}: expected at most ${problem.most} queues above it, found more; move it up`;
    case 'same-default':
      return `queue ${problem.queue}: namespace ${problem.namespace} has queue ${problem.other} as its default already; keep it in one defaultFor`;
    case 'unknown-queue':
      return `expected the name of a queue, found no queue named ${problem.queue}; ${advise(problem.usable)}`;
    case 'no-leaf':
      return `expected a queue without queues below it, found ${problem.queue}, which has some; ${advise(problem.usable)}`;
    case 'not-allowed': {
      const where = problem.by === problem.queue ? problem.queue : `${problem.by}, above ${problem.queue},`;
      return `namespace ${problem.namespace} may not use queue ${problem.queue}: queue ${where} does not list it; ${advise(problem.usable)}`;
    }
    case 'misconfigured-queue':
      return `queue ${problem.queue} cannot be used until it is corrected: ${explainQueueProblem(problem.problem)}`;
    default:
      return problem satisfies never;
  }
}

/** Queues that a text names: there may be thousands. */
const MAX_NAMED = 8;

function describeCycle(path: readonly string[]): string {
  const named = path.slice(0, MAX_NAMED).join(' → ');
  return path.length > MAX_NAMED ? `${named} → … (${path.length - 1} queues)` : named;
}

function advise(usable: readonly string[]): string {
  return usable.length > 0
    ? `use one of ${listFirst(usable.slice(0, MAX_NAMED), usable.length)}`
    : 'no queue allows this namespace: list it in the namespaces of one';
}

/** Why the queue refuses a gang even while nobody uses it. */
export function explainLastingRefusal({ cause, queue, dimension, asked, bound }: QuotaRefusal): string {
  const [most, found] = [bound, asked].map((amount) => formatAmount(dimension, amount));
  const [what, advice] =
    cause === 'limit'
      ? ['its limit', 'ask for less or raise the limit']
      : ['its guarantee; it may not borrow', 'ask for less, raise the guarantee or allow borrowing'];
  return `queue ${queue}: expected at most ${most} ${dimension} (${what}), found ${found} asked for; ${advice}`;
}

/** Why quota refuses a gang. */
export function explainQuota({ cause, queue, dimension, used, asked, bound }: QuotaRefusal): string {
  const found = `${used} used and ${asked} asked for`;
  if (cause === 'limit') {
    return `queue ${queue}: expected at most ${bound} ${dimension} (its limit), found ${found}; ${
      asked > bound ? 'ask for less or raise the limit' : 'wait until less is used, or raise the limit'
    }`;
  }
  return `queue ${queue}: expected at most ${bound} ${dimension} (its guarantee; it may not borrow), found ${found}; ${
    asked > bound ? 'ask for less, raise the guarantee' : 'wait until less is used, raise the guarantee'
  } or allow borrowing`;
}

/** Nothing is wrong with the queue as such, but everybody can take what it is guaranteed. */
export function explainOpenGuarantee(queue: string): string {
  return `queue ${queue} has a guarantee and is open to every namespace: whoever names it takes the guarantee; list its namespaces`;
}
