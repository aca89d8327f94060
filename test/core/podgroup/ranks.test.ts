import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PodModel } from '../../../src/core/objects/model.ts';
import { describeGang, gangKey } from '../../../src/core/podgroup/gang.ts';
import { assignRanks, sortByRank } from '../../../src/core/podgroup/ranks.ts';
import { explain, explainStably } from '../../../src/core/reasons/explain.ts';
import { aGangSources, aPod } from '../../support/builders.ts';

type Labels = Readonly<Record<string, string>>;

const RANK = 'muster.dev/rank';
const INDEX = 'batch.kubernetes.io/job-completion-index';
const JOB = 'batch.kubernetes.io/job-name';

const pod = (name: string, labels: Labels = {}): PodModel => aPod({ name, labels });
const explicit = (name: string, rank: number | string, labels: Labels = {}): PodModel =>
  aPod({ name, labels, annotations: { [RANK]: String(rank) } });
/** Bound long ago. */
const placed = (known: PodModel, rank: number): PodModel => ({
  ...known,
  nodeName: 'n1',
  phase: 'Running',
  annotations: { ...known.annotations, 'muster.dev/placement': `p1 rack-1/n1 ${rank}` },
});

const job = (name: string, index: number, of = 'train'): PodModel => pod(name, { [JOB]: of, [INDEX]: String(index) });
const kubeflow = (name: string, type: string, index: number): PodModel =>
  pod(name, {
    'training.kubeflow.org/job-name': 'train',
    'training.kubeflow.org/replica-type': type,
    'training.kubeflow.org/replica-index': String(index),
  });
/** mpi-operator sets the role only. */
const mpi = (name: string, role: string, index?: number): PodModel =>
  pod(name, {
    'training.kubeflow.org/job-name': 'train',
    'training.kubeflow.org/job-role': role,
    ...(index !== undefined && { 'training.kubeflow.org/replica-index': String(index) }),
  });
const jobSet = (
  name: string,
  [replicatedJob, job, global]: [string, number, number],
  index: number,
  more: Labels = {},
) =>
  pod(name, {
    'jobset.sigs.k8s.io/jobset-name': 'set',
    'jobset.sigs.k8s.io/replicatedjob-name': replicatedJob,
    'jobset.sigs.k8s.io/job-index': String(job),
    'jobset.sigs.k8s.io/job-global-index': String(global),
    [JOB]: `set-${replicatedJob}-${job}`,
    [INDEX]: String(index),
    ...more,
  });
const lws = (name: string, group: number, worker: number): PodModel =>
  pod(name, {
    'leaderworkerset.sigs.k8s.io/name': 'serve',
    'leaderworkerset.sigs.k8s.io/group-index': String(group),
    'leaderworkerset.sigs.k8s.io/worker-index': String(worker),
    // The workers of a group come from a StatefulSet that begins with 1, the leaders from one of their own.
    'apps.kubernetes.io/pod-index': String(worker === 0 ? group : worker),
  });
const sizedLws = (name: string, group: number, worker: number, size: string): PodModel => ({
  ...lws(name, group, worker),
  annotations: { 'leaderworkerset.sigs.k8s.io/size': size },
});
const ray = (name: string, group: string, replica?: number, host?: number): PodModel =>
  pod(name, {
    'ray.io/cluster': 'ray',
    'ray.io/node-type': group === 'head' ? 'head' : 'worker',
    'ray.io/group': group === 'head' ? 'headgroup' : group,
    ...(replica !== undefined && { 'ray.io/worker-group-replica-index': String(replica) }),
    ...(host !== undefined && { 'ray.io/replica-host-index': String(host) }),
  });
const volcano = (name: string, task: string, index: number): PodModel =>
  pod(name, { 'volcano.sh/job-name': 'vj', 'volcano.sh/task-spec': task, 'volcano.sh/task-index': String(index) });
const grove = (name: string, clique: string, index: number): PodModel =>
  pod(name, { 'grove.io/podclique': clique, 'grove.io/podclique-pod-index': String(index) });
