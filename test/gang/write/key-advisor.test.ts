/** What users are told about keys that do nothing: once, with what was meant. */
import { describe, expect, test } from 'vitest';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { inQueue, startQueueWorld } from '../../support/queue-worlds.ts';
import { gang, type PodOptions, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const AN_HOUR = 3_600 * SECOND;

function job(name: string, labels: Record<string, string>, template: object = {}): WireObject {
  const spec = { parallelism: 4, completions: 4, template: { metadata: template } };
  return { metadata: { name, namespace: 'default', uid: `uid-${name}`, labels }, spec, status: {} };
}

/** Four pods that the Job made. */
function createPodsOf(world: World, name: string, options: PodOptions = {}): void {
  for (let i = 0; i < 4; i++) {
    const made = pod(`${name}-${i}`, options);
    const ownerReferences = [{ kind: 'Job', name, uid: `uid-${name}`, controller: true }];
    world.create({ ...made, metadata: { ...made.metadata, ownerReferences } as WireObject['metadata'] });
  }
}

describe('a lone pod', () => {
  test.each<[string, PodOptions, string]>([
    [
      'a misspelt label',
      { labels: { 'muster.dev/podgroup': 'a' } },
      'ignored: did you mean muster.dev/pod-group? unknown',
    ],
    [
      'the label as an annotation',
      { annotations: { 'muster.dev/pod-group': 'a' } },
      'ignored: muster.dev/pod-group is an annotation, expected a label; move it there',
    ],
    [
      'a key about a gang',
      { annotations: { 'muster.dev/topology-required': 'leaf' } },
      'muster.dev/topology-required does nothing on a pod without a gang; add label muster.dev/pod-group',
    ],
    [
      'a bad value',
      { annotations: { 'muster.dev/preemptible': 'nope'.repeat(200) } },
      'muster.dev/preemptible expected "true" or "false", found "nopenope',
    ],
    [
      'a value that is too long to be read',
      { annotations: { 'muster.dev/preemptible': 'nope'.repeat(1_000) } },
      'muster.dev/preemptible expected at most 1024 characters, found "nopenope',
    ],
  ])('with %s gets a Warning', async (_, options, note) => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('lone', options));
    await world.pass(AN_HOUR);
    expect(world.told).toEqual([expect.stringContaining(note)]);
    expect(world.told[0]).toMatch(/^KeyIgnored: /);
    expect(world.told[0]!.length, 'no text of a user is repeated whole').toBeLessThan(600);
  });

  test('is told of all its mistakes in one Event', async () => {
    const world = await startWorld({ nodes: 1 });
    const annotations = { 'muster.dev/rank': '0', 'muster.dev/min-member': '4' };
    world.create(pod('lone', { annotations }));
    await world.settle();
    expect(world.told).toEqual([
      expect.stringMatching(/did you mean muster.dev\/min-members.*muster.dev\/rank does nothing/),
    ]);
  });

  test.each<[string, PodOptions]>([
    [
      'with keys that count without a gang',
      {
        labels: { 'muster.dev/queue': 'default' },
        annotations: {
          'muster.dev/hold': 'false',
          'muster.dev/preemptible': 'false',
          'muster.dev/min-runtime': '1h',
          'muster.dev/checkpointed-at': '2026-01-01T00:00:00Z',
        },
      },
    ],
    ['with what Muster wrote', { annotations: { 'muster.dev/preempted-by': 'default/a' }, nodeName: 'n0' }],
    ['of another scheduler', { labels: { 'muster.dev/podgroup': 'a' }, spec: { schedulerName: 'volcano' } }],
    ['of a native gang', { labels: { 'muster.dev/podgroup': 'a' }, spec: { schedulingGroup: { name: 'g' } } }],
    ['without any key', { labels: { app: 'web' } }],
  ])('%s is told nothing', async (_, options) => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('lone', options));
    await world.pass(AN_HOUR);
    expect(world.told).toEqual([]);
  });

  test('that is started already is told as well', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('lone', { nodeName: 'n0', labels: { 'muster.dev/gang': 'a' } }));
    await world.settle();
    expect(world.told).toHaveLength(1);
  });
});

