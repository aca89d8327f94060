/** The command line: help, exit codes, flags, and the `serve`, `demo` and `gangs` commands. */
import { describe, expect, test } from 'vitest';
import type { CliEnvironment } from '../../src/cli/command.ts';
import { runCli } from '../../src/cli/commands.ts';
import type { Fetch } from '../../src/cli/fetch-json.ts';
import type { MusterConfiguration } from '../../src/config/configuration.ts';
import type { GangItem } from '../../src/http/inspect/gangs.ts';
import { reachWith, recordCli } from '../support/cli-environment.ts';

const now = Date.UTC(2026, 0, 2, 12);

/** Runs a command line with the given files and server answer. */
async function run(
  args: readonly string[],
  { fetch = async () => new Response('', { status: 500 }), ...world }: Partial<CliEnvironment> & { fetch?: Fetch } = {},
) {
  const served: MusterConfiguration[] = [];
  const demos: (string | undefined)[] = [];
  const { environment, stdout, stderr } = recordCli({
    now: () => now,
    reach: reachWith(fetch),
    serve: async (config) => {
      served.push(config);
    },
    demo: async (svgFile) => {
      demos.push(svgFile);
    },
    ...world,
  });
  const code = await runCli(args, environment);
  return { code, stdout: stdout(), stderr: stderr(), served, demos };
}

const file = 'apiVersion: config.muster.dev/v1alpha1\nkind: MusterConfiguration\nserver: {port: 1}\n';

describe('muster', () => {
  test('--help names every command', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^ {2}serve .*\n {2}demo .*\n {2}gangs .*\n {2}queue .*\n {2}topology .*\n {2}certs .*\n {2}doctor /m,
    );
  });

  test('--version prints the version', async () => {
    expect((await run(['--version'])).stdout).toBe('muster 1.2.3\n');
  });

  test.each([
    {
      args: [],
      stderr:
        'muster: expected a command (serve or demo or gangs or queue or topology or certs or doctor or uninstall), found nothing; see muster --help\n',
    },
    {
      args: ['sevre'],
      stderr:
        'muster: expected a command (serve or demo or gangs or queue or topology or certs or doctor or uninstall), found "sevre"; see muster --help\n',
    },
    {
      args: ['toString'],
      stderr:
        'muster: expected a command (serve or demo or gangs or queue or topology or certs or doctor or uninstall), found "toString"; see muster --help\n',
    },
    { args: ['serve', '--prot', '1'], stderr: "muster serve: Unknown option '--prot'; see muster serve --help\n" },
    { args: ['serve', 'now'], stderr: "muster serve: Unexpected argument 'now'" },
    { args: ['serve', '--config'], stderr: "muster serve: Option '--config <value>' argument missing; see" },
    { args: ['serve', '--port', 'http'], stderr: '--port: expected a number from 0 to 65535, found "http"' },
    { args: ['serve', '--port', '70000'], stderr: 'server.port: expected an integer from 0 to 65535, found 70000' },
    { args: ['serve', '--config', 'x'], stderr: '--config: expected a readable file, found ENOENT' },
    { args: ['gangs', '-o', 'yaml'], stderr: 'muster gangs: --output: expected json, found "yaml"' },
    {
      args: ['gangs', '--url', 'host'],
      stderr: 'muster gangs: --url: expected an address such as https://localhost:8443, found "host"',
    },
    { args: ['gangs', '--url', 'localhost:8443'], stderr: '--url: expected an address such as https://localhost:8443' },
  ])('muster $args is invalid: exit code 2', async ({ args, stderr }) => {
    const result = await run(args);
    expect(result.stderr).toContain(stderr);
    expect(result).toMatchObject({ code: 2, stdout: '', served: [] });
  });
});

