import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type {
  RawAmounts,
  RawContainer,
  RawContainerStatus,
  RawPodSpec,
  RawPodStatus,
} from '../../../src/core/objects/raw-pod.ts';
import { podRequests, readAmounts } from '../../../src/core/objects/resources.ts';

const container = (requests: RawAmounts, name = 'c1'): RawContainer => ({ name, resources: { requests } });
const sidecar = (requests: RawAmounts, name = 's1'): RawContainer => ({
  ...container(requests, name),
  restartPolicy: 'Always',
});
const cpu = (amount: string, name?: string) => container({ cpu: amount }, name);
const cpuSidecar = (amount: string, name?: string) => sidecar({ cpu: amount }, name);

function actuated(requests: RawAmounts, name = 'c1'): RawContainerStatus {
  return { name, resources: { requests } };
}

const INFEASIBLE: RawPodStatus = { conditions: [{ type: 'PodResizePending', status: 'True', reason: 'Infeasible' }] };

interface Case {
  readonly spec: RawPodSpec;
  readonly status?: RawPodStatus;
  /** Without `pods: 1`. */
  readonly want: Readonly<Record<string, number>>;
}

function requestsOf({ spec, status }: Pick<Case, 'spec' | 'status'>): Record<string, number> {
  const { pods, ...rest } = Object.fromEntries(podRequests(spec, status).map(({ name, amount }) => [name, amount]));
  expect(pods).toBe(1);
  return rest;
}

// The facts of these tables are those of component-helpers v0.37.2 resource/helpers_test.go (from :287, :1686 and :4501).
describe('containers and init containers', () => {
  test.each<[string, Case]>([
    [
      'an init container larger than the containers counts',
      { spec: { initContainers: [cpu('4')], containers: [cpu('1')] }, want: { cpu: 4000 } },
    ],
    [
      'containers add up and beat a smaller init container',
      { spec: { initContainers: [cpu('2')], containers: [cpu('2'), cpu('3')] }, want: { cpu: 5000 } },
    ],
    [
      'overhead is added',
      {
        spec: { initContainers: [cpu('2')], containers: [cpu('2'), cpu('3')], overhead: { cpu: '1', memory: '1Gi' } },
        want: { cpu: 6000, memory: 2 ** 30 },
      },
    ],
    [
      'overhead is added to an init container, too',
      { spec: { initContainers: [cpu('9')], containers: [cpu('2')], overhead: { cpu: '1' } }, want: { cpu: 10000 } },
    ],
    [
      'a sidecar runs beside the containers',
      { spec: { initContainers: [cpuSidecar('1')], containers: [cpu('1')] }, want: { cpu: 2000 } },
    ],
    [
      'sidecars add up: max(5, 3+2+1 + 1)',
      {
        spec: { initContainers: [cpu('5'), cpuSidecar('1'), cpuSidecar('2'), cpuSidecar('3')], containers: [cpu('1')] },
        want: { cpu: 7000 },
      },
    ],
    [
      'an init container runs beside the sidecars before it, not those after it: 5 + 1+2',
      {
        spec: {
          initContainers: [cpu('5'), cpuSidecar('1'), cpuSidecar('2'), cpu('5'), cpuSidecar('3')],
          containers: [cpu('1')],
        },
        want: { cpu: 8000 },
      },
    ],
    [
      'sidecar, then init, then the container: max(10+200, 10+100)',
      {
        spec: { initContainers: [cpuSidecar('10'), cpu('200')], containers: [cpu('100')] },
        want: { cpu: 210_000 },
      },
    ],
    [
      'sums are rounded once, at the end',
      { spec: { containers: [container({ memory: '1500m' }), container({ memory: '1500m' })] }, want: { memory: 3 } },
    ],
    ['a pod without containers requests nothing', { spec: {}, want: {} }],
    [
      'zero amounts and the marker are left out',
      {
        spec: { containers: [container({ cpu: '0', 'nvidia.com/gpu': '8', 'muster.dev/member': '1' })] },
        want: { 'nvidia.com/gpu': 8 },
      },
    ],
    ['limits do not count', { spec: { containers: [{ resources: { limits: { 'nvidia.com/gpu': '8' } } }] }, want: {} }],
    [
      'absent and null parts are empty',
      { spec: { containers: [{ resources: null }, {}], initContainers: null, overhead: null }, want: {} },
    ],
  ])('%s', (_, { want, ...pod }) => {
    expect(requestsOf(pod)).toEqual(want);
  });
});

