/**
 * The admission policy and the webhook on one API server, each for a namespace of its own: of the same pods both make the
 * same. Kubernetes 1.37 has the policy; the webhook is for those that do not.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Pod } from '@kubernetes/client-node';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CertificateSecrets } from '../../src/certs/secrets.ts';
import { runCli } from '../../src/cli/commands.ts';
import { ADMISSION_PATH } from '../../src/http/admission/admission.ts';
import { ApiClient as MusterClient } from '../../src/kube/client.ts';
import { loadEndpoint } from '../../src/kube/kubeconfig.ts';
import { type Authority, createAuthority } from '../http/support.ts';
import { recordCli } from '../support/cli-environment.ts';
import { newPod } from '../support/new-pods.ts';
import { ApiError } from './cluster/api-client.ts';
import type { Cluster } from './cluster/control-plane.ts';
import { writeKubeconfig } from './cluster/credentials.ts';
import { readManifests } from './cluster/manifests.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { freePorts } from './cluster/process.ts';
import type { KubeObject } from './cluster/resources.ts';
import { waitFor } from './cluster/wait.ts';
import { type MusterProcess, startMuster } from './muster.ts';

const GATE = 'muster.dev/gang';
const MARKER = 'muster.dev/member';
/** Namespaces by what looks at their pods. */
const NAMESPACES: Readonly<Record<string, readonly string[]>> = {
  'by-policy': ['policy'],
  'by-webhook': ['webhook'],
  'by-both': ['policy', 'webhook'],
};
const selecting = (by: string) => ({ namespaceSelector: { matchLabels: { [`e2e/${by}`]: 'yes' } } });

let authority: Authority;
let cluster: Cluster;
let port: number;
let webhook: KubeObject;
const binding = find('admission-policy.yaml', 'MutatingAdmissionPolicyBinding');

function find(file: string, kind: string): KubeObject & { readonly spec?: object } {
  const found = readManifests(file).find((object) => object.kind === kind);
  if (found === undefined) throw new Error(`expected a ${kind} in deploy/${file}, found none`);
  return found;
}

beforeAll(async () => {
  authority = createAuthority();
  cluster = await borrowControlPlane({ scheduler: { profile: 'none' } });
  [port] = (await freePorts(1)) as [number];
  for (const [name, all] of Object.entries(NAMESPACES)) {
    const labels = Object.fromEntries(all.map((by) => [`e2e/${by}`, 'yes']));
    await cluster.api.request('POST', '/api/v1/namespaces', { metadata: { name, labels } });
  }
  await cluster.api.apply({ ...binding, spec: { ...binding.spec, matchResources: selecting('policy') } } as KubeObject);
  const shipped = find('webhook.yaml', 'MutatingWebhookConfiguration') as KubeObject & {
    readonly webhooks: readonly object[];
  };
  // A Service has no address here: nothing plays kube-proxy.
  const clientConfig = {
    url: `https://127.0.0.1:${port}${ADMISSION_PATH}`,
    caBundle: readFileSync(authority.caFile).toString('base64'),
  };
  const webhooks = shipped.webhooks.map((each) => ({ ...each, ...selecting('webhook'), clientConfig }));
  webhook = { ...shipped, webhooks } as KubeObject;
  await cluster.api.apply(webhook);
});

afterAll(async () => {
  await cluster?.api.remove(webhook).catch(() => {});
  await cluster?.applyManifests('admission-policy.yaml');
  for (const name of Object.keys(NAMESPACES)) {
    await cluster?.api.request('DELETE', `/api/v1/namespaces/${name}`).catch(() => {});
  }
  await cluster?.stop();
  authority?.remove();
});

