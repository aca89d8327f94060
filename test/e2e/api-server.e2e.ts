/**
 * The same requests to kube-apiserver and to the embedded API server, one after the other, each on what the earlier ones
 * left. Every refusal must be the same one in the same words, and every object the same, as far as Muster and the tests
 * read it.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiClient as MusterClient } from '../../src/kube/client.ts';
import { loadEndpoint } from '../../src/kube/kubeconfig.ts';
import { ApiError } from './cluster/api-client.ts';
import type { Cluster } from './cluster/control-plane.ts';
import { startEmbeddedCluster } from './cluster/embedded.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';

let real: Cluster;
let embedded: Cluster;

beforeAll(async () => {
  const options = { scheduler: { profile: 'none' }, admissionPolicy: false } as const;
  [real, embedded] = await Promise.all([borrowControlPlane(options), startEmbeddedCluster(options)]);
});

afterAll(() => Promise.all([real?.stop(), embedded?.stop()]));

const PODS = '/api/v1/namespaces/default/pods';
const POD_A = `${PODS}/a`;

type Request = readonly [method: string, path: string, body?: object, patchType?: string];

const container = { name: 'main', image: 'train' };
const post = (path: string, body: object): Request => ['POST', path, body];
const merge = (path: string, body: object): Request => ['PATCH', path, body, 'merge-patch+json'];
const strategic = (path: string, body: object): Request => ['PATCH', path, body, 'strategic-merge-patch+json'];
const json = (...operations: object[]): Request => ['PATCH', POD_A, operations, 'json-patch+json'];
const remove = (path: string, options: object = {}): Request => ['DELETE', path, options];

/** No scheduler takes it, so that nothing moves but by these requests. */
function create(name: string, spec: object = {}, metadata: object = {}): Request {
  return post(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: { containers: [container], schedulerName: 'nobody', ...spec },
  });
}

function bind(name: string, metadata: object = {}, node = 'n1'): Request {
  const target = { apiVersion: 'v1', kind: 'Node', name: node };
  return post(`${PODS}/${name}/binding`, {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name, namespace: 'default', ...metadata },
    target,
  });
}

const evict = (name: string, deleteOptions?: object) =>
  post(`${PODS}/${name}/eviction`, {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name },
    ...(deleteOptions && { deleteOptions }),
  });

const BUDGETS = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
/** It never allows anything. */
const budget = (name: string): object => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name },
  spec: { maxUnavailable: 0, selector: { matchLabels: { app: 'web' } } },
});

const GATES = [{ name: 'muster.dev/gang' }, { name: 'example.com/other' }];
const GPUS = { limits: { 'nvidia.com/gpu': '8', cpu: '4' }, requests: { cpu: '2' } };
const UNSCHEDULABLE = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no room' };

