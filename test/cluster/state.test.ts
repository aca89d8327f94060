/** The cluster state: indexes by gang, Jobs, claims, nominated pods, victims, and what the listener is calls. */
import { describe, expect, test } from 'vitest';
import { ClusterState } from '../../src/cluster/state.ts';
import type {
  ClaimModel,
  DaemonSetModel,
  DisruptionBudgetModel,
  PodGroupModel,
  PodModel,
} from '../../src/core/objects/model.ts';
import { type GangKey, gangKey } from '../../src/core/podgroup/gang.ts';
import { exclusiveOf } from '../../src/core/podgroup/plan-record.ts';
import type { ClaimObstacle } from '../../src/core/podgroup/problems.ts';
import { projectQueue } from '../../src/core/queues/projection.ts';
import { HOST } from '../../src/core/topology/tree.ts';
import { aJobModel, aNode, aPod, GPU, type PodOptions } from '../support/builders.ts';
import { RACK } from '../support/topology.ts';

const POD_GROUP = 'muster.dev/pod-group';
const COSCHEDULING = 'scheduling.x-k8s.io/pod-group';

const inGang = (gang: string) => ({ labels: { [POD_GROUP]: gang } });
const aMember = (name: string, options: PodOptions = {}) => aPod({ name, ...inGang('train'), ...options });

const aClaim = (options: Partial<ClaimModel> = {}): ClaimModel => {
  return { namespace: 'default', name: 'data', bound: false, storageClass: 'fast', ...options };
};
const aPodGroup = (name: string, namespace = 'default'): PodGroupModel => {
  return { namespace, name, uid: `uid-of-${name}`, minMember: 2, scheduleTimeoutSeconds: undefined };
};

const daemonSet: DaemonSetModel = { namespace: 'default', name: 'ds', uid: 'u' };

const queue = projectQueue({ metadata: { name: 'ml', uid: 'u' }, spec: {} });
const heavierQueue = projectQueue({ metadata: { name: 'ml', uid: 'u' }, spec: { weight: 2 } });
const queueWithStatus = projectQueue({ metadata: { name: 'ml', uid: 'u' }, spec: {}, status: { pending: 1 } });

const budget: DisruptionBudgetModel = { namespace: 'default', name: 'web', selector: [], disruptionsAllowed: 1 };

/** A state that receives pods as the watcher delivers them: each with the object it replaces. */
function aState() {
  const state = new ClusterState([{ name: 'rack', label: RACK }]);
  const pods = new Map<string, PodModel>();
  const calls: string[] = [];
  state.listen({
    onPod: (before, now) => calls.push(`pod ${before?.name ?? '-'} ${now?.name ?? '-'}`),
    onSource: (gang) => calls.push(`source ${gang ?? 'any'}`),
    onNodes: () => calls.push('nodes'),
    onBudgets: () => calls.push('budgets'),
    onQueues: () => calls.push('queues'),
  });
  const apply = (...all: readonly PodModel[]) => {
    for (const pod of all) {
      const before = pods.get(pod.uid);
      pods.set(pod.uid, pod);
      state.pods.applied(pod, before);
    }
  };
  const remove = (pod: PodModel) => {
    state.pods.deleted(pods.get(pod.uid)!);
    pods.delete(pod.uid);
  };
  const membersOf = (gang: string) =>
    state
      .sourcesOf(gang as GangKey)
      .pods.map(({ name }) => name)
      .sort()
      .join(' ');
  const freeOn = (node: string) => {
    const snapshot = state.snapshot();
    return snapshot.free[snapshot.columns.get(GPU)!]![snapshot.indexOf.get(node)!];
  };
  const foreignHolders = () =>
    [...state.foreignHolders()].map(({ pod, pinnedTo }) => `${pod.name} ${pinnedTo ?? '-'}`).join(', ');
  return { state, calls, apply, remove, membersOf, freeOn, foreignHolders };
}

