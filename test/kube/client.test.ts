/** The API client against a fake API server: requests on the wire, outcomes, retries and connections. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiClient, type ApiClientOptions, type WritePermit } from '../../src/kube/client.ts';
import { openEndpoint } from '../../src/kube/kubeconfig.ts';
import { FakeApiServer, type Fault, type SeenRequest } from '../support/fake-api-server.ts';
import { until } from '../support/until.ts';

const PODS = '/api/v1/pods';
const EVENTS = '/apis/events.k8s.io/v1/events';
const POD = { namespace: 'ns', name: 'a', uid: 'uid-a' };

let server: FakeApiServer;
let api: ApiClient;
let waits: number[];

beforeEach(async () => {
  server = await FakeApiServer.start(PODS, EVENTS);
  waits = [];
  api = client();
});

afterEach(async () => {
  await api.close();
  await server.stop();
});

/** A client whose waits end at once. */
function client(options: ApiClientOptions = {}): ApiClient {
  const after = (ms: number, callback: () => void) => {
    waits.push(ms);
    queueMicrotask(callback);
    return () => {};
  };
  return new ApiClient(openEndpoint(server.url), { clock: { now: () => 0, after }, random: () => 0.5, ...options });
}

/** Makes the first `count` requests that match `filter` fail. */
function failFirst(count: number, fault: Fault, filter: (request: SeenRequest) => boolean = () => true): void {
  let left = count;
  server.fault = (request) => (filter(request) && left-- > 0 ? fault : undefined);
}

function putPod(spec: Record<string, unknown> = {}, uid = POD.uid) {
  return server.put(PODS, { metadata: { name: POD.name, namespace: POD.namespace, uid }, spec });
}

function stored() {
  return server.get(PODS, 'ns/a');
}

