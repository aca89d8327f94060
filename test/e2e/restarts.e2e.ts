/**
 * Muster is killed at a chosen write and started again. A proxy in front of the API server stops it there, so nothing in
 * Muster is made for these tests. However far it had come, each gang ends whole, and nothing is given away twice.
 */
import type { V1Pod } from '@kubernetes/client-node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { blocked, ONE_ZONE, unblock } from './blocked.ts';
import { auditBindings } from './cluster/audit.ts';
import type { Cluster } from './cluster/control-plane.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { waitFor } from './cluster/wait.ts';
import { type StopRule, startWriteProxy, type WriteKind } from './cluster/write-proxy.ts';
import { startMuster } from './muster.ts';
import { gangPod, gpuPod } from './objects.ts';
import {
  boundPodsOf,
  expectBound,
  expectNoOvercommit,
  expectReason,
  musterConfig,
  podsOf,
  restartMuster,
  type World,
  worldOf,
} from './world.ts';

const NODES = 14;
const SIZE = 12;
const audit = auditBindings();
let cluster: Cluster;
/** That of the test under way. */
let world: World | undefined;

beforeAll(async () => {
  // Without the admission policy each row chooses whether its members carry the gate.
  cluster = await borrowControlPlane({ admissionPolicy: false, apiServerArgs: audit.apiServerArgs });
  await cluster.addNodes({ count: NODES, labels: ONE_ZONE });
});

afterEach(async () => {
  await world?.muster.kill();
  await cluster.reset({ keepNodes: true });
});

afterAll(async () => {
  await cluster?.stop();
  audit.remove();
});

interface Row {
  readonly when: string;
  readonly stop: StopRule;
}

describe.each([{ gated: true }, { gated: false }])('Muster is killed, members gated: $gated', ({ gated }) => {
  const onlyGated: readonly Row[] = [
    { when: 'before the first gate is removed', stop: { kind: 'ungate', after: 0 } },
    { when: 'after 6 of 12 gates are removed', stop: { kind: 'ungate', after: 6 } },
    { when: 'after 1 of 12 bindings', stop: { kind: 'bind', after: 1 } },
    { when: 'after 6 nominations, one not answered', stop: { kind: 'nominate', after: 6, answerLost: true } },
  ];
  const onlyUngated: readonly Row[] = [
    { when: 'after 1 of 12 nominations', stop: { kind: 'nominate', after: 1 } },
    { when: 'after 11 of 12 nominations', stop: { kind: 'nominate', after: 11 } },
    { when: 'after 11 of 12 bindings', stop: { kind: 'bind', after: 11 } },
    { when: 'after 6 of 12 bindings, one not answered', stop: { kind: 'bind', after: 6, answerLost: true } },
  ];
  test.each<Row>([
    { when: 'before the first nomination', stop: { kind: 'nominate', after: 0 } },
    { when: 'after 6 of 12 nominations', stop: { kind: 'nominate', after: 6 } },
    { when: 'before the first binding', stop: { kind: 'bind', after: 0 } },
    { when: 'after 6 of 12 bindings', stop: { kind: 'bind', after: 6 } },
    ...(gated ? onlyGated : onlyUngated),
  ])('$when: the gang ends whole', async ({ stop }) => {
    const gang = newName();
    const crashed = await crash(stop, ({ cluster: { api } }) => api.createMany('pods', members(gang, SIZE, gated)));
    const left = await podsOf(crashed, gang);
    expect(left.filter(had(stop.kind)), 'the row is what it says').toHaveLength(stop.after);
    await restartMuster(crashed);
    await expectBound(crashed, gang, SIZE);
    await expectSound(crashed, left);
  });
});

describe('Muster is killed', () => {
  test('while the members wait at the barrier: the gang ends whole', async () => {
    const gang = newName();
    const crashed = await crash(undefined, async (first) => {
      await cluster.api.createMany('pods', [...members(gang, SIZE).slice(1), blockedMember(gang)]);
      await expectReason(first, gang, 'Nominated', /11 of them at the bind barrier/);
    });
    const left = await podsOf(crashed, gang);
    expect(left.filter(had('bind'))).toHaveLength(0);
    await restartMuster(crashed);
    await unblock(crashed, gang);
    await expectBound(crashed, gang, SIZE);
    await expectSound(crashed, left);
  });

  test('while a gang that lost a member is released: nothing of it starts, and it ends whole when the member is back', async () => {
    const gang = newName();
    const crashed = await crash({ kind: 'clear', after: 5 }, async (first) => {
      await cluster.api.createMany('pods', [...members(gang, SIZE).slice(1), blockedMember(gang)]);
      await expectReason(first, gang, 'Nominated', /11 of them at the bind barrier/);
      await cluster.api.delete('pods', `${gang}-7`, { graceSeconds: 0 });
    });
    const left = await podsOf(crashed, gang);
    expect(left.filter(had('nominate')), '5 of 11 nominations are erased').toHaveLength(6);
    await unblock(crashed, gang);
    await restartMuster(crashed);
    await expectReason(crashed, gang, 'Gathering', /11 of 12 members exist/);
    expect(await boundPodsOf(crashed, gang)).toHaveLength(0);
    // What the gang held is free again.
    await expectRoomFor(crashed, NODES);
    await cluster.api.create('pods', members(gang, SIZE)[7]!);
    await expectBound(crashed, gang, SIZE);
    await expectSound(crashed, await podsOf(crashed, gang));
  });
});

