import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const HIGH = { priority: 100 };
/** Four nodes: `small` on one, `large` on three; both have run for an hour and take 30 s to end. */
async function fullCluster(settings: NonNullable<Parameters<typeof startWorld>[0]>['settings'] = {}): Promise<World> {
  const world = await startWorld({ nodes: 4, settings });
  const startedAt = world.clock.now() - 3_600 * SECOND;
  world.running('small', ['n0'], { graceSeconds: 30, startedAt });
  world.running('large', ['n1', 'n2', 'n3'], { graceSeconds: 30, startedAt });
  await world.settle();
  return world;
}

/** The grace period passes, and the evicted pods leave. */
async function passGrace(world: World): Promise<void> {
  await world.pass(30 * SECOND);
  world.finishTerminations();
  await world.settle();
}

function annotationsOf(world: World, name: string): Readonly<Record<string, string>> {
  return world.pod(name).metadata.annotations ?? {};
}

describe('a gang that finds no capacity', () => {
  test('evicts the cheapest gang of lower priority as a whole, and starts when it is gone', async () => {
    const world = await fullCluster();
    world.create(gang('high', 2, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual(['large-0', 'large-1', 'large-2']);
    expect(world.stateOf('high')).toBe('Preempting');
    await passGrace(world);
    expect(world.stateOf('high')).toBe('Nominated');
    await world.schedule('high-0', 'high-1');
    expect(world.stateOf('high')).toBe('Running');
    expect(world.stateOf('small'), 'spared').toBe('Running');
    expect(world.overbooked()).toEqual([]);
  });

  test('evicts the smaller gang when that is enough', async () => {
    const world = await fullCluster();
    world.create(gang('high', 1, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual(['small-0']);
  });

  test('writes its plan and the notices before any eviction', async () => {
    const world = await fullCluster();
    world.create(gang('high', 2, HIGH));
    await world.settle();
    const verbs = world.cluster.writes.map(({ verb }) => verb);
    expect(verbs).toEqual(['record', 'record', 'annotate', 'annotate', 'annotate', 'evict', 'evict', 'evict']);
    expect(annotationsOf(world, 'large-2')['muster.dev/preempted-by']).toBe('default/high');
    expect(world.told).toContainEqual(
      'Preempted: default/large: preempted by gang default/high, evicted at 2026-01-01T00:00:00.000Z',
    );
  });

  test('writes no notice before its whole plan is recorded', async () => {
    const world = await fullCluster();
    world.cluster.trouble({ verb: 'record', pod: 'high-1', how: 'failed' });
    world.create(gang('high', 2, HIGH));
    await world.pass(10 * SECOND);
    expect(annotationsOf(world, 'large-0')).not.toHaveProperty(['muster.dev/preempted-by']);
    world.cluster.heal();
    await world.pass(2 * SECOND);
    expect(world.evictions()).toHaveLength(3);
  });

  test('gives its victims the configured time to write a checkpoint', async () => {
    const world = await fullCluster({ preemption: { ...PREEMPTION, noticeMs: 60 * SECOND } });
    world.create(gang('high', 2, HIGH));
    await world.pass(60 * SECOND - 1);
    expect(world.evictions()).toEqual([]);
    expect(annotationsOf(world, 'large-0')['muster.dev/preemption-notice']).toBe('2026-01-01T00:01:00.000Z');
    await world.pass(1);
    expect(world.evictions()).toHaveLength(3);
  });

  test.each([
    ['of equal priority', {}, {}],
    ['that are not preemptible', HIGH, { annotations: { 'muster.dev/preemptible': 'false' } }],
    ['when it must not', { ...HIGH, annotations: { 'muster.dev/preempts': 'never' } }, {}],
  ])('evicts nothing %s', async (_, preemptor, victim) => {
    const world = await startWorld({ nodes: 1 });
    world.running('low', ['n0'], victim);
    world.create(gang('high', 1, preemptor));
    await world.pass(60 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(world.stateOf('high')).toBe('Pending');
  });

  test('binds no member while the pods that it preempted are still on its node', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('low', ['n0'], { graceSeconds: 30 });
    world.create(gang('high', 1, HIGH));
    await world.pass(SECOND);
    expect(world.slotsOf('high')).toEqual({ 'high-0': 'n0' });
    const call = world.bind('high-0', 'n0');
    await world.settle();
    expect(call.verdict).toContain('waits for the pods that it preempted to leave');
    expect(world.boundTo('high')).toEqual({});
  });

  test('takes no slot of a gang of equal priority', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(gang('first', 1, HIGH));
    await world.settle();
    world.create(gang('second', 1, { ...HIGH, createdAt: world.clock.now() + SECOND }));
    await world.pass(SECOND);
    expect([world.stateOf('first'), world.stateOf('second')]).toEqual(['Nominated', 'Pending']);
  });

  test('waits for the end of min-runtime, and says so', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('low', ['n0'], { annotations: { 'muster.dev/min-runtime': '10m' } });
    world.create(gang('high', 1, HIGH));
    await world.pass(600 * SECOND - 1);
    expect(world.evictions()).toEqual([]);
    expect(world.reasonOf('high')).toMatch(/min-runtime.* until 2026-01-01T00:10:00/);
    await world.pass(1);
    expect(world.evictions()).toEqual(['low-0']);
  });

  test('notices within half a minute that a victim is no longer protected', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('low', ['n0'], { annotations: { 'muster.dev/preemptible': 'false' } });
    world.create(gang('high', 1, HIGH));
    await world.pass(60 * SECOND);
    world.cluster.update('Pod', 'default/low-0', ({ metadata }) => {
      metadata.annotations = { 'muster.dev/min-members': '1' };
    });
    await world.pass(30 * SECOND);
    expect(world.evictions()).toEqual(['low-0']);
  });

  test('evicts nothing when departing pods free enough', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('low', ['n0'], { graceSeconds: 30 });
    world.running('leaving', ['n1'], { graceSeconds: 30 });
    world.cluster.update('Pod', 'default/leaving-0', ({ metadata }) => {
      metadata.deletionTimestamp = new Date(world.clock.now() + 30 * SECOND).toISOString();
    });
    world.create(gang('high', 1, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual([]);
    expect(world.stateOf('high'), 'that space is nobody’s').toBe('Pending');
    await passGrace(world);
    expect(world.slotsOf('high')).toEqual({ 'high-0': 'n1' });
  });

  test('evicts members of an elastic gang above its minimum', async () => {
    const world = await startWorld({ nodes: 3 });
    const annotations = { 'muster.dev/max-members': '3' };
    world.running('elastic', ['n0', 'n1', 'n2'], { min: 2, annotations });
    world.create(gang('high', 1, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual(['elastic-2']);
    expect(world.stateOf('elastic')).toBe('Running');
    expect(world.slotsOf('high')).toEqual({ 'high-0': 'n2' });
  });
});

const PREEMPTION = {
  noticeMs: 0,
  fenceTimeoutMs: 300 * SECOND,
  blockedTimeoutMs: 30 * SECOND,
  backoffInitialMs: 30 * SECOND,
  backoffMaxMs: 600 * SECOND,
};

describe('a search without victims', () => {
  const countSearches = async (world: World) => {
    const { values } = await world.metrics.preemptionPlanDuration.get();
    const counts = values.filter(({ metricName }) => metricName?.endsWith('_count'));
    return counts.reduce((sum, { value }) => sum + value, 0);
  };

  test('becomes rarer, however often capacity becomes free', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('low', ['n0'], { annotations: { 'muster.dev/preemptible': 'false' } });
    world.running('lower', ['n1'], { priority: -1, annotations: { 'muster.dev/preemptible': 'false' } });
    const before = await countSearches(world);
    world.create(gang('high', 2, HIGH));
    for (let second = 0; second < 120; second++) {
      world.setReady('n1', second % 2 === 0);
      await world.pass(SECOND);
    }
    expect((await countSearches(world)) - before).toBeLessThanOrEqual(9);
  });

  test('does not happen where no pod has lower priority', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('equal', ['n0'], HIGH);
    const before = await countSearches(world);
    world.create(gang('high', 1, HIGH));
    await world.pass(60 * SECOND);
    expect((await countSearches(world)) - before).toBe(0);
  });
});

describe('a gang of lower priority that is about to start', () => {
  test('gives its slots back before a running gang is evicted', async () => {
    const world = await startWorld({ nodes: 3 });
    world.running('running', ['n0']);
    world.create(gang('starting', 2));
    await world.settle();
    expect(world.stateOf('starting')).toBe('Nominated');
    world.create(gang('high', 2, HIGH));
    await world.settle();
    expect(world.stateOf('high')).toBe('Nominated');
    expect(world.slotsOf('starting')).toEqual({});
    expect(world.evictions()).toEqual([]);
    expect(world.overbooked()).toEqual([]);
  });

  test('keeps its slots where both fit', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('one', 1), gang('two', 1), gang('three', 1));
    await world.settle();
    world.create(gang('high', 2, HIGH));
    await world.settle();
    const held = ['one', 'two', 'three'].filter((name) => Object.keys(world.slotsOf(name)).length > 0);
    expect(held).toHaveLength(1);
  });

  test('keeps its slots against a gang of equal priority', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('starting', 2));
    await world.settle();
    world.create(gang('equal', 2));
    await world.settle();
    expect(Object.keys(world.slotsOf('starting'))).toHaveLength(2);
  });

  test('keeps its slots once its members are being bound', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('starting', 2));
    await world.settle();
    world.cluster.trouble({ verb: 'bind', how: 'ok', hangs: true });
    world.bindAll('starting-0', 'starting-1');
    await world.settle();
    world.create(gang('high', 2, HIGH));
    await world.settle();
    expect(Object.keys(world.slotsOf('starting'))).toHaveLength(2);
    expect(world.slotsOf('high')).toEqual({});
  });
});

