/** Endpoints and credentials from kubeconfigs, against real TLS servers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiClient } from '../../src/kube/client.ts';
import { loadEndpoint } from '../../src/kube/kubeconfig.ts';
import { type Authority, createAuthority } from '../http/support.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';

let authority: Authority;

beforeAll(() => {
  authority = createAuthority();
});

afterAll(() => authority.remove());

/** Writes a kubeconfig file as JSON, which is valid YAML. */
function writeConfig(name: string, cluster: object, user: object): string {
  const path = join(authority.dir, name);
  const config = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** Time that passes at once. */
function soon(_ms: number, callback: () => void): () => void {
  const immediate = setImmediate(callback);
  return () => clearImmediate(immediate);
}

test('a client certificate is presented, the server verified, and one handshake serves many calls', async () => {
  const { certFile, keyFile } = authority.issue('api-server', 'serverAuth');
  const mine = authority.issue('muster-client', 'clientAuth');
  const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile), ca: readFileSync(authority.caFile) };
  const peers: string[] = [];
  let handshakes = 0;
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    peers.push(String((request.socket as TLSSocket).getPeerCertificate().subject.CN));
    response.end(JSON.stringify({ path: request.url, version: request.httpVersion }));
  });
  server.on('secureConnection', () => handshakes++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/prefix`;
  const path = writeConfig(
    'mutual.yaml',
    { server: url, 'certificate-authority': 'ca.crt' },
    { 'client-certificate': mine.certFile, 'client-key': mine.keyFile },
  );
  const api = new ApiClient(await loadEndpoint({ kind: 'file', path }));
  for (let i = 0; i < 10; i++) {
    expect((await api.request('GET', '/version')).body).toEqual({ path: '/prefix/version', version: '1.1' });
  }
  expect(new Set(peers)).toEqual(new Set(['muster-client']));
  expect(handshakes).toBe(1);
  await api.close();
  server.close();
});

test('a server that the authority has not signed is rejected', async () => {
  const stranger = createAuthority();
  const { certFile, keyFile } = stranger.issue('stranger', 'serverAuth');
  const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (_, response) =>
    response.end(),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const path = writeConfig('stranger.yaml', { server: url, 'certificate-authority': 'ca.crt' }, { token: 'secret' });
  const api = new ApiClient(await loadEndpoint({ kind: 'file', path }));
  await expect(api.request('GET', '/version')).rejects.toThrow(/certificate/);
  await api.close();
  server.close();
  stranger.remove();
});

test.each([
  ['a bearer token', { token: 'secret' }, 'Bearer secret'],
  ['user and password', { username: 'u', password: 'p' }, 'Basic dTpw'],
  [
    'an exec plugin',
    {
      exec: {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: 'echo',
        args: ['{"kind":"ExecCredential","status":{"token":"from-plugin"}}'],
      },
    },
    'Bearer from-plugin',
  ],
  ['nothing', {}, undefined],
])('%s authenticates a request', async (_, user, authorization) => {
  const server = await FakeApiServer.start();
  const path = writeConfig('user.yaml', { server: server.url }, user);
  const api = new ApiClient(await loadEndpoint({ kind: 'file', path }));
  await api.request('GET', '/version');
  expect(server.requests[0]?.headers.authorization).toBe(authorization);
  await api.close();
  await server.stop();
});

test('a token that changes is picked up, and requested again when it was refused', async () => {
  const server = await FakeApiServer.start();
  let token = 'first';
  let asked = 0;
  const endpoint = {
    server: server.url,
    credentials: async () => ({ headers: { authorization: token, 'x-asked': String(++asked) }, tls: {} }),
  };
  let now = 0;
  const api = new ApiClient(endpoint, { clock: { now: () => now, after: soon } });
  const seen = async () => {
    await api.request('GET', '/version');
    return server.requests.at(-1)?.headers.authorization;
  };
  expect(await seen()).toBe('first');
  token = 'second';
  expect(await seen()).toBe('first');
  now += 10_000;
  expect(await seen()).toBe('second');
  expect(asked).toBe(2);
  token = 'third';
  server.fault = () => ({ kind: 'answer', status: 401 });
  expect(await seen()).toBe('second');
  expect(await seen()).toBe('third');
  await api.close();
  await server.stop();
});

test('unavailable credentials are a failure, and are requested again', async () => {
  const server = await FakeApiServer.start('/api/v1/pods');
  let broken = true;
  const endpoint = {
    server: server.url,
    credentials: async () => {
      if (broken) throw new Error('plugin failed');
      return { headers: {}, tls: {} };
    },
  };
  const api = new ApiClient(endpoint, { clock: { now: () => 0, after: soon } });
  const pod = { namespace: 'ns', name: 'a', uid: 'u' };
  expect(await api.nominate(pod, 'n', 'p')).toEqual({ kind: 'failed', status: 0, message: 'plugin failed' });
  broken = false;
  expect(await api.nominate(pod, 'n', 'p')).toEqual({ kind: 'gone' });
  await api.close();
  await server.stop();
});

test.each([
  [
    'a missing file',
    () => loadEndpoint({ kind: 'file', path: '/nonexistent' }),
    'expected a readable kubeconfig (api.kubeconfig or --kubeconfig), found no file /nonexistent; correct the path',
  ],
  [
    'a context without a cluster',
    () => {
      const path = join(authority.dir, 'context.yaml');
      writeFileSync(path, 'apiVersion: v1\nkind: Config\ncurrent-context: prod\n');
      return loadEndpoint({ kind: 'file', path });
    },
    'expected a kubeconfig whose current-context has a cluster, found current-context "prod" without one; choose',
  ],
  [
    'a proxy',
    () =>
      loadEndpoint({
        kind: 'file',
        path: writeConfig('proxy.yaml', { server: 'https://x', 'proxy-url': 'http://proxy:1' }, {}),
      }),
    'expected a cluster without proxy-url, found "http://proxy:1"; use a kubeconfig without it, where https://x can',
  ],
])('%s is refused', async (_, load, message) => {
  await expect(load()).rejects.toThrow(message);
});
