/**
 * Over TLS: kube-scheduler, a tenant, and another client of the same CA. The tenant is a service account that may create
 * pods and Jobs in one namespace; its token is one that the API server issued.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { QueueReport } from '../../src/http/inspect/queue-report.ts';
import { type Authority, createAuthority, type Identity } from '../http/support.ts';
import type { Cluster } from './cluster/control-plane.ts';
import { readManifests } from './cluster/manifests.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { type MusterProcess, startMuster } from './muster.ts';
import { gangPods } from './objects.ts';
import { expectBound, worldOf } from './world.ts';

let authority: Authority;
let cluster: Cluster;
let muster: MusterProcess;
const agents: Agent[] = [];

beforeAll(async () => {
  authority = createAuthority();
  const server = authority.issue('server', 'serverAuth');
  const scheduler = authority.issue('scheduler', 'clientAuth', { subject: '/CN=system:kube-scheduler' });
  const operator = authority.issue('operator', 'clientAuth');
  const { caFile } = authority;
  cluster = await borrowControlPlane();
  await cluster.scheduler.restart({
    extenderUrl: `https://127.0.0.1:${cluster.musterPort}`,
    extender: { enableHTTPS: true, tlsConfig: { serverName: 'localhost', caFile, ...scheduler } },
  });
  const tls = { certFile: server.certFile, keyFile: server.keyFile, clientCaFile: caFile };
  const callers = { inspect: ['operator'], metrics: ['operator'] };
  muster = await startMuster({
    cluster,
    config: { server: { tls, callers, drainDelay: '0s' } },
    tls: { caFile, ...operator },
  });
});

afterAll(async () => {
  await Promise.all(agents.map((agent) => agent.close()));
  await muster?.stop();
  for (const namespace of ['team-a', 'team-b']) {
    await cluster?.api.request('DELETE', `/api/v1/namespaces/${namespace}`).catch(() => {});
  }
  await cluster?.stop();
  authority?.remove();
});

/** Asks Muster with a certificate, a token, both or neither. */
async function ask(path: string, who: { identity?: Identity; token?: string; body?: object } = {}) {
  const { identity, token, body } = who;
  const certificate = identity && { cert: readFileSync(identity.certFile), key: readFileSync(identity.keyFile) };
  const dispatcher = new Agent({ connect: { ca: readFileSync(authority.caFile), ...certificate } });
  agents.push(dispatcher);
  const { statusCode, body: answer } = await request(`${muster.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    ...(body && { body: JSON.stringify(body) }),
    dispatcher,
  });
  return { status: statusCode, text: await answer.text() };
}

/** A service account that may create pods and Jobs in its namespace, and nothing else; returns its token. */
async function admitTenant(namespace: string): Promise<string> {
  const { api } = cluster;
  await api.request('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
  await api.request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: 'robot' } });
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  await api.request('POST', `${rbac}/roles`, {
    metadata: { name: 'tenant' },
    rules: [
      { apiGroups: [''], resources: ['pods'], verbs: ['create', 'get', 'list', 'watch', 'delete'] },
      { apiGroups: ['batch'], resources: ['jobs'], verbs: ['create', 'get', 'list', 'watch', 'delete'] },
    ],
  });
  await api.request('POST', `${rbac}/rolebindings`, {
    metadata: { name: 'tenant' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'tenant' },
    subjects: [{ kind: 'ServiceAccount', name: 'robot', namespace }],
  });
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/robot/token`;
  const { status } = await api.request<{ status: { token: string } }>('POST', path, { spec: {} });
  return status.token;
}

test('over TLS with client certificates a gang is filtered, held and bound', async () => {
  await cluster.addNodes({ count: 16 });
  await cluster.api.createMany('pods', gangPods({ gang: 'secure', size: 16 }));
  const pods = await expectBound(worldOf(cluster, muster, {}), 'secure', 16);
  expect(pods).toHaveLength(16);
});

test('without a client certificate only the probes answer', async () => {
  expect((await ask('/livez')).status).toBe(200);
  expect((await ask('/readyz')).text).toBe('ok');
  for (const path of ['/v1/gangs', '/v1/queues', '/v1/topology', '/metrics']) {
    expect([path, (await ask(path)).status]).toEqual([path, 401]);
  }
});

test('the API server takes the network policy that is shipped', async () => {
  const [policy] = readManifests('networkpolicy.yaml');
  const path = '/apis/networking.k8s.io/v1/namespaces/muster-system/networkpolicies';
  // Strict: an unknown field is an error.
  const { spec } = await cluster.api.request<{ spec: object }>(
    'POST',
    `${path}?dryRun=All&fieldValidation=Strict`,
    policy,
  );
  expect(spec).toMatchObject((policy as { spec?: object }).spec ?? {});
});

test('a certificate of the same CA with another name binds nothing, and cannot ask for anything else either', async () => {
  const identity = authority.issue('node', 'clientAuth', { subject: '/O=system:nodes/CN=system:node:worker-1' });
  const pod = {
    metadata: { name: 'intruder', namespace: 'default' },
    spec: { schedulingGates: [{ name: 'x.dev/never' }] },
  };
  const containers = [{ name: 'main', image: 'none' }];
  const created = await cluster.api.request<{ metadata: { uid: string } }>('POST', '/api/v1/namespaces/default/pods', {
    ...pod,
    spec: { ...pod.spec, containers },
  });
  const nodes = await cluster.api.list('nodes');
  const body = {
    PodNamespace: 'default',
    PodName: 'intruder',
    PodUID: created.metadata.uid,
    Node: nodes[0]?.metadata?.name,
  };
  for (const verb of ['filter', 'prioritize', 'preempt', 'bind']) {
    const answer = await ask(`/scheduler/${verb}`, { identity, body });
    expect(answer.status, verb).toBe(403);
    expect(answer.text).toContain('found one for CN "system:node:worker-1"');
  }
  expect((await ask('/v1/gangs', { identity })).status).toBe(403);
  expect((await ask('/metrics', { identity })).status).toBe(403);
  expect((await cluster.api.get('pods', 'intruder')).spec?.nodeName).toBeUndefined();
  expect(await muster.metrics()).toContain('muster_refused_calls_total{reason="unlisted"} 6');
});

test('a tenant sees the gangs of their namespace by their token, and no others', async () => {
  const [token, other] = [await admitTenant('team-a'), await admitTenant('team-b')];
  for (const [namespace, owner] of [
    ['team-a', token],
    ['team-b', other],
  ] as const) {
    const tenant = cluster.api.as(owner);
    // Larger than the cluster, so that it waits.
    await tenant.createMany('pods', gangPods({ gang: `${namespace}-job`, namespace, size: 64 }));
    await tenant.close();
  }
  const gangsIn = async (query: string, who: string) => {
    const { status, text } = await ask(`/v1/gangs${query}`, { token: who });
    if (status !== 200) return [status, (JSON.parse(text) as { error: string }).error];
    const { items } = JSON.parse(text) as { items: { metadata: { name: string }; status: { have: number } }[] };
    return items.map(({ metadata, status: { have } }) => [metadata.name, have]);
  };
  await expect.poll(() => gangsIn('?namespace=team-a', token), { timeout: 20_000 }).toEqual([['team-a-job', 64]]);
  await expect.poll(() => gangsIn('?namespace=team-b', other), { timeout: 20_000 }).toEqual([['team-b-job', 64]]);
  const user = 'user system:serviceaccount:team-a:robot';
  expect(await gangsIn('?namespace=team-b', token)).toEqual([403, `${user} may not list pods in namespace team-b`]);
  expect((await gangsIn('', token))[0]).toBe(403);
  expect((await ask('/v1/gangs/team-b/team-b-job', { token })).status).toBe(403);
  expect((await ask('/v1/topology', { token })).status).toBe(403);
  expect((await ask('/metrics', { token })).status).toBe(403);
  expect((await ask('/scheduler/bind', { token, body: {} })).status).toBe(403);
  expect((await ask('/readyz?verbose', { token })).text).toContain('notices withheld');
  expect(await gangsIn('?namespace=team-a', `${token.slice(0, -4)}AAAA`)).toEqual([
    401,
    'expected a bearer token of the cluster, found one that is not valid; get a new one',
  ]);

  const gangsInQueues = async () => {
    const { text } = await ask('/v1/queues?namespace=team-a', { token });
    expect(text).not.toContain('team-b');
    expect(text).not.toContain('secure');
    const { waiting, running, hidden } = JSON.parse(text) as QueueReport;
    return [waiting.map(({ name }) => name), running, hidden];
  };
  // An answer stands for a while, also one from before these gangs came.
  await expect.poll(gangsInQueues, { timeout: 20_000 }).toEqual([['team-a-job'], [], { waiting: 1, running: 1 }]);

  // A user with more rights sees more by the same call.
  const admin = await gangsIn('', cluster.tokens.admin);
  expect(admin).toEqual([
    ['secure', 16],
    ['team-a-job', 64],
    ['team-b-job', 64],
  ]);
  expect((await ask('/v1/topology', { token: cluster.tokens.admin })).status).toBe(200);
});
