/*
 * Laws of every choice of victims, on random small clusters: for gangs whose fit is a matter of counting, and for gangs
 * whose fit a plan must confirm. Each law also holds for the heuristic search alone.
 */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { PodModel } from '../../../src/core/objects/model.ts';
import { matchesSelector } from '../../../src/core/objects/selector.ts';
import { planGang } from '../../../src/core/placement/plan.ts';
import { planPreemption, SEARCH_MOVES } from '../../../src/core/preemption/preemption.ts';
import { aPod, GPU } from '../../support/builders.ts';
import { aGang, members } from '../../support/gangs.ts';
import {
  budgetsOf,
  NOW,
  podsOf,
  policy,
  preemptorOf,
  runningOf,
  type Scene,
  sceneOf,
  snapshotOf,
  snapshotWithout,
  type World,
  worldArb,
} from '../../support/preemption-worlds.ts';
import { TREE_LEVELS } from '../../support/random-trees.ts';
import { printSnapshot } from '../../support/topology.ts';

vi.setConfig({ testTimeout: 60_000 });

const port = { hostPorts: [{ ip: '0.0.0.0', protocol: 'TCP', port: 80 }] };

/** Preemptors of all kinds. */
const VARIANTS = [
  'plain',
  'elastic',
  'roles',
  'launcher',
  'ports',
  'exclusive',
  'exclusive victims',
  'running',
] as const;
type Variant = (typeof VARIANTS)[number];

function vary(world: World, variant: Variant): Scene {
  const scene = sceneOf(world);
  const gang = preemptorOf(world);
  const { count, gpus } = world.wish;
  const inner = TREE_LEVELS[world.depth - 1]!.name;
  const shape = { gpus, cpu: 0, memory: 0 };
  const asking = (more: Partial<typeof gang>) => ({
    ...scene,
    request: { ...scene.request, gang: { ...gang, ...more } },
  });
  switch (variant) {
    case 'plain':
      return scene;
    case 'elastic':
      return asking({ min: Math.max(1, count - 2) });
    case 'roles': {
      const roles = [...members(count, shape), ...members(1, { ...shape, gpus: 3, name: 'v' })];
      return asking(
        aGang(
          roles.map((member, rank) => ({ ...member, rank })),
          { topology: gang.topology, priority: 5 },
        ),
      );
    }
    case 'launcher': {
      const roles = [...members(1, { gpus: 0, cpu: 90, memory: 0, name: 'l' }), ...members(count, shape)];
      return asking(
        aGang(
          roles.map((member, rank) => ({ ...member, rank })),
          { topology: gang.topology, priority: 5 },
        ),
      );
    }
    case 'ports':
      return asking(
        aGang(members(count, { template: { ...shape, ...port } }), { topology: gang.topology, priority: 5 }),
      );
    case 'exclusive':
      return asking({ topology: { ...gang.topology, exclusive: inner } });
    case 'running':
      return asking({ placed: [{ rank: count, node: 'n0' }] });
    case 'exclusive victims': {
      const pods = new Map(
        [...podsOf(world)].map(([job, own]) => [
          job,
          job.age > 50
            ? own.map((pod) => ({
                ...pod,
                annotations: { ...pod.annotations, 'muster.dev/topology-exclusive': inner },
              }))
            : own,
        ]),
      );
      const snapshot = snapshotOf(world, [...pods.values()].flat());
      return { snapshot, request: { ...scene.request, running: runningOf(pods) } };
    }
    default:
      return variant satisfies never;
  }
}

const drawn = fc.record({
  world: worldArb,
  variant: fc.constantFrom(...VARIANTS),
  moves: fc.constantFrom(0, SEARCH_MOVES),
});

function decide({ snapshot, request }: Scene, moves: number) {
  return planPreemption(snapshot, request, policy, NOW, moves);
}

/** Whether the gang fits without these pods and those being deleted. */
function fitsWithout(world: World, scene: Scene, gone: readonly PodModel[]): boolean {
  const leaving = scene.snapshot.byName
    .flatMap((row) => scene.snapshot.podsOn[row]!)
    .filter(({ deleting }) => deleting);
  const snapshot = snapshotWithout(world, scene, new Set([...gone, ...leaving].map(({ uid }) => uid)));
  return planGang(snapshot, scene.request.gang, policy, Number.POSITIVE_INFINITY).kind === 'placed';
}

function check(law: (found: { readonly world: World; readonly scene: Scene; readonly moves: number }) => void): void {
  fc.assert(
    fc.property(drawn, ({ world, variant, moves }) => {
      const scene = vary(world, variant);
      const plan = planGang(scene.snapshot, scene.request.gang, policy, NOW);
      if (plan.kind === 'unschedulable') law({ world, scene, moves });
    }),
    { numRuns: 1_500 },
  );
}

