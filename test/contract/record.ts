/**
 * Records what the real kube-scheduler sends to an extender, into test/contract/recorded/. Run it again when the
 * version of the control plane changes (test/e2e/controlplane), or when a file is missing:
 *
 *   npm run e2e:build        once
 *   npm exec -c 'node test/contract/record.ts'
 *
 * kube-scheduler talks to a recorder that forwards each call to a real Muster, so the calls are those of real use.
 * Names and UIDs differ between runs; review the diff, then run the contract test.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { request } from 'undici';
import { type Cluster, startControlPlane } from '../e2e/cluster/control-plane.ts';
import { waitFor } from '../e2e/cluster/wait.ts';
import { startMuster } from '../e2e/muster.ts';
import { gangPod, gpuPod } from '../e2e/objects.ts';
import { type Recording, type RecordingName, recordingFile, recordings } from './recording.ts';
import { trainingPodSpec } from './training-pod.ts';

interface Recorder {
  readonly server: Server;
  readonly url: string;
  readonly calls: Recording[];
  /** Where the calls are forwarded. */
  upstream: string;
}

const KUBE_SCHEDULER = 'v1.37.2';

/** A proxy between kube-scheduler and Muster. */
async function startRecorder(): Promise<Recorder> {
  const recorder = { calls: [] as Recording[], upstream: '' };
  const server = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming);
    recorder.calls.push(describe(incoming, body));
    const answer = await request(`${recorder.upstream}${incoming.url}`, {
      method: 'POST',
      headers: { 'content-type': incoming.headers['content-type'] },
      body,
    });
    outgoing.writeHead(answer.statusCode, { 'content-type': answer.headers['content-type'] as string });
    outgoing.end(Buffer.from(await answer.body.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(recorder, { server, url: `http://127.0.0.1:${port}` });
}

function describe({ method, url, httpVersion, rawHeaders }: IncomingMessage, body: Buffer): Recording {
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) headers[rawHeaders[i]!] = rawHeaders[i + 1]!;
  headers.Host = headers.Host!.replace(/:\d+$/, ':8080');
  return {
    kubeScheduler: KUBE_SCHEDULER,
    requestLine: `${method} ${url} HTTP/${httpVersion}`,
    headers,
    body: body.toString('utf8'),
  };
}

/** Creates pods that trigger every kind of call. */
async function act(cluster: Cluster): Promise<void> {
  const { api } = cluster;
  const labels = {
    'app.kubernetes.io/name': 'pretrain',
    'app.kubernetes.io/part-of': 'research',
    team: 'language-models',
  };
  const bound = (name: string) =>
    waitFor(async () => Boolean((await api.get('pods', name)).spec?.nodeName), { what: `${name} to be bound` });
  await cluster.addNodes({ count: 4, labels: (index) => ({ 'example.com/rack': `rack-${index % 2}` }) });
  await api.create('priorityclasses', { metadata: { name: 'high' }, value: 1000 });

  await api.create('pods', gpuPod({ name: 'lone', labels, spec: trainingPodSpec(1) }));
  await bound('lone');

  await api.create('pods', gangPod({ gang: 'early', minMembers: 2, labels, spec: trainingPodSpec(8) }));
  await waitFor(
    async () =>
      (await api.get('pods', 'early-0')).status?.conditions?.some(({ message }) => /gang/.test(message ?? '')),
    { what: 'the first member of a gang to be told to wait' },
  );
  await api.delete('pods', 'early-0', { graceSeconds: 0 });

  // Gated until they are nominated, so that kube-scheduler never sees them without a nomination.
  const members = [0, 1].map((rank) =>
    gangPod({ gang: 'ring', rank, minMembers: 2, gated: true, labels, spec: trainingPodSpec(8) }),
  );
  await api.createMany('pods', members);
  await Promise.all([bound('ring-0'), bound('ring-1')]);

  // These fill the remaining node; the next pod is one too many.
  await Promise.all(['low-0', 'low-1'].map((name) => api.create('pods', gpuPod({ name, gpus: 4 }))));
  await Promise.all([bound('low-0'), bound('low-1')]);
  await api.create('pods', gpuPod({ name: 'urgent', labels, priorityClassName: 'high', spec: trainingPodSpec(8) }));
  await bound('urgent');
}

/** The first call of each kind. */
function select(calls: readonly Recording[]): Record<RecordingName, Recording | undefined> {
  const find = (verb: string, pattern: RegExp, names?: 'one' | 'all') =>
    calls.find(({ requestLine, body }) => {
      if (!requestLine.startsWith(`POST /scheduler/${verb} `) || !pattern.test(body)) return false;
      if (names === undefined) return true;
      const count = (JSON.parse(body) as { NodeNames: string[] }).NodeNames.length;
      return names === 'one' ? count === 1 : count > 1;
    });
  return {
    'filter-waiting-member': find('filter', /"name":"early-0"/, 'all'),
    'filter-nominated-member': find('filter', /"name":"ring-0"/, 'one'),
    'filter-lone-pod': find('filter', /"name":"lone"/),
    'prioritize-lone-pod': find('prioritize', /"name":"lone"/),
    preempt: find('preempt', /"name":"urgent"/),
    'bind-member': find('bind', /"PodName":"ring-0"/),
    'bind-lone-pod': find('bind', /"PodName":"lone"/),
  };
}

const recorder = await startRecorder();
// Without the admission policy members are not gated, so the first one is tried before its gang is complete.
const cluster = await startControlPlane({ admissionPolicy: false, scheduler: { extenderUrl: recorder.url } });
try {
  const muster = await startMuster({ cluster });
  recorder.upstream = muster.url;
  await act(cluster);
  await muster.stop();
} finally {
  await cluster.stop();
  recorder.server.close();
  recorder.server.closeAllConnections();
}
mkdirSync(new URL('recorded', import.meta.url), { recursive: true });
const selected = select(recorder.calls);
for (const name of recordings) {
  const recording = selected[name];
  if (recording === undefined) throw new Error(`expected a call for ${name} among ${recorder.calls.length} calls`);
  writeFileSync(recordingFile(name), `${JSON.stringify(recording, undefined, 2)}\n`);
  console.log(`${name}: ${recording.body.length} characters`);
}
