/** The extender endpoints over HTTP: kube-scheduler's client can decode the answer to any input. */
import { describe, expect, test } from 'vitest';
import { createApp } from '../../src/http/app.ts';
import { Extender } from '../../src/http/extender/extender.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { openAccess } from '../support/open-access.ts';
import { gang, pod, startWorld, type World } from '../support/scenario.ts';
import { recordLogs } from './support.ts';

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

test.each(VERBS)('a bug while answering does not crash: %s reports it in Error, or with a status', async (verb) => {
  const { metrics } = await startWorld();
  const fail = (): never => {
    throw new Error('a bug');
  };
  const { logger, lines } = recordLogs();
  const app = createApp({
    extender: new Extender({ filter: fail, prioritize: fail, preempt: fail, bind: fail }),
    pages: [],
    isReady: () => true,
    metrics,
    log: logger,
    access: openAccess,
    bodies: { maxBytes: 2 ** 20, maxUnfinishedBytes: 2 ** 20 },
  });
  const call = { Pod: someUid, NodeNames: ['n0'], NodeNameToMetaVictims: {} };
  const binding = { PodNamespace: 'default', PodName: 'p', PodUID: 'u', Node: 'n0' };
  const body = JSON.stringify({ ...call, ...binding });
  const response = await app.request(`/scheduler/${verb}`, { method: 'POST', body });
  const hasErrorField = verb === 'filter' || verb === 'bind';
  expect(response.status).toBe(hasErrorField ? 200 : 500);
  expect(await response.text()).toBe(hasErrorField ? `{"Error":"muster ${verb}: a bug"}` : `muster ${verb}: a bug`);
  expect(lines.map(({ msg }) => msg)).toEqual(['request failed']);
});

describe.each(['filter', 'prioritize', 'preempt'] as const)('%s of a malformed pod', (verb) => {
  const call = (pod: unknown) => ({
    Pod: pod,
    NodeNames: ['n0'],
    NodeNameToMetaVictims: { n0: { Pods: [{ UID: 'v' }], NumPDBViolations: 0 } },
  });
  const container = (resources: unknown) => ({ spec: { containers: [{ name: 'c', resources }] } });

  test.each([
    [
      'an amount that is no quantity',
      container({ requests: { cpu: 'many' } }),
      /requests\.\* to be a resource quantity, found "many"/,
    ],
    [
      'an amount of a million digits',
      container({ requests: { cpu: '9'.repeat(1e6) } }),
      /a resource quantity, found "9{63}…"/,
    ],
    [
      'an amount that is a list',
      container({ limits: { cpu: [1] } }),
      /limits\.\* to be a resource quantity, found a list/,
    ],
    [
      'an infinite amount',
      '{"containers":[{"resources":{"requests":{"cpu":1e999}}}]}',
      /a resource quantity, found Infinity/,
    ],
    [
      'containers that are an object',
      { spec: { containers: {} } },
      /Pod\.spec\.containers to be a list, found an object/,
    ],
    ['a container that is null', { spec: { containers: [null] } }, /containers\[\] to be an object, found null/],
    ['labels that are a text', { metadata: { uid: 'u', labels: 'x' } }, /Pod\.metadata\.labels to be a map, found "x"/],
    [
      'a label that is a number',
      { metadata: { uid: 'u', labels: { 'muster.dev/pod-group': 7 } } },
      /to be a string, found 7/,
    ],
    ['a priority that is a text', { spec: { priority: 'high' } }, /Pod\.spec\.priority to be an integer, found "high"/],
    [
      'a term without a key',
      {
        spec: {
          affinity: {
            nodeAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: {
                nodeSelectorTerms: [{ matchExpressions: [{}] }],
              },
            },
          },
        },
      },
      /an object with key and operator/,
    ],
    ['a toleration that is a text', { spec: { tolerations: ['all'] } }, /tolerations\[\] to be an object, found "all"/],
    ['a status that is a list', { status: [] }, /Pod\.status to be an object, found a list/],
    ['a name with quotes', { metadata: { uid: 'u', name: 'a"b' } }, /Pod\.metadata\.name to be a name, found "a\\"b"/],
    ['a name of 300 characters', { metadata: { uid: 'u', name: 'a'.repeat(300) } }, /to be a name, found "a{63}…"/],
    [
      'a lone surrogate in its UID',
      { metadata: { uid: '\ud800' } },
      /Pod\.metadata\.uid to be 1 to 253 printable ASCII/,
    ],
    ['a nomination that is a number', { status: { nominatedNodeName: 1 } }, /nominatedNodeName to be a name, found 1/],
  ])('with %s says so', async (_, part, expected) => {
    const metrics = new Metrics();
    const world = await startWorld({ nodes: 1, metrics });
    const text =
      typeof part === 'string'
        ? JSON.stringify(call({ ...someUid, spec: 'SPEC' })).replace('"SPEC"', part)
        : JSON.stringify(call({ ...someUid, ...part }));
    expectRefusal(verb, await post(world, verb, text), expected);
    expect(await metrics.render()).not.toContain('outcome="error"');
  });

  test('with too many levels says so', async () => {
    const world = await startWorld({ nodes: 1 });
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const text = JSON.stringify(call({ ...someUid, spec: 'SPEC' })).replace('"SPEC"', `{"x":${deep}}`);
    expectRefusal(verb, await post(world, verb, text), /expected JSON of at most 64 levels, found more/);
  });
});

