/** Quotas in whole nodes for the tenants of a trace. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { divideNodes } from '../../../bench/queues/quotas.ts';

const divide = (shares: Readonly<Record<string, number>>, nodes: number) =>
  Object.fromEntries(divideNodes(new Map(Object.entries(shares)), nodes));

test('the remainder after whole nodes goes to the largest fractions', () => {
  expect(divide({ a: 50, b: 30, c: 20 }, 9)).toEqual({ a: 4, b: 3, c: 2 });
});

test('ties are broken by name', () => {
  expect(divide({ b: 1, a: 1 }, 3)).toEqual({ a: 2, b: 1 });
});

test('a tenant with a tiny share gets one node, taken from those furthest above their share', () => {
  expect(divide({ a: 600, b: 399, c: 1 }, 10)).toEqual({ a: 6, b: 3, c: 1 });
});

test('fewer nodes than tenants are an error', () => {
  expect(() => divide({ a: 1, b: 1 }, 1)).toThrow('expected a node for each of 2 tenants, found 1');
});

test('all nodes are given out, every tenant gets one, and a larger share never gets fewer', () => {
  const shares = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(shares, fc.integer({ min: 12, max: 200 }), (drawn, nodes) => {
      const quotas = divideNodes(new Map(drawn.map((share, i) => [`t${i}`, share])), nodes);
      const given = drawn.map((_, i) => quotas.get(`t${i}`)!);
      expect(given.reduce((sum, each) => sum + each, 0)).toBe(nodes);
      expect(Math.min(...given)).toBeGreaterThanOrEqual(1);
      drawn.forEach((share, i) => {
        drawn.forEach((other, j) => {
          if (share > other) expect(given[i]).toBeGreaterThanOrEqual(given[j]!);
        });
      });
    }),
  );
});
