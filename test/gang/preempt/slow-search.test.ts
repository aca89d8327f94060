/** The search for victims takes long: the others go on, and the answer counts only if it still holds. */
import { describe, expect, test } from 'vitest';
import { inQueue, startQueueWorld } from '../../support/queue-worlds.ts';
import { gang, SECOND, startWorld, type World } from '../../support/scenario.ts';
import { SlowSearcher } from '../../support/searchers.ts';

const HIGH = { priority: 100 };

/** Four nodes: `small` on one, `large` on three; both have run for an hour. */
async function fullCluster(slow: SlowSearcher): Promise<World> {
  const world = await startWorld({ nodes: 4, searcher: (policy) => slow.for(policy) });
  const startedAt = world.clock.now() - 3_600 * SECOND;
  world.running('small', ['n0'], { startedAt });
  world.running('large', ['n1', 'n2', 'n3'], { startedAt });
  await world.settle();
  return world;
}

/** A gang of two that waits for its answer, `large`. */
async function searching(): Promise<{ readonly world: World; readonly slow: SlowSearcher }> {
  const slow = new SlowSearcher();
  const world = await fullCluster(slow);
  world.create(gang('high', 2, HIGH));
  await world.settle();
  expect(slow.open.map(({ gang: asks, proposal }) => [asks, proposal.kind])).toEqual([['default/high', 'preempt']]);
  return { world, slow };
}

function annotate(world: World, name: string, key: string, value: string): void {
  world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
    metadata.annotations = { ...metadata.annotations, [key]: value };
  });
}

describe('while a gang searches for victims', () => {
  test('others start, and it says what it waits for', async () => {
    const { world, slow } = await searching();
    expect(world.reasonOf('high')).toMatch(/; searching for victims$/);
    world.addNode('n4');
    world.create(gang('other', 1));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('other')).toBe('Running');
    expect(world.stateOf('high')).toBe('Pending');
    expect(world.evictions()).toEqual([]);
    expect(slow.asked, 'one question at a time').toBe(1);
  });

  test('it starts when capacity becomes free, and the answer evicts nobody', async () => {
    const { world, slow } = await searching();
    world.addNode('n4');
    world.addNode('n5');
    await world.settle();
    await world.schedule();
    expect(world.stateOf('high')).toBe('Running');
    slow.answer();
    await world.pass(60 * SECOND);
    expect(world.evictions()).toEqual([]);
  });

  test('a Muster that starts again asks again', async () => {
    const { world, slow } = await searching();
    await world.restart();
    await world.settle();
    expect(slow.asked).toBe(2);
    slow.open.shift();
    slow.answer();
    await world.settle();
    expect(world.evictions()).toHaveLength(3);
  });
});

