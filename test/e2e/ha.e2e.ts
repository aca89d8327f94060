/**
 * Two Musters behind a Service: the one that decides is killed, drained, or stopped for a while, with twenty gangs at the
 * barrier. The other one takes over, each gang starts whole, and no pod is bound twice.
 */
import type { V1Pod } from '@kubernetes/client-node';
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { finishGang, holdAtBarrier, ONE_ZONE } from './blocked.ts';
import { auditBindings, type BindingAudit } from './cluster/audit.ts';
import type { Cluster } from './cluster/control-plane.ts';
import { startEmbeddedCluster } from './cluster/embedded.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { freePorts } from './cluster/process.ts';
import { type Service, startService } from './cluster/service.ts';
import { waitFor } from './cluster/wait.ts';
import { type MusterProcess, startMuster } from './muster.ts';
import { expectNoOvercommit, musterConfig, podsOf, type StartCluster, type World, worldOf } from './world.ts';

const GANGS = 20;
const SIZE = 3;
const GPUS = 2;
/** As many as the gangs fill: what is given away twice is seen. */
const NODES = (GANGS * SIZE * GPUS) / 8;
const LEASE_S = 5;
/** The goal is 2 s, which a machine reaches that runs nothing else; the figure is printed. A drain is to take 1 s. */
const SLOW_MACHINE_S = 10;
const leaderElection = { enabled: true, leaseDuration: `${LEASE_S}s`, renewDeadline: '3s', retryPeriod: '500ms' };
/** As after a freeze: kube-scheduler gives up a call that is not answered, and the barrier does so before. */
const gang = { nominationTimeout: '5s', barrierTimeout: '8s' };
const scheduler = { extender: { httpTimeout: '10s' } };

const names = Array.from({ length: GANGS }, (_, i) => `ha-${i}`);

describe.each<{ readonly plane: string; readonly start: StartCluster }>([
  { plane: 'real', start: borrowControlPlane },
  { plane: 'embedded', start: startEmbeddedCluster },
])('two replicas ($plane)', ({ plane, start }) => {
  let cluster: Cluster;
  /** The embedded API server keeps none. */
  let audit: BindingAudit | undefined;
  let service: Service;
  let world: World;
  let leader: MusterProcess;
  let standby: MusterProcess;

  beforeAll(async () => {
    audit = plane === 'real' ? auditBindings() : undefined;
    cluster = await start({ scheduler, ...(audit && { apiServerArgs: audit.apiServerArgs }) });
  });

  beforeEach(async () => {
    await cluster.addNodes({ count: NODES, labels: ONE_ZONE });
    const [first, second] = (await freePorts(2)) as [number, number];
    service = await startService(cluster.musterPort, [first, second]);
    const config = { ...musterConfig(gang), leaderElection, server: { drainDelay: '2s' } };
    leader = await startMuster({ cluster, config, port: first });
    standby = await startMuster({ cluster, config, port: second, isStandby: true });
    world = worldOf(cluster, leader, config);
    await waitFor(async () => service.ready() === first, { what: 'the Service to know the leader' });
    for (const name of names) await holdAtBarrier(world, name, SIZE, { gpus: GPUS });
  }, 300_000);

  afterEach(async () => {
    await Promise.all([leader.kill(), standby.kill()]);
    await service.close();
    await cluster.api.deleteAll('leases', { namespace: 'muster-system' });
    await cluster.reset();
  });

  afterAll(async () => {
    await cluster?.stop();
    audit?.remove();
  });

  /** Acts, and says how long it took until the other one was ready, in seconds. */
  async function takeOver(act: () => Promise<unknown>): Promise<number> {
    const begun = performance.now();
    const acting = act();
    await waitFor(async () => service.ready() === standby.port, { what: 'the other one to be ready', intervalMs: 10 });
    const seconds = (performance.now() - begun) / 1000;
    console.info(`ha (${plane}): the other one is ready after ${seconds.toFixed(2)} s of a Lease of ${LEASE_S} s`);
    await acting;
    world.muster = standby;
    return seconds;
  }

  /** All gangs start whole, each pod is bound once, and no node is given away twice. */
  async function expectAllToStart(): Promise<void> {
    await Promise.all(names.map((name) => finishGang(world, name, SIZE)));
    await expectNoOvercommit(world);
    if (!audit) return;
    const bindings = audit.countByPod();
    const members = (await Promise.all(names.map((name) => podsOf(world, name)))).flat();
    for (const { metadata } of members) expect(bindings.get(metadata!.name!), metadata!.name).toBe(1);
    audit.forget();
  }

  test('the other one answers kube-scheduler with an error that says who leads, and closes the connection', async () => {
    const { statusCode, headers, body } = await request(`${standby.url}/scheduler/filter`, {
      method: 'POST',
      body: '{}',
    });
    expect([statusCode, headers.connection]).toEqual([200, 'close']);
    expect(await body.json()).toEqual({ Error: expect.stringMatching(/does not decide: .* leads, by the Lease/) });
    await expect(standby.gangs()).rejects.toThrow(/503/);
    await expectAllToStart();
  });

  test('it is killed: the other one decides soon after the Lease has ended, and no gang is lost', async () => {
    expect(await takeOver(() => leader.kill())).toBeLessThan(LEASE_S + SLOW_MACHINE_S);
    await expectAllToStart();
  });

  test('it is drained: the other one decides at once, and no gang is lost', async () => {
    // It was given the Lease, and did not wait for its end.
    expect(await takeOver(() => leader.stop())).toBeLessThan(LEASE_S);
    expect(leader.exitStatus()).toBe('exit code 0');
    await expectAllToStart();
  });

  test('it is stopped and goes on: it writes nothing, ends, and no gang is lost', async () => {
    expect(await takeOver(async () => leader.freeze())).toBeLessThan(LEASE_S + SLOW_MACHINE_S);
    await expectAllToStart();
    const before = await recordsOf(cluster);
    leader.thaw();
    await waitFor(async () => leader.exitStatus() !== undefined, { what: 'the former leader to end' });
    expect(leader.exitStatus()).toBe('exit code 1');
    expect(leader.tail(5)).toMatch(/expected to keep the Lease muster-system\/muster, found that .* holds it/);
    expect(await recordsOf(cluster)).toEqual(before);
    expect(service.ready()).toBe(standby.port);
  });
});

/** All that Muster writes on pods. */
async function recordsOf(cluster: Cluster): Promise<unknown> {
  const pods = await cluster.api.list('pods');
  return pods.map(({ metadata, spec, status }: V1Pod) => ({
    name: metadata?.name,
    annotations: metadata?.annotations,
    gates: spec?.schedulingGates,
    node: spec?.nodeName,
    nominated: status?.nominatedNodeName,
    leaves: metadata?.deletionTimestamp,
  }));
}
