/** What a controller says that it could not create, in the reason of the gang. */
import { describe, expect, test } from 'vitest';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { gang, SECOND, startWorld, type World } from '../../support/scenario.ts';

const MINUTE = 60 * SECOND;
const QUOTA = 'exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3';

/** Three of four members, with the owner of the uid. */
async function startShort(kind: string, uid: string): Promise<World> {
  const world = await startWorld({ nodes: 4 });
  for (const raw of gang('a', 3, { min: 4 })) {
    const ownerReferences = [{ kind, name: 'a', uid, controller: true }];
    world.create({ ...raw, metadata: { ...raw.metadata, ownerReferences } as WireObject['metadata'] });
  }
  await world.settle();
  return world;
}

function failedCreate(world: World, about: { kind: string; uid: string }, name: string, message: string): void {
  const event = {
    metadata: { name, namespace: 'default' },
    reason: 'FailedCreate',
    message: `Error creating: pods "a-${name}" is forbidden: ${message}`,
    involvedObject: { ...about, name: 'a' },
    lastTimestamp: new Date(world.clock.now()).toISOString(),
  };
  world.cluster.create('Event', event as unknown as WireObject);
}

describe('the reason of a gang of which members are missing', () => {
  test.each(['Job', 'ReplicaSet', 'MPIJob'])('quotes the %s that owns its pods', async (kind) => {
    const world = await startShort(kind, 'u');
    expect(world.reasonOf('a')).toBe('3 of 4 members exist');
    failedCreate(world, { kind, uid: 'u' }, 'e1', QUOTA);
    await world.settle();
    expect(world.reasonOf('a')).toBe(`3 of 4 members exist; ${kind} a cannot create more: "${QUOTA}"`);
  });

  test('quotes what makes its Jobs', async () => {
    const world = await startShort('Job', 'u');
    const ownerReferences = [{ kind: 'JobSet', name: 'a', uid: 'set', controller: true }];
    world.cluster.create('Job', {
      metadata: { name: 'a', namespace: 'default', uid: 'u', ownerReferences } as WireObject['metadata'],
      spec: { parallelism: 4, completions: 4, template: { metadata: { labels: { 'muster.dev/pod-group': 'a' } } } },
      status: {},
    });
    failedCreate(world, { kind: 'JobSet', uid: 'set' }, 'e1', QUOTA);
    await world.settle();
    expect(world.reasonOf('a')).toContain('JobSet a cannot create more');
  });

  test('says nothing of others, and nothing any more when all members exist', async () => {
    const world = await startShort('Job', 'u');
    failedCreate(world, { kind: 'Job', uid: 'other' }, 'e1', QUOTA);
    await world.settle();
    expect(world.reasonOf('a')).toBe('3 of 4 members exist');
    failedCreate(world, { kind: 'Job', uid: 'u' }, 'e2', QUOTA);
    world.create(gang('a', 4, { from: 3 }));
    await world.settle();
    expect(world.muster.view.gang('default/a')?.gang.refusedCreation).toBeUndefined();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('ends with the Event, and a quarter of an hour after it was repeated last', async () => {
    const world = await startShort('Job', 'u');
    failedCreate(world, { kind: 'Job', uid: 'u' }, 'e1', QUOTA);
    await world.settle();
    world.cluster.delete('Event', 'default/e1');
    await world.settle();
    expect(world.reasonOf('a')).toBe('3 of 4 members exist');
    failedCreate(world, { kind: 'Job', uid: 'u' }, 'e2', QUOTA);
    await world.pass(15 * MINUTE);
    // Any cycle.
    world.addNode('n4');
    await world.settle();
    expect(world.reasonOf('a')).toBe('3 of 4 members exist');
  });

  test('is announced once for each cause, whatever numbers change in it', async () => {
    const world = await startShort('ReplicaSet', 'u');
    const told = () => world.told.filter((text) => text.includes('cannot create more'));
    for (let i = 1; i <= 5; i++) {
      failedCreate(world, { kind: 'ReplicaSet', uid: 'u' }, `e${i}`, QUOTA.replace('used: pods=3', `used: pods=${i}`));
      await world.pass(MINUTE);
    }
    expect(told().every((text) => text.includes('used: pods=1'))).toBe(true);
    const before = told().length;
    expect(before).toBeGreaterThan(0);
    failedCreate(
      world,
      { kind: 'ReplicaSet', uid: 'u' },
      'e9',
      'maximum nvidia.com/gpu usage per Pod is 4, but limit is 8',
    );
    await world.pass(MINUTE);
    expect(told().length).toBeGreaterThan(before);
    expect(told().at(-1)).toContain('maximum nvidia.com/gpu usage');
  });
});
