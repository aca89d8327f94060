/** `GET /v1/topology`: the tree with free capacity, the linter's findings and their gauges. */
import { expect, test } from 'vitest';
import { ClusterState } from '../../../src/cluster/state.ts';
import { TopologyInspector, type TopologyReport } from '../../../src/http/inspect/topology.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { aNode, GPU } from '../../support/builders.ts';
import { gang, pod, startWorld, type World } from '../../support/scenario.ts';

const BLOCK = 'example.com/block';
const RACK = 'example.com/rack';
const levels = [
  { name: 'block', label: BLOCK },
  { name: 'rack', label: RACK },
];

async function get(world: World, path: string): Promise<{ status: number; body: TopologyReport }> {
  const response = await world.muster.app.request(path);
  return { status: response.status, body: (await response.json()) as TopologyReport };
}

function addRack(world: World, block: string, rack: string, nodes: number): void {
  for (let i = 0; i < nodes; i++) world.addNode(`${rack}-n${i}`, { labels: { [BLOCK]: block, [RACK]: rack } });
}

/** `path free/total` of every domain of the tree. */
function sumUp({ domains }: Pick<TopologyReport, 'domains'>): readonly string[] {
  return domains.flatMap((domain) => [
    `${domain.path} ${domain.accelerators.free}/${domain.accelerators.total}`,
    ...sumUp({ domains: domain.children }),
  ]);
}

test('the tree has levels, policy, and what is free beside bound pods, slots, holds and nominations', async () => {
  const world = await startWorld({ levels, score: 'spread' });
  addRack(world, 'b1', 'r1', 2);
  addRack(world, 'b1', 'r2', 2);
  addRack(world, 'b2', 'r3', 1);
  const foreign = pod('foreign', { gpus: 3 });
  foreign.status.nominatedNodeName = 'r3-n0';
  world.create(gang('a', 2), pod('x', { nodeName: 'r2-n0', gpus: 4 }), foreign);
  await world.settle();
  const slots = Object.values(world.slotsOf('a'));
  expect(slots).toHaveLength(2);
  const { status, body } = await get(world, '/v1/topology');
  expect(status).toBe(200);
  expect(body.levels.map(({ name, domains }) => [name, domains])).toEqual([
    ['block', 2],
    ['rack', 3],
    ['host', 5],
  ]);
  expect(body.policy).toBe('spread');
  expect(body.drift).toEqual({ nodes: 0, last: null });
  const held = (rack: string) => 8 * slots.filter((node) => node.startsWith(rack)).length;
  const r1 = 16 - held('r1');
  const r2 = 12 - held('r2');
  expect(sumUp(body)).toEqual([`b1 ${r1 + r2}/32`, `b1/r1 ${r1}/16`, `b1/r2 ${r2}/16`, 'b2 5/8', 'b2/r3 5/8']);
  expect(body.cluster).toMatchObject({ nodes: 5, ready: 5, accelerators: { free: 17, total: 40 }, gangs: 1 });
});

test('hosts are served on request, and only true and false are accepted', async () => {
  const world = await startWorld({ levels });
  addRack(world, 'b1', 'r1', 2);
  await world.settle();
  expect(sumUp((await get(world, '/v1/topology?hosts=true')).body)).toEqual([
    'b1 16/16',
    'b1/r1 16/16',
    'b1/r1/r1-n0 8/8',
    'b1/r1/r1-n1 8/8',
  ]);
  expect(sumUp((await get(world, '/v1/topology?hosts=false')).body)).toEqual(['b1 16/16', 'b1/r1 16/16']);
  expect(await get(world, '/v1/topology?hosts=1')).toEqual({
    status: 400,
    body: { error: 'hosts: expected true or false, found "1"' },
  });
});

test('label problems are served as data and as text, and drift with its latest case', async () => {
  const world = await startWorld({ levels });
  addRack(world, 'b1', 'r1', 2);
  addRack(world, 'b1', 'r2', 1);
  world.addNode('lost', { labels: { [BLOCK]: 'b1' } });
  await world.settle();
  await get(world, '/v1/topology');
  world.cluster.update('Node', 'r1-n0', ({ metadata }) => {
    metadata.labels![RACK] = 'r2';
  });
  await world.settle();
  const { body } = await get(world, '/v1/topology');
  expect(body.drift).toEqual({ nodes: 1, last: { node: 'r1-n0', level: 'rack', from: 'r1', to: 'r2' } });
  expect(body.findings).toMatchObject([
    {
      kind: 'partial-coverage',
      level: { name: 'rack' },
      labelled: 3,
      of: 4,
      warning: true,
      text: expect.stringContaining(`rack: expected label ${RACK} on all 4`),
    },
    { kind: 'drift', nodes: 1, warning: true, text: expect.stringContaining('r1-n0, rack r1 → r2') },
  ]);
  expect(world.muster.inspector.warnings()).toEqual(body.findings.map(({ kind, text }) => `${kind}: ${text}`));
});

test('before the whole cluster is known there is neither a tree nor a finding', async () => {
  const { app, inspector } = (await startWorld({ nodes: 1 })).startUnrecovered();
  const response = await app.request('/v1/topology');
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({ error: 'not ready yet: the cluster is being read; see /readyz?verbose' });
  expect(inspector.warnings()).toEqual([]);
});