describe('gangs', () => {
  test('pods are found by their gang, and gangs by their pods', () => {
    const { state, apply, membersOf } = aState();
    apply(aMember('a'), aMember('b'), aMember('c', inGang('other')), aPod({ name: 'lone' }));
    expect([...state.gangs()]).toEqual(['default/train', 'default/other']);
    expect([membersOf('default/train'), membersOf('default/other'), membersOf('x/y')]).toEqual(['a b', 'c', '']);
  });

  test('equal names in two namespaces are two gangs', () => {
    const { apply, membersOf } = aState();
    apply(aMember('a'), aMember('b', { namespace: 'ml' }));
    expect([membersOf('default/train'), membersOf('ml/train')]).toEqual(['a', 'b']);
  });

  test('a pod whose label changes moves to the other gang', () => {
    const { state, apply, membersOf } = aState();
    apply(aMember('a'), aMember('b'));
    apply(aMember('b', inGang('other')));
    expect([membersOf('default/train'), membersOf('default/other')]).toEqual(['a', 'b']);
    apply(aMember('a', { labels: {} }));
    expect([...state.gangs()]).toEqual(['default/other']);
  });

  test('a pod that another controller starts to gate leaves the gang', () => {
    const { apply, membersOf } = aState();
    apply(aMember('a'), aMember('b'));
    apply(aMember('b', { gates: ['x.io/wait'] }));
    expect(membersOf('default/train')).toBe('a');
  });

  test('the newest version of a pod counts, and none of a deleted pod', () => {
    const { state, apply, remove, membersOf } = aState();
    apply(aMember('a'));
    apply(aMember('a', { priority: 7 }));
    expect(state.sourcesOf(gangKey('default', 'train')).pods.map(({ priority }) => priority)).toEqual([7]);
    expect(state.pod('uid-of-default/a')?.priority).toBe(7);
    remove(aMember('a'));
    expect(membersOf('default/train')).toBe('');
    expect([...state.gangs()]).toEqual([]);
    expect(state.pod('uid-of-default/a')).toBeUndefined();
  });
});

describe('usage of nodes by pods', () => {
  test.each<[string, PodOptions, number]>([
    ['a bound pod counts', { nodeName: 'n1' }, 5],
    ['a terminating pod still counts', { nodeName: 'n1', deleting: true }, 5],
    ['an unbound pod does not count', {}, 8],
    ['a nominated pod does not count', { nominatedNodeName: 'n1' }, 8],
    ['a succeeded pod does not count', { nodeName: 'n1', phase: 'Succeeded' }, 8],
    ['a failed pod does not count', { nodeName: 'n1', phase: 'Failed' }, 8],
  ])('%s', (_, options, expected) => {
    const { state, apply, freeOn } = aState();
    state.nodes.applied(aNode({ name: 'n1' }), undefined);
    apply(aPod({ gpus: 3, ...options }));
    expect(freeOn('n1')).toBe(expected);
  });

  test('counts from binding to the end', () => {
    const { state, apply, remove, freeOn } = aState();
    state.nodes.applied(aNode({ name: 'n1' }), undefined);
    const free = [];
    for (const options of [
      {},
      { nodeName: 'n1' },
      { nodeName: 'n1', gpus: 2 },
      { nodeName: 'n1', phase: 'Succeeded' as const },
    ]) {
      apply(aPod({ gpus: 3, ...options }));
      free.push(freeOn('n1'));
    }
    remove(aPod());
    expect([...free, freeOn('n1')]).toEqual([8, 5, 6, 8, 8]);
  });

  test('a running pod that is deleted frees its space', () => {
    const { state, apply, remove, freeOn } = aState();
    state.nodes.applied(aNode({ name: 'n1' }), undefined);
    apply(aPod({ gpus: 3, nodeName: 'n1' }));
    remove(aPod());
    expect(freeOn('n1')).toBe(8);
  });

  test('nodes are added, changed and deleted', () => {
    const { state } = aState();
    state.nodes.applied(aNode({ name: 'n1', labels: { [RACK]: 'a' } }), undefined);
    const before = state.generation;
    expect(state.snapshot().topology.names).toEqual(['', 'a', 'n1']);
    state.nodes.deleted(aNode({ name: 'n1' }));
    expect(state.snapshot().byName).toEqual([]);
    expect(state.generation).toBeGreaterThan(before);
  });
});

