/** How `muster` finds Muster in a cluster: Service, pod, CA, a port-forward with TLS inside, and who it asks as. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { renewCertificates } from '../../src/certs/renewal.ts';
import { choosePod, portOf, type SeenPod } from '../../src/cli/choose-pod.ts';
import { runCli } from '../../src/cli/commands.ts';
import { reachMuster } from '../../src/cli/reach.ts';
import type { CallerEnv } from '../../src/http/access/access.ts';
import { type RunningServer, startServer } from '../../src/http/server/server.ts';
import { recordLogs, unboundedServer } from '../http/support.ts';
import { recordCli } from '../support/cli-environment.ts';
import { PortForwardServer } from '../support/port-forward-server.ts';

const dir = mkdtempSync(join(tmpdir(), 'muster-reach-'));
const BASE = '/api/v1/namespaces/muster-system';
let muster: RunningServer;
let api: PortForwardServer;
/** Who asked Muster for what. */
let asked: string[];

function makeFiles(): Readonly<Record<string, string>> {
  const wish = {
    serverNames: ['muster.muster-system.svc'],
    schedulerName: 'system:kube-scheduler',
    days: 2,
    rotateCa: false,
  } as const;
  const renewal = renewCertificates({}, wish, { now: Date.now(), random: randomBytes });
  const changes = renewal.kind === 'renewal' ? renewal.changes : [];
  return Object.fromEntries(changes.map(({ name, content = '' }) => [name, content]));
}

const files = makeFiles();
for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
const fileOf = (name: string) => join(dir, name);