const stateful = (name: string, index: number): PodModel => ({
  ...pod(name, { 'apps.kubernetes.io/pod-index': String(index) }),
  owner: { kind: 'StatefulSet', name: 'web', uid: 'u' },
});

/** `name:rank …` in rank order. */
function ranked(pods: readonly PodModel[]): string {
  const ranks = assignRanks(pods);
  return sortByRank(pods, ranks)
    .map(({ uid, name }) => `${name}:${ranks.get(uid)}`)
    .join(' ');
}

const COORDINATOR = { 'jobset.sigs.k8s.io/coordinator': 'set-w-0-1.set' };

describe('where a rank comes from', () => {
  test.each<[string, readonly PodModel[], string]>([
    ['what its owner wrote', [explicit('a', 1), explicit('b', 0)], 'b:0 a:1'],
    ['the completion index of a Job', [job('a', 10), job('b', 9)], 'b:9 a:10'],
    [
      'a Kubeflow job: the master, then workers, then who serves and watches',
      [
        kubeflow('eval', 'evaluator', 0),
        kubeflow('ps-0', 'ps', 0),
        kubeflow('w-1', 'worker', 1),
        kubeflow('w-0', 'worker', 0),
        kubeflow('chief', 'chief', 0),
      ],
      'chief:0 w-0:1 w-1:2 ps-0:3 eval:4',
    ],
    [
      'the replica type is read in any case, and one that is not known comes after those that are',
      [kubeflow('x', 'Aux', 0), kubeflow('w-0', 'Worker', 0), kubeflow('m', 'Master', 0)],
      'm:0 w-0:1 x:2',
    ],
    [
      'an MPI launcher that only starts the others has no index, so that the workers count from 0',
      [mpi('launcher', 'launcher'), mpi('worker-1', 'worker', 1), mpi('worker-0', 'worker', 0)],
      'worker-0:0 worker-1:1 launcher:2',
    ],
    [
      'an MPI launcher that works too is number 0 of the workers',
      [mpi('worker-0', 'worker', 1), mpi('worker-1', 'worker', 2), mpi('launcher', 'launcher', 0)],
      'launcher:0 worker-0:1 worker-1:2',
    ],
    [
      'a JobSet: Jobs in its order, not in that of their names, and the pods of each by completion index',
      [
        jobSet('a-0-0', ['a', 0, 1], 0),
        jobSet('a-0-1', ['a', 0, 1], 1),
        jobSet('z-0-0', ['z', 0, 0], 0),
        jobSet('a-1-0', ['a', 1, 2], 0),
        jobSet('a-1-1', ['a', 1, 2], 1),
      ],
      'z-0-0:0 a-0-0:1 a-0-1:2 a-1-0:3 a-1-1:4',
    ],
    [
      'the coordinator of a JobSet before all others, wherever it is',
      [0, 1].flatMap((j) => [0, 1, 2].map((i) => jobSet(`w-${j}-${i}`, ['w', j, j], i, COORDINATOR))),
      'w-0-1:0 w-0-0:1 w-0-2:2 w-1-0:3 w-1-1:4 w-1-2:5',
    ],
    [
      'a LeaderWorkerSet: group by group, the leader first',
      [lws('serve-1', 1, 0), lws('serve-1-1', 1, 1), lws('serve-0-1', 0, 1), lws('serve-0', 0, 0)],
      'serve-0:0 serve-0-1:1 serve-1:2 serve-1-1:3',
    ],
    [
      'a RayCluster with several hosts for each replica: the head, then replica by replica',
      [ray('d', 'gpu', 1, 1), ray('c', 'gpu', 1, 0), ray('b', 'gpu', 0, 1), ray('a', 'gpu', 0, 0), ray('z', 'head')],
      'z:0 a:1 b:2 c:3 d:4',
    ],
    [
      'a RayCluster with one host for each replica: the head, then group by group',
      [ray('x', 'b', 0), ray('b', 'a', 1), ray('c', 'a', 0), ray('z', 'head')],
      'z:0 c:1 b:2 x:3',
    ],
    [
      'Ray workers without numbers: the head, then by name',
      [ray('b', 'gpu'), ray('a', 'gpu'), ray('z', 'head')],
      'z:0 a:1 b:2',
    ],
    ['a StatefulSet', [stateful('web-10', 10), stateful('web-9', 9)], 'web-9:9 web-10:10'],
    [
      'a Volcano job: the master task, then the workers, then the others',
      [volcano('a', 'worker', 1), volcano('b', 'worker', 0), volcano('c', 'ps', 0), volcano('d', 'master', 0)],
      'd:0 b:1 a:2 c:3',
    ],
    [
      'Grove: clique by clique',
      [grove('c', 'g-0-b', 0), grove('a', 'g-0-a', 1), grove('b', 'g-0-a', 0)],
      'b:0 a:1 c:2',
    ],
    ['else the name, with numbers as numbers', [pod('w-10'), pod('w-9'), pod('v-11')], 'v-11:0 w-9:1 w-10:2'],
  ])('%s', (_, pods, expected) => {
    expect(ranked(pods)).toBe(expected);
  });

  test.each<[string, readonly PodModel[], string]>([
    ['an explicit rank counts before a completion index', [explicit('a', 5, { [INDEX]: '0' }), job('b', 1)], 'b:1 a:5'],
    ['members with a number come before those without', [pod('a'), explicit('b', 0), job('c', 1)], 'b:0 c:1 a:2'],
    ['a rank that is no number is none', [explicit('a', 'first'), explicit('b', 0)], 'b:0 a:1'],
  ])('%s', (_, pods, expected) => {
    expect(ranked(pods)).toBe(expected);
  });
});

