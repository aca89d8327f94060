import { describe, expect, test } from 'vitest';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const nodesOf = (world: World) => world.cluster.list('Node').map(({ metadata }) => metadata.name);

/** kube-scheduler offers other nodes for the member than its nominated one. */
async function refuse(world: World, name: string): Promise<string> {
  const node = world.nominations()[name]!;
  await world.filter(
    name,
    nodesOf(world).filter((other) => other !== node),
  );
  await world.settle();
  return node;
}

async function nominated(size: number, nodes: number, options = {}): Promise<World> {
  const world = await startWorld({ nodes, ...options });
  world.create(gang('a', size));
  await world.settle();
  return world;
}

describe('a refusal', () => {
  test('by a filter call for the nominated member without its node moves only that slot', async () => {
    const world = await nominated(3, 5);
    const before = world.slotsOf('a');
    const writes = world.cluster.writes.length;
    const node = await refuse(world, 'a-1');
    const { 'a-1': moved, ...siblings } = world.slotsOf('a');
    expect(moved, 'planned anew').not.toBe(node);
    expect(siblings, 'what differs not is not changed').toEqual({ 'a-0': before['a-0'], 'a-2': before['a-2'] });
    expect(world.nominations('a')).toEqual(world.slotsOf('a'));
    expect(world.cluster.writes.slice(writes), 'one write').toMatchObject([{ verb: 'nominate', pod: 'a-1' }]);
  });

  test('by a /preempt call for the nominated member vetoes the preemption', async () => {
    const world = await nominated(2, 4);
    world.create(pod('victim', { nodeName: 'n3', priority: -1 }));
    const { 'a-0': before } = world.slotsOf('a');
    expect(await world.preempt('a-0', { n3: ['victim'] })).toEqual({ NodeNameToMetaVictims: {} });
    await world.settle();
    expect(world.slotsOf('a')['a-0']).not.toBe(before);
  });

  test('does not follow from a filter call made before the nomination arrived', async () => {
    const world = await nominated(2, 4);
    const before = world.slotsOf('a');
    const writes = world.cluster.writes.length;
    const others = nodesOf(world).filter((name) => name !== before['a-0']);
    expect((await world.filterEarly('a-0', others)).NodeNames, 'it waits for its node').toEqual([]);
    await world.settle();
    expect(world.slotsOf('a'), 'a sample without the node says nothing about the node').toEqual(before);
    expect(world.cluster.writes).toHaveLength(writes);
  });

  test('does not follow from a /preempt call made before the nomination arrived', async () => {
    const world = await nominated(2, 4);
    world.create(pod('victim', { nodeName: 'n3', priority: -1 }));
    const before = world.slotsOf('a');
    const nomination = world.pod('a-0').status.nominatedNodeName;
    delete world.pod('a-0').status.nominatedNodeName;
    expect(await world.preempt('a-0', { n3: ['victim'] }), 'vetoed all the same').toEqual({
      NodeNameToMetaVictims: {},
    });
    world.pod('a-0').status.nominatedNodeName = nomination;
    await world.settle();
    expect(world.slotsOf('a'), 'the attempt knew nothing of the nominated node').toEqual(before);
  });

  test('follows from 15 s without progress while other members make some', async () => {
    const world = await nominated(2, 4);
    const { 'a-0': stuck, 'a-1': held } = world.slotsOf('a');
    world.bind('a-1');
    await world.pass(15 * SECOND);
    const after = world.slotsOf('a');
    expect(after['a-0'], 'it had its time').not.toBe(stuck);
    expect(after['a-1'], 'the held sibling stays').toBe(held);
  });

  test('needs a second timeout when no member makes progress: kube-scheduler may be down, so all are nominated again', async () => {
    const world = await nominated(2, 4);
    const before = world.slotsOf('a');
    const records = world.records('a');
    await world.pass(SECOND);
    const from = world.clock.now();
    await world.pass(14 * SECOND);
    expect(world.slotsOf('a'), 'nothing is learnt yet').toEqual(before);
    expect(world.cluster.countWrites(from), 'erased and written again: only a change wakes a pod').toEqual({
      clear: 2,
      nominate: 2,
    });
    expect(world.records('a'), 'a new attempt number makes an event').not.toEqual(records);
    await world.pass(15 * SECOND);
    const after = world.slotsOf('a');
    expect([after['a-0'], after['a-1']], 'still nothing: now it is a refusal').not.toEqual([
      before['a-0'],
      before['a-1'],
    ]);
  });

  test('follows from a nomination that is erased again and again without a call for the member', async () => {
    const world = await nominated(1, 3);
    const { 'a-0': node = '' } = world.slotsOf('a');
    // No node passes kube-scheduler's plugins: it does not call the extender, its preemption finds nothing, and it
    // erases the nomination.
    world.scheduler.refuses.set('a-0', nodesOf(world));
    for (let second = 0; second < 31; second++) {
      await world.schedule();
      await world.pass(SECOND);
    }
    expect(world.slotsOf('a')['a-0'], 'the slot is not held for ever').not.toBe(node);
  });

  test('follows from a member that is accepted again and again and never bound', async () => {
    const world = await nominated(1, 3);
    const { 'a-0': node = '' } = world.slotsOf('a');
    for (let second = 0; second < 35; second++) {
      if (world.slotsOf('a')['a-0'] === node) await world.filter('a-0', [node]);
      await world.pass(SECOND);
    }
    expect(world.slotsOf('a')['a-0'], 'Reserve or PreBind fails there').not.toBe(node);
  });
});

