/**
 * `GET /v1/queues` and the metrics of the queues: shares, the line, estimated starts and ends, and misconfigured
 * queues.
 */
import { describe, expect, test } from 'vitest';
import { defaultConfiguration } from '../../../src/config/configuration.ts';
import type { QueueReport } from '../../../src/http/inspect/queue-report.ts';
import { GPU } from '../../support/builders.ts';
import { aQueue, type QueueOptions } from '../../support/queues.ts';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const HOUR = 3_600 * SECOND;
const MODEL = 'NVIDIA-H100-80GB-HBM3';

function start(nodes: number, ...items: readonly QueueOptions[]): Promise<World> {
  const queues = { ...defaultConfiguration().queues, items: items.map(aQueue) };
  return startWorld({ nodes, settings: { queues } });
}

/** An organisation with two teams, weighted 70 to 30. */
function startTeams(nodes: number, more: Partial<QueueOptions> = {}): Promise<World> {
  return start(
    nodes,
    { name: 'org', guaranteed: 16, limit: 64 },
    { name: 'vision', parent: 'org', weight: 70, ...more },
    { name: 'speech', parent: 'org', weight: 30 },
  );
}

function inQueue(name: string, annotations: Readonly<Record<string, string>> = {}) {
  return { labels: { 'muster.dev/queue': name }, annotations };
}

async function get(world: World, path = '/v1/queues'): Promise<QueueReport> {
  const response = await world.muster.app.request(path);
  expect(response.status).toBe(200);
  return (await response.json()) as QueueReport;
}

/** The gauges of the queues, one series per line, without the prefix of their names. */
async function readGauges(world: World): Promise<readonly string[]> {
  world.muster.queueInspector.measure(world.metrics);
  const lines = (await world.metrics.render()).matchAll(/^muster_((?:queue|planned)_.*)$/gm);
  return [...lines].map(([, line]) => line!);
}

