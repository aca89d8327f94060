/* Counting members and slices, against plain counting domain by domain. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DomainCapacity, type SliceShape } from '../../../src/core/placement/domain-capacity.ts';
import { classify } from '../../../src/core/placement/member-classes.ts';
import type { Snapshot } from '../../../src/core/snapshot/snapshot.ts';
import { Transaction } from '../../../src/core/snapshot/transaction.ts';
import { type DomainIdx, domainAt, type NodeIdx, pathOf, ROOT } from '../../../src/core/topology/tree.ts';
import { aGang, type GangOptions, members } from '../../support/gangs.ts';
import { drawSnapshot } from '../../support/topology.ts';

function countOf(snapshot: Snapshot, gpus: number, slice?: SliceShape, mask?: Uint8Array, options: GangOptions = {}) {
  const policy = { isAccelerator: () => true, score: 'best-fit' } as const;
  const [all] = classify(snapshot, aGang(members(1, { gpus }), options), policy);
  return DomainCapacity.count(new Transaction(snapshot), all!, { domain: ROOT, mask }, slice);
}

const drawing = `block-1/rack-1: n1[8] n2[4]
                 block-1/rack-2: n3[6]
                 block-1/-: n4[8]
                 -/-: n5[2]`;
const at = ({ topology }: Snapshot, path: string) =>
  topology.names.findIndex((_, domain) => pathOf(topology, domain as DomainIdx) === path) as DomainIdx;

describe('how many members a domain takes', () => {
  const snapshot = drawSnapshot(drawing);
  const tally = countOf(snapshot, 2);
  test.each<[string, number]>([
    ['', 14],
    ['block-1', 13],
    ['block-1/rack-1', 6],
    ['block-1/rack-2', 3],
    ['block-1/-/n4', 4],
    ['-/-/n5', 1],
  ])('"%s": %i', (path, fits) => {
    expect(tally.fits(at(snapshot, path))).toBe(fits);
  });

  test('masked, refused and overcommitted nodes take none', () => {
    const drawn = drawSnapshot('rack-1: n1[8] n2[8] n3[8] n4[-2]');
    const mask = Uint8Array.from(drawn.nodes, (node) => (node?.name === 'n1' ? 0 : 1));
    expect(countOf(drawn, 2, undefined, mask).fits(ROOT)).toBe(8);
    expect(countOf(drawn, 2, undefined, mask, { refused: ['n2'] }).fits(ROOT)).toBe(4);
  });

  test('nodes that take more than the gang has count with all that they take', () => {
    expect(countOf(drawSnapshot('-: n1[8]'), 1).fits(ROOT)).toBe(8);
  });
});

describe('slices', () => {
  const snapshot = drawSnapshot(drawing);
  const inRacks = countOf(snapshot, 2, { size: 4, level: 1 });
  test.each<[string, number, number]>([
    ['', 1, 3],
    ['block-1', 1, 3],
    ['block-1/rack-1', 1, 2],
    ['block-1/rack-2', 0, 3],
  ])('"%s" takes %i whole ones and beside them %i members of a shorter one', (path, whole, rest) => {
    const domain = at(snapshot, path);
    expect(inRacks.slices(domain)).toBe(whole);
    expect(inRacks.largestRemainder(domain)).toBe(rest);
  });

  test.each<[string, number, number]>([
    ['', 4, 4],
    ['', 6, 6],
    ['', 7, 7],
    ['', 8, 7],
    ['block-1/rack-1', 6, 6],
    ['block-1/rack-2', 3, 3],
    ['block-1/rack-2', 4, 3],
    ['block-1/-/n4', 4, 4],
  ])('"%s" takes of %i members %i', (path, want, most) => {
    expect(inRacks.most(at(snapshot, path), want)).toBe(most);
    expect(inRacks.holds(at(snapshot, path), want)).toBe(most === want);
  });
});

test('for any labels, the counts are those of the nodes inside', () => {
  const nodeArb = fc.record({
    block: fc.constantFrom('-', 'a', 'b'),
    rack: fc.constantFrom('-', '1', '2'),
    free: fc.integer({ min: 0, max: 8 }),
  });
  fc.assert(
    fc.property(fc.array(nodeArb, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 4 }), (nodes, size) => {
      const snapshot = drawSnapshot(
        nodes.map(({ block, rack, free }, i) => `${block}/${rack}: n${i}[${free}]`).join('\n'),
      );
      const tally = countOf(snapshot, 1, { size, level: 1 });
      const { topology } = snapshot;
      for (let domain = 0 as DomainIdx; domain < topology.names.length; domain++) {
        const level = topology.levelOf[domain]!;
        const inside = snapshot.byName.filter((row) => domainAt(topology, row, level) === domain);
        const freeOn = (row: NodeIdx) => nodes[Number(snapshot.nodes[row]!.name.slice(1))]!.free;
        expect(tally.fits(domain)).toBe(inside.reduce((sum, row) => sum + freeOn(row), 0));
        if (level > 1) continue;
        const racks = new Map<string, number>();
        for (const row of inside) {
          const { block, rack } = nodes[Number(snapshot.nodes[row]!.name.slice(1))]!;
          if (rack !== '-') racks.set(`${block}/${rack}`, (racks.get(`${block}/${rack}`) ?? 0) + freeOn(row));
        }
        const whole = [...racks.values()].reduce((sum, room) => sum + Math.floor(room / size), 0);
        expect(tally.slices(domain)).toBe(whole);
      }
    }),
    { numRuns: 300 },
  );
});