describe('a learned refusal', () => {
  test('holds for the whole attempt', async () => {
    const world = await nominated(1, 4);
    const tried: string[] = [];
    for (let i = 0; i < 3; i++) tried.push(await refuse(world, 'a-0'));
    tried.push(world.slotsOf('a')['a-0']!);
    expect(new Set(tried).size, 'no node twice').toBe(4);
  });

  test('holds for the template: a member with another one may go there', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 1, { min: 2 }), gang('a', 2, { from: 1, min: 2, spec: { nodeSelector: {} }, gpus: 7 }));
    await world.settle();
    const before = world.slotsOf('a');
    world.addNode('n2');
    await world.settle();
    await refuse(world, 'a-0');
    expect(world.slotsOf('a'), 'the other stays where its sibling could not be').toEqual({ ...before, 'a-0': 'n2' });
    await refuse(world, 'a-1');
    expect(world.slotsOf('a')['a-1'], 'and may take the very node').toBe(before['a-0']);
  });

  test('counts volumes as part of the template', async () => {
    const world = await startWorld({ nodes: 3 });
    const claim = (name: string) => ({ volumes: [{ name: 'data', persistentVolumeClaim: { claimName: name } }] });
    for (const name of ['d0', 'd1']) {
      world.cluster.create('PersistentVolumeClaim', {
        metadata: { name, namespace: 'default', annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
        spec: { volumeName: `pv-${name}` },
        status: {},
      });
    }
    world.create(gang('a', 1, { min: 2, spec: claim('d0') }), gang('a', 2, { from: 1, min: 2, spec: claim('d1') }));
    await world.settle();
    const { 'a-0': first, 'a-1': second } = world.slotsOf('a');
    await refuse(world, 'a-0');
    await refuse(world, 'a-1');
    expect(world.slotsOf('a')['a-1'], "a-0's volume was refused there, not a-1's").toBe(first);
    expect(second).not.toBe(first);
  });

  test('ends with the attempt', async () => {
    const world = await nominated(1, 1);
    const node = await refuse(world, 'a-0');
    expect(world.stateOf('a'), 'no other place: given up').toBe('Pending');
    await world.pass(SECOND);
    expect(world.slotsOf('a')['a-0'], 'the next attempt begins afresh').toBe(node);
  });
});

