/** Several Musters and one Lease, on an API server on loopback: who leads, and what of a former leader is still written. */
import { describe, expect, test } from 'vitest';
import { Elector } from '../../../src/cluster/lease/elector.ts';
import { ApiClient } from '../../../src/kube/client.ts';
import { openEndpoint } from '../../../src/kube/kubeconfig.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { recordLogs } from '../../http/support.ts';
import { type SimWorld, useSimWorlds } from '../../sim/sim-world.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { until } from '../../support/until.ts';

const newWorld = useSimWorlds();
const timing = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };

/** One process with a clock of its own. */
interface Muster {
  readonly elector: Elector;
  /** Writes through the fence. */
  readonly api: ApiClient;
  readonly hand: HandClock;
  readonly metrics: Metrics;
  readonly log: readonly { readonly msg: string }[];
  /** What `onLapse` was called for. */
  readonly lapses: string[];
  /** The clock on the wall goes ahead of the other one by this. */
  wallAheadMs: number;
  /** No request of the elector arrives. */
  isCut: boolean;
  /** It does not run: no timer fires. */
  isFrozen: boolean;
  /** Its watch shows nothing. */
  isDeaf: boolean;
  /** Requests for the Lease that are not answered yet. */
  asking: number;
}

class Cluster {
  readonly world: SimWorld;
  readonly musters: Muster[] = [];
  #url = '';

  constructor(world: SimWorld) {
    this.world = world;
  }

  static async start(namespaces: readonly string[] = ['muster-system']): Promise<Cluster> {
    const world = newWorld();
    for (const name of namespaces) world.store.create('namespaces', { metadata: { name } });
    const cluster = new Cluster(world);
    cluster.#url = (await world.serve()).url;
    return cluster;
  }

