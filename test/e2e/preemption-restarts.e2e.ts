/**
 * Muster is killed in the middle of a preemption, at a chosen write, and started again: the victims that are left go, nobody
 * else does, nobody takes their place, and the preemptor starts whole.
 */
import type { V1Pod } from '@kubernetes/client-node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Cluster } from './cluster/control-plane.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { waitFor } from './cluster/wait.ts';
import { type StopRule, startWriteProxy } from './cluster/write-proxy.ts';
import { startMuster } from './muster.ts';
import { gangPods, gpuJob, gpuPod, priorityClass } from './objects.ts';
import {
  expectBound,
  expectNoOvercommit,
  expectRunning,
  expectUntouched,
  musterConfig,
  podsOf,
  restartMuster,
  type World,
  worldOf,
} from './world.ts';

const SIZE = 6;
const config = { ...musterConfig(), preemption: { backoffInitial: '2s' }, repair: { restartBackoff: '1s' } };
let cluster: Cluster;
/** That of the test under way. */
let world: World | undefined;

beforeAll(async () => {
  // Without the admission policy each row chooses whether its members carry the gate.
  cluster = await borrowControlPlane({ admissionPolicy: false });
  await cluster.addNodes({ count: 2 * SIZE });
});

afterEach(async () => {
  await world?.muster.kill();
  await cluster.reset({ keepNodes: true });
});

afterAll(() => cluster?.stop());

interface Row {
  readonly when: string;
  readonly gated: boolean;
  readonly stop: StopRule;
}

describe('Muster is killed while a gang preempts another one', () => {
  test.each<Row>([
    { when: 'after 3 of 6 places are on record', gated: true, stop: { kind: 'fence', after: 3 } },
    { when: 'before the first notice', gated: false, stop: { kind: 'announce', after: 0 } },
    { when: 'after 3 of 6 notices', gated: true, stop: { kind: 'announce', after: 3 } },
    { when: 'before the first eviction', gated: true, stop: { kind: 'evict', after: 0 } },
    { when: 'after 3 of 6 evictions', gated: true, stop: { kind: 'evict', after: 3 } },
    { when: 'after 3 of 6 evictions', gated: false, stop: { kind: 'evict', after: 3 } },
    { when: 'after 5 evictions, one not answered', gated: false, stop: { kind: 'evict', after: 5, answerLost: true } },
    // Those of the gangs that are there before count, too.
    { when: 'after 2 of 6 nominations', gated: true, stop: { kind: 'nominate', after: 2 * SIZE + 2 } },
  ])('$when, members gated: $gated', async ({ gated, stop }) => {
    const { api } = cluster;
    await api.createMany('priorityclasses', [priorityClass('middle', 500), priorityClass('high', 1000)]);
    let low: readonly V1Pod[] = [];
    let other: readonly V1Pod[] = [];
    const crashed = await crash(stop, async (first) => {
      await api.createMany('pods', gangPods({ gang: 'low', size: SIZE, gated, graceSeconds: 4 }));
      // It would do as well, but is worth more.
      await api.createMany('pods', gangPods({ gang: 'other', size: SIZE, gated, priorityClassName: 'middle' }));
      low = await expectBound(first, 'low', SIZE);
      other = await expectBound(first, 'other', SIZE);
      await api.createMany(
        'pods',
        Array.from({ length: 4 }, (_, i) => gpuPod({ name: `lone-${i}`, labels: { lone: '' } })),
      );
      await api.createMany('pods', gangPods({ gang: 'high', size: SIZE, gated, priorityClassName: 'high' }));
    });
    if (stop.kind === 'evict') {
      const leaving = (await podsOf(crashed, 'low')).filter(({ metadata }) => metadata?.deletionTimestamp);
      expect(leaving, 'the row is what it says').toHaveLength(stop.after);
    }
    await restartMuster(crashed);
    await expectBound(crashed, 'high', SIZE);
    await expectUntouched(crashed, other, 'one of two is enough');
    const uids = new Set((await api.list('pods')).map(({ metadata }) => metadata?.uid));
    expect(
      low.filter(({ metadata }) => uids.has(metadata?.uid)),
      'all of the victim are gone',
    ).toEqual([]);
    const lone = await api.list('pods', { labelSelector: 'lone' });
    expect(lone.map(({ spec }) => spec?.nodeName).filter(Boolean), 'nobody was faster').toEqual([]);
    await expectNoOvercommit(crashed);
  });
});

test('Muster is killed while it restarts a gang that lost a member: the rest goes, and the gang starts whole', async () => {
  const { api } = cluster;
  let before: readonly V1Pod[] = [];
  const crashed = await crash({ kind: 'evict', after: 1 }, async (first) => {
    await api.create('jobs', gpuJob({ name: 'train', size: 4, onMemberLoss: 'restart' }));
    before = await expectBound(first, 'train', 4);
    // A plain deletion would fail the Job.
    const name = before[0]?.metadata?.name as string;
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } };
    await api.request('POST', `/api/v1/namespaces/default/pods/${name}/eviction`, eviction);
  });
  await restartMuster(crashed);
  const gone = new Set(before.map(({ metadata }) => metadata?.uid));
  await waitFor(async () => (await podsOf(crashed, 'train')).every(({ metadata }) => !gone.has(metadata?.uid)), {
    what: 'all of the members to be gone',
  });
  await expectRunning(crashed, 'train', 4);
  await expectNoOvercommit(crashed);
});

/** Starts Muster behind a proxy that stops it at a write, and kills it when it has come there. */
async function crash(stop: StopRule, act: (world: World) => Promise<unknown>): Promise<World> {
  const proxy = await startWriteProxy(cluster, stop);
  const muster = await startMuster({ cluster, config, kubeconfig: proxy.kubeconfig });
  world = worldOf(cluster, muster, config);
  try {
    await act(world);
    await waitFor(async () => proxy.hasStopped(), { what: `Muster to come to ${JSON.stringify(stop)}` });
  } finally {
    await muster.kill();
    await proxy.close();
  }
  return world;
}
