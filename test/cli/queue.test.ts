/** `muster queue` against the real routes of a small world. */
import { describe, expect, test } from 'vitest';
import { runCli } from '../../src/cli/commands.ts';
import { formatGangs } from '../../src/cli/gangs.ts';
import { defaultConfiguration } from '../../src/config/configuration.ts';
import type { GangList } from '../../src/http/inspect/gangs.ts';
import { GPU } from '../support/builders.ts';
import { reachWith, recordCli } from '../support/cli-environment.ts';
import { aQueue } from '../support/queues.ts';
import { gang, SECOND, startWorld, type World } from '../support/scenario.ts';

const MODEL = 'NVIDIA-H100-80GB-HBM3';

/** Runs the command against the world's Muster. */
async function run(world: World, ...args: readonly string[]) {
  const asked: string[] = [];
  const { environment, stdout, stderr } = recordCli({
    now: () => world.clock.now(),
    reach: reachWith(async (url) => {
      asked.push(url);
      return await world.muster.app.request(new URL(url).pathname);
    }),
  });
  const code = await runCli(['queue', ...args], environment);
  return { code, stdout: stdout(), stderr: stderr(), asked };
}

function inQueue(name: string, annotations: Readonly<Record<string, string>> = {}) {
  return { labels: { 'muster.dev/queue': name }, annotations };
}

/**
 * Two teams of one organisation on 4 nodes: vision runs on two, speech needs all four, and another gang of vision waits
 * behind it.
 */
async function startTeams(): Promise<World> {
  const items = [
    aQueue({ name: 'org', guaranteed: 24 }),
    aQueue({ name: 'vision', parent: 'org', weight: 70 }),
    aQueue({
      name: 'speech',
      parent: 'org',
      weight: 30,
      maxRunTimeMs: 7_200 * SECOND,
      quotas: [
        { resource: GPU, model: undefined, guaranteed: 8, limit: 32 },
        { resource: GPU, model: MODEL, guaranteed: 8, limit: undefined },
      ],
    }),
  ];
  const world = await startWorld({ nodes: 4, settings: { queues: { ...defaultConfiguration().queues, items } } });
  world.running('train', ['n0', 'n1'], inQueue('vision', { 'muster.dev/expected-duration': '1h' }));
  await world.pass(10 * SECOND);
  world.create(gang('big', 4, inQueue('speech')));
  await world.pass(5 * SECOND);
  world.create(gang('late', 1, { ...inQueue('vision'), priority: -1 }));
  world.create(gang('held', 2, inQueue('vision', { 'muster.dev/hold': 'true' })));
  await world.pass(585 * SECOND);
  return world;
}