describe('planning again after a refusal', () => {
  test('keeps held members instead of releasing them', async () => {
    const world = await nominated(3, 4);
    const held = world.bindAll('a-0', 'a-1');
    await world.settle();
    await refuse(world, 'a-2');
    expect(
      held.map(({ verdict }) => verdict),
      'nobody is sent back',
    ).toEqual(['held', 'held']);
    const last = world.bind('a-2');
    await world.settle();
    expect([...held, last].map(({ verdict }) => verdict)).toEqual(['bound', 'bound', 'bound']);
  });

  /** a-0 fits anywhere, a-1 needs a label that n0 and n1 have but n2 lacks. */
  async function inEachOthersWay(): Promise<World> {
    const world = await startWorld();
    for (const name of ['n0', 'n1']) world.addNode(name, { labels: { disk: 'fast' } });
    world.create(gang('a', 1, { min: 2 }), gang('a', 2, { from: 1, min: 2, spec: { nodeSelector: { disk: 'fast' } } }));
    await world.settle();
    world.addNode('n2');
    await world.settle();
    expect(world.slotsOf('a')).toEqual({ 'a-0': 'n0', 'a-1': 'n1' });
    return world;
  }

  test('moves members in the way that are not held', async () => {
    const world = await inEachOthersWay();
    await refuse(world, 'a-1');
    expect(world.slotsOf('a')['a-1'], 'the only other place with the label').toBe('n0');
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('moves the member that is not held and leaves the held one on its node', async () => {
    const world = await startWorld();
    for (const name of ['n0', 'n1', 'n2']) world.addNode(name, { labels: { disk: 'fast' } });
    const fast = { nodeSelector: { disk: 'fast' } };
    world.create(gang('a', 2, { min: 3 }), gang('a', 3, { from: 2, min: 3, spec: fast }));
    await world.settle();
    world.addNode('n3');
    await world.settle();
    const before = world.slotsOf('a');
    // Held on the node that a plan without regard for it would give away first.
    const held = world.bind('a-0');
    await world.settle();
    await refuse(world, 'a-2');
    expect(held.verdict).toBe('held');
    expect(world.slotsOf('a')).toMatchObject({ 'a-0': before['a-0'], 'a-2': before['a-1'] });
  });

  test('moves held members only when nothing else helps: their calls are answered', async () => {
    const world = await inEachOthersWay();
    const held = world.bind('a-0');
    await world.settle();
    await refuse(world, 'a-1');
    expect(world.slotsOf('a')['a-1']).toBe('n0');
    expect(held.verdict).toContain('planned anew');
    expect(world.boundTo('a'), 'nothing was bound').toEqual({});
  });

  test('never moves a member whose binding is written, though the watch does not show it yet', async () => {
    const world = await inEachOthersWay();
    world.cluster.pauseWatch();
    world.cluster.trouble({ verb: 'bind', pod: 'a-1', how: 'failed', times: 1 });
    world.bindAll('a-0', 'a-1');
    await world.settle();
    await refuse(world, 'a-1');
    expect(world.slotsOf('a'), 'it is there, whatever is planned').toEqual({ 'a-0': 'n0' });
    expect(world.overbooked()).toEqual([]);
  });

  test('without a fitting node releases the whole gang: nominations and records of every member are erased', async () => {
    const world = await nominated(3, 3);
    const held = world.bind('a-1');
    await world.settle();
    await refuse(world, 'a-0');
    expect(world.slotsOf('a')).toEqual({});
    expect(world.nominations('a')).toEqual({});
    expect(world.records('a')).toEqual({});
    expect(held.verdict, 'and who is held is told').toContain('no other place was left');
    expect(world.stateOf('a')).toBe('Pending');
    const { reason } = await world.inspect('a');
    expect(reason, 'it says why and when it goes on').toMatch(/no other place was left.*tried again at/);
  });

  test('ends after the allowed number of placements', async () => {
    const world = await nominated(1, 20, { settings: { maxReplans: 3 } });
    for (let i = 0; i < 4; i++) await refuse(world, 'a-0');
    expect(world.stateOf('a')).toBe('Pending');
    expect((await world.inspect('a')).reason).toContain('kube-scheduler refused 3 placements');
  });

  test('counts refusals, not plans for a member above the minimum that does not fit', async () => {
    const world = await startWorld({ nodes: 3, settings: { maxReplans: 3 } });
    world.create(gang('a', 3, { min: 2 }));
    await world.settle();
    world.setReady('n2', false);
    const extra = Object.entries(world.slotsOf('a')).find(([, node]) => node === 'n2')![0];
    await refuse(world, extra);
    const before = world.slotsOf('a');
    expect(Object.keys(before)).toHaveLength(2);
    for (let i = 0; i < 10; i++) {
      world.create(pod(`web-${i}`, { gpus: 0, nodeName: 'n0' }));
      world.delete(`web-${i}`);
      await world.settle();
    }
    expect(world.slotsOf('a'), 'pods that come and go are no reason to give up').toEqual(before);
  });

  test('happens for a needed member even though one above the minimum did not fit', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 2, { gpus: 4 }), gang('a', 3, { from: 2, min: 2, gpus: 64 }));
    await world.settle();
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-0', 'a-1']);
    const node = await refuse(world, 'a-0');
    expect(world.slotsOf('a')['a-0']).toMatch(/^n/);
    expect(world.slotsOf('a')['a-0']).not.toBe(node);
  });

  test('erases the record of a member left without a slot, so that a restart does not adopt it', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3, { min: 2 }));
    await world.settle();
    const [, , [extra = '', node = ''] = []] = Object.entries(world.slotsOf('a'));
    world.setReady(node, false);
    await refuse(world, extra);
    expect(world.slotsOf('a')).not.toHaveProperty(extra);
    expect(world.records('a')).not.toHaveProperty(extra);
    expect(world.nominations('a'), 'or kube-scheduler goes on counting it there').not.toHaveProperty(extra);
  });
});

