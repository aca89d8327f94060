/** Questions about victims on random small clusters that change from one question to the next. */
import fc from 'fast-check';
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { PodModel } from '../../src/core/objects/model.ts';
import type { GangRequest } from '../../src/core/placement/gang-request.ts';
import type { Preemption } from '../../src/core/preemption/preemption.ts';
import { rollUp } from '../../src/core/queues/quota.ts';
import { buildQueueTree } from '../../src/core/queues/tree.ts';
import { lookupOn, type QuotaClaim, quotaHolders } from '../../src/core/reclaim/quota-rights.ts';
import type { VictimQuestion } from '../../src/core/reclaim/victim-question.ts';
import { aNode, GPU } from './builders.ts';
import { aGang, members } from './gangs.ts';
import {
  budgetsOf,
  GPUS,
  NOW,
  podsOf,
  policy,
  preemptorOf,
  runningOf,
  type World,
  worldArb,
} from './preemption-worlds.ts';
import { aQueue, type QueueOptions } from './queues.ts';
import { TREE_LEVELS } from './random-trees.ts';

/** What a question is about, beside the cluster. */
export interface Twist {
  readonly variant: 'plain' | 'elastic' | 'roles' | 'exclusive' | 'exclusive victims';
  /** Who asks, in queues `a` and `b`, of which jobs are in turns; undefined: no queues. */
  readonly claim: 'reclaim' | 'quota' | undefined;
  readonly othersLeave: boolean;
  /** Nodes that failed under the gang, and units that may not be evicted, by index. */
  readonly avoided: number;
  readonly barred: number;
  /** The job that is expected to end soon, by index. */
  readonly departing: number;
  /** Every so many-th job refuses to be preempted (1: none), and every so many-th is within the guarantee of its queue. */
  readonly immune: number;
  readonly covered: number;
}

/** What happens before the next question. */
export interface Change {
  /** The job whose pods end, and the node that goes or changes its labels or its readiness, by index. */
  readonly ends: number;
  readonly node: number;
  readonly what: 'deleted' | 'relabelled' | 'not ready' | 'nothing';
}

const twistArb: fc.Arbitrary<Twist> = fc.record({
  variant: fc.constantFrom('plain', 'plain', 'elastic', 'roles', 'exclusive', 'exclusive victims'),
  claim: fc.constantFrom(undefined, undefined, 'reclaim', 'quota'),
  othersLeave: fc.boolean(),
  avoided: fc.integer({ min: -4, max: 5 }),
  barred: fc.integer({ min: -4, max: 7 }),
  departing: fc.integer({ min: -4, max: 7 }),
  immune: fc.integer({ min: 1, max: 4 }),
  covered: fc.integer({ min: 1, max: 3 }),
});

const changeArb: fc.Arbitrary<Change> = fc.record({
  ends: fc.integer({ min: -1, max: 7 }),
  node: fc.nat({ max: 5 }),
  what: fc.constantFrom('nothing', 'nothing', 'deleted', 'relabelled', 'not ready'),
});

export interface Story {
  readonly world: World;
  readonly twists: readonly Twist[];
  /** One between each two questions. */
  readonly changes: readonly Change[];
}

export const storyArb: fc.Arbitrary<Story> = fc.record({
  world: worldArb,
  twists: fc.array(twistArb, { minLength: 1, maxLength: 3 }),
  changes: fc.array(changeArb, { minLength: 3, maxLength: 3 }),
});

const QUEUES: readonly QueueOptions[] = [
  { name: 'a', guaranteed: 16 },
  { name: 'b', guaranteed: 8, limit: 24 },
];