describe('the pods of a Job', () => {
  test('share one Event, on the first of them and on the Job', async () => {
    const world = await startWorld({ nodes: 4 });
    world.cluster.create('Job', job('train', {}));
    createPodsOf(world, 'train', { labels: { 'muster.dev/podgroup': 'a' } });
    await world.schedule();
    await world.pass(AN_HOUR);
    expect(world.told).toHaveLength(2);
  });

  test.each<[string, Record<string, string>, string]>([
    [
      'its label',
      { 'muster.dev/pod-group': 'a' },
      'muster.dev/pod-group is on the Job itself, where nothing reads it; write it in spec.template.metadata.labels',
    ],
    [
      'a misspelt one',
      { 'muster.dev/podgroup': 'a' },
      'did you mean muster.dev/pod-group in spec.template.metadata.labels?',
    ],
    [
      'an unknown key',
      { 'muster.dev/shiny': 'a' },
      'muster.dev/shiny is on the Job itself, where nothing reads it; remove it',
    ],
  ])('are told that %s is on the Job instead of its template', async (_, labels, note) => {
    const world = await startWorld({ nodes: 4 });
    world.cluster.create('Job', job('train', labels));
    createPodsOf(world, 'train');
    await world.pass(AN_HOUR);
    expect(world.told).toEqual([expect.stringContaining(note), expect.stringContaining(note)]);
  });

  test('also in a gang, whose other keys are where they belong', async () => {
    const world = await startWorld({ nodes: 4 });
    const labels = { 'muster.dev/pod-group': 'train' };
    world.cluster.create('Job', job('train', { ...labels, 'muster.dev/queue': 'default' }, { labels }));
    createPodsOf(world, 'train', { labels });
    await world.settle();
    expect(world.told.filter((text) => text.startsWith('KeyIgnored'))).toEqual(
      Array(2).fill(expect.stringContaining('muster.dev/queue is on the Job itself')),
    );
  });

  test('are told nothing about a key that the template has as well', async () => {
    const world = await startWorld({ nodes: 4 });
    const labels = { 'muster.dev/queue': 'default' };
    world.cluster.create('Job', job('train', labels, { labels }));
    createPodsOf(world, 'train', { labels });
    await world.pass(AN_HOUR);
    expect(world.told).toEqual([]);
  });

  test('are told although Muster saw them before their Job', async () => {
    const world = await startWorld({ nodes: 4 });
    createPodsOf(world, 'train');
    world.cluster.create('Job', job('train', { 'muster.dev/pod-group': 'a' }));
    await world.settle();
    expect(world.told).toHaveLength(2);
  });
});

test('a member of a scheduler that is not listed is told when kube-scheduler asks for it', async () => {
  const world = await startWorld({ nodes: 4 });
  world.create(gang('a', 4, { spec: { schedulerName: 'training' } }));
  await world.pass(60 * SECOND);
  expect(world.told).toEqual([]);
  await world.filter('a-0', ['n0', 'n1']);
  await world.filter('a-0', ['n0', 'n1']);
  expect(world.told).toEqual([
    'KeyIgnored: muster.dev/pod-group does nothing here: expected spec.schedulerName to be one of default-scheduler, found "training"; change it, or list the name in schedulerNames of Muster\'s configuration',
  ]);
});

test('many pods with keys are looked at over several cycles', async () => {
  const world = await startWorld({ nodes: 1 });
  world.cluster.pauseWatch();
  for (let i = 0; i < 1_200; i++) world.create(pod(`p-${i}`, { gpus: 0, annotations: { 'muster.dev/rank': '0' } }));
  world.cluster.resumeWatch();
  await world.pass(SECOND);
  expect(world.told.length, 'the recorder has its own limits').toBeGreaterThanOrEqual(100);
  expect(world.muster.state.takeUnread(1)).toEqual([]);
});

describe('keys against preemption that a queue does not allow', () => {
  const queues = [
    { name: 'a', guaranteed: 8 },
    { name: 'b', allowNonPreemptible: false, maxMinRuntimeMs: 60 * SECOND },
    { name: 'c' },
  ];
  const annotations = { 'muster.dev/preemptible': 'false', 'muster.dev/min-runtime': '2h' };

  test.each<[string, string[]]>([
    ['a', []],
    [
      'b',
      [
        'muster.dev/preemptible does nothing: queue b allows no more of it',
        'muster.dev/min-runtime is cut to 1m: queue b allows no more of it',
      ],
    ],
    [
      'c',
      [
        'muster.dev/preemptible does nothing: queue c allows no more of it',
        'muster.dev/min-runtime does nothing: queue c allows no more of it',
      ],
    ],
  ])('are told for a gang and for a pod, in queue %s', async (queue, notes) => {
    const world = await startQueueWorld(queues, { nodes: 4 });
    world.create(pod('lone', inQueue(queue, { gpus: 1, annotations })), gang('g', 2, inQueue(queue, { annotations })));
    await world.settle();
    await world.pass(5 * SECOND);
    const told = world.told.filter((each) => each.startsWith('KeyIgnored: '));
    for (const note of notes) expect(told.join(' '), note).toContain(note);
    expect(told.length > 0).toBe(notes.length > 0);
  });
});
