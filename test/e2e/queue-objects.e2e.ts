import { expect } from 'vitest';
import type { RawQueueSpec } from '../../src/core/queues/projection.ts';
import { ApiError } from './cluster/api-client.ts';
import { expectQueue, GPU } from './queues.ts';
import { scenarios } from './scenarios.ts';
import type { World } from './world.ts';

const queues = {
  statusInterval: '500ms',
  items: [
    {
      name: 'org',
      quotas: [{ resource: 'nvidia.com/gpu', model: 'NVIDIA-H100-80GB-HBM3', guaranteed: 64, limit: 128 }],
    },
    { name: 'research', parent: 'org', weight: 70, maxRunTime: '24h', defaultFor: ['team-a'] },
  ],
};

const quota = (fields: object) => ({ quotas: [{ resource: GPU, ...fields }] });

const create = ({ cluster }: World, name: string, spec: object) =>
  cluster.api.create('queues', { metadata: { name }, spec: spec as RawQueueSpec });

/** What the API server says to a queue. */
async function answerTo(world: World, name: string, spec: object): Promise<string> {
  try {
    await create(world, name, spec);
    return 'taken';
  } catch (error) {
    if (error instanceof ApiError && error.status === 422) return error.message;
    throw error;
  }
}

const GOOD: readonly (readonly [name: string, spec: object])[] = [
  ['empty', {}],
  ['with-weight', { weight: 0.5 }],
  ['numbers', quota({ guaranteed: 8, limit: 16 })],
  ['texts', quota({ guaranteed: '8', limit: '16' })],
  [
    'quantities',
    {
      quotas: [
        { resource: 'memory', guaranteed: '1Gi', limit: '2Ti' },
        { resource: 'cpu', limit: '500m' },
      ],
    },
  ],
  ['models', { quotas: [{ resource: GPU }, { resource: GPU, model: 'A' }, { resource: GPU, model: 'B' }] }],
  ['zero', quota({ guaranteed: 0, limit: 0 })],
  ['only-guarantee', quota({ guaranteed: 8 })],
  ['long-run', { maxRunTime: '1h30m' }],
  ['nobody', { namespaces: [] }],
  ['mine', { namespaces: ['a', 'b'], defaultFor: ['b'] }],
  ['urgent', { defaultPriority: -5, order: 'strict', allowBorrowing: false, reclaimable: false }],
];

const BAD: readonly (readonly [name: string, spec: object, said: RegExp])[] = [
  ['weightless', { weight: 0 }, /spec\.weight.*must be at least 0\.001/],
  ['almost-weightless', { weight: 0.0001 }, /spec\.weight.*must be at least 0\.001/],
  ['too-heavy', { weight: 1_000_001 }, /spec\.weight.*less than or equal to/],
  ['own-parent', { parent: 'own-parent' }, /a queue cannot be its own parent/],
  ['Upper', {}, /metadata\.name/],
  ['dotted.name', {}, /metadata\.name/],
  ['unordered', { order: 'random' }, /spec\.order.*supported values/],
  ['negative', quota({ guaranteed: -1 }), /guaranteed.*at least 0/],
  ['negative-text', quota({ limit: '-1' }), /limit.*at least 0/],
  ['wordy', quota({ guaranteed: 'many' }), /guaranteed.*must be a quantity/],
  ['shrinking', quota({ guaranteed: '1k', limit: 999 }), /limit must be at least what is guaranteed/],
  [
    'twice',
    {
      quotas: [
        { resource: GPU, model: 'A' },
        { resource: GPU, model: 'A' },
      ],
    },
    /may be named once/,
  ],
  ['cpu-model', { quotas: [{ resource: 'cpu', model: 'A' }] }, /model goes with an accelerator/],
  ['unnamed', { quotas: [{ guaranteed: 1 }] }, /resource: Required/],
  ['blank-model', quota({ model: 'NVIDIA H100' }), /model/],
  ['unitless', { maxRunTime: '10' }, /maxRunTime/],
  ['no-time', { maxRunTime: '0s' }, /must be more than 0/],
  ['kept-out', { namespaces: ['a'], defaultFor: ['b'] }, /may only name namespaces that may use the queue/],
  ['repeated', { namespaces: ['a', 'a'] }, /Duplicate value/],
];

scenarios('queue objects', { queues, queueObjects: true }, (scenario) => {
  scenario.realOnly('no schemas there', 'the schema takes what makes sense and refuses the rest', async (world) => {
    for (const [name, spec] of GOOD) expect(await answerTo(world, name, spec), name).toBe('taken');
    for (const [name, spec, said] of BAD) expect(await answerTo(world, name, spec), name).toMatch(said);
    const { spec } = await world.cluster.api.get('queues', 'empty');
    expect(spec).toEqual({ weight: 1, allowBorrowing: true, reclaimable: true, order: 'best-effort' });
  });

  scenario('a queue of the file is mirrored as an object, and says how it does', async (world) => {
    const mirrored = await expectQueue(world, 'research', 'to be mirrored', ({ status }) => status !== undefined);
    expect(mirrored).toMatchObject({
      metadata: { labels: { 'muster.dev/mirrored': 'true' } },
      spec: { parent: 'org', weight: 70, maxRunTime: '24h', defaultFor: ['team-a'] },
      status: { pending: 0, running: 0, conditions: [{ type: 'Valid', status: 'True' }] },
    });
    const { spec } = await expectQueue(world, 'org', 'to be mirrored', () => true);
    expect(spec?.quotas).toEqual([{ resource: GPU, model: 'NVIDIA-H100-80GB-HBM3', guaranteed: 64, limit: 128 }]);
  });

  scenario('an object wins over the file; deleted, it comes back as the file has it', async (world) => {
    const { api } = world.cluster;
    await expectQueue(world, 'research', 'to be mirrored', ({ status }) => status?.entitled !== undefined);
    await create(world, 'other', { parent: 'org', weight: 30 });
    await expectQueue(world, 'research', 'to share with the other', ({ status }) => status?.entitled === '0.35');
    await api.patch('queues', 'research', { spec: { weight: 10 } });
    // Half of the cluster is the default queue's.
    await expectQueue(world, 'research', 'to follow its new weight', ({ status }) => status?.entitled === '0.125');
    expect((await api.get('queues', 'research')).spec?.weight).toBe(10);
    await api.delete('queues', 'research');
    await expectQueue(world, 'research', 'to come back', ({ spec, status }) => {
      return spec?.weight === 70 && status?.entitled === '0.35';
    });
  });

  scenario('an object that cannot be used says why', async (world) => {
    await create(world, 'orphan', { parent: 'nobody' });
    const { status } = await expectQueue(world, 'orphan', 'to be told', (queue) => queue.status !== undefined);
    expect(status?.conditions).toMatchObject([
      { type: 'Valid', status: 'False', message: expect.stringMatching(/found none named nobody/) },
    ]);
    await create(world, 'nobody', {});
    await expectQueue(world, 'orphan', 'to be in use', (queue) => queue.status?.conditions?.[0]?.status === 'True');
  });

  scenario.realOnly('no rights there', 'Muster may neither change nor delete a queue', async (world) => {
    await expectQueue(world, 'org', 'to be mirrored', () => true);
    const refused = expect.objectContaining({ status: 403 });
    await expect(world.asMuster.patch('queues', 'org', { spec: { weight: 2 } })).rejects.toEqual(refused);
    await expect(world.asMuster.delete('queues', 'org')).rejects.toEqual(refused);
  });
});
