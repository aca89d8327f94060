/**
 * Laws over the order in which the members of a gang are created, and over the kinds of their owners: whatever was
 * planned early, or was on the pods when Muster started, all members are bound where the gang asked, and neighbours in
 * rank are as close as in a gang that was complete from the start.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlacedMember } from '../../../src/core/placement/gang-request.ts';
import { findTopologyViolation } from '../../../src/core/placement/topology-violation.ts';
import { domainAt } from '../../../src/core/topology/tree.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { gang, startWorld, type World } from '../../support/scenario.ts';
import { BLOCK, RACK } from '../../support/topology.ts';

const LEVELS = [
  { name: 'block', label: BLOCK },
  { name: 'rack', label: RACK },
];
const GROUP = 4;

/** The labels and annotations of a member by which its controller numbers it. */
type Numbering = (index: number) => Pick<WireObject['metadata'], 'labels' | 'annotations'>;

const NUMBERINGS: Readonly<Record<string, Numbering>> = {
  'plain index': (index) => ({ labels: { 'batch.kubernetes.io/job-completion-index': String(index) } }),
  names: () => ({}),
  JobSet: (index) => ({
    labels: {
      'jobset.sigs.k8s.io/jobset-name': 'set',
      'jobset.sigs.k8s.io/replicatedjob-name': 'workers',
      'jobset.sigs.k8s.io/job-global-index': String(Math.floor(index / GROUP)),
      'batch.kubernetes.io/job-completion-index': String(index % GROUP),
    },
  }),
  LeaderWorkerSet: (index) => ({ labels: lwsLabels(index) }),
  'LeaderWorkerSet with the size of its groups': (index) => ({
    labels: lwsLabels(index),
    annotations: { 'leaderworkerset.sigs.k8s.io/size': String(GROUP) },
  }),
  Kubeflow: (index) => ({
    labels: {
      'training.kubeflow.org/job-name': 'job',
      'training.kubeflow.org/replica-type': index === 0 ? 'master' : 'worker',
      'training.kubeflow.org/replica-index': String(index === 0 ? 0 : index - 1),
    },
  }),
};

function lwsLabels(index: number): Record<string, string> {
  return {
    'leaderworkerset.sigs.k8s.io/name': 'set',
    'leaderworkerset.sigs.k8s.io/group-index': String(Math.floor(index / GROUP)),
    'leaderworkerset.sigs.k8s.io/worker-index': String(index % GROUP),
  };
}

const REQUESTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  nothing: {},
  'one block': { 'muster.dev/topology-required': 'block' },
  'one rack, preferred': { 'muster.dev/topology-preferred': 'rack' },
  'slices in racks': { 'muster.dev/slice-size': String(GROUP), 'muster.dev/slice-required': 'rack' },
  'slices in racks of one block': {
    'muster.dev/topology-required': 'block',
    'muster.dev/slice-size': String(GROUP),
    'muster.dev/slice-required': 'rack',
  },
  'slices over all blocks': {
    'muster.dev/topology-spread': 'block',
    'muster.dev/slice-size': String(GROUP),
    'muster.dev/slice-required': 'rack',
  },
};

/** Some members are created; what happens after it. */
interface Arrival {
  readonly members: number;
  readonly waitMs: number;
  readonly next: 'nothing' | 'schedule' | 'restart';
}

const arrival: fc.Arbitrary<Arrival> = fc.record({
  members: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 3 }) }, fc.integer({ min: 4, max: 8 })),
  waitMs: fc.constantFrom(20, 50, 100, 150),
  next: fc.constantFrom('nothing', 'nothing', 'nothing', 'nothing', 'schedule', 'restart'),
});

const history = fc.record({
  numbering: fc.constantFrom(...Object.keys(NUMBERINGS)),
  asked: fc.constantFrom(...Object.keys(REQUESTS)),
  gated: fc.boolean(),
  groups: fc.integer({ min: 2, max: 4 }),
  /** Whether the first of each group come before the second of each, as controllers create them, or all in any order. */
  inTurns: fc.boolean(),
  /** Sorts the members into the order of their creation. */
  keys: fc.array(fc.nat(1_500), { minLength: 16, maxLength: 16 }),
  arrivals: fc.array(arrival, { minLength: 16, maxLength: 16 }),
});

