import { describe, expect, test } from 'vitest';
import { Barrier } from '../../../src/gang/framework/barrier.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { gang, pod, SECOND, startWorld, verdicts, type World } from '../../support/scenario.ts';

/** These tests are about the barrier's clock, so no other timeout ends before it. */
const patient = { nominationTimeoutMs: 600 * SECOND };

async function nominated(size: number, options: { min?: number; nodes?: number; barrierTimeoutMs?: number } = {}) {
  const { min = size, nodes = size, ...rest } = options;
  const world = await startWorld({ nodes, settings: patient, ...rest });
  world.create(gang('a', size, { min }));
  await world.settle();
  return world;
}

async function bindAll(world: World, ...names: readonly string[]) {
  const calls = world.bindAll(...names);
  await world.settle();
  return calls;
}

describe('the barrier opens', () => {
  test('when the last of minMember members calls bind: then all are bound, and none before', async () => {
    const world = await nominated(4);
    const early = await bindAll(world, 'a-0', 'a-1', 'a-2');
    expect(verdicts(early)).toEqual(['held', 'held', 'held']);
    expect(world.boundTo(), '3 of 4 are not a gang').toEqual({});
    const last = await bindAll(world, 'a-3');
    expect(verdicts([...early, ...last])).toEqual(['bound', 'bound', 'bound', 'bound']);
    expect(world.boundTo('a'), 'each where it was planned').toMatchObject({ 'a-0': 'n0', 'a-3': 'n3' });
    expect(world.cluster.countWrites().bind, 'each bound once').toBe(4);
  });

  test('for an elastic gang with its minimum; the next member passes without waiting', async () => {
    const world = await nominated(3, { min: 2 });
    const two = await bindAll(world, 'a-2', 'a-0');
    expect(verdicts(two)).toEqual(['bound', 'bound']);
    const third = await bindAll(world, 'a-1');
    expect(verdicts(third)).toEqual(['bound']);
  });

  test('counting members that are bound already', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3, { from: 1, min: 3 }), gang('a', 1, { min: 3, nodeName: 'n0' }));
    await world.settle();
    const calls = await bindAll(world, 'a-1', 'a-2');
    expect(verdicts(calls)).toEqual(['bound', 'bound']);
  });

  test('while the nomination of a member above the minimum hangs', async () => {
    const world = await startWorld({ nodes: 3 });
    world.cluster.trouble({ verb: 'nominate', pod: 'a-2', how: 'ok', hangs: true });
    world.create(gang('a', 3, { min: 2 }));
    await world.settle();
    expect(verdicts(await bindAll(world, 'a-0', 'a-1'))).toEqual(['bound', 'bound']);
  });

  test('for each gang on its own', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('a', 2), gang('b', 2));
    await world.settle();
    const mixed = await bindAll(world, 'a-0', 'b-0', 'b-1');
    expect(verdicts(mixed)).toEqual(['held', 'bound', 'bound']);
  });

  test('again for the next gang of the same name', async () => {
    const world = await nominated(2);
    await bindAll(world, 'a-0', 'a-1');
    world.delete('a-0', 'a-1');
    world.create(gang('a', 2));
    await world.settle();
    expect(verdicts(await bindAll(world, 'a-0')), 'a new start is a new barrier').toEqual(['held']);
    expect(verdicts(await bindAll(world, 'a-1'))).toEqual(['bound']);
  });
});

test('the metric of held calls follows each call, without a decision cycle', async () => {
  const metrics = new Metrics();
  const world = await startWorld({ nodes: 3, settings: patient, metrics });
  world.create(gang('a', 3));
  await world.settle();
  const held = async () => /^muster_barrier_held (\d+)$/m.exec(await metrics.render())?.[1];
  expect(await held()).toBe('0');
  await bindAll(world, 'a-0', 'a-1');
  expect(await held()).toBe('2');
  await bindAll(world, 'a-2');
  expect(await held()).toBe('0');
});