describe('the Jobs of a gang', () => {
  const jobsOf = (state: ClusterState, gang = 'default/train') =>
    state
      .sourcesOf(gang as GangKey)
      .jobs.map(({ name }) => name)
      .sort()
      .join(' ');
  const owned = (uid: string) => ({ owner: { kind: 'Job', name: 'job', uid } });
  const labelled = { templateLabels: { [POD_GROUP]: 'train' } };

  test('are those whose template names it, also before they have pods', () => {
    const { state } = aState();
    state.jobs.applied(aJobModel(labelled), undefined);
    state.jobs.applied(aJobModel({ name: 'b', uid: 'b', templateLabels: { [COSCHEDULING]: 'train' } }), undefined);
    state.jobs.applied(aJobModel({ name: 'c', uid: 'c' }), undefined);
    state.jobs.applied(aJobModel({ name: 'd', uid: 'd', namespace: 'ml', ...labelled }), undefined);
    expect([jobsOf(state), jobsOf(state, 'ml/train')]).toEqual(['b job', 'd']);
  });

  test('are those that own one of its pods', () => {
    const { state, apply } = aState();
    state.jobs.applied(aJobModel(), undefined);
    apply(aMember('a', owned('uid-of-job')));
    expect(jobsOf(state)).toBe('job');
  });

  test('appear once when both are true', () => {
    const { state, apply } = aState();
    state.jobs.applied(aJobModel(labelled), undefined);
    apply(aMember('a', owned('uid-of-job')), aMember('b', owned('uid-of-job')));
    expect(jobsOf(state)).toBe('job');
  });

  test.each<[string, PodOptions]>([
    ['a recreated Job of the same name', owned('uid-of-the-job-before')],
    ['another kind of owner with that name', { owner: { kind: 'ReplicaSet', name: 'job', uid: 'uid-of-job' } }],
    ['a Job of another namespace', { namespace: 'ml', ...owned('uid-of-job') }],
  ])('not %s', (_, options) => {
    const { state, apply } = aState();
    state.jobs.applied(aJobModel(), undefined);
    apply(aMember('a', options));
    expect(jobsOf(state) + jobsOf(state, 'ml/train')).toBe('');
  });

  test('change and go', () => {
    const { state } = aState();
    const before = aJobModel(labelled);
    state.jobs.applied(before, undefined);
    const after = aJobModel({ ...labelled, parallelism: 9 });
    state.jobs.applied(after, before);
    expect(state.sourcesOf(gangKey('default', 'train')).jobs).toEqual([after]);
    const moved = aJobModel({ templateLabels: { [POD_GROUP]: 'other' } });
    state.jobs.applied(moved, after);
    expect([jobsOf(state), jobsOf(state, 'default/other')]).toEqual(['', 'job']);
    state.jobs.deleted(moved);
    expect(jobsOf(state, 'default/other')).toBe('');
  });
});

describe('the PodGroup of a gang', () => {
  test.each<[string, PodOptions, string | undefined]>([
    ['by the co-scheduling label', { labels: { [COSCHEDULING]: 'train' } }, 'train'],
    ['not by the label of Muster, which names no object', { labels: { [POD_GROUP]: 'train' } }, undefined],
    ['by both', { labels: { [POD_GROUP]: 'train', [COSCHEDULING]: 'train' } }, 'train'],
  ])('%s', (_, options, expected) => {
    const { state, apply } = aState();
    state.podGroups.applied(aPodGroup('train', 'ml'), undefined);
    state.podGroups.applied(aPodGroup('train'), undefined);
    apply(aPod(options));
    const { podGroup } = state.sourcesOf(gangKey('default', 'train'));
    expect(podGroup?.name).toBe(expected);
    expect(podGroup?.namespace).toBe(expected && 'default');
    state.podGroups.deleted(aPodGroup('train'));
    expect(state.sourcesOf(gangKey('default', 'train')).podGroup).toBeUndefined();
  });
});

describe('claims', () => {
  const waiting = { name: 'fast', waitsForConsumer: true };
  const immediate = { name: 'fast', waitsForConsumer: false };
  test.each<[string, readonly ClaimModel[], (typeof waiting)[], ClaimObstacle | undefined]>([
    ['a missing claim blocks', [], [waiting], 'missing-claim'],
    ['a claim of another namespace does not count', [aClaim({ namespace: 'ml', bound: true })], [], 'missing-claim'],
    ['a bound claim does not block', [aClaim({ bound: true })], [], undefined],
    ['an unbound claim blocks', [aClaim()], [immediate], 'unbound-claim'],
    ['an unbound claim does not block if its class waits for the first consumer', [aClaim()], [waiting], undefined],
    ['an unbound claim of an unknown class blocks', [aClaim()], [], 'unbound-claim'],
  ])('%s', (_, claims, classes, blocks) => {
    const { state } = aState();
    for (const storageClass of classes) state.storageClasses.applied(storageClass, undefined);
    for (const claim of claims) state.claims.applied(claim, undefined);
    expect(state.sourcesOf(gangKey('default', 'train')).blocksOnClaim('data')).toBe(blocks);
  });

  test('a deleted claim or class blocks', () => {
    const { state } = aState();
    const blocks = () => state.sourcesOf(gangKey('default', 'train')).blocksOnClaim('data');
    state.storageClasses.applied(waiting, undefined);
    state.claims.applied(aClaim(), undefined);
    expect(blocks()).toBeUndefined();
    state.storageClasses.deleted(waiting);
    expect(blocks()).toBe('unbound-claim');
    state.claims.applied(aClaim({ bound: true }), aClaim());
    expect(blocks()).toBeUndefined();
    state.claims.deleted(aClaim());
    expect(blocks()).toBe('missing-claim');
  });
});

