import { describe, expect, test } from 'vitest';
import { BarrierReach } from '../../../src/gang/state/barrier-reach.ts';
import { Passage } from '../../../src/gang/state/passage.ts';
import { gang, SECOND, startWorld, type World } from '../../support/scenario.ts';

const nominationTimeoutMs = 15 * SECOND;

/** kube-scheduler brings so many members each tenth of a second, in order; who is let go comes again. */
async function bring(world: World, names: readonly string[], perTick: number, seconds: number) {
  const queue = [...names];
  const held: { readonly name: string; readonly call: { readonly verdict: string } }[] = [];
  for (let tick = 0; tick < seconds * 10; tick++) {
    for (const name of queue.splice(0, perTick)) held.push({ name, call: world.bind(name, world.slotsOf('a')[name]!) });
    await world.pass(SECOND / 10);
    for (let i = held.length - 1; i >= 0; i--) {
      if (held[i]!.call.verdict.includes('comes again')) queue.push(...held.splice(i, 1).map(({ name }) => name));
    }
    if (world.stateOf('a') !== 'Nominated') return;
  }
}

const membersOf = (count: number) => Array.from({ length: count }, (_, i) => `a-${i}`);

describe('a gang with more members than kube-scheduler brings in time', () => {
  test('is tried once; then it waits without a place and says which setting to change', async () => {
    const world = await startWorld({ nodes: 900, settings: { nominationTimeoutMs } });
    world.create(gang('a', 900));
    await world.settle();
    await bring(world, membersOf(900), 2, 120);
    expect(world.stateOf('a')).toBe('Pending');
    expect((await world.inspect('a')).reason).toMatch(
      /not tried: it needs 900 members at the bind barrier within 25s, .* at most \d+ in that time; raise gang\.barrierTimeout, and httpTimeout/,
    );
    await world.pass(60 * SECOND);
    const writes = world.cluster.writes.length;
    await world.pass(600 * SECOND);
    expect(world.cluster.writes, 'it never begins anew').toHaveLength(writes);
    expect(world.slotsOf('a')).toEqual({});
    // Others are not kept back.
    world.create(gang('b', 250));
    await world.settle();
    expect(world.stateOf('b')).toBe('Nominated');
  });

  test('is tried again after an hour', async () => {
    const world = await startWorld({ nodes: 900, settings: { nominationTimeoutMs } });
    world.create(gang('a', 900));
    await world.settle();
    await bring(world, membersOf(900), 2, 120);
    expect(world.stateOf('a')).toBe('Pending');
    await world.pass(3_602 * SECOND);
    expect(world.stateOf('a')).toBe('Nominated');
  });
});

describe('how many members reach the barrier', () => {
  const setUp = () => {
    const passage = new Passage();
    const clock = { now: () => 100 * SECOND };
    return { passage, reach: new BarrierReach(passage, clock, 25 * SECOND) };
  };
  const sized = (minMember: number, namespace = 'ml') => ({ namespace, minMember, scheduleTimeoutMs: undefined });

  test('is known from the rate of others before a gang is tried', () => {
    const { passage, reach } = setUp();
    passage.noteBrought({ members: 600, perSecond: 200 }, 90 * SECOND);
    expect(reach.findReason(sized(7_000)), 'it may do better').toBeUndefined();
    expect(reach.findReason(sized(10_000))).toMatchObject({
      kind: 'outruns-barrier',
      members: 10_000,
      most: 5_000,
      isOwn: false,
    });
  });

  test('is not known from members that came slowly: somebody may have made them wait for volumes', () => {
    const { passage, reach } = setUp();
    passage.noteBrought({ members: 300, perSecond: 3 }, 90 * SECOND);
    expect(reach.findReason(sized(1_800, 'other'))).toBeUndefined();
    expect(reach.findReason(sized(2_000, 'other'))).toMatchObject({ most: 1_250 });
  });

  test('is not limited by what is not known, nor by a few members that did not come', () => {
    const { reach } = setUp();
    expect(reach.findReason(sized(100_000))).toBeUndefined();
    reach.noteOutrun(sized(300), 200);
    expect(reach.findReason(sized(300))).toBeUndefined();
  });

  test('of one namespace is not held against another', () => {
    const { reach } = setUp();
    reach.noteOutrun(sized(2_000), 1_900);
    expect(reach.findReason(sized(2_000))).toMatchObject({ most: 1_900 });
    expect(reach.findReason(sized(1_999))).toBeUndefined();
    expect(reach.findReason(sized(2_000, 'other'))).toBeUndefined();
  });

  test('follows from the timeout of its PodGroup where that is shorter', () => {
    const { passage, reach } = setUp();
    passage.noteBrought({ members: 600, perSecond: 200 }, 90 * SECOND);
    const reason = reach.findReason({ ...sized(4_000), scheduleTimeoutMs: 10 * SECOND });
    expect(reason).toMatchObject({ isOwn: true, timeoutMs: 10 * SECOND });
  });
});
