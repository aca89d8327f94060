/**
 * What the real kube-scheduler sends (recorded by record.ts), against the real app: Muster reads every field it uses,
 * and answers what kube-scheduler's Go decoder accepts (k8s.io/kube-scheduler v0.37.2 extender/v1/types.go).
 */
import { describe, expect, test } from 'vitest';
import { FilterArgs } from '../../src/http/extender/filter-args.ts';
import { decodeBindArgs, decodePreemptArgs } from '../../src/http/extender/wire.ts';
import { assembleApp } from '../support/assembled-app.ts';
import { aNode } from '../support/builders.ts';
import { type RecordingName, readRecording, recordings } from './recording.ts';

/** The shapes of the Go types: only these keys, each with its type, and no null anywhere. */
const isText = (value: unknown) => typeof value === 'string';
const isInteger = (value: unknown) => Number.isSafeInteger(value);
const isListOf = (isItem: Check) => (value: unknown) => Array.isArray(value) && value.every(isItem);
const isMapOf = (isItem: Check) => (value: unknown) => isObject(value) && Object.values(value).every(isItem);
const isStruct = (fields: Readonly<Record<string, Check>>, required: readonly string[]) => (value: unknown) =>
  isObject(value) &&
  required.every((key) => key in value) &&
  Object.entries(value).every(([key, field]) => fields[key]?.(field) === true);
const isVictims = isStruct({ Pods: isListOf(isStruct({ UID: isText }, ['UID'])), NumPDBViolations: isInteger }, [
  'Pods',
  'NumPDBViolations',
]);
const replyShapes: Readonly<Record<string, Check>> = {
  filter: isStruct(
    {
      NodeNames: isListOf(isText),
      FailedNodes: isMapOf(isText),
      FailedAndUnresolvableNodes: isMapOf(isText),
      Error: isText,
    },
    ['NodeNames'],
  ),
  prioritize: isListOf(isStruct({ Host: isText, Score: isInteger }, ['Host', 'Score'])),
  preempt: isStruct({ NodeNameToMetaVictims: isMapOf(isVictims) }, ['NodeNameToMetaVictims']),
  bind: isStruct({ Error: isText }, []),
};

type Check = (value: unknown) => boolean;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const verbOf = (name: RecordingName) => name.split('-')[0]!;

interface SentPod {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: Record<string, unknown>;
  readonly status: { readonly nominatedNodeName?: string };
}

interface SentArgs {
  readonly Pod: SentPod;
  readonly NodeNames: readonly string[];
  readonly NodeNameToMetaVictims: Readonly<Record<string, { readonly Pods: readonly { readonly UID: string }[] }>>;
  readonly PodUID: string;
  readonly Node: string;
}

/** The recorded body, read without any code of Muster. */
function sent(name: RecordingName): SentArgs {
  return JSON.parse(readRecording(name).body) as SentArgs;
}

const member = sent('filter-nominated-member').Pod;

/** The recorded cluster: its nodes, and the pods that the recorded call concerns. */
function startRecorded(...pods: readonly object[]) {
  const assembled = assembleApp();
  for (let i = 0; i < 4; i++) assembled.state.nodes.applied(aNode({ name: `node-${i}` }), undefined);
  for (const pod of pods) assembled.state.pods.applied(assembled.projector.project(pod), undefined);
  assembled.recover();
  return assembled;
}

/** The other member of the recorded gang, already on its node. */
function siblingOnNode(): object {
  return {
    ...member,
    metadata: { ...member.metadata, name: 'ring-1', uid: 'uid-of-ring-1' },
    spec: { ...member.spec, nodeName: 'node-9' },
    status: {},
  };
}

/** A nominated member may keep its slot only with its sibling, so both exist where this matters. */
function podsFor(name: RecordingName): readonly object[] {
  if (name === 'filter-nominated-member' || name === 'bind-member') return [member, siblingOnNode()];
  return name.startsWith('bind') || name === 'preempt' ? [] : [sent(name).Pod];
}

async function replay(name: RecordingName, pods = podsFor(name)): Promise<{ status: number; reply: unknown }> {
  const { requestLine, headers, body } = readRecording(name);
  const [method = '', path = ''] = requestLine.split(' ');
  const { app } = startRecorded(...pods);
  const response = await app.request(path, { method, headers, body });
  expect(response.headers.get('content-type')).toContain('application/json');
  return { status: response.status, reply: await response.json() };
}

