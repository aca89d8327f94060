/*
 * Laws of placement on the fabric, over random irregular trees and requests; domains are derived from the labels a
 * second time.
 */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { allNodes, domainKey, domainsOf, fitsOneDomain, mostOn } from '../../support/optimum.ts';
import {
  CPUS,
  type DrawnGang,
  drawTree,
  MODELS,
  planAs,
  planOn,
  type Role,
  requestOf,
  type Seat,
  seatsOf,
  snapshotOf,
  type Tree,
  treeArb,
} from '../../support/random-trees.ts';

vi.setConfig({ testTimeout: 60_000 });

const runs = { numRuns: 400 };

const scores = ['best-fit', 'least-fragmentation', 'spread'] as const;

interface Case {
  readonly tree: Tree;
  readonly gang: DrawnGang;
  readonly score: (typeof scores)[number];
}

const roleArb: fc.Arbitrary<Role> = fc.record({
  count: fc.integer({ min: 1, max: 12 }),
  gpus: fc.constantFrom(0, 1, 1, 1, 2, 3, 4, 8),
  cpu: fc.constantFrom(1, 1, 12, 40, CPUS),
});

const fabricRole = roleArb.map((role) => ({ ...role, gpus: Math.max(1, role.gpus) }));

function maybe<T>(arb: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arb, { nil: undefined, freq: 2 });
}

/** Any request. Levels include the hosts. */
function anyGang({ depth, nodes }: Tree): fc.Arbitrary<DrawnGang> {
  const level = fc.nat({ max: depth });
  return fc.record({
    roles: fc.oneof(
      { arbitrary: fc.tuple(fabricRole), weight: 3 },
      { arbitrary: fc.tuple(roleArb, fabricRole), weight: 1 },
    ),
    spare: fc.constantFrom(0, 0, 1, 4, 12),
    required: maybe(level),
    preferred: maybe(level),
    patient: fc.boolean(),
    slices: maybe(fc.record({ size: fc.integer({ min: 1, max: 6 }), level })),
    spread: fc.option(level, { nil: undefined, freq: 4 }),
    exclusive: fc.option(level, { nil: undefined, freq: 3 }),
    placed: fc.uniqueArray(fc.record({ rank: fc.nat({ max: 11 }), on: fc.nat({ max: nodes.length - 1 }) }), {
      maxLength: 2,
      selector: ({ rank }) => rank,
    }),
  });
}

const caseArb: fc.Arbitrary<Case> = treeArb({ gangs: true }).chain((tree) =>
  fc.record({ tree: fc.constant(tree), gang: anyGang(tree), score: fc.constantFrom(...scores) }),
);

/** Equal members and nothing placed: whether they fit is arithmetic. */
const plainArb: fc.Arbitrary<Case> = caseArb.map(({ gang, ...rest }) => ({
  ...rest,
  gang: { ...gang, roles: gang.roles.slice(-1).map((role) => ({ ...role, cpu: 0 })), placed: [] },
}));

function seatsIn({ tree, gang, score }: Case): readonly Seat[] {
  return seatsOf(tree, gang, planOn(tree, gang, score));
}

/** The members placed now and those that run already; empty if none is placed now. */
function withPlaced({ gang }: Case, seats: readonly Seat[]): readonly Pick<Seat, 'rank' | 'node'>[] {
  return seats.length === 0 ? [] : [...seats, ...gang.placed!.map(({ rank, on }) => ({ rank, node: on }))];
}

const text = ({ tree, gang, score }: Case) => `${JSON.stringify(gang)} ${score} on\n${drawTree(tree)}\n`;

/** Names of the domains that the nodes are in; undefined for nodes in none. */
function keysAt(tree: Tree, level: number, seats: readonly Pick<Seat, 'node'>[]): Set<string | undefined> {
  return new Set(seats.map(({ node }) => domainKey(tree, node, level)));
}

/** Laws about placements are empty where nothing is placed: a few percent of the cases must place something. */
function law(arb: fc.Arbitrary<Case>, holds: (drawn: Case, seats: readonly Seat[]) => void): void {
  let placed = 0;
  fc.assert(
    fc.property(arb, (drawn) => {
      const seats = seatsIn(drawn);
      if (seats.length > 0) placed++;
      holds(drawn, seats);
    }),
    runs,
  );
  expect(placed).toBeGreaterThan(runs.numRuns / 50);
}