describe('the writes', () => {
  test('nominate records plan and node in one patch, clearNomination removes both', async () => {
    putPod();
    expect(await api.nominate(POD, 'n1', 'p/n1/1')).toMatchObject({ kind: 'ok' });
    expect(stored()).toMatchObject({
      metadata: { annotations: { 'muster.dev/plan': 'p/n1/1' } },
      status: { nominatedNodeName: 'n1' },
    });
    expect(await api.clearNomination(POD)).toMatchObject({ kind: 'ok' });
    expect(stored()).toMatchObject({ metadata: { annotations: {} }, status: {} });
    const [request] = server.requests;
    expect(request).toMatchObject({ method: 'PATCH', path: '/api/v1/namespaces/ns/pods/a/status' });
    expect(request?.headers).toMatchObject({ 'content-type': 'application/merge-patch+json', 'user-agent': 'muster' });
    expect(server.requests).toHaveLength(2);
  });

  test('recordPlan writes the record and keeps the nomination', async () => {
    putPod();
    await api.nominate(POD, 'n1', 'p/n1/1');
    expect(await api.recordPlan(POD, 'q/n2/1')).toMatchObject({ kind: 'ok' });
    expect(stored()).toMatchObject({
      metadata: { annotations: { 'muster.dev/plan': 'q/n2/1' } },
      status: { nominatedNodeName: 'n1' },
    });
    expect(server.requests[1]).toMatchObject({ method: 'PATCH', path: '/api/v1/namespaces/ns/pods/a/status' });
  });

  test('annotate sets annotations, removes those that are null and keeps the others', async () => {
    putPod();
    expect(await api.annotate(POD, { x: '1', y: '2' })).toMatchObject({ kind: 'ok' });
    expect(await api.annotate(POD, { x: null, z: '3' })).toMatchObject({ kind: 'ok' });
    expect(stored()?.metadata.annotations).toEqual({ y: '2', z: '3' });
    expect(server.requests[0]).toMatchObject({ method: 'PATCH', path: '/api/v1/namespaces/ns/pods/a' });
  });

  test('evict names the pod by UID and keeps its own grace period', async () => {
    putPod();
    expect(await api.evict(POD)).toMatchObject({ kind: 'ok' });
    expect(stored()).toBeUndefined();
    expect(server.requests).toMatchObject([
      {
        method: 'POST',
        path: '/api/v1/namespaces/ns/pods/a/eviction',
        body: {
          apiVersion: 'policy/v1',
          kind: 'Eviction',
          metadata: { namespace: 'ns', name: 'a' },
          deleteOptions: { preconditions: { uid: 'uid-a' } },
        },
      },
    ]);
  });

  test('nominate is a conflict for a bound pod', async () => {
    putPod({ nodeName: 'n2' });
    const message =
      'Pod "a" is invalid: status.nominatedNodeName: may not be set on pods that are already bound to a node';
    expect(await api.nominate(POD, 'n1', 'p/n1/1')).toEqual({ kind: 'conflict', message });
  });

  test('removeGate removes one gate and keeps the others', async () => {
    putPod({ schedulingGates: [{ name: 'muster.dev/gang' }, { name: 'other' }] });
    expect(await api.removeGate(POD, 'muster.dev/gang')).toMatchObject({ kind: 'ok' });
    expect(stored()?.spec).toEqual({ schedulingGates: [{ name: 'other' }] });
    expect(server.requests[0]?.headers['content-type']).toBe('application/strategic-merge-patch+json');
  });

  test('removeGate sends one JSON patch where the gates are known, and keeps the others', async () => {
    const gates = ['other', 'muster.dev/gang'];
    putPod({ schedulingGates: gates.map((name) => ({ name })) });
    expect(await api.removeGate({ ...POD, gates }, 'muster.dev/gang')).toMatchObject({ kind: 'ok' });
    expect(stored()?.spec).toEqual({ schedulingGates: [{ name: 'other' }] });
    expect(server.requests.map(({ headers }) => headers['content-type'])).toEqual(['application/json-patch+json']);
  });

  test.each([
    ['other gates than were seen', ['muster.dev/gang', 'other'], ['other', 'muster.dev/gang'], ['other']],
    ['fewer gates than were seen', ['other', 'muster.dev/gang'], ['muster.dev/gang'], []],
    ['no such gate any more', ['muster.dev/gang'], ['other'], ['other']],
  ])('removeGate does the same with %s', async (_, gates, present, left) => {
    putPod({ schedulingGates: present.map((name) => ({ name })) });
    expect(await api.removeGate({ ...POD, gates }, 'muster.dev/gang')).toMatchObject({ kind: 'ok' });
    expect(stored()?.spec).toEqual({ schedulingGates: left.map((name) => ({ name })) });
  });

  test('removeGate leaves the gate of another pod of the same name', async () => {
    putPod({ schedulingGates: [{ name: 'g' }] }, 'second');
    expect(await api.removeGate({ ...POD, gates: ['g'] }, 'g')).toEqual({ kind: 'gone' });
    expect(stored()?.spec).toEqual({ schedulingGates: [{ name: 'g' }] });
  });

  test('bind sends node, UID and annotations', async () => {
    putPod();
    expect(await api.bind(POD, 'n1', { 'muster.dev/placement': 'x' })).toMatchObject({ kind: 'ok' });
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]?.body).toEqual({
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: 'a', namespace: 'ns', uid: 'uid-a', annotations: { 'muster.dev/placement': 'x' } },
      target: { apiVersion: 'v1', kind: 'Node', name: 'n1' },
    });
    expect(stored()).toMatchObject({
      metadata: { annotations: { 'muster.dev/placement': 'x' } },
      spec: { nodeName: 'n1' },
    });
  });

  test('createEvent writes an event of events.k8s.io/v1', async () => {
    const event = { metadata: { name: 'e', namespace: 'ns' }, reason: 'Planned' };
    expect(await api.createEvent('ns', event)).toMatchObject({ kind: 'ok' });
    expect(server.get(EVENTS, 'ns/e')).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      reason: 'Planned',
    });
  });

  test.each([
    ['nominate', () => api.nominate(POD, 'n1', 'p')],
    ['clearNomination', () => api.clearNomination(POD)],
    ['recordPlan', () => api.recordPlan(POD, 'p')],
    ['annotate', () => api.annotate(POD, { x: '1' })],
    ['evict', () => api.evict(POD)],
    ['removeGate', () => api.removeGate(POD, 'g')],
    ['bind', () => api.bind(POD, 'n1', {})],
  ])('%s finds the pod gone when it does not exist, or when another pod has its name', async (_, call) => {
    expect(await call()).toEqual({ kind: 'gone' });
    putPod({}, 'second');
    expect(await call()).toEqual({ kind: 'gone' });
    expect(stored()).toMatchObject({ spec: {} });
    expect(waits).toEqual([]);
  });

  test('create is a conflict when the object exists', async () => {
    putPod();
    const again = { metadata: { name: 'a', namespace: 'ns' } };
    expect(await api.create('/api/v1/namespaces/ns/pods', again)).toEqual({
      kind: 'conflict',
      message: '"a" already exists',
    });
  });
});

