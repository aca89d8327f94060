import { describe, expect, test } from 'vitest';
import {
  gang,
  PLAN,
  pod,
  SECOND,
  startWorld,
  verdicts,
  type World,
  type WorldOptions,
} from '../../support/scenario.ts';

const LEVELS = [
  { name: 'block', label: 'block' },
  { name: 'rack', label: 'rack' },
];

/** Racks of nodes with 8 GPUs, `r0-n0` and so on, two racks a block. */
async function startFabric(racks: readonly number[], options: WorldOptions = {}): Promise<World> {
  const world = await startWorld({ levels: LEVELS, ...options });
  racks.forEach((nodes, rack) => {
    for (let i = 0; i < nodes; i++) label(world, `r${rack}-n${i}`, `r${rack}`);
  });
  await world.settle();
  return world;
}

function label(world: World, name: string, rack: string): void {
  world.addNode(name, { labels: { rack, block: `b${Math.floor(Number(rack.slice(1)) / 2)}` } });
}

function relabel(world: World, name: string, labels: Readonly<Record<string, string>>): void {
  world.cluster.update('Node', name, ({ metadata }) => {
    metadata.labels = { ...metadata.labels, ...labels };
  });
}

const asks = (key: string, value: string) => ({ annotations: { [`muster.dev/${key}`]: value } });
const nodesOf = (world: World, name: string) => Object.values(world.slotsOf(name)).sort();

describe('a gang that requires a level', () => {
  test('waits, says what is missing, and starts when capacity becomes free', async () => {
    const world = await startFabric([3, 4]);
    world.create(pod('x', { gpus: 8, nodeName: 'r1-n0' }));
    world.create(gang('a', 4, asks('topology-required', 'rack')));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
    expect((await world.inspect('a')).reason).toBe(
      'rack: best domain b0/r0 fits 3 of 4; nodes there for the others: 3 insufficient nvidia.com/gpu',
    );
    world.delete('x');
    await world.settle();
    expect(nodesOf(world, 'a')).toEqual(['r1-n0', 'r1-n1', 'r1-n2', 'r1-n3']);
  });

  test('that does not exist waits and names the levels there are, until there is one', async () => {
    const world = await startFabric([2]);
    world.create(gang('a', 2, asks('topology-required', 'cage')));
    await world.settle();
    expect((await world.inspect('a')).reason).toContain(
      'muster.dev/topology-required: expected one of block, rack, host, or a node label of theirs, found "cage"',
    );
  });
});

