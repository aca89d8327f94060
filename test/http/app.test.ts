/** The extender endpoints over HTTP: kube-scheduler's client can decode the answer to any input. */
import { describe, expect, test } from 'vitest';
import { gang, pod, startWorld, type World } from '../support/scenario.ts';

const VERBS = ['filter', 'prioritize', 'preempt', 'bind'] as const;
type Verb = (typeof VERBS)[number];

async function post(world: World, verb: Verb, body: unknown) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) };
  const response = await world.muster.app.request(`/scheduler/${verb}`, { method: 'POST', headers, body: text });
  return { status: response.status, text: await response.text() };
}

/** Asserts that a call was refused in the form of its verb: filter and bind have a field for it. */
function expectRefusal(verb: Verb, answer: { status: number; text: string }, expected: string | RegExp): void {
  if (verb === 'filter' || verb === 'bind') {
    expect(answer.status, 'anything but 200 is "the extender is broken"').toBe(200);
    const body = JSON.parse(answer.text) as { Error: string };
    expect(Object.keys(body)).toEqual(['Error']);
    expect(body.Error).toMatch(expected);
  } else {
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(expected);
  }
}

const someUid = { metadata: { name: 'p', namespace: 'default', uid: 'u' }, spec: {}, status: {} };

describe.each(VERBS)('%s', (verb) => {
  test.each([
    ['no body', '', /expected a JSON body, found nothing/],
    ['half a body', '{"Pod":{"metadata":', /expected a JSON body/],
    ['text', 'hello', /expected a JSON body, found "hello"/],
    ['null', 'null', /expected a request body to be an object/],
    ['a list', '[]', /expected a request body to be an object/],
    ['an empty object', '{}', verb === 'bind' ? /expected PodNamespace/ : /expected Pod to be an object/],
  ])('answers %s with what was expected', async (_, body, expected) => {
    const world = await startWorld();
    expectRefusal(verb, await post(world, verb, body), expected);
  });

  test('answers a body that is too large with the setting to raise, and reads the next one', async () => {
    const world = await startWorld({ maxBodyBytes: 500 });
    const large = JSON.stringify({
      Pod: someUid,
      Nodes: null,
      NodeNames: Array.from({ length: 100 }, (_, i) => `node-${i}`),
    });
    expectRefusal(verb, await post(world, verb, large), /at most 500 bytes; raise server.maxBodyMiB/);
    expectRefusal(verb, await post(world, verb, '{}'), /expected Pod/);
  });

  test('answers a body that is too large without a declared length', async () => {
    const world = await startWorld({ maxBodyBytes: 500 });
    const body = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 10; i++) controller.enqueue(new TextEncoder().encode(' '.repeat(100)));
        controller.close();
      },
    });
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
    const response = await world.muster.app.request(`/scheduler/${verb}`, init);
    expectRefusal(verb, { status: response.status, text: await response.text() }, /at most 500 bytes/);
  });

  test('refuses before the reservations are rebuilt, as an answer could give away space that is taken', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    const muster = world.startUnrecovered();
    const body = JSON.stringify({ Pod: world.pod('web'), Nodes: null, NodeNames: ['n0'], NodeNameToMetaVictims: {} });
    const response = await muster.app.request(`/scheduler/${verb}`, { method: 'POST', body });
    expectRefusal(verb, { status: response.status, text: await response.text() }, /not ready yet.*readyz\?verbose/);
  });

  test('accepts POST only', async () => {
    const world = await startWorld();
    expect((await world.muster.app.request(`/scheduler/${verb}`)).status).toBe(404);
  });
});

describe.each(['filter', 'prioritize'] as const)('%s', (verb) => {
  test('without NodeNames says which setting is missing', async () => {
    const world = await startWorld();
    const answer = await post(world, verb, { Pod: someUid, Nodes: { items: [] }, NodeNames: null });
    expectRefusal(verb, answer, /expected NodeNames, found Nodes; set nodeCacheCapable: true/);
    const bare = await post(world, verb, { Pod: someUid, Nodes: null, NodeNames: null });
    expectRefusal(verb, bare, /expected NodeNames, found none; set nodeCacheCapable: true/);
  });

  test.each([
    ['NodeNames that are not a list', { Pod: someUid, NodeNames: 'n0' }],
    ['names that are not strings', { Pod: someUid, NodeNames: ['n0', 7] }],
    ['a name that is null', { Pod: someUid, NodeNames: [null] }],
    ['a pod that is a list', { Pod: [], NodeNames: [] }],
    ['a pod without metadata', { Pod: { spec: {} }, NodeNames: [] }],
    ['a pod without UID', { Pod: { metadata: { name: 'x' } }, NodeNames: [] }],
    ['a UID that is a number', { Pod: { metadata: { uid: 7 } }, NodeNames: [] }],
  ])('answers %s with what was expected', async (_, body) => {
    const world = await startWorld();
    expectRefusal(verb, await post(world, verb, body), /expected/);
  });
});

