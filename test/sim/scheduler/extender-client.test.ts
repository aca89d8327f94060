/** The kube-scheduler model's HTTP client: requests as recorded, connections and timeouts as in Go. */
import { afterEach, expect, test } from 'vitest';
import type { Node, Pod } from '../../../src/sim/objects.ts';
import { ExtenderClient } from '../../../src/sim/scheduler/extender-client.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { type RecordingName, readRecording, recordings } from '../../contract/recording.ts';
import { until } from '../../support/until.ts';
import { ALL_VERBS, startExtender, type TestExtender } from './scheduler-world.ts';

let extender: TestExtender;
let client: ExtenderClient;

async function start(options: object = {}): Promise<void> {
  extender = await startExtender();
  client = new ExtenderClient({ urlPrefix: extender.url, ...ALL_VERBS, ...options }, systemClock);
}

afterEach(async () => {
  client.close();
  await extender.stop();
});

/** Repeats the call that a real kube-scheduler made when it was recorded. */
async function repeat(name: RecordingName): Promise<void> {
  const args = JSON.parse(readRecording(name).body);
  const pod = args.Pod as Pod;
  const nodes = ((args.NodeNames ?? []) as string[]).map((node) => ({ metadata: { name: node } }) as Node);
  if (name.startsWith('filter')) await client.filter(pod, nodes);
  else if (name.startsWith('prioritize')) await client.prioritize(pod, nodes);
  else if (name.startsWith('bind')) {
    const metadata = { name: args.PodName, namespace: args.PodNamespace, uid: args.PodUID };
    await client.bind({ metadata } as Pod, args.Node);
  } else {
    const victims = Object.entries(args.NodeNameToMetaVictims as Record<string, { Pods: { UID: string }[] }>);
    const offered = victims.map(
      ([node, { Pods }]) =>
        [node, { pods: Pods.map(({ UID }) => ({ metadata: { uid: UID } }) as Pod), violations: 0 }] as const,
    );
    await client.preempt(pod, new Map(offered));
  }
}

test.each(recordings)('%s: the bytes and headers are those that the real kube-scheduler sent', async (name) => {
  await start();
  await repeat(name);
  const { body, headers, requestLine } = readRecording(name);
  const [call] = extender.calls;
  expect(call?.text).toBe(body);
  expect(`POST /scheduler/${call?.verb} HTTP/1.1`).toBe(requestLine);
  const sent = call?.headers.filter((_, i) => i % 2 === 0 && !/^connection$/i.test(call.headers[i]!));
  expect(sent).toEqual(Object.keys(headers));
});

test('text is escaped as Go escapes it, and managedFields are dropped', async () => {
  await start();
  const metadata = { name: 'a<b>&c', namespace: 'default', uid: 'u', managedFields: [{ manager: 'kubectl' }] };
  await client.filter({ metadata, spec: {}, status: {} } as unknown as Pod, []);
  expect(extender.calls[0]?.text).toBe(
    '{"Pod":{"metadata":{"name":"a\\u003cb\\u003e\\u0026c","namespace":"default","uid":"u"},"spec":{},"status":{}},"Nodes":null,"NodeNames":[]}',
  );
});

test('at most two idle connections are kept, and any number of busy ones opened', async () => {
  await start();
  const pods = Array.from({ length: 20 }, (_, i) => ({ metadata: { name: `p-${i}`, namespace: 'n', uid: `${i}` } }));
  let release = () => {};
  const released = new Promise<object>((resolve) => (release = () => resolve({})));
  extender.answers.bind = () => released;
  const binds = pods.map((pod) => client.bind(pod as unknown as Pod, 'node'));
  await until('20 calls', () => extender.calls.length === 20);
  expect(extender.calls.at(-1)?.connections).toBe(20);
  release();
  await Promise.all(binds);
  const open = () => new Promise<number>((resolve) => extender.server.getConnections((_, count) => resolve(count)));
  let count = 0;
  const poll = setInterval(async () => (count = await open()), 2);
  await until('two connections to be left', () => count === 2);
  clearInterval(poll);
});

test('the timeout covers the whole answer', async () => {
  await start({ httpTimeout: '50ms' });
  extender.answers.filter = () => new Promise(() => {});
  await expect(client.filter({ metadata: {} } as Pod, [])).rejects.toThrow(
    /^Post ".*\/scheduler\/filter": context deadline exceeded/,
  );
});

test.each([
  [{ containers: [{ resources: { requests: { gpu: '1' } } }] }, true],
  [{ containers: [{ resources: { limits: { gpu: '0' } } }] }, true],
  [{ containers: [{}], initContainers: [{ resources: { limits: { gpu: '1' } } }] }, true],
  [{ containers: [{ resources: { requests: { cpu: '1' } } }] }, false],
])('interest in managed resources: %j is %s', async (spec, interested) => {
  await start({ managedResources: [{ name: 'gpu' }] });
  expect(client.isInterested({ spec } as unknown as Pod)).toBe(interested);
});

test('a duration that Go cannot parse is refused', () => {
  const options = { urlPrefix: 'http://127.0.0.1', httpTimeout: '5 seconds' };
  expect(() => new ExtenderClient(options, systemClock)).toThrow('expected a duration like 30s or 500ms');
});
