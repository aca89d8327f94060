/** How far pods may protect themselves, as a search asks for each of them. */
import { expect, test } from 'vitest';
import type { Amounts } from '../../../src/core/queues/amounts.ts';
import { buildQueueTree } from '../../../src/core/queues/tree.ts';
import { type HoldingGang, judgeImmunity, listCovered } from '../../../src/core/reclaim/immunity.ts';
import { aPod } from '../../support/builders.ts';
import { aQueue, gpus, gpusOf, queueNamed } from '../../support/queues.ts';

/** Who copies it pays for all queues with each question. */
class UseOfThousands extends Map<string, Amounts> {
  override [Symbol.iterator](): never {
    throw new Error('expected to look at the queue that is asked about, found a copy of all');
  }
}

const tree = buildQueueTree([
  aQueue({ name: 'org', guaranteed: 24 }),
  aQueue({ name: 'a', parent: 'org', guaranteed: 16 }),
  aQueue({ name: 'b', parent: 'org' }),
]);
const a = queueNamed(tree, 'a');

function useOf(counts: Readonly<Record<string, number>>): UseOfThousands {
  const use = new UseOfThousands();
  for (const [name, amounts] of gpusOf(counts)) use.set(name, amounts);
  return use;
}

test.each([
  [{ org: 24, a: 16, b: 8 }, true],
  [{ org: 24, a: 24, b: 0 }, true],
  [{ org: 32, a: 24, b: 8 }, false],
])('what a lone pod writes counts within the guarantee, itself included: %o', (counts, counted) => {
  const use = useOf(counts);
  const pods = [aPod({ name: 'p' })];
  const unit = {
    key: 'default/p',
    kind: 'pod',
    gang: undefined,
    pods,
    priority: 0,
    lostWork: 0,
    startedAt: 0,
  } as const;
  const query = { tree, use, covered: undefined, queueOf: () => a };
  expect(judgeImmunity(query, unit, () => gpus(8)).allowsNonPreemptible).toBe(counted);
  expect(use.get('a'), 'nothing changed for others').toEqual(gpus(counts.a));
});

test('the gangs that started first are covered, as far as the guarantee reaches beside the others', () => {
  const holding = (key: string, startedAt: number): HoldingGang => ({ key, queue: a, amounts: gpus(8), startedAt });
  const use = useOf({ org: 32, a: 24, b: 8 });
  expect([...listCovered([holding('x', 3), holding('y', 1), holding('z', 2)], use)]).toEqual(['y', 'z']);
});
