import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JobModel, Owner, PodModel, PodUid } from '../../../src/core/objects/model.ts';
import { describeGang, type Gang, gangKey } from '../../../src/core/podgroup/gang.ts';
import { mayFollow, updateGang } from '../../../src/core/podgroup/gang-update.ts';
import { type Census, takeCensus, updateCensus } from '../../../src/gang/state/lifecycle.ts';
import { aGangSources, aJobModel, aPod, aTemplate } from '../../support/builders.ts';

const KEY = gangKey('default', 'train');
const GATE = 'muster.dev/gang';
const SIZE = 6;
const [gpuTemplate, cpuTemplate] = [aTemplate({ gpus: 1 }), aTemplate({ gpus: 0 })];

/** Who makes the members, and how they are told apart. */
const makers = ['job', 'two jobs', 'by name', 'by rank', 'unseen owner'] as const;
type Maker = (typeof makers)[number];

interface World {
  readonly maker: Maker;
  /** The minimum is an annotation. */
  readonly isWritten: boolean;
  readonly isPatient: boolean;
  /** A member never reaches the extender. */
  readonly bypasses: boolean;
}

const worlds: fc.Arbitrary<World> = fc.record({
  maker: fc.constantFrom(...makers),
  isWritten: fc.boolean(),
  isPatient: fc.boolean(),
  bypasses: fc.boolean(),
});

function ownerOf(maker: Maker, rank: number): Owner | undefined {
  if (maker === 'by name' || maker === 'by rank') return undefined;
  const name = maker === 'two jobs' && rank % 2 === 1 ? 'workers' : 'job';
  return { kind: maker === 'unseen owner' ? 'PyTorchJob' : 'Job', name, uid: `uid-of-${name}` };
}

function jobsOf(maker: Maker): readonly JobModel[] {
  const names = maker === 'job' ? ['job'] : maker === 'two jobs' ? ['job', 'workers'] : [];
  const parallelism = SIZE / Math.max(1, names.length);
  return names.map((name) => aJobModel({ name, uid: `uid-of-${name}`, parallelism, completions: parallelism }));
}

function newPod({ maker, isWritten, isPatient, bypasses }: World, rank: number): PodModel {
  const owner = ownerOf(maker, rank);
  const index = maker === 'two jobs' ? Math.floor(rank / 2) : rank;
  return aPod({
    name: `m-${rank}`,
    owner,
    gates: [GATE],
    createdAt: 1_000 * (rank % 3),
    template: bypasses && rank === 2 ? cpuTemplate : gpuTemplate,
    labels: {
      'muster.dev/pod-group': 'train',
      ...(owner && {
        'batch.kubernetes.io/job-name': owner.name,
        'batch.kubernetes.io/job-completion-index': String(index),
      }),
    },
    annotations: {
      ...(isWritten && { 'muster.dev/min-members': String(SIZE) }),
      ...(isPatient && { 'muster.dev/topology-preferred': 'rack', 'muster.dev/topology-patience': '10s' }),
      ...(maker === 'by rank' && { 'muster.dev/rank': String((rank * 5) % SIZE) }),
    },
  });
}

/** What happens to a pod; the later ones disturb a start. */
const deeds = {
  nominate: (pod) => ({ ...pod, nominatedNodeName: `n-${pod.name}`, annotations: planned(pod) }),
  ungate: (pod) => ({ ...pod, gates: [] }),
  bind: (pod, rank) => ({
    ...pod,
    gates: [],
    nominatedNodeName: '',
    nodeName: `n-${pod.name}`,
    startedAt: 5_000 + rank,
    annotations: { ...planned(pod), 'muster.dev/placement': `p rack/n ${rank}` },
  }),
  'bind with another rank': (pod, rank) => ({
    ...pod,
    gates: [],
    nodeName: `n-${pod.name}`,
    annotations: {
      ...planned(pod),
      'muster.dev/placement': `p rack/n ${(rank + 1) % SIZE}`,
    },
  }),
  'bind unrecorded': (pod) => ({ ...pod, gates: [], nodeName: `n-${pod.name}` }),
  run: (pod) => ({ ...pod, phase: 'Running' }),
  refuse: (pod) => ({ ...pod, nominatedNodeName: '', refusal: '0/5 nodes are available' }),
  succeed: (pod) => ({ ...pod, phase: 'Succeeded', endedAt: 9_000 }),
  fail: (pod) => ({ ...pod, phase: 'Failed' }),
  leave: (pod) => ({ ...pod, deleting: true }),
  relabel: (pod) => ({ ...pod, labels: { ...pod.labels, 'muster.dev/queue': 'other' } }),
  hold: (pod) => ({ ...pod, annotations: { ...pod.annotations, 'muster.dev/hold': 'true' } }),
  evict: (pod) => ({ ...pod, annotations: { ...pod.annotations, 'muster.dev/preempted-by': 'default/other' } }),
  require: (pod) => ({ ...pod, annotations: { ...pod.annotations, 'muster.dev/topology-required': 'rack' } }),
  give: (pod) => ({ ...pod, annotations: { ...pod.annotations, 'muster.dev/rank': '3' } }),
} satisfies Record<string, (pod: PodModel, rank: number) => PodModel>;