describe("the barrier's clock", () => {
  test('starts with the first hold; at its end all calls are answered, nothing is bound, and the gang is released', async () => {
    const world = await nominated(3);
    const [first] = await bindAll(world, 'a-0');
    await world.pass(12 * SECOND);
    const [second] = await bindAll(world, 'a-1');
    await world.pass(13 * SECOND - 1);
    expect(verdicts([first!, second!]), 'one millisecond before').toEqual(['held', 'held']);
    await world.pass(1);
    expect(first!.verdict, 'below kube-scheduler’s httpTimeout').toContain('did not arrive in time');
    expect(second!.verdict, 'nobody has come for half of the time').toContain('did not arrive in time');
    expect(world.boundTo()).toEqual({});
    expect(world.stateOf('a')).toBe('Pending');
    expect(world.nominations('a'), 'it holds nothing while it backs off').toEqual({});
    expect((await world.inspect('a')).reason).toContain('2 of 3 members reached the bind barrier in time');
  });

  test('is shortened by scheduleTimeoutSeconds of the PodGroup, never lengthened, and 0 is no timeout', async () => {
    for (const [seconds, expected] of [
      [10, 10],
      [600, 25],
      [0, 25],
      [-5, 25],
    ] as const) {
      const world = await startWorld({ nodes: 2, settings: patient });
      world.cluster.create('PodGroup', {
        metadata: { name: 'a', namespace: 'default' },
        spec: { minMember: 2, scheduleTimeoutSeconds: seconds },
        status: {},
      });
      const labels = { 'scheduling.x-k8s.io/pod-group': 'a' };
      world.create(pod('a-0', { labels }), pod('a-1', { labels }));
      await world.settle();
      const [call] = await bindAll(world, 'a-0');
      await world.pass(expected * SECOND - 1);
      expect(call!.verdict).toBe('held');
      await world.pass(1);
      expect(call!.verdict, `${seconds} s asked for`).toContain('did not arrive in time');
    }
  });

  test('decides before the last member if it ran out while the process was frozen', async () => {
    const world = await nominated(2);
    const [first] = await bindAll(world, 'a-0');
    world.freeze(26 * SECOND);
    const [last] = await bindAll(world, 'a-1');
    expect(world.boundTo(), 'kube-scheduler has given the space of the first one away').toEqual({});
    expect(first!.verdict).toContain('this one comes again');
    expect(last!.verdict, 'it waits for the other to come again').toBe('held');
    const [again] = await bindAll(world, 'a-0');
    expect(verdicts([again!, last!])).toEqual(['bound', 'bound']);
  });

  test('starts again with the next attempt', async () => {
    const world = await nominated(2);
    await bindAll(world, 'a-0');
    await world.pass(26 * SECOND);
    expect(world.stateOf('a'), 'planned again after the back-off').toBe('Nominated');
    const [first] = await bindAll(world, 'a-0');
    await world.pass(20 * SECOND);
    const [last] = await bindAll(world, 'a-1');
    expect(verdicts([first!, last!])).toEqual(['bound', 'bound']);
  });
});