describe('two gangs that preempt at the same time', () => {
  test('do not evict one more victim for capacity that the other one leaves free', async () => {
    const world = await startWorld({ nodes: 4 });
    const startedAt = world.clock.now() - 3_600 * SECOND;
    world.running('large', ['n0', 'n1', 'n2'], { graceSeconds: 30, startedAt });
    world.running('young', ['n3'], { graceSeconds: 30 });
    world.create(gang('first', 2, HIGH), gang('second', 1, { ...HIGH, createdAt: world.clock.now() + 1 }));
    await world.settle();
    expect(world.evictions()).toEqual(['large-0', 'large-1', 'large-2']);
    await passGrace(world);
    await world.schedule();
    expect([world.stateOf('first'), world.stateOf('second'), world.stateOf('young')]).toEqual([
      'Running',
      'Running',
      'Running',
    ]);
  });
});

describe('the capacity that becomes free', () => {
  test('is the preemptor’s, against lone pods and gangs of its priority or lower', async () => {
    const world = await fullCluster();
    world.create(gang('high', 2, HIGH));
    await world.settle();
    world.create(pod('web', { priority: 100 }), gang('equal', 1, HIGH));
    world.cluster.update('Pod', 'default/equal-0', ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, 'muster.dev/preempts': 'never' };
    });
    await passGrace(world);
    const kept = Object.values(world.slotsOf('high'));
    expect(kept).toHaveLength(2);
    expect((await world.filter('web', kept)).NodeNames).toEqual([]);
    expect(Object.values(world.slotsOf('equal')), 'one node was left over').not.toContain(kept[0]);
    expect(world.overbooked()).toEqual([]);
  });

  test('is nominated node by node while the members are gated, and no gate opens before all are', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('a', ['n0'], { graceSeconds: 10 });
    world.running('b', ['n1'], { graceSeconds: 60 });
    world.create(gang('high', 2, { ...HIGH, gated: true }));
    await world.pass(20 * SECOND);
    world.finishTerminations();
    await world.settle();
    const nominated = () => [0, 1].filter((i) => world.pod(`high-${i}`).status.nominatedNodeName);
    const gated = () => [0, 1].filter((i) => world.pod(`high-${i}`).spec.schedulingGates?.length > 0);
    expect(nominated()).toHaveLength(1);
    expect(gated()).toHaveLength(2);
    await world.pass(40 * SECOND);
    world.finishTerminations();
    await world.settle();
    expect(nominated()).toHaveLength(2);
    expect(gated()).toHaveLength(0);
  });

  test('is not offered to a member before all victims have left', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('a', ['n0'], { graceSeconds: 10 });
    world.running('b', ['n1'], { graceSeconds: 30 });
    world.create(gang('high', 2, HIGH));
    await world.pass(20 * SECOND);
    world.finishTerminations();
    await world.settle();
    const [member] = Object.entries(world.slotsOf('high')).find(([, node]) => node === 'n0')!;
    const answer = await world.filter(member, ['n0']);
    expect(answer.NodeNames).toEqual([]);
    expect(Object.values(answer.FailedAndUnresolvableNodes ?? {})[0]).toContain('preempted');
  });

  test('is given up when the victims do not leave, and the gang does not preempt again for a while', async () => {
    const world = await fullCluster();
    world.create(gang('high', 1, HIGH));
    await world.pass(330 * SECOND - 1);
    expect(world.stateOf('high')).toBe('Preempting');
    await world.pass(1);
    expect(world.slotsOf('high')).toEqual({});
    await world.pass(29 * SECOND);
    expect(world.evictions()).toEqual(['small-0']);
    await world.pass(2 * SECOND);
    expect(world.evictions(), 'then it looks for others').toHaveLength(4);
  });

  test('is free for others, and remaining victims are spared, when the preemptor is deleted', async () => {
    const world = await fullCluster({ preemption: { ...PREEMPTION, noticeMs: 60 * SECOND } });
    world.create(gang('high', 2, HIGH));
    await world.pass(10 * SECOND);
    world.delete('high-0', 'high-1');
    await world.pass(120 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(Object.keys(annotationsOf(world, 'large-0'))).not.toContain('muster.dev/preempted-by');
  });
});