describe('GET /v1/queues', () => {
  test('has the tree with what each queue may hold, holds, and is entitled to', async () => {
    const world = await startTeams(4);
    world.running('train', ['n0', 'n1', 'n2'], inQueue('vision'));
    await world.pass(10 * SECOND);
    const { queues, weights, backfill } = await get(world);
    expect(queues.map(({ name, parent, depth, leaf }) => [name, parent, depth, leaf])).toEqual([
      ['default', null, 0, true],
      ['org', null, 0, false],
      ['speech', 'org', 1, true],
      ['vision', 'org', 1, true],
    ]);
    const [, org, speech, vision] = queues;
    expect(org?.amounts.find(({ resource }) => resource === GPU)).toMatchObject({
      model: null,
      accelerator: true,
      guaranteed: 16,
      limit: 64,
      use: 24,
      borrowed: 8,
    });
    expect(
      org?.amounts.find(({ resource }) => resource === 'cpu'),
      'in CPUs',
    ).toMatchObject({ use: 3, limit: null });
    expect(queues.map(({ entitled }) => entitled)).toEqual([0.5, 0.5, 0.15, 0.35]);
    expect([speech?.share, speech?.running, speech?.pending]).toEqual([0, 0, 0]);
    expect([vision?.dominant, vision?.running, org?.running]).toEqual([GPU, 1, 1]);
    expect(vision?.share).toBeGreaterThan(0);
    expect(speech?.factor).toBeGreaterThan(vision!.factor);
    expect([weights, backfill]).toEqual([defaultConfiguration().queues.weights, 'easy']);
  });

  test('separates use and quota of one GPU model from those of any model', async () => {
    const quotas = [{ resource: GPU, model: MODEL, guaranteed: 8, limit: 16 }];
    const world = await start(0, { name: 'h100', quotas });
    world.addNode('a', { labels: { 'nvidia.com/gpu.product': MODEL } });
    world.addNode('b', { labels: { 'nvidia.com/gpu.product': 'NVIDIA-L4' } });
    world.running('train', ['a', 'b'], inQueue('h100'));
    await world.pass(10 * SECOND);
    const { queues } = await get(world, '/v1/queues/h100');
    const ofGpus = queues[0]!.amounts.filter(({ resource }) => resource === GPU);
    expect(ofGpus.map(({ model, guaranteed, limit, use }) => [model, guaranteed, limit, use])).toEqual([
      [null, 8, null, 16],
      [MODEL, 8, 16, 8],
      ['NVIDIA-L4', 0, null, 8],
    ]);
  });

  test('gives each gang in line its position, reason, demand and expected start', async () => {
    const world = await startTeams(4);
    world.running('train', ['n0', 'n1'], inQueue('vision', { 'muster.dev/expected-duration': '1h' }));
    await world.pass(10 * SECOND);
    world.create(gang('big', 3, inQueue('speech', { 'muster.dev/expected-duration': '30m' })));
    await world.pass(5 * SECOND);
    world.create(gang('next', 3, inQueue('vision')));
    await world.pass(5 * SECOND);
    const { waiting } = await get(world);
    expect(waiting).toMatchObject([
      {
        namespace: 'default',
        name: 'big',
        queue: 'speech',
        state: 'Pending',
        position: 1,
        within: false,
        members: { have: 3, want: 3 },
        accelerators: 24,
        since: '2026-01-01T00:00:00.000Z',
        because: { kind: 'unschedulable' },
        start: { at: '2026-01-01T01:00:00.000Z', basis: 'planned start', estimated: true },
        planned: { waitsFor: ['default/train'] },
        runLength: { seconds: 1800, basis: 'expected-duration' },
      },
      {
        name: 'next',
        position: 2,
        start: { at: '2026-01-01T01:30:00.000Z', basis: 'count', estimated: true },
        planned: null,
        runLength: null,
      },
    ]);
    const [big] = waiting;
    expect(big!.reason).toContain('room for 2 of 3 members');
    expect(big!.planned!.nodes).toHaveLength(3);
    expect(big!.amounts.find(({ resource }) => resource === GPU)).toEqual({ resource: GPU, model: null, amount: 24 });
    const { priority, fairShare, age, size } = big!.factors!;
    const weights = defaultConfiguration().queues.weights;
    expect(big!.score).toBeCloseTo(
      weights.priority * priority + weights.fairShare * fairShare + weights.age * age + weights.size * size,
    );
  });

  test('has no expected start for a gang that waits for one of unknown length', async () => {
    const world = await startTeams(2);
    world.running('train', ['n0'], inQueue('vision'));
    world.create(gang('big', 2, inQueue('speech')));
    await world.pass(5 * SECOND);
    const { waiting, running } = await get(world);
    expect(waiting).toMatchObject([{ name: 'big', position: 1, start: null }]);
    expect(running).toMatchObject([{ name: 'train', queue: 'vision', runLength: null, end: null }]);
  });

  test.each([
    ['annotations', { 'muster.dev/expected-duration': '99999999999h' }, 0],
    ['Jobs', undefined, 99_999_999_999_999],
  ])('%s that point beyond all calendars are ignored', async (_, annotations, activeDeadlineSeconds) => {
    const world = await startTeams(2);
    if (activeDeadlineSeconds > 0) {
      const template = { metadata: { labels: { 'muster.dev/pod-group': 'train' } } };
      world.cluster.create('Job', {
        metadata: { name: 'train', namespace: 'default', uid: 'job-1' },
        spec: { parallelism: 1, activeDeadlineSeconds, template },
        status: { startTime: '2026-01-01T00:00:00Z' },
      });
    }
    world.running('train', ['n0'], inQueue('vision', annotations));
    world.create(gang('big', 2, inQueue('speech')), gang('later', 1, inQueue('speech')));
    await world.pass(5 * SECOND);
    const { waiting, running } = await get(world);
    expect(waiting.map(({ start }) => start)).toEqual([null, null]);
    expect(running).toMatchObject([{ name: 'train', end: null }]);
    expect((await world.inspect('train')).deadline).toBe(null);
    expect((await world.muster.app.request('/v1/gangs')).status).toBe(200);
  });

  test('lists gangs that are not in line last, with their reason', async () => {
    const world = await startTeams(1);
    world.running('train', ['n0'], inQueue('vision'));
    world.create(gang('held', 1, inQueue('vision', { 'muster.dev/hold': 'true' })));
    world.create(
      gang('astray', 1, inQueue('visoin')),
      gang('half', 1, { min: 2 }),
      gang('waits', 1, inQueue('vision')),
    );
    await world.pass(5 * SECOND);
    const { waiting } = await get(world);
    expect(waiting.map(({ name, queue, position, because }) => [name, queue, position, because?.kind])).toEqual([
      ['waits', 'vision', 1, 'unschedulable'],
      ['astray', 'visoin', null, 'queue'],
      ['half', 'default', null, 'gathering'],
      ['held', 'vision', null, 'held'],
    ]);
    expect(waiting.slice(1).every(({ score, factors, start }) => (score ?? factors ?? start) === null)).toBe(true);
  });

  test('takes a gang out of the line once it has its places, and moves the others up', async () => {
    const world = await startTeams(2);
    world.running('train', ['n0'], inQueue('vision', { 'muster.dev/expected-duration': '1h' }));
    world.create(gang('fits', 1, inQueue('speech')), gang('big', 2, inQueue('vision')));
    await world.settle();
    expect(world.stateOf('fits')).toBe('Nominated');
    const { waiting } = await get(world);
    expect(waiting.map(({ name, state, position, start }) => [name, state, position, start])).toEqual([
      ['big', 'Pending', 1, null],
      ['fits', 'Nominated', null, null],
    ]);
  });

  test('says how long running gangs have run, until when they run, and how that is known', async () => {
    const world = await startTeams(3, { maxRunTimeMs: 2 * HOUR });
    world.running('train', ['n0', 'n1'], inQueue('vision'));
    world.running('short', ['n2'], inQueue('vision', { 'muster.dev/expected-duration': '10m' }));
    await world.pass(60 * SECOND);
    const { running } = await get(world);
    expect(running).toMatchObject([
      {
        name: 'short',
        runLength: { seconds: 600, basis: 'expected-duration' },
        end: { at: '2026-01-01T00:10:00.000Z', basis: 'expected-duration', estimated: true },
      },
      {
        name: 'train',
        members: { bound: 2, want: 2 },
        accelerators: 16,
        since: '2026-01-01T00:00:00.000Z',
        end: { at: '2026-01-01T02:00:00.000Z', basis: 'max-run-time', estimated: true },
      },
    ]);
  });

  test("shows the queue's priority where there is no priority class", async () => {
    const world = await startTeams(1, { defaultPriority: 7 });
    world.running('train', ['n0'], inQueue('speech'));
    await world.pass(5 * SECOND);
    world.create(gang('plain', 1, inQueue('vision')));
    const spec = { priorityClassName: 'urgent' };
    world.create(gang('classy', 1, { ...inQueue('vision'), priority: 3, spec }));
    await world.pass(5 * SECOND);
    const { waiting } = await get(world);
    expect(waiting.map(({ name, priority }) => [name, priority])).toEqual([
      ['plain', 7],
      ['classy', 3],
    ]);
  });

  test('is reused for two seconds, however often it is requested', async () => {
    const world = await startTeams(1);
    const first = world.muster.queueInspector.report();
    world.create(gang('new', 2, inQueue('vision')));
    await world.settle();
    expect(world.muster.queueInspector.report()).toBe(first);
    await world.pass(2 * SECOND);
    expect((await get(world)).waiting.map(({ name }) => name)).toEqual(['new']);
  });

  test('is not served before the whole cluster is known', async () => {
    const { app, queueInspector } = (await startTeams(1)).startUnrecovered();
    for (const path of ['/v1/queues', '/v1/queues/vision']) {
      const response = await app.request(path);
      expect(response.status).toBe(503);
      expect(await response.json()).toEqual({ error: 'not ready yet: the cluster is being read; see /readyz?verbose' });
    }
    expect(queueInspector.warnings()).toEqual([]);
  });
});

