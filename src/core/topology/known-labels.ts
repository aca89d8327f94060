/**
 * Known node labels that describe where a node is on the network, by provider and tool. A family is one source's
 * description of the network; its variants are the generations and shapes of that source. Levels have canonical
 * names, so that a request means the same on every provider.
 *
 * Sources: NVIDIA/topograph docs/reference/node-labels.md; NVIDIA/k8s-device-plugin (GPU feature discovery); AWS EKS
 * node topology labels and HyperPod; GKE compact placement labels; OCI OKE RDMA and host labels; CoreWeave and Crusoe
 * node labels.
 */

/**
 * All canonical levels, outer → inner, without the hosts themselves. Tiers above the core are numbered from the leaf.
 */
export const LEVEL_ORDER: readonly string[] = [
  'region',
  'zone',
  'tier-7',
  'tier-6',
  'tier-5',
  'tier-4',
  'tier-3',
  'core',
  'spine',
  'leaf',
  'rack',
  'nvlink',
  'nvlink-part',
];

/**
 * The levels of which a gang may have domains for itself unless the operator says otherwise: the rack and what is inside
 * it. A gang that has a larger domain for itself keeps too much from others.
 */
export const EXCLUSIVE_LEVELS: readonly string[] = [...LEVEL_ORDER.slice(LEVEL_ORDER.indexOf('rack')), 'host'];

/** One shape of a family's labels. */
export interface LabelVariant {
  /** The variant applies to a node that carries one of these keys. */
  readonly marks: readonly string[];
  /** Label key by level. */
  readonly keys: ReadonlyMap<string, string>;
}

export interface LabelFamily {
  readonly name: string;
  /** The first variant that applies to a node is used for it. */
  readonly variants: readonly LabelVariant[];
}

/** A label that carries one level, whichever family the rest of the tree is read from. */
export interface LevelLabel {
  readonly level: string;
  readonly key: string;
  /** Who writes it. */
  readonly source: string;
}

function variant(keys: Readonly<Record<string, string>>, marks: readonly string[] = Object.values(keys)): LabelVariant {
  return { marks, keys: new Map(Object.entries(keys)) };
}

/** Outside every fabric. */
export const OUTER_LABELS: readonly LevelLabel[] = [
  { level: 'region', key: 'topology.kubernetes.io/region', source: 'Kubernetes' },
  { level: 'zone', key: 'topology.kubernetes.io/zone', source: 'Kubernetes' },
];

const AWS_LAYER = 'topology.k8s.aws/network-node-layer-';
const TOPOGRAPH_TIER = 'fabric.topograph.run/tier-';
const TOPOGRAPH_V0 = 'network.topology.nvidia.com/';
const OCI = 'oci.oraclecloud.com/';

/** In the order of preference among families that the same number of nodes carry. */
export const FABRIC_FAMILIES: readonly LabelFamily[] = [
  {
    name: 'topograph',
    variants: [
      variant({
        'tier-7': `${TOPOGRAPH_TIER}7`,
        'tier-6': `${TOPOGRAPH_TIER}6`,
        'tier-5': `${TOPOGRAPH_TIER}5`,
        'tier-4': `${TOPOGRAPH_TIER}4`,
        'tier-3': `${TOPOGRAPH_TIER}3`,
        core: `${TOPOGRAPH_TIER}2`,
        spine: `${TOPOGRAPH_TIER}1`,
        leaf: `${TOPOGRAPH_TIER}0`,
      }),
      // v0.2 to v0.5. v0.1 has the same key for the spine, which therefore distinguishes nothing.
      variant({ core: `${TOPOGRAPH_V0}core`, spine: `${TOPOGRAPH_V0}spine`, leaf: `${TOPOGRAPH_V0}leaf` }, [
        `${TOPOGRAPH_V0}leaf`,
        `${TOPOGRAPH_V0}core`,
      ]),
      variant({ core: `${TOPOGRAPH_V0}datacenter`, spine: `${TOPOGRAPH_V0}spine`, leaf: `${TOPOGRAPH_V0}block` }),
    ],
  },
  {
    // Layers count from the top, and newer instance types have four of them; the leaf is the last layer.
    name: 'AWS',
    variants: [
      variant({ 'tier-3': `${AWS_LAYER}1`, core: `${AWS_LAYER}2`, spine: `${AWS_LAYER}3`, leaf: `${AWS_LAYER}4` }, [
        `${AWS_LAYER}4`,
      ]),
      variant({ core: `${AWS_LAYER}1`, spine: `${AWS_LAYER}2`, leaf: `${AWS_LAYER}3` }),
    ],
  },
  {
    name: 'GKE',
    variants: [
      variant({ spine: 'cloud.google.com/gce-topology-block', leaf: 'cloud.google.com/gce-topology-subblock' }),
      variant({ spine: 'topology.gke.io/cluster', leaf: 'topology.gke.io/rack' }),
    ],
  },
  {
    name: 'OCI',
    variants: [
      variant({
        core: `${OCI}rdma.hpc_island_id`,
        spine: `${OCI}rdma.network_block_id`,
        leaf: `${OCI}rdma.local_block_id`,
      }),
    ],
  },
  {
    name: 'CoreWeave',
    variants: [
      variant({
        core: 'backend.coreweave.cloud/fabric',
        spine: 'backend.coreweave.cloud/superpod',
        leaf: 'backend.coreweave.cloud/leafgroup',
        rack: 'node.coreweave.cloud/rack',
      }),
      variant({
        core: 'ib.coreweave.cloud/fabric',
        spine: 'ib.coreweave.cloud/superpod',
        leaf: 'ib.coreweave.cloud/leafgroup',
        rack: 'node.coreweave.cloud/rack',
      }),
    ],
  },
  {
    name: 'Crusoe',
    variants: [variant({ spine: 'crusoe.ai/ib.partition.id', leaf: 'crusoe.ai/pod.id' })],
  },
];

export const GPU_CLIQUE = 'nvidia.com/gpu.clique';
/** Topograph's NVLink domain. On AWS it is something else, see `lint.ts`. */
export const TOPOGRAPH_ACCELERATOR_KEYS: readonly [string, string] = [
  'accelerator.topograph.run/domain',
  `${TOPOGRAPH_V0}accelerator`,
];
export const AWS_CAPACITY_BLOCK = 'topology.k8s.aws/capacity-block-id';

/**
 * Domains of GPUs that are linked across nodes (NVLink), inside every fabric. Among labels of one level that the same
 * number of nodes carry, the first is preferred: what is read from the hardware comes first.
 */
export const ACCELERATOR_LABELS: readonly LevelLabel[] = [
  { level: 'nvlink', key: GPU_CLIQUE, source: 'GPU feature discovery' },
  { level: 'nvlink', key: 'topology.k8s.aws/ultraserver-id', source: 'AWS' },
  { level: 'nvlink', key: `${OCI}host.gpu_memory_fabric_id`, source: 'OCI' },
  { level: 'nvlink', key: 'ds.coreweave.com/nvlink.domain', source: 'CoreWeave' },
  { level: 'nvlink', key: TOPOGRAPH_ACCELERATOR_KEYS[0], source: 'topograph' },
  { level: 'nvlink', key: TOPOGRAPH_ACCELERATOR_KEYS[1], source: 'topograph' },
  { level: 'nvlink-part', key: 'accelerator.topograph.run/sub-domain', source: 'topograph' },
];
