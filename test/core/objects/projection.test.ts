import { describe, expect, test } from 'vitest';
import {
  projectClaim,
  projectDaemonSet,
  projectDisruptionBudget,
  projectJob,
  projectNode,
  projectPodGroup,
  projectStorageClass,
} from '../../../src/core/objects/projection.ts';
import { aNode, aRawNode } from '../../support/builders.ts';

const metadata = { namespace: 'ml', name: 'x', uid: 'u' };

describe('nodes', () => {
  test('a wire node becomes the node that the builder makes', () => {
    expect(projectNode(aRawNode({ labels: { zone: 'a' } }))).toEqual(aNode({ labels: { zone: 'a' } }));
  });

  test('taints and cordon are read', () => {
    const taints = [
      { key: 'a', effect: 'NoSchedule' },
      { key: 'b', value: 'x', effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' },
    ];
    expect(projectNode(aRawNode({ spec: { unschedulable: true, taints } }))).toMatchObject({
      unschedulable: true,
      taints: [
        { key: 'a', value: '', effect: 'NoSchedule' },
        { key: 'b', value: 'x', effect: 'NoExecute' },
      ],
    });
  });

  test.each<[string, unknown[] | undefined, boolean]>([
    [
      'True is ready',
      [
        { type: 'MemoryPressure', status: 'False' },
        { type: 'Ready', status: 'True' },
      ],
      true,
    ],
    ['False is not', [{ type: 'Ready', status: 'False' }], false],
    ['Unknown is not', [{ type: 'Ready', status: 'Unknown' }], false],
    ['a node that never reported is not', undefined, false],
  ])('%s', (_, conditions, ready) => {
    expect(projectNode(aRawNode({ status: { conditions } })).ready).toBe(ready);
  });

  const BROKE_AT = '2026-01-02T03:04:05Z';
  test.each<[string, object[] | undefined, number | undefined]>([
    ['False', [{ type: 'Ready', status: 'False', lastTransitionTime: BROKE_AT }], Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['Unknown', [{ type: 'Ready', status: 'Unknown', lastTransitionTime: BROKE_AT }], Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['True', [{ type: 'Ready', status: 'True', lastTransitionTime: BROKE_AT }], undefined],
    ['False without a time', [{ type: 'Ready', status: 'False' }], undefined],
    ['never told', undefined, undefined],
  ])('since when a node is not ready: %s', (_, conditions, since) => {
    expect(projectNode(aRawNode({ status: { conditions } })).notReadySince).toBe(since);
  });

  test('a new node has nothing', () => {
    const node = aNode({ name: 'n', ready: false, gpus: 0, cpu: 0, memory: 0, pods: 0 });
    expect(projectNode({ metadata: { name: 'n' } })).toEqual({ ...node, labels: {} });
  });
});

describe('Jobs', () => {
  test('every field is read', () => {
    const template = { metadata: { labels: { 'muster.dev/pod-group': 'g' } } };
    const rules = [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }];
    const spec = {
      ...{ parallelism: 8, completions: 16, activeDeadlineSeconds: 60, template },
      ...{ backoffLimit: 0, podFailurePolicy: { rules } },
    };
    expect(projectJob({ metadata, spec, status: { startTime: '2026-01-02T03:04:05Z' } })).toEqual({
      ...metadata,
      parallelism: 8,
      completions: 16,
      activeDeadlineSeconds: 60,
      startedAt: Date.UTC(2026, 0, 2, 3, 4, 5),
      ownKeys: [],
      templateLabels: { 'muster.dev/pod-group': 'g' },
      backoffLimit: 0,
      createdAt: 0,
      isSuspended: false,
      isDeleting: false,
      isFinished: false,
      succeeded: 0,
      completedIndexes: [],
      failedIndexes: [],
      ignoresDisruption: true,
    });
  });

  test('one that is suspended, and one that is being deleted', () => {
    expect(projectJob({ metadata, spec: { suspend: true } }).isSuspended).toBe(true);
    const deleted = { ...metadata, deletionTimestamp: '2026-01-02T03:04:05Z' };
    expect(projectJob({ metadata: deleted, spec: {} }).isDeleting).toBe(true);
  });

  test.each([
    ['Complete', true],
    ['Failed', true],
    ['FailureTarget', true],
    ['SuccessCriteriaMet', true],
    ['Suspended', false],
  ])('condition %s finishes a Job: %s', (type, isFinished) => {
    const status = { conditions: [{ type, status: 'True' }] };
    expect(projectJob({ metadata, spec: {}, status }).isFinished).toBe(isFinished);
    const off = { conditions: [{ type, status: 'False' }] };
    expect(projectJob({ metadata, spec: {}, status: off }).isFinished).toBe(false);
  });

  test.each<[string | undefined, readonly (readonly [number, number])[]]>([
    [undefined, []],
    ['', []],
    ['3', [[3, 3]]],
    [
      '0-3,5,7-9',
      [
        [0, 3],
        [5, 5],
        [7, 9],
      ],
    ],
    ['no numbers', []],
    ['9-7', []],
  ])('indexes are read from %j', (text, ranges) => {
    const job = projectJob({ metadata, spec: {}, status: { completedIndexes: text, failedIndexes: text } });
    expect(job.completedIndexes).toEqual(ranges);
    expect(job.failedIndexes).toEqual(ranges);
  });

  test('a JobSet says on its Jobs which one it is and how many there are', () => {
    const prefix = 'jobset.sigs.k8s.io/';
    const labels = { [`${prefix}jobset-name`]: 'set', [`${prefix}jobset-uid`]: 'u', [`${prefix}global-replicas`]: '5' };
    expect(projectJob({ metadata: { ...metadata, labels }, spec: {} }).set).toEqual({ id: 'u', name: 'set', jobs: 5 });
    const few = { [`${prefix}jobset-name`]: 'set' };
    expect(projectJob({ metadata: { ...metadata, labels: few }, spec: {} }).set).toEqual({ id: 'set', name: 'set' });
  });

  const disrupted = (rest: object = {}) => ({ onPodConditions: [{ type: 'DisruptionTarget', ...rest }] });
  test.each<[string, object | null | undefined, boolean]>([
    ['a condition without status is True', { rules: [{ action: 'Ignore', ...disrupted() }] }, true],
    ['status False is another matter', { rules: [{ action: 'Ignore', ...disrupted({ status: 'False' }) }] }, false],
    ['counting is not ignoring', { rules: [{ action: 'Count', ...disrupted({ status: 'True' }) }] }, false],
    ['another condition', { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'ConfigIssue' }] }] }, false],
    [
      'a rule behind one for exit codes',
      {
        rules: [
          { action: 'FailJob', onExitCodes: { operator: 'In', values: [42] }, onPodConditions: null },
          { action: 'Ignore', ...disrupted() },
        ],
      },
      true,
    ],
    ['no rules', { rules: null }, false],
    ['null', null, false],
    ['no policy', undefined, false],
  ])('whether disruptions are ignored: %s', (_, podFailurePolicy, ignores) => {
    expect(projectJob({ metadata, spec: { podFailurePolicy } }).ignoresDisruption).toBe(ignores);
  });

  test('a suspended work queue has no completions and no start; parallelism 0 is no default', () => {
    expect(
      projectJob({ metadata, spec: { parallelism: 0, completions: null, template: {} }, status: {} }),
    ).toMatchObject({
      parallelism: 0,
      completions: undefined,
      activeDeadlineSeconds: undefined,
      startedAt: undefined,
      templateLabels: {},
    });
    expect(projectJob({ metadata })).toMatchObject({ parallelism: 1, backoffLimit: 6, ignoresDisruption: false });
  });
});

