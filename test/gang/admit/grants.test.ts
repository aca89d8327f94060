/** A gang that has started restores what it had without asking its queue again, and nothing more: as a tenant would try. */
import { describe, expect, test } from 'vitest';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { inQueue, scheduleAll, startQueueWorld } from '../../support/queue-worlds.ts';
import { type GangOptions, gang, SECOND, type World } from '../../support/scenario.ts';

/** Members of a controller that says nothing about how many it makes; anybody may write such an owner. */
function owned(name: string, size: number, options: GangOptions): WireObject[] {
  return gang(name, size, inQueue('q', options)).map((raw) => {
    const owner = { kind: 'Trainer', name, uid: `uid-${name}`, controller: true };
    return { ...raw, metadata: { ...raw.metadata, ownerReferences: [owner] } };
  });
}

function gpusOf(world: World): number {
  return world.muster.view.queues.useOf('q').get('nvidia.com/gpu') ?? 0;
}

/** Four members of one GPU in a queue with a limit of eight. */
async function smallGang(options: GangOptions = {}): Promise<World> {
  const world = await startQueueWorld([{ name: 'q', limit: 8 }], { nodes: 5 });
  world.create(owned('x', 4, { gpus: 1, ...options }));
  await world.settle();
  return world;
}

describe('members that are made anew', () => {
  test('larger than they were find no quota, and say so', async () => {
    const world = await smallGang();
    await scheduleAll(world);
    expect(world.stateOf('x')).toBe('Running');
    world.delete('x-1', 'x-2', 'x-3');
    await world.settle();
    world.create(owned('x', 4, { from: 1 }));
    await scheduleAll(world);
    await world.pass(10 * SECOND);
    await scheduleAll(world);
    expect(gpusOf(world)).toBeLessThanOrEqual(8);
    expect(Object.keys(world.boundTo('x'))).toEqual(['x-0']);
    expect(world.reasonOf('x')).toMatch(/queue q: expected at most 8 nvidia\.com\/gpu/);
  });

  test('larger than they were find no quota after a restart either', async () => {
    const world = await smallGang();
    await scheduleAll(world);
    world.delete('x-1', 'x-2', 'x-3');
    await world.restart();
    world.create(owned('x', 4, { from: 1 }));
    await scheduleAll(world);
    expect(gpusOf(world)).toBeLessThanOrEqual(8);
  });

  test('larger while the gang is nominated: no quota either', async () => {
    const world = await smallGang({ gated: true });
    expect(world.stateOf('x')).toBe('Nominated');
    for (const [i, rank] of [1, 2, 3].entries()) {
      world.delete(`x-${rank}`);
      const [raw] = owned('x', rank + 1, { from: rank, gated: true, annotations: { 'muster.dev/rank': `${9 - i}` } });
      world.create({ ...raw!, metadata: { ...raw!.metadata, name: `x-${rank}b` } });
    }
    await world.pass(5 * SECOND);
    await scheduleAll(world);
    expect(gpusOf(world)).toBeLessThanOrEqual(8);
    expect(Object.keys(world.boundTo('x')), 'never in part').toEqual([]);
  });

  test('as large as they were start, although others have used up the quota meanwhile', async () => {
    const world = await smallGang({ gpus: 2 });
    await scheduleAll(world);
    world.finish('x-3', 'Failed');
    // The place of the lost member is no longer kept.
    await world.pass(400 * SECOND);
    world.create(gang('y', 1, inQueue('q', { gpus: 2 })));
    await scheduleAll(world);
    expect(gpusOf(world)).toBe(8);
    world.create(owned('x', 5, { from: 4, gpus: 2, min: 4 }));
    await scheduleAll(world);
    expect(Object.keys(world.boundTo('x'))).toContain('x-4');
  });
});

describe('a replacement that could land on another GPU model', () => {
  const MODEL = 'nvidia.com/gpu.product';
  const quotas = [{ resource: 'nvidia.com/gpu', model: 'H100', guaranteed: 0, limit: 8 }];

  /** `x` runs on both A100 nodes, `y` has what the queue may use of the three H100 nodes. */
  async function mixedWorld(): Promise<World> {
    const world = await startQueueWorld([{ name: 'q', quotas }]);
    for (const name of ['a0', 'a1']) world.addNode(name, { labels: { [MODEL]: 'A100' } });
    world.create(owned('x', 2, {}));
    await scheduleAll(world);
    for (const name of ['h0', 'h1', 'h2']) world.addNode(name, { labels: { [MODEL]: 'H100' } });
    world.create(gang('y', 1, inQueue('q')));
    await scheduleAll(world);
    return world;
  }

  function cordon(world: World, node: string): void {
    world.cluster.update('Node', node, ({ spec }) => {
      spec.unschedulable = true;
    });
  }

  test.each([false, true])('waits where the queue may use no more of that; placeholders kept: %s', async (isSlow) => {
    const world = await mixedWorld();
    cordon(world, 'a1');
    world.finish('x-1', 'Failed');
    if (isSlow) await world.pass(SECOND);
    world.create(owned('x', 3, { from: 2, min: 2 }));
    await scheduleAll(world);
    await world.pass(10 * SECOND);
    await scheduleAll(world);
    const h100 = () => world.muster.view.queues.useOf('q').get('nvidia.com/gpu H100');
    expect(world.boundTo('x')).not.toHaveProperty('x-2');
    expect(h100()).toBe(8);
    world.delete('y-0');
    await scheduleAll(world);
    expect(world.boundTo('x')).toHaveProperty('x-2');
    expect(h100()).toBe(8);
  });

  test('comes back on the model that it had, although others have used up its limit meanwhile', async () => {
    const world = await startQueueWorld([{ name: 'q', quotas: [{ ...quotas[0]!, limit: 16 }] }]);
    for (const name of ['h0', 'h1', 'h2']) world.addNode(name, { labels: { [MODEL]: 'H100' } });
    world.create(owned('x', 2, {}));
    await scheduleAll(world);
    world.finish('x-1', 'Failed');
    // Its place is no longer kept.
    await world.pass(400 * SECOND);
    world.create(gang('y', 1, inQueue('q')));
    await scheduleAll(world);
    expect(Object.keys(world.boundTo('y'))).toEqual(['y-0']);
    world.create(owned('x', 3, { from: 2, min: 2 }));
    await scheduleAll(world);
    expect(world.boundTo('x')).toHaveProperty('x-2');
  });
});