describe('victims', () => {
  test('are whole gangs, lone pods, or members that an elastic gang can do without', () => {
    check(({ scene, moves }) => {
      const found = decide(scene, moves);
      if (found.kind !== 'preempt') return;
      const running = new Map([...scene.request.running].map((each) => [each.gang.key, each]));
      for (const [key, units] of Map.groupBy(found.victims, ({ gang }) => gang)) {
        if (key === undefined) {
          for (const { pods } of units) expect(pods).toHaveLength(1);
          continue;
        }
        const { gang, bound } = running.get(key)!;
        if (units[0]!.kind === 'gang') expect(units.map(({ pods }) => pods)).toEqual([bound]);
        else {
          expect(units.every(({ kind, pods }) => kind === 'member' && pods.length === 1)).toBe(true);
          expect(bound.length - units.length).toBeGreaterThanOrEqual(gang.minMember!);
          expect(units.length).toBeLessThan(bound.length);
        }
      }
    });
  });

  test('are all needed', () => {
    check(({ world, scene, moves }) => {
      const found = decide(scene, moves);
      if (found.kind !== 'preempt') return;
      expect(found.victims.length).toBeGreaterThan(0);
      for (const spared of found.victims) {
        const others = found.victims.filter((unit) => unit !== spared);
        const gone = others.flatMap(({ pods }) => pods);
        expect(fitsWithout(world, scene, gone), `spared ${spared.key}`).toBe(false);
      }
    });
  });

  test('have a lower priority, are not protected, and no budget forbids one of them alone', () => {
    check(({ world, scene, moves }) => {
      const found = decide(scene, moves);
      if (found.kind !== 'preempt') return;
      const budgets = budgetsOf(world);
      let violations = 0;
      for (const { selector, disruptionsAllowed } of budgets) {
        const covered = found.victims.map(
          ({ pods }) => pods.filter(({ labels }) => matchesSelector(selector, labels)).length,
        );
        for (const count of covered) expect(count).toBeLessThanOrEqual(disruptionsAllowed);
        violations += Math.max(0, covered.reduce((sum, count) => sum + count, 0) - disruptionsAllowed);
      }
      expect(found.violations).toBe(violations);
      for (const pod of found.victims.flatMap(({ pods }) => pods)) {
        expect(pod.priority).toBeLessThan(scene.request.gang.priority);
        expect(pod.annotations['muster.dev/preemptible']).toBeUndefined();
        const runtime = Number.parseInt(pod.annotations['muster.dev/min-runtime'] ?? '0', 10);
        expect(NOW - pod.startedAt!).toBeGreaterThanOrEqual(runtime * 1000);
      }
    });
  });

  test('free enough for the returned slots, which are at least the minimum', () => {
    check(({ world, scene, moves }) => {
      const found = decide(scene, moves);
      if (found.kind === 'none') return;
      const { gang } = scene.request;
      const victims = found.kind === 'preempt' ? found.victims.flatMap(({ pods }) => pods) : [];
      expect(fitsWithout(world, scene, victims)).toBe(true);
      expect(found.slots.length).toBeGreaterThanOrEqual(gang.min);
      const gone = new Set(victims.map(({ uid }) => uid));
      const left = scene.snapshot.byName.flatMap((row) => scene.snapshot.podsOn[row]!);
      const slots = found.slots.map(({ uid, node }) => {
        return aPod({ ...gang.members.find((member) => member.uid === uid)!, nodeName: node });
      });
      const staying = left.filter(({ uid, deleting }) => !gone.has(uid) && !deleting);
      const after = snapshotOf(world, [...staying, ...slots]);
      const gpus = after.free[after.columns.get(GPU)!]!;
      for (const row of after.byName) expect(gpus[row]).toBeGreaterThanOrEqual(0);
    });
  });

  test('are none only if evicting all candidates is not enough', () => {
    check(({ world, scene, moves }) => {
      if (decide(scene, moves).kind !== 'none') return;
      const eligible = world.jobs.filter(
        ({ priority, preemptible, age, minRuntime, budget }) =>
          priority < scene.request.gang.priority && preemptible && age >= minRuntime && budget === undefined,
      );
      const names = new Set(eligible.map(({ name }) => name));
      const all = scene.snapshot.byName.flatMap((row) => scene.snapshot.podsOn[row]!);
      const gone = all.filter(({ name }) => names.has(name.slice(0, name.lastIndexOf('-'))));
      expect(fitsWithout(world, scene, gone)).toBe(false);
    });
  });

  test('are the same for the same cluster in any order, and the snapshot stays unchanged', () => {
    check(({ world, scene, moves }) => {
      const before = printSnapshot(scene.snapshot);
      const found = decide(scene, moves);
      expect(decide(scene, moves)).toEqual(found);
      expect(printSnapshot(scene.snapshot)).toBe(before);
      const pods = scene.snapshot.byName.flatMap((row) => scene.snapshot.podsOn[row]!);
      const reversed = {
        snapshot: snapshotOf(world, pods.toReversed()),
        request: { ...scene.request, running: [...scene.request.running].reverse() },
      };
      expect(decide(reversed, moves)).toEqual(found);
    });
  });
});