describe('while members still arrive when the first ones were held for as long as may be', () => {
  test('the older half comes again, the others keep their places, and all are bound together', async () => {
    const world = await nominated(4);
    const [a0] = await bindAll(world, 'a-0');
    await world.pass(10 * SECOND);
    const [a1] = await bindAll(world, 'a-1');
    await world.pass(10 * SECOND);
    const [a2] = await bindAll(world, 'a-2');
    await world.pass(5 * SECOND);
    expect(verdicts([a0!, a1!, a2!])).toEqual([
      expect.stringContaining('this one comes again'),
      expect.stringContaining('this one comes again'),
      'held',
    ]);
    expect(Object.keys(world.slotsOf('a')), 'nobody lost his place').toHaveLength(4);
    expect(world.boundTo()).toEqual({});
    const rest = await bindAll(world, 'a-0', 'a-3', 'a-1');
    expect(verdicts([a2!, ...rest])).toEqual(['bound', 'bound', 'bound', 'bound']);
  });

  test('who came again is no newcomer: when no others come, the gang gives everything back', async () => {
    const world = await nominated(3);
    await bindAll(world, 'a-0');
    await world.pass(20 * SECOND);
    const [second] = await bindAll(world, 'a-1');
    await world.pass(5 * SECOND);
    const [again] = await bindAll(world, 'a-0');
    await world.pass(20 * SECOND - 1);
    expect(verdicts([second!, again!])).toEqual(['held', 'held']);
    await world.pass(1);
    expect(verdicts([second!, again!])).toEqual([
      expect.stringContaining('did not arrive in time'),
      expect.stringContaining('did not arrive in time'),
    ]);
    expect(world.stateOf('a')).toBe('Pending');
  });

  test('it ends after four times the timeout, however slowly they come', async () => {
    const world = await nominated(20);
    for (let i = 0; i < 10; i++) {
      await bindAll(world, `a-${i}`);
      await world.pass(10 * SECOND);
    }
    expect(world.stateOf('a'), 'one every ten seconds').toBe('Nominated');
    await world.pass(5 * SECOND);
    expect(world.boundTo()).toEqual({});
    expect(world.stateOf('a')).toBe('Pending');
  });
});

describe('the barrier drops', () => {
  test('a member that is deleted, with an error; the others wait for its replacement', async () => {
    const world = await nominated(3);
    const calls = await bindAll(world, 'a-0', 'a-1');
    world.delete('a-0');
    await world.settle();
    expect(verdicts(calls), 'the HTTP call is not cancelled by kube-scheduler').toEqual([
      expect.stringContaining('the pod was deleted'),
      'held',
    ]);
    world.create(gang('a', 1, { min: 3 }));
    await world.settle();
    const rest = await bindAll(world, 'a-0', 'a-2');
    expect(verdicts([calls[1]!, ...rest])).toEqual(['bound', 'bound', 'bound']);
  });

  test('a member that begins to be deleted, at once', async () => {
    const world = await nominated(2);
    const calls = await bindAll(world, 'a-0');
    world.beginDeletion('a-0');
    await world.settle();
    expect(world.slotsOf('a'), 'its place is free').not.toHaveProperty('a-0');
    const last = await bindAll(world, 'a-1');
    expect(verdicts([...calls, ...last]), 'one is leaving: there is no gang of two').toEqual([
      expect.stringContaining('the pod was deleted'),
      'held',
    ]);
  });

  test('a member whose connection closed: it must not be bound any more', async () => {
    const world = await nominated(2);
    const [gone] = await bindAll(world, 'a-0');
    gone!.disconnect();
    const [other] = await bindAll(world, 'a-1');
    expect(other!.verdict).toBe('held');
    expect(world.boundTo()).toEqual({});
    const [back] = await bindAll(world, 'a-0');
    expect(verdicts([back!, other!]), 'it comes back with a new call').toEqual(['bound', 'bound']);
  });

  test('a member that kube-scheduler tries again and refuses while its call is held', async () => {
    const world = await nominated(2, { nodes: 3 });
    const [held] = await bindAll(world, 'a-0');
    await world.filter('a-0', ['n2']);
    await world.settle();
    expect(held!.verdict).toContain('planned anew');
    const [other] = await bindAll(world, 'a-1');
    expect(other!.verdict, 'one of two').toBe('held');
    expect(world.boundTo()).toEqual({});
  });

  test('an older call of the same pod, superseded by the newer one', async () => {
    const world = await nominated(2);
    const [older] = await bindAll(world, 'a-0');
    const [newer] = await bindAll(world, 'a-0');
    expect(verdicts([older!, newer!])).toEqual([expect.stringContaining('superseded'), 'held']);
    const [other] = await bindAll(world, 'a-1');
    expect(verdicts([newer!, other!])).toEqual(['bound', 'bound']);
    expect(world.cluster.countWrites().bind, 'and it is bound once').toBe(2);
  });

  test('an older call, without treating the slot of the newer one as idle', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 2));
    await world.settle();
    const { 'a-0': node } = world.slotsOf('a');
    const calls = [...(await bindAll(world, 'a-0')), ...(await bindAll(world, 'a-0'))];
    await world.pass(20 * SECOND);
    expect(calls[1]!.verdict, 'only the other member made no progress').toBe('held');
    expect(world.slotsOf('a')['a-0']).toBe(node);
    expect(world.records('a')['a-0'], 'who is held needs no new nomination').toMatch(/\/1$/);
  });

  test('only the older call when its connection closes late', async () => {
    const world = await nominated(2);
    const [older] = await bindAll(world, 'a-0');
    const [newer] = await bindAll(world, 'a-0');
    older!.disconnect();
    const [other] = await bindAll(world, 'a-1');
    expect(verdicts([newer!, other!])).toEqual(['bound', 'bound']);
  });

  test('one of two calls of the same member, which counts once', async () => {
    const world = await nominated(2);
    await bindAll(world, 'a-0');
    const [again] = await bindAll(world, 'a-0');
    expect(again!.verdict).toBe('held');
    expect(world.boundTo()).toEqual({});
  });

  test('all members when another Muster may lead, and holds those that come later', async () => {
    const world = await nominated(2);
    const calls = await bindAll(world, 'a-0');
    world.muster.barrier.clear('this Muster does not lead any more');
    const late = await bindAll(world, 'a-1');
    expect(verdicts([...calls, ...late])).toEqual([expect.stringContaining('does not lead any more'), 'held']);
    expect(world.boundTo()).toEqual({});
  });

  test('all members when Muster is about to end, and holds no more calls', async () => {
    const world = await nominated(2);
    const calls = await bindAll(world, 'a-0');
    world.muster.barrier.shut('Muster is shutting down');
    const late = await bindAll(world, 'a-1');
    expect(verdicts([...calls, ...late])).toEqual([
      expect.stringContaining('shutting down'),
      expect.stringContaining('shutting down'),
    ]);
    expect(world.boundTo()).toEqual({});
    expect(world.records('a'), 'the next process finds the plan').toHaveProperty('a-0');
  });
});

