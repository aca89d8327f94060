/** A gang without room says who holds what it lacks. */
import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const PROTECTED = { priority: 9 };

async function startFull(): Promise<World> {
  const world = await startWorld({ nodes: 4 });
  world.running('train', ['n0', 'n1'], PROTECTED);
  world.create(pod('web', { gpus: 4, priority: 9, nodeName: 'n2' }));
  await world.settle();
  return world;
}

const lack = 'room for 1 of 3 members; nodes for the others: 4 insufficient nvidia.com/gpu';
const held = 'held by gang default/train (16 nvidia.com/gpu), pod default/web (4)';

describe('the holders of what a gang lacks', () => {
  test('are in the Event and in the inspect API, as text and as data', async () => {
    const world = await startFull();
    world.create(gang('a', 3));
    await world.settle();
    expect([...new Set(world.told.filter((text) => text.includes('default/a')))], 'the same on each member').toEqual([
      `GangWaiting: gang default/a: ${lack}; ${held}`,
    ]);
    const { reason, because } = await world.inspect('a');
    expect(reason).toBe(`${lack}; ${held}`);
    expect(because).toMatchObject({
      holders: { resource: 'nvidia.com/gpu', largest: [{ kind: 'gang', amount: 16 }, { kind: 'pod' }], others: 0 },
    });
    const { waiting } = world.muster.queueInspector.report()!;
    expect(waiting.map(({ reason: text }) => text)).toEqual([`${lack}; ${held}`]);
  });

  test('are not in filter replies', async () => {
    const world = await startFull();
    world.create(gang('a', 3));
    await world.settle();
    const answer = await world.filter('a-0', ['n0']);
    expect(JSON.stringify(answer)).not.toContain('held by');
  });

  test('change without a new Event', async () => {
    const world = await startFull();
    world.create(gang('a', 3));
    await world.settle();
    const events = world.told.length;
    world.create(pod('late', { gpus: 4, priority: 9, nodeName: 'n2' }));
    world.delete('web');
    await world.pass(60 * SECOND);
    expect(world.told).toHaveLength(events);
    expect((await world.inspect('a')).reason).toContain('pod default/late (4)');
  });

  test('are looked for once for gangs that lack the same', async () => {
    const world = await startFull();
    world.create(gang('a', 3), gang('b', 3));
    await world.settle();
    const { view } = world.muster;
    const holdersOf = (name: string) => {
      const reason = view.reasonOf(view.gang(`default/${name}`)!);
      return reason?.kind === 'unschedulable' ? reason.holders : undefined;
    };
    expect(holdersOf('a')).toBeDefined();
    expect(holdersOf('b')).toBe(holdersOf('a'));
  });
});
