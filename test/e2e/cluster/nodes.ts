import type { V1Node } from '@kubernetes/client-node';
import type { ApiClient } from './api-client.ts';
import { DEADLINE_MS, waitFor } from './wait.ts';
import { watchUntil } from './watch-until.ts';

/** Nodes of one kind. */
export interface NodeOptions {
  readonly count?: number;
  /** Names are `<prefix>-<number>`, numbered from `first`, with as many digits as keep their order. */
  readonly prefix?: string;
  readonly first?: number;
  readonly gpus?: number;
  readonly cpu?: number | string;
  readonly memory?: string;
  readonly pods?: number;
  /** More resources by name. */
  readonly resources?: Readonly<Record<string, string>>;
  /** Labels, by the node's number (so topology is one expression), in addition to kubernetes.io/hostname. */
  readonly labels?: Readonly<Record<string, string>> | ((index: number) => Readonly<Record<string, string>>);
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly deadlineMs?: number;
}

/** Adds nodes, which are Ready from the start, and waits until KWOK looks after them. */
export async function addNodes(api: ApiClient, options: NodeOptions = {}): Promise<readonly string[]> {
  const { count = 1, first = 0, deadlineMs = DEADLINE_MS } = options;
  const nodes = Array.from({ length: count }, (_, i) => buildNode(first + i, options));
  const names = nodes.map((node) => node.metadata?.name as string);
  const missing = new Set(names);
  // KWOK takes care of a node, and of the pods on it, from the moment that it holds its lease.
  const leased = watchUntil(
    api,
    'leases',
    { namespace: 'kube-node-lease', what: `${count} nodes to be managed by KWOK`, deadlineMs },
    (_, { metadata }) => {
      missing.delete(metadata?.name as string);
      if (missing.size > 0) throw new Error(`${missing.size} of ${count} without a lease, e.g. ${[...missing][0]}`);
      return true;
    },
  );
  await Promise.all([leased, api.createMany('nodes', nodes)]);
  return names;
}

/** Makes KWOK report a node as not Ready, or as Ready again, and waits until it did. */
export async function setNodeReady(api: ApiClient, name: string, ready: boolean): Promise<void> {
  await api.patch('nodes', name, { metadata: { annotations: { 'e2e.muster.dev/down': ready ? null : 'true' } } });
  await waitFor(async () => isReady(await api.get('nodes', name)) === ready, {
    what: `node ${name} to be ${ready ? 'Ready' : 'not Ready'}`,
  });
}

function isReady(node: V1Node): boolean {
  return node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

function buildNode(index: number, options: NodeOptions): V1Node {
  const { prefix = 'node', gpus = 8, cpu = 128, memory = '1Ti', pods = 110, resources, labels, taints } = options;
  const { count = 1, first = 0 } = options;
  const name = `${prefix}-${String(index).padStart(String(first + count - 1).length, '0')}`;
  const capacity = {
    cpu: String(cpu),
    memory,
    pods: String(pods),
    'ephemeral-storage': '1Ti',
    ...(gpus > 0 ? { 'nvidia.com/gpu': String(gpus) } : {}),
    ...resources,
  };
  return {
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': 'amd64',
        // The node lifecycle controller would add these by one more request per node.
        'beta.kubernetes.io/os': 'linux',
        'beta.kubernetes.io/arch': 'amd64',
        ...(typeof labels === 'function' ? labels(index) : labels),
      },
    },
    spec: taints === undefined ? {} : { taints: [...taints] },
    status: {
      capacity,
      allocatable: capacity,
      addresses: [{ type: 'Hostname', address: name }],
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }],
    },
  };
}