describe('two gangs, Muster is killed', () => {
  test.each<Row>([
    { when: 'after 8 of 12 nominations', stop: { kind: 'nominate', after: 8 } },
    { when: 'after 8 of 12 bindings', stop: { kind: 'bind', after: 8 } },
  ])('$when, there is room for both: both end whole', async ({ stop }) => {
    const gangs = [newName(), newName()];
    const half = SIZE / 2;
    const crashed = await crash(stop, () =>
      cluster.api.createMany(
        'pods',
        gangs.flatMap((gang) => members(gang, half)),
      ),
    );
    const left = await cluster.api.list('pods');
    expect(left.filter(had(stop.kind)), 'the row is what it says').toHaveLength(stop.after);
    await restartMuster(crashed);
    for (const gang of gangs) await expectBound(crashed, gang, half);
    await expectSound(crashed, left);
  });

  test.each<Row>([
    { when: 'after 6 of 12 nominations', stop: { kind: 'nominate', after: 6 } },
    { when: 'after 6 of 12 bindings', stop: { kind: 'bind', after: 6 } },
  ])('$when, there is room for one: one ends whole, the other takes nothing, and follows', async ({ stop }) => {
    const gangs = [newName(), newName()];
    const crashed = await crash(stop, () =>
      cluster.api.createMany(
        'pods',
        gangs.flatMap((gang) => members(gang, SIZE)),
      ),
    );
    const left = await cluster.api.list('pods');
    expect(left.filter(had(stop.kind)), 'the row is what it says').toHaveLength(stop.after);
    await restartMuster(crashed);
    const winner = await Promise.any(gangs.map(async (gang) => (await expectBound(crashed, gang, SIZE)) && gang));
    const loser = gangs.find((gang) => gang !== winner) as string;
    await expectReason(crashed, loser, 'Pending', /room for 2 of 12/);
    expect(await boundPodsOf(crashed, loser)).toHaveLength(0);
    await expectNoOvercommit(crashed);
    await cluster.api.deleteAll('pods', { labelSelector: `muster.dev/pod-group=${winner}`, graceSeconds: 0 });
    await expectBound(crashed, loser, SIZE);
    await expectSound(
      crashed,
      left.filter((pod) => pod.metadata?.labels?.['muster.dev/pod-group'] === loser),
    );
  });
});

/** Starts Muster, behind a proxy if it is to be stopped at a write, and kills it when it has come there. */
async function crash(stop: StopRule | undefined, act: (world: World) => Promise<unknown>): Promise<World> {
  const proxy = stop && (await startWriteProxy(cluster, stop));
  const config = musterConfig();
  const muster = await startMuster({ cluster, config, ...(proxy && { kubeconfig: proxy.kubeconfig }) });
  world = worldOf(cluster, muster, config);
  try {
    await act(world);
    if (proxy) await waitFor(async () => proxy.hasStopped(), { what: `Muster to come to ${JSON.stringify(stop)}` });
  } finally {
    await muster.kill();
    await proxy?.close();
  }
  return world;
}

let names = 0;

/** The audit log counts by name, so none comes twice. */
function newName(): string {
  return `gang-${++names}`;
}

function members(gang: string, size: number, gated = false): readonly V1Pod[] {
  return Array.from({ length: size }, (_, rank) => gangPod({ gang, rank, minMembers: size, gated }));
}

function blockedMember(gang: string): V1Pod {
  return gangPod({ gang, rank: 0, minMembers: SIZE, spec: blocked(gang) });
}

/** Whether a write of this kind has reached the pod, or, for one that erases, has not. */
function had(kind: WriteKind): (pod: V1Pod) => boolean {
  switch (kind) {
    case 'bind':
      return ({ spec }) => Boolean(spec?.nodeName);
    case 'ungate':
      return ({ spec }) => !spec?.schedulingGates?.length;
    // Not the nomination: kube-scheduler erases that one when Muster does not answer.
    case 'nominate':
    case 'clear':
    case 'fence':
      return ({ metadata }) => metadata?.annotations?.['muster.dev/plan'] !== undefined;
    case 'announce':
      return ({ metadata }) => metadata?.annotations?.['muster.dev/preempted-by'] !== undefined;
    case 'evict':
      return ({ metadata }) => metadata?.deletionTimestamp !== undefined;
    default:
      return kind satisfies never;
  }
}

/**
 * Nothing is given away twice and nothing is held for nobody.
 * @param left the members as the killed Muster left them: each of them is bound once, and where it was bound already.
 */
async function expectSound(now: World, left: readonly V1Pod[]): Promise<void> {
  await expectNoOvercommit(now);
  const bindings = audit.countByPod();
  for (const { metadata, spec } of left) {
    const name = metadata?.name as string;
    const pod = await cluster.api.get('pods', name);
    expect(pod.metadata?.uid, `${name} is the same pod`).toBe(metadata?.uid);
    if (spec?.nodeName) expect(pod.spec?.nodeName, `${name} is where it was`).toBe(spec.nodeName);
    expect(bindings.get(name), `bindings of ${name}`).toBe(1);
  }
  await expectRoomFor(now, NODES - left.length);
}

/** Lone pods can use that many whole nodes: no slot was leaked. */
async function expectRoomFor(now: World, count: number): Promise<void> {
  const lone = Array.from({ length: count }, (_, i) => gpuPod({ name: `lone-${i}`, labels: { lone: 'true' } }));
  await cluster.api.createMany('pods', lone);
  const labelSelector = 'lone=true';
  await waitFor(
    async () => {
      const bound = (await cluster.api.list('pods', { labelSelector })).filter((pod) => pod.spec?.nodeName);
      if (bound.length === count) return true;
      throw new Error(`${bound.length} bound`);
    },
    { what: `${count} lone pods to be bound` },
  );
  await expectNoOvercommit(now);
  await cluster.api.deleteAll('pods', { labelSelector, graceSeconds: 0 });
}