test('a DaemonSet is its name and UID', () => {
  const raw = { metadata: { namespace: 'team', name: 'agent', uid: 'u', labels: { a: 'b' } }, spec: { template: {} } };
  expect(projectDaemonSet(raw)).toEqual({ namespace: 'team', name: 'agent', uid: 'u' });
});

test.each([
  ['an absent selector covers no pod', {}, undefined],
  ['an empty selector covers every pod', { selector: {} }, []],
  ['labels are covered', { selector: { matchLabels: { a: 'x' } } }, [{ key: 'a', operator: 'In', values: ['x'] }]],
])('disruption budgets: %s', (_, spec, selector) => {
  const named = { namespace: 'ml', name: 'x' };
  expect(projectDisruptionBudget({ metadata, spec, status: { disruptionsAllowed: 2 } })).toEqual({
    ...named,
    selector,
    disruptionsAllowed: 2,
  });
  expect(projectDisruptionBudget({ metadata, spec }).disruptionsAllowed).toBe(0);
});

test('PodGroups', () => {
  expect(projectPodGroup({ metadata, spec: { minMember: 4, scheduleTimeoutSeconds: 30 } })).toEqual({
    ...metadata,
    minMember: 4,
    scheduleTimeoutSeconds: 30,
  });
  expect(projectPodGroup({ metadata, spec: {} })).toEqual({
    ...metadata,
    minMember: 1,
    scheduleTimeoutSeconds: undefined,
  });
  for (const scheduleTimeoutSeconds of [0, -1, null]) {
    expect(projectPodGroup({ metadata, spec: { scheduleTimeoutSeconds } }).scheduleTimeoutSeconds).toBeUndefined();
  }
});

const completed = { 'pv.kubernetes.io/bind-completed': 'yes' };
test.each([
  [
    'bound when it has a volume and the binding is complete',
    completed,
    { volumeName: 'pv' },
    { bound: true, storageClass: '' },
  ],
  ['not bound while the binding is under way', {}, { volumeName: 'pv' }, { bound: false, storageClass: '' }],
  ['not bound without a volume', completed, { storageClassName: 'fast' }, { bound: false, storageClass: 'fast' }],
  [
    'of the class in its legacy annotation first',
    { 'volume.beta.kubernetes.io/storage-class': 'old' },
    { storageClassName: 'fast' },
    { bound: false, storageClass: 'old' },
  ],
])('a claim is %s', (_, annotations, spec, expected) => {
  expect(projectClaim({ metadata: { ...metadata, annotations }, spec })).toEqual({
    namespace: 'ml',
    name: 'x',
    ...expected,
  });
});

test.each([
  ['WaitForFirstConsumer', true],
  ['Immediate', false],
  [undefined, false],
])('a storage class with %s waits for a consumer: %s', (volumeBindingMode, waitsForConsumer) => {
  expect(projectStorageClass({ metadata, volumeBindingMode })).toEqual({ name: 'x', waitsForConsumer });
});
