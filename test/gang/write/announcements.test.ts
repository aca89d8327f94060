/** What people are told about their gangs: on which objects, how often, and what they are spared. */
import { describe, expect, test } from 'vitest';
import {
  type GangOptions,
  gang,
  pod,
  SECOND,
  startWorld,
  type World,
  type WorldOptions,
} from '../../support/scenario.ts';

interface Told {
  /** `Pod a-0`. */
  readonly on: string;
  readonly type: string;
  readonly reason: string;
  readonly note: string;
}

interface Writing {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
  readonly regarding: { readonly kind: string; readonly name: string };
}

/** A world, and the Events that its API server has taken. */
async function listen(options: WorldOptions = {}): Promise<{ readonly world: World; readonly told: Told[] }> {
  const told: Told[] = [];
  const createEvent = async (_namespace: string, event: object) => {
    const { type, reason, note, regarding } = event as Writing;
    told.push({ on: `${regarding.kind} ${regarding.name}`, type, reason, note });
    return { kind: 'ok' } as const;
  };
  return { world: await startWorld({ ...options, events: { createEvent } }), told };
}

function createJob(world: World, name: string, parallelism: number): void {
  world.cluster.create('Job', {
    metadata: { name, namespace: 'default', uid: `job-${name}` },
    spec: {
      ...{ parallelism, completions: parallelism, backoffLimit: parallelism },
      template: { metadata: { labels: { 'muster.dev/pod-group': name } } },
    },
    status: {},
  });
}

function ownedBy(job: string, name: string, size: number, options: GangOptions = {}) {
  return gang(name, size, options).map((raw) => {
    const owner = { kind: 'Job', name: job, uid: `job-${job}`, controller: true };
    return { ...raw, metadata: { ...raw.metadata, ownerReferences: [owner] } };
  });
}

/** Nodes that are taken: a gang could start on them some day. */
function addFull(world: World, count: number): void {
  for (let i = 0; i < count; i++) {
    world.addNode(`full-${i}`);
    world.create(pod(`other-${i}`, { gpus: 8, nodeName: `full-${i}` }));
  }
}

const on = (told: readonly Told[], reason: string) =>
  told.filter((event) => event.reason === reason).map((event) => event.on);
const warnings = (told: readonly Told[]) => told.filter(({ type }) => type === 'Warning');