const requests: readonly Request[] = [
  // Creating: defaults and refusals.
  create('a'),
  create('a'),
  create('limits', { containers: [{ ...container, resources: GPUS }] }),
  create('host', { hostNetwork: true, containers: [{ ...container, ports: [{ containerPort: 29500 }] }] }),
  create('tolerant', { tolerations: [{ operator: 'Exists' }] }),
  create('gated', { schedulingGates: GATES }, { labels: {}, annotations: {} }),
  create('no-class', { priorityClassName: 'none' }),
  create(''),
  post('/api/v1/namespaces/none/pods', { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: {} }),
  ['GET', POD_A],
  ['GET', `${PODS}/none`],
  ['GET', '/api/v1/nothing'],
  // Patches of the pod and of its status, with guards.
  merge(`${PODS}/none`, {}),
  merge(POD_A, { metadata: { uid: 'x' } }),
  merge(POD_A, { metadata: { resourceVersion: '1' } }),
  merge(POD_A, { metadata: { labels: { x: 'y', z: 'w' } } }),
  merge(POD_A, { metadata: { labels: { z: null } } }),
  merge(POD_A, { spec: { nodeSelector: { a: 'b' } } }),
  merge(POD_A, { status: { nominatedNodeName: 'n1' } }),
  merge(`${POD_A}/status`, { metadata: { uid: 'x' }, status: { nominatedNodeName: 'n1' } }),
  merge(`${POD_A}/status`, { metadata: { annotations: { plan: 'p' } }, status: { nominatedNodeName: 'n1' } }),
  merge(`${POD_A}/status`, { metadata: { annotations: { plan: 'q', x: 'y' } } }),
  merge(POD_A, { metadata: { annotations: { x: null, z: 'w' } } }),
  merge(POD_A, { metadata: { uid: 'x', annotations: { z: null } } }),
  merge(`${POD_A}/status`, { metadata: { annotations: { plan: null } }, status: { nominatedNodeName: null } }),
  merge(`${POD_A}/status`, { spec: { activeDeadlineSeconds: 5 }, status: { nominatedNodeName: 'n1' } }),
  strategic(`${POD_A}/status`, { status: { conditions: [UNSCHEDULABLE] } }),
  strategic(`${POD_A}/status`, { status: { conditions: [{ type: 'Mine', status: 'True' }] } }),
  json({ op: 'test', path: '/metadata/labels/x', value: 'z' }),
  json({ op: 'add', path: '/metadata/labels/new', value: 'z' }, { op: 'remove', path: '/metadata/labels/x' }),
  ['PATCH', POD_A, {}, 'unknown+json'],
  // Gates.
  strategic(`${PODS}/gated`, { spec: { schedulingGates: [{ $patch: 'delete', name: 'muster.dev/gang' }] } }),
  strategic(`${PODS}/gated`, { spec: { schedulingGates: [{ $patch: 'delete', name: 'muster.dev/gang' }] } }),
  strategic(`${PODS}/gated`, { spec: { schedulingGates: [{ name: 'example.com/new' }] } }),
  merge(`${PODS}/gated`, { spec: { nodeSelector: { a: 'b' } } }),
  merge(`${PODS}/gated/status`, { status: { nominatedNodeName: 'n1' } }),
  bind('gated'),
  strategic(`${PODS}/gated`, { spec: { schedulingGates: [{ $patch: 'delete', name: 'example.com/other' }] } }),
  // Binding.
  bind('none'),
  bind('a', { uid: 'x' }),
  bind('a', { annotations: { 'muster.dev/placement': 'p' } }),
  ['GET', POD_A],
  bind('a'),
  bind('a', {}, 'n2'),
  merge(`${POD_A}/status`, { status: { nominatedNodeName: 'n2' } }),
  merge(POD_A, { spec: { nodeName: 'n2' } }),
  // Selecting.
  ['GET', `${PODS}?labelSelector=new%3Dz&fieldSelector=spec.nodeName%3Dn1`],
  ['GET', `${PODS}?labelSelector=new+notin+(z)`],
  ['GET', `${PODS}?limit=2`],
  ['GET', '/api/v1/pods?watch=1&sendInitialEvents=true'],
  // Deleting.
  remove(POD_A, { preconditions: { uid: 'x' } }),
  remove(POD_A, { gracePeriodSeconds: 20 }),
  ['GET', POD_A],
  bind('a'),
  remove(POD_A, { gracePeriodSeconds: 0 }),
  ['GET', POD_A],
  remove(POD_A),
  create('held', {}, { finalizers: ['example.com/x'] }),
  remove(`${PODS}/held`),
  bind('held'),
  merge(`${PODS}/held`, { metadata: { finalizers: null } }),
  ['GET', `${PODS}/held`],
  // Evicting.
  evict('none'),
  evict('limits', { preconditions: { uid: 'x' } }),
  evict('limits'),
  ['GET', `${PODS}/limits`],
  create('web', { terminationGracePeriodSeconds: 20 }, { labels: { app: 'web' } }),
  bind('web'),
  strategic(`${PODS}/web/status`, { status: { phase: 'Running' } }),
  evict('web', { preconditions: { uid: 'x' } }),
  post(BUDGETS, budget('one')),
  evict('web'),
  post(BUDGETS, budget('two')),
  evict('web'),
  remove(`${BUDGETS}/one`),
  remove(`${BUDGETS}/two`),
  evict('web'),
  ['GET', `${PODS}/web`],
  evict('web'),
];