function expectOneDomain(drawn: Case, level: number, seats: readonly Pick<Seat, 'node'>[]): void {
  if (seats.length === 0) return;
  const keys = keysAt(drawn.tree, level, seats);
  expect(keys.size, text(drawn)).toBe(1);
  expect(keys.has(undefined), text(drawn)).toBe(false);
}

/** The slices: runs of ranks, with placed and new members. */
function chunk(seats: readonly Pick<Seat, 'rank' | 'node'>[], size: number) {
  return Map.groupBy(seats, ({ rank }) => Math.floor(rank / size)).values();
}

/** Running members are where the gang's own request allows. */
const soundArb: fc.Arbitrary<Case> = caseArb.filter(({ tree, gang: { placed = [], required = -1, slices } }) => {
  const seats = placed.map(({ rank, on }) => ({ rank, node: on }));
  if (seats.length === 0) return true;
  const inOne = (some: typeof seats, level: number) => {
    const keys = keysAt(tree, level, some);
    return keys.size === 1 && !keys.has(undefined);
  };
  return (
    inOne(seats, required) && (!slices || [...chunk(seats, slices.size)].every((some) => inOne(some, slices.level)))
  );
});

const asking = (key: 'required' | 'preferred' | 'slices' | 'spread' | 'exclusive') =>
  soundArb.filter(({ gang }) => gang[key] !== undefined);

describe('every placement', () => {
  test('a required level is never crossed', () => {
    law(asking('required'), (drawn, seats) => {
      expectOneDomain(drawn, drawn.gang.required!, withPlaced(drawn, seats));
    });
  });

  test('the preferred level is not crossed while the gang has patience', () => {
    const arb = asking('preferred')
      .map(({ gang, ...rest }) => ({ ...rest, gang: { ...gang, patient: true } }))
      .filter(({ tree, gang: { preferred = -1, required = -1, placed = [] } }) => {
        const homes = keysAt(
          tree,
          preferred,
          placed.map(({ on }) => ({ node: on })),
        );
        return preferred > required && homes.size <= 1 && !homes.has(undefined);
      });
    law(arb, (drawn, seats) => expectOneDomain(drawn, drawn.gang.preferred!, seats));
  });

  test('every slice is in one domain of its level, with its members that run already', () => {
    law(asking('slices'), (drawn, seats) => {
      const { size, level } = drawn.gang.slices!;
      for (const slice of chunk(withPlaced(drawn, seats), size)) expectOneDomain(drawn, level, slice);
    });
  });

  test('a node without the label is in no domain of a level that the gang asks for', () => {
    law(soundArb, (drawn, seats) => {
      const { required, spread, exclusive, slices } = drawn.gang;
      for (const level of [required, spread, exclusive, slices?.level]) {
        const keys = level === undefined ? [] : [...keysAt(drawn.tree, level, seats)];
        expect(keys, text(drawn)).not.toContain(undefined);
      }
    });
  });

  test('an exclusive gang is where no other gang is', () => {
    law(asking('exclusive'), (drawn, seats) => {
      const { tree, gang } = drawn;
      const others = allNodes(tree).filter(
        (node) => tree.nodes[node]!.free < 8 && tree.nodes[node]!.takenBy !== 'nobody',
      );
      const mine = keysAt(tree, gang.exclusive!, seats);
      for (const node of others) expect(mine.has(domainKey(tree, node, gang.exclusive!)), text(drawn)).toBe(false);
    });
  });

  test('no other gang enters the domain of an exclusive gang', () => {
    law(soundArb, (drawn, seats) => {
      const { tree } = drawn;
      const hermits = allNodes(tree).filter(
        (node) => tree.nodes[node]!.free < 8 && tree.nodes[node]!.takenBy === 'hermit',
      );
      const mine = keysAt(tree, 0, seats);
      for (const node of hermits) {
        const key = domainKey(tree, node, 0);
        if (key !== undefined) expect(mine.has(key), text(drawn)).toBe(false);
      }
    });
  });

  test('no node gets more members than fit', () => {
    law(soundArb, (drawn, seats) => {
      for (const [node, here] of Map.groupBy(seats, (seat) => seat.node)) {
        const sum = (amount: (role: Role) => number) => here.reduce((total, { role }) => total + amount(role), 0);
        expect(
          sum(({ gpus }) => gpus),
          text(drawn),
        ).toBeLessThanOrEqual(drawn.tree.nodes[node]!.free);
        expect(
          sum(({ cpu }) => cpu),
          text(drawn),
        ).toBeLessThanOrEqual(CPUS);
      }
    });
  });

  test('places at least the minimum or none, each member once', () => {
    law(soundArb, (drawn, seats) => {
      const { members, min } = requestOf(drawn.tree, drawn.gang);
      expect(new Set(seats.map(({ rank }) => rank)).size).toBe(seats.length);
      if (seats.length > 0) expect(seats.length, text(drawn)).toBeGreaterThanOrEqual(min);
      expect(seats.length).toBeLessThanOrEqual(members.length);
    });
  });

  test('leaves the snapshot as it was', () => {
    law(caseArb, ({ tree, gang, score }) => {
      const snapshot = snapshotOf(tree);
      const before = structuredClone(snapshot.free);
      planAs(snapshot, requestOf(tree, gang), score);
      expect(snapshot.free).toEqual(before);
    });
  });

  test('is the same in any order of nodes', () => {
    const shuffled = caseArb.chain((drawn) => {
      const all = [...allNodes(drawn.tree)];
      return fc.record({ drawn: fc.constant(drawn), order: fc.shuffledSubarray(all, { minLength: all.length }) });
    });
    fc.assert(
      fc.property(shuffled, ({ drawn: { tree, gang, score }, order }) => {
        const request = requestOf(tree, gang);
        expect(planAs(snapshotOf(tree, order), request, score)).toEqual(planAs(snapshotOf(tree), request, score));
      }),
      runs,
    );
  });
});