describe('pod-level resources', () => {
  const spec = (podLevel: RawAmounts, ...containers: RawContainer[]): RawPodSpec => ({
    containers,
    resources: { requests: podLevel },
  });
  test.each<[string, Case]>([
    ['stand alone', { spec: spec({ memory: '2Mi' }), want: { memory: 2 ** 21 } }],
    [
      'leave other resources to the containers',
      { spec: spec({ memory: '2Mi' }, cpu('2m')), want: { memory: 2 ** 21, cpu: 2 } },
    ],
    [
      'replace the sum of the containers, up or down',
      {
        spec: spec({ memory: '6Mi', cpu: '1m' }, container({ memory: '3Mi', cpu: '2m' })),
        want: { memory: 6 * 2 ** 20, cpu: 1 },
      },
    ],
    ['include huge pages', { spec: spec({ 'hugepages-2Mi': '4Mi' }), want: { 'hugepages-2Mi': 2 ** 22 } }],
    [
      'of other kinds are ignored',
      {
        spec: spec(
          { 'ephemeral-storage': '9Gi', 'nvidia.com/gpu': '8', memory: '2Mi' },
          container({ 'nvidia.com/gpu': '1' }),
        ),
        want: { memory: 2 ** 21, 'nvidia.com/gpu': 1 },
      },
    ],
    ['get the overhead on top', { spec: { ...spec({ cpu: '1' }), overhead: { cpu: '250m' } }, want: { cpu: 1250 } }],
    [
      'count by what the status has, where that is more',
      {
        spec: spec({ cpu: '1' }, cpu('500m')),
        status: { resources: { requests: { cpu: '3' } }, allocatedResources: { cpu: '2' } },
        want: { cpu: 3000 },
      },
    ],
    [
      'count by the status alone after an infeasible resize',
      {
        spec: spec({ cpu: '9' }, cpu('500m')),
        status: { ...INFEASIBLE, resources: { requests: { cpu: '3' } }, allocatedResources: { cpu: '2' } },
        want: { cpu: 3000 },
      },
    ],
  ])('%s', (_, { want, ...pod }) => {
    expect(requestsOf(pod)).toEqual(want);
  });
});

