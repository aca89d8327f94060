/**
 * Pods as people and controllers write them, for what admission does to them: with and without the labels of gangs, gates,
 * accelerators in any container, another scheduler. The API server accepts each of them.
 */
import fc from 'fast-check';
import type { RawPod, RawPodSpec } from '../../src/core/objects/raw-pod.ts';

const GATE = 'muster.dev/gang';
const MARKER = 'muster.dev/member';

const labels = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ 'muster.dev/pod-group': 'train' }) },
  { weight: 2, arbitrary: fc.constant({ 'scheduling.x-k8s.io/pod-group': 'train' }) },
  fc.constant({ 'muster.dev/pod-group': '', 'app.kubernetes.io/name': 'x' }),
  fc.constant({ 'muster.dev/pod-groups': 'train' }),
  fc.constant({}),
  fc.constant(undefined),
);

/** Extended resources: limits alone, or both with the same amount. */
const extended = fc
  .record({
    name: fc.constantFrom(
      'nvidia.com/gpu',
      'amd.com/gpu',
      'nvidia.com/mig-1g.5gb',
      'nvidia.com/migs',
      'example.com/npu',
      MARKER,
    ),
    amount: fc.constantFrom('0', '1', '8'),
    isInBoth: fc.boolean(),
  })
  .map(({ name, amount, isInBoth }) => ({
    limits: { [name]: amount },
    ...(isInBoth && { requests: { [name]: amount } }),
  }));
const ordinary = fc.constantFrom(
  undefined,
  {},
  { requests: {} },
  { limits: {} },
  { requests: {}, limits: {} },
  { requests: { cpu: '2' } },
  { limits: { cpu: '2', memory: '1Gi' } },
  { requests: { cpu: '1' }, limits: { cpu: '2' } },
  { limits: { 'hugepages-2Mi': '4Mi', memory: '1Gi' } },
);
const resources = fc.oneof({ weight: 3, arbitrary: ordinary }, { weight: 1, arbitrary: extended });

const containers = (prefix: string, min: number) =>
  fc
    .array(resources, { minLength: min, maxLength: 3 })
    .map((list) => list.map((each, i) => ({ name: `${prefix}${i}`, image: 'x', ...(each && { resources: each }) })));

const gates = fc.constantFrom(
  undefined,
  undefined,
  [],
  [{ name: GATE }],
  [{ name: 'example.com/quota' }],
  [{ name: 'example.com/quota' }, { name: GATE }],
);

/** Optional fields are left out, or have a value. */
export const newPod: fc.Arbitrary<RawPod> = fc
  .record({
    labels,
    containers: containers('main', 1),
    initContainers: fc.oneof(fc.constant(undefined), containers('init', 0)),
    schedulingGates: gates,
    schedulerName: fc.constantFrom(undefined, undefined, undefined, '', 'default-scheduler', 'batch'),
    // With a gate it would be invalid.
    isBound: fc.integer({ min: 0, max: 9 }).map((drawn) => drawn === 0),
  })
  .map(({ labels: found, schedulingGates, isBound, ...spec }) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'pod-', ...(found && { labels: found }) },
    spec: {
      ...(omitUndefined(spec) as RawPodSpec),
      ...(isBound ? { nodeName: 'n1' } : schedulingGates && { schedulingGates }),
    },
  }));

function omitUndefined(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
