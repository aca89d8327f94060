/**
 * What a tenant may bring who can only create pods and Jobs in one namespace, made as costly for Muster as it gets. Each
 * shape stands for its kind.
 */
import { aRawPod, GPU } from '../../test/support/builders.ts';
import type { Arena } from './arena.ts';
import { NODES, nodeNameAt } from './arena.ts';

export interface Shape {
  readonly name: string;
  /** How many of the 8 GPUs of each node a running pod has; 1 unless given. */
  readonly busyGpus?: number;
  readonly bring: (arena: Arena) => void | Promise<void>;
  /** Calls of kube-scheduler that follow, and again after each change of a node. */
  readonly call?: (arena: Arena) => Promise<void>;
}

interface Member {
  readonly gang: string;
  readonly index: number;
  readonly min: number | string;
  readonly gpus?: number;
  /** Millicores; tells the templates of members apart. */
  readonly cpu?: number;
  readonly priority?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly spec?: object;
  readonly nodeName?: string;
}

function member({ gang, index, min, gpus = 1, cpu = 1_000, spec, annotations, labels, ...rest }: Member): object {
  const gpu = gpus > 0 ? { [GPU]: String(gpus) } : {};
  return aRawPod({
    name: `${gang}-${index}`,
    labels: { 'muster.dev/pod-group': gang, ...labels },
    annotations: { 'muster.dev/min-members': String(min), 'muster.dev/rank': String(index), ...annotations },
    ...rest,
    spec: {
      containers: [{ name: 'main', resources: { requests: { cpu: `${cpu}m`, ...gpu }, limits: gpu } }],
      schedulingGates: rest.nodeName === undefined ? [{ name: 'muster.dev/gang' }] : [],
      ...spec,
    },
  });
}

/** A gang of `size` members; `of` says what tells the i-th from the others. */
function bringGang(
  arena: Arena,
  gang: string,
  size: number,
  of: (index: number) => Partial<Member> = () => ({}),
): void {
  for (let index = 0; index < size; index++) arena.create('Pod', member({ gang, index, min: size, ...of(index) }));
}

/** Pods that come as fast as an API server takes them, 2,500 a second. */
async function bringPods(arena: Arena, pods: readonly object[]): Promise<void> {
  for (const [i, pod] of pods.entries()) {
    arena.create('Pod', pod);
    if (i % 250 === 249) await arena.pass(100);
  }
}

/** @param of what tells the i-th from the others. */
function gangsOfOne(count: number, of: (index: number) => Partial<Member>): readonly object[] {
  return Array.from({ length: count }, (_, i) => member({ gang: `one-${i}`, index: 0, min: 1, ...of(i) }));
}

const required = (terms: readonly object[]) => ({ requiredDuringSchedulingIgnoredDuringExecution: terms });

/** Node affinity of many terms of which none matches. */
const nodeTerms = (count: number) => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: Array.from({ length: count }, (_, i) => ({
          matchExpressions: [{ key: 'example.com/rack', operator: 'In', values: [`no-${i}`] }],
        })),
      },
    },
  },
});

/** Anti-affinity over hosts of many terms of which none matches. */
const hostTerms = (count: number, mark = '') => ({
  affinity: {
    podAntiAffinity: required(
      Array.from({ length: count }, (_, i) => ({
        topologyKey: 'kubernetes.io/hostname',
        labelSelector: { matchLabels: { app: `no-${mark}-${i}` } },
      })),
    ),
  },
});

const spreadConstraints = (count: number, topologyKey: string) => ({
  topologySpreadConstraints: Array.from({ length: count }, (_, i) => ({
    topologyKey,
    maxSkew: 1 + i,
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { app: 'all' } },
  })),
});