describe('unbound pods outside gangs that take up space', () => {
  const pin = (name: string) => [
    { matchLabels: [], matchFields: [{ key: 'metadata.name', operator: 'In' as const, values: [name] }] },
  ];
  const daemon = {
    owner: { kind: 'DaemonSet', name: 'ds', uid: 'u' },
    template: { gpus: 0, nodeAffinity: pin('n1') },
  };
  test.each<[string, PodOptions, string]>([
    ['a pod that kube-scheduler nominated counts', { nominatedNodeName: 'n1' }, 'pod -'],
    ['a DaemonSet pod that waits for its node counts', daemon, 'pod n1'],
    ['a pinned pod of another owner does not count', { template: daemon.template }, ''],
    ['a DaemonSet pod that is pinned to no node does not count', { owner: daemon.owner }, ''],
    ['a pending pod without nomination does not count', {}, ''],
    ['a bound pod is counted on its node instead', { ...daemon, nodeName: 'n1', nominatedNodeName: 'n1' }, ''],
    ['a terminating pod does not count', { ...daemon, deleting: true }, ''],
    ['a nominated pod that failed does not count', { nominatedNodeName: 'n1', phase: 'Failed' }, ''],
    ['a gang member does not count', { ...inGang('train'), nominatedNodeName: 'n1' }, ''],
    [
      'a pod that another controller gates counts',
      { ...inGang('train'), nominatedNodeName: 'n1', gates: ['x'] },
      'pod -',
    ],
    ['a pod of a native gang counts', { ...inGang('train'), nominatedNodeName: 'n1', nativeGang: true }, 'pod -'],
  ])('%s', (_, options, expected) => {
    const { state, apply, foreignHolders } = aState();
    state.daemonSets.applied(daemonSet, undefined);
    apply(aPod(options));
    expect(foreignHolders()).toBe(expected);
  });

  test.each<[string, DaemonSetModel]>([
    ['of another namespace', { ...daemonSet, namespace: 'kube-system' }],
    ['of another name', { ...daemonSet, name: 'other' }],
    ['of another UID', { ...daemonSet, uid: 'v' }],
  ])('a pod that names a DaemonSet %s neither counts nor belongs to its node', (_, set) => {
    const { state, apply, foreignHolders } = aState();
    state.daemonSets.applied(set, undefined);
    apply(aPod(daemon));
    expect(foreignHolders()).toBe('');
    expect(state.pod('uid-of-default/pod')?.isOfNode).toBe(false);
  });

  test('a pod of a DaemonSet counts from when that is seen until it is gone', () => {
    const { state, apply, foreignHolders, calls } = aState();
    apply(aPod(daemon));
    expect(foreignHolders()).toBe('');
    state.daemonSets.applied(daemonSet, undefined);
    expect(foreignHolders()).toBe('pod n1');
    state.daemonSets.deleted(daemonSet);
    expect(foreignHolders()).toBe('');
    expect(calls).toEqual(['pod - pod', 'pod pod pod', 'pod pod pod']);
  });

  test('a pod of a DaemonSet that pends counts for five minutes', () => {
    const { state, apply, foreignHolders } = aState();
    state.daemonSets.applied(daemonSet, undefined);
    apply(aPod({ ...daemon, createdAt: 1_000 }));
    expect(state.endClaims(2_000)).toEqual({ hasEnded: false, nextAt: 301_000 });
    expect(foreignHolders()).toBe('pod n1');
    expect(state.endClaims(301_000)).toEqual({ hasEnded: true, nextAt: Number.POSITIVE_INFINITY });
    expect(foreignHolders()).toBe('');
    expect(state.endClaims(302_000).hasEnded, 'told once').toBe(false);
  });

  test('the record of a bound pod stays as it was, and a level that it gives up does not come back', () => {
    const { state, apply } = aState();
    const levels = (plan: string | undefined, exclusive: string | undefined) =>
      aMember('a', {
        nodeName: 'n1',
        annotations: {
          ...(plan !== undefined && { 'muster.dev/plan': plan }),
          ...(exclusive !== undefined && { 'muster.dev/topology-exclusive': exclusive }),
        },
      });
    const closed = () => exclusiveOf(state.pod('uid-of-default/a')!);
    apply(levels('p/n1/1 exclusive=rack', 'rack'));
    expect(closed()).toBe('rack');
    apply(levels('p/n1/1 exclusive=zone', 'zone'));
    expect(closed(), 'another level is not what it was planned with').toBeUndefined();
    apply(levels('p/n1/1 exclusive=rack', 'rack'));
    expect(closed(), 'others may have come').toBeUndefined();
    apply(levels(undefined, 'rack'));
    expect(state.pod('uid-of-default/a')?.annotations['muster.dev/plan']).toBe('p/n1/1');
  });

  test('end when they are bound, lose their nomination, join a gang or are deleted', () => {
    const ends: PodOptions[] = [{ nodeName: 'n1' }, {}, { ...inGang('train'), nominatedNodeName: 'n1' }];
    for (const end of ends) {
      const { apply, foreignHolders } = aState();
      apply(aPod({ nominatedNodeName: 'n1' }));
      expect(foreignHolders()).toBe('pod -');
      apply(aPod(end));
      expect(foreignHolders()).toBe('');
    }
    const { apply, remove, foreignHolders } = aState();
    apply(aPod({ nominatedNodeName: 'n1' }));
    remove(aPod());
    expect(foreignHolders()).toBe('');
  });
});

