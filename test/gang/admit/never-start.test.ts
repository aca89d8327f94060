/**
 * Gangs that never start: kube-scheduler tries only those whose members are called `honest…`. The others ask for
 * something that never comes, and hold their nodes until Muster gives up.
 */
import { describe, expect, test } from 'vitest';
import { GPU } from '../../support/builders.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { inQueue, startQueueWorld } from '../../support/queue-worlds.ts';
import { type GangOptions, gang, SECOND, startWorld, type World } from '../../support/scenario.ts';

const MINUTE = 60 * SECOND;
const SETTINGS = { backoffMaxMs: 30 * MINUTE };
/** A nomination is given up when it was renewed once in vain: twice the nomination timeout. And the next cycle. */
const ONE_ATTEMPT = 31;

/** Gangs of the tenant `attack`. */
function attacker(name: string, size: number, options: GangOptions = {}): readonly WireObject[] {
  return gang(name, size, options).map((raw) => ({ ...raw, metadata: { ...raw.metadata, namespace: 'attack' } }));
}

function removeAttacker(world: World, name: string): void {
  for (const { metadata } of world.cluster.list('Pod')) {
    if (metadata.labels?.['muster.dev/pod-group'] === name) world.delete(`${metadata.namespace}/${metadata.name}`);
  }
}

async function scheduleHonest(world: World): Promise<void> {
  const names = world.cluster.list('Pod').map(({ metadata }) => metadata.name);
  await world.schedule(...names.filter((name) => name.startsWith('honest')));
}

/** @param attack what the attackers do each second. @returns after how many seconds the gang runs. */
async function secondsToStart(
  world: World,
  name: string,
  attack: (second: number) => void = () => {},
): Promise<number> {
  for (let second = 0; second < 600; second++) {
    attack(second);
    await world.settle();
    await scheduleHonest(world);
    expect(world.overbooked()).toEqual([]);
    if (world.stateOf(name) === 'Running') return second;
    await world.pass(SECOND);
  }
  return Number.POSITIVE_INFINITY;
}

describe('two gangs that never start, each as large as the cluster', () => {
  test.each([0, 10, 40, 65, 130, 400, 1_200])(
    'cost a gang that comes after %d s one attempt at most',
    async (later) => {
      const world = await startWorld({ nodes: 4, settings: SETTINGS });
      world.create(attacker('a', 4), attacker('b', 4));
      await world.pass(later * SECOND);
      world.create(gang('honest', 4, { createdAt: world.clock.now() }));
      expect(await secondsToStart(world, 'honest')).toBeLessThanOrEqual(ONE_ATTEMPT);
    },
  );

  test('cost a gang of their own namespace two attempts at most', async () => {
    const world = await startWorld({ nodes: 4, settings: SETTINGS });
    world.create(gang('a', 4), gang('b', 4));
    await world.settle();
    world.create(gang('honest', 4, { createdAt: world.clock.now() }));
    expect(await secondsToStart(world, 'honest')).toBeLessThanOrEqual(2 * ONE_ATTEMPT);
  });

  test('give way at once when they have failed before', async () => {
    const world = await startWorld({ nodes: 4, settings: SETTINGS });
    world.create(attacker('a', 4));
    await world.pass(35 * SECOND);
    expect(Object.keys(world.slotsOf('attack/a')), 'the second attempt').toHaveLength(4);
    world.create(gang('honest', 4, { createdAt: world.clock.now() }));
    expect(await secondsToStart(world, 'honest')).toBe(0);
    expect(world.stateOf('attack/a')).toBe('Pending');
  });

  test.each([
    ['when they have failed', 32],
    ['before they fail', 20],
  ])('are no worse when they are deleted %s and created under other names', async (_, every) => {
    const world = await startWorld({ nodes: 4, settings: SETTINGS });
    const names: string[] = [];
    const attack = (second: number) => {
      if (second % every > 0) return;
      for (const name of names.splice(0)) removeAttacker(world, name);
      for (const each of ['x', 'y']) {
        const name = `${each}${world.clock.now()}`;
        names.push(name);
        // Another template, and another label, each time.
        const spec = { nodeSelector: {}, tolerations: [{ key: name, operator: 'Exists' }] };
        world.create(attacker(name, 4, { labels: { app: name }, spec }));
      }
    };
    for (let second = 0; second < 200; second++) {
      attack(second);
      await world.pass(SECOND);
    }
    world.create(gang('honest', 4, { createdAt: world.clock.now() }));
    expect(await secondsToStart(world, 'honest', (second) => attack(second + 200))).toBeLessThanOrEqual(1);
  });
});