test.each([
  ['a hundred in a second', 10, 100],
  ['all at once, as after a long cycle', 0, 300],
])('a member that comes late does not say how fast kube-scheduler is: %s', (_, gapMs, expected) => {
  const clock = new HandClock();
  const opened: number[] = [];
  const barrier = new Barrier(clock.forProcess(), {
    onTimeout() {},
    onAbandoned() {},
    onOpened: ({ perSecond }) => opened.push(perSecond),
  });
  for (let i = 0; i < 300; i++) {
    barrier.hold('a', `uid-${i}`, 120 * SECOND);
    clock.jumpTo(clock.now() + gapMs);
  }
  clock.jumpTo(clock.now() + 60 * SECOND);
  barrier.hold('a', 'late', 120 * SECOND);
  barrier.open('a');
  expect(opened[0]! / expected).toBeCloseTo(1, 1);
});

test('a caller that goes away after its hold was superseded ends no other hold', async () => {
  const clock = new HandClock().forProcess();
  const barrier = new Barrier(clock, { onTimeout() {}, onAbandoned() {}, onOpened() {} });
  const older = barrier.hold('default/a', 'uid', 25_000);
  const newer = barrier.hold('default/a', 'uid', 25_000);
  // Before anything else runs: the connection closed while the newer call was being read.
  older.leave();
  barrier.open('default/a');
  expect(await older.result).toMatchObject({ kind: 'rejected' });
  expect(await newer.result).toEqual({ kind: 'open' });
});

