import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rejectNode } from '../../../src/core/objects/node-fit.ts';
import { NodeVerdicts } from '../../../src/core/snapshot/node-verdicts.ts';
import { aNode, aTemplate } from '../../support/builders.ts';

describe('NodeVerdicts', () => {
  test('one flag a row, and how many nodes each reason excludes', () => {
    const verdicts = new NodeVerdicts([
      aNode({ name: 'good', labels: { pool: 'a' } }),
      undefined,
      aNode({ name: 'down', ready: false }),
      aNode({ name: 'cordoned', unschedulable: true }),
      aNode({ name: 'other' }),
      aNode({ name: 'another', labels: { pool: 'b' } }),
    ]);
    const { allowed, rejected } = verdicts.of(aTemplate({ nodeSelector: { pool: 'a' } }));
    expect([...allowed]).toEqual([1, 0, 0, 0, 0, 0]);
    expect([...rejected].sort()).toEqual([
      ['cordoned', 1],
      ['node selector', 2],
      ['not ready', 1],
    ]);
  });

  test('a template is judged once, also when another object has its content', () => {
    const verdicts = new NodeVerdicts([aNode()]);
    const first = verdicts.of(aTemplate());
    expect(verdicts.of(aTemplate())).toBe(first);
    expect(verdicts.of(aTemplate({ nodeSelector: { pool: 'a' } }))).not.toBe(first);
  });

  test('agrees with judging each node, also after more templates than are remembered', () => {
    const nodes = [aNode({ name: 'a', labels: { pool: '1' } }), aNode({ name: 'b', labels: { pool: '2' } }), undefined];
    const verdicts = new NodeVerdicts(nodes);
    for (let i = 0; i < 1100; i++) verdicts.of(aTemplate({ nodeSelector: { pool: `${i}` } }));
    fc.assert(
      fc.property(fc.nat(1099), (pool) => {
        const template = aTemplate({ nodeSelector: { pool: `${pool}` } });
        const expected = nodes.map((node) => (node && rejectNode(template, node) === undefined ? 1 : 0));
        expect([...verdicts.of(template).allowed]).toEqual(expected);
      }),
    );
  });
});