test('every request has the same answer', async () => {
  for (const [i, request] of requests.entries()) {
    const [expected, found] = await Promise.all([real, embedded].map((cluster) => ask(cluster, request)));
    expect.soft(found, `${i}: ${JSON.stringify(request)}`).toEqual(expected);
  }
});

test("Muster's writer finds each answer to be what it is, with Muster's rights", async () => {
  for (const cluster of [real, embedded]) {
    const writer = new MusterClient(await loadEndpoint({ kind: 'file', path: cluster.musterKubeconfig }));
    const put = async ([method, path, body]: Request) =>
      (await cluster.api.request<{ metadata: { uid: string } }>(method, path, body)).metadata;
    const { uid } = await put(create('writer', {}, { labels: { app: 'writer' } }));
    const pod = { namespace: 'default', name: 'writer', uid };
    const other = { ...pod, uid: '00000000-0000-0000-0000-000000000000' };
    expect(await writer.nominate(pod, 'n1', 'p/n1/1')).toMatchObject({ kind: 'ok' });
    expect(await writer.recordPlan(pod, 'q/n1/1')).toMatchObject({
      kind: 'ok',
      body: { metadata: { annotations: { 'muster.dev/plan': 'q/n1/1' } }, status: { nominatedNodeName: 'n1' } },
    });
    expect(await writer.annotate(pod, { 'muster.dev/over-time': 'y', 'muster.dev/plan': null })).toMatchObject({
      kind: 'ok',
      body: { metadata: { annotations: { 'muster.dev/over-time': 'y' } } },
    });
    expect(await writer.recordPlan(other, 'p')).toEqual({ kind: 'gone' });
    expect(await writer.annotate(other, { 'muster.dev/over-time': 'z' })).toEqual({ kind: 'gone' });

    await ask(cluster, bind('writer'));
    await ask(cluster, strategic(`${PODS}/writer/status`, { status: { phase: 'Running' } }));
    expect(await writer.evict(other)).toEqual({ kind: 'gone' });
    expect(await writer.evict({ ...pod, name: 'nobody' })).toEqual({ kind: 'gone' });
    const selector = { matchLabels: { app: 'writer' } };
    for (const [name, why] of [
      ['first', /disruption budget first/],
      ['second', /more than one PodDisruptionBudget/],
    ] as const) {
      await put(post(BUDGETS, { ...budget(name), spec: { maxUnavailable: 0, selector } }));
      expect(await writer.evict(pod)).toEqual({ kind: 'blocked', message: expect.stringMatching(why) });
    }
    for (const name of ['first', 'second']) await ask(cluster, remove(`${BUDGETS}/${name}`));
    expect(await writer.evict(pod)).toMatchObject({ kind: 'ok' });
    expect(await writer.evict(pod)).toMatchObject({ kind: 'ok' });
    await writer.close();
  }
});

async function ask({ api }: Cluster, [method, path, body, patchType]: Request): Promise<unknown> {
  const type = patchType === undefined ? 'application/json' : `application/${patchType}`;
  try {
    return comparable(await api.request<unknown>(method, path, body, type));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { status, reason, message } = error;
    // The first line: kube-apiserver ends some texts with a comparison of two Go structures.
    return comparable({ status, reason, message: message.split('\n')[0] });
  }
}

/** What differs between any two clusters, and what neither Muster nor a test reads. */
const NOT_COMPARED = new Set([
  ...['creationTimestamp', 'resourceVersion', 'generation', 'observedGeneration', 'managedFields'],
  ...['lastTransitionTime', 'lastProbeTime', 'continue', 'remainingItemCount', 'qosClass'],
  ...['imagePullPolicy', 'terminationMessagePath', 'terminationMessagePolicy'],
  ...['dnsPolicy', 'enableServiceLinks', 'securityContext'],
]);

function comparable(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>').replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<uid>');
  }
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(([name]) => !NOT_COMPARED.has(name));
  return Object.fromEntries(fields.map(([name, field]) => [name, comparable(field)]));
}