/** Asks the questions one after the other, each on the table as it is then. */
export function* tellStory({ world, twists, changes }: Story): Generator<VictimQuestion> {
  const { depth, nodes, jobs } = world;
  const table = new NodeTable(TREE_LEVELS.slice(0, depth));
  const nodeOf = (i: number, labels: readonly (string | undefined)[]) => {
    const carried = labels.flatMap((value, level) => (value ? [[TREE_LEVELS[level]!.label, value] as const] : []));
    return aNode({ name: `n${i}`, gpus: GPUS, labels: Object.fromEntries(carried) });
  };
  nodes.forEach((labels, i) => {
    table.applyNode(nodeOf(i, labels));
  });
  const tree = buildQueueTree(QUEUES.map(aQueue));
  const alive = new Map(
    [...podsOf(world)].map(([job, pods], i) => [job, pods.map((pod) => inQueue(pod, ['a', 'b'][i % 2]!))] as const),
  );
  for (const pod of [...alive.values()].flat()) table.addPod(pod);
  for (const [turn, twist] of twists.entries()) {
    const running = runningOf(alive).map(({ gang, bound }, i) => ({
      gang,
      bound: bound.map((pod) => immune(twist.variant === 'exclusive victims' ? exclusive(pod, world) : pod, i, twist)),
    }));
    for (const { bound } of running) for (const pod of bound) replace(table, pod);
    const snapshot = table.snapshot();
    const departing = running[twist.departing]?.bound ?? [];
    const departures = new Map(departing.map((pod) => [pod, NOW + 5_000]));
    yield {
      snapshot,
      gang: { ...vary(world, twist.variant), avoided: new Set([`n${twist.avoided}`]) },
      running,
      budgets: budgetsOf(world),
      barred: new Set([`default/job-${twist.barred}`]),
      departures: () => departures,
      claim: twist.claim && claimOf(tree, twist, running, snapshot),
      isQuotaFull: twist.claim === 'quota',
      othersLeave: twist.othersLeave,
      now: NOW,
    };
    for (const [, pods] of alive) for (const pod of pods) replace(table, pod);
    const { ends, node, what } = changes[turn]!;
    const job = jobs[ends];
    for (const pod of (job && alive.get(job)) ?? []) table.removePod(pod);
    if (job) alive.delete(job);
    const labels = nodes[node];
    if (!labels) continue;
    if (what === 'deleted') table.deleteNode(`n${node}`);
    else if (what === 'relabelled')
      table.applyNode(
        nodeOf(
          node,
          labels.map(() => 'c'),
        ),
      );
    else if (what === 'not ready') table.applyNode({ ...nodeOf(node, labels), ready: false });
  }
}

function replace(table: NodeTable, pod: PodModel): void {
  table.removePod(pod);
  table.addPod(pod);
}

function inQueue(pod: PodModel, queue: string): PodModel {
  return { ...pod, labels: { ...pod.labels, 'muster.dev/queue': queue } };
}

function exclusive(pod: PodModel, { depth }: World): PodModel {
  const level = TREE_LEVELS[depth - 1]!.name;
  return { ...pod, annotations: { ...pod.annotations, 'muster.dev/topology-exclusive': level } };
}

/** Jobs of every `immune`-th turn refuse to be preempted; with 1 nobody does. */
function immune(pod: PodModel, i: number, { immune: each }: Twist): PodModel {
  if (each === 1 || i % each !== 0) return pod;
  return { ...pod, annotations: { ...pod.annotations, 'muster.dev/preemptible': 'false' } };
}

/** As the decision loop passes it: with the functions that look up, which cross no thread. */
function claimOf(
  tree: QuotaClaim['tree'],
  { claim, covered: each }: Twist,
  running: VictimQuestion['running'],
  snapshot: VictimQuestion['snapshot'],
): QuotaClaim {
  const pods = running.flatMap(({ bound }) => bound);
  const lookup = lookupOn(snapshot, tree, policy.isAccelerator);
  const held = Map.groupBy(pods, ({ labels }) => labels['muster.dev/queue']!);
  const use = rollUp(tree, new Map([...held].map(([queue, own]) => [queue, lookup.amountsOf(own)])));
  const queue = tree.byName.get(claim === 'quota' ? 'b' : 'a')!;
  const covered = new Set(running.flatMap(({ gang }, i) => (i % each === 0 ? [gang.key] : [])));
  const asked = new Map([[GPU, claim === 'quota' ? 16 : 8]]);
  return quotaHolders({ tree, queue, priority: 5, asked, use, covered }, lookup).query;
}

function vary(world: World, variant: Twist['variant']): GangRequest {
  const gang = preemptorOf(world);
  const { count, gpus: each } = world.wish;
  switch (variant) {
    case 'plain':
    case 'exclusive victims':
      return gang;
    case 'elastic':
      return { ...gang, min: Math.max(1, count - 2) };
    case 'roles': {
      const shape = { gpus: each, cpu: 0, memory: 0 };
      const roles = [...members(count, shape), ...members(1, { ...shape, gpus: 3, name: 'v' })];
      const ranked = roles.map((member, rank) => ({ ...member, rank }));
      return aGang(ranked, { topology: gang.topology, priority: gang.priority });
    }
    case 'exclusive':
      return { ...gang, topology: { ...gang.topology, exclusive: TREE_LEVELS[world.depth - 1]!.name } };
    default:
      return variant satisfies never;
  }
}

/** The answer with pods by UID, to compare answers of different pods with the same content. */
export function describeAnswer(plan: Preemption): unknown {
  if (plan.kind !== 'preempt') return plan;
  return { ...plan, victims: plan.victims.map((unit) => ({ ...unit, pods: unit.pods.map(({ uid }) => uid) })) };
}