describe('muster queue', () => {
  test('lists the waiting gangs in order, with a one-word reason', async () => {
    const { code, stdout, stderr, asked } = await run(await startTeams());
    expect(stdout).toBe(`POSITION   QUEUE    NAMESPACE   NAME   MEMBERS   GPUS   PRIORITY   WAITING   REASON
       1   speech   default     big        4/4     32          0   10m       Resources
       2   vision   default     late       1/1      8         -1   10m       Behind(default/big)
       -   vision   default     held       2/2     16          0   10m       Held
`);
    expect([code, stderr, asked]).toEqual([0, '', ['https://muster.muster-system.svc:8443/v1/queues']]);
  });

  test('--start shows the expected starts, and the basis of each estimate', async () => {
    const { stdout } = await run(await startTeams(), '--start');
    expect(
      stdout,
    ).toBe(`POSITION   QUEUE    NAMESPACE   NAME   GPUS   START (ESTIMATED)          IN     BASIS           RUNS FOR   BASIS
       1   speech   default     big      32   2026-01-01T01:00:00.000Z   50m    planned start   120m       max-run-time
       2   vision   default     late      8   2026-01-01T03:00:00.000Z   170m   count           unknown
       -   vision   default     held     16   unknown                                           unknown
`);
  });

  test('--queues prints the tree: one line per queue, and one for each further quota', async () => {
    const { stdout } = await run(await startTeams(), '--queues');
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/ +/g, ' '))).toEqual([
      'QUEUE WEIGHT ENTITLED SHARE PENDING RUNNING RESOURCE USE GUARANTEED LIMIT',
      'default 1 50.0% 0.0% 0 0',
      expect.stringMatching(/^org 1 50\.0% 3\.\d% 3 1 nvidia\.com\/gpu 16 24 -$/),
      `| nvidia.com/gpu ${MODEL} 0 8 -`,
      '|- speech 30 15.0% 0.0% 1 0 nvidia.com/gpu 0 8 32',
      `| nvidia.com/gpu ${MODEL} 0 8 -`,
      expect.stringMatching(/^`- vision 70 35\.0% 3\.\d% 2 1 nvidia\.com\/gpu 16 - -$/),
    ]);
    const resource = lines[0]!.indexOf('RESOURCE');
    expect(lines[3]!.indexOf('nvidia.com/gpu'), 'in its column').toBe(resource);
  });

  test('--queue shows one queue and those below it', async () => {
    const world = await startTeams();
    const { stdout, asked } = await run(world, '--queue', 'vision');
    expect(stdout.trimEnd().split('\n')).toEqual([
      expect.stringContaining('POSITION'),
      expect.stringMatching(/^ +2 +vision +default +late /),
      expect.stringMatching(/^ +- +vision +default +held /),
    ]);
    expect(asked).toEqual(['https://muster.muster-system.svc:8443/v1/queues/vision']);
    const tree = await run(world, '--queues', '--queue', 'speech');
    expect(tree.stdout.split('\n')[1]).toMatch(/^speech +30 /);
  });

  test('begins with what can never start, and ends with members that wait beside others that run', async () => {
    const world = await startWorld({ nodes: 4 });
    world.running('broken', ['n0', 'n1']);
    world.create(gang('elastic', 3, { min: 2 }));
    await world.settle();
    await world.schedule();
    world.beginDeletion('broken-0');
    world.create(gang('huge', 5), gang('next', 1), gang('odd', 1, { annotations: { 'muster.dev/hold': 'maybe' } }));
    await world.pass(5 * SECOND);
    const { stdout } = await run(world);
    expect(stdout).toBe(`POSITION   QUEUE     NAMESPACE   NAME      MEMBERS   GPUS   PRIORITY   WAITING   REASON
       -   default   default     huge          5/5     40          0   5s        Unsatisfiable
       1   default   default     next          1/1      8          0   5s        Resources
       -   default   default     broken        1/2      0          0   5s        Incomplete
       -   default   default     elastic       2/2      8          0   5s        Growing
       -   default   default     odd           1/1      8          0   5s        Invalid
`);
    const list = (await (await world.muster.app.request('/v1/gangs')).json()) as GangList;
    const cellsOf = (table: string, name: string) => table.split('\n').find((line) => line.includes(` ${name} `))!;
    for (const name of ['huge', 'next', 'broken', 'elastic', 'odd']) {
      const [members] = /\d\/\d/.exec(cellsOf(stdout, name))!;
      expect(cellsOf(formatGangs(list, world.clock.now()), name), 'the same in muster gangs').toContain(members);
    }
  });

  test('does not say that nobody waits while a gang is broken', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('broken', ['n0', 'n1']);
    await world.settle();
    world.delete('broken-0');
    await world.pass(5 * SECOND);
    const { stdout, stderr } = await run(world);
    expect(stderr).toBe('');
    expect(stdout.split('\n')[1]).toMatch(/^ +- +default +default +broken +1\/2 +0 .* Incomplete$/);
    const start = await run(world, '--start');
    expect(start.stdout.split('\n')[1]).toMatch(/^ +- .* broken +0 +unknown +unknown$/);
  });

  test('-o json prints the queue report of the server', async () => {
    const world = await startTeams();
    const { stdout } = await run(world, '--start', '-o', 'json');
    const answer = await world.muster.app.request('/v1/queues');
    expect(JSON.parse(stdout)).toEqual(await answer.json());
  });

  test('an empty line is reported on stderr', async () => {
    expect(await run(await startWorld())).toMatchObject({ code: 0, stdout: '', stderr: 'No gang waits.\n' });
  });

  test('a misconfigured queue is reported on stderr, with any flags', async () => {
    const world = await startWorld();
    world.cluster.create('Queue', { metadata: { name: 'lost' }, spec: { parent: 'nobody' }, status: {} });
    await world.pass(5 * SECOND);
    const { code, stdout, stderr } = await run(world, '--queues');
    expect(stderr).toContain('queue lost: expected its parent to be a queue, found none named nobody');
    expect(stdout).toContain('\ndefault ');
    expect(code).toBe(0);
  });

  test('an unknown queue is exit code 1, and the message lists the queues', async () => {
    const { code, stderr } = await run(await startTeams(), '--queue', 'visoin');
    expect(stderr).toContain('found none named visoin; there are default, org, speech, vision');
    expect(code).toBe(1);
  });

  test('accepts only one of --start and --queues', async () => {
    const { code, stderr } = await run(await startWorld(), '--start', '--queues');
    expect(stderr).toBe('muster queue: expected --start or --queues, found both; see muster queue --help\n');
    expect(code).toBe(2);
  });
});