describe('a pod that the watch has shown', () => {
  const recorded = ['filter-waiting-member', 'filter-lone-pod'] as const;
  const call = async (seen: object | undefined, body: string) => {
    const { app } = startRecorded(...(seen ? [seen] : []));
    return (await app.request('/scheduler/filter', { method: 'POST', body })).json();
  };

  test.each(recorded)(
    '%s: the answer is the same, whether its version is that of the call or an older one',
    async (name) => {
      const { body } = readRecording(name);
      const { Pod } = sent(name);
      const older = { ...Pod, metadata: { ...Pod.metadata, resourceVersion: '7' } };
      expect(await call(Pod, body)).toEqual(await call(older, body));
    },
  );

  test('is not read from the call again; another version is', async () => {
    const { body } = readRecording('filter-lone-pod');
    const { Pod } = sent('filter-lone-pod');
    const damaged = body.replace('"schedulerName":"default-scheduler"', '"schedulerName":7');
    expect(await call(Pod, damaged)).toEqual(await call(Pod, body));
    const older = { ...Pod, metadata: { ...Pod.metadata, resourceVersion: '7' } };
    const refused = { Error: expect.stringContaining('expected Pod.spec.schedulerName to be a string, found 7') };
    expect(await call(older, damaged)).toEqual(refused);
    expect(await call(undefined, damaged)).toEqual(refused);
  });
});

describe('what kube-scheduler sends', () => {
  test.each(recordings)('%s: POST of JSON over HTTP/1.1, without credentials', (name) => {
    const { requestLine, headers, body } = readRecording(name);
    expect(requestLine).toBe(`POST /scheduler/${verbOf(name)} HTTP/1.1`);
    expect(headers).toEqual({
      Host: '127.0.0.1:8080',
      'User-Agent': 'Go-http-client/1.1',
      'Content-Length': String(Buffer.byteLength(body)),
      'Content-Type': 'application/json',
      'Accept-Encoding': 'gzip',
    });
  });

  test.each(['filter-waiting-member', 'filter-nominated-member', 'filter-lone-pod', 'prioritize-lone-pod'] as const)(
    '%s: the pod, no Nodes, and names',
    (name) => {
      const body = sent(name);
      expect(Object.keys(body)).toEqual(['Pod', 'Nodes', 'NodeNames']);
      expect(body).toMatchObject({ Nodes: null });
      const args = FilterArgs.read(Buffer.from(readRecording(name).body));
      expect(args.nodeNames.toArray()).toEqual(body.NodeNames);
      expect(args.uid).toBe(body.Pod.metadata.uid);
      expect(args.nominatedNodeName).toBe(body.Pod.status.nominatedNodeName ?? '');
      expect(args.pod).toEqual(body.Pod);
    },
  );

  test.each([
    { how: 'indented', write: (body: object) => JSON.stringify(body, undefined, 2) },
    {
      how: 'with the names first',
      write: ({ NodeNames, ...rest }: SentArgs) => JSON.stringify({ NodeNames, ...rest }),
    },
    { how: 'with a key after the names', write: (body: object) => JSON.stringify({ ...body, Later: null }) },
    { how: 'with more text after it', write: (body: object) => `${JSON.stringify(body)}\n` },
  ])('the same body $how is read alike', ({ write }) => {
    const body = sent('filter-lone-pod');
    const args = FilterArgs.read(Buffer.from(write(body)));
    expect(args.nodeNames.toArray()).toEqual(body.NodeNames);
    expect(args.pod).toEqual(body.Pod);
  });

  test('a nominated member comes with its one node, and with the record of its slot', () => {
    const args = FilterArgs.read(Buffer.from(readRecording('filter-nominated-member').body));
    expect(args.nodeNames.toArray()).toEqual([args.nominatedNodeName]);
    expect(assembleApp().projector.project(args.pod).annotations['muster.dev/plan']).toMatch(
      new RegExp(`^\\w+/${args.nominatedNodeName}/1$`),
    );
  });

  test('preempt: the pod, no whole victims, and victims by UID', () => {
    const body = sent('preempt');
    expect(Object.keys(body)).toEqual(['Pod', 'NodeNameToVictims', 'NodeNameToMetaVictims']);
    expect(body).toMatchObject({ NodeNameToVictims: null });
    const args = decodePreemptArgs(body);
    expect(args.uid).toBe(body.Pod.metadata.uid);
    expect(Object.fromEntries(args.victims)).toEqual(body.NodeNameToMetaVictims);
    expect([...args.victims.values()].some(({ Pods }) => Pods.length > 1)).toBe(true);
  });

  test.each(['bind-member', 'bind-lone-pod'] as const)('%s: four texts', (name) => {
    const body = sent(name);
    expect(Object.keys(body)).toEqual(['PodName', 'PodNamespace', 'PodUID', 'Node']);
    expect(decodeBindArgs(body)).toEqual({
      name: name === 'bind-member' ? 'ring-0' : 'lone',
      namespace: 'default',
      uid: body.PodUID,
      node: body.Node,
    });
  });

  test('a pod is read with everything that decides its placement', () => {
    const { projector } = assembleApp();
    const pod = projector.project(sent('filter-nominated-member').Pod);
    expect(pod).toMatchObject({
      namespace: 'default',
      name: 'ring-0',
      uid: member.metadata.uid,
      labels: { 'muster.dev/pod-group': 'ring', team: 'language-models' },
      annotations: { 'muster.dev/min-members': '2', 'muster.dev/rank': '0' },
      priority: 0,
      nodeName: '',
      nominatedNodeName: member.status.nominatedNodeName,
      phase: 'Pending',
      deleting: false,
      gates: [],
      nativeGang: false,
      claims: [],
    });
    expect(pod.createdAt).toBeGreaterThan(Date.UTC(2026, 0, 1));
    expect(pod.template).toMatchObject({
      requests: [
        { name: 'cpu', amount: 32_500 },
        { name: 'memory', amount: 129 * 2 ** 30 },
        { name: 'nvidia.com/gpu', amount: 8 },
        { name: 'pods', amount: 1 },
      ],
      nodeAffinity: [{ matchLabels: [{ key: 'kubernetes.io/arch', operator: 'In', values: ['amd64', 'arm64'] }] }],
      hostPorts: [],
      reachesExtender: true,
      skipsBarrier: false,
      hasPreferences: false,
    });
    expect(pod.template.tolerations).toHaveLength(3);
    expect(projector.project(sent('preempt').Pod).priority).toBe(1000);
    expect(projector.project(sent('filter-lone-pod').Pod).template.requests).toContainEqual({
      name: 'nvidia.com/gpu',
      amount: 1,
    });
  });
});