function writeKubeconfig(name: string, user: object): string {
  const path = fileOf(name);
  const config = {
    clusters: [{ name: 'c', cluster: { server: api.url } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

beforeAll(async () => {
  muster = await startServer({
    fetch: (request, env) => {
      const { peer } = env as CallerEnv;
      const name = peer.kind === 'certificate' ? peer.commonName : peer.kind;
      const { pathname, search } = new URL(request.url);
      asked.push(`${pathname}${search} ${name} ${request.headers.get('authorization')}`);
      if (request.headers.get('authorization') === null && peer.kind !== 'certificate') {
        return Response.json({ error: 'expected a certificate' }, { status: 401 });
      }
      // Larger than one message, so that it comes in several.
      return Response.json({ items: [], padding: 'x'.repeat(200_000) });
    },
    bindAddress: '127.0.0.1',
    port: 0,
    tls: { certFile: fileOf('tls.crt'), keyFile: fileOf('tls.key'), clientCaFile: fileOf('ca.crt') },
    ...unboundedServer,
    drainDelayMs: 0,
    logger: recordLogs().logger,
  });
});

afterAll(async () => {
  await muster.close();
  rmSync(dir, { recursive: true });
});

beforeEach(async () => {
  asked = [];
  api = await PortForwardServer.start();
  const pod = {
    metadata: { name: 'muster-1' },
    spec: { containers: [{ ports: [{ name: 'https', containerPort: muster.port }] }] },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  };
  const service = {
    spec: { selector: { app: 'muster', a: 'b' }, ports: [{ name: 'https', port: 8443, targetPort: 'https' }] },
  };
  api.objects.set(`${BASE}/services/muster`, { status: 200, body: service });
  api.objects.set(`${BASE}/pods`, { status: 200, body: { items: [pod] } });
  api.objects.set(`${BASE}/configmaps/muster-ca`, { status: 200, body: { data: { 'ca.crt': files['ca.crt'] } } });
});

afterEach(() => api.stop());

async function gangs(...args: readonly string[]) {
  const { environment, stdout, stderr } = recordCli({ reach: reachMuster });
  const code = await runCli(['gangs', ...args], environment);
  return { code, stdout: stdout(), stderr: stderr() };
}

describe('in the cluster', () => {
  test('asks the pod behind the Service with the token of the user', async () => {
    const kubeconfig = writeKubeconfig('token', { token: 'secret' });
    const { code, stderr } = await gangs('--kubeconfig', kubeconfig, '-n', 'team-a');
    expect([code, stderr]).toEqual([0, 'No gangs found.\n']);
    expect(asked).toEqual(['/v1/gangs?namespace=team-a stranger Bearer secret']);
    expect(api.requests).toContain(`GET ${BASE}/pods?labelSelector=app%3Dmuster%2Ca%3Db`);
    const [forward] = api.forwards;
    expect(forward?.path).toBe(`${BASE}/pods/muster-1/portforward?ports=${muster.port}`);
    expect(forward?.headers.authorization).toBe('Bearer secret');
  });

  test('a certificate of the user is presented, and counts if Muster knows its CA', async () => {
    const user = { 'client-certificate': fileOf('scheduler.crt'), 'client-key': fileOf('scheduler.key') };
    expect((await gangs('--kubeconfig', writeKubeconfig('certificate', user))).code).toBe(0);
    expect(asked).toEqual(['/v1/gangs system:kube-scheduler null']);
  });

  test('a user whose certificate Muster does not know is told how to ask', async () => {
    const other = makeFiles();
    writeFileSync(fileOf('other.crt'), other['scheduler.crt']!);
    writeFileSync(fileOf('other.key'), other['scheduler.key']!);
    const user = { 'client-certificate': fileOf('other.crt'), 'client-key': fileOf('other.key') };
    const { code, stderr } = await gangs('--kubeconfig', writeKubeconfig('unknown', user));
    expect(code).toBe(1);
    expect(stderr).toContain('asks as a service account (--service-account NAMESPACE/NAME)');
  });

  test('asks as a service account with a token that it requests', async () => {
    const path = '/api/v1/namespaces/team-a/serviceaccounts/viewer/token';
    api.objects.set(path, { status: 201, body: { status: { token: 'short' } } });
    const kubeconfig = writeKubeconfig('account', { token: 'mine' });
    expect((await gangs('--kubeconfig', kubeconfig, '--service-account', 'team-a/viewer')).code).toBe(0);
    expect(asked).toEqual(['/v1/gangs stranger Bearer short']);
    api.objects.set(path, { status: 403, body: { message: 'forbidden' } });
    const { stderr } = await gangs('--kubeconfig', kubeconfig, '--service-account', 'team-a/viewer');
    expect(stderr).toContain('found status 403: forbidden; create serviceaccounts/token must be allowed');
  });

  test('what presents a certificate of another CA gets no token', async () => {
    const body = { data: { 'ca.crt': makeFiles()['ca.crt'] } };
    api.objects.set(`${BASE}/configmaps/muster-ca`, { status: 200, body });
    const { code, stderr } = await gangs('--kubeconfig', writeKubeconfig('wary', { token: 'secret' }));
    expect([code, asked]).toEqual([1, []]);
    expect(stderr).toContain('give the file of the CA that signed its certificate (ca.crt) with --ca');
    expect((await gangs('--kubeconfig', fileOf('wary'), '--ca', fileOf('ca.crt'))).code).toBe(0);
  });

  const notReady = { metadata: { name: 'muster-2' }, status: { conditions: [{ type: 'Ready', status: 'False' }] } };
  test.each<[string, string, number, unknown, string]>([
    ['no Service', 'services/muster', 404, {}, 'give its name with --service and --muster-namespace'],
    [
      'no right to see it',
      'services/muster',
      403,
      {},
      'bind the Role muster-users in namespace muster-system to this user',
    ],
    ['no pod', 'pods', 200, { items: [] }, 'that is Ready, found no pod; see kubectl get pods -n muster-system'],
    ['no pod that is Ready', 'pods', 200, { items: [notReady] }, 'that is Ready, found none of 1'],
    [
      'no CA',
      'configmaps/muster-ca',
      404,
      {},
      'muster certs --secrets writes it; or give the file of the CA with --ca',
    ],
    ['a CA without certificate', 'configmaps/muster-ca', 200, { data: {} }, 'expected ca.crt in ConfigMap muster-ca'],
  ])('%s is an error that says what to do', async (_, path, status, body, text) => {
    api.objects.set(`${BASE}/${path}`, { status, body });
    const { code, stderr } = await gangs('--kubeconfig', writeKubeconfig('plain', { token: 't' }));
    expect([code, asked]).toEqual([1, []]);
    expect(stderr).toContain(text);
  });

  test('a port-forward that is refused, or that breaks, is an error that says why', async () => {
    const kubeconfig = writeKubeconfig('refused', { token: 't' });
    api.refusal = '403 Forbidden';
    expect((await gangs('--kubeconfig', kubeconfig)).stderr).toContain(
      'get and create pods/portforward must be allowed',
    );
    api.refusal = undefined;
    api.failure = 'error forwarding port 8443: connection refused';
    const { code, stderr } = await gangs('--kubeconfig', kubeconfig);
    expect(code).toBe(1);
    expect(stderr).toContain('of pod muster-1: error forwarding port 8443: connection refused');
  });
});

describe('at an address', () => {
  const url = () => `https://127.0.0.1:${muster.port}`;

  test('a certificate is presented', async () => {
    // Its name is that of the Service, which is not the address.
    const { stderr } = await gangs('--url', url(), '--ca', fileOf('ca.crt'));
    expect(stderr).toContain('give a name of its certificate with --url');
    expect(asked).toEqual([]);
  });

  test('of a kubeconfig only the token counts', async () => {
    const bare = writeKubeconfig('bare', {});
    const { code, stderr } = await gangs('--url', url(), '--kubeconfig', bare);
    expect([code, asked]).toEqual([1, []]);
    expect(stderr).toContain(`expected a user with a token in ${bare}, found none`);
  });
});

test.each([
  [['--url', 'http://127.0.0.1:8443', '--kubeconfig', 'k'], 'expected an https --url'],
  [['--url', 'https://m', '--service', 's'], '--service: expected no --url with it'],
  [['--service-account', 'viewer'], '--service-account: expected NAMESPACE/NAME, found "viewer"'],
  [['--cert', 'c'], '--cert and --key: expected both or neither, found --cert'],
])('%j is an invalid command line', async (args, text) => {
  const { code, stderr } = await gangs(...args);
  expect(code).toBe(2);
  expect(stderr).toContain(text);
});

describe('which pod and port', () => {
  const pod = (name: string, ready: boolean, more: object = {}): SeenPod => ({
    metadata: { name, ...more },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  });

  test.each([
    [[pod('a', false), pod('b', true)], 'b'],
    [[pod('a', true, { deletionTimestamp: 'now' }), pod('b', true)], 'b'],
    [[pod('a', true, { deletionTimestamp: 'now' })], 'a'],
    [[pod('a', false)], undefined],
  ])('%j: %s', (pods, name) => {
    expect(choosePod(pods)?.metadata.name).toBe(name);
  });

  test.each([
    [[{ name: 'https', port: 8443, targetPort: 9000 }], 9000],
    [[{ name: 'https', port: 8443 }], 8443],
    [
      [
        { name: 'other', port: 1 },
        { name: 'https', port: 2 },
      ],
      2,
    ],
    [
      [
        { name: 'https', port: 2 },
        { name: 'inspect', port: 3 },
      ],
      3,
    ],
    [[{ port: 7 }], 7],
    [[{ name: 'https', port: 8443, targetPort: 'https' }], 8444],
    [[{ name: 'https', port: 8443, targetPort: 'gone' }], undefined],
    [[], undefined],
  ])('ports %j: %s', (ports, port) => {
    const named = {
      ...pod('a', true),
      spec: { containers: [{}, { ports: [{ name: 'https', containerPort: 8444 }] }] },
    };
    expect(portOf({ spec: { ports } }, named)).toBe(port);
  });
});