describe('patience', () => {
  const patient = { annotations: { 'muster.dev/topology-preferred': 'rack', 'muster.dev/topology-patience': '10m' } };

  test('keeps a gang waiting for its preferred level, and shows the deadline', async () => {
    const world = await startFabric([2, 2]);
    world.create(gang('a', 3, patient));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
    expect((await world.inspect('a')).topology?.widensAt).toBe('2026-01-01T00:10:00.000Z');
    await world.pass(599 * SECOND);
    expect(world.stateOf('a'), 'nothing else happened').toBe('Pending');
  });

  test('ends by time alone: then the next wider level is allowed', async () => {
    const world = await startFabric([2, 2]);
    world.create(gang('a', 3, patient));
    await world.pass(601 * SECOND);
    expect(world.stateOf('a')).toBe('Nominated');
    expect(new Set(nodesOf(world, 'a').map((name) => name.slice(0, 2)))).toEqual(new Set(['r0', 'r1']));
  });

  test('does not start over with a restart', async () => {
    const world = await startFabric([2, 2]);
    world.create(gang('a', 3, patient));
    await world.pass(500 * SECOND);
    await world.restart();
    await world.pass(101 * SECOND);
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('ends at once when the preferred level has capacity', async () => {
    const world = await startFabric([2, 2]);
    world.create(gang('a', 3, patient));
    await world.pass(SECOND);
    label(world, 'r1-n2', 'r1');
    await world.settle();
    expect(nodesOf(world, 'a')).toEqual(['r1-n0', 'r1-n1', 'r1-n2']);
  });
});

describe('labels that change while a gang is nominated', () => {
  test('cause a release and a new plan before anything is bound', async () => {
    const world = await startFabric([2, 3]);
    world.create(gang('a', 2, asks('topology-required', 'rack')));
    await world.settle();
    expect(nodesOf(world, 'a')).toEqual(['r0-n0', 'r0-n1']);
    relabel(world, 'r0-n1', { rack: 'r9' });
    await world.settle();
    expect(nodesOf(world, 'a')).toEqual(['r1-n0', 'r1-n1']);
    await world.schedule();
    expect(Object.values(world.boundTo('a')).sort()).toEqual(['r1-n0', 'r1-n1']);
    expect(await world.metrics.render()).toMatch(/reservation_released_total\{reason="topology-drift"\} [1-9]/);
  });

  test('are not the fault of the gang, however long it had its slots', async () => {
    const world = await startFabric([2, 3]);
    world.create(gang('a', 2, asks('topology-required', 'rack')));
    await world.pass(10 * SECOND);
    relabel(world, 'r0-n1', { rack: 'r9' });
    await world.settle();
    expect(nodesOf(world, 'a')).toEqual(['r1-n0', 'r1-n1']);
    const [record] = world.muster.view.gangs();
    expect([record?.attempt.failures, record?.admission.setBack]).toEqual([0, 0]);
  });

  test('and a request that the owner changed meanwhile: labels are to blame', async () => {
    const world = await startFabric([2, 3]);
    world.create(gang('a', 2, asks('topology-required', 'rack')));
    await world.pass(10 * SECOND);
    for (const name of ['default/a-0', 'default/a-1']) {
      world.cluster.update('Pod', name, ({ metadata }) => {
        metadata.annotations = { ...metadata.annotations, 'muster.dev/topology-required': 'block' };
      });
    }
    await world.settle();
    relabel(world, 'r0-n1', { rack: 'r9', block: 'b9' });
    await world.settle();
    expect(nodesOf(world, 'a'), 'planned again at once').toHaveLength(2);
    expect(nodesOf(world, 'a')).not.toContain('r0-n1');
  });

  test('reject members held at the barrier, even if the last one comes before the next cycle', async () => {
    const world = await startFabric([2, 3]);
    world.create(gang('a', 2, asks('topology-required', 'rack')));
    await world.settle();
    const first = world.bind('a-0');
    relabel(world, 'r0-n1', { rack: 'r9' });
    const second = world.bind('a-1');
    await world.settle();
    expect(verdicts([first, second])).not.toContain('bound');
    expect(world.boundTo('a')).toEqual({});
    await world.schedule();
    expect(Object.values(world.boundTo('a')).sort()).toEqual(['r1-n0', 'r1-n1']);
  });

  test('are noticed, too, when they split a slice', async () => {
    const world = await startFabric([2, 2, 2]);
    const slices = { annotations: { 'muster.dev/slice-size': '2', 'muster.dev/slice-required': 'rack' } };
    world.create(gang('a', 4, slices));
    await world.settle();
    const before = nodesOf(world, 'a');
    expect(before).toEqual(['r0-n0', 'r0-n1', 'r1-n0', 'r1-n1']);
    relabel(world, 'r0-n1', { rack: 'r9' });
    await world.settle();
    expect(nodesOf(world, 'a')).toEqual(['r1-n0', 'r1-n1', 'r2-n0', 'r2-n1']);
  });

  test('have no effect if no request depends on them', async () => {
    const world = await startFabric([2, 3]);
    world.create(gang('a', 2, asks('topology-required', 'rack')));
    await world.settle();
    const records = world.records('a');
    relabel(world, 'r0-n1', { team: 'blue' });
    await world.settle();
    expect(world.records('a')).toEqual(records);
  });

  test('leave a running gang where it is', async () => {
    const world = await startFabric([2, 3]);
    world.create(gang('a', 2, asks('topology-required', 'rack')));
    await world.settle();
    await world.schedule();
    relabel(world, 'r0-n1', { rack: 'r9' });
    await world.settle();
    expect(world.stateOf('a')).toBe('Running');
  });
});

describe('exclusive domains', () => {
  test('keep a second gang out of the rack, both while it is reserved and when the first gang runs', async () => {
    const world = await startFabric([4]);
    world.create(gang('a', 2, asks('topology-exclusive', 'rack')));
    await world.settle();
    world.create(gang('b', 2));
    await world.settle();
    expect(world.stateOf('b'), 'a is nominated').toBe('Pending');
    await world.schedule();
    expect(world.stateOf('a')).toBe('Running');
    expect(world.stateOf('b')).toBe('Pending');
    for (const name of ['a-0', 'a-1']) world.finish(name);
    await world.settle();
    expect(world.stateOf('b')).toBe('Nominated');
  });

  test('are none where the operator does not allow the level, and the gang says so and holds nothing', async () => {
    const world = await startFabric([2, 2], { exclusiveLevels: ['host'] });
    world.create(gang('a', 1, asks('topology-exclusive', 'rack')));
    await world.settle();
    expect(world.stateOf('a')).toBe('Unsatisfiable');
    expect(world.slotsOf('a')).toEqual({});
    expect(world.reasonOf('a')).toContain('muster.dev/topology-exclusive: expected one of host');
    expect(world.reasonOf('a')).toContain('topology.exclusiveLevels');
    world.create(gang('b', 1, asks('topology-exclusive', 'host')));
    await world.settle();
    expect(world.stateOf('b')).toBe('Nominated');
  });

  test('of a level that is not allowed close nothing, although a running pod claims one', async () => {
    const world = await startFabric([4], { exclusiveLevels: ['host'] });
    world.running('a', ['r0-n0'], asks('topology-exclusive', 'rack'));
    world.create(gang('b', 2));
    await world.settle();
    expect(world.stateOf('b')).toBe('Nominated');
  });

  const annotate = (world: World, name: string, annotations: Readonly<Record<string, string>>) =>
    world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
      const { 'muster.dev/topology-exclusive': _, ...others } = metadata.annotations ?? {};
      metadata.annotations = { ...others, ...annotations };
    });

  test('are those that the gang was planned with: a key that is written on a running pod closes none', async () => {
    const world = await startFabric([2, 2]);
    world.create(gang('a', 1), gang('e', 1, asks('topology-exclusive', 'rack')));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('e')).toBe('Running');
    for (const name of ['a-0', 'e-0']) {
      annotate(world, name, { 'muster.dev/topology-exclusive': 'block', [PLAN]: 'x/r0-n0/1 exclusive=block' });
    }
    world.create(gang('b', 1));
    await world.settle();
    expect(world.stateOf('b'), 'neither the block of a is closed, nor the rack of e any more').toBe('Nominated');
  });

  test('stay closed after a restart, and open when the gang gives them up', async () => {
    const world = await startFabric([2]);
    world.create(gang('a', 1, asks('topology-exclusive', 'rack')));
    await world.settle();
    await world.schedule();
    world.create(gang('b', 1));
    await world.restart();
    expect(world.stateOf('b')).toBe('Pending');
    annotate(world, 'a-0', {});
    await world.settle();
    expect(world.stateOf('b'), 'whoever they kept out is woken').toBe('Nominated');
  });

  test('are not those that somebody writes between nomination and binding', async () => {
    const world = await startFabric([2, 2]);
    world.create(gang('a', 1));
    await world.settle();
    const { 'a-0': node = '' } = world.slotsOf('a');
    annotate(world, 'a-0', { 'muster.dev/topology-exclusive': 'block', [PLAN]: `x/${node}/1 exclusive=block` });
    await world.settle();
    const call = world.bind('a-0', node);
    await world.settle();
    expect(call.verdict).toBe('bound');
    world.create(gang('b', 1));
    await world.settle();
    expect(world.stateOf('b')).toBe('Nominated');
  });
});