/** What would be created, or why it would not. */
async function dryRun(namespace: string, pod: object): Promise<V1Pod['spec'] | string> {
  try {
    return (await cluster.api.request<V1Pod>('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod)).spec;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.message.replaceAll(namespace, 'NAMESPACE');
  }
}

const isGated = (spec: Awaited<ReturnType<typeof dryRun>>) =>
  typeof spec === 'object' && spec.schedulingGates?.some(({ name }) => name === GATE) === true;
const isMarked = (spec: Awaited<ReturnType<typeof dryRun>>) =>
  typeof spec === 'object' && spec.containers[0]?.resources?.requests?.[MARKER] === '1';

const plain = {
  metadata: { generateName: 'plain-', labels: { 'muster.dev/pod-group': 'train' } },
  spec: { containers: [{ name: 'main', image: 'x' }] },
};

function startWithWebhook(gates: string): Promise<MusterProcess> {
  const server = authority.issue('server', 'serverAuth');
  const caller = authority.issue('caller', 'clientAuth');
  const { caFile } = authority;
  const tls = { ...server, clientCaFile: caFile };
  const callers = { metrics: ['caller'] };
  const config = { server: { tls, callers, webhookPort: port, drainDelay: '0s' }, gang: { gates } };
  return startMuster({ cluster, config, tls: { caFile, ...caller } });
}

describe.each([
  { gates: 'always', areGated: true },
  { gates: 'never', areGated: false },
])('with gang.gates: $gates', ({ gates, areGated }) => {
  let muster: MusterProcess;

  beforeEach(async () => {
    muster = await startWithWebhook(gates);
    // The API server takes a moment to hear of the annotation, and of the webhook.
    for (const namespace of Object.keys(NAMESPACES)) {
      await waitFor(
        async () => {
          const spec = await dryRun(namespace, plain);
          return isMarked(spec) && isGated(spec) === areGated;
        },
        { what: `new members in ${namespace} to get the marker, and the gate: ${areGated}`, deadlineMs: 30_000 },
      );
    }
  });
  afterEach(() => muster?.stop());

  test('of any pod the webhook makes what the policy makes, and both together no more', async () => {
    const pods = fc.sample(newPod, { numRuns: 150, seed: 17 });
    let changed = 0;
    for (const pod of pods) {
      const [policy, asked, both] = await Promise.all(
        ['by-policy', 'by-webhook', 'by-both'].map((namespace) => dryRun(namespace, pod)),
      );
      expect(asked, JSON.stringify(pod)).toEqual(policy);
      expect(both, JSON.stringify(pod)).toEqual(policy);
      if (isMarked(policy) || isGated(policy)) changed++;
    }
    expect(changed, 'pods that got something').toBeGreaterThan(pods.length / 4);
    expect(changed).toBeLessThan(pods.length);
  });
});

test('it is accepted as it is shipped, and the account that makes certificates writes its CA', async () => {
  const { api, url, caFile, dir } = cluster;
  const account = readManifests('kustomize/overlays/certificates/certificates-job.yaml').filter(({ kind }) =>
    ['ServiceAccount', 'Role', 'RoleBinding'].includes(kind ?? ''),
  );
  const rights = readManifests('webhook.yaml').filter(({ kind }) => kind !== 'MutatingWebhookConfiguration');
  const shipped = find('webhook.yaml', 'MutatingWebhookConfiguration');
  const base = '/api/v1/namespaces/muster-system';
  const made = ['secrets/muster-ca', 'secrets/muster-tls', 'secrets/muster-scheduler-tls', 'configmaps/muster-ca'];
  try {
    await api.remove(webhook);
    for (const object of [...account, ...rights, shipped]) await api.apply(object);
    const { status } = await api.request<{ readonly status: { readonly token: string } }>(
      'POST',
      `${base}/serviceaccounts/muster-certs/token`,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
    );
    const path = writeKubeconfig(join(dir, 'certs.kubeconfig'), { url, caFile: caFile!, token: status.token });
    const endpoint = await loadEndpoint({ kind: 'file', path });
    const { environment, stderr } = recordCli({
      now: Date.now,
      openCertificates: async () => new CertificateSecrets(new MusterClient(endpoint), 'muster-system'),
    });
    expect(await runCli(['certs', '--secrets'], environment), stderr()).toBe(0);
    expect(stderr()).toBe('');
    const { data } = await api.request<{ readonly data: Readonly<Record<string, string>> }>(
      'GET',
      `${base}/configmaps/muster-ca`,
    );
    const found = await api.apply(shipped);
    const caBundle = Buffer.from(data['ca.crt']!).toString('base64');
    expect(found).toMatchObject({ webhooks: [{ clientConfig: { caBundle, service: { port: 9443 } } }] });
  } finally {
    for (const name of made) await api.request('DELETE', `${base}/${name}`).catch(() => {});
    for (const object of [shipped, ...rights, ...account]) await api.remove(object).catch(() => {});
    await api.apply(webhook);
  }
});

test('only members are sent, with the answers counted', async () => {
  const muster = await startWithWebhook('never');
  try {
    await waitFor(async () => isMarked(await dryRun('by-webhook', plain)), { what: 'the webhook to answer' });
    const reviews = async () =>
      [...(await muster.metrics()).matchAll(/^muster_admission_reviews_total\{result="(\w+)"\} (\d+)/gm)].map(
        ([, result, count]) => `${result} ${count}`,
      );
    const before = await reviews();
    await dryRun('by-webhook', { ...plain, metadata: { generateName: 'other-' } });
    await dryRun('by-webhook', { ...plain, spec: { ...plain.spec, nodeName: 'n1' } });
    expect(await reviews()).toEqual(before);
    await dryRun('by-webhook', { ...plain, spec: { ...plain.spec, schedulerName: 'batch' } });
    expect(await reviews()).toEqual([...before, 'unchanged 1']);
  } finally {
    await muster.stop();
  }
});

test('without Muster pods are created as they are', async () => {
  const spec = await dryRun('by-webhook', plain);
  expect([isGated(spec), isMarked(spec)]).toEqual([false, false]);
  expect(spec).toMatchObject({ schedulerName: 'default-scheduler' });
});
