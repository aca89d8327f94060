import { describe, expect, test } from 'vitest';
import type { DisruptionBudgetModel } from '../../../src/core/objects/model.ts';
import { assignRanks } from '../../../src/core/podgroup/ranks.ts';
import { Budgets, Ledger } from '../../../src/core/preemption/budgets.ts';
import { sortOutsideFirst } from '../../../src/core/preemption/candidates.ts';
import { compareCosts, FREE } from '../../../src/core/preemption/cost.ts';
import { RemovablePods, SnapshotWithoutPods } from '../../../src/core/snapshot/without-pods.ts';
import { aPod, GPU } from '../../support/builders.ts';
import { buildSnapshot, drawSnapshot, parseDrawing, printSnapshot } from '../../support/topology.ts';

describe('disruption budgets', () => {
  const budget = (more: Partial<DisruptionBudgetModel>): DisruptionBudgetModel => ({
    namespace: 'default',
    name: 'budget',
    selector: [{ key: 'app', operator: 'In', values: ['web'] }],
    disruptionsAllowed: 1,
    ...more,
  });
  const web = (name: string, namespace = 'default') => aPod({ name, namespace, labels: { app: 'web' } });

  test.each<[string, readonly DisruptionBudgetModel[], readonly ReturnType<typeof aPod>[], number | undefined]>([
    ['covers the pods it selects', [budget({})], [web('a')], 1],
    ['not those of another namespace', [budget({})], [web('a', 'other')], 0],
    ['not those with other labels', [budget({})], [aPod({ labels: { app: 'db' } })], 0],
    ['covers all pods with an empty selector', [budget({ selector: [] })], [aPod()], 1],
    ['covers none without a selector', [budget({ selector: undefined })], [aPod()], 0],
    [
      'is found by a selector that demands no single value',
      [budget({ selector: [{ key: 'app', operator: 'Exists', values: [] }] })],
      [web('a')],
      1,
    ],
    ['forbids more pods than it allows', [budget({})], [web('a'), web('b')], undefined],
    ['forbids a pod that another covers, too', [budget({}), budget({ selector: [] })], [web('a')], undefined],
  ])('%s', (_, models, pods, covered) => {
    const cover = new Budgets(models).coverOf(pods);
    expect(cover?.reduce((sum, each) => sum + each.pods, 0)).toBe(covered);
  });

  test('count the excess pods of several units together', () => {
    const budgets = new Budgets([budget({ disruptionsAllowed: 2 })]);
    const ledger = new Ledger(budgets);
    const two = budgets.coverOf([web('a'), web('b')])!;
    const one = budgets.coverOf([web('c')])!;
    ledger.add(two);
    expect([ledger.violations, ledger.isExceeded(one)]).toEqual([0, false]);
    ledger.add(two);
    ledger.add(one);
    expect([ledger.violations, ledger.isExceeded(one)]).toEqual([3, true]);
    ledger.remove(two);
    expect(ledger.violations).toBe(1);
  });
});

describe('members of an elastic gang', () => {
  test('those outside go first: alone in a block, then in a rack, then the highest rank', () => {
    const snapshot = drawSnapshot(`
      block-1/rack-1: n1[8] n2[8] n3[8]
      block-1/rack-2: n4[8]
      block-2/rack-3: n5[8]`);
    const pods = ['n5', 'n4', 'n1', 'n2', 'n3'].map((nodeName, i) =>
      aPod({ name: `w-${i}`, nodeName, annotations: { 'muster.dev/rank': String(i) } }),
    );
    const order = sortOutsideFirst(snapshot, assignRanks(pods), pods);
    expect(order.map(({ nodeName }) => nodeName)).toEqual(['n5', 'n4', 'n3', 'n2', 'n1']);
  });
});

describe('a cluster without some pods', () => {
  const anti = { template: { gpus: 1, antiAffinity: [{ selector: [], namespaces: ['default'] }] } };
  const gone = [
    aPod({ name: 'a', nodeName: 'n1', gpus: 2 }),
    aPod({ name: 'b', nodeName: 'n1', ...anti }),
    aPod({ name: 'c', nodeName: 'n2', annotations: { 'muster.dev/topology-exclusive': 'rack' } }),
    aPod({ name: 'd', nodeName: 'n2', requests: { 'example.com/unknown': 1 } }),
  ];
  const staying = [aPod({ name: 'e', nodeName: 'n1', gpus: 1 })];
  const drawing = 'a: n1[8] n2[8]';

  test('equals a snapshot that never had them, and leaves the snapshot unchanged', () => {
    const snapshot = drawSnapshot(drawing, { pods: [...gone, ...staying] });
    const before = printSnapshot(snapshot);
    const removable = new RemovablePods(snapshot);
    const left = gone.map((pod) => removable.add(pod)!);
    const without = new SnapshotWithoutPods(snapshot, removable.all);
    for (const pod of left) without.remove(pod);
    expect(printSnapshot(without.sync())).toBe(printSnapshot(buildSnapshot(parseDrawing(drawing, { pods: staying }))));
    expect([...without.snapshot.exclusive.subarray(0, 2)]).toEqual([0, 0]);
    expect(printSnapshot(snapshot)).toBe(before);
    for (const pod of left) without.restore(pod);
    expect(printSnapshot(without.sync())).toBe(before);
  });

  test('a pod on a node that is not there cannot be removed', () => {
    expect(new RemovablePods(drawSnapshot(drawing)).add(aPod({ nodeName: 'gone' }))).toBeUndefined();
  });

  test('a resource that no node has is ignored', () => {
    const snapshot = drawSnapshot(drawing, { pods: gone });
    const removable = new RemovablePods(snapshot);
    const pod = removable.add(gone[3]!)!;
    const without = new SnapshotWithoutPods(snapshot, removable.all);
    without.remove(pod);
    const gpus = snapshot.columns.get(GPU)!;
    const row = snapshot.indexOf.get('n2')!;
    expect(without.snapshot.free[gpus]![row]! - snapshot.free[gpus]![row]!).toBe(8);
  });
});

test.each([
  ['violations before priority', { violations: 1 }, { priority: 9 }],
  ['priority before lost work', { priority: 1 }, { priority: 0, lostWork: 99 }],
  ['lost work before gangs', { lostWork: 2, gangs: 1 }, { lostWork: 1, gangs: 2 }],
  ['gangs before age', { gangs: 2, startedAt: 9 }, { gangs: 1, startedAt: 1 }],
  ['the older is dearer', { startedAt: 1 }, { startedAt: 2 }],
])('costs: %s', (_, dearer, cheaper) => {
  const [a, b] = [dearer, cheaper].map((more) => ({ ...FREE, ...more }));
  expect(compareCosts(a!, b!)).toBeGreaterThan(0);
  expect(compareCosts(b!, a!)).toBeLessThan(0);
});
