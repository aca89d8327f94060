/** What can be installed in two ways: a kustomization, and the values with which the chart is the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Manifest, readObjects } from './objects.ts';

export const deployDir = join(import.meta.dirname, '../../deploy');

/** The objects of a file below deploy/. */
export function readDeployed(path: string): readonly Manifest[] {
  return readObjects(readFileSync(join(deployDir, path), 'utf8'));
}

/** The manifests that are applied one by one. */
export const plainFiles = [
  'rbac.yaml',
  'crds/queue.yaml',
  'record-policies.yaml',
  'admission-policy.yaml',
  'flowschema.yaml',
  'muster.yaml',
];

/** kube-scheduler's configurations as kustomize and the chart hand them out. */
export function extenderFiles(): Manifest {
  const names = ['kube-scheduler-config.yaml', 'kube-scheduler-config-large-gangs.yaml'];
  const textOf = (name: string) => readFileSync(join(deployDir, 'scheduler', name), 'utf8');
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'muster-extender', namespace: 'muster-system' },
    data: Object.fromEntries(names.map((name) => [name, textOf(name)])),
  };
}

/** The spec of the only object of a kind in a file below deploy/. */
export function specOf<T extends object>(path: string, kind: string): T {
  const [object] = readDeployed(path).filter((candidate) => candidate.kind === kind);
  if (object?.spec === undefined) throw new Error(`expected a ${kind} in deploy/${path}, found none`);
  return object.spec as T;
}

/** As many replicas as the manifests have. */
export const plainValues = { replicas: specOf<{ readonly replicas: number }>('muster.yaml', 'Deployment').replicas };

const documentation = ['192.0.2.0/24'];

export const variants = [
  { path: 'base', values: {} },
  { path: 'overlays/second-scheduler', values: { scheduler: { enabled: true } } },
  { path: 'overlays/webhook', values: { admissionWebhook: { enabled: true } } },
  { path: 'overlays/cert-manager', values: { certManager: { enabled: true } } },
  { path: 'overlays/certificates', values: { certificates: { job: { enabled: true } } } },
  {
    path: 'overlays/network-policy',
    values: { networkPolicy: { enabled: true, controlPlaneCIDRs: documentation, apiServerCIDRs: documentation } },
  },
  {
    path: 'overlays/monitoring',
    values: {
      metrics: {
        token: { enabled: true },
        serviceMonitor: { enabled: true },
        prometheusRule: { enabled: true },
        dashboard: { enabled: true },
      },
    },
  },
].map(({ path, values }) => ({ path, values: { ...plainValues, ...values } }));