describe('a lost nomination', () => {
  test('that the watch shows is written again with a new attempt number', async () => {
    const world = await nominated(2, 2);
    const before = world.records('a');
    world.eraseNomination('a-0');
    await world.settle();
    expect(world.nominations('a'), 'back on the same node').toEqual(world.slotsOf('a'));
    expect(world.records('a')['a-0']).toBe(before['a-0']!.replace(/1$/, '2'));
    expect(world.records('a')['a-1'], 'the sibling is left alone').toBe(before['a-1']);
  });

  test('that a filter call shows is written again, unless it was written just before', async () => {
    const world = await nominated(2, 4);
    const { 'a-0': node } = world.slotsOf('a');
    const others = nodesOf(world).filter((name) => name !== node);
    const from = world.cluster.writes.length;
    await world.filterEarly('a-0', others);
    await world.settle();
    expect(world.cluster.writes.slice(from), 'on its way').toEqual([]);
    await world.pass(1_001);
    await world.filterEarly('a-0', others);
    await world.settle();
    expect(world.cluster.writes.slice(from).map(({ verb }) => verb)).toContain('nominate');
    expect(world.nominations('a')['a-0']).toBe(node);
    expect(world.records('a')['a-0'], 'an event needs a change').toMatch(/\/2$/);
  });

  test('after a bind error is written again only when kube-scheduler’s clearing is seen', async () => {
    const world = await nominated(1, 2);
    const { 'a-0': node } = world.slotsOf('a');
    world.cluster.trouble({ verb: 'bind', how: 'failed', times: 1 });
    const call = world.bind('a-0');
    await world.settle();
    expect(call.verdict).toContain('injected: internal error');
    const from = world.cluster.writes.length;
    await world.pass(5 * SECOND);
    expect(world.cluster.writes.slice(from), 'a write now would be erased').toEqual([]);
    world.eraseNomination('a-0');
    await world.settle();
    expect(world.cluster.writes.slice(from)).toMatchObject([{ verb: 'nominate', node }]);
    const again = world.bind('a-0');
    await world.settle();
    expect(again.verdict).toBe('bound');
  });

  test('that kube-scheduler moved to another node is written back', async () => {
    const world = await nominated(1, 2);
    const { 'a-0': node } = world.slotsOf('a');
    world.cluster.update('Pod', 'default/a-0', ({ status }) => {
      status.nominatedNodeName = node === 'n0' ? 'n1' : 'n0';
    });
    await world.settle();
    expect(world.nominations('a')).toEqual({ 'a-0': node });
  });

  test('is told apart from a nomination that the watch has not shown yet', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('a', 2));
    world.cluster.pauseWatch();
    await world.pass(2 * SECOND);
    world.cluster.resumeWatch();
    await world.pass(2 * SECOND);
    expect(world.cluster.countWrites(), 'each written once').toEqual({ nominate: 2 });
  });
});

describe('the planner models what would otherwise lead to refusal after refusal', () => {
  const alone: readonly [string, (raw: WireObject) => void][] = [
    [
      'host ports: hostNetwork turns every container port into one',
      ({ spec }) => {
        spec.hostNetwork = true;
        spec.containers[0].ports = [{ containerPort: 29500 }];
      },
    ],
    [
      'anti-affinity of the members against each other',
      ({ metadata, spec }) => {
        metadata.labels!.job = 'a';
        spec.affinity = {
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [
              { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { job: 'a' } } },
            ],
          },
        };
      },
    ],
    [
      'spread inside the gang',
      ({ metadata, spec }) => {
        metadata.labels!.job = 'a';
        spec.topologySpreadConstraints = [
          {
            maxSkew: 1,
            topologyKey: 'kubernetes.io/hostname',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { matchLabels: { job: 'a' } },
          },
        ];
      },
    ],
  ];
  test.each(alone)('%s', async (_, change) => {
    const world = await startWorld({ nodes: 3 });
    const members = gang('a', 3, { gpus: 1 });
    for (const member of members) change(member);
    world.create(members);
    await world.settle();
    expect(new Set(Object.values(world.slotsOf('a'))).size, 'each on a node of its own from the start').toBe(3);
  });

  test('with spread constraints a missing member may be the reason: two more tries before a refusal is learned', async () => {
    const world = await startWorld({ nodes: 4 });
    const members = gang('a', 2);
    for (const member of members) alone[2]![1](member);
    world.create(members);
    await world.settle();
    const { 'a-0': node } = world.slotsOf('a');
    for (const attempt of [2, 3]) {
      await refuse(world, 'a-0');
      expect(world.slotsOf('a')['a-0']).toBe(node);
      expect(world.records('a')['a-0']).toMatch(new RegExp(`/${attempt}$`));
    }
    await refuse(world, 'a-0');
    expect(world.slotsOf('a')['a-0'], 'refused three times').not.toBe(node);
  });

  test('a member bound to a volume goes to a node that the full filter call allows', async () => {
    const world = await startWorld({ nodes: 6 });
    world.cluster.create('PersistentVolumeClaim', {
      metadata: { name: 'd', namespace: 'default', annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
      spec: { volumeName: 'pv' },
      status: {},
    });
    const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'd' } }];
    world.create(gang('a', 1, { min: 2, spec: { volumes } }), gang('a', 2, { from: 1, min: 2 }));
    await world.settle();
    await world.filter('a-0', ['n5']);
    await world.settle();
    expect(world.slotsOf('a')['a-0'], 'learnt in one step, not node by node').toBe('n5');
    expect(world.stateOf('a')).toBe('Nominated');
  });
});