describe('a victim', () => {
  test('whose pods come back waits, and never evicts its preemptor', async () => {
    const world = await fullCluster();
    world.create(gang('high', 2, HIGH));
    await world.settle();
    await passGrace(world);
    world.create(gang('large', 6, { from: 3, min: 3 }));
    await world.schedule();
    expect(world.stateOf('high')).toBe('Running');
    expect(world.stateOf('large')).toBe('Pending');
    await world.pass(60 * SECOND);
    expect(world.evictions()).toHaveLength(3);
    world.delete('high-0', 'high-1');
    await world.settle();
    expect(Object.keys(world.slotsOf('large')), 'and starts whole when the preemptor ends').toHaveLength(3);
  });

  test('gets no replacement planned while it is evicted', async () => {
    const world = await fullCluster({ preemption: { ...PREEMPTION, noticeMs: 60 * SECOND } });
    world.create(gang('high', 2, HIGH));
    await world.settle();
    world.delete('large-0');
    world.create(gang('large', 4, { from: 3, min: 3 }));
    world.addNode('spare');
    await world.pass(10 * SECOND);
    expect(world.slotsOf('large')).toEqual({});
  });
});

describe('disruption budgets', () => {
  test('that allow too little protect the gang: another one is evicted', async () => {
    const world = await fullCluster();
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'small' }, 0);
    world.create(gang('high', 1, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual(['large-0', 'large-1', 'large-2']);
  });

  test('that change to allow it let the preemption continue at once', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('low', ['n0']);
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'low' }, 0);
    world.create(gang('high', 1, HIGH));
    await world.pass(10 * SECOND);
    expect(world.reasonOf('high')).toContain('of lower priority but protected: 1 kept by PodDisruptionBudgets');
    world.setDisruptionsAllowed('keep', 1);
    await world.settle();
    expect(world.evictions()).toEqual(['low-0']);
  });

  test('that change during the notice stop the evictions; then other victims are chosen', async () => {
    const world = await startWorld({
      nodes: 2,
      settings: { preemption: { ...PREEMPTION, noticeMs: 10 * SECOND } },
    });
    world.running('young', ['n0']);
    world.running('old', ['n1'], { startedAt: world.clock.now() - 3_600 * SECOND });
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'young' }, 1);
    world.create(gang('high', 1, HIGH));
    await world.pass(5 * SECOND);
    expect(annotationsOf(world, 'young-0')['muster.dev/preempted-by']).toBe('default/high');
    world.setDisruptionsAllowed('keep', 0);
    await world.pass(30 * SECOND);
    expect(world.evictions()).toEqual([]);
    await world.pass(60 * SECOND);
    expect(world.evictions()).toEqual(['old-0']);
    expect(Object.keys(annotationsOf(world, 'young-0'))).not.toContain('muster.dev/preempted-by');
    expect(world.slotsOf('high')).toEqual({ 'high-0': 'n1' });
  });

  test('that allow only a part of the gang protect all of it', async () => {
    const world = await startWorld({ nodes: 2, settings: { preemption: { ...PREEMPTION, noticeMs: 10 * SECOND } } });
    world.running('low', ['n0', 'n1']);
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'low' }, 2);
    world.create(gang('high', 2, HIGH));
    await world.pass(5 * SECOND);
    world.setDisruptionsAllowed('keep', 1);
    await world.pass(120 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(world.stateOf('low')).toBe('Running');
  });

  describe('is named while it blocks, and no longer', () => {
    /** Both pods of `low` have to leave, a minute after they were told; until then one of two may be disrupted. */
    async function startBlocked(): Promise<World> {
      const world = await startWorld({ nodes: 2, settings: { preemption: { ...PREEMPTION, noticeMs: 60 * SECOND } } });
      world.running('low', ['n0', 'n1'], { graceSeconds: 600 });
      world.disruptionBudget('keep', { 'muster.dev/pod-group': 'low' }, 2);
      world.create(gang('high', 2, HIGH));
      await world.pass(5 * SECOND);
      world.setDisruptionsAllowed('keep', 1);
      await world.pass(60 * SECOND);
      expect(world.reasonOf('high')).toContain('blocked: PodDisruptionBudget default/keep allows 1 of 2 disruptions');
      return world;
    }

    test('when the budget allows it again', async () => {
      const world = await startBlocked();
      world.setDisruptionsAllowed('keep', 2);
      await world.settle();
      expect(world.evictions()).toEqual(['low-0', 'low-1']);
      expect(world.reasonOf('high')).toBe('preempts default/low; 0 of 2 pods have left');
    });

    test('when the victims are deleted by somebody else', async () => {
      const world = await startBlocked();
      world.beginDeletion('low-0');
      world.beginDeletion('low-1');
      await world.settle();
      expect(world.evictions()).toEqual([]);
      expect(world.reasonOf('high')).toBe('preempts default/low; 0 of 2 pods have left');
    });

    test('when the victim whose eviction the API server refused is deleted by somebody else', async () => {
      const world = await startWorld({ nodes: 2 });
      world.running('low', ['n0', 'n1'], { graceSeconds: 600 });
      world.cluster.pauseWatch('PodDisruptionBudget');
      world.disruptionBudget('keep', { 'muster.dev/pod-group': 'low' }, 1);
      world.create(gang('high', 2, HIGH));
      await world.pass(5 * SECOND);
      expect(world.evictions()).toEqual(['low-0']);
      expect(world.reasonOf('high')).toContain('blocked: ');
      world.beginDeletion('low-1');
      await world.settle();
      expect(world.reasonOf('high')).toBe('preempts default/low; 0 of 2 pods have left');
    });
  });

  test('that only the API server knows: refused evictions are tried again, then others are evicted', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('young', ['n0']);
    world.running('old', ['n1'], { startedAt: world.clock.now() - 3_600 * SECOND });
    world.cluster.pauseWatch('PodDisruptionBudget');
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'young' }, 0);
    world.create(gang('high', 1, HIGH));
    await world.pass(20 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(world.reasonOf('high')).toContain('blocked: The disruption budget keep');
    await world.pass(15 * SECOND);
    expect(world.evictions()).toEqual(['old-0']);
  });
});

