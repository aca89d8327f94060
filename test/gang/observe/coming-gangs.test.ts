/** Gangs that come by the thousand become known one part after the other: nobody else waits, and nothing is forgotten. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GangKey } from '../../../src/core/podgroup/gang.ts';
import { ComingGangs } from '../../../src/gang/observe/coming-gangs.ts';
import { gang, SECOND, startWorld, type World } from '../../support/scenario.ts';

/** More than the time in which gangs that come are read in one cycle: each cycle reads one of them. */
const READ_MS = 50;

/** A world in which reading a gang takes long. */
async function startSlow(): Promise<{ readonly world: World; readonly reads: string[][] }> {
  const reads: string[][] = [[]];
  let begun = false;
  const world: World = await startWorld({
    nodes: 8,
    changePorts: (ports) => {
      const view = Object.create(ports.view) as typeof ports.view;
      const observer = Object.create(ports.observer) as typeof ports.observer;
      view.sourcesOf = (key) => {
        reads.at(-1)!.push(key.replace('default/', ''));
        if (begun) world.freeze(READ_MS);
        return ports.view.sourcesOf(key);
      };
      observer.onCycle = (cycle) => {
        reads.push([]);
        ports.observer.onCycle(cycle);
      };
      return { ...ports, view: bindAll(view, ports.view), observer: bindAll(observer, ports.observer) };
    },
  });
  begun = true;
  reads.splice(0, reads.length, []);
  return { world, reads };
}

/** Methods with private fields need their own object. */
function bindAll<T extends object>(changed: T, original: T): T {
  return new Proxy(changed, {
    get: (object, name) => {
      const isOwn = Object.hasOwn(object, name);
      const value = Reflect.get(isOwn ? object : original, name) as unknown;
      return typeof value === 'function' ? (value.bind(original) as unknown) : value;
    },
  });
}

const busyCycles = (reads: readonly (readonly string[])[]) => reads.filter((keys) => keys.length > 0);

describe('gangs that come at once', () => {
  test('are read in parts, in the order in which they came, and all start', async () => {
    const { world, reads } = await startSlow();
    world.create(gang('a', 2, { gpus: 1 }), gang('b', 2, { gpus: 1 }), gang('c', 2, { gpus: 1 }));
    await world.pass(2 * SECOND);
    const first = busyCycles(reads).slice(0, 3);
    expect(first.map((keys) => keys.filter((key) => ['a', 'b', 'c'].includes(key)).at(-1))).toEqual(['a', 'b', 'c']);
    await world.schedule();
    await world.pass(2 * SECOND);
    for (const name of ['a', 'b', 'c']) expect(Object.keys(world.boundTo(name)), name).toHaveLength(2);
  });

  test('do not delay one that has pods on nodes', async () => {
    const { world, reads } = await startSlow();
    world.create(gang('a', 1), gang('b', 1), gang('c', 1));
    world.running('r', ['n0'], { gpus: 1 });
    await world.settle();
    expect(busyCycles(reads)[0]).toEqual(['r', 'a']);
  });

  test('do not delay the end of one that is known', async () => {
    const { world, reads } = await startSlow();
    world.create(gang('known', 1, { gated: true }));
    await world.settle();
    expect(world.muster.reservations.countOf('default/known')).toBe(1);
    reads.splice(0, reads.length, []);
    world.create(gang('a', 1), gang('b', 1), gang('c', 1));
    world.delete('known-0');
    await world.pass(SECOND);
    expect(busyCycles(reads)[0]).toContain('known');
    expect(world.muster.reservations.countOf('default/known')).toBe(0);
  });

  test('and go before they were read leave nothing behind', async () => {
    const { world } = await startSlow();
    world.create(gang('a', 1), gang('b', 1), gang('c', 1));
    world.delete('a-0', 'b-0', 'c-0');
    await world.pass(2 * SECOND);
    expect([...world.muster.view.gangs()]).toEqual([]);
    expect([...world.muster.reservations.slots()]).toEqual([]);
  });

  test('a member that moved to one of them loses what was written for its former gang', async () => {
    const { world } = await startSlow();
    world.create(gang('old', 1, { gated: true }));
    await world.pass(SECOND);
    expect(world.pod('old-0').metadata.annotations).toHaveProperty(['muster.dev/plan']);
    world.create(gang('a', 1, { min: 9 }), gang('b', 1, { min: 9 }));
    world.cluster.update('Pod', 'default/old-0', ({ metadata }) => {
      metadata.labels = { ...metadata.labels, 'muster.dev/pod-group': 'joined' };
      metadata.annotations = { ...metadata.annotations, 'muster.dev/min-members': '9' };
    });
    await world.pass(3 * SECOND);
    expect(world.stateOf('joined')).toBe('Gathering');
    expect(world.pod('old-0').metadata.annotations).not.toHaveProperty(['muster.dev/plan']);
  });
});

test('namespaces take turns, and each gang comes once, in the order of its namespace', () => {
  const key = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(20)).map(([ns, i]) => `${ns}/${i}` as GangKey);
  fc.assert(
    fc.property(fc.uniqueArray(key), fc.uniqueArray(key), (added, removed) => {
      const coming = new ComingGangs();
      for (const gang of [...added, ...added]) coming.add(gang);
      for (const gang of removed) coming.delete(gang);
      const left = added.filter((gang) => !removed.includes(gang));
      const taken: GangKey[] = [];
      for (let gang = coming.take(); gang; gang = coming.take()) taken.push(gang);
      expect(coming.isEmpty).toBe(true);
      expect([...taken].sort()).toEqual([...left].sort());
      for (const ns of ['a', 'b', 'c']) {
        const isOf = (gang: string) => gang.startsWith(ns);
        expect(taken.filter(isOf)).toEqual(left.filter(isOf));
        const namespaces = new Set(left.map((gang) => gang[0])).size;
        // A namespace that has gangs has one of the next so many.
        const at = taken.findIndex(isOf);
        expect(at).toBeLessThan(namespaces);
      }
    }),
  );
});
