import { describe, expect, test } from 'vitest';
import { parseCases } from '../../../bench/contenders/cases.ts';
import { fieldRows, scarceRows } from '../../../bench/contenders/field-rows.ts';
import type { FieldTurn } from '../../../bench/contenders/field-turn.ts';
import { parseTools } from '../../../bench/contenders/tools.ts';

const [stock, muster, volcano] = parseTools('stock,muster,volcano');
const [many, scarce] = parseCases('500x20@1000,scarce-25@200');

function turn(seconds: number, more: Partial<FieldTurn> = {}): FieldTurn {
  return {
    ...{ pods: 10_000, unbound: 0, createdMs: 500, firstBoundMs: 400, lastBoundMs: 1000 * seconds },
    ...{ podLatencies: [1, 2], gangLatencies: [3], worst: { partial: 4, stalled: 0 }, samples: 9 },
    writes: new Map([['POST pods', 20_000]]),
    cpu: new Map([
      ['MainThread', 10],
      ['etcd', 20],
      ['idle', 0],
    ]),
    ...more,
  };
}

describe('the rows of a case', () => {
  const rowsOf = (turns: readonly FieldTurn[], isFull = true, others = [turn(14)]) =>
    fieldRows(
      many!,
      [
        { tool: stock!, turns: [turn(10)] },
        { tool: muster!, turns },
        { tool: volcano!, turns: others },
      ],
      isFull,
    ).filter(({ case: name }) => name.includes('Muster, as shipped'));

  test('judge Muster as shipped by the stock kube-scheduler and by the fastest of the others', () => {
    expect(rowsOf([turn(13)])[0]).toMatchObject({ value: 13, baseline: 10, goal: 14, ok: true });
    expect(rowsOf([turn(14.5)])[0]).toMatchObject({ ok: false });
    expect(rowsOf([turn(14.5)], true, [turn(20)])[0]).toMatchObject({ goal: 15, ok: true });
  });

  test('others that did not finish are no bound, and a turn that did not finish is a goal missed', () => {
    expect(rowsOf([turn(14.5)], true, [turn(12, { unbound: 1 })])[0]).toMatchObject({ goal: 15, ok: true });
    expect(rowsOf([turn(300, { unbound: 4 })])[0]).toMatchObject({
      case: '500 × 20, 1000 nodes: Muster, as shipped (9996 of 10000 bound after 300)',
      value: null,
      ok: false,
    });
  });

  test('no gang of Muster may be at a standstill half bound', () => {
    const stalled = rowsOf([turn(13), turn(13, { worst: { partial: 5, stalled: 1 } })]).find(({ case: name }) =>
      name.endsWith('without progress'),
    );
    expect(stalled).toMatchObject({ value: 1, goal: 0, ok: false });
  });

  test('a short run judges nobody', () => {
    expect(rowsOf([turn(99)], false).every(({ ok }) => ok === null)).toBe(true);
  });

  test('costs are per pod, and programs that did nothing are left out', () => {
    const values = new Map(rowsOf([turn(13)]).map(({ case: name, value }) => [name.split(': ').at(-1), value]));
    expect(values.get('API writes a pod')).toBe(2);
    expect(values.get('CPU a pod, all programs')).toBe(3);
    expect(values.get('CPU a pod, Muster')).toBe(1);
    expect([...values.keys()].some((name) => name?.includes('idle'))).toBe(false);
  });
});

test('a tool that cannot fill the cluster has no further figures', () => {
  const none = { reason: undefined, arrival: undefined, gone: 0, broken: 0, evicted: 0 };
  expect(scarceRows(scarce!, [{ tool: volcano!, turns: [{ filledMs: undefined, ...none }] }])).toMatchObject([
    { case: 'full cluster of 200 nodes: Volcano 1.14.1: residents never all ran', value: null },
  ]);
});
