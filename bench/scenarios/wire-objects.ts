/** Nodes as an API server sends them, including what Muster ignores: images, annotations, `managedFields`. */
import { RACK } from './cluster.ts';

/** Any object on the wire. */
export interface WireObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export const TIME = '2026-11-02T08:15:30Z';

/** A UID in the usual format, the same in every run. */
export function uidOf(seed: string): string {
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  for (let i = 0; i < seed.length; i++) {
    a = Math.imul(a ^ seed.charCodeAt(i), 0x01000193) >>> 0;
    b = (Math.imul(b, 31) + a) >>> 0;
  }
  const hex = (a.toString(16).padStart(8, '0') + b.toString(16).padStart(8, '0')).repeat(2);
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20)].join('-');
}

/** Fields that identify the entries of a list; lists without one are owned as a whole. */
const LIST_KEYS = ['name', 'type', 'ip', 'uid'];
const WHOLE = new Set(['containerStatuses', 'ownerReferences', 'args', 'command', 'images']);

/** The fields of an object in the notation of `managedFields`. */
function fieldsOf(value: unknown): object {
  if (Array.isArray(value)) {
    const keyed = value.flatMap((entry) => {
      const key = LIST_KEYS.find((field) => entry?.[field]);
      return key ? [[`k:${JSON.stringify({ [key]: entry[key] })}`, { '.': {}, ...fieldsOf(entry) }] as const] : [];
    });
    return keyed.length > 0 ? { '.': {}, ...Object.fromEntries(keyed) } : {};
  }
  if (typeof value !== 'object' || value === null) return {};
  const entries = Object.entries(value).map(([field, child]) => [
    `f:${field}`,
    WHOLE.has(field) ? {} : fieldsOf(child),
  ]);
  return Object.fromEntries(entries);
}

/** One entry of `managedFields`. */
export function managed(manager: string, fields: object, subresource?: string): object {
  const entry = { manager, operation: 'Update', apiVersion: 'v1', time: TIME, fieldsType: 'FieldsV1' };
  return { ...entry, fieldsV1: fieldsOf(fields), ...(subresource && { subresource }) };
}

/** A node of 8 GPUs as described by kubelet, device plugin and feature discovery. */
export function nodeOf(name: string, rack: string, resourceVersion: string): WireObject {
  const labels = {
    [RACK]: rack,
    'beta.kubernetes.io/arch': 'amd64',
    'beta.kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'amd64',
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'node.kubernetes.io/instance-type': 'gpu-h100-8x',
    'topology.kubernetes.io/region': 'eu-central-1',
    'topology.kubernetes.io/zone': `eu-central-1${'abc'[Number(rack.at(-1)) % 3]}`,
    'nvidia.com/cuda.driver-version.full': '580.95.05',
    'nvidia.com/cuda.runtime-version.full': '13.0',
    'nvidia.com/gpu.compute.major': '9',
    'nvidia.com/gpu.count': '8',
    'nvidia.com/gpu.family': 'hopper',
    'nvidia.com/gpu.machine': 'HGX-H100',
    'nvidia.com/gpu.memory': '81559',
    'nvidia.com/gpu.present': 'true',
    'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3',
    'nvidia.com/mig.capable': 'true',
    ...Object.fromEntries(
      ['AVX512BW', 'AVX512F', 'AMXTILE', 'SHA', 'VAES'].map((flag) => [
        `feature.node.kubernetes.io/cpu-${flag}`,
        'true',
      ]),
    ),
  };
  const annotations = {
    'csi.volume.kubernetes.io/nodeid': `{"disk.csi.example.com":"${uidOf(name)}"}`,
    'node.alpha.kubernetes.io/ttl': '30',
    'projectcalico.org/IPv4Address': '10.0.3.7/20',
    'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
  };
  const amounts = (cpu: string, memory: string) => {
    const huge = { 'hugepages-1Gi': '0', 'hugepages-2Mi': '0' };
    return {
      cpu,
      'ephemeral-storage': '3573221Mi',
      ...huge,
      memory,
      'nvidia.com/gpu': '8',
      pods: '110',
      'rdma/ib': '8',
    };
  };
  const conditions = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((type) => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    lastHeartbeatTime: TIME,
    lastTransitionTime: TIME,
    reason: type === 'Ready' ? 'KubeletReady' : `KubeletHasNo${type}`,
    message: type === 'Ready' ? 'kubelet is posting ready status' : `kubelet has no ${type}`,
  }));
  const status = {
    capacity: amounts('192', '2113405212Ki'),
    allocatable: amounts('191450m', '2101379356Ki'),
    conditions,
    addresses: [
      { type: 'InternalIP', address: '10.0.3.7' },
      { type: 'Hostname', address: name },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    nodeInfo: {
      machineID: uidOf(`machine ${name}`).replaceAll('-', ''),
      systemUUID: uidOf(`system ${name}`),
      bootID: uidOf(`boot ${name}`),
      kernelVersion: '6.8.0-1024-gpu',
      osImage: 'Ubuntu 24.04.3 LTS',
      containerRuntimeVersion: 'containerd://2.1.4',
      kubeletVersion: 'v1.37.2',
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: 'amd64',
    },
    images: Array.from({ length: 20 }, (_, i) => {
      const image = `registry.example.com/ml/image-${i}`;
      const digest = uidOf(`${image}`).replaceAll('-', '').repeat(2);
      return { names: [`${image}@sha256:${digest}`, `${image}:25.${i}-py3`], sizeBytes: 1_000_000_000 + i };
    }),
  };
  return {
    metadata: {
      name,
      uid: uidOf(name),
      resourceVersion,
      creationTimestamp: TIME,
      labels,
      annotations,
      managedFields: [
        managed('kubelet', { metadata: { labels, annotations } }),
        managed('kubelet', { status: { ...status, images: {}, nodeInfo: {} } }, 'status'),
      ],
    },
    spec: {
      podCIDR: '10.3.7.0/24',
      podCIDRs: ['10.3.7.0/24'],
      providerID: `example:///${uidOf(name)}`,
      taints: [{ key: 'nvidia.com/gpu', value: 'present', effect: 'NoSchedule' }],
    },
    status,
  };
}
