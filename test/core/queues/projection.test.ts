import { describe, expect, test } from 'vitest';
import { mergeQueues, projectQueue, renderSpec } from '../../../src/core/queues/projection.ts';
import { plainQueue, type QueueSpec } from '../../../src/core/queues/tree.ts';

const metadata = { name: 'ml', uid: 'u' };

const FULL: QueueSpec = {
  name: 'ml',
  parent: 'org',
  weight: 2.5,
  quotas: [
    { resource: 'nvidia.com/gpu', model: 'H100', guaranteed: 8, limit: 16 },
    { resource: 'cpu', model: undefined, guaranteed: 1500, limit: 2000 },
    { resource: 'memory', model: undefined, guaranteed: 0, limit: undefined },
  ],
  allowBorrowing: false,
  reclaimable: false,
  order: 'strict',
  defaultPriority: 0,
  maxRunTimeMs: 5_400_000,
  maxMinRuntimeMs: 0,
  allowNonPreemptible: false,
  namespaces: [],
  defaultFor: ['a'],
};

describe('projectQueue', () => {
  test('an empty spec is a queue without guarantees and limits', () => {
    expect(projectQueue({ metadata, spec: {} })).toEqual({
      name: 'ml',
      uid: 'u',
      spec: plainQueue('ml'),
      problem: undefined,
      usage: undefined,
      written: undefined,
    });
  });

  test.each([FULL, plainQueue('ml')])('reads back what renderSpec writes', (spec) => {
    const wire = JSON.parse(JSON.stringify({ metadata, spec: renderSpec(spec) }));
    expect(projectQueue(wire).spec).toEqual(spec);
  });

  test.each<[string, object, RegExp]>([
    [
      'half a GPU',
      { quotas: [{ resource: 'x/gpu', guaranteed: '500m' }] },
      /quotas\[0\]\.guaranteed: expected .*"500m"/,
    ],
    ['no quantity', { quotas: [{ resource: 'x/gpu' }, { resource: 'cpu', limit: 'x' }] }, /quotas\[1\]\.limit: .*"x"/],
    ['less than nothing', { quotas: [{ resource: 'cpu', limit: -1 }] }, /quotas\[0\]\.limit: .*at least 0, found -1/],
    [
      'a limit below the guarantee',
      { quotas: [{ resource: 'memory', guaranteed: '1Ti', limit: '1Gi' }] },
      /limit: expected at least what is guaranteed \(1Ti\), found "1Gi"/,
    ],
    ['a run time of nothing', { maxRunTime: '0s' }, /maxRunTime: expected a duration above 0 .*"0s"/],
    ['a run time without unit', { maxRunTime: '10' }, /maxRunTime: expected a duration above 0 .*"10"/],
    ['a minimum run time without unit', { maxMinRuntime: '10' }, /maxMinRuntime: expected a duration such as .*"10"/],
  ])('%s is a problem, not an exception', (_, spec, problem) => {
    const model = projectQueue({ metadata, spec });
    expect(model.spec).toBeUndefined();
    expect(model.problem).toMatch(problem);
  });

  test('the usage is that of the status, with its instant', () => {
    const status = { observedAt: '2026-01-01T00:00:00Z', usage: { 'x/gpu': '12.5', cpu: '1.5', 'x/gpu H100': 'many' } };
    expect(projectQueue({ metadata, spec: {}, status }).usage).toEqual({
      amounts: new Map([
        ['x/gpu', 12.5],
        ['cpu', 1500],
      ]),
      at: Date.UTC(2026, 0, 1),
    });
    expect(projectQueue({ metadata, spec: {}, status: { usage: { cpu: '1' } } }).usage).toBeUndefined();
  });
});

describe('mergeQueues', () => {
  const heavy = projectQueue({ metadata, spec: { weight: 9 } });
  const bad = projectQueue({ metadata, spec: { maxRunTime: 'x' } });
  const other = projectQueue({ metadata: { name: 'other' }, spec: {} });
  const weights = (file: string[], ...objects: (typeof heavy)[]) =>
    mergeQueues(file.map(plainQueue), objects).map(({ name, weight }) => `${name} ${weight}`);

  test('an object replaces the queue of the file, and may add others', () => {
    expect(weights(['ml', 'web'], other, heavy)).toEqual(['ml 9', 'web 1', 'other 1']);
  });

  test('without objects the queues of the file apply', () => {
    expect(weights(['ml', 'web'])).toEqual(['ml 1', 'web 1']);
  });

  test('with an invalid object the queue of the file applies', () => {
    expect(weights(['ml'], bad)).toEqual(['ml 1']);
    expect(weights([], bad)).toEqual([]);
  });
});