describe('muster serve', () => {
  test('flags override the file, the file overrides the defaults', async () => {
    const args = ['serve', '--config', 'muster.yaml', '--bind-address', '127.0.0.1', '--kubeconfig', 'k'];
    const { code, served } = await run(args, { readFile: () => file });
    expect(code).toBe(0);
    expect(served[0]?.server).toMatchObject({ port: 1, bindAddress: '127.0.0.1', maxBodyMiB: 8 });
    expect(served[0]?.api.kubeconfig).toBe('k');
    expect((await run([...args, '--port', '0'], { readFile: () => file })).served[0]?.server.port).toBe(0);
  });

  test('--print-config prints the configuration in force and does not serve', async () => {
    const { stdout, served } = await run(['serve', '--config', 'f', '--print-config'], { readFile: () => file });
    expect(stdout).toContain('  port: 1\n');
    expect(stdout).toContain('lonePodCandidates: 32\n');
    expect(served).toEqual([]);
  });

  test('a bad file is reported with all its problems', async () => {
    const { code, stderr } = await run(['serve', '--config', 'muster.yaml'], { readFile: () => 'gangs: 1' });
    expect(code).toBe(2);
    expect(stderr).toContain('muster: muster.yaml: 3 problems; fix and start again\n');
  });

  test.each([
    ['0.0.0.0', ''],
    ['::', ''],
    ['10.0.0.7', ''],
    ['example.com', ''],
    ['::ffff:10.0.0.7', ''],
    ['0.0.0.0', ', tls: {certFile: a, keyFile: b}'],
  ])('does not listen on %s without a client CA, unless it is told to by name', async (address, more) => {
    const open = `${file.replace('{port: 1}', `{bindAddress: '${address}'${more}}`)}`;
    const args = ['serve', '--config', 'muster.yaml'];
    const refused = await run(args, { readFile: () => open });
    expect(refused).toMatchObject({ code: 2, served: [] });
    expect(refused.stderr).toContain('muster: muster.yaml: 1 problem; fix and start again\n');
    expect(refused.stderr).toContain(
      `server.bindAddress: expected a loopback address without server.tls.clientCaFile, found ${address}; `,
    );
    expect(refused.stderr).toContain('or accept the risk with --insecure');
    expect((await run([...args, '--insecure'], { readFile: () => open })).served).toHaveLength(1);
    const printed = await run([...args, '--print-config'], { readFile: () => open });
    expect(printed.code).toBe(0);
    expect(printed.stderr).toContain('muster serve would not start with it: server.bindAddress: expected a loopback');
    expect((await run([...args, '--print-config', '--insecure'], { readFile: () => open })).stderr).toBe('');
  });

  test.each([
    ['127.0.0.1', ''],
    ['127.8.8.8', ''],
    ['::1', ''],
    ['::ffff:127.0.0.1', ''],
    ['localhost', ''],
    ['0.0.0.0', ', tls: {certFile: a, keyFile: b, clientCaFile: c}'],
  ])('listens on %s%s', async (address, more) => {
    const guarded = `${file.replace('{port: 1}', `{bindAddress: '${address}'${more}}`)}`;
    expect((await run(['serve', '--config', 'f'], { readFile: () => guarded })).served).toHaveLength(1);
  });

  test('a flag cannot open what the file has closed', async () => {
    const { code, served } = await run(['serve', '--bind-address', '0.0.0.0']);
    expect([code, served]).toEqual([2, []]);
  });

  test('a failure while serving is exit code 1, in one line', async () => {
    const serve = () => Promise.reject(new Error('expected to listen on 0.0.0.0:8443, found the port taken'));
    expect(await run(['serve'], { serve })).toMatchObject({
      code: 1,
      stderr: 'muster: expected to listen on 0.0.0.0:8443, found the port taken\n',
    });
  });
});

describe('muster demo', () => {
  test('plays, and draws into the given file', async () => {
    expect(await run(['demo'])).toMatchObject({ code: 0, demos: [undefined] });
    expect(await run(['demo', '--svg', 'demo.svg'])).toMatchObject({ code: 0, demos: ['demo.svg'] });
  });
});

test.each([
  ['gangs', '/v1/gangs?namespace=team-a'],
  ['queue', '/v1/queues?namespace=team-a'],
])('muster %s asks for one namespace', async (command, path) => {
  const asked: string[] = [];
  const fetch: Fetch = async (url) => {
    asked.push(url);
    return Response.json({ items: [], queues: [], waiting: [], running: [], problems: [] });
  };
  await run([command, '-n', 'team-a', '-o', 'json'], { fetch });
  expect(asked).toEqual([`https://muster.muster-system.svc:8443${path}`]);
});

/** As fetch fails. */
function failWith(code: string, message: string): Promise<never> {
  return Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error(message), { code }) }));
}