type History = typeof history extends fc.Arbitrary<infer T> ? T : never;

/** Two blocks of four racks; racks of four to six nodes, so that a gang that is cut anyhow crosses racks. */
async function startEmpty(): Promise<World> {
  const world = await startWorld({ levels: LEVELS });
  for (let rack = 0; rack < 8; rack++) {
    for (let i = 0; i < 4 + (rack % 3); i++) {
      const labels = { [BLOCK]: `block-${Math.floor(rack / 4)}`, [RACK]: `rack-${rack}` };
      world.addNode(`r${rack}-n${i}`, { labels });
    }
  }
  await world.settle();
  return world;
}

function listMembers({ numbering, asked, gated, groups }: History): readonly WireObject[] {
  return gang('a', groups * GROUP, { gated, annotations: REQUESTS[asked]! }).map((raw, index) => {
    const { labels, annotations } = NUMBERINGS[numbering]!(index);
    const { metadata } = raw;
    return {
      ...raw,
      metadata: {
        ...metadata,
        labels: { ...metadata.labels, ...labels },
        annotations: { ...metadata.annotations, ...annotations },
      },
    };
  });
}

async function finish(world: World): Promise<void> {
  for (let second = 0; second < 10 && world.stateOf('a') !== 'Running'; second++) {
    await world.schedule();
    await world.pass(1_000);
  }
}

async function play(story: History): Promise<World> {
  const world = await startEmpty();
  const members = listMembers(story)
    .map((member, i) => ({ member, key: story.keys[i]! + (story.inTurns ? (i % GROUP) * 1_000 : 0) }))
    .sort((a, b) => a.key - b.key)
    .map(({ member }) => member);
  for (const { members: count, waitMs, next } of story.arrivals) {
    world.create(members.splice(0, count));
    await world.pass(waitMs);
    if (next === 'schedule') await world.schedule();
    if (next === 'restart') await world.restart();
    if (members.length === 0) break;
  }
  world.create(members);
  await world.settle();
  await finish(world);
  return world;
}

async function placeAtOnce(story: History): Promise<World> {
  const world = await startEmpty();
  world.create(listMembers(story));
  await world.settle();
  await finish(world);
  return world;
}

/** The bound members in rank order. */
function listPlaced(world: World): readonly (PlacedMember & { readonly rank: number })[] {
  const { gang: known, census } = world.muster.view.gang('default/a')!;
  return census.bound
    .map(({ uid, nodeName }) => ({ rank: known.ranks.get(uid)!, node: nodeName }))
    .sort((a, b) => a.rank - b.rank);
}

/** How often consecutive ranks are in different domains, for each level. */
function countBorders(world: World): readonly number[] {
  const { topology, indexOf } = world.muster.state.snapshot();
  const rows = listPlaced(world).map(({ node }) => indexOf.get(node)!);
  return LEVELS.map((_, level) => {
    const domains = rows.map((row) => domainAt(topology, row, level));
    return domains.filter((domain, i) => i > 0 && domain !== domains[i - 1]).length;
  });
}

/** The same histories in each run; `MUSTER_LAW_RUNS=2000` tries new ones. */
const RUNS = Number(process.env.MUSTER_LAW_RUNS ?? 150);
const SEED = process.env.MUSTER_LAW_RUNS === undefined ? { seed: 20_260_201 } : {};

describe('in any order of arrival', () => {
  test('all members are bound where the gang asked, neighbours in rank as close as if it came at once', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (story) => {
        const world = await play(story);
        expect(world.stateOf('a'), world.reasonOf('a')).toBe('Running');
        const { topology } = world.muster.view.gang('default/a')!.gang;
        expect(findTopologyViolation(world.muster.state.snapshot(), topology, listPlaced(world))).toBeUndefined();
        expect(countBorders(world)).toEqual(countBorders(await placeAtOnce(story)));
      }),
      { numRuns: RUNS, ...SEED },
    );
  }, 600_000);
});