describe('the listener', () => {
  const job = aJobModel({ templateLabels: { [POD_GROUP]: 'train' } });
  const moved = aJobModel({ templateLabels: { [POD_GROUP]: 'other' } });
  const storageClass = { name: 'fast', waitsForConsumer: true };
  test.each<[string, (state: ClusterState) => void, string[]]>([
    ['a new pod', (state) => state.pods.applied(aPod(), undefined), ['pod - pod']],
    ['a changed pod', (state) => state.pods.applied(aPod(), aPod()), ['pod pod pod']],
    ['a deleted pod', (state) => state.pods.deleted(aPod()), ['pod pod -']],
    ['a node', (state) => state.nodes.applied(aNode(), undefined), ['nodes']],
    ['a deleted node', (state) => state.nodes.deleted(aNode()), ['nodes']],
    ['a Job of a gang', (state) => state.jobs.applied(job, undefined), ['source default/train']],
    ['a Job of no gang', (state) => state.jobs.applied(aJobModel({ templateLabels: {} }), undefined), []],
    [
      'a Job that changes its gang',
      (state) => state.jobs.applied(moved, job),
      ['source default/train', 'source default/other'],
    ],
    [
      'a Job that only owns pods of a gang',
      (state) => {
        const owned = aJobModel({ templateLabels: {} });
        const owner = { kind: 'Job', name: owned.name, uid: owned.uid };
        state.pods.applied(aPod({ labels: { [POD_GROUP]: 'train' }, owner }), undefined);
        state.jobs.applied(owned, undefined);
      },
      ['pod - pod', 'source default/train'],
    ],
    ['a deleted Job', (state) => state.jobs.deleted(job), ['source default/train']],
    ['a PodGroup', (state) => state.podGroups.applied(aPodGroup('train'), undefined), ['source default/train']],
    ['a deleted PodGroup', (state) => state.podGroups.deleted(aPodGroup('train')), ['source default/train']],
    ['a claim that nobody mounts', (state) => state.claims.applied(aClaim(), undefined), []],
    [
      'a claim, and one that is deleted',
      (state) => {
        const [one, two] = ['one', 'two'].map((name) => aMember(name, { claims: ['data'] })) as [PodModel, PodModel];
        for (const pod of [one, two]) state.pods.applied(pod, undefined);
        state.pods.applied(aPod({ name: 'three', ...inGang('other'), claims: ['scratch'] }), undefined);
        state.pods.applied(aPod({ name: 'four', ...inGang('far'), namespace: 'far', claims: ['data'] }), undefined);
        state.claims.applied(aClaim(), undefined);
        state.pods.deleted(one);
        state.claims.deleted(aClaim());
        state.pods.deleted(two);
        state.claims.applied(aClaim(), undefined);
      },
      [
        ...['one', 'two', 'three', 'four'].map((name) => `pod - ${name}`),
        'source default/train',
        'pod one -',
        'source default/train',
        'pod two -',
      ],
    ],
    ['a storage class', (state) => state.storageClasses.applied(storageClass, undefined), ['source any']],
    ['a deleted storage class', (state) => state.storageClasses.deleted(storageClass), ['source any']],
    ['a disruption budget', (state) => state.disruptionBudgets.applied(budget, undefined), ['budgets']],
    ['a deleted disruption budget', (state) => state.disruptionBudgets.deleted(budget), ['budgets']],
    ['a queue object', (state) => state.queueObjects.applied(queue, undefined), ['queues']],
    ['a queue object with another spec', (state) => state.queueObjects.applied(heavierQueue, queue), ['queues']],
    ['a queue object with another status', (state) => state.queueObjects.applied(queueWithStatus, queue), []],
    ['a deleted queue object', (state) => state.queueObjects.deleted(queue), ['queues']],
    ['a DaemonSet without pods', (state) => state.daemonSets.applied(daemonSet, undefined), []],
  ])('%s', (_, change, expected) => {
    const { state, calls } = aState();
    change(state);
    expect(calls).toEqual(expected);
  });

  test('is not called for a node heartbeat', () => {
    const { state, calls } = aState();
    state.nodes.applied(aNode(), undefined);
    state.nodes.applied(aNode(), aNode());
    expect(calls).toEqual(['nodes']);
  });

  test('is called when the change is visible', () => {
    const { state, apply } = aState();
    const seen: string[] = [];
    state.listen({
      onPod: (_, now) => seen.push(`${state.pod(now?.uid ?? '')?.name}`),
      onSource: (gang) => seen.push(`${state.sourcesOf(gang!).jobs.length}`),
      onNodes: () => seen.push(`${state.snapshot().byName.length}`),
      onBudgets: () => seen.push(`${[...state.budgets()].length}`),
      onQueues: () => seen.push(`${[...state.queues()].length}`),
    });
    apply(aPod({ name: 'p' }));
    state.jobs.applied(job, undefined);
    state.nodes.applied(aNode(), undefined);
    state.disruptionBudgets.applied(budget, undefined);
    state.queueObjects.applied(queue, undefined);
    expect(seen).toEqual(['p', '1', '1', '1', '1']);
  });

  test('is optional', () => {
    const state = new ClusterState(undefined);
    state.pods.applied(aPod(), undefined);
    state.nodes.applied(aNode(), undefined);
    state.jobs.applied(job, undefined);
    expect(state.snapshot().topology.levels).toEqual([HOST]);
  });
});