describe('a member that is missing', () => {
  const groups = [0, 1].flatMap((g) => [0, 1, 2].map((w) => lws(`s-${g}-${w}`, g, w)));
  const without = (name: string) => groups.filter((member) => member.name !== name);
  test.each<[string, readonly PodModel[], string]>([
    ['leaves a hole in a Job', [job('a', 0), job('c', 2)], 'a:0 c:2'],
    ['leaves a hole in a Ray worker group', [ray('a', 'gpu', 0), ray('c', 'gpu', 2)], 'a:0 c:2'],
    ['leaves a hole in a group', without('s-0-1'), 's-0-0:0 s-0-2:2 s-1-0:3 s-1-1:4 s-1-2:5'],
    [
      'leaves one at the end of a group, as the other group is longer',
      without('s-0-2'),
      's-0-0:0 s-0-1:1 s-1-0:3 s-1-1:4 s-1-2:5',
    ],
    [
      'leaves one in a Job of a JobSet, too',
      [jobSet('a', ['w', 0, 0], 0), jobSet('c', ['w', 1, 1], 0), jobSet('d', ['w', 1, 1], 1)],
      'a:0 c:2 d:3',
    ],
    [
      'leaves one in every group of a LeaderWorkerSet that says their size, while only leaders exist',
      [0, 1, 2].map((g) => sizedLws(`s-${g}`, g, 0, '4')),
      's-0:0 s-1:4 s-2:8',
    ],
    [
      'leaves none where a group is larger than it says',
      [sizedLws('s-0-2', 0, 2, '2'), sizedLws('s-1', 1, 0, '2')],
      's-0-2:2 s-1:3',
    ],
    [
      'leaves no hole of an unbelievable size',
      [sizedLws('s-0', 0, 0, '100001'), sizedLws('s-1', 1, 0, '100001')],
      's-0:0 s-1:1',
    ],
    [
      'is not known of when it is the last of the only run of its kind',
      [kubeflow('w-0', 'worker', 0), kubeflow('eval', 'evaluator', 0)],
      'w-0:0 eval:1',
    ],
  ])('%s', (_, pods, expected) => {
    expect(ranked(pods)).toBe(expected);
  });
});

