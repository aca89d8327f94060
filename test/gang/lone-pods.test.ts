import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NodeTable } from '../../src/cluster/node-table.ts';
import { NameList } from '../../src/core/name-list.ts';
import { LonePods } from '../../src/gang/lone-pods.ts';
import { Reservations } from '../../src/gang/reservations.ts';
import { aNode, aPod, GPU, type PodOptions } from '../support/builders.ts';

const CANDIDATES = 4;

interface Drawn {
  readonly used: number;
  readonly reserved: number;
  /** Whether kube-scheduler offers it, and whether the watch has shown it. */
  readonly offered: boolean;
  readonly known: boolean;
}

function draw(nodes: readonly Drawn[]) {
  const table = new NodeTable(undefined);
  const reservations = new Reservations();
  nodes.forEach(({ used, reserved, known }, i) => {
    const name = nameAt(i);
    if (known) table.applyNode(aNode({ name }));
    if (used > 0) table.addPod(aPod({ name: `used-${i}`, nodeName: name, gpus: used, cpu: 0, memory: 0 }));
    if (reserved > 0) {
      const pod = aPod({ name: `held-${i}`, gpus: reserved, cpu: 0, memory: 0 });
      reservations.hold(pod.uid, [{ pod, node: name, until: 1 }]);
    }
  });
  const lonePods = new LonePods(reservations, (resource) => resource === GPU, CANDIDATES);
  const filter = (pod: PodOptions, offered: readonly string[]) =>
    lonePods.filter(table.snapshot(), aPod({ name: 'lone', ...pod }), NameList.from(offered));
  const score = (name: string) => lonePods.scorer(table.snapshot())(name);
  return { table, reservations, filter, score };
}

const nameAt = (index: number) => `node-${String(index).padStart(2, '0')}`;

const someNodes = fc.array(
  fc.record({
    used: fc.integer({ min: 0, max: 9 }),
    reserved: fc.constantFrom(0, 0, 0, 1, 4, 8),
    offered: fc.boolean(),
    known: fc.constantFrom(true, true, true, true, false),
  }),
  { maxLength: 30 },
);

describe('the nodes a lone pod may use', () => {
  test('are the offered ones that fit beside reservations; of more than a few, the fullest, then by name', () => {
    fc.assert(
      fc.property(someNodes, fc.integer({ min: 1, max: 8 }), (nodes, gpus) => {
        const { filter } = draw(nodes);
        const names = nodes.map((_, i) => nameAt(i)).filter((_, i) => nodes[i]!.offered);
        const freeAt = (name: string) => {
          const { used, reserved } = nodes[indexOf(name)]!;
          return 8 - used - reserved;
        };
        const fits = (name: string) => {
          const node = nodes[indexOf(name)]!;
          return !node.known || node.reserved === 0 || 8 - node.used - node.reserved >= gpus;
        };
        const isKnown = (name: string) => nodes[indexOf(name)]!.known;
        const fitting = names.filter(fits);
        const known = fitting
          .filter(isKnown)
          .sort((a, b) => Math.max(0, freeAt(a)) - Math.max(0, freeAt(b)) || (a < b ? -1 : 1));
        const expected = names.length > CANDIDATES && known.length >= CANDIDATES ? known.slice(0, CANDIDATES) : fitting;
        expect(filter({ gpus, cpu: 0, memory: 0 }, names)).toEqual(expected);
        if (expected.length >= CANDIDATES && known.length >= CANDIDATES && names.length > CANDIDATES) {
          expect(filter({ gpus, cpu: 0, memory: 0 }, names.toReversed())).toEqual(expected);
        }
      }),
    );
  });

  test('a node that another pod is being bound to counts as fuller already', () => {
    const nodes = Array.from({ length: 9 }, () => ({ used: 0, reserved: 0, offered: true, known: true }));
    const { filter, score, reservations } = draw(nodes);
    const names = nodes.map((_, i) => nameAt(i));
    const first = aPod({ name: 'first', gpus: 1 });
    reservations.hold(first.uid, [{ pod: first, node: 'node-06', until: 1 }]);
    expect(filter({ gpus: 1 }, names)[0]).toBe('node-06');
    expect([score('node-06'), score('node-00'), score('unknown')]).toEqual([1, 0, 0]);
    reservations.releaseHold(first.uid);
    expect(filter({ gpus: 1 }, names)[0]).toBe('node-00');
    expect(score('node-06')).toBe(0);
  });

  test('a pod with preferences or spread gets every node that fits', () => {
    const nodes = Array.from({ length: 9 }, () => ({ used: 0, reserved: 0, offered: true, known: true }));
    const { filter } = draw(nodes);
    const names = nodes.map((_, i) => nameAt(i));
    const spread = {
      topologyKey: 'zone',
      maxSkew: 1,
      minDomains: 1,
      selector: [],
      honorsAffinity: true,
      honorsTaints: false,
    };
    expect(filter({ template: { hasPreferences: true } }, names)).toEqual(names);
    expect(filter({ template: { spread: [spread] } }, names)).toEqual(names);
    expect(filter({}, names)).toHaveLength(CANDIDATES);
  });

  test('follow a change of the nodes and of the resources they have', () => {
    const { table, filter } = draw(
      [1, 2, 3, 4, 5, 6].map((used) => ({ used, reserved: 0, offered: true, known: true })),
    );
    const names = [0, 1, 2, 3, 4, 5].map(nameAt);
    expect(filter({ gpus: 1 }, names)).toEqual(['node-05', 'node-04', 'node-03', 'node-02']);
    table.deleteNode('node-05');
    table.applyNode(aNode({ name: 'a-new-one', gpus: 1, allocatable: { 'example.com/nic': 4 } }));
    expect(filter({ gpus: 1 }, [...names, 'a-new-one'])).toEqual(['a-new-one', 'node-04', 'node-03', 'node-02']);
  });
});

function indexOf(name: string): number {
  return Number(name.slice('node-'.length));
}