describe('an answer that arrives', () => {
  test('is carried out if it still holds', async () => {
    const { world, slow } = await searching();
    slow.answer();
    await world.settle();
    expect(world.evictions()).toEqual(['large-0', 'large-1', 'large-2']);
    await world.schedule();
    expect(world.stateOf('high')).toBe('Running');
    expect(world.stateOf('small')).toBe('Running');
    expect(world.overbooked()).toEqual([]);
  });

  test('evicts nobody when the gang is gone', async () => {
    const { world, slow } = await searching();
    world.delete('high-0', 'high-1');
    await world.settle();
    slow.answer();
    await world.pass(60 * SECOND);
    expect(world.evictions()).toEqual([]);
  });

  test('evicts nobody for another run of the gang, which asks for itself', async () => {
    const { world, slow } = await searching();
    world.delete('high-0', 'high-1');
    await world.settle();
    world.create(gang('high', 1, HIGH));
    await world.settle();
    slow.answer();
    await world.settle();
    expect(world.evictions()).toEqual([]);
    slow.answer();
    await world.settle();
    expect(world.evictions()).toEqual(['small-0']);
  });

  test('spares victims that are not needed any more', async () => {
    const slow = new SlowSearcher();
    const world = await startWorld({ nodes: 3, searcher: (policy) => slow.for(policy) });
    for (const [i, name] of ['a', 'b', 'c'].entries()) world.running(name, [`n${i}`]);
    world.create(gang('high', 2, HIGH));
    await world.settle();
    const [{ proposal }] = slow.open as [(typeof slow.open)[number]];
    const [first, second] = proposal.kind === 'preempt' ? proposal.victims.map(({ key }) => key) : [];
    expect([first, second].every((key) => key !== undefined)).toBe(true);
    world.addNode('n3');
    await world.settle();
    slow.answer();
    await world.settle();
    expect(world.evictions()).toHaveLength(1);
    await world.schedule();
    expect(world.stateOf('high')).toBe('Running');
  });

  const stale: readonly (readonly [string, (world: World) => void, readonly string[]])[] = [
    ['a victim has ended', (world) => each(MEMBERS, (name) => world.finish(name)), []],
    ['a victim has lost a member', (world) => world.delete('large-2'), ['large-0', 'large-1']],
    ['a victim may not be evicted any more', (world) => protect(world), []],
    ['the nodes of a victim are gone', (world) => each(NODES, (name) => world.cluster.delete('Node', name)), []],
    ['the nodes of a victim take no pods any more', (world) => each(NODES, (name) => cordon(world, name)), []],
    ['the gang may not preempt any more', (world) => annotate(world, 'high-0', 'muster.dev/preempts', 'never'), []],
    [
      'a budget protects a victim',
      (world) => world.disruptionBudget('budget', { 'muster.dev/pod-group': 'large' }, 0),
      [],
    ],
  ];

  test.each(stale)('is not carried out when %s', async (_, change, evicted) => {
    const { world, slow } = await searching();
    change(world);
    await world.settle();
    while (slow.open.length > 0) {
      slow.answer();
      await world.settle();
    }
    expect(world.evictions().filter((name) => name.startsWith('small'))).toEqual([]);
    expect(world.evictions()).toEqual(evicted);
    expect(world.overbooked()).toEqual([]);
  });

  test('that does not hold is asked for again, three times in a row, then more and more rarely', async () => {
    const { world, slow } = await searching();
    const unit = { key: 'default/ghost', kind: 'gang', gang: undefined, uids: ['ghost'] } as const;
    const ghost = { kind: 'answer', proposal: { kind: 'preempt', victims: [unit] } } as const;
    for (let i = 0; i < 3; i++) {
      slow.answer(ghost);
      await world.settle();
    }
    expect(slow.asked).toBe(3);
    expect(slow.open).toEqual([]);
    await world.pass(SECOND);
    expect(slow.asked).toBe(4);
    slow.answer();
    await world.settle();
    expect(world.evictions()).toHaveLength(3);
  });

  test('that nobody can be evicted is looked at again when capacity became free meanwhile', async () => {
    const slow = new SlowSearcher();
    const world = await fullCluster(slow);
    protect(world);
    world.create(gang('high', 2, HIGH));
    await world.settle();
    world.addNode('n4');
    await world.settle();
    slow.answer();
    await world.pass(SECOND);
    slow.answer();
    await world.settle();
    expect(world.evictions()).toEqual(['small-0']);
  });

  test('does not take what a queue is guaranteed by now', async () => {
    const slow = new SlowSearcher();
    const world = await startQueueWorld([{ name: 'a', guaranteed: 16 }], {
      nodes: 2,
      searcher: (policy) => slow.for(policy),
    });
    world.cluster.create('Queue', { metadata: { name: 'b' }, spec: {}, status: {} });
    for (const i of [0, 1]) world.running(`b${i}`, [`n${i}`], inQueue('b'));
    world.create(gang('x', 1, inQueue('a')));
    await world.settle();
    expect(slow.open.map(({ proposal }) => proposal.kind)).toEqual(['preempt']);
    world.cluster.update('Queue', 'b', (raw) => {
      raw.spec = { quotas: [{ resource: 'nvidia.com/gpu', guaranteed: 16 }] };
    });
    await world.settle();
    while (slow.open.length > 0) {
      slow.answer();
      await world.settle();
    }
    expect(world.evictions()).toEqual([]);
  });
});

describe('a search that gives no answer', () => {
  test.each([
    [{ kind: 'too-long', seconds: 10 }, /; the search for victims was given up after 10 s, it is tried again later$/],
    [{ kind: 'failed', message: 'a bug' }, /; the search for victims failed, it is tried again later$/],
  ] as const)('is tried more and more rarely, whatever becomes free: %o', async (outcome, reason) => {
    const { world, slow } = await searching();
    slow.answer(outcome);
    await world.settle();
    expect(world.reasonOf('high')).toMatch(reason);
    world.addNode('n4');
    await world.pass(59 * SECOND);
    expect(slow.asked).toBe(1);
    await world.pass(SECOND);
    expect(slow.asked).toBe(2);
    slow.answer(outcome);
    await world.pass(119 * SECOND);
    expect(slow.asked).toBe(2);
    await world.pass(SECOND);
    expect(slow.asked).toBe(3);
    expect(world.evictions()).toEqual([]);
  });

  test('because too many others search is asked again after a second', async () => {
    const slow = new SlowSearcher();
    const world = await fullCluster(slow);
    slow.isBusy = true;
    world.create(gang('high', 2, HIGH));
    await world.settle();
    expect(world.reasonOf('high')).toMatch(/; searching for victims$/);
    slow.isBusy = false;
    await world.pass(SECOND);
    expect(slow.asked).toBe(1);
  });
});

const MEMBERS = ['large-0', 'large-1', 'large-2'];
const NODES = ['n1', 'n2', 'n3'];

function each(names: readonly string[], change: (name: string) => void): void {
  for (const name of names) change(name);
}

function cordon(world: World, node: string): void {
  world.cluster.update('Node', node, ({ spec }) => {
    spec.unschedulable = true;
  });
}

function protect(world: World): void {
  for (const name of MEMBERS) annotate(world, name, 'muster.dev/preemptible', 'false');
}
