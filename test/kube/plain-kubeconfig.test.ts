/** What is read without client-node is what client-node reads. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Login } from '../../src/kube/login.ts';
import { readPlainLogin } from '../../src/kube/plain-kubeconfig.ts';
import { readPluginLogin } from '../../src/kube/plugin-login.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'muster-kubeconfig-'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** @returns the path of a kubeconfig with two contexts, of which the second is the current one. */
function writeConfig(cluster: object, user: object, name = 'config'): string {
  const path = join(dir, name);
  const other = { server: 'https://other', 'certificate-authority-data': base64('other') };
  const config = {
    'current-context': 'mine',
    contexts: [
      { name: 'other', context: { cluster: 'other', user: 'other' } },
      { name: 'mine', context: { cluster: 'c', user: 'u' } },
    ],
    clusters: [
      { name: 'other', cluster: other },
      { name: 'c', cluster: { server: 'https://api:6443/', ...cluster } },
    ],
    users: [
      { name: 'other', user: { token: 'other' } },
      { name: 'u', user },
    ],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

async function describe({ contextName, cluster, credentials }: Login) {
  return { contextName, server: cluster?.server, proxyUrl: cluster?.proxyUrl, ...(await credentials()) };
}

test.each<[string, object, object]>([
  ['a token', {}, { token: 'secret' }],
  ['a token that ends in a newline', {}, { token: 'secret\n' }],
  ['user and password', {}, { username: 'u', password: 'p' }],
  ['certificates in the file', { 'certificate-authority-data': base64('ca') }, certificates('data')],
  ['certificates in files beside it', { 'certificate-authority': 'ca.pem' }, certificates('files')],
  ['no verification', { 'insecure-skip-tls-verify': true }, { token: 'secret' }],
  ['another name of the server', { 'tls-server-name': 'kubernetes' }, { token: 'secret' }],
  ['somebody else', {}, { token: 'secret', as: 'jane' }],
  ['a proxy', { 'proxy-url': 'http://proxy:1' }, { token: 'secret' }],
  ['plain HTTP', { server: 'http://api:8080' }, { token: 'secret' }],
  ['no credentials', {}, {}],
])('%s', async (_, cluster, user) => {
  for (const file of ['ca.pem', 'cert.pem', 'key.pem']) writeFileSync(join(dir, file), `content of ${file}`);
  const source = { kind: 'file', path: writeConfig(cluster, user) } as const;
  const plain = readPlainLogin(source);
  expect(plain).toBeDefined();
  const { proxyUrl, ...read } = await describe(plain!);
  // client-node makes an agent for what it reads, and refuses some proxies.
  const whole = readPluginLogin(source);
  expect(proxyUrl).toBe(whole.cluster?.proxyUrl);
  if (proxyUrl !== undefined) return;
  const { server, headers, tls } = await describe(whole);
  // Without TLS there is nothing to verify, which client-node must be told.
  const { rejectUnauthorized: _none, ...rest } = tls;
  expect(read).toEqual({ contextName: 'mine', server, headers, tls: server?.startsWith('http:') ? rest : tls });
});

function certificates(kind: 'data' | 'files'): object {
  return kind === 'data'
    ? { 'client-certificate-data': base64('cert'), 'client-key-data': base64('key') }
    : { 'client-certificate': 'cert.pem', 'client-key': 'key.pem' };
}

test.each<[string, object]>([
  ['exec plugins', { exec: { command: 'aws' } }],
  ['providers', { 'auth-provider': { name: 'oidc' } }],
])('%s are left to client-node', (_, user) => {
  expect(readPlainLogin({ kind: 'file', path: writeConfig({}, user) })).toBeUndefined();
});

test('$KUBECONFIG comes first, then the file at home, then the service account', async () => {
  const home = join(dir, 'home');
  const account = join(dir, 'account');
  const read = async () => describe(readPlainLogin({ kind: 'default' }, account)!);
  vi.stubEnv('HOME', home);
  vi.stubEnv('KUBECONFIG', '');
  vi.stubEnv('KUBERNETES_SERVICE_HOST', 'fd00::1');
  vi.stubEnv('KUBERNETES_SERVICE_PORT', '6443');
  expect(await read()).toMatchObject({ server: 'http://localhost:8080', headers: {}, tls: {} });
  mkdirSync(account);
  writeFileSync(join(account, 'token'), 'first\n');
  writeFileSync(join(account, 'ca.crt'), 'ca');
  expect(await read()).toMatchObject({
    server: 'https://[fd00::1]:6443',
    headers: { Authorization: 'Bearer first' },
    tls: { ca: Buffer.from('ca') },
  });
  mkdirSync(join(home, '.kube'), { recursive: true });
  writeConfig({ server: 'https://at-home' }, {}, 'home/.kube/config');
  expect(await read()).toMatchObject({ server: 'https://at-home' });
  const path = writeConfig({ server: 'https://by-variable' }, {});
  vi.stubEnv('KUBECONFIG', path);
  expect(await read()).toMatchObject({ server: 'https://by-variable' });
  vi.stubEnv('KUBECONFIG', `${path}${delimiter}${join(home, '.kube', 'config')}`);
  expect(readPlainLogin({ kind: 'default' }, account)).toBeUndefined();
});

test('the token of the service account is read again each time, as the kubelet replaces it', async () => {
  writeFileSync(join(dir, 'token'), 'first');
  writeFileSync(join(dir, 'ca.crt'), 'ca');
  const { credentials } = readPlainLogin({ kind: 'in-cluster' }, dir)!;
  expect((await credentials()).headers).toEqual({ Authorization: 'Bearer first' });
  writeFileSync(join(dir, 'token'), 'second');
  expect((await credentials()).headers).toEqual({ Authorization: 'Bearer second' });
});