describe('gangs that never start, and whose owner takes their slots away in time', () => {
  /** Two of them, by turns: when one gives its nodes back, the other one is first in line. */
  test.each([
    ['has them held', 'muster.dev/hold', 'true', 'false'],
    ['makes their size unknown', 'muster.dev/min-members', 'x', '4'],
  ])('are set back when he %s', async (_, key, off, on) => {
    const world = await startWorld({ nodes: 4, settings: SETTINGS });
    world.create(attacker('a', 4), attacker('b', 4));
    const write = (name: string, value: string) => {
      for (const { metadata } of world.cluster.list('Pod')) {
        if (metadata.labels?.['muster.dev/pod-group'] !== name) continue;
        world.cluster.update('Pod', `attack/${metadata.name}`, (pod) => {
          pod.metadata.annotations = { ...pod.metadata.annotations, [key]: value };
        });
      }
    };
    const attack = (second: number) => {
      if (second === 0 || second % 12 > 0) return;
      const [now, next] = second % 24 > 0 ? (['a', 'b'] as const) : (['b', 'a'] as const);
      write(next, on);
      write(now, off);
    };
    await world.settle();
    world.create(gang('honest', 4, { createdAt: world.clock.now() }));
    expect(await secondsToStart(world, 'honest', attack)).toBeLessThanOrEqual(ONE_ATTEMPT);
  });
});

test('two gangs that never start are set back when their owner asks for another level, by turns', async () => {
  const world = await startWorld({ levels: [{ name: 'rack', label: 'rack' }], settings: SETTINGS });
  for (let i = 0; i < 4; i++) world.addNode(`n${i}`, { labels: { rack: `r${i % 2}` } });
  world.create(attacker('a', 4), attacker('b', 4));
  const ask = (name: string, min: string, level: string | undefined) => {
    for (const { metadata } of world.cluster.list('Pod')) {
      if (metadata.labels?.['muster.dev/pod-group'] !== name) continue;
      world.cluster.update('Pod', `attack/${metadata.name}`, (pod) => {
        const { 'muster.dev/topology-required': _, ...others } = pod.metadata.annotations ?? {};
        const asked = level === undefined ? {} : { 'muster.dev/topology-required': level };
        // Another minimum has the slots compared with what the gang asks.
        pod.metadata.annotations = { ...others, ...asked, 'muster.dev/min-members': min };
      });
    }
  };
  const attack = (second: number) => {
    if (second === 0 || second % 12 > 0) return;
    const [now, next] = second % 24 > 0 ? (['a', 'b'] as const) : (['b', 'a'] as const);
    ask(next, '4', undefined);
    ask(now, '3', 'rack');
  };
  await world.settle();
  world.create(gang('honest', 4, { createdAt: world.clock.now() }));
  expect(await secondsToStart(world, 'honest', attack)).toBeLessThanOrEqual(ONE_ATTEMPT);
});

describe('the pause of a gang that does not start', () => {
  /** Seconds of the first 100 minutes in which the gang holds nodes. */
  async function secondsHeld(world: World, name: string): Promise<number> {
    let held = 0;
    for (let second = 0; second < 6_000; second += 5) {
      if (world.muster.reservations.countOf(name) > 0) held += 5;
      await world.pass(5 * SECOND);
    }
    return held;
  }

  test('grows to many minutes', async () => {
    const world = await startWorld({ nodes: 4, settings: SETTINGS });
    world.create(attacker('a', 4));
    await world.settle();
    // 10 attempts of 30 s.
    expect(await secondsHeld(world, 'attack/a')).toBeLessThanOrEqual(10 * 30);
  });

  test('outlives the gang', async () => {
    const world = await startWorld({ nodes: 4, settings: SETTINGS });
    world.create(attacker('a', 4));
    await world.pass(2 * ONE_ATTEMPT * SECOND);
    removeAttacker(world, 'a');
    await world.settle();
    world.create(attacker('a', 4));
    await world.settle();
    expect(world.stateOf('attack/a')).toBe('Pending');
    expect(world.reasonOf('attack/a')).toContain('tried again at');
  });

  test('is a second after the first failure, and ends with a start', async () => {
    const world = await startWorld({ nodes: 1, settings: SETTINGS });
    const other = () => world.cluster.list('Node').map(({ metadata }) => `not-${metadata.name}`);
    for (let i = 0; i < 3; i++) {
      world.create(gang('honest', 1));
      await world.settle();
      await world.filter('honest-0', other());
      await world.pass(SECOND);
      expect(world.stateOf('honest'), 'the first retry').toBe('Nominated');
      await scheduleHonest(world);
      expect(world.stateOf('honest')).toBe('Running');
      world.delete('honest-0');
      await world.settle();
    }
  });

  test('of one gang does not pause another one of its namespace', async () => {
    const world = await startWorld({ nodes: 4, settings: SETTINGS });
    world.create(gang('a', 4));
    await world.pass(31 * SECOND + 10 * MINUTE);
    world.create(gang('honest', 4, { createdAt: world.clock.now() }));
    expect(await secondsToStart(world, 'honest')).toBeLessThanOrEqual(ONE_ATTEMPT);
  });
});

