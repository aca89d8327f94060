/* Laws of planned starts on random small clusters, checked against plain counts over time. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { Ending, PlannedStart } from '../../../src/core/backfill/planned-start.ts';
import { reservedView } from '../../../src/core/backfill/reserved-view.ts';
import { planStart } from '../../../src/core/backfill/start-planner.ts';
import { planGang } from '../../../src/core/placement/plan.ts';
import { aPod } from '../../support/builders.ts';
import {
  countRoom,
  endingsOf,
  FOREVER,
  gangOf,
  loadsOf,
  policy,
  shapeArb,
  shapeOf,
  snapshotOf,
  startWorldArb,
} from '../../support/start-worlds.ts';
import { printSnapshot } from '../../support/topology.ts';

vi.setConfig({ testTimeout: 120_000 });

const runs = { numRuns: 300 };
const NOW = 0;

const wishArb = fc.record({
  count: fc.integer({ min: 1, max: 6 }),
  shape: shapeArb,
  length: fc.constantFrom(1, 2, 3, 10, FOREVER),
  required: fc.boolean(),
});
type Wish = typeof wishArb extends fc.Arbitrary<infer Value> ? Value : never;

const requestOf = ({ count, shape, required }: Wish, name: string) =>
  gangOf(`default/${name}`, count, shape, required ? 'rack' : undefined);
const lengthOf = ({ length }: Wish) => (length === FOREVER ? undefined : length);

/** Planned starts one after the other, none of which delays another. */
function planAll(
  nodes: readonly string[],
  endings: readonly Ending[],
  wishes: readonly Wish[],
): readonly PlannedStart[] {
  const snapshot = snapshotOf({ nodes }, endings);
  const starts: PlannedStart[] = [];
  wishes.forEach((wish, i) => {
    const start = planStart(
      snapshot,
      { request: requestOf(wish, `wait-${i}`), lengthMs: lengthOf(wish), endings, earlier: starts },
      policy,
      NOW,
    );
    if (start) starts.push(start);
  });
  return starts;
}

/** The times at which something leaves or starts. */
function listInstants(endings: readonly Ending[], starts: readonly PlannedStart[]): readonly number[] {
  const all = [NOW, ...endings.map(({ endsAt }) => endsAt), ...starts.map(({ endsAt }) => endsAt)];
  return [...new Set(all)].filter(Number.isFinite).sort((a, b) => a - b);
}

describe('a planned start', () => {
  test('is the earliest time at which the gang fits by count, beside all earlier starts', () => {
    let [known, unknown, never] = [0, 0, 0];
    fc.assert(
      fc.property(startWorldArb, fc.array(wishArb, { maxLength: 3 }), wishArb, (world, wishes, wish) => {
        const endings = endingsOf(world);
        const earlier = planAll(world.nodes, endings, wishes).filter(({ startsAt }) => Number.isFinite(startsAt));
        const snapshot = snapshotOf(world, endings);
        const before = printSnapshot(snapshot);
        const start = planStart(
          snapshot,
          { request: requestOf(wish, 'head'), lengthMs: lengthOf(wish), endings, earlier },
          policy,
          NOW,
        );
        expect(printSnapshot(snapshot)).toBe(before);
        const loads = loadsOf(endings, earlier);
        const room = (at: number) =>
          countRoom(world.nodes, wish.required, wish.shape, loads, at, at + wish.length) >= wish.count;
        const expected = listInstants(endings, earlier).find(room);
        if (expected !== undefined) {
          known++;
          expect(start?.startsAt).toBe(expected);
          expect(start?.endsAt).toBe(expected + wish.length);
        } else {
          // After all gangs with an unknown end have left, only endless starts remain.
          const endless = loadsOf(
            [],
            earlier.filter(({ endsAt }) => endsAt === FOREVER),
          );
          const fits =
            countRoom(world.nodes, wish.required, wish.shape, endless, Number.MAX_VALUE, FOREVER) >= wish.count;
          if (fits) unknown++;
          else never++;
          expect(start?.startsAt).toBe(fits ? FOREVER : undefined);
        }
      }),
      runs,
    );
    // All three kinds occur.
    expect(Math.min(known, unknown, never)).toBeGreaterThan(0);
  });

  test('waits only for gangs that have to leave', () => {
    let waited = 0;
    fc.assert(
      fc.property(startWorldArb, wishArb, (world, wish) => {
        const endings = endingsOf(world);
        const start = planStart(
          snapshotOf(world, endings),
          { request: requestOf(wish, 'head'), lengthMs: lengthOf(wish), endings, earlier: [] },
          policy,
          NOW,
        );
        if (!start) return;
        const seats = (there: readonly Ending[]) => {
          const loads = [...loadsOf(there, []), ...loadsOf([], [{ ...start, startsAt: NOW, endsAt: FOREVER }])];
          return world.nodes.every((_, i) => {
            const own = loads.filter(({ node }) => node === `n${i}`);
            const gpus = own.reduce((sum, { shape }) => sum + shape.gpus, 0);
            const cpu = own.reduce((sum, { shape }) => sum + shape.cpu, 0);
            return gpus <= 8 && cpu <= 16;
          });
        };
        const { waitsFor, startsAt } = start;
        if (startsAt === NOW) expect(waitsFor).toEqual([]);
        expect(seats(endings.filter(({ key }) => !waitsFor.includes(key)))).toBe(true);
        for (const spared of waitsFor) {
          waited++;
          expect(seats(endings.filter(({ key }) => key === spared || !waitsFor.includes(key)))).toBe(false);
          expect(endings.find(({ key }) => key === spared)!.endsAt).toBeLessThanOrEqual(startsAt);
        }
      }),
      runs,
    );
    expect(waited).toBeGreaterThan(50);
  });
});