test('a gang whose new member finds no place beside the others says what it lacks, although nobody refused it', async () => {
  const world = await startWorld({ nodes: 3 });
  world.create(gang('a', 3));
  await world.settle();
  world.delete('a-2');
  world.create(gang('a', 3, { from: 2, gpus: 16 }));
  await world.settle();
  expect(world.reasonOf('a')).toMatch(/^no other place was left: room for 2 of 3 members; .*; tried again at /);
  await world.pass(5 * SECOND);
  expect(world.stateOf('a'), 'one member is larger than any node').toBe('Unsatisfiable');
});

describe('a queue that is longer than the timeout', () => {
  const pods = (name: string, count: number) => gang(name, count, {});

  test('a nominated member is not overdue while kube-scheduler brings those that were nominated before it', async () => {
    const world = await startWorld({ nodes: 60 });
    world.create(pods('first', 30));
    await world.pass(SECOND);
    world.create(pods('second', 30));
    await world.settle();
    const records = world.records('second');
    for (let i = 0; i < 29; i++) {
      await world.pass(SECOND);
      world.bindAll(`first-${i}`);
    }
    expect(world.records('second'), 'kube-scheduler has not come to it: nothing is written again').toEqual(records);
    expect(world.cluster.countWrites().clear).toBeUndefined();
    world.bindAll('first-29');
    await world.pass(16 * SECOND);
    expect(world.records('second'), 'all before it are through, and it had its time').not.toEqual(records);
  });

  test('it is overdue when kube-scheduler brings only those that were nominated after it', async () => {
    const world = await startWorld({ nodes: 60 });
    world.create(pods('stuck', 2));
    await world.pass(2 * SECOND);
    const records = world.records('stuck');
    world.create(pods('later', 30));
    await world.settle();
    for (let i = 0; i < 16; i++) {
      await world.pass(SECOND);
      world.bindAll(`later-${i}`);
    }
    expect(world.records('stuck'), 'it went past them').not.toEqual(records);
  });

  test('pods outside gangs count: kube-scheduler bound what was created before the nomination', async () => {
    const world = await startWorld({ nodes: 60 });
    const createdAt = new Date(world.clock.now()).toISOString();
    const others = Array.from({ length: 20 }, (_, i) => pod(`web-${i}`, { gpus: 0, spec: {} }));
    for (const raw of others) Object.assign(raw.metadata, { creationTimestamp: createdAt });
    world.create(others);
    await world.pass(SECOND);
    world.create(pods('a', 2));
    await world.settle();
    const records = world.records('a');
    for (let i = 0; i < 20; i++) {
      await world.pass(SECOND);
      world.cluster.update('Pod', `default/web-${i}`, ({ spec }) => {
        spec.nodeName = 'n59';
      });
    }
    expect(world.records('a')).toEqual(records);
    await world.pass(16 * SECOND);
    expect(world.records('a')).not.toEqual(records);
  });

  test('a nomination that waits to be written is not overdue while others are written', async () => {
    const world = await startWorld({ nodes: 200 });
    world.cluster.trouble({ verb: 'nominate', how: 'ok', hangs: true, times: 1_000 });
    world.create(pods('large', 128), pods('small', 2));
    await world.settle();
    await world.pass(10 * SECOND);
    world.cluster.letGo();
    await world.pass(10 * SECOND);
    expect(world.stateOf('small'), 'its writes wait for those of the other gang').toBe('Nominated');
    world.cluster.heal();
    world.cluster.letGo();
    await world.settle();
    expect(Object.keys(world.nominations('small'))).toHaveLength(2);
    expect(world.cluster.countWrites().nominate, 'each once').toBe(130);
  });
});