describe('binding', () => {
  test.each([
    ['503', { kind: 'answer', status: 503 }],
    ['500', { kind: 'answer', status: 500 }],
    ['a broken connection', { kind: 'reset', applied: false }],
  ] satisfies [string, Fault][])('is tried again after %s', async (_, fault) => {
    putPod();
    failFirst(2, fault);
    expect(await api.bind(POD, 'n1', {})).toMatchObject({ kind: 'ok' });
    expect(stored()?.spec).toEqual({ nodeName: 'n1' });
    expect(waits).toEqual([75, 150]);
  });

  test('succeeds when the pod was bound although the answer was lost', async () => {
    putPod();
    failFirst(1, { kind: 'reset', applied: true });
    expect(await api.bind(POD, 'n1', {})).toMatchObject({ kind: 'ok', body: { spec: { nodeName: 'n1' } } });
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'POST', 'GET']);
  });

  test('succeeds when only the last of all answers was lost', async () => {
    putPod();
    failFirst(4, { kind: 'answer', status: 503 }, ({ method }) => method === 'POST');
    const before = server.fault;
    server.fault = (request) => {
      const last = request.method === 'POST' && server.requests.length === 5;
      return last ? { kind: 'reset', applied: true } : before(request);
    };
    expect(await api.bind(POD, 'n1', {})).toMatchObject({ kind: 'ok' });
    expect(server.requests.map(({ method }) => method)).toEqual([...Array(5).fill('POST'), 'GET']);
  });

  test('succeeds for a pod already on the node, and is a conflict for one on another', async () => {
    putPod({ nodeName: 'n1' });
    expect(await api.bind(POD, 'n1', {})).toMatchObject({ kind: 'ok' });
    expect(await api.bind(POD, 'n2', {})).toMatchObject({
      kind: 'conflict',
      message: expect.stringContaining('already assigned to node "n1"'),
    });
  });

  test('finds the pod gone when another pod of its name is on the node after a failure', async () => {
    putPod({ nodeName: 'n1' }, 'another');
    failFirst(99, { kind: 'answer', status: 500 }, ({ method }) => method === 'POST');
    expect(await api.bind(POD, 'n1', {})).toEqual({ kind: 'gone' });
  });

  test('is a conflict for a pod that still has a gate', async () => {
    putPod({ schedulingGates: [{ name: 'g' }] });
    expect(await api.bind(POD, 'n1', {})).toMatchObject({
      kind: 'conflict',
      message: expect.stringContaining('schedulingGates'),
    });
  });

  test('gives up after five attempts', async () => {
    putPod();
    server.fault = ({ method }) =>
      method === 'POST' ? { kind: 'answer', status: 503, body: { message: 'later' } } : undefined;
    expect(await api.bind(POD, 'n1', {})).toEqual({ kind: 'failed', status: 503, message: 'later' });
    expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(5);
    expect(waits).toEqual([75, 150, 300, 600]);
  });
});

describe('an eviction', () => {
  const CAUSE = {
    reason: 'DisruptionBudget',
    message: 'The disruption budget web needs 2 healthy pods and has 2 currently',
  };
  const REFUSAL = "Cannot evict pod as it would violate the pod's disruption budget.";
  const refusal = (details: object | undefined, status: number, headers: Record<string, string> = {}): Fault => ({
    kind: 'answer',
    status,
    headers,
    body: { kind: 'Status', message: REFUSAL, ...(details && { details }) },
  });

  test.each([
    ['at once', {}],
    ['in 10 s', { 'retry-after': '10' }],
    ['in 1 s', { 'retry-after': '1' }],
  ])('is blocked by a budget that asks for a retry %s, and names the budget', async (_, headers) => {
    putPod();
    failFirst(1, refusal({ causes: [CAUSE] }, 429, headers));
    expect(await api.evict(POD)).toEqual({ kind: 'blocked', message: `${REFUSAL} ${CAUSE.message}` });
    expect(server.requests).toHaveLength(1);
    expect(stored()).toBeDefined();
  });

  test('is blocked for a pod covered by two budgets', async () => {
    putPod();
    const message = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';
    failFirst(1, { kind: 'answer', status: 500, body: { kind: 'Status', message } });
    expect(await api.evict(POD)).toEqual({ kind: 'blocked', message });
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    ['a busy server', refusal(undefined, 429, { 'retry-after': '1' })],
    ['an internal error', { kind: 'answer', status: 500 }],
    ['a lost answer', { kind: 'reset', applied: false }],
  ] satisfies [string, Fault][])('is tried again after %s', async (_, fault) => {
    putPod();
    failFirst(1, fault);
    expect(await api.evict(POD)).toMatchObject({ kind: 'ok' });
    expect(server.requests).toHaveLength(2);
  });
});