describe('GET /v1/queues/NAME', () => {
  test('has the queue and those below it, with their gangs', async () => {
    const world = await startTeams(2);
    world.running('train', ['n0', 'n1'], inQueue('vision'));
    world.create(gang('a', 1, inQueue('vision')), gang('b', 1, inQueue('speech')), gang('c', 1));
    await world.pass(5 * SECOND);
    const names = async (name: string) => {
      const { queues, waiting, running } = await get(world, `/v1/queues/${name}`);
      return [queues, waiting, running].map((items) => items.map((item) => item.name).sort());
    };
    expect(await names('org')).toEqual([['org', 'speech', 'vision'], ['a', 'b'], ['train']]);
    expect(await names('speech')).toEqual([['speech'], ['b'], []]);
    expect(await names('default')).toEqual([['default'], ['c'], []]);
  });

  test('of an unknown queue is a 404 that lists the queues', async () => {
    const response = await (await startTeams(0)).muster.app.request('/v1/queues/visoin');
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: 'expected a queue, found none named visoin; there are default, org, speech, vision',
    });
  });
});

test('queues that cannot be used as specified are reported by the report and by readiness', async () => {
  const world = await start(0);
  world.cluster.create('Queue', { metadata: { name: 'lost' }, spec: { parent: 'nobody' }, status: {} });
  world.cluster.create('Queue', { metadata: { name: 'odd' }, spec: { maxRunTime: 'soon' }, status: {} });
  await world.pass(5 * SECOND);
  const texts = [
    'queue lost: expected its parent to be a queue, found none named nobody; create it or correct the parent',
    'queue odd: spec.maxRunTime: expected a duration above 0 such as 24h or 1h30m, found "soon"',
  ];
  expect((await get(world)).problems).toEqual([
    { queue: 'lost', text: texts[0] },
    { queue: 'odd', text: texts[1] },
  ]);
  expect(world.muster.queueInspector.warnings()).toEqual(texts);
  expect(await get(world, '/v1/queues/lost')).toMatchObject({ queues: [], problems: [{ queue: 'lost' }] });
});

