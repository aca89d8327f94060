/*
 * The planner against the optimum, found by exhaustive search (test/support/optimum.ts), on 2,000 random small trees.
 * The seeds are fixed: the shares are the same in every run.
 */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import {
  countTouched,
  domainsOf,
  fewestDomains,
  fitsMixed,
  fitsOneDomain,
  type Kind,
  mostOn,
  type Wish,
  widen,
} from '../../support/optimum.ts';
import {
  CPUS,
  type DrawnGang,
  drawTree,
  planOn,
  seatsOf,
  type Tree,
  type TreeNode,
  treeArb,
} from '../../support/random-trees.ts';

vi.setConfig({ testTimeout: 60_000 });

const COUNT = 2_000;

const trees = fc.sample(treeArb(), { numRuns: COUNT, seed: 5 });

/** The request for each tree. Levels are drawn as fractions of its depth. */
const draws = fc.sample(
  fc.record({
    count: fc.integer({ min: 1, max: 24 }),
    gpus: fc.constantFrom(1, 1, 2, 3, 4, 8),
    size: fc.integer({ min: 1, max: 8 }),
    spare: fc.nat({ max: 12 }),
    level: fc.nat({ max: 5 }),
    outer: fc.nat({ max: 5 }),
    sliceLevel: fc.nat({ max: 5 }),
  }),
  { numRuns: COUNT, seed: 6 },
);

interface Case {
  readonly tree: Tree;
  readonly wish: Wish;
  /** A labelled level, and one that is not inside of it. */
  readonly level: number;
  readonly outer: number;
  /** How many members need not be placed. */
  readonly spare: number;
}

/** Gangs of equal members. */
const plain: readonly Case[] = trees.map((tree, i) => {
  const { count, gpus, spare, ...lots } = draws[i]!;
  const level = lots.level % tree.depth;
  return { tree, wish: { count, gpus, slices: undefined }, level, outer: lots.outer % (level + 1), spare };
});

/** The same in slices; the last one is usually shorter. */
const sliced: readonly Case[] = plain.map(({ tree, wish, ...rest }, i) => {
  const { size, sliceLevel } = draws[i]!;
  return { tree, wish: { ...wish, slices: { size, level: sliceLevel % tree.depth } }, ...rest };
});

function gangOf({ count, gpus, slices }: Wish, more: Partial<DrawnGang> = {}): DrawnGang {
  return { roles: [{ count, gpus, cpu: 0 }], spare: 0, slices, ...more };
}

/** How many members the gang got placed on the tree, and over how many domains of the level. */
function place(tree: Tree, gang: DrawnGang, level = -1) {
  const nodes = seatsOf(tree, gang, planOn(tree, gang)).map(({ node }) => node);
  return { placed: nodes.length, touched: countTouched(tree, level, nodes) };
}

/** The smallest tree with an unexpected result, drawn; undefined: none. */
function findMiss(
  cases: readonly Case[],
  look: (drawn: Case) => { readonly found: number | boolean; readonly expected: number | boolean },
): string | undefined {
  let miss: { readonly nodes: number; readonly text: string } | undefined;
  for (const drawn of cases) {
    const { tree, wish, level, outer, spare } = drawn;
    const { found, expected } = look(drawn);
    if (found === expected || (miss && miss.nodes <= tree.nodes.length)) continue;
    const asked = JSON.stringify({ ...wish, level, outer, spare });
    miss = { nodes: tree.nodes.length, text: `expected ${expected}, found ${found}: ${asked} on\n${drawTree(tree)}` };
  }
  return miss?.text;
}