describe('bind', () => {
  test('of a member that is bound to the node already succeeds without a write', async () => {
    const world = await nominated(1);
    await bindAll(world, 'a-0');
    const again = world.bind('a-0', 'n0');
    await world.settle();
    expect(again.verdict).toBe('bound');
    expect(world.cluster.countWrites().bind).toBe(1);
  });

  test('of a member that was bound while the watch does not show it yet succeeds', async () => {
    const world = await nominated(1, { nodes: 1 });
    world.cluster.pauseWatch();
    await bindAll(world, 'a-0');
    const again = world.bind('a-0', 'n0');
    await world.settle();
    expect(again.verdict, 'idempotent by UID').toBe('bound');
    expect(world.boundTo()).toEqual({ 'a-0': 'n0' });
  });

  test('on another node than planned is refused, and the slot stays', async () => {
    const world = await nominated(2, { nodes: 3 });
    const before = world.slotsOf('a');
    const call = world.bind('a-0', 'n2');
    await world.settle();
    expect(call.verdict).toContain('planned this member for node n0, not n2');
    expect(world.cluster.countWrites().bind).toBeUndefined();
    expect(world.slotsOf('a')).toEqual(before);
  });

  test('of a member without a slot is refused', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 3));
    await world.settle();
    const call = world.bind('a-0', 'n0');
    await world.settle();
    expect(call.verdict).toContain('has no slot for this member');
    expect(world.boundTo()).toEqual({});
  });

  test('of a lone pod is written at once', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    const call = world.bind('web', 'n0');
    await world.settle();
    expect(call.verdict).toBe('bound');
  });

  test('of a lone pod is refused where a gang got the capacity after its filter call', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    expect((await world.filter('web', ['n0'])).NodeNames).toEqual(['n0']);
    world.create(gang('a', 1));
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
    const call = world.bind('web', 'n0');
    await world.settle();
    expect(call.verdict).toContain('what is free on n0 is reserved for gangs that are starting');
    expect(world.overbooked()).toEqual([]);
  });

  test('of a member that left its gang is refused where its old place is given to another gang', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2), gang('b', 2));
    await world.settle();
    const { 'a-1': node } = world.slotsOf('a');
    world.cluster.update('Pod', 'default/a-1', ({ metadata }) => {
      metadata.labels = {};
    });
    await world.pass(3 * SECOND);
    const call = world.bind('a-1', node);
    await world.settle();
    expect(world.stateOf('b')).toBe('Nominated');
    expect(call.verdict).toContain('reserved for gangs that are starting');
    expect(world.overbooked()).toEqual([]);
  });

  test.each([
    ['gone', 'does not exist any more'],
    ['conflict', 'injected: conflict'],
    ['forbidden', 'injected: forbidden'],
  ] as const)('whose write ends as %s says so', async (how, text) => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    world.cluster.trouble({ verb: 'bind', how });
    const call = world.bind('web', 'n0');
    await world.settle();
    expect(call.verdict).toContain(text);
  });
});