describe('killed while a gang preempts, Muster continues', () => {
  test('with half of the victims evicted: the rest is evicted, no other gang is, and the fence lasts', async () => {
    const world = await fullCluster();
    world.cluster.trouble({ verb: 'evict', pod: 'large-2', how: 'failed' });
    world.create(gang('high', 2, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual(['large-0', 'large-1']);
    const slots = world.slotsOf('high');
    world.cluster.heal();
    await world.restart();
    await world.settle();
    expect(world.slotsOf('high')).toEqual(slots);
    expect(world.evictions()).toEqual(['large-0', 'large-1', 'large-2']);
    world.create(pod('web'));
    await passGrace(world);
    expect((await world.filter('web', Object.values(slots))).NodeNames).toEqual([]);
    await world.schedule('high-0', 'high-1');
    expect(world.stateOf('high')).toBe('Running');
  });

  test('with the plan recorded and no notice written: it decides again', async () => {
    const world = await fullCluster();
    world.cluster.trouble({ verb: 'annotate', how: 'failed' });
    world.create(gang('high', 2, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual([]);
    world.cluster.heal();
    await world.restart();
    await world.pass(2 * SECOND);
    await passGrace(world);
    await world.schedule('high-0', 'high-1');
    expect(world.stateOf('high')).toBe('Running');
    expect(world.evictions()).toEqual(['large-0', 'large-1', 'large-2']);
  });

  test('with notices on some victims: it decides again at once', async () => {
    const world = await fullCluster();
    world.cluster.trouble({ verb: 'annotate', pod: 'large-1', how: 'failed' });
    world.create(gang('high', 3, HIGH));
    await world.settle();
    expect(annotationsOf(world, 'large-0')).toHaveProperty(['muster.dev/preempted-by']);
    world.cluster.heal();
    await world.restart();
    await world.pass(2 * SECOND);
    expect(world.evictions()).toEqual(['large-0', 'large-1', 'large-2']);
    expect(world.overbooked()).toEqual([]);
  });

  test('during the notice: the deadline stays', async () => {
    const world = await fullCluster({ preemption: { ...PREEMPTION, noticeMs: 60 * SECOND } });
    world.create(gang('high', 2, HIGH));
    await world.pass(30 * SECOND);
    await world.restart();
    await world.pass(30 * SECOND - 1);
    expect(world.evictions()).toEqual([]);
    await world.pass(1);
    expect(world.evictions()).toHaveLength(3);
  });
});

describe('a gang whose Job would not survive its eviction', () => {
  const job = (spec: Readonly<Record<string, unknown>>) => ({
    metadata: { name: 'train', namespace: 'default', uid: 'job' },
    spec: {
      parallelism: 8,
      template: { metadata: { labels: { 'muster.dev/pod-group': 'train' } } },
      ...spec,
    },
    status: {},
  });
  const ignores = { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }] };

  test.each([
    ['warns when it starts', {}, 1],
    ['does not with a podFailurePolicy', { podFailurePolicy: ignores }, 0],
    ['does not with a backoffLimit that is large enough', { backoffLimit: 8 }, 0],
  ])('%s', async (_, spec, warnings) => {
    const world = await startWorld({ nodes: 8 });
    world.cluster.create('Job', job(spec));
    world.create(gang('train', 8));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('train')).toBe('Running');
    expect(world.told.filter((event) => event.startsWith('JobDiesWhenPreempted'))).toHaveLength(warnings);
  });
});