describe('the exhaustive search', () => {
  const node = (labels: string, free: number): TreeNode => ({
    name: `${labels}[${free}]`,
    labels: labels.split('/').map((label) => (label === '-' ? undefined : label)),
    free,
    takenBy: 'nobody',
  });
  const tree: Tree = {
    depth: 2,
    nodes: [node('a/x', 8), node('a/x', 2), node('a/y', 8), node('b/x', 5), node('-/x', 8), node('a/-', 3)],
  };
  const wish = (count: number, slices?: Wish['slices']): Wish => ({ count, gpus: 1, slices });

  test('keys a domain by its path, and knows no domain of unknown nodes', () => {
    expect(domainsOf(tree, 1)).toEqual([[0, 1], [2], [3], [4]]);
    expect(domainsOf(tree, 0)).toEqual([[0, 1, 2, 5], [3]]);
    expect(domainsOf(tree, 2)).toHaveLength(6);
  });

  test.each<[string, number, Wish, number | undefined]>([
    ['one rack', 1, wish(10), 1],
    ['two racks', 1, wish(18), 2],
    ['every node outside of the racks counts as a rack', 1, wish(34), 5],
    ['more than there is', 1, wish(35), undefined],
    ['slices of five: two in the first rack, one in each other', 1, wish(15, { size: 5, level: 1 }), 2],
    ['a short last slice beside them', 1, wish(13, { size: 5, level: 1 }), 2],
    ['slices do not go where no rack is known', 1, wish(30, { size: 5, level: 1 }), undefined],
  ])('%s', (_, level, asked, fewest) => {
    expect(fewestDomains(tree, level, asked)).toBe(fewest);
  });

  test('widens one level at a time', () => {
    expect(widen(tree, 1, wish(10))).toEqual({ level: 1, domains: 1 });
    expect(widen(tree, 1, wish(21))).toEqual({ level: 0, domains: 3 });
    expect(widen(tree, 1, wish(22))).toEqual({ level: -1, domains: 3 });
    expect(widen(tree, 1, wish(22), 0)).toBeUndefined();
  });

  test('tries every division of two kinds', () => {
    const one: Tree = { depth: 1, nodes: [node('a', 8), node('a', 4), node('-', 8)] };
    const launcher = { count: 1, gpus: 0, cpu: CPUS };
    expect(fitsMixed(one, 0, [launcher, { count: 2, gpus: 4, cpu: 8 }], CPUS)).toBe(true);
    expect(fitsMixed(one, 0, [launcher, { count: 3, gpus: 4, cpu: 8 }], CPUS)).toBe(false);
  });
});

describe('a required level', () => {
  test.each([
    ['a gang', plain],
    ['a gang in slices, the last of them short or not,', sliced],
  ])('%s is placed whenever a domain of it holds it', (_, cases) => {
    const miss = findMiss(cases, ({ tree, wish, level }) => ({
      found: place(tree, gangOf(wish, { required: level })).placed,
      expected: fitsOneDomain(tree, level, wish) ? wish.count : 0,
    }));
    expect(miss).toBeUndefined();
  });

  test('slices alone are placed whenever they fit', () => {
    const miss = findMiss(sliced, ({ tree, wish }) => ({
      found: place(tree, gangOf(wish)).placed,
      expected: fitsOneDomain(tree, -1, wish) ? wish.count : 0,
    }));
    expect(miss).toBeUndefined();
  });

  test('an elastic gang is as large as the best domain allows, and waits below its minimum', () => {
    const miss = findMiss(plain, ({ tree, wish, level, spare }) => {
      const most = Math.max(0, ...domainsOf(tree, level).map((domain) => mostOn(tree, domain, wish)));
      return {
        found: place(tree, gangOf(wish, { required: level, spare })).placed,
        expected: most >= Math.max(1, wish.count - spare) ? most : 0,
      };
    });
    expect(miss).toBeUndefined();
  });

  test('an elastic gang in slices starts whenever its minimum fits', () => {
    const miss = findMiss(sliced, ({ tree, wish, level, spare }) => {
      const min = Math.max(1, wish.count - spare);
      return {
        found: place(tree, gangOf(wish, { required: level, spare })).placed >= min,
        expected: fitsOneDomain(tree, level, { ...wish, count: min }),
      };
    });
    expect(miss).toBeUndefined();
  });
});

