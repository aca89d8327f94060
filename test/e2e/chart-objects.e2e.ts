/**
 * The API server takes every object of the chart, with all options: their fields, the expressions of policies, the pods that
 * controllers make of them. Real control plane only.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readObjects } from '../deploy/objects.ts';
import { type Cluster, startControlPlane } from './cluster/control-plane.ts';
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