describe('victims', () => {
  const victim = (options: PodOptions = {}) =>
    aMember('v', { nodeName: 'n1', annotations: { 'muster.dev/preempted-by': 'default/big' }, ...options });
  const named = (state: ClusterState) => [...state.preempted()].map(({ name }) => name);

  test('are the pods annotated with their preemptor, until they are terminated or gone', () => {
    const { state, apply, remove } = aState();
    apply(aMember('v', { nodeName: 'n1' }), aMember('other', { nodeName: 'n1' }));
    expect(named(state)).toEqual([]);
    apply(victim());
    expect(named(state)).toEqual(['v']);
    apply(victim({ deleting: true, goneBy: 30_000 }));
    expect([...state.preempted()]).toMatchObject([{ name: 'v', deleting: true, goneBy: 30_000 }]);
    apply(victim({ phase: 'Failed' }));
    expect(named(state)).toEqual([]);
    apply(victim());
    remove(victim());
    expect(named(state)).toEqual([]);
  });

  test('are no victims any more when the annotation is removed', () => {
    const { state, apply } = aState();
    apply(victim());
    apply(victim({ annotations: {} }));
    expect(named(state)).toEqual([]);
  });
});

test('a disruption budget is kept in its latest version until it is deleted', () => {
  const { state } = aState();
  state.disruptionBudgets.applied(budget, undefined);
  state.disruptionBudgets.applied({ ...budget, disruptionsAllowed: 0 }, budget);
  expect([...state.budgets()]).toEqual([{ ...budget, disruptionsAllowed: 0 }]);
  state.disruptionBudgets.deleted(budget);
  expect([...state.budgets()]).toEqual([]);
});