export const shapes: readonly Shape[] = [
  {
    name: 'an ordinary gang of 1,000, for comparison',
    bring: (arena) => bringGang(arena, 'honest', 1_000, () => ({ gpus: 7 })),
  },
  {
    name: 'a leader and 7 workers, required: host',
    bring: (arena) => {
      const annotations = { 'muster.dev/topology-required': 'host' };
      bringGang(arena, 'mixed', 8, (i) => ({ annotations, cpu: i === 0 ? 8_000 : 4_000 }));
    },
  },
  {
    name: '16 kinds of members, required: rack, one member too many',
    bring: (arena) => {
      const annotations = { 'muster.dev/topology-required': 'rack' };
      bringGang(arena, 'kinds', 113, (i) => ({ annotations, cpu: 1_000 + (i % 16) }));
    },
  },
  {
    name: '6 kinds in slices of 8, required: block, preferred: rack',
    bring: (arena) => {
      const annotations = {
        'muster.dev/topology-required': 'block',
        'muster.dev/topology-preferred': 'rack',
        'muster.dev/slice-size': '8',
        'muster.dev/slice-required': 'host',
      };
      bringGang(arena, 'sliced', 512, (i) => ({ annotations, cpu: 1_000 + (i % 6) }));
    },
  },
  {
    name: '6 kinds in slices of 7 hosts, most of a block each, that never fit',
    bring: (arena) => {
      const annotations = {
        'muster.dev/topology-required': 'block',
        'muster.dev/slice-size': '7',
        'muster.dev/slice-required': 'host',
      };
      bringGang(arena, 'sliced', 889, (i) => ({ annotations, cpu: 13_000 + (i % 6) * 500 }));
    },
  },
  {
    name: '1,000 different slices in racks',
    bring: (arena) => {
      const annotations = { 'muster.dev/slice-size': '2', 'muster.dev/slice-required': 'rack' };
      bringGang(arena, 'sliced', 2_000, (i) => ({ annotations, cpu: 1_000 + ((i * 7) % 45), gpus: 1 + (i % 7) }));
    },
  },
  {
    name: '1,000 members with 50 spread constraints over racks',
    bring: (arena) => {
      const of = { spec: spreadConstraints(50, 'example.com/rack'), labels: { app: 'all' } };
      bringGang(arena, 'spread', 1_000, () => of);
    },
  },
  {
    name: '1,000 members with 8 spread constraints over hosts, within the bounds',
    bring: (arena) => {
      const of = { spec: spreadConstraints(8, 'kubernetes.io/hostname'), labels: { app: 'all' } };
      bringGang(arena, 'spread', 1_000, () => of);
    },
  },
  {
    name: 'one member with 8,000 node affinity terms',
    bring: (arena) => bringGang(arena, 'terms', 1, () => ({ spec: nodeTerms(8_000) })),
  },
  {
    name: '32 kinds of members with 7 node affinity terms each, within the bounds',
    bring: (arena) => bringGang(arena, 'terms', 64, (i) => ({ spec: nodeTerms(7), cpu: 1_000 + (i % 32) })),
  },
  {
    name: '200 gangs of one with 250 node affinity terms each, within the bounds',
    bring: (arena) =>
      bringPods(
        arena,
        gangsOfOne(200, (i) => ({ cpu: 1_000 + i, spec: nodeTerms(250) })),
      ),
  },
  {
    name: '24 members that fit each rack by the sum, and none by the node',
    bring: (arena) => {
      const annotations = { 'muster.dev/topology-required': 'rack' };
      bringGang(arena, 'odd', 24, (i) => ({ annotations, gpus: i < 16 ? 5 : 4, cpu: 1_000 + (i % 8) }));
    },
  },
  {
    name: 'one member that excludes 20,000 hosts by name',
    bring: (arena) => {
      const values = Array.from({ length: 20_000 }, (_, i) => `no-${i}`);
      const matchExpressions = [{ key: 'kubernetes.io/hostname', operator: 'NotIn', values }];
      const nodeAffinity = {
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] },
      };
      bringGang(arena, 'names', 1, () => ({ spec: { affinity: { nodeAffinity } } }));
    },
  },
  {
    name: 'one member with 8,000 tolerations, tainted nodes',
    bring: (arena) => {
      const tolerations = Array.from({ length: 8_000 }, (_, i) => ({ key: `no-${i}`, operator: 'Exists' }));
      for (let i = 0; i < NODES; i++) {
        arena.update('Node', nodeNameAt(i), (node) => {
          node.spec.taints = [{ key: 'example.com/gpu', effect: 'NoSchedule' }];
        });
      }
      bringGang(arena, 'tolerant', 1, () => ({ spec: { tolerations } }));
    },
  },
  {
    name: '1,000 members with 800 anti-affinity terms over hosts',
    bring: (arena) => bringGang(arena, 'apart', 1_000, () => ({ spec: hostTerms(800), labels: { app: 'mine' } })),
  },
  {
    name: '500 running pods with 800 anti-affinity terms each, and a gang of 1,000',
    bring: (arena) => {
      for (let i = 0; i < 500; i++) {
        const spec = {
          ...hostTerms(800, String(i)),
          containers: [{ name: 'main', resources: { requests: { cpu: '1m' } } }],
        };
        arena.create('Pod', aRawPod({ name: `repeller-${i}`, gpus: 0, nodeName: nodeNameAt(i), spec }));
      }
      bringGang(arena, 'honest', 1_000, (i) => ({ labels: { app: `mine-${i}` } }));
    },
  },
  {
    name: '500 running pods with 200 anti-affinity terms each, within the bounds, and a gang of 1,000',
    bring: (arena) => {
      for (let i = 0; i < 500; i++) {
        const containers = [{ name: 'main', resources: { requests: { cpu: '1m' } } }];
        const spec = { ...hostTerms(200, String(i)), containers };
        arena.create('Pod', aRawPod({ name: `repeller-${i}`, gpus: 0, nodeName: nodeNameAt(i), spec }));
      }
      bringGang(arena, 'honest', 1_000, (i) => ({ labels: { app: `mine-${i}` } }));
    },
  },
  {
    name: 'one member with 8,000 host ports',
    bring: (arena) => {
      const ports = Array.from({ length: 8_000 }, (_, i) => ({ containerPort: 1_024 + i, hostPort: 1_024 + i }));
      bringGang(arena, 'ports', 2, () => ({
        spec: { containers: [{ name: 'main', ports, resources: { requests: { [GPU]: '1' } } }] },
      }));
    },
  },
  {
    name: '2,000 kinds of members in one gang',
    bring: (arena) => bringGang(arena, 'kinds', 2_000, (i) => ({ cpu: 1_000 + i })),
  },
  {
    name: '10,000 gangs of one, nowhere to go',
    bring: (arena) =>
      bringPods(
        arena,
        gangsOfOne(10_000, () => ({ gpus: 8 })),
      ),
  },
  {
    // As after a watch that was interrupted.
    name: '10,000 gangs of one that are seen all at once, nowhere to go',
    bring: (arena) => {
      for (const pod of gangsOfOne(10_000, () => ({ gpus: 8 }))) arena.create('Pod', pod);
    },
  },
  {
    name: '2,000 gangs of one, each of another kind, nowhere to go',
    bring: (arena) =>
      bringPods(
        arena,
        gangsOfOne(2_000, (i) => ({ gpus: 8, cpu: 1_000 + i })),
      ),
  },
  {
    name: '2,000 gangs of one that find room',
    bring: (arena) =>
      bringPods(
        arena,
        gangsOfOne(2_000, (i) => ({ cpu: 1_000 + i })),
      ),
  },
  {
    name: '64 exclusive members that preempt',
    busyGpus: 8,
    bring: (arena) => {
      const annotations = { 'muster.dev/topology-exclusive': 'rack' };
      bringGang(arena, 'exclusive', 64, () => ({ annotations, gpus: 8, priority: 100 }));
    },
  },
  {
    name: 'min-members 999999999 on a running pod',
    bring: (arena) => {
      arena.create('Pod', member({ gang: 'huge', index: 0, min: 1, nodeName: nodeNameAt(0) }));
      arena.update('Pod', 'default/huge-0', ({ metadata }) => {
        metadata.annotations!['muster.dev/min-members'] = '999999999';
      });
    },
  },
  {
    name: 'a Job of parallelism 2147483647',
    bring: (arena) => {
      const labels = { 'muster.dev/pod-group': 'huge' };
      const spec = { parallelism: 2_147_483_647, completions: 2_147_483_647, template: { metadata: { labels } } };
      arena.create('Job', { metadata: { name: 'huge', namespace: 'default' }, spec, status: {} });
      const ownerReferences = [{ kind: 'Job', name: 'huge', uid: 'uid-0', controller: true }];
      const pod = member({ gang: 'huge', index: 0, min: 1 }) as { metadata: { annotations: object } };
      arena.create('Pod', { ...pod, metadata: { ...pod.metadata, annotations: {}, ownerReferences } });
    },
  },
  {
    name: 'a PodGroup of minMember 2147483647 beside a running pod',
    bring: (arena) => {
      const metadata = { name: 'huge', namespace: 'default' };
      arena.create('PodGroup', { metadata, spec: { minMember: 2_147_483_647 }, status: {} });
      const labels = { 'scheduling.x-k8s.io/pod-group': 'huge' };
      arena.create('Pod', aRawPod({ name: 'huge-0', gpus: 1, labels, nodeName: nodeNameAt(0) }));
      arena.create('Pod', aRawPod({ name: 'huge-1', gpus: 1, labels }));
    },
  },
  {
    name: '600 members that contradict each other in 250 KB each',
    bring: (arena) =>
      bringGang(arena, 'loud', 600, (i) => ({
        annotations: { 'muster.dev/topology-required': `${i}-${'x'.repeat(250_000)}` },
      })),
  },
  {
    name: 'a filter call for a lone pod with 8,000 affinity terms of each kind',
    bring: (arena) => {
      const { affinity } = nodeTerms(4_000);
      const spec = { affinity: { ...affinity, ...hostTerms(4_000).affinity } };
      arena.create('Pod', aRawPod({ name: 'lone', gpus: 1, spec }));
    },
    call: (arena) => arena.filter('default/lone'),
  },
  {
    name: 'a filter call with 20,000 node names, for a lone pod',
    bring: (arena) => arena.create('Pod', aRawPod({ name: 'lone', gpus: 1 })),
    call: (arena) => arena.filter('default/lone', 20_000),
  },
  {
    // Below the 1.5 MiB that etcd takes.
    name: 'a filter call with 20,000 node names, for a member of 1.4 MB with 10,000 environment variables',
    bring: (arena) => {
      const env = Array.from({ length: 10_000 }, (_, i) => ({ name: `V${i}`, value: 'x'.repeat(115) }));
      const limits = { [GPU]: '1' };
      const containers = [{ name: 'main', env, resources: { requests: limits, limits } }];
      bringGang(arena, 'big', 1, () => ({ spec: { containers } }));
    },
    call: (arena) => arena.filter('default/big-0', 20_000),
  },
  {
    name: 'a filter call for a lone pod with 10,000 labels and 250 annotations',
    bring: (arena) => {
      const annotations = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`a${i}`, 'x'.repeat(1_000)]));
      const labels = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`l${i}`, 'x'.repeat(63)]));
      arena.create('Pod', aRawPod({ name: 'lone', gpus: 1, annotations, labels }));
    },
    call: (arena) => arena.filter('default/lone'),
  },
];