/** An inspector of its own cluster that counts how often it is asked about a resource. */
function inspect(...nodes: readonly Parameters<typeof aNode>[0][]) {
  return inspectLevels(levels, true, ...nodes);
}

function inspectLevels(
  configured: typeof levels | undefined,
  isReady: boolean,
  ...nodes: readonly Parameters<typeof aNode>[0][]
) {
  const state = new ClusterState(configured);
  for (const node of nodes) state.nodes.applied(aNode(node), undefined);
  const asked = { times: 0 };
  const isAccelerator = (resource: string) => {
    asked.times++;
    return resource === GPU;
  };
  const policy = { isAccelerator, score: 'best-fit' as const };
  const inspector = new TopologyInspector({
    scheduler: {
      snapshot: () => state.snapshot(),
      occupied: () => state.snapshot(),
      get drift() {
        return state.drift;
      },
    },
    policy,
    isReady: () => isReady,
  });
  return { state, inspector, asked };
}

test('nodes are linted again only after one of them changed', () => {
  const { state, inspector, asked } = inspect({ name: 'a', labels: { [BLOCK]: 'b', [RACK]: 'r' } }, { name: 'b' });
  expect(inspector.warnings()).toHaveLength(2);
  const { times } = asked;
  expect(times).toBeGreaterThan(0);
  inspector.warnings();
  inspector.measure(new Metrics());
  expect(asked.times).toBe(times);
  state.nodes.applied(aNode({ name: 'b', gpus: 0 }), undefined);
  expect(inspector.warnings(), 'a node that lost its GPUs needs no labels').toEqual([]);
});

test('the gauges follow the cluster, and a finding that is gone leaves no series', async () => {
  const labels = { [BLOCK]: 'b', [RACK]: 'r' };
  const { state, inspector } = inspect({ name: 'a', labels }, { name: 'b', labels: { [BLOCK]: 'b' } });
  const metrics = new Metrics();
  const readGauges = async () => {
    inspector.measure(metrics);
    return [...(await metrics.render()).matchAll(/^muster_topology_.*$/gm)].map(([line]) => line);
  };
  expect(await readGauges()).toEqual([
    'muster_topology_domains{level="block"} 1',
    'muster_topology_domains{level="rack"} 1',
    'muster_topology_domains{level="host"} 2',
    'muster_topology_findings{kind="partial-coverage",level="rack"} 1',
    'muster_topology_drifted_nodes 0',
  ]);
  state.nodes.applied(aNode({ name: 'b', labels }), undefined);
  state.nodes.applied(aNode({ name: 'a', labels: { ...labels, [RACK]: 'r2' } }), undefined);
  expect(await readGauges()).toEqual([
    'muster_topology_domains{level="block"} 1',
    'muster_topology_domains{level="rack"} 2',
    'muster_topology_domains{level="host"} 2',
    'muster_topology_findings{kind="drift",level=""} 1',
    'muster_topology_drifted_nodes 1',
  ]);
});

test('while the cluster is being read, the nodes seen so far are not judged', async () => {
  const { inspector } = inspectLevels(levels, false, { name: 'a', labels: { [BLOCK]: 'b' } });
  const metrics = new Metrics();
  inspector.measure(metrics);
  expect(inspector.warnings()).toEqual([]);
  expect(inspector.report(false)).toBeUndefined();
  expect(await metrics.render()).not.toMatch(/^muster_topology_(domains|findings)\{/m);
});

test('a level that no node has any more leaves no series', async () => {
  const LEAF = 'fabric.topograph.run/tier-0';
  const { state, inspector } = inspectLevels(undefined, true, { name: 'a', labels: { [LEAF]: 'l' } });
  const metrics = new Metrics();
  inspector.measure(metrics);
  expect(await metrics.render()).toContain('muster_topology_domains{level="leaf"} 1');
  state.nodes.applied(aNode({ name: 'a' }), undefined);
  inspector.measure(metrics);
  expect(await metrics.render()).not.toContain('level="leaf"');
});

test('levels in the wrong order are counted for the inner one', async () => {
  const { inspector } = inspect(
    { name: 'a', labels: { [BLOCK]: 'b1', [RACK]: 'r' } },
    { name: 'b', labels: { [BLOCK]: 'b2', [RACK]: 'r' } },
  );
  const metrics = new Metrics();
  inspector.measure(metrics);
  expect(await metrics.render()).toContain('muster_topology_findings{kind="inverted-levels",level="rack"} 1');
});

test('a finding for information is no warning and has no series', async () => {
  const { inspector } = inspect(
    { name: 'a', labels: { [BLOCK]: 'b1', [RACK]: 'r' } },
    { name: 'b', labels: { [BLOCK]: 'b1', [RACK]: 's' } },
    { name: 'c', labels: { [BLOCK]: 'b2', [RACK]: 'r' } },
  );
  const metrics = new Metrics();
  inspector.measure(metrics);
  expect(inspector.report(false)?.findings).toMatchObject([{ kind: 'repeated-name', warning: false }]);
  expect(inspector.warnings()).toEqual([]);
  expect(await metrics.render()).not.toContain('muster_topology_findings{');
});