describe('a preferred level', () => {
  const none = () => -1;
  const outside = ({ level, outer }: Case) => Math.min(level, outer) - 1;

  test.each<[string, readonly Case[], (drawn: Case) => number, number]>([
    ['a gang', plain, none, 0.99],
    ['a gang in slices', sliced, none, 0.97],
    ['a gang that requires a level outside of it', plain, outside, 0.99],
    ['a gang in slices that requires a level outside of it', sliced, outside, 0.97],
  ])('%s uses the fewest domains inside the innermost one that holds it', (what, cases, outermost, ofWide) => {
    const tally = { placed: 0, optimal: 0, wide: 0, wideOptimal: 0, absolute: 0 };
    const tooMany = findMiss(cases, (drawn) => {
      const { tree, wish, level } = drawn;
      const required = outermost(drawn);
      const best = widen(tree, level, wish, required);
      const gang = gangOf(wish, { preferred: level, ...(required >= 0 && { required }) });
      const { placed, touched } = place(tree, gang, level);
      if (!best) return { found: placed, expected: 0 };
      const isOptimal = touched === best.domains;
      tally.placed++;
      tally.optimal += Number(isOptimal);
      // If one domain is enough there is little to choose.
      if (best.domains > 1) {
        tally.wide++;
        tally.wideOptimal += Number(isOptimal);
        tally.absolute += Number(touched === fewestDomains(tree, level, wish));
      }
      return { found: placed === wish.count && touched <= best.domains + 1, expected: true };
    });
    expect(tooMany).toBeUndefined();
    console.log(
      `${what}: ${tally.optimal} of ${tally.placed} optimal, ${tally.wideOptimal} of ${tally.wide} that need several domains;`,
      `${tally.absolute} of these also use the fewest of the whole cluster`,
    );
    expect(tally.wide).toBeGreaterThan(100);
    expect(tally.optimal / tally.placed).toBeGreaterThanOrEqual(0.99);
    expect(tally.wideOptimal / tally.wide).toBeGreaterThanOrEqual(ofWide);
  });
});

describe('a gang that asks for nothing', () => {
  test('is in one domain of the innermost level that can hold it, hosts first', () => {
    const miss = findMiss(plain, ({ tree, wish }) => {
      const levels = Array.from({ length: tree.depth + 2 }, (_, i) => tree.depth - i);
      const best = levels.find((level) => fitsOneDomain(tree, level, wish));
      const { placed, touched } = place(tree, gangOf(wish), best);
      return { found: placed === wish.count && touched === 1, expected: best !== undefined };
    });
    expect(miss).toBeUndefined();
  });
});

describe('a mixed gang', () => {
  const kind = fc.record({
    count: fc.integer({ min: 1, max: 6 }),
    gpus: fc.constantFrom(1, 2, 3, 4, 8),
    cpu: fc.constantFrom(4, 12, 24),
  });
  const launcher = fc.record({
    count: fc.integer({ min: 1, max: 2 }),
    gpus: fc.constant(0),
    cpu: fc.constantFrom(8, 64, CPUS),
  });
  const small = fc.sample(treeArb({ maxNodes: 7 }), { numRuns: COUNT, seed: 7 });

  test.each<[string, fc.Arbitrary<[Kind, Kind]>]>([
    ['a launcher and workers', fc.tuple(launcher, kind)],
    ['two kinds of workers', fc.tuple(kind, kind)],
  ])('%s: a required level is met nearly whenever it can be, and only then', (what, kinds) => {
    const roles = fc.sample(kinds, { numRuns: COUNT, seed: 8 });
    let possible = 0;
    let found = 0;
    small.forEach((tree, i) => {
      const level = draws[i]!.level % tree.depth;
      const { placed } = place(tree, { roles: roles[i]!, spare: 0, required: level });
      const fits = fitsMixed(tree, level, roles[i]!, CPUS);
      if (!fits) expect(placed, drawTree(tree)).toBe(0);
      possible += Number(fits);
      found += Number(placed > 0);
    });
    console.log(`${what}: ${found} of ${possible}`);
    expect(possible).toBeGreaterThan(200);
    expect(found / possible).toBeGreaterThanOrEqual(0.99);
  });
});

test('the random trees are irregular: domains of unlike size, unknown nodes, names that repeat', () => {
  const share = (holds: (tree: Tree) => boolean) => trees.filter(holds).length / COUNT;
  const unlike = (tree: Tree) => new Set(domainsOf(tree, tree.depth - 1).map(({ length }) => length)).size > 1;
  const unknown = ({ nodes }: Tree) => nodes.some(({ labels }) => labels.includes(undefined));
  const repeats = (tree: Tree) => {
    const names = domainsOf(tree, tree.depth - 1).map(([first]) => tree.nodes[first!]!.labels.at(-1));
    return new Set(names).size < names.length;
  };
  for (const is of [unlike, unknown, repeats]) expect(share(is)).toBeGreaterThan(0.3);
});