describe.each(['filter', 'prioritize'] as const)('%s of node names', (verb) => {
  test.each([
    ['a quote', 'a\\"b'],
    ['a backslash', 'a\\\\b'],
    ['an escaped line break', 'a\\nb'],
    ['a raw line break', 'a\nb'],
    ['a NUL', 'a\u0000b'],
    ['a lone surrogate', '\\ud800'],
    ['letters outside of ASCII', 'nœud'],
    ['a space', 'a b'],
    ['nothing in it', ''],
    ['254 characters', 'n'.repeat(254)],
  ])('with %s is refused', async (_, name) => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    await world.settle();
    const head = JSON.stringify({ Pod: world.pod('web'), Nodes: null }).slice(0, -1);
    expectRefusal(
      verb,
      await post(world, verb, `${head},"NodeNames":["n0","${name}"]}`),
      /expected (NodeNames|a JSON)/,
    );
  });

  test('written with escapes are the same names', async () => {
    const world = await startWorld({ nodes: 1 });
    world.create(pod('web'));
    await world.settle();
    const head = JSON.stringify({ Pod: world.pod('web'), Nodes: null }).slice(0, -1);
    const plain = await post(world, verb, `${head},"NodeNames":["n0"]}`);
    expect(await post(world, verb, `${head},"NodeNames":["\\u006e0"]}`)).toEqual(plain);
    expect(await post(world, verb, `${head},"NodeNames":["zz"],"NodeNames":["n0"]}`), 'the last one counts').toEqual(
      plain,
    );
  });

  test('of a pod whose UID comes twice is refused', async () => {
    const world = await startWorld({ nodes: 1 });
    const head = `{"Pod":{"metadata":{"name":"p","uid":"one","uid":"two"},"spec":{}}`;
    expectRefusal(verb, await post(world, verb, `${head},"NodeNames":["n0"]}`), /expected one Pod with one UID/);
  });
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
    [
      'victims that are a text',
      { NodeNameToMetaVictims: { n0: { Pods: 'v' } } },
      /Pods of node n0 to be a list, found "v"/,
    ],
    [
      'a victim that is a text',
      { NodeNameToMetaVictims: { n0: { Pods: ['v'] } } },
      /a victim to be an object, found "v"/,
    ],
    ['a UID that is a number', { NodeNameToMetaVictims: { n0: { Pods: [{ UID: 7 }] } } }, /UID of a victim .* found 7/],
    [
      'a node with a quote',
      { NodeNameToMetaVictims: { 'a"b': { Pods: [] } } },
      /a key of NodeNameToMetaVictims .* "a\\"b"/,
    ],
    ['a list', { NodeNameToMetaVictims: [] }, /NodeNameToMetaVictims to be an object, found a list/],
    [
      'violations that are no number',
      { NodeNameToMetaVictims: { n0: { Pods: [{ UID: 'v' }], NumPDBViolations: '1' } } },
      /NumPDBViolations to be an integer, found "1"/,
    ],
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

  test.each(['a"b', 'a\\b', 'a b', '\ud800', 'n'.repeat(254), 'a\u0000'])('of %j names nothing', async (name) => {
    const world = await startWorld();
    const full = { PodNamespace: 'default', PodName: 'p', PodUID: 'u', Node: 'n0' };
    for (const key of Object.keys(full)) {
      expectRefusal('bind', await post(world, 'bind', { ...full, [key]: name }), new RegExp(`expected ${key} to be`));
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