describe('a busy server', () => {
  test('is obeyed when it answers 429 with a Retry-After', async () => {
    putPod();
    failFirst(1, { kind: 'answer', status: 429, headers: { 'retry-after': '2' } });
    expect(await api.nominate(POD, 'n1', 'p')).toMatchObject({ kind: 'ok' });
    expect(waits).toEqual([2000]);
    failFirst(1, { kind: 'answer', status: 429, headers: { 'retry-after': '1' } });
    expect(await api.createEvent('ns', { metadata: { name: 'e', namespace: 'ns' } })).toMatchObject({ kind: 'ok' });
  });

  test.each([
    ['long', { 'retry-after': '10' }],
    ['no', {}],
  ])('has refused when it asks for %s wait, as for a disruption budget', async (_, headers) => {
    const body = { message: "Cannot evict pod as it would violate the pod's disruption budget." };
    failFirst(1, { kind: 'answer', status: 429, headers, body });
    expect(await api.create('/api/v1/namespaces/ns/pods/a/eviction', {})).toEqual({
      kind: 'failed',
      status: 429,
      message: body.message,
    });
    expect(server.requests).toHaveLength(1);
  });

  test('does not get the same creation twice', async () => {
    failFirst(1, { kind: 'reset', applied: true });
    const event = { metadata: { name: 'e', namespace: 'ns' } };
    expect(await api.createEvent('ns', event)).toMatchObject({ kind: 'failed', status: 0 });
    expect(server.requests).toHaveLength(1);
  });

  test('gets no retry when the retry window is over', async () => {
    putPod();
    let now = 0;
    const after = (ms: number, callback: () => void) => {
      now += ms;
      queueMicrotask(callback);
      return () => {};
    };
    await api.close();
    api = client({ requestTimeoutMs: 3000, clock: { now: () => now, after } });
    server.fault = () => ({ kind: 'answer', status: 429, headers: { 'retry-after': '2' } });
    expect(await api.nominate(POD, 'n1', 'p')).toMatchObject({ kind: 'failed', status: 429 });
    expect(server.requests).toHaveLength(2);
  });
});