describe('beside planned starts', () => {
  test('a gang gets all capacity that delays none of them, and no more', () => {
    let limited = 0;
    fc.assert(
      fc.property(startWorldArb, fc.array(wishArb, { minLength: 1, maxLength: 4 }), wishArb, (world, wishes, wish) => {
        const endings = endingsOf(world);
        const starts = planAll(world.nodes, endings, wishes);
        const snapshot = snapshotOf(world, endings);
        const known = starts.filter(({ startsAt }) => Number.isFinite(startsAt));
        const until = NOW + wish.length;
        // Starts due now have not begun: they count as future ones.
        const room = countRoom(world.nodes, false, wish.shape, loadsOf(endings, known), -FOREVER, until);
        const view = reservedView(snapshot, starts, endings, until);
        const isPlaced = (count: number) =>
          planGang(view, gangOf('default/small', count, wish.shape), policy, NOW).kind === 'placed';
        if (room > 0) expect(isPlaced(room)).toBe(true);
        expect(isPlaced(room + 1)).toBe(false);
        if (room < countRoom(world.nodes, false, wish.shape, loadsOf(endings, []), NOW, until)) limited++;
      }),
      runs,
    );
    expect(limited).toBeGreaterThan(20);
  });
});

describe('EASY backfill', () => {
  const streamArb = fc.record({
    nodes: fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 4 }),
    gangs: fc.array(
      fc.record({
        count: fc.integer({ min: 1, max: 6 }),
        shape: shapeArb,
        length: fc.integer({ min: 1, max: 9 }),
        required: fc.boolean(),
        arrival: fc.integer({ min: 0, max: 12 }),
      }),
      { minLength: 2, maxLength: 14, size: 'max' },
    ),
  });

  test('never delays the first blocked gang, and backfills every gang that does not', () => {
    let passed = 0;
    fc.assert(
      fc.property(streamArb, ({ nodes, gangs }) => {
        const arriving = gangs
          .map((gang, i) => ({ ...gang, request: requestOf(gang, `g${i}`) }))
          .sort((a, b) => a.arrival - b.arrival);
        const possible = arriving.filter(
          ({ count, shape, required }) => countRoom(nodes, required, shape, [], 0, FOREVER) >= count,
        );
        let running: Ending[] = [];
        let waiting: typeof possible = [];
        /** The first planned start that the first blocked gang got. */
        let promise: { readonly gang: string; readonly at: number } | undefined;
        for (let now = 0; waiting.length > 0 || possible.some(({ arrival }) => arrival >= now); now++) {
          running = running.filter(({ endsAt }) => endsAt > now);
          waiting.push(...possible.filter(({ arrival }) => arrival === now));
          const left: typeof possible = [];
          let head: PlannedStart | undefined;
          for (const gang of waiting) {
            const { request, length, required, shape, count } = gang;
            const snapshot = snapshotOf({ nodes }, running);
            const starts = head ? [head] : [];
            const until = now + length;
            const view = reservedView(snapshot, starts, running, until);
            const plan = planGang(view, request, policy, now);
            const room = countRoom(nodes, required, shape, loadsOf(running, starts), now, until);
            expect(plan.kind === 'placed').toBe(room >= count);
            if (plan.kind !== 'placed') {
              left.push(gang);
              if (head) continue;
              head = planStart(snapshot, { request, lengthMs: length, endings: running, earlier: [] }, policy, now)!;
              if (promise?.gang === head.gang) expect(head.startsAt).toBeLessThanOrEqual(promise.at);
              promise = { gang: head.gang, at: head.startsAt };
              continue;
            }
            if (head) passed++;
            if (promise?.gang === request.key) expect(now).toBeLessThanOrEqual(promise.at);
            const byUid = new Map(request.members.map((member) => [member.uid, member]));
            const pods = plan.slots.map(({ uid, node }) => {
              const { name, template } = byUid.get(uid)!;
              return aPod({ name, template, nodeName: node });
            });
            running.push({ key: request.key, pods, startedAt: now, endsAt: until });
          }
          if (promise && now >= promise.at) expect(left.map(({ request }) => request.key)).not.toContain(promise.gang);
          waiting = left;
        }
      }),
      { numRuns: 150 },
    );
    expect(passed).toBeGreaterThan(20);
  });

  test('shapes are read back as they were drawn', () => {
    fc.assert(
      fc.property(shapeArb, (shape) => {
        expect(shapeOf(gangOf('default/g', 1, shape))).toEqual(shape);
      }),
      runs,
    );
  });
});