describe('a gang that waits', () => {
  test('is explained on its Job and on each member, once', async () => {
    const { world, told } = await listen({ nodes: 3 });
    addFull(world, 1);
    createJob(world, 'a', 4);
    world.create(ownedBy('a', 'a', 4));
    await world.pass(120 * SECOND);
    expect(on(told, 'GangWaiting').toSorted()).toEqual(['Job a', 'Pod a-0', 'Pod a-1', 'Pod a-2', 'Pod a-3']);
    expect(new Set(told.map(({ note }) => note)).size).toBe(1);
    expect(told[0]).toMatchObject({
      type: 'Warning',
      note: expect.stringContaining('gang default/a: room for 3 of 4'),
    });
  });

  test('is explained on all its Jobs', async () => {
    const { world, told } = await listen({ nodes: 1 });
    addFull(world, 2);
    createJob(world, 'driver', 1);
    createJob(world, 'workers', 2);
    world.create(ownedBy('driver', 'a', 1, { min: 3 }), ownedBy('workers', 'a', 3, { from: 1 }));
    await world.pass(10 * SECOND);
    expect(on(told, 'GangWaiting').filter((object) => object.startsWith('Job'))).toEqual(['Job driver', 'Job workers']);
  });

  test('is not explained again while only numbers change', async () => {
    const { world, told } = await listen({ nodes: 1 });
    addFull(world, 7);
    world.create(gang('a', 8));
    for (let i = 1; i < 7; i++) {
      await world.pass(8 * SECOND);
      world.addNode(`n${i}`);
    }
    await world.pass(8 * SECOND);
    expect(world.reasonOf('a'), 'the live count is elsewhere').toContain('room for 7 of 8');
    expect(on(warnings(told), 'GangWaiting').filter((object) => object === 'Pod a-0')).toHaveLength(1);
  });

  test('is explained again when the cause is another', async () => {
    const { world, told } = await listen({ nodes: 1 });
    addFull(world, 1);
    world.create(gang('a', 1), gang('b', 2));
    await world.pass(5 * SECOND);
    for (const name of ['b-0', 'b-1']) {
      world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
        metadata.annotations = { ...metadata.annotations, 'muster.dev/hold': 'true' };
      });
    }
    await world.pass(5 * SECOND);
    const notes = warnings(told)
      .filter((event) => event.on === 'Pod b-0')
      .map(({ note }) => note);
    expect(notes).toEqual([expect.stringContaining('room for'), expect.stringContaining('held by')]);
  });

  test('is explained on members that come later', async () => {
    const { world, told } = await listen({ nodes: 4 });
    world.create(gang('a', 4).slice(0, 2));
    await world.pass(10 * SECOND);
    expect(on(told, 'GangWaiting')).toEqual(['Pod a-0', 'Pod a-1']);
    world.create(gang('a', 3, { from: 2, min: 4 }));
    await world.pass(10 * SECOND);
    expect(on(told, 'GangWaiting').slice(2)).toEqual(['Pod a-2']);
  });

  test('has only its first 256 members told', async () => {
    const { world, told } = await listen({ nodes: 1 });
    addFull(world, 299);
    world.create(gang('a', 300));
    await world.pass(60 * SECOND);
    expect(new Set(on(told, 'GangWaiting')).size).toBe(256);
  });

  test('as one of thousands is told in the end, as each of them is', async () => {
    const { world, told } = await listen({ nodes: 1 });
    addFull(world, 1);
    for (let i = 0; i < 2_000; i++) world.create(gang(`g${i}`, 2));
    await world.pass(120 * SECOND);
    expect(new Set(on(told, 'GangWaiting')).size, 'every member').toBe(4_000);
  }, 60_000);

  test.each(['deleted', 'suspended'])('because its Job is %s gets no Warning', async (how) => {
    const { world, told } = await listen({ nodes: 4 });
    createJob(world, 'a', 4);
    world.create(ownedBy('a', 'a', 4));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('a')).toBe('Running');
    world.cluster.update('Job', 'default/a', ({ metadata, spec }) => {
      if (how === 'suspended') spec.suspend = true;
      else metadata.deletionTimestamp = new Date(world.clock.now()).toISOString();
    });
    for (let i = 3; i > 0; i--) {
      world.delete(`a-${i}`);
      await world.pass(10 * SECOND);
    }
    expect(warnings(told)).toEqual([]);
  });
});

describe('a gang that starts', () => {
  const fabric = async () => {
    const listening = await listen({
      levels: [
        { name: 'spine', label: 'spine' },
        { name: 'leaf', label: 'leaf' },
      ],
    });
    for (let i = 0; i < 4; i++) {
      listening.world.addNode(`n${i}`, { labels: { spine: 'spine-0', leaf: `leaf-${Math.floor(i / 2)}` } });
    }
    await listening.world.settle();
    return listening;
  };

  test('says where on its Job, and on its first member', async () => {
    const { world, told } = await fabric();
    createJob(world, 'a', 2);
    world.create(ownedBy('a', 'a', 2, { annotations: { 'muster.dev/topology-required': 'leaf' } }));
    await world.settle();
    await world.schedule();
    const started = told.filter(({ reason }) => reason === 'GangRunning');
    expect(started.map((event) => `${event.on}: ${event.note}`)).toEqual([
      'Job a: gang default/a: Running 2/2 in spine-0/leaf-0',
      'Pod a-0: gang default/a: Running 2/2 in spine-0/leaf-0; this member is rank 0 on node n0',
    ]);
    expect(warnings(told)).toEqual([]);
  });

  test('in several domains names them', async () => {
    const { world, told } = await fabric();
    world.create(gang('a', 4));
    await world.settle();
    await world.schedule();
    expect(told.find(({ reason }) => reason === 'GangRunning')?.note).toContain(
      'Running 4/4 in spine-0: leaf-0, leaf-1',
    );
  });

  test('without all of its members tells those that wait, and not the others', async () => {
    const { world, told } = await fabric();
    world.create(gang('a', 6, { min: 4 }));
    await world.settle();
    await world.schedule();
    await world.pass(30 * SECOND);
    expect(world.stateOf('a')).toBe('Running');
    expect(on(told, 'GangRunning')).toEqual(['Pod a-0']);
    expect(told.find(({ reason }) => reason === 'GangRunning')?.note).toContain('Running 4/6 in spine-0');
    expect(on(told, 'MembersWaiting')).toEqual(['Pod a-4', 'Pod a-5']);
  });

  test('is not announced again by a Muster that starts later', async () => {
    const { world, told } = await fabric();
    world.create(gang('a', 4));
    await world.settle();
    await world.schedule();
    const before = told.length;
    await world.restart();
    await world.pass(60 * SECOND);
    expect(told).toHaveLength(before);
  });
});

