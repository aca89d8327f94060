/** Templates are edited while pods run: started members do not keep new ones back, and the newest template is followed. */
import { describe, expect, test } from 'vitest';
import type { WireObject } from '../support/cluster-in-memory.ts';
import { countBound } from '../support/field.ts';
import { gang, SECOND, startWorld } from '../support/scenario.ts';

const NODES = ['n0', 'n1', 'n2', 'n3'];

test.each([
  ['expected-duration', { 'muster.dev/expected-duration': '1h' }, { 'muster.dev/expected-duration': '2h' }],
  ['topology-preferred', {}, { 'muster.dev/topology-preferred': 'host' }],
  ['max-members', { 'muster.dev/max-members': '4' }, { 'muster.dev/max-members': '8' }],
])('the replacement of a lost member starts although its template says something new about %s', async (_, old, now) => {
  const world = await startWorld({ nodes: 5 });
  world.running('a', NODES, { annotations: old });
  await world.settle();
  world.delete('a-3');
  await world.settle();
  world.create(gang('a', 5, { from: 4, min: 4, annotations: now }));
  await world.settle();
  await world.schedule();
  await world.pass(10 * SECOND);
  expect(world.stateOf('a')).toBe('Running');
  expect(countBound(world, 'a')).toBe(4);
});

/** Pods of one ReplicaSet of the Deployment `svc`. */
function replicas(hash: string, count: number, min: number, createdAt: number): WireObject[] {
  return gang('svc', count, { min, createdAt, labels: { 'pod-template-hash': hash } }).map((pod, i) => {
    pod.metadata.name = `svc-${hash}-${i}`;
    const owner = { kind: 'ReplicaSet', name: `svc-${hash}`, uid: `rs-${hash}`, controller: true };
    return Object.assign(pod, { metadata: { ...pod.metadata, ownerReferences: [owner] } });
  });
}

describe('a rolling update of a Deployment', () => {
  test('pods of the old template that wait beside new ones contradict nobody', async () => {
    const world = await startWorld({ nodes: 4 });
    const now = world.clock.now();
    world.create(replicas('aaa', 2, 2, now));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('svc')).toBe('Running');
    // The controller scales the old ReplicaSet first: a new pod of the old template, then one of the new one.
    world.create(replicas('aaa', 3, 2, now + SECOND).slice(2), replicas('bbb', 1, 3, now + 2 * SECOND));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('svc')).toBe('Running');
    expect(Object.keys(world.boundTo('svc'))).toEqual(['svc-aaa-0', 'svc-aaa-1', 'svc-aaa-2', 'svc-bbb-0']);
  });

  test('goes through pod by pod, and ends with the new template only', async () => {
    const world = await startWorld({ nodes: 3 });
    const now = world.clock.now();
    world.create(replicas('aaa', 2, 2, now));
    await world.settle();
    await world.schedule();
    for (const i of [0, 1]) {
      world.create(replicas('bbb', i + 1, 2, now + SECOND).slice(i));
      await world.settle();
      await world.schedule();
      world.beginDeletion(`svc-aaa-${i}`);
      await world.settle();
      world.delete(`svc-aaa-${i}`);
      await world.pass(SECOND);
      expect(world.stateOf('svc')).toBe('Running');
    }
    expect(Object.keys(world.boundTo('svc'))).toEqual(['svc-bbb-0', 'svc-bbb-1']);
    expect(world.evictions()).toEqual([]);
  });
});

test('waiting members of different owners that disagree still contradict each other', async () => {
  const world = await startWorld({ nodes: 4 });
  world.create(gang('a', 2, { min: 3 }), gang('a', 4, { from: 2, min: 4 }));
  await world.settle();
  expect(world.stateOf('a')).toBe('Gathering');
  expect(world.reasonOf('a')).toContain('members contradict each other: muster.dev/min-members is "3" and "4"');
});

test('a new member with a bad key beside a running gang waits, and the gang says why', async () => {
  const world = await startWorld({ nodes: 5 });
  world.running('a', NODES);
  await world.settle();
  world.create(gang('a', 5, { from: 4, min: 4, annotations: { 'muster.dev/slice-size': 'many' } }));
  await world.pass(5 * SECOND);
  expect(world.stateOf('a')).toBe('Running');
  expect(world.reasonOf('a')).toMatch(/^a-4 waits: .*muster.dev\/slice-size expected a whole number/);
  expect(world.told.some((text) => /slice-size expected a whole number/.test(text))).toBe(true);
});