function planned({ name, annotations }: PodModel): PodModel['annotations'] {
  return { ...annotations, 'muster.dev/plan': `p/n-${name}/1 required=rack` };
}

const quiet = ['create', 'create', 'create', 'nominate', 'ungate', 'bind', 'bind', 'run'] as const;
const names = [...quiet, 'create a twin', ...(Object.keys(deeds) as (keyof typeof deeds)[]), 'delete'] as const;

const event = (from: readonly (typeof names)[number][], most: number) =>
  fc.record({ what: fc.constantFrom(...from), rank: fc.nat(most), isRead: fc.boolean() });

/** Follows a gang by updates as far as they go, and compares it with the gang that is described anew at each look. */
function play(
  world: World,
  events: readonly { readonly what: (typeof names)[number]; readonly rank: number; readonly isRead: boolean }[],
): number {
  const pods = new Map<string, PodModel>();
  const add = (rank: number, suffix = ''): PodModel => {
    const pod = newPod(world, rank);
    const uid = `${pod.uid}${suffix}` as PodUid;
    return { ...pod, name: `${pod.name}${suffix}`, uid };
  };
  let gang: Gang | undefined;
  let census: Census | undefined;
  let changed: Map<string, PodModel> | 'anything' = 'anything';
  let updates = 0;
  const describeAll = () =>
    describeGang(KEY, aGangSources([...pods.values()], { jobs: jobsOf(world.maker) }), gang, SIZE);
  for (const { what, rank, isRead } of events) {
    // Two pods with the number of one.
    const suffix = what === 'create a twin' ? '-twin' : '';
    const name = `m-${rank}${suffix}`;
    const pod = pods.get(name);
    if (what === 'delete') {
      if (pod) changed = 'anything';
      pods.delete(name);
    } else {
      const isNew = what === 'create' || what === 'create a twin';
      if (isNew && pod) continue;
      const now = isNew ? add(rank, suffix) : pod && deeds[what](pod, gang?.ranks.get(pod.uid) ?? rank);
      if (!now) continue;
      pods.delete(name);
      pods.set(name, now);
      if (changed !== 'anything') changed.set(now.uid, now);
    }
    if (!isRead || pods.size === 0) continue;
    const all = describeAll();
    const update = gang && changed !== 'anything' ? updateGang(gang, changed.values(), SIZE) : undefined;
    if (update) {
      updates++;
      census = updateCensus(census!, update.gang, update.changes);
      expect(update.gang).toEqual(all);
      expect(census).toEqual(takeCensus(all));
      gang = update.gang;
    } else {
      gang = all;
      census = takeCensus(all);
      mayFollow(gang, pods.size);
    }
    changed = new Map();
  }
  return updates;
}

describe('a gang that is brought up to date', () => {
  test('is the gang that is described anew, while it starts', () => {
    let updates = 0;
    fc.assert(
      fc.property(worlds, fc.array(event(quiet, SIZE), { minLength: 10, maxLength: 60 }), (world, events) => {
        updates += play(world, events);
      }),
      { numRuns: 400 },
    );
    expect(updates).toBeGreaterThan(300);
  });

  test('is the gang that is described anew, whatever else happens', () => {
    fc.assert(
      fc.property(
        worlds,
        fc.array(event(names, SIZE + 1), { minLength: 5, maxLength: 40 }),
        (world, events) => void play(world, events),
      ),
      { numRuns: 600 },
    );
  });

  test('is described anew only a few times from its first member to its last binding', () => {
    const ranks = Array.from({ length: SIZE }, (_, rank) => rank);
    const events = (['create', 'nominate', 'ungate', 'bind'] as const).flatMap((what) =>
      ranks.map((rank) => ({ what, rank, isRead: true })),
    );
    // The first look, and the last binding: then nobody waits.
    expect(play({ maker: 'job', isWritten: true, isPatient: false, bypasses: false }, events)).toBe(events.length - 2);
  });
});
