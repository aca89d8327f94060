/**
 * The attacker of the hostile scenarios: a tenant who may only create, change and delete pods and Jobs in one namespace.
 * It has a token of its own, and the API server's own authorization says what it may do. Real control plane only.
 */
import type { ApiClient } from './cluster/api-client.ts';
import type { World } from './world.ts';

/** The namespace of the tenant unless another one is named. */
export const TENANT_NAMESPACE = 'tenant';

const NAME = 'tenant-user';
const RBAC = 'rbac.authorization.k8s.io/v1';

/** What the tenant may do, in its namespace only. */
const RULES = [
  { apiGroups: [''], resources: ['pods'], verbs: ['*'] },
  { apiGroups: ['batch'], resources: ['jobs'], verbs: ['*'] },
];

/** The API server, for such a tenant. Close it when done. */
export async function asTenant({ cluster: { api } }: World, namespace = TENANT_NAMESPACE): Promise<ApiClient> {
  const metadata = { name: NAME, namespace };
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  await api.apply({ apiVersion: RBAC, kind: 'Role', metadata, rules: RULES } as object);
  const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: NAME };
  await api.apply({ apiVersion: RBAC, kind: 'RoleBinding', metadata, subjects, roleRef } as object);
  const { status } = await api.request<{ readonly status: { readonly token: string } }>(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts/${NAME}/token`,
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
  );
  return api.as(status.token);
}