test('a required level counts as planned: a replacement goes where the gang runs, whatever its key says by then', async () => {
  const world = await startFabric([3, 3]);
  const members = () => gang('a', 2, asks('topology-required', 'rack'));
  world.create(members());
  await world.settle();
  await world.schedule();
  const { 'a-0': node = '' } = world.boundTo('a');
  const lost = members()[1]!;
  lost.metadata.annotations!['muster.dev/topology-required'] = 'block';
  world.cluster.update('Pod', 'default/a-0', ({ metadata }) => {
    metadata.annotations!['muster.dev/topology-required'] = 'block';
  });
  for (const name of ['r0-n1', 'r0-n2', 'r1-n1', 'r1-n2'].filter((each) => each.slice(0, 2) === node.slice(0, 2))) {
    if (Object.values(world.boundTo()).includes(name)) continue;
    world.create(pod(`filler-${name}`, { gpus: 8, nodeName: name }));
  }
  world.delete('a-1');
  await world.settle();
  const freed = [...world.cluster.list('Node')].map(({ metadata }) => metadata.name);
  world.create(lost);
  await world.settle();
  const { 'a-1': placed } = world.slotsOf('a');
  expect(freed).toContain(placed);
  expect(placed?.slice(0, 2)).toBe(node.slice(0, 2));
});