test('a filter call for a pod that the watch has not seen is answered from the call itself', async () => {
  const world = await startWorld({ nodes: 2 });
  const raw = pod('unseen');
  raw.metadata.uid = 'unseen-uid';
  const answer = await post(world, 'filter', { Pod: raw, Nodes: null, NodeNames: ['n0', 'n1'] });
  expect(answer).toEqual({ status: 200, text: '{"NodeNames":["n0","n1"]}' });
});

test('a filter call for a member that the watch has not seen makes it wait', async () => {
  const world = await startWorld({ nodes: 2 });
  const raw = gang('a', 1)[0]!;
  raw.metadata.uid = 'unseen-uid';
  const answer = await post(world, 'filter', { Pod: raw, Nodes: null, NodeNames: ['n0', 'n1'] });
  expect(JSON.parse(answer.text)).toEqual({
    NodeNames: [],
    FailedAndUnresolvableNodes: { 'muster.dev/gang': 'gang default/a waits for all its members to be created' },
  });
});

test('a bug while answering does not crash: filter reports it in Error, preempt with a status', async () => {
  const world = await startWorld({ nodes: 1 });
  const raw = pod('odd');
  raw.metadata.uid = 'odd-uid';
  raw.spec.containers[0].resources.requests = { cpu: 'many' };
  const answer = await post(world, 'filter', { Pod: raw, Nodes: null, NodeNames: ['n0'] });
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.text).Error).toMatch(/^muster filter: .*many/);
  const preempt = await post(world, 'preempt', { Pod: raw, NodeNameToMetaVictims: { n0: { Pods: [{ UID: 'v' }] } } });
  expect(preempt.status, 'it has no Error field').toBe(500);
});

describe('preempt', () => {
  test.each([
    ['no victims at all', { NodeNameToVictims: null, NodeNameToMetaVictims: null }],
    ['an empty map', { NodeNameToMetaVictims: {} }],
    ['a node whose list is null', { NodeNameToMetaVictims: { n0: { Pods: null, NumPDBViolations: 0 } } }],
    ['a node without victims', { NodeNameToMetaVictims: { n0: { Pods: [], NumPDBViolations: 0 } } }],
    ['a victim that is null', { NodeNameToMetaVictims: { n0: { Pods: [null], NumPDBViolations: 0 } } }],
  ])('with %s answers an empty map, never null, which would crash kube-scheduler', async (_, body) => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('p'));
    const answer = await post(world, 'preempt', { Pod: world.pod('p'), ...body });
    expect(answer).toEqual({ status: 200, text: '{"NodeNameToMetaVictims":{}}' });
  });

  test('keeps the nodes with victims and drops one without', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(pod('p'), pod('v', { nodeName: 'n1' }));
    await world.settle();
    const victims = { n0: { Pods: null }, n1: { Pods: [{ UID: world.uidOf('v') }, null], NumPDBViolations: 2 } };
    const answer = await post(world, 'preempt', { Pod: world.pod('p'), NodeNameToMetaVictims: victims });
    expect(JSON.parse(answer.text)).toEqual({
      NodeNameToMetaVictims: { n1: { Pods: [{ UID: world.uidOf('v') }], NumPDBViolations: 2 } },
    });
  });

  test.each([
    ['full victims, as without nodeCacheCapable', { NodeNameToVictims: { n0: {} } }, /set nodeCacheCapable: true/],
    ['null for a node', { NodeNameToMetaVictims: { n0: null } }, /victims of node n0/],
    ['a string for a node', { NodeNameToMetaVictims: { n0: 'v' } }, /victims of node n0/],
  ])('with %s says what was expected', async (_, body, expected) => {
    const world = await startWorld();
    expectRefusal('preempt', await post(world, 'preempt', { Pod: someUid, ...body }), expected);
  });
});

describe('bind', () => {
  test.each(['PodNamespace', 'PodName', 'PodUID', 'Node'])('without %s says so', async (key) => {
    const world = await startWorld();
    const full = { PodNamespace: 'default', PodName: 'p', PodUID: 'u', Node: 'n0' };
    for (const value of [undefined, '', null, 7]) {
      expectRefusal('bind', await post(world, 'bind', { ...full, [key]: value }), new RegExp(`expected ${key}, found`));
    }
    expect(world.cluster.writes).toEqual([]);
  });

  test('of a pod that the watch has not seen is written all the same: the API server decides', async () => {
    const world = await startWorld({ nodes: 1 });
    world.cluster.pauseWatch();
    world.create(pod('web'));
    const body = { PodNamespace: 'default', PodName: 'web', PodUID: world.uidOf('web'), Node: 'n0' };
    expect(await post(world, 'bind', body), 'success is an empty object').toEqual({ status: 200, text: '{}' });
    expect(world.boundTo()).toEqual({ web: 'n0' });
  });

  test('of a pod that does not exist is an error in a 200', async () => {
    const world = await startWorld({ nodes: 1 });
    const body = { PodNamespace: 'default', PodName: 'ghost', PodUID: 'u', Node: 'n0' };
    expectRefusal('bind', await post(world, 'bind', body), /default\/ghost with UID u does not exist/);
  });
});
