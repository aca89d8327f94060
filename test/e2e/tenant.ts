/** Somebody who may create pods and Jobs in one namespace, and nothing else: with whatever labels, annotations and owners. */
import { type ApiClient, ApiError } from './cluster/api-client.ts';
import { waitFor } from './cluster/wait.ts';

const NAME = 'tenant';

/** What a tenant may do in its own namespace: no status, no binding, no DaemonSets, nothing of others. */
const RULES = [
  { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] },
  { apiGroups: ['batch'], resources: ['jobs'], verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] },
];

/** Runs the action as the tenant of a namespace, which is `default` unless given. */
export async function asTenant<T>(
  admin: ApiClient,
  action: (tenant: ApiClient) => Promise<T>,
  namespace = 'default',
): Promise<T> {
  await grant(admin, namespace);
  const tenant = admin.impersonate(`${NAME}-of-${namespace}`);
  try {
    return await action(tenant);
  } finally {
    await tenant.close();
  }
}

async function grant(admin: ApiClient, namespace: string): Promise<void> {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const metadata = { name: NAME, namespace };
  await admin.apply({ apiVersion, kind: 'Role', metadata, rules: RULES } as object);
  const subjects = [{ kind: 'User', name: `${NAME}-of-${namespace}`, apiGroup: 'rbac.authorization.k8s.io' }];
  const roleRef = { kind: 'Role', name: NAME, apiGroup: 'rbac.authorization.k8s.io' };
  await admin.apply({ apiVersion, kind: 'RoleBinding', metadata, subjects, roleRef } as object);
  const tenant = admin.impersonate(`${NAME}-of-${namespace}`);
  try {
    await waitFor(async () => (await tenant.list('pods', { namespace })) !== undefined, {
      what: 'the role of the tenant',
    });
  } finally {
    await tenant.close();
  }
}

/** The refusal by the API server; undefined if it did what was asked. */
export async function refusalOf(request: Promise<unknown>): Promise<string | undefined> {
  try {
    await request;
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}