describe('what kube-scheduler can decode', () => {
  test.each(recordings)('%s: status 200, the keys and types of the Go type, no null', async (name) => {
    const { status, reply } = await replay(name);
    expect(status).toBe(200);
    expect(replyShapes[verbOf(name)]!(reply), JSON.stringify(reply)).toBe(true);
    expect(JSON.stringify(reply)).not.toContain('null');
  });

  test('a nominated member gets its node and no other', async () => {
    const { reply } = await replay('filter-nominated-member');
    expect(reply).toEqual({ NodeNames: [member.status.nominatedNodeName] });
  });

  test('a waiting member gets no node, and one reason under a key that names no node', async () => {
    const { reply } = await replay('filter-waiting-member');
    expect(reply).toEqual({
      NodeNames: [],
      FailedAndUnresolvableNodes: {
        'muster.dev/gang': 'gang default/early waits for all its members to be created',
      },
    });
  });

  test('a lone pod gets only nodes that were offered', async () => {
    const { reply } = await replay('filter-lone-pod');
    const { NodeNames: names } = reply as { NodeNames: string[] };
    expect(names.length).toBeGreaterThan(0);
    expect(sent('filter-lone-pod').NodeNames).toEqual(expect.arrayContaining(names));
  });

  test('every offered node gets one score from 0 to 10', async () => {
    const { reply } = await replay('prioritize-lone-pod');
    const scores = reply as { Host: string; Score: number }[];
    expect(scores.map(({ Host }) => Host)).toEqual(sent('prioritize-lone-pod').NodeNames);
    for (const { Score } of scores) expect(Score >= 0 && Score <= 10).toBe(true);
  });

  test('preempt returns offered nodes, with victims that were on them', async () => {
    const { reply } = await replay('preempt');
    const { NodeNameToMetaVictims: kept } = reply as SentArgs;
    const offered = sent('preempt').NodeNameToMetaVictims;
    expect(Object.keys(kept).length).toBeGreaterThan(0);
    for (const [node, { Pods }] of Object.entries(kept)) {
      expect(Pods.length).toBeGreaterThan(0);
      expect(offered[node]?.Pods).toEqual(expect.arrayContaining([...Pods]));
    }
  });

  test('a veto of preemption is an empty map, not null', async () => {
    const { Pod, ...victims } = sent('preempt');
    const labels = { 'muster.dev/pod-group': 'ring' };
    const { app } = startRecorded();
    const response = await app.request('/scheduler/preempt', {
      method: 'POST',
      body: JSON.stringify({ Pod: { ...Pod, metadata: { ...Pod.metadata, labels } }, ...victims }),
    });
    expect([response.status, await response.text()]).toEqual([200, '{"NodeNameToMetaVictims":{}}']);
  });

  test.each(['bind-member', 'bind-lone-pod'] as const)('%s: bound is an empty object', async (name) => {
    expect(await replay(name)).toEqual({ status: 200, reply: {} });
  });

  test('a bind to another node than the planned one is an Error in a 200', async () => {
    const { app } = startRecorded(member, siblingOnNode());
    const body = JSON.stringify({ ...sent('bind-member'), Node: 'node-9' });
    const response = await app.request('/scheduler/bind', { method: 'POST', body });
    const reply = (await response.json()) as Record<string, unknown>;
    expect(response.status).toBe(200);
    expect(Object.keys(reply)).toEqual(['Error']);
    expect(reply.Error).toContain('planned this member for node');
  });

  test.each([
    { verb: 'filter', status: 200, found: '{"Error":' },
    { verb: 'bind', status: 200, found: '{"Error":' },
    { verb: 'prioritize', status: 400, found: 'muster prioritize:' },
    { verb: 'preempt', status: 400, found: 'muster preempt:' },
  ])('$verb reports what is wrong with an invalid body', async ({ verb, status, found }) => {
    const { app } = startRecorded();
    const response = await app.request(`/scheduler/${verb}`, { method: 'POST', body: '{' });
    expect(response.status).toBe(status);
    expect(await response.text()).toContain(found);
  });
});