test('a gang that runs and is set aside is among those that run, as its queue counts it', async () => {
  const queues = { ...defaultConfiguration().queues, items: [aQueue({ name: 'q' })] };
  const world = await startWorld({
    nodes: 2,
    settings: { queues },
    write: () => {},
    changePorts: (ports) => ({
      ...ports,
      observer: new Proxy(ports.observer, {
        get: (observer, name) => {
          if (name === 'onPlanned') throw new Error('a bug');
          const value = Reflect.get(observer, name) as unknown;
          return typeof value === 'function' ? (value.bind(observer) as unknown) : value;
        },
      }),
    }),
  });
  world.running('bad', ['n0'], { min: 1, ...inQueue('q') });
  world.create(gang('bad', 2, { min: 1, from: 1, ...inQueue('q') }));
  await world.settle();
  const report = await get(world);
  expect(report.running.map(({ name, state }) => [name, state])).toEqual([['bad', 'Invalid']]);
  expect(report.queues.find(({ name }) => name === 'q')?.running).toBe(1);
});

describe('metrics of the queues', () => {
  test('follow what they hold, which gangs wait and since when', async () => {
    const world = await startTeams(4);
    world.running('train', ['n0', 'n1'], inQueue('vision', { 'muster.dev/expected-duration': '1h' }));
    world.create(gang('big', 4, inQueue('speech')));
    await world.pass(60 * SECOND);
    const gauges = await readGauges(world);
    expect(gauges).toEqual(
      expect.arrayContaining([
        `queue_use{queue="vision",resource="${GPU}",model=""} 16`,
        `queue_use{queue="org",resource="${GPU}",model=""} 16`,
        'queue_use{queue="org",resource="cpu",model=""} 2',
        `queue_guaranteed{queue="org",resource="${GPU}",model=""} 16`,
        `queue_limit{queue="org",resource="${GPU}",model=""} 64`,
        'queue_share{queue="speech"} 0',
        'queue_entitled_share{queue="vision"} 0.35',
        'queue_gangs{queue="org",state="pending"} 1',
        'queue_gangs{queue="vision",state="running"} 1',
        'queue_gangs{queue="vision",state="pending"} 0',
        'queue_longest_wait_seconds{queue="org"} 60',
        'queue_longest_wait_seconds{queue="vision"} 0',
      ]),
    );
    expect(gauges.filter((line) => line.startsWith('queue_guaranteed{queue="vision"'))).toEqual([]);
  });

  test('give the expected start of the first gang in line of a queue, if it is known', async () => {
    const readStarts = async (annotations: Readonly<Record<string, string>>) => {
      const world = await start(2, { name: 'a' }, { name: 'b' });
      world.running('train', ['n0'], inQueue('a', annotations));
      world.create(gang('big', 2, inQueue('b')));
      await world.pass(600 * SECOND);
      return (await readGauges(world)).filter((line) => /expected_start|planned/.test(line));
    };
    expect(await readStarts({ 'muster.dev/expected-duration': '1h' })).toEqual([
      'queue_expected_start_seconds{queue="b"} 3000',
      'planned_starts{kind="known"} 1',
      'planned_starts{kind="unknown"} 0',
    ]);
    expect(await readStarts({})).toEqual(['planned_starts{kind="known"} 0', 'planned_starts{kind="unknown"} 1']);
  });

  test('of a deleted queue leave no series', async () => {
    const world = await start(1);
    const spec = { quotas: [{ resource: GPU, guaranteed: 1, limit: 2 }] };
    world.cluster.create('Queue', { metadata: { name: 'short-lived' }, spec, status: {} });
    await world.pass(5 * SECOND);
    const before = (await readGauges(world)).filter((line) => line.includes('queue="short-lived"'));
    expect(before.map((line) => line.split('{')[0])).toEqual([
      'queue_use',
      'queue_usage',
      'queue_guaranteed',
      'queue_limit',
      'queue_share',
      'queue_entitled_share',
      'queue_gangs',
      'queue_gangs',
      'queue_longest_wait_seconds',
    ]);
    world.cluster.delete('Queue', 'short-lived');
    await world.pass(5 * SECOND);
    expect((await readGauges(world)).join('\n')).not.toContain('queue="short-lived"');
  });

  test('count the wait of a gang once, for its queue, when it runs', async () => {
    const world = await start(1, { name: 'waits' });
    world.running('train', ['n0'], inQueue('waits'));
    await world.pass(10 * SECOND);
    const waited = async () => {
      const { values } = await world.metrics.gangWait.get();
      const ofQueue = values.filter(({ labels }) => labels.queue === 'waits');
      const read = (suffix: string) => ofQueue.find(({ metricName }) => metricName?.endsWith(suffix))?.value ?? 0;
      return [read('_count'), read('_sum')] as const;
    };
    const [count, sum] = await waited();
    world.create(gang('next', 1, { ...inQueue('waits'), createdAt: world.clock.now() }));
    await world.pass(300 * SECOND);
    world.finish('train-0');
    await world.settle();
    await world.schedule();
    await world.pass(10 * SECOND);
    expect(world.stateOf('next')).toBe('Running');
    const after = await waited();
    expect([after[0] - count, after[1] - sum]).toEqual([1, 300]);
    await world.restart();
    await world.pass(10 * SECOND);
    expect(await waited(), 'it does not start again with Muster').toEqual(after);
  });
});

test('lone pods count as use, and are in no line', async () => {
  const world = await start(1, { name: 'a' });
  world.create(pod('single', { gpus: 2, nodeName: 'n0', labels: { 'muster.dev/queue': 'a' } }));
  await world.pass(5 * SECOND);
  const { queues, waiting, running } = await get(world, '/v1/queues/a');
  expect(queues[0]!.amounts.find(({ resource }) => resource === GPU)).toMatchObject({ use: 2 });
  expect([waiting, running]).toEqual([[], []]);
});
