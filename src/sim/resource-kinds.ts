/** The resources that the embedded API server serves, and their names. */
import type { ObjectStore } from './object-store.ts';
import type { ApiObject } from './objects.ts';

export interface ResourceKind {
  /** Key in the `ObjectStore`: the plural; for custom resources, plural and group. */
  readonly resource: string;
  readonly plural: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Whether its status can only be written through `/status`. */
  readonly hasStatus: boolean;
}

type Scope = 'namespaced' | 'cluster';

/** Group and version, then kinds by plural; `+` marks a status subresource. Most kinds have no controller. */
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
      limitranges: 'LimitRange',
      persistentvolumeclaims: 'PersistentVolumeClaim+',
    },
  ],
  ['events.k8s.io/v1', 'namespaced', { events: 'Event' }],
  ['batch/v1', 'namespaced', { jobs: 'Job+', cronjobs: 'CronJob+' }],
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
  // Stored so that manifests can be applied, without effect: no request is refused or delayed.
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

/**
 * A kind that is always served.
 * @throws Error for any other resource.
 */
export function builtInKind(resource: string): ResourceKind {
  const found = builtIn.find((kind) => kind.resource === resource);
  if (found === undefined) throw new Error(`expected a built-in resource, found ${resource}`);
  return found;
}

/** All kinds served under a group and version (`v1`, `batch/v1`), those of CRDs included; empty when there are none. */
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