describe('in-place resize', () => {
  test.each<[string, Case]>([
    [
      'a resize that is not done yet counts by the larger of spec and status',
      {
        spec: { containers: [cpu('4')] },
        status: { containerStatuses: [actuated({ cpu: '2' })] },
        want: { cpu: 4000 },
      },
    ],
    [
      'shrinking counts in full until it is done',
      {
        spec: { containers: [cpu('1')] },
        status: { containerStatuses: [actuated({ cpu: '2' })] },
        want: { cpu: 2000 },
      },
    ],
    [
      'an infeasible resize counts by the status',
      {
        spec: { containers: [cpu('4')] },
        status: { ...INFEASIBLE, containerStatuses: [actuated({ cpu: '2' })] },
        want: { cpu: 2000 },
      },
    ],
    [
      'an infeasible resize on top of one in progress counts by what is allocated',
      {
        spec: { containers: [cpu('6')] },
        status: { ...INFEASIBLE, containerStatuses: [{ ...actuated({ cpu: '2' }), allocatedResources: { cpu: '4' } }] },
        want: { cpu: 4000 },
      },
    ],
    [
      'a deferred resize counts by the larger',
      {
        spec: { containers: [cpu('4')] },
        status: {
          conditions: [{ type: 'PodResizePending', reason: 'Deferred' }],
          containerStatuses: [actuated({ cpu: '2' })],
        },
        want: { cpu: 4000 },
      },
    ],
    [
      'each resource has its own maximum of the three',
      {
        spec: { containers: [container({ cpu: '30m', memory: '20M', 'ephemeral-storage': '10G' })] },
        status: {
          containerStatuses: [
            {
              ...actuated({ cpu: '10m', memory: '30M', 'ephemeral-storage': '20G' }),
              allocatedResources: { cpu: '20m', memory: '10M', 'ephemeral-storage': '30G' },
            },
          ],
        },
        want: { cpu: 30, memory: 30e6, 'ephemeral-storage': 30e9 },
      },
    ],
    [
      'sidecars have their status, too',
      {
        spec: { initContainers: [cpuSidecar('4')] },
        status: { ...INFEASIBLE, initContainerStatuses: [actuated({ cpu: '2' }, 's1')] },
        want: { cpu: 2000 },
      },
    ],
    [
      'it is a maximum of sums, not a sum of maxima',
      {
        spec: { containers: [cpu('1', 'c1'), cpu('2', 'c2')] },
        status: {
          containerStatuses: [
            { name: 'c1', allocatedResources: { cpu: '2' } },
            { name: 'c2', allocatedResources: { cpu: '1' } },
          ],
        },
        want: { cpu: 3000 },
      },
    ],
    [
      'a container that reports nothing actuated counts there by what is allocated',
      {
        spec: { containers: [cpu('1', 'c1'), cpu('1', 'c2')] },
        status: {
          containerStatuses: [
            { ...actuated({ cpu: '2' }, 'c1'), allocatedResources: { cpu: '1' } },
            { name: 'c2', allocatedResources: { cpu: '5' } },
          ],
        },
        want: { cpu: 7000 },
      },
    ],
    [
      'the totals of the pod status replace those of its containers',
      {
        spec: { containers: [cpu('1')] },
        status: {
          containerStatuses: [actuated({ cpu: '9' })],
          allocatedResources: { cpu: '2' },
          resources: { requests: { cpu: '3' } },
        },
        want: { cpu: 3000 },
      },
    ],
    [
      'a status without amounts changes nothing',
      {
        spec: { containers: [cpu('1')] },
        status: { containerStatuses: [{ name: 'c1' }], initContainerStatuses: null },
        want: { cpu: 1000 },
      },
    ],
  ])('%s', (_, { want, ...pod }) => {
    expect(requestsOf(pod)).toEqual(want);
  });
});

test('amounts come sorted by name, cpu in thousandths, the rest in units', () => {
  const allocatable = { pods: '110', memory: '1Ti', cpu: '95500m', 'nvidia.com/gpu': '8', 'hugepages-2Mi': '0' };
  expect(readAmounts(allocatable)).toEqual([
    { name: 'cpu', amount: 95500 },
    { name: 'memory', amount: 2 ** 40 },
    { name: 'nvidia.com/gpu', amount: 8 },
    { name: 'pods', amount: 110 },
  ]);
  expect(readAmounts(undefined)).toEqual([]);
});

test('a pod is one pod even if it asks for more', () => {
  expect(podRequests({ containers: [container({ pods: '5' })] })).toEqual([{ name: 'pods', amount: 1 }]);
});

test('an invalid quantity is an error', () => {
  expect(() => podRequests({ containers: [cpu('many')] })).toThrow('got "many"');
});

test('law: more containers never request less, and the order of containers does not matter', () => {
  const amounts = fc.record({
    cpu: fc.nat({ max: 5000 }).map((n) => `${n}m`),
    memory: fc.nat({ max: 99 }).map((n) => `${n}Mi`),
  });
  fc.assert(
    fc.property(
      fc.array(amounts, { maxLength: 4 }),
      fc.array(amounts, { maxLength: 4 }),
      amounts,
      (main, init, more) => {
        const spec = { containers: main.map((one) => container(one)), initContainers: init.map((one) => sidecar(one)) };
        const before = requestsOf({ spec });
        const after = requestsOf({ spec: { ...spec, containers: [...spec.containers, container(more)] } });
        for (const name in before) expect(after[name]).toBeGreaterThanOrEqual(before[name]!);
        expect(requestsOf({ spec: { ...spec, containers: spec.containers.toReversed() } })).toEqual(before);
      },
    ),
  );
});
