/** A watcher asks for protobuf first, and reads what the server has. */
import { expect, test } from 'vitest';
import { NODES, QUEUES } from '../../../src/cluster/kinds.ts';
import type { ApiStream } from '../../../src/kube/transport.ts';
import { type WatchedKind, Watcher, type WatchSource } from '../../../src/kube/watcher.ts';
import { encodeObject, envelop, frameOf } from '../../support/kube-wire.ts';
import { until } from '../../support/until.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf;stream=watch';
const JSON_TYPE = 'application/json';
const node = { metadata: { name: 'n1', uid: 'u', resourceVersion: '5', labels: { rack: 'a' } } };
const end = { metadata: { resourceVersion: '9', annotations: { 'k8s.io/initial-events-end': 'true' } } };

const inProtobuf = Buffer.concat([
  frameOf('ADDED', 'core.Node', encodeObject('core.Node', node)),
  frameOf('BOOKMARK', 'core.Node', encodeObject('core.Node', end)),
]);
const inJson = Buffer.from(
  [
    { type: 'ADDED', object: node },
    { type: 'BOOKMARK', object: end },
  ]
    .map((event) => `${JSON.stringify(event)}\n`)
    .join(''),
);

function answer(status: number, contentType: string, ...chunks: Buffer[]): ApiStream {
  return {
    status,
    contentType,
    chunks: (async function* () {
      yield* chunks;
    })(),
  };
}

/** Gives these answers, one a request, and then none. */
async function watchWith(kind: WatchedKind<object>, answers: readonly ApiStream[], restartsAfter: number) {
  const accepted: string[] = [];
  const restarts: string[] = [];
  const errors: string[] = [];
  const source: WatchSource = {
    open: (_path, signal, _idleMs, accept) => {
      accepted.push(accept);
      const next = answers[accepted.length - 1];
      if (next) return Promise.resolve(next);
      return new Promise((_, reject) => {
        signal.onabort = () => reject(new Error('stopped'));
      });
    },
  };
  const watcher = new Watcher(
    source,
    kind,
    { applied() {}, deleted() {} },
    {
      onSynced() {},
      onRestart: (reason) => restarts.push(reason),
      onEvent() {},
      onError: ({ message }) => errors.push(message),
    },
    { timing: { backoff: { baseMs: 0, maxMs: 0 } } },
  );
  watcher.start();
  await until('all answers to be read', () => accepted.length > answers.length && restarts.length >= restartsAfter);
  await watcher.stop();
  return {
    accepted,
    restarts,
    errors,
    labels: [...watcher.store.values()].map((each) => (each as typeof node.metadata).labels),
  };
}

test('a built-in kind is asked for in protobuf, a custom resource in JSON alone', async () => {
  const nodes = await watchWith(NODES, [answer(200, PROTOBUF, inProtobuf)], 1);
  expect(nodes.accepted[0]).toBe('application/vnd.kubernetes.protobuf, application/json');
  expect(nodes.labels).toEqual([{ rack: 'a' }]);
  expect((await watchWith(QUEUES, [], 0)).accepted).toEqual([JSON_TYPE]);
});

test('a server that answers with JSON is read as JSON', async () => {
  const { labels, errors } = await watchWith(NODES, [answer(200, JSON_TYPE, inJson)], 1);
  expect([labels, errors]).toEqual([[{ rack: 'a' }], []]);
});

test.each([406, 415])('a server that answers %i is asked for JSON at once, and from then on', async (status) => {
  const refusal = answer(status, JSON_TYPE, Buffer.from('{}'));
  const { accepted, labels, restarts } = await watchWith(NODES, [refusal, answer(200, JSON_TYPE, inJson)], 1);
  expect(accepted.slice(1)).toEqual([JSON_TYPE, JSON_TYPE]);
  expect(labels).toEqual([{ rack: 'a' }]);
  expect(restarts).toEqual(['ended']);
});

test('a length that no frame has leads to a new list, and what is known stays', async () => {
  const bad = answer(200, PROTOBUF, inProtobuf, Buffer.alloc(8, 0xff));
  const { restarts, errors, labels } = await watchWith(NODES, [bad], 1);
  expect(restarts).toEqual(['garbage']);
  expect(errors).toEqual([
    expect.stringContaining('Expected a frame of at most 16777216 bytes, got one of 4294967295'),
  ]);
  expect(labels).toEqual([{ rack: 'a' }]);
});

test('protobuf that cannot be read is asked for again as JSON, until a watch ends well', async () => {
  const bad = answer(200, PROTOBUF, Buffer.from('<html>'));
  const answers = [bad, answer(200, JSON_TYPE, inJson), answer(200, PROTOBUF, inProtobuf)];
  const { accepted, restarts, labels } = await watchWith(NODES, answers, 3);
  const both = `application/vnd.kubernetes.protobuf, ${JSON_TYPE}`;
  expect(accepted).toEqual([both, JSON_TYPE, both, both]);
  expect(restarts).toEqual(['garbage', 'ended', 'ended']);
  expect(labels).toEqual([{ rack: 'a' }]);
});

test('a refusal in protobuf is told in words', async () => {
  const status = envelop('v1', 'Status', encodeObject('meta.Status', { message: 'nodes is forbidden', code: 403 }));
  const { errors } = await watchWith(NODES, [answer(403, 'application/vnd.kubernetes.protobuf', status)], 1);
  expect(errors).toEqual(['Watching Node: Expected status 200, got 403: nodes is forbidden']);
});
