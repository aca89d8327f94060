/** `muster topology` against the real route of a small world. */
import { describe, expect, test } from 'vitest';
import { runCli } from '../../src/cli/commands.ts';
import { reachWith, recordCli } from '../support/cli-environment.ts';
import { gang, startWorld, type World } from '../support/scenario.ts';

const levels = ['block', 'rack'].map((name) => ({ name, label: name }));

function addNodes(world: World, labels: Readonly<Record<string, string>>, ...names: readonly string[]): void {
  for (const name of names) world.addNode(name, { labels });
}

/** Runs the command against the world's Muster. */
async function run(world: World, ...args: readonly string[]) {
  const asked: string[] = [];
  const { environment, stdout, stderr } = recordCli({
    now: () => world.clock.now(),
    reach: reachWith(async (url) => {
      asked.push(url);
      const { pathname, search } = new URL(url);
      return await world.muster.app.request(pathname + search);
    }),
  });
  const code = await runCli(['topology', ...args], environment);
  return { code, stdout: stdout(), stderr: stderr(), asked };
}

async function startFabric(): Promise<World> {
  const world = await startWorld({ levels });
  addNodes(world, { block: 'b1', rack: 'r1' }, 'n1', 'n2');
  addNodes(world, { block: 'b1', rack: 'r2' }, 'n3', 'n4');
  addNodes(world, { block: 'b2', rack: 'r1' }, 'n5');
  addNodes(world, { block: 'b2' }, 'n6');
  addNodes(world, {}, 'n7');
  world.setReady('n4', false);
  world.create(gang('train', 1, { gpus: 8, annotations: { 'muster.dev/topology-exclusive': 'rack' } }));
  await world.settle();
  await world.schedule();
  expect(world.boundTo('train')).toEqual({ 'train-0': 'n5' });
  return world;
}

describe('muster topology', () => {
  test('prints the tree, numbers aligned, nodes without a label apart', async () => {
    const { code, stdout, stderr, asked } = await run(await startFabric());
    expect(stdout).toBe(`DOMAIN     LEVEL   NODES   READY   FREE   TOTAL   GANGS   NOTES
cluster                7       6     48      56       1
|- b1      block       4       3     32      32       0   whole
|  |- r1   rack        2       2     16      16       0   whole
|  \`- r2   rack        2       1     16      16       0   whole
|- b2      block       2       2      8      16       1
|  |- r1   rack        1       1      0       8       1   exclusive to default/train
|  \`- -    rack        1       1      8       8           no label
\`- -       block       1       1      8       8           no label
`);
    expect(stderr).toBe('3 findings about the labels; see muster topology --lint\n');
    expect([code, asked]).toEqual([0, ['https://muster.muster-system.svc:8443/v1/topology']]);
  });

  test('--hosts shows each node in its domain', async () => {
    const { stdout } = await run(await startFabric(), '--hosts', '--url', 'http://muster:1');
    const [, ...lines] = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.slice(0, 19).trimEnd())).toEqual([
      'cluster',
      '|- b1         block',
      '|  |- r1      rack',
      '|  |  |- n1   host',
      '|  |  `- n2   host',
      '|  `- r2      rack',
      '|     |- n3   host',
      '|     `- n4   host',
      '|- b2         block',
      '|  |- r1      rack',
      '|  |  `- n5   host',
      '|  `- -       rack',
      '|     `- n6   host',
      '`- -          block',
      '   `- n7      host',
    ]);
  });

  test('prints one line without levels, or one for each host', async () => {
    const world = await startWorld({ nodes: 2 });
    expect((await run(world)).stdout.split('\n').slice(1)).toEqual([
      expect.stringMatching(/^cluster +2 +2 +16 +16 +0 +whole$/),
      '',
    ]);
    expect((await run(world, '--hosts')).stdout).toContain('\n|- n0     host        1 ');
  });

  test('-o json prints the topology report of the server', async () => {
    const world = await startFabric();
    const { code, stdout, stderr } = await run(world, '-o', 'json');
    const answer = await world.muster.app.request('/v1/topology');
    expect(JSON.parse(stdout)).toEqual(await answer.json());
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe('muster topology --lint', () => {
  test('prints warnings first, and fails when there are any', async () => {
    const world = await startFabric();
    addNodes(world, { block: 'b1', rack: 'r2', 'muster.dev/gpu-interconnect': 'fast' }, 'n8');
    await world.settle();
    const { code, stdout } = await run(world, '--lint');
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('SEVERITY   KIND               FINDING');
    expect(lines[1]).toContain('warning    partial-coverage   block: expected label block on all 8 nodes');
    expect(lines[2]).toContain('warning    partial-coverage   rack: expected label rack on all 8 nodes');
    expect(lines[3]).toContain('warning    bad-interconnect   expected nvlink or pcie');
    expect(lines[4]).toContain('info       repeated-name      rack: found 1 name under more than one parent');
    expect(lines.slice(5)).toEqual(['']);
    expect(code).toBe(1);
  });

  test('findings for information are no failure', async () => {
    const world = await startWorld({ nodes: 1 });
    const { code, stdout } = await run(world, '--lint');
    expect(stdout).toContain('info       no-levels');
    expect(code).toBe(0);
  });

  test('no findings are reported on stderr', async () => {
    const world = await startWorld({ levels });
    addNodes(world, { block: 'b', rack: 'r' }, 'n1');
    await world.settle();
    expect(await run(world, '--lint')).toMatchObject({ code: 0, stdout: '', stderr: 'No findings.\n' });
  });

  test('-o json prints the findings as data, with the same exit code', async () => {
    const { code, stdout } = await run(await startFabric(), '--lint', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject([
      { kind: 'partial-coverage', warning: true },
      { kind: 'partial-coverage', warning: true },
      { kind: 'repeated-name', warning: false },
    ]);
    expect(code).toBe(1);
  });

  test('does not accept --hosts', async () => {
    const { code, stderr } = await run(await startWorld(), '--lint', '--hosts');
    expect(stderr).toBe('muster topology: expected --hosts or --lint, found both; see muster topology --help\n');
    expect(code).toBe(2);
  });
});

test('a Muster that is still reading the cluster says so', async () => {
  const world = await startWorld();
  world.muster = world.startUnrecovered();
  const { code, stderr } = await run(world);
  expect(stderr).toContain('to answer 200, found 503: {"error":"not ready yet');
  expect(code).toBe(1);
});