describe('equal members', () => {
  test('never fail because more nodes are free', () => {
    const grown = plainArb.chain((drawn) => {
      const label = fc.constantFrom('a', 'b', 'z', undefined);
      const labels = fc.array(label, { minLength: drawn.tree.depth, maxLength: drawn.tree.depth });
      const freed = fc.nat({ max: drawn.tree.nodes.length - 1 });
      return fc.record({
        drawn: fc.constant(drawn),
        labels,
        freed,
        adds: fc.boolean(),
        name: fc.constantFrom('m', 'z'),
      });
    });
    fc.assert(
      fc.property(grown, ({ drawn, labels, freed, adds, name }) => {
        const before = seatsIn(drawn).length;
        fc.pre(before > 0);
        const { nodes } = drawn.tree;
        const more = adds
          ? [...nodes, { name, labels, free: 8, takenBy: 'nobody' as const }]
          : nodes.with(freed, { ...nodes[freed]!, free: 8 });
        const after = seatsIn({ ...drawn, tree: { ...drawn.tree, nodes: more } }).length;
        expect(after, `${text(drawn)}${adds ? `and ${labels}` : `n${freed} freed`}`).toBeGreaterThanOrEqual(before);
      }),
      runs,
    );
  });

  test('neighbours in rank are neighbours on the fabric: no domain is left and entered again', () => {
    const arb = plainArb.filter(({ gang: { spread } }) => spread === undefined);
    law(arb, (drawn, seats) => {
      // A shorter last slice has the last ranks, wherever it is.
      fc.pre(seats.length % (drawn.gang.slices?.size ?? 1) === 0);
      for (let level = 0; level <= drawn.tree.depth; level++) {
        const keys = seats.map(({ node }) => domainKey(drawn.tree, node, level)).filter((key) => key !== undefined);
        const runsOfKeys = keys.filter((key, i) => key !== keys[i - 1]);
        expect(new Set(runsOfKeys).size, text(drawn)).toBe(runsOfKeys.length);
      }
    });
  });

  test('spread members, or slices, are as even as capacity allows', () => {
    const arb: fc.Arbitrary<Case> = treeArb().chain((tree) =>
      fc
        .record({
          size: fc.integer({ min: 1, max: 3 }),
          slices: fc.integer({ min: 1, max: 6 }),
          gpus: fc.constantFrom(1, 2, 4, 8),
          levels: fc.tuple(fc.nat({ max: tree.depth - 1 }), fc.nat({ max: tree.depth - 1 })),
          score: fc.constantFrom(...scores),
        })
        .map(({ size, slices, gpus, levels, score }) => {
          const [spread, level] = levels.toSorted() as [number, number];
          const gang: DrawnGang = {
            roles: [{ count: size * slices, gpus, cpu: 0 }],
            spare: 0,
            spread,
            ...(size > 1 && { slices: { size, level } }),
          };
          return { tree, gang, score };
        }),
    );
    law(arb, (drawn, seats) => {
      const { tree, gang } = drawn;
      fc.pre(seats.length > 0);
      const { count, gpus } = gang.roles[0]!;
      const size = gang.slices?.size ?? 1;
      const units = domainsOf(tree, gang.spread!).map((domain) => ({
        used: seats.filter(({ node }) => domain.includes(node)).length / size,
        room: mostOn(tree, domain, { count, gpus, slices: gang.slices }) / size,
      }));
      const most = Math.max(...units.map(({ used }) => used));
      for (const { used, room } of units) {
        if (used < most - 1) expect(used, text(drawn)).toBe(Math.floor(room));
      }
    });
  });

  test('on a fabric without labels only the hosts are domains', () => {
    const bare = treeArb({ missing: 1 }).chain((tree) =>
      fc.record({ tree: fc.constant(tree), gang: anyGang(tree), score: fc.constantFrom(...scores) }),
    );
    fc.assert(
      fc.property(bare, (drawn) => {
        const { depth } = drawn.tree;
        const { required = depth, spread = depth, exclusive = depth, slices } = drawn.gang;
        fc.pre(Math.min(required, spread, exclusive, slices?.level ?? depth) < depth);
        const fresh = { ...drawn, gang: { ...drawn.gang, placed: [] } };
        expect(seatsIn(fresh), text(fresh)).toEqual([]);
      }),
      runs,
    );
  });

  test('a replacement goes to the innermost domain with capacity around its neighbour, but not out of its slice', () => {
    const arb: fc.Arbitrary<Case> = treeArb().chain((tree) =>
      fc
        .record({
          slice: maybe(fc.nat({ max: tree.depth })),
          on: fc.nat({ max: tree.nodes.length - 1 }),
          gpus: fc.constantFrom(1, 2, 4, 8),
          rank: fc.nat({ max: 3 }),
        })
        .filter(({ slice, on }) => slice === undefined || domainKey(tree, on, slice) !== undefined)
        .map(({ slice, on, gpus, rank }) => {
          const slices = slice === undefined ? undefined : { size: 4, level: slice };
          const gang = { roles: [{ count: 1, gpus, cpu: 0 }], spare: 0, placed: [{ rank, on }], slices };
          return { tree, gang, score: 'best-fit' as const };
        }),
    );
    law(arb, (drawn, seats) => {
      const { tree, gang } = drawn;
      const [seat] = seats;
      const home = gang.placed![0]!.on;
      const wish = { count: 1, gpus: gang.roles[0]!.gpus, slices: undefined };
      for (let level = tree.depth; level >= (gang.slices?.level ?? -1); level--) {
        const key = domainKey(tree, home, level);
        const domain = domainsOf(tree, level).find((nodes) => nodes.includes(home));
        if (!domain || mostOn(tree, domain, wish) === 0) continue;
        expect(domainKey(tree, seat!.node, level), text(drawn)).toBe(key);
        return;
      }
      expect(seat).toBeUndefined();
    });
  });
});

describe('GPU models', () => {
  test('are not mixed while one pool holds the gang, NVLink first', () => {
    const arb: fc.Arbitrary<Case> = treeArb({ models: true }).chain((tree) =>
      fc
        .record({
          count: fc.integer({ min: 1, max: 16 }),
          gpus: fc.constantFrom(1, 2, 4, 8),
          required: maybe(fc.nat({ max: tree.depth - 1 })),
          score: fc.constantFrom(...scores),
        })
        .map(({ count, gpus, required, score }) => {
          return { tree, gang: { roles: [{ count, gpus, cpu: 0 }], spare: 0, required }, score };
        }),
    );
    law(arb, (drawn, seats) => {
      const { tree, gang } = drawn;
      const { count, gpus } = gang.roles[0]!;
      const fitting = MODELS.findIndex((model) => {
        const pool = allNodes(tree).filter((node) => tree.nodes[node]!.model === model);
        return fitsOneDomain(tree, gang.required ?? -1, { count, gpus, slices: undefined }, pool);
      });
      fc.pre(fitting >= 0);
      const models = new Set(seats.map(({ node }) => tree.nodes[node]!.model));
      expect([...models], text(drawn)).toEqual([MODELS[fitting]]);
    });
  });
});
