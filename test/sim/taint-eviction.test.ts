/** Taint eviction: when pods leave a node with a NoExecute taint. */
import { expect, test } from 'vitest';
import { NodeLifecycle } from '../../src/sim/node-lifecycle.ts';
import { TaintEviction } from '../../src/sim/taint-eviction.ts';
import { type SimWorld, useSimWorlds } from './sim-world.ts';

const newWorld = useSimWorlds();
const NOT_READY = 'node.kubernetes.io/not-ready';

/** A node `n1` with these pods running on it, each with a grace period of 30 s. */
function worldWithPods(tolerations: Readonly<Record<string, readonly object[]>>): SimWorld {
  const world = newWorld();
  world.run(NodeLifecycle, TaintEviction);
  world.createNode('n1');
  for (const [name, list] of Object.entries(tolerations)) {
    world.createPod(name, { spec: { tolerations: list, terminationGracePeriodSeconds: 30 } });
    world.bind(name, 'n1');
    world.setPhase(name, 'Running');
  }
  world.pass();
  return world;
}

function setReady(world: SimWorld, status: 'True' | 'False'): void {
  const conditions = [{ type: 'Ready', status }];
  world.store.update('nodes', undefined, 'n1', (node) => ({ ...node, status: { ...node.status, conditions } }));
}

const leaving = (world: SimWorld) =>
  world.store
    .list('pods')
    .filter(({ metadata }) => metadata.deletionTimestamp)
    .map(({ metadata }) => metadata.name);
const for5s = { key: NOT_READY, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 };

test('pods leave a node that is down when their toleration ends, after five minutes by default', () => {
  const world = worldWithPods({ soon: [for5s], default: [], never: [{ operator: 'Exists' }] });
  setReady(world, 'False');
  world.pass(4_000);
  expect(leaving(world)).toEqual([]);
  world.pass(1_000);
  expect(leaving(world)).toEqual(['soon']);
  expect(world.pod('soon').status.conditions).toContainEqual(
    expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager' }),
  );
  world.pass(294_000);
  expect(leaving(world)).toEqual(['soon']);
  world.pass(1_000);
  expect(leaving(world)).toEqual(['soon', 'default']);
  world.pass(1e9);
  expect(leaving(world)).toEqual(['soon', 'default']);
});

test('a node that is ready again in time keeps its pods', () => {
  const world = worldWithPods({ soon: [for5s] });
  setReady(world, 'False');
  world.pass(4_000);
  setReady(world, 'True');
  world.pass(600_000);
  expect(leaving(world)).toEqual([]);
});

test('a taint that no pod tolerates ends pods at once', () => {
  const world = worldWithPods({ a: [for5s] });
  const taints = [{ key: 'broken', value: 'x', effect: 'NoExecute' }];
  world.store.update('nodes', undefined, 'n1', (node) => ({ ...node, spec: { ...node.spec, taints } }));
  world.pass();
  expect(leaving(world)).toEqual(['a']);
});