describe('muster gangs', () => {
  const gang = (name: string, ageSeconds: number, status: Partial<GangItem['status']>): GangItem => ({
    metadata: { namespace: 'ml', name, creationTimestamp: new Date(now - ageSeconds * 1000).toISOString() },
    status: {
      state: 'Pending',
      priority: 0,
      have: 0,
      want: null,
      bound: 0,
      nominated: 0,
      succeeded: 0,
      reason: '',
      because: null,
      deadline: null,
      run: null,
      laterRuns: [],
      laterRunCount: 0,
      topology: null,
      ...status,
    },
  });
  const items = [
    gang('train', 190, { state: 'Running', bound: 64, want: 64, reason: '' }),
    gang('llama-finetune', 7200, { state: 'Pending', have: 100, want: 128, reason: 'no rack has 128 free slots' }),
  ];
  const answer = (body: unknown) => async () => Response.json(body);

  test('prints a table in the style of kubectl', async () => {
    const { code, stdout } = await run(['gangs'], { fetch: answer({ items }) });
    expect(code).toBe(0);
    expect(stdout).toBe(
      `NAMESPACE   NAME             STATE     MEMBERS   AGE     REASON
ml          train            Running   64/64     3m10s
ml          llama-finetune   Pending   100/128   120m    no rack has 128 free slots
`,
    );
  });

  test.each([
    ['Running', 'on nodes', '3/4'],
    ['Broken', 'on nodes', '3/4'],
    ['Pending', 'that exist', '4/4'],
    ['Unsatisfiable', 'that exist', '4/4'],
    ['Nominated', 'that exist', '4/4'],
  ])('of a gang that is %s, MEMBERS counts those %s', async (state, _, members) => {
    const status = { state, have: 4, bound: 3, want: 4 };
    const { stdout } = await run(['gangs'], { fetch: answer({ items: [gang('a', 60, status)] }) });
    expect(stdout.split('\n')[1]?.split(/ +/)[3]).toBe(members);
  });

  test.each([
    [0, '0s'],
    [119, '119s'],
    [180, '3m'],
    [599, '9m59s'],
    [600, '10m'],
    [4 * 3600 + 300, '4h5m'],
    [47 * 3600, '47h'],
    [49 * 3600, '2d'],
  ])('an age of %d s is written %s', async (seconds, age) => {
    const status = { state: 'Running', bound: 1, want: 1, reason: '' };
    const { stdout } = await run(['gangs'], { fetch: answer({ items: [gang('a', seconds, status)] }) });
    expect(stdout.split('\n')[1]?.split(/ +/)[4]).toBe(age);
  });

  test('-o json prints the answer of the server', async () => {
    const { stdout } = await run(['gangs', '-o', 'json'], { fetch: answer({ items }) });
    expect(JSON.parse(stdout)).toEqual({ items });
  });

  test('asks the server named by --url', async () => {
    const asked: string[] = [];
    const fetch = async (url: string) => {
      asked.push(url);
      return Response.json({ items: [] });
    };
    const { stdout, stderr } = await run(['gangs', '--url', 'https://muster:8443/'], { fetch });
    expect(asked).toEqual(['https://muster:8443/v1/gangs']);
    expect([stdout, stderr]).toEqual(['', 'No gangs found.\n']);
  });

  test.each([
    {
      what: 'no answer',
      fetch: () => Promise.reject(new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })),
      stderr: 'found connect ECONNREFUSED; see that it runs; --url and --service say where',
    },
    {
      what: 'a certificate of an unknown CA',
      fetch: () => failWith('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain'),
      stderr:
        'found self-signed certificate in certificate chain; give the file of the CA that signed its certificate (ca.crt) with --ca',
    },
    {
      what: 'a certificate of another name',
      fetch: () => failWith('ERR_TLS_CERT_ALTNAME_INVALID', 'Hostname/IP does not match'),
      stderr: 'found Hostname/IP does not match; give a name of its certificate with --url',
    },
    {
      what: 'a caller without credentials',
      fetch: async () => new Response('expected a certificate', { status: 401 }),
      stderr: 'found 401: expected a certificate; a user of a kubeconfig without a token asks as a service account',
    },
    {
      what: 'a refusal',
      fetch: async () => new Response('expected a client certificate\n', { status: 403 }),
      stderr: 'to answer 200, found 403: expected a client certificate',
    },
    { what: 'another server', fetch: async () => new Response('<html>'), stderr: 'check that --url is a Muster' },
  ])('$what is exit code 1 and says what to do', async ({ fetch, stderr }) => {
    const result = await run(['gangs'], { fetch });
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(stderr);
  });
});
