import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { V1Pod } from '@kubernetes/client-node';
import { loadAll } from 'js-yaml';
import { type ApiClient, ApiError } from './api-client.ts';
import type { KubeObject } from './resources.ts';
import { waitFor } from './wait.ts';

/** The folder of what Muster ships. */
export const deployDir = join(import.meta.dirname, '../../../deploy');

/** Reads the objects of a manifest file, or of all YAML files in a folder. Relative paths start at deploy/. */
export function readManifests(path: string): readonly KubeObject[] {
  const root = resolve(deployDir, path);
  const files = statSync(root).isDirectory()
    ? readdirSync(root)
        .filter((name) => name.endsWith('.yaml'))
        .sort()
        .map((name) => join(root, name))
    : [root];
  return files
    .flatMap((file) => loadAll(readFileSync(file, 'utf8')) as (KubeObject | null)[])
    .filter((o) => o !== null);
}

/** Applies manifests in order, and waits until what they install is in force. */
export async function applyManifests(api: ApiClient, path: string): Promise<void> {
  const objects = readManifests(path);
  for (const object of objects) {
    // A custom object may follow its definition before the API server serves it.
    await waitFor(async () => ((await applyOrWait(api, object)) ? true : undefined), {
      what: `${object.kind} ${object.metadata?.name} to be accepted`,
    });
  }
  for (const object of objects) if (object.kind === 'CustomResourceDefinition') await waitForDefinition(api, object);
  await waitForPolicies(api, objects, true);
}

/** Deletes what a manifest file installed, and waits until it is in force no longer. */
export async function removeManifests(api: ApiClient, path: string): Promise<void> {
  const objects = readManifests(path);
  for (const object of objects.toReversed()) await api.remove(object);
  await waitForPolicies(api, objects, false);
}

async function waitForPolicies(api: ApiClient, objects: readonly KubeObject[], areInForce: boolean): Promise<void> {
  const kinds = objects.map(({ kind }) => kind);
  if (kinds.includes('MutatingAdmissionPolicy')) await waitForAdmissionPolicy(api, areInForce);
  if (kinds.includes('ValidatingAdmissionPolicy')) await waitForRecordPolicies(api, areInForce);
}

/** Applies an object; `false` if the API server does not serve its kind yet. A refusal is an error at once. */
async function applyOrWait(api: ApiClient, object: KubeObject): Promise<boolean> {
  try {
    await api.apply(object);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Removes every custom resource, its objects included, and waits until none is served. */
export async function removeDefinitions(api: ApiClient): Promise<void> {
  const { items } = await api.request<{ items: readonly KubeObject[] }>('GET', definitions);
  for (const { metadata } of items) await api.request('DELETE', `${definitions}/${metadata?.name}`);
  for (const definition of items) {
    const path = servedPath(definition);
    await waitFor(async () => !(await isServed(api, path)), { what: `${path} not to be served` });
  }
}

/** The API server takes a moment to serve a new kind. */
async function waitForDefinition(api: ApiClient, definition: KubeObject): Promise<void> {
  const path = servedPath(definition);
  await waitFor(() => isServed(api, path), { what: `${path} to be served` });
}

async function isServed(api: ApiClient, path: string): Promise<boolean> {
  try {
    await api.request('GET', path);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}

function servedPath(definition: KubeObject): string {
  const { spec } = definition as KubeObject & {
    readonly spec: {
      readonly group: string;
      readonly names: { readonly plural: string };
      readonly versions: readonly { readonly name: string }[];
    };
  };
  return `/apis/${spec.group}/${spec.versions[0]?.name}/${spec.names.plural}`;
}

/** The API server takes a moment to enforce a new policy, or to forget an old one: dry runs show when. */
async function waitForAdmissionPolicy(api: ApiClient, isInForce: boolean): Promise<void> {
  const probe = {
    metadata: { generateName: 'admission-probe-', labels: { 'muster.dev/pod-group': 'probe' } },
    spec: { containers: [{ name: 'main', image: 'none' }] },
  };
  await waitFor(
    async () => {
      const path = '/api/v1/namespaces/default/pods?dryRun=All';
      const pod = await api.request<V1Pod>('POST', path, probe);
      // It adds the marker whether it gates or not.
      const requests = pod.spec?.containers[0]?.resources?.requests;
      return (requests?.['muster.dev/member'] !== undefined) === isInForce;
    },
    { what: `the admission policy to be in force: ${isInForce}` },
  );
}

/** Likewise for those that protect records: the one that is asked is the last one in its file. */
async function waitForRecordPolicies(api: ApiClient, areInForce: boolean): Promise<void> {
  const probe = {
    metadata: { generateName: 'record-probe-', annotations: { 'muster.dev/plan': 'probe' } },
    spec: { containers: [{ name: 'main', image: 'none' }] },
  };
  await waitFor(
    async () => {
      try {
        await api.request('POST', '/api/v1/namespaces/default/pods?dryRun=All', probe);
        return !areInForce;
      } catch (error) {
        if (error instanceof ApiError && error.status === 403) return areInForce;
        throw error;
      }
    },
    { what: `the record policies to be in force: ${areInForce}` },
  );
}