describe('connections', () => {
  test('are reused: one serves consecutive calls', async () => {
    putPod();
    for (let i = 0; i < 20; i++) await api.nominate(POD, 'n1', `p${i}`);
    for (let i = 0; i < 20; i++) await api.request('GET', '/api/v1/nodes');
    expect(server.connections).toBe(1);
  });

  test('are limited by the writes in flight; other writes wait', async () => {
    await api.close();
    api = client({ maxWritesInFlight: 8 });
    putPod();
    const outcomes = await Promise.all(Array.from({ length: 200 }, (_, i) => api.nominate(POD, 'n1', `p${i}`)));
    expect(outcomes.filter(({ kind }) => kind === 'ok')).toHaveLength(200);
    expect(server.connections).toBeLessThanOrEqual(8);
    expect(server.connections).toBeGreaterThan(1);
  });

  test('of a watch and of bare requests are not held up by hanging writes', async () => {
    await api.close();
    api = client({ maxWritesInFlight: 1 });
    server.fault = ({ method }) => (method === 'PATCH' ? { kind: 'hang' } : undefined);
    const hanging = api.nominate(POD, 'n1', 'p');
    await until('the write', () => server.requests.length === 1);
    expect(await api.request('GET', '/api/v1/pods')).toMatchObject({ status: 200 });
    const abort = new AbortController();
    const stream = await api.open(`${PODS}?watch=1&resourceVersion=1000`, abort.signal, 10_000);
    expect(stream.status).toBe(200);
    abort.abort();
    await until('the watch closed', () => server.watches === 0);
    await api.close();
    expect(await hanging).toMatchObject({ kind: 'failed', status: 0 });
  });

  test('that are refused make a failure, not an exception', async () => {
    await server.stop();
    expect(await api.nominate(POD, 'n1', 'p')).toMatchObject({
      kind: 'failed',
      status: 0,
      message: expect.stringContaining('ECONNREFUSED'),
    });
    expect(waits).toHaveLength(4);
    await expect(api.request('GET', PODS)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('a request', () => {
  test('without an answer ends at its timeout', async () => {
    server.fault = () => ({ kind: 'hang' });
    const request = api.request('GET', PODS, { timeoutMs: 50 });
    await expect(request).rejects.toThrow('Expected an answer to GET /api/v1/pods within 50 ms, got none');
  });

  test('ends with its signal', async () => {
    server.fault = () => ({ kind: 'hang' });
    const abort = new AbortController();
    const request = api.request('GET', PODS, { signal: abort.signal });
    await until('the request', () => server.requests.length === 1);
    abort.abort(new Error('enough'));
    await expect(request).rejects.toThrow('enough');
    await expect(api.request('GET', PODS, { signal: abort.signal })).rejects.toThrow('enough');
  });

  test('returns status and body unchanged', async () => {
    expect(await api.request('GET', '/healthz')).toEqual({
      status: 404,
      retryAfterMs: undefined,
      body: '404 page not found\n',
    });
  });
});

describe('a fence', () => {
  const granted: WritePermit = { kind: 'granted', withinMs: 15_000 };

  test('is asked before each attempt of each write, and not about reads', async () => {
    putPod();
    let asked = 0;
    const ask = () => {
      asked++;
      return granted;
    };
    const fenced = client({ fence: { ask } });
    failFirst(2, { kind: 'answer', status: 500 });
    expect(await fenced.annotate(POD, { x: '1' })).toMatchObject({ kind: 'ok' });
    expect(asked).toBe(3);
    await fenced.createEvent('ns', { metadata: { namespace: 'ns', name: 'e' } });
    await fenced.evict(POD);
    expect(asked).toBe(5);
    await fenced.request('GET', '/api/v1/namespaces/ns/pods/a');
    expect(asked).toBe(5);
    await fenced.close();
  });

  test('that refuses for good: nothing is sent, nothing is tried again', async () => {
    putPod();
    const ask = (): WritePermit => ({ kind: 'refused', message: 'another one leads', isFinal: true });
    const fenced = client({ fence: { ask } });
    for (const outcome of [
      await fenced.bind(POD, 'n1', {}),
      await fenced.evict(POD),
      await fenced.removeGate(POD, 'g'),
    ]) {
      expect(outcome).toEqual({ kind: 'failed', status: 0, message: 'another one leads' });
    }
    expect(server.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
    expect(waits).toEqual([]);
    await fenced.close();
  });

  test('that refuses for now is asked again, and a promise is waited for', async () => {
    putPod();
    const answers: WritePermit[] = [{ kind: 'refused', message: 'not confirmed', isFinal: false }, granted];
    const fenced = client({ fence: { ask: async () => answers.shift() ?? granted } });
    expect(await fenced.annotate(POD, { x: '1' })).toMatchObject({ kind: 'ok' });
    expect([waits.length, server.requests.length]).toEqual([1, 1]);
    await fenced.close();
  });

  test('bounds how long a write may take', async () => {
    putPod();
    server.fault = () => ({ kind: 'hang' });
    const fenced = client({ fence: { ask: () => ({ kind: 'granted', withinMs: 30 }) } });
    expect(await fenced.create('/api/v1/namespaces/ns/events', {})).toMatchObject({
      kind: 'failed',
      message: expect.stringContaining('within 30 ms'),
    });
    await fenced.close();
  });
});

test('whenIdle resolves when every write that was sent is answered', async () => {
  putPod();
  await api.whenIdle();
  const { promise: reached, resolve: noteReached } = Promise.withResolvers<void>();
  server.fault = () => {
    noteReached();
    return { kind: 'hang' };
  };
  const order: string[] = [];
  const slow = client({ requestTimeoutMs: 200 });
  const write = slow.create('/api/v1/namespaces/ns/events', {}).then(() => order.push('answered'));
  await reached;
  const idle = slow.whenIdle().then(() => order.push('idle'));
  expect(order).toEqual([]);
  await Promise.all([write, idle]);
  expect(order.toSorted()).toEqual(['answered', 'idle']);
  await slow.close();
});