describe('a failure after the first binding', () => {
  test('does not release the gang: the slot stays, and the member passes when it comes again', async () => {
    const world = await nominated(3);
    world.cluster.trouble({ verb: 'bind', pod: 'a-1', how: 'failed', times: 1 });
    const calls = await bindAll(world, 'a-0', 'a-1', 'a-2');
    expect(verdicts(calls)).toEqual(['bound', 'injected: internal error', 'bound']);
    expect(world.slotsOf('a'), 'its place is kept').toEqual({ 'a-1': 'n1' });
    world.create(pod('web'));
    expect((await world.filter('web', ['n1'])).NodeNames, 'against others too').toEqual([]);
    world.eraseNomination('a-1');
    await world.settle();
    const [again] = await bindAll(world, 'a-1');
    expect(again!.verdict, 'nobody to wait for').toBe('bound');
  });

  test('whose answer was lost is harmless: the pod is bound', async () => {
    const world = await nominated(2);
    world.cluster.trouble({ verb: 'bind', pod: 'a-1', how: 'lost-answer', times: 1 });
    await bindAll(world, 'a-0', 'a-1');
    expect(world.stateOf('a')).toBe('Running');
    const again = world.bind('a-1', 'n1');
    await world.settle();
    expect(again.verdict).toBe('bound');
    expect(world.slotsOf('a')).toEqual({});
  });

  test('never gives away a node that another member is being bound to, though the watch does not show it yet', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    world.cluster.trouble({ verb: 'bind', pod: 'a-1', how: 'failed', times: 1 });
    world.cluster.pauseWatch();
    await bindAll(world, 'a-0', 'a-1', 'a-2');
    // The missing member never comes back, and it fits on no other node.
    await world.pass(60 * SECOND);
    expect(world.slotsOf('a')).toMatchObject({ 'a-0': 'n0', 'a-2': 'n2' });
    expect(world.overbooked()).toEqual([]);
  });

  test('keeps those nodes even when the gang gives back what it could not write', async () => {
    const world = await startWorld({ nodes: 3 });
    world.cluster.trouble({ verb: 'nominate', pod: 'a-2', how: 'forbidden' });
    world.create(gang('a', 3, { min: 2 }));
    await world.settle();
    world.cluster.pauseWatch();
    await bindAll(world, 'a-0', 'a-1');
    await world.pass(15 * SECOND + 500);
    expect(world.slotsOf('a'), 'a-2 was given up').toEqual({ 'a-0': 'n0', 'a-1': 'n1' });
  });

  test('ignores a new try of a member whose binding is still being written', async () => {
    const world = await nominated(1, { nodes: 2 });
    world.cluster.trouble({ verb: 'bind', how: 'ok', hangs: true });
    const [call] = await bindAll(world, 'a-0');
    call!.disconnect();
    await world.settle();
    await world.filter('a-0', ['n1']);
    await world.settle();
    expect(world.slotsOf('a'), 'the write may still succeed').toEqual({ 'a-0': 'n0' });
    world.cluster.letGo();
    await world.settle();
    expect(world.boundTo()).toEqual({ 'a-0': 'n0' });
  });

  test('of every binding closes the barrier: the members wait for each other again', async () => {
    const world = await nominated(3);
    world.cluster.trouble({ verb: 'bind', how: 'failed', times: 3 });
    await bindAll(world, 'a-0', 'a-1', 'a-2');
    const [first] = await bindAll(world, 'a-0');
    expect(first!.verdict, 'nothing of the gang runs').toBe('held');
    expect(world.boundTo()).toEqual({});
  });

  test('of all bindings but one, whose pod is deleted while it is written, closes the barrier too', async () => {
    const world = await nominated(4, { min: 3 });
    world.cluster.trouble({ verb: 'bind', pod: 'a-0', how: 'ok', hangs: true });
    world.cluster.trouble({ verb: 'bind', how: 'failed', times: 2 });
    await bindAll(world, 'a-0', 'a-1', 'a-2');
    world.delete('a-0');
    await world.settle();
    const [next] = await bindAll(world, 'a-3');
    expect(next!.verdict, 'nobody of the gang runs or is about to').toBe('held');
  });

  test('followed by the loss of all bound members closes the barrier too', async () => {
    const world = await nominated(3);
    world.cluster.trouble({ verb: 'bind', pod: 'a-1', how: 'failed', times: 1 });
    await bindAll(world, 'a-0', 'a-1', 'a-2');
    world.delete('a-0', 'a-2');
    world.create(gang('a', 1, { min: 3 }), gang('a', 3, { from: 2, min: 3 }));
    await world.settle();
    const [first] = await bindAll(world, 'a-0');
    expect(first!.verdict, 'two others are not there').toBe('held');
    expect(world.boundTo()).toEqual({});
  });
});