describe('a victim', () => {
  test('is told once that it is preempted, on each pod and its Job, and not as a gang that runs', async () => {
    const { world, told } = await listen({ nodes: 2, settings: {} });
    createJob(world, 'low', 2);
    world.create(ownedBy('low', 'low', 2, { spec: { terminationGracePeriodSeconds: 30 } }));
    await world.settle();
    await world.schedule();
    const before = told.length;
    world.create(gang('high', 2, { priority: 100 }), pod('bystander', { gpus: 1 }));
    await world.pass(60 * SECOND);
    const after = told.slice(before).filter((event) => event.on.includes('low'));
    expect(after.map((event) => `${event.on} ${event.reason}`)).toEqual([
      'Pod low-0 Preempted',
      'Job low Preempted',
      'Pod low-1 Preempted',
    ]);
  });
});

test('a claim that was just created is told only when it stays unbound', async () => {
  const { world, told } = await listen({ nodes: 2 });
  const claim = { name: 'data', namespace: 'default', uid: 'claim' };
  world.cluster.create('StorageClass', { metadata: { name: 'fast' }, spec: {}, status: {} });
  world.cluster.create('PersistentVolumeClaim', { metadata: claim, spec: { storageClassName: 'fast' }, status: {} });
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }];
  world.create(gang('a', 2, { spec: { volumes } }));
  await world.pass(14 * SECOND);
  expect(world.stateOf('a')).toBe('Gathering');
  expect(told).toEqual([]);
  await world.pass(2 * SECOND);
  expect(warnings(told)[0]?.note).toContain('PersistentVolumeClaim data is not bound');
});

describe('members that join a gang that runs', () => {
  test('are told where they run, and so is the Job', async () => {
    const { world, told } = await listen({ nodes: 4 });
    createJob(world, 'a', 2);
    world.create(ownedBy('a', 'a', 2));
    await world.settle();
    await world.schedule();
    told.length = 0;
    world.cluster.update('Job', 'default/a', ({ spec }) => {
      spec.parallelism = 4;
      spec.completions = 4;
    });
    world.create(ownedBy('a', 'a', 4, { from: 2, min: 4 }));
    await world.settle();
    await world.schedule();
    await world.pass(5 * SECOND);
    const running = told.filter(({ reason }) => reason === 'GangRunning');
    expect(new Set(running.map((event) => event.on))).toEqual(new Set(['Job a', 'Pod a-2']));
    expect(running.filter((event) => event.on === 'Job a').at(-1)!.note).toContain('Running 4/4');
  });

  test('pods of a later run are told what they wait for as they come, and the run is in muster queue', async () => {
    const { world, told } = await listen({ nodes: 4 });
    const cron = { kind: 'CronJob', name: 'n', uid: 'cron', controller: true };
    for (const name of ['n-1', 'n-2']) {
      world.cluster.create('Job', {
        metadata: { name, namespace: 'default', uid: `job-${name}`, ...{ ownerReferences: [cron] } },
        spec: { parallelism: 2, completions: 2, template: { metadata: { labels: { 'muster.dev/pod-group': 'n' } } } },
        status: {},
      });
    }
    const run = (job: string, from: number, to: number) =>
      ownedBy(job, 'n', to, { from, min: 2 }).map((raw) => {
        raw.metadata.name = `${job}-${raw.metadata.name}`;
        return raw;
      });
    world.create(run('n-1', 0, 2));
    await world.settle();
    await world.schedule();
    world.create(run('n-2', 0, 1));
    await world.pass(5 * SECOND);
    world.create(run('n-2', 1, 2));
    await world.pass(5 * SECOND);
    const waiting = told.filter(({ note }) => note.includes('Job n-2 of the same gang waits until Job n-1 has ended'));
    expect(new Set(waiting.map((event) => event.on))).toEqual(
      new Set(['Pod n-2-n-0', 'Pod n-2-n-1', 'Job n-2', 'Pod n-1-n-0', 'Job n-1']),
    );
    const report = (await (await world.muster.app.request('/v1/queues')).json()) as { waiting: { name: string }[] };
    expect(report.waiting.map(({ name }) => name)).toEqual(['n']);
  });
});
