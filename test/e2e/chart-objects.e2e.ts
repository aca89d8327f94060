/**
 * The API server takes every object of the chart, with all options: their fields, the expressions of policies, the pods that
 * controllers make of them. Real control plane only.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CertificateSecrets } from '../../src/certs/secrets.ts';
import { runCli } from '../../src/cli/commands.ts';
import { ApiClient } from '../../src/kube/client.ts';
import { loadEndpoint } from '../../src/kube/kubeconfig.ts';
import { readObjects } from '../deploy/objects.ts';
import { recordCli } from '../support/cli-environment.ts';
import { type Cluster, startControlPlane } from './cluster/control-plane.ts';
import { writeKubeconfig } from './cluster/credentials.ts';
import type { KubeObject } from './cluster/resources.ts';
import { waitFor } from './cluster/wait.ts';
import { renderChart } from './tools.ts';

const NAMESPACE = 'muster-system';
const addresses = ['192.0.2.0/24'];

/** All options but those whose kinds come with other projects. */
const values = {
  podDisruptionBudget: { enabled: true },
  networkPolicy: { enabled: true, controlPlaneCIDRs: addresses, apiServerCIDRs: addresses },
  metrics: {
    readers: [{ name: 'prometheus', namespace: 'monitoring' }],
    token: { enabled: true },
    dashboard: { enabled: true },
  },
  scheduler: { enabled: true },
  certificates: { job: { enabled: true } },
  service: { annotations: { team: 'platform' } },
  nodeSelector: { pool: 'control' },
  tolerations: [{ key: 'control', operator: 'Exists' }],
  podAnnotations: { team: 'platform' },
  podLabels: { team: 'platform' },
  imagePullSecrets: [{ name: 'registry' }],
  config: { queues: { items: [{ name: 'vision', quotas: [{ resource: 'nvidia.com/gpu', guaranteed: 8 }] }] } },
};

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startControlPlane({ scheduler: { profile: 'none' } });
});

afterAll(() => cluster?.stop());

test.each(['helm3', 'helm4'] as const)('every object of the chart by %s is accepted', async (helm) => {
  const objects = readObjects(await renderChart(helm, { values }));
  for (const object of objects) await cluster.api.apply(object as KubeObject);
  for (const name of ['muster', 'muster-scheduler']) {
    const labelSelector = `app.kubernetes.io/name=${name}`;
    const pods = await waitFor(
      async () => {
        const found = await cluster.api.list('pods', { namespace: NAMESPACE, labelSelector });
        return found.length >= 2 ? found : undefined;
      },
      { what: `the pods of ${name}` },
    );
    expect(pods.every(({ spec }) => spec?.priorityClassName === 'system-cluster-critical')).toBe(true);
  }
});

test('the account of the Job makes the certificates, finds them good the next time, and sees no other Secret', async () => {
  const { status } = await cluster.api.request<{ readonly status: { readonly token: string } }>(
    'POST',
    `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/muster-certs/token`,
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
  );
  const { url, caFile, dir } = cluster;
  const path = writeKubeconfig(join(dir, 'certs.kubeconfig'), { url, caFile, token: status.token });
  const endpoint = await loadEndpoint({ kind: 'file', path });
  const certs = async () => {
    const { environment, stdout, stderr } = recordCli({
      now: Date.now,
      openCertificates: async () => new CertificateSecrets(new ApiClient(endpoint), NAMESPACE),
    });
    const code = await runCli(['certs', '--secrets', '--namespace', NAMESPACE], environment);
    return { code, stdout: stdout(), stderr: stderr() };
  };
  expect(await certs()).toMatchObject({ code: 0, stdout: expect.stringMatching(/Muster +made/), stderr: '' });
  expect(await certs()).toMatchObject({ code: 0, stdout: expect.stringMatching(/Muster +kept/), stderr: '' });
  const secrets = `/api/v1/namespaces/${NAMESPACE}/secrets`;
  for (const name of ['muster-ca', 'muster-scheduler-tls', 'muster-tls']) {
    expect(await cluster.api.request('GET', `${secrets}/${name}`)).toMatchObject({ data: expect.anything() });
  }
  const api = new ApiClient(endpoint);
  expect((await api.request('GET', secrets)).status).toBe(403);
  expect((await api.request('GET', `${secrets}/other`)).status).toBe(403);
  await api.close();
});
