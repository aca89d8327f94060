/**
 * The attacker of the hostile scenarios: a tenant who may only create, change and delete pods and Jobs in one namespace,
 * with whatever labels, annotations and owners. It has a token of its own, and the API server's own authorization says
 * what it may do. Real control plane only.
 */
import { type ApiClient, ApiError } from './cluster/api-client.ts';
import { waitFor } from './cluster/wait.ts';

/** The namespace of the tenant unless another one is named. */
export const TENANT_NAMESPACE = 'tenant';

const NAME = 'tenant-user';
const RBAC = 'rbac.authorization.k8s.io/v1';

/** What the tenant may do, in its namespace only: no status, no binding, no DaemonSets, nothing of others. */
const RULES = [
  { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] },
  { apiGroups: ['batch'], resources: ['jobs'], verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] },
];

/** The API server, for the tenant of a namespace. Close it when done. */
export async function tenantOf(admin: ApiClient, namespace = TENANT_NAMESPACE): Promise<ApiClient> {
  const metadata = { name: NAME, namespace };
  await admin.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await admin.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  await admin.apply({ apiVersion: RBAC, kind: 'Role', metadata, rules: RULES } as object);
  const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: NAME };
  await admin.apply({ apiVersion: RBAC, kind: 'RoleBinding', metadata, subjects, roleRef } as object);
  const { status } = await admin.request<{ readonly status: { readonly token: string } }>(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts/${NAME}/token`,
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
  );
  const tenant = admin.as(status.token);
  // The authorizer learns of the role through a watch of its own.
  await waitFor(async () => (await tenant.list('pods', { namespace })) !== undefined, {
    what: 'the role of the tenant',
  });
  return tenant;
}

/** Runs the action as the tenant of a namespace, which is `default` unless given. */
export async function asTenant<T>(
  admin: ApiClient,
  action: (tenant: ApiClient) => Promise<T>,
  namespace = 'default',
): Promise<T> {
  const tenant = await tenantOf(admin, namespace);
  try {
    return await action(tenant);
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