describe('members above the minimum that never start', () => {
  test('hold nodes as rarely as a gang that never starts', async () => {
    const world = await startWorld({ nodes: 4, settings: SETTINGS });
    world.create(gang('honest', 1, { min: 1 }));
    await world.settle();
    await scheduleHonest(world);
    world.create(gang('honest', 4, { from: 1, min: 1 }));
    let held = 0;
    for (let second = 0; second < 3_000; second += 5) {
      await world.pass(5 * SECOND);
      if (world.muster.reservations.countOf('default/honest') > 0) held += 5;
    }
    expect(held).toBeLessThanOrEqual(400);
  });
});

describe('slots without a start, with queues', () => {
  const guaranteed = { resource: GPU, model: undefined, guaranteed: 16, limit: undefined };
  const QUEUES = [
    { name: 'a', quotas: [guaranteed], namespaces: ['default'] },
    { name: 'b', quotas: [guaranteed], namespaces: ['attack'] },
  ];

  test('count as usage of their queue', async () => {
    const world = await startQueueWorld(QUEUES, { nodes: 4, settings: SETTINGS });
    world.create(attacker('a', 4, inQueue('b')));
    await world.pass(10 * SECOND);
    expect(world.muster.view.queues.useOf('b').get(GPU)).toBe(32);
    expect(world.muster.view.queues.usageOf('b').get(GPU)).toBeGreaterThan(0);
  });

  test('give way to a gang within the guarantee of its queue, however high their priority', async () => {
    const world = await startQueueWorld(QUEUES, { nodes: 4, settings: SETTINGS });
    world.create(attacker('a', 2, inQueue('b')), attacker('b', 2, inQueue('b', { priority: 100 })));
    await world.settle();
    world.create(gang('honest', 2, inQueue('a', { createdAt: world.clock.now() })));
    expect(await secondsToStart(world, 'honest')).toBe(0);
    // What queue b is guaranteed it keeps.
    const held = ['attack/a', 'attack/b'].map((name) => world.muster.reservations.countOf(name));
    expect(held.toSorted()).toEqual([0, 2]);
  });
});

describe('a preemptor that never starts', () => {
  test('evicts once, and rarely more under other names', async () => {
    const world = await startWorld({ nodes: 2, settings: SETTINGS });
    let evicted = 0;
    for (let i = 0; i < 20; i++) {
      if (world.stateOf('victim') !== 'Running') world.running('victim', ['n0', 'n1']);
      world.create(attacker(`p${i}`, 2, { priority: 10 }));
      await world.pass(60 * SECOND);
      removeAttacker(world, `p${i}`);
      await world.settle();
      evicted = world.evictions().length / 2;
    }
    expect(evicted).toBeGreaterThanOrEqual(1);
    expect(evicted, 'in 20 minutes').toBeLessThanOrEqual(6);
  });
});

describe('very many gangs of one queue', () => {
  test('keep the gang of another queue waiting for capacity, not for their turn', async () => {
    const world = await startQueueWorld(
      [
        { name: 'a', namespaces: ['default'] },
        { name: 'b', namespaces: ['attack'] },
      ],
      { nodes: 4, settings: SETTINGS },
    );
    // All older than the gang that waits, and of unknown length.
    const many = (from: number) =>
      Array.from({ length: 50 }, (_, i) => attacker(`m${from + i}`, 1, inQueue('b'))).flat();
    world.create(many(0));
    await world.settle();
    const running = () => Object.keys(world.boundTo()).filter((name) => name.startsWith('m'));
    const scheduleAll = () => world.schedule(...world.cluster.list('Pod').map((raw) => nameOf(raw)));
    await scheduleAll();
    expect(running()).toHaveLength(4);
    world.create(gang('honest', 4, inQueue('a', { createdAt: world.clock.now() })));
    await world.pass(30 * MINUTE);
    // From now on what becomes free is kept for the first in queue order.
    for (const name of running()) {
      world.finish(`attack/${name}`);
      await world.settle();
      await scheduleAll();
    }
    expect(world.stateOf('honest')).toBe('Running');
  });
});

function nameOf({ metadata }: WireObject): string {
  return `${metadata.namespace ?? 'default'}/${metadata.name}`;
}