describe('numbers that collide', () => {
  test.each<[string, readonly PodModel[], string]>([
    ['two Jobs in one gang follow one another', [job('y', 0, 'b'), job('x', 1, 'a'), job('w', 0, 'a')], 'w:0 x:1 y:2'],
    ['Jobs by name, with numbers as numbers', [job('y', 0, 'j-9'), job('x', 0, 'j-10')], 'y:0 x:1'],
    [
      'workers step aside for the launcher that was given rank 0',
      [explicit('launcher', 0), job('a', 0), job('b', 1)],
      'launcher:0 a:1 b:2',
    ],
    ['two pods with one index take the next ranks by name', [job('c', 0), job('b', 0), job('a', 1)], 'b:0 c:1 a:2'],
    [
      'of two with one explicit rank the first by name has it',
      [explicit('w-10', 1), explicit('w-9', 1)],
      'w-9:1 w-10:2',
    ],
  ])('%s', (_, pods, expected) => {
    expect(ranked(pods)).toBe(expected);
  });
});

describe('members that are placed', () => {
  test.each<[string, readonly PodModel[], string]>([
    ['keep the rank that they have read', [placed(pod('b'), 0), placed(pod('a'), 1)], 'b:0 a:1'],
    ['also when their owner changes it', [placed(explicit('a', 5), 0), explicit('b', 1)], 'a:0 b:1'],
    [
      'a replacement with a name of its own takes the rank of the one that is gone',
      [placed(pod('a'), 0), placed(pod('c'), 2), pod('z')],
      'a:0 z:1 c:2',
    ],
    [
      'a replacement with a number takes its own, not the lowest that is free',
      [placed(kubeflow('m', 'master', 0), 0), kubeflow('w-2', 'worker', 2)],
      'm:0 w-2:3',
    ],
    ['a later member comes after them', [placed(pod('b'), 0), placed(pod('c'), 1), pod('a')], 'b:0 c:1 a:2'],
    [
      'a Job that grows takes free ranks where another Job has followed it',
      [placed(job('a', 0, 'a'), 0), placed(job('b', 0, 'b'), 1), job('c', 1, 'a')],
      'a:0 b:1 c:2',
    ],
    [
      'an unbound pod has no placement, whatever it says',
      [{ ...placed(pod('a'), 7), nodeName: '' }, pod('b')],
      'a:0 b:1',
    ],
    [
      'what Muster did not write is none',
      [{ ...placed(pod('a'), 7), annotations: { 'muster.dev/placement': '7' } }, pod('b')],
      'a:0 b:1',
    ],
  ])('%s', (_, pods, expected) => {
    expect(ranked(pods)).toBe(expected);
  });
});

