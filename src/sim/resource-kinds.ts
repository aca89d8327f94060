/** Which resources the embedded API server serves, and under which names. */
import type { ObjectStore } from './object-store.ts';
import type { ApiObject } from './objects.ts';

export interface ResourceKind {
  /** Its name in the `ObjectStore`: the plural, for custom resources with the group. */
  readonly resource: string;
  readonly plural: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Whether its status is written through `/status` only. */
  readonly hasStatus: boolean;
}

type Scope = 'namespaced' | 'cluster';

/** Group and version, then kinds with their plural; `+` marks a status of its own. Without a controller unless one is said. */
const BUILT_IN: readonly (readonly [apiVersion: string, scope: Scope, kinds: Readonly<Record<string, string>>])[] = [
  ['v1', 'cluster', { nodes: 'Node+', namespaces: 'Namespace', persistentvolumes: 'PersistentVolume+' }],
  [
    'v1',
    'namespaced',
    {
      pods: 'Pod+',
      events: 'Event',
      services: 'Service',
      configmaps: 'ConfigMap',
      secrets: 'Secret',
      serviceaccounts: 'ServiceAccount',
      persistentvolumeclaims: 'PersistentVolumeClaim+',
    },
  ],
  ['events.k8s.io/v1', 'namespaced', { events: 'Event' }],
  ['batch/v1', 'namespaced', { jobs: 'Job+' }],
  [
    'apps/v1',
    'namespaced',
    { deployments: 'Deployment+', replicasets: 'ReplicaSet+', statefulsets: 'StatefulSet+', daemonsets: 'DaemonSet+' },
  ],
  ['coordination.k8s.io/v1', 'namespaced', { leases: 'Lease' }],
  ['policy/v1', 'namespaced', { poddisruptionbudgets: 'PodDisruptionBudget+' }],
  ['scheduling.k8s.io/v1', 'cluster', { priorityclasses: 'PriorityClass' }],
  ['storage.k8s.io/v1', 'cluster', { storageclasses: 'StorageClass' }],
  ['apiextensions.k8s.io/v1', 'cluster', { customresourcedefinitions: 'CustomResourceDefinition' }],
  [
    'admissionregistration.k8s.io/v1',
    'cluster',
    {
      mutatingadmissionpolicies: 'MutatingAdmissionPolicy',
      mutatingadmissionpolicybindings: 'MutatingAdmissionPolicyBinding',
    },
  ],
  // Kept, so that manifests can be applied, and without effect: nobody is refused and nobody waits.
  [
    'rbac.authorization.k8s.io/v1',
    'cluster',
    { clusterroles: 'ClusterRole', clusterrolebindings: 'ClusterRoleBinding' },
  ],
  ['rbac.authorization.k8s.io/v1', 'namespaced', { roles: 'Role', rolebindings: 'RoleBinding' }],
  [
    'flowcontrol.apiserver.k8s.io/v1',
    'cluster',
    { flowschemas: 'FlowSchema', prioritylevelconfigurations: 'PriorityLevelConfiguration' },
  ],
];

const builtIn: readonly ResourceKind[] = BUILT_IN.flatMap(([apiVersion, scope, kinds]) =>
  Object.entries(kinds).map(([plural, kind]) => ({
    resource: plural,
    plural,
    apiVersion,
    kind: kind.replace('+', ''),
    namespaced: scope === 'namespaced',
    hasStatus: kind.endsWith('+'),
  })),
);

/** A kind that is always served. */
export function builtInKind(resource: string): ResourceKind {
  const found = builtIn.find((kind) => kind.resource === resource);
  if (found === undefined) throw new Error(`expected a built-in resource, found ${resource}`);
  return found;
}

/** All kinds served under a group and version (`v1`, `batch/v1`), those of its CRDs included; empty when there is none. */
export function kindsOf(store: ObjectStore, apiVersion: string): readonly ResourceKind[] {
  const own = builtIn.filter((kind) => kind.apiVersion === apiVersion);
  if (own.length > 0) return own;
  return store
    .list('customresourcedefinitions')
    .flatMap(readDefinition)
    .filter((kind) => kind.apiVersion === apiVersion);
}

interface DefinitionSpec {
  readonly group: string;
  readonly scope: string;
  readonly names: { readonly plural: string; readonly kind: string };
  readonly versions: readonly {
    readonly name: string;
    readonly served: boolean;
    readonly subresources?: { readonly status?: object };
  }[];
}

function readDefinition(definition: ApiObject): readonly ResourceKind[] {
  const { group, scope, names, versions } = definition.spec as DefinitionSpec;
  return versions
    .filter(({ served }) => served)
    .map(({ name, subresources }) => ({
      resource: `${names.plural}.${group}`,
      plural: names.plural,
      apiVersion: `${group}/${name}`,
      kind: names.kind,
      namespaced: scope === 'Namespaced',
      hasStatus: subresources?.status !== undefined,
    }));
}
