import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeModel } from '../../../src/core/objects/model.ts';
import { rejectNode } from '../../../src/core/objects/node-fit.ts';
import { NodeVerdicts, rejectionAt } from '../../../src/core/snapshot/node-verdicts.ts';
import { aNode, aTemplate } from '../../support/builders.ts';

describe('NodeVerdicts', () => {
  test('one flag a row', () => {
    const verdicts = new NodeVerdicts([
      aNode({ name: 'good', labels: { pool: 'a' } }),
      undefined,
      aNode({ name: 'down', ready: false }),
      aNode({ name: 'cordoned', unschedulable: true }),
      aNode({ name: 'other' }),
      aNode({ name: 'another', labels: { pool: 'b' } }),
    ]);
    const { allowed } = verdicts.of(aTemplate({ nodeSelector: { pool: 'a' } }));
    expect([...allowed]).toEqual([1, 0, 0, 0, 0, 0]);
    expect([...verdicts.of(aTemplate()).allowed]).toEqual([1, 0, 0, 0, 1, 1]);
  });

  test('after a change of nodes only the changed ones are judged again', () => {
    const nodes = Array.from({ length: 1_000 }, (_, i) => aNode({ name: `n${i}` }));
    const template = aTemplate({ nodeSelector: { 'kubernetes.io/hostname': 'n7' } });
    const before = new NodeVerdicts(nodes);
    before.of(template);
    expect(before.judged).toBe(1_000);
    const now = nodes.with(7, aNode({ name: 'n7', unschedulable: true })).with(9, undefined!);
    const after = new NodeVerdicts([...now, aNode({ name: 'n7' })], before);
    const { allowed } = after.of(template);
    expect(after.judged).toBe(2);
    expect([...allowed.keys()].filter((row) => allowed[row] === 1)).toEqual([1_000]);
    expect(before.of(template).allowed[7]).toBe(1);
  });

  test('nodes that exist beside others are judged where they differ', () => {
    const nodes = Array.from({ length: 100 }, (_, i) => aNode({ name: `n${i}`, unschedulable: i === 7 }));
    const template = aTemplate({ nodeSelector: { 'kubernetes.io/hostname': 'n7' } });
    const real = new NodeVerdicts(nodes);
    real.of(template);
    const empty = new NodeVerdicts(nodes.with(7, aNode({ name: 'n7' })), undefined, real);
    const { allowed } = empty.of(template);
    expect(empty.judged).toBe(1);
    expect([...allowed.keys()].filter((row) => allowed[row] === 1)).toEqual([7]);
    expect(rejectionAt(real.of(template), 7)).toBe('cordoned');
  });

  test('a template is judged once, also when another object has its content', () => {
    const verdicts = new NodeVerdicts([aNode()]);
    const first = verdicts.of(aTemplate());
    expect(verdicts.of(aTemplate())).toBe(first);
    expect(verdicts.of(aTemplate({ nodeSelector: { pool: 'a' } }))).not.toBe(first);
  });

  test('agrees with judging each node anew through any changes of nodes', () => {
    const node = fc.record({ pool: fc.constantFrom('1', '2'), unschedulable: fc.boolean(), isTainted: fc.boolean() });
    const change = fc.tuple(fc.nat(3), fc.option(node, { nil: undefined }));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), fc.constantFrom('1', '2', undefined), (changes, pool) => {
        const template = aTemplate({ nodeSelector: pool === undefined ? {} : { pool } });
        let nodes: readonly (NodeModel | undefined)[] = [];
        let verdicts = new NodeVerdicts(nodes);
        for (const [row, change] of changes) {
          const taints = change?.isTainted ? [{ key: 'a', value: '', effect: 'NoSchedule' as const }] : [];
          const { pool: label = '', unschedulable = false } = change ?? {};
          const changed = change && aNode({ name: `n${row}`, labels: { pool: label }, unschedulable, taints });
          nodes = Array.from({ length: Math.max(nodes.length, row + 1) }, (_, i) => (i === row ? changed : nodes[i]));
          verdicts = new NodeVerdicts(nodes, verdicts);
          const expected = nodes.map((each) => (each && rejectNode(template, each) === undefined ? 1 : 0));
          const verdict = verdicts.of(template);
          expect([...verdict.allowed]).toEqual(expected);
          const rejections = nodes.map((each) => each && rejectNode(template, each));
          expect(nodes.map((_, i) => rejectionAt(verdict, i))).toEqual(rejections);
        }
      }),
    );
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