describe('laws', () => {
  const small = fc.nat({ max: 3 });
  /** Members of all kinds, with collisions. */
  const gangs = fc
    .array(
      fc.oneof(
        fc.constant((name: string) => pod(name)),
        small.map((rank) => (name: string) => explicit(name, rank)),
        fc.tuple(small, fc.constantFrom('x', 'y')).map(
          ([index, of]) =>
            (name: string) =>
              job(name, index, of),
        ),
        fc.tuple(fc.constantFrom('master', 'worker'), small).map(
          ([type, i]) =>
            (name: string) =>
              kubeflow(name, type, i),
        ),
        fc.tuple(small, small).map(
          ([group, worker]) =>
            (name: string) =>
              lws(name, group, worker),
        ),
        fc.tuple(small, small).map(
          ([j, i]) =>
            (name: string) =>
              jobSet(name, ['w', j, j], i, COORDINATOR),
        ),
      ),
      { minLength: 1, maxLength: 9 },
    )
    .map((makers) => makers.map((make, i) => make(`p-${i}`)));
  const shuffled = gangs.chain((pods) =>
    fc.tuple(fc.constant(pods), fc.shuffledSubarray(pods, { minLength: pods.length })),
  );
  const rankOf = (pods: readonly PodModel[], member: PodModel) => assignRanks(pods).get(member.uid);

  test('every member has a rank, and no two have the same', () => {
    fc.assert(
      fc.property(gangs, (pods) => {
        const ranks = assignRanks(pods);
        expect([...ranks.keys()].sort()).toEqual(pods.map(({ uid }) => uid).sort());
        expect(new Set(ranks.values()).size).toBe(pods.length);
      }),
    );
  });

  test('the order in which the pods are given does not matter', () => {
    fc.assert(
      fc.property(shuffled, ([pods, other]) => {
        expect(ranked(other)).toBe(ranked(pods));
      }),
    );
  });

  test('no rank moves while the members are bound one by one, in any order', () => {
    fc.assert(
      fc.property(shuffled, ([pods, order]) => {
        const first = ranked(pods);
        let now: readonly PodModel[] = pods;
        for (const next of order) {
          const rank = rankOf(now, next)!;
          now = now.map((member) => (member === next ? placed(next, rank) : member));
          expect(ranked(now)).toBe(first);
        }
      }),
    );
  });

  test('no bound member changes its rank when others leave, and no rank is given twice', () => {
    fc.assert(
      fc.property(shuffled, fc.nat({ max: 8 }), ([pods, order], many) => {
        const ranks = assignRanks(pods);
        const bound = pods.map((member) => placed(member, ranks.get(member.uid)!));
        const gone = new Set(order.slice(0, many).map(({ uid }) => uid));
        const left = bound.filter(({ uid }) => !gone.has(uid));
        const newcomers = pods.filter(({ uid }) => gone.has(uid));
        const after = assignRanks([...left, ...newcomers]);
        for (const { uid } of left) expect(after.get(uid)).toBe(ranks.get(uid));
        expect(new Set(after.values()).size).toBe(pods.length);
      }),
    );
  });

  test('a member that comes back unchanged gets its rank again', () => {
    fc.assert(
      fc.property(gangs, fc.nat(), (pods, choice) => {
        const ranks = assignRanks(pods);
        const back = pods[choice % pods.length]!;
        const now = pods.map((member) => (member === back ? back : placed(member, ranks.get(member.uid)!)));
        expect(rankOf(now, back)).toBe(ranks.get(back.uid));
      }),
    );
  });
});

describe('two members that were given one rank', () => {
  const gang = (...pods: readonly PodModel[]) =>
    describeGang(
      gangKey('default', 'train'),
      aGangSources(
        pods.map((member) => ({
          ...member,
          annotations: { ...member.annotations, 'muster.dev/min-members': '2' },
        })),
      ),
    );

  test.each<[string, readonly PodModel[], string]>([
    [
      'are named',
      [explicit('w-1', 3), explicit('w-0', 3), explicit('w-2', 4)],
      '2 members have muster.dev/rank 3: w-0 and w-1; give each its own, or none to any',
    ],
    [
      'and not all of them when they are many',
      [0, 1, 2, 3].map((i) => explicit(`w-${i}`, 0)),
      '4 members have muster.dev/rank 0: w-0, w-1 and 2 more; give each its own, or none to any',
    ],
  ])('%s', (_, pods, expected) => {
    expect(explain({ kind: 'problems', problems: gang(...pods).problems })).toBe(expected);
  });

  test('the text for kube-scheduler names no pods, as they may change', () => {
    const { problems } = gang(explicit('w-1', 3), explicit('w-0', 3));
    expect(explainStably('default/train', { kind: 'problems', problems })).toBe(
      'gang default/train cannot start: members have the same muster.dev/rank; give each its own, or none to any',
    );
  });

  test('it is no problem that one of them has left', () => {
    expect(gang(explicit('w-0', 3), { ...explicit('w-1', 3), deleting: true }).problems).toEqual([]);
  });
});

test('a gang says the rank of each member, and lists them in that order', () => {
  const { members, ranks } = describeGang(gangKey('default', 'train'), aGangSources([job('b', 2), job('a', 0)]));
  expect(members.map(({ name, uid }) => [name, ranks.get(uid)])).toEqual([
    ['a', 0],
    ['b', 2],
  ]);
});