  /** Starts a process that wants to lead. */
  muster(identity: string, { isDeaf = false } = {}): Muster {
    const hand = new HandClock();
    const clock = hand.forProcess();
    const metrics = new Metrics();
    const { logger, lines } = recordLogs();
    const own = new ApiClient(openEndpoint(this.#url));
    const cut = () => Promise.reject(new Error('cut off'));
    const elector: Elector = new Elector({
      api: {
        request: async (...args) => {
          if (muster.isCut) return cut();
          muster.asking++;
          return own.request(...args).finally(() => muster.asking--);
        },
        open: (...args) => (muster.isCut || muster.isDeaf ? cut() : own.open(...args)),
        close: () => own.close(),
      },
      lease: { namespace: 'muster-system', name: 'muster' },
      identity,
      timing,
      watchIdleMs: 90_000,
      clock,
      wall: () => clock.now() + muster.wallAheadMs,
      random: () => 0,
      log: logger,
      metrics,
    });
    const api = new ApiClient(openEndpoint(this.#url), { fence: elector });
    const lapses: string[] = [];
    const muster: Muster = {
      ...{ elector, api, hand, metrics, log: lines, lapses },
      ...{ wallAheadMs: 0, isCut: false, isFrozen: false, isDeaf, asking: 0 },
    };
    elector.onLapse(() => lapses.push(elector.findObstacle() ?? ''));
    this.world.onEnd(async () => {
      const stopped = elector.stop();
      this.#fire(muster);
      await Promise.all([stopped, api.close()]);
    });
    this.musters.push(muster);
    elector.start();
    elector.campaign();
    return muster;
  }

  /** Lets everybody run until it holds; no time passes. */
  async until(what: string, condition: () => boolean): Promise<void> {
    await until(what, () => {
      for (const muster of this.musters) if (!muster.isFrozen) this.#fire(muster);
      return condition();
    });
  }

  /** Time passes, in steps of half a second, for those who are not frozen. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 500) {
      const step = Math.min(500, left);
      for (const { hand } of this.musters) hand.jumpTo(hand.now() + step);
      for (const muster of this.musters) if (!muster.isFrozen) this.#fire(muster);
      // What was due is answered before more time passes.
      await this.until('the answers', () => this.musters.every(({ asking }) => asking === 0));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #fire({ hand }: Muster): void {
    for (let i = 0; i < 100 && hand.fireDue(); i++);
  }

  lease() {
    return this.world.store.get('leases', 'muster-system', 'muster');
  }

  holder(): unknown {
    return (this.lease()?.spec as { readonly holderIdentity?: string } | undefined)?.holderIdentity;
  }

  async leads(muster: Muster): Promise<void> {
    await this.until('it to lead', () => muster.elector.findObstacle() === undefined);
  }
}

/** Writes something to a pod. */
function write(cluster: Cluster, muster: Muster, value: string) {
  const { uid } = cluster.world.pod('p').metadata;
  return muster.api.annotate({ namespace: 'default', name: 'p', uid }, { by: value });
}

function writtenBy(cluster: Cluster): string | undefined {
  return cluster.world.pod('p').metadata.annotations?.by;
}

async function countOf(metrics: Metrics, series: string): Promise<number> {
  const line = (await metrics.render()).split('\n').find((text) => text.startsWith(`${series} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** One leads, the other one does not, and there is a pod `p` to write to. */
async function startTwo(options = {}) {
  const cluster = await Cluster.start();
  cluster.world.createPod('p');
  const first = cluster.muster('first', options);
  await cluster.leads(first);
  const second = cluster.muster('second');
  await cluster.until(
    'the other one to see it',
    () => second.elector.findObstacle()?.startsWith('first leads') ?? false,
  );
  return { cluster, first, second };
}

/** The other one has taken over from one that was stopped meanwhile, and whose clock has not moved. */
async function takeOver() {
  // A stopped process reads nothing from its watch, either.
  const { cluster, first, second } = await startTwo({ isDeaf: true });
  first.isFrozen = true;
  for (let i = 0; i < 16; i++) {
    second.hand.jumpTo(second.hand.now() + 1_000);
    await cluster.until('a moment', () => true);
  }
  await cluster.leads(second);
  expect(await write(cluster, second, 'second')).toMatchObject({ kind: 'ok' });
  return { cluster, first, second };
}

describe('the first Muster', () => {
  test('creates the Lease, leads, and writes', async () => {
    const cluster = await Cluster.start();
    cluster.world.createPod('p');
    const muster = cluster.muster('first');
    await cluster.leads(muster);
    expect(await muster.elector.elected).toEqual({ isSuccession: false });
    expect(cluster.lease()?.spec).toEqual({
      holderIdentity: 'first',
      leaseDurationSeconds: 15,
      leaseTransitions: 0,
      acquireTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z$/),
      renewTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z$/),
    });
    expect(await write(cluster, muster, 'first')).toMatchObject({ kind: 'ok' });
    expect(await countOf(muster.metrics, 'muster_leader')).toBe(1);
  });

  test('renews each period, and keeps what others wrote on the Lease', async () => {
    const cluster = await Cluster.start();
    const muster = cluster.muster('first');
    await cluster.leads(muster);
    cluster.world.store.update('leases', 'muster-system', 'muster', (lease) => ({
      ...lease,
      metadata: { ...lease.metadata, labels: { team: 'x' } },
    }));
    await cluster.pass(20_000);
    expect(muster.elector.findObstacle()).toBeUndefined();
    expect(await countOf(muster.metrics, 'muster_lease_requests_total{request="update",result="written"}')).toBe(10);
    expect(cluster.lease()?.metadata.labels).toEqual({ team: 'x' });
    expect(muster.lapses).toEqual([]);
  });

  test('says why it does not lead where it may not write the Lease', async () => {
    const cluster = await Cluster.start([]);
    const muster = cluster.muster('first');
    await cluster.until('the failure to be known', () => muster.elector.findObstacle()?.includes('failed') ?? false);
    expect(muster.elector.findObstacle()).toBe(
      'nobody leads yet, by the Lease muster-system/muster; the last request for it failed: namespaces "muster-system" not found',
    );
  });
});

describe('the second Muster', () => {
  test('says who leads, and writes nothing', async () => {
    const { cluster, second } = await startTwo();
    expect(second.elector.findObstacle()).toBe('first leads, by the Lease muster-system/muster');
    expect(await write(cluster, second, 'second')).toEqual({
      kind: 'failed',
      status: 0,
      message: 'not written: first leads, by the Lease muster-system/muster',
    });
    expect(writtenBy(cluster)).toBeUndefined();
    expect(await countOf(second.metrics, 'muster_fenced_writes_total{result="refused"}')).toBe(1);
  });

  test('leads when the first one has not renewed for the duration, and not before', async () => {
    const { cluster, first, second } = await startTwo();
    first.isFrozen = true;
    await cluster.pass(14_500);
    expect(cluster.holder()).toBe('first');
    await cluster.pass(500);
    await cluster.leads(second);
    expect(await second.elector.elected).toEqual({ isSuccession: true });
    expect(cluster.lease()?.spec).toMatchObject({ holderIdentity: 'second', leaseTransitions: 1 });
  });

  test('does not lead as long as the first one renews', async () => {
    const { cluster, second } = await startTwo();
    await cluster.pass(60_000);
    expect([cluster.holder(), second.elector.findObstacle()]).toEqual([
      'first',
      'first leads, by the Lease muster-system/muster',
    ]);
  });

  test('leads at once when the first one gives the Lease back, but not before that has written all', async () => {
    const { cluster, first, second } = await startTwo();
    const written = Promise.withResolvers<void>();
    const resigned = first.elector.resign(written.promise);
    expect(first.elector.findObstacle()).toMatch(/shutting down/);
    await cluster.until('a moment', () => true);
    expect(cluster.holder()).toBe('first');
    written.resolve();
    await resigned;
    await cluster.leads(second);
    expect(await write(cluster, first, 'first')).toMatchObject({ kind: 'failed' });
    expect(first.log.map(({ msg }) => msg)).toContain('Lease given back');
  });
});

describe('a leader that was stopped and goes on', () => {
  test('writes nothing when another one leads, though it has not looked yet', async () => {
    const { cluster, first } = await takeOver();
    first.isFrozen = false;
    first.hand.jumpTo(first.hand.now() + 16_000);
    const [outcome, lost] = await Promise.all([
      write(cluster, first, 'first'),
      first.elector.lost,
      cluster.until('it to have asked', () => first.elector.findObstacle() !== undefined),
    ]);
    expect(outcome).toMatchObject({ kind: 'failed', message: expect.stringContaining('second leads') });
    expect(lost).toBe('that second holds it');
    expect(writtenBy(cluster)).toBe('second');
    expect(first.lapses).toHaveLength(1);
  });

  test('writes nothing either when only the clock on the wall shows that it was stopped', async () => {
    const { cluster, first } = await takeOver();
    first.isFrozen = false;
    first.wallAheadMs = 16_000;
    expect(first.elector.findObstacle(), 'it thinks that it leads').toBeUndefined();
    expect(await write(cluster, first, 'first')).toMatchObject({ kind: 'failed' });
    expect(writtenBy(cluster)).toBe('second');
  });

  test('writes when its renewal is accepted: one renewal for all that waits', async () => {
    const { cluster, first } = await startTwo();
    first.hand.jumpTo(first.hand.now() + 5_000);
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => write(cluster, first, 'first')));
    expect(outcomes.every(({ kind }) => kind === 'ok')).toBe(true);
    expect(await countOf(first.metrics, 'muster_lease_requests_total{request="update",result="written"}')).toBe(1);
    expect(await countOf(first.metrics, 'muster_fenced_writes_total{result="confirmed"}')).toBe(10);
  });
});

describe('a leader that is cut off', () => {
  test('stops at the renew deadline, and goes on when it can renew again', async () => {
    const { cluster, first } = await startTwo();
    first.isCut = true;
    await cluster.pass(9_500);
    expect(first.elector.findObstacle()).toBeUndefined();
    expect(await write(cluster, first, 'first'), 'it still leads, and is not sure').toMatchObject({ kind: 'failed' });
    await cluster.pass(500);
    expect(first.elector.findObstacle()).toBe(
      'this Muster could not renew the Lease muster-system/muster for 10 s; the last request for it failed: cut off',
    );
    expect(first.lapses).toHaveLength(1);
    first.isCut = false;
    await cluster.pass(3_000);
    expect(first.elector.findObstacle()).toBeUndefined();
    expect(await write(cluster, first, 'first')).toMatchObject({ kind: 'ok' });
  });
});

test('a Lease that is deleted ends the term: whoever deletes it asks for another leader', async () => {
  const { cluster, first, second } = await startTwo();
  cluster.world.registry.delete('leases', 'muster-system', 'muster');
  await cluster.until('it to notice', () => first.elector.findObstacle() !== undefined);
  expect(await first.elector.lost).toMatch(/deleted/);
  // It waits from when it has seen that.
  await cluster.until('the other one to see it', () => second.elector.findObstacle()?.startsWith('nobody') ?? false);
  await cluster.pass(15_000);
  await cluster.leads(second);
});
