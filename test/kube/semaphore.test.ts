/** The semaphore: its limit and its order. */
import { expect, test } from 'vitest';
import { Semaphore } from '../../src/kube/semaphore.ts';

test('admits no more than its limit, in order, also after failures and pauses', async () => {
  const semaphore = new Semaphore(3);
  let inside = 0;
  let most = 0;
  const order: number[] = [];
  const task = (n: number) => async () => {
    order.push(n);
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
    if (n % 4 === 0) throw new Error('failed');
    return n;
  };
  for (let round = 0; round < 2; round++) {
    const results = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => semaphore.run(task(n))));
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(5);
  }
  const ascending = Array.from({ length: 20 }, (_, n) => n);
  expect(order).toEqual([...ascending, ...ascending]);
  expect(most).toBe(3);
});
