import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type PendingGang, type QueueHead, QueueOrder } from '../../../src/core/queues/order.ts';
import { judgeQuota, rollUp, type UseByQueue } from '../../../src/core/queues/quota.ts';
import { buildQueueTree, type QueueTree } from '../../../src/core/queues/tree.ts';
import { GPU } from '../../support/builders.ts';
import { aPendingGang, aQueue, aQueueOrderQuery, gpus, gpusOf } from '../../support/queues.ts';

/*
 * Random queues (two organisations with teams, and two queues beside them) and gangs; every third gang that may start
 * does so.
 */

const amount = fc.integer({ min: 0, max: 24 });
const quota = fc.record({
  guaranteed: amount,
  limit: fc.option(fc.integer({ min: 8, max: 40 }), { nil: undefined }),
  allowBorrowing: fc.boolean(),
  weight: fc.integer({ min: 1, max: 10 }),
});
const NAMES = ['org', 'club', 'a', 'b', 'c', 'd', 'e', 'f'] as const;
const PARENTS: Readonly<Record<string, string>> = { a: 'org', b: 'org', c: 'club', d: 'club' };
const LEAVES = ['a', 'b', 'c', 'd', 'e', 'f', 'default'] as const;

const gang = fc.record({
  queue: fc.constantFrom(...LEAVES),
  priority: fc.integer({ min: 0, max: 2 }),
  createdAt: fc.integer({ min: 0, max: 5 }),
  size: fc.integer({ min: 1, max: 16 }),
  starts: fc.boolean(),
  setBack: fc.integer({ min: 0, max: 2 }),
});
const world = fc.record({
  quotas: fc.tuple(quota, quota, quota, quota, quota, quota, quota, quota),
  gangs: fc.array(gang, { maxLength: 30 }),
  held: fc.tuple(...LEAVES.map(() => amount)),
  usage: fc.tuple(...LEAVES.map(() => amount)),
  closed: fc.option(fc.constantFrom(...LEAVES), { nil: undefined }),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

interface Step {
  readonly offer: QueueHead<PendingGang>;
  /** The step of the offer. */
  readonly use: UseByQueue;
  /** The gangs not offered yet, including this one. */
  readonly waiting: readonly PendingGang[];
  readonly charged: boolean;
}

interface Run {
  readonly tree: QueueTree;
  readonly applicants: readonly PendingGang[];
  readonly steps: readonly Step[];
  readonly leftOut: readonly PendingGang[];
}

function byLeaf(counts: readonly number[]): Record<string, number> {
  return Object.fromEntries(LEAVES.map((name, i) => [name, counts[i]!]));
}

function run(drawn: World, turned = false): Run {
  const tree = buildQueueTree(NAMES.map((name, i) => aQueue({ name, parent: PARENTS[name], ...drawn.quotas[i]! })));
  const starting = new Set<string>();
  const applicants = drawn.gangs.map(({ starts, size, ...rest }, i) => {
    const applicant = aPendingGang(tree, { ...rest, key: `n/${i}`, asked: gpus(size) });
    if (starts) starting.add(applicant.key);
    return applicant;
  });
  const held = byLeaf(drawn.held);
  const query = aQueueOrderQuery(tree, { held: gpusOf(held), usage: gpusOf(byLeaf(drawn.usage)), now: 10 });
  const line = new QueueOrder(turned ? applicants.toReversed() : applicants, query);
  const steps: Step[] = [];
  let waiting: readonly PendingGang[] = applicants;
  let leftOut: readonly PendingGang[] = [];
  for (let offer = line.next(); offer; offer = line.next()) {
    const { gang: applicant, verdict } = offer;
    const charged = verdict.kind !== 'refused' && starting.has(applicant.key);
    steps.push({ offer, use: rollUp(tree, gpusOf(held)), waiting, charged });
    waiting = waiting.filter((other) => other !== applicant);
    if (charged) {
      line.charge(applicant, applicant.asked);
      held[applicant.queue.name]! += applicant.asked.get(GPU)!;
    } else if (applicant.queue.name === drawn.closed && leftOut.length === 0) {
      leftOut = line.close(applicant.queue);
      waiting = waiting.filter((other) => !leftOut.includes(other));
    }
  }
  return { tree, applicants, steps, leftOut };
}

test('each gang is offered exactly once or left out by closing its queue', () => {
  fc.assert(
    fc.property(world, (drawn) => {
      const { applicants, steps, leftOut } = run(drawn);
      const met = [...steps.map(({ offer }) => offer.gang), ...leftOut];
      expect(met.map(({ key }) => key).sort()).toEqual(applicants.map(({ key }) => key).sort());
      for (const { queue } of leftOut) expect(queue.name).toBe(drawn.closed);
    }),
  );
});

test('the order of the input does not matter', () => {
  fc.assert(
    fc.property(world, (drawn) => {
      const told = (steps: readonly Step[]) => steps.map(({ offer }) => ({ ...offer, applicant: offer.gang.key }));
      expect(told(run(drawn, true).steps)).toEqual(told(run(drawn).steps));
    }),
  );
});

test('a verdict holds at the moment of the offer', () => {
  fc.assert(
    fc.property(world, (drawn) => {
      for (const { offer, use } of run(drawn).steps) {
        expect(offer.verdict).toEqual(judgeQuota(offer.gang.queue, offer.gang.asked, use));
      }
    }),
  );
});

test('charging what is not refused exceeds no limit that was not exceeded before', () => {
  fc.assert(
    fc.property(world, (drawn) => {
      for (const { offer, use, charged } of run(drawn).steps) {
        if (!charged) continue;
        for (const { name, limit, spec, guaranteed, promised } of offer.gang.queue.path) {
          const after = (use.get(name)!.get(GPU) ?? 0) + offer.gang.asked.get(GPU)!;
          expect(after).toBeLessThanOrEqual(limit.get(GPU) ?? Number.POSITIVE_INFINITY);
          const own = guaranteed.get(GPU) ?? 0;
          if (!spec.allowBorrowing && own > 0 && promised.has(GPU)) expect(after).toBeLessThanOrEqual(own);
        }
      }
    }),
  );
});

test('inside a queue the order is by priority, failures, age and name, whatever quota says', () => {
  fc.assert(
    fc.property(world, (drawn) => {
      for (const { offer, waiting } of run(drawn).steps) {
        const { queue, priority, setBack, createdAt, key } = offer.gang;
        for (const other of waiting) {
          if (other.queue !== queue || other.key === key) continue;
          const byClass = [other.priority - priority, setBack - other.setBack];
          const differences = [...byClass, createdAt - other.createdAt, key < other.key ? -1 : 1];
          expect(differences.find((difference) => difference !== 0)).toBeLessThan(0);
        }
      }
    }),
  );
});

test('no gang borrows while the first gang of any queue stays within its guarantee', () => {
  fc.assert(
    fc.property(world, (drawn) => {
      for (const { offer, use, waiting } of run(drawn).steps) {
        if (offer.verdict.kind !== 'borrows') continue;
        for (const [queue, members] of Map.groupBy(waiting, (applicant) => applicant.queue)) {
          const [first] = members.toSorted(
            (a, b) =>
              b.priority - a.priority || a.setBack - b.setBack || a.createdAt - b.createdAt || (a.key < b.key ? -1 : 1),
          );
          expect(judgeQuota(queue, first!.asked, use).kind).not.toBe('within');
        }
      }
    }),
  );
});
