/**
 * A cluster too large to keep: per kind of object a few samples, and the texts in which each of thousands of copies
 * differs (`stencil.ts`). The objects are those of `recover`, with numbers of equal length in their names.
 */
import { nodeNameAt } from '../scenarios/cluster.ts';
import { agentSpec, GANG_GATE, gangWorkload, PODS_PATH, REFUSAL, team } from '../scenarios/wire-cluster.ts';
import { nodeOf, uidOf, type WireObject } from '../scenarios/wire-objects.ts';
import { type PodProgress, podOf, serviceSpec, trainingSpec, type Workload } from '../scenarios/wire-pods.ts';
import { MEMBERS, mixOf, REPLICAS, type Size } from './sizes.ts';

/** An object, and the texts in it that each copy replaces. */
export interface Sample {
  readonly object: WireObject;
  readonly holes: readonly string[];
}

/** Many objects of one kind that are alike. */
export interface Batch {
  readonly path: string;
  readonly samples: readonly Sample[];
  readonly count: number;
  /** The copy with this index: of which sample, and the values for its holes. */
  at(index: number): readonly [sample: number, values: readonly string[]];
}

export const NODES_PATH = '/api/v1/nodes';
export const JOBS_PATH = '/apis/batch/v1/jobs';
const RACK_SIZE = 50;
const ZONES = 3;
const NAMESPACES = 40;

/** Texts of which no object has any by itself. */
const NUMBER = 'WWWWW';
const NODE = 'NNNNN';
const TEAM = 'team-TT';
const CPU = '777m';
const VERSION = '88888888';
/** As the suffix of a pod, and as its index. */
const SUFFIX = 'zzzzz';
const SUFFIX_INDEX = 36 ** 5 - 1;
const NODE_NAME = nodeNameAt(0).replace(/\d+$/, NODE);

const five = (index: number) => String(index).padStart(5, '0');
const suffixOf = (index: number) => index.toString(36).padStart(5, '0');
const teamOf = (index: number) => `team-${String(index % NAMESPACES).padStart(2, '0')}`;
/** Objects are as old as they come; the versions of events come after them. */
const EVENTS_FROM = 20_000_000;
const versionOf = (index: number) => String(10_000_000 + index);

/** All objects of a cluster, by path; the same for the same size. */
export function listBatches(size: Size): readonly Batch[] {
  const mix = mixOf(size);
  const [whole, half] = [trainingSpec(8), trainingSpec(4)];
  const running = mix.train * 16;
  const first = running + mix.tune * 16;
  const gated: PodProgress = { phase: 'Pending', gates: [GANG_GATE] };
  const { train, tune, starting, waiting, gathering, gatheringWants } = MEMBERS;
  const onNode: PodProgress = { phase: 'Running', node: NODE_NAME };
  const nominated: PodProgress = {
    phase: 'Pending',
    nominated: NODE_NAME,
    annotations: { 'muster.dev/plan': `bench${NUMBER}/${NODE_NAME}/1` },
    refusal: REFUSAL,
  };
  return [
    nodes(size.nodes),
    ...['node-exporter', 'network-agent', 'log-shipper']
      .slice(0, mix.agents)
      .flatMap((name) => agents(name, size.nodes)),
    ...gangs('train', whole, { count: mix.train, have: train, want: train }, onNode, (i, k) => i * 16 + k),
    ...gangs('tune', half, { count: mix.tune, have: tune, want: tune }, onNode, (i, k) => running + i * 16 + (k >> 1)),
    ...gangs(
      'starting',
      whole,
      { count: mix.starting, have: starting, want: starting },
      nominated,
      (i, k) => first + i * starting + k,
    ),
    ...gangs('waiting', whole, { count: mix.waiting, have: waiting, want: waiting }, gated),
    ...gangs('gathering', whole, { count: mix.gathering, have: gathering, want: gatheringWants }, gated),
    ...workloads('ReplicaSet', 'service', mix.services * REPLICAS.service, REPLICAS.service, onNode, size.nodes),
    ...workloads('ReplicaSet', 'pending', mix.pending * REPLICAS.pending, REPLICAS.pending, {
      phase: 'Pending',
      refusal: REFUSAL,
    }),
    ...workloads('Job', 'report', mix.finished, REPLICAS.report, { phase: 'Succeeded', node: NODE_NAME }, size.nodes),
    ...others(mix.services),
  ];
}

/** How many gangs `GET /v1/gangs` must report in each state. */
export function countStates(size: Size): Readonly<Record<string, number>> {
  const { train, tune, starting, waiting, gathering } = mixOf(size);
  return { Running: train + tune, Nominated: starting, Pending: waiting, Gathering: gathering };
}

function nodes(count: number, spec: object = {}): Batch {
  const samples = Array.from({ length: ZONES }, (_, zone) => {
    const node = nodeOf(NODE_NAME, `rack-${NUMBER}${zone}`, VERSION);
    const object = { ...node, spec: { ...(node.spec as object), ...spec } };
    return { object, holes: [NODE, node.metadata.uid, `rack-${NUMBER}${zone}`, VERSION] };
  });
  return {
    path: NODES_PATH,
    samples,
    count,
    at: (index) => {
      const rack = Math.floor(index / RACK_SIZE);
      const name = nodeNameAt(index);
      return [rack % ZONES, [five(index), uidOf(name), `rack-${five(rack)}${rack % ZONES}`, versionOf(index)]];
    },
  };
}

/** The last node, which no gang has, cordoned or not any more: copies are its versions. */
export function nodeChange({ nodes: count }: Size, isCordoned: boolean): Batch {
  const all = nodes(count, isCordoned ? { unschedulable: true } : {});
  return {
    ...all,
    at: (change) => {
      const [sample, values] = all.at(count - 1);
      return [sample, [...values.slice(0, -1), String(EVENTS_FROM + change)]];
    },
  };
}

function agents(name: string, count: number): readonly Batch[] {
  const workload: Workload = { ...team('DaemonSet', name, 'kube-system'), spec: agentSpec(name) };
  const object = podOf(workload, SUFFIX_INDEX, { phase: 'Running', node: NODE_NAME }, VERSION);
  const set: WireObject = {
    metadata: { name, namespace: 'kube-system', uid: uidOf(`kube-system/${name}`), resourceVersion: VERSION },
  };
  return [
    one('/apis/apps/v1/daemonsets', set),
    {
      path: PODS_PATH,
      samples: [{ object, holes: [SUFFIX, object.metadata.uid, NODE, VERSION] }],
      count,
      at: (index) => {
        const uid = uidOf(`kube-system/${name}-${suffixOf(index)}`);
        return [0, [suffixOf(index), uid, five(index), versionOf(index)]];
      },
    },
  ];
}

interface Members {
  readonly count: number;
  readonly have: number;
  readonly want: number;
}

/** @param nodeAt of a gang and a member; left out where members have no node. */
function gangs(
  name: string,
  spec: Workload['spec'],
  { count, have, want }: Members,
  progress: PodProgress,
  nodeAt?: (gang: number, member: number) => number,
): readonly Batch[] {
  const workload = gangWorkload(`${name}-${NUMBER}`, spec, want);
  const owner = uidOf(`${workload.namespace}/${workload.name}`);
  const samples = Array.from({ length: have }, (_, member) => {
    const object = podOf(workload, member, progress, VERSION);
    return { object, holes: [NUMBER, object.metadata.uid, owner, VERSION, ...(nodeAt ? [NODE] : [])] };
  });
  return [
    jobs(workload, count, want, (i) => [five(i)]),
    {
      path: PODS_PATH,
      samples,
      count: count * have,
      at: (index) => {
        const [gang, member] = [Math.floor(index / have), index % have];
        const full = `${workload.namespace}/${name}-${five(gang)}`;
        const values = [five(gang), uidOf(`${full}-${suffixOf(member)}`), uidOf(full), versionOf(index)];
        return [member, nodeAt ? [...values, five(nodeAt(gang, member))] : values];
      },
    },
  ];
}

/** Ordinary pods: services, or Jobs without a gang. @param nodes their number; 0: the pods have none. */
function workloads(
  kind: 'ReplicaSet' | 'Job',
  name: string,
  count: number,
  replicas: number,
  progress: PodProgress,
  nodes = 0,
): readonly Batch[] {
  const spec = serviceSpec(`${name}-${NUMBER}`, CPU);
  const workload: Workload = { ...team(kind, `${name}-${NUMBER}`, TEAM), spec };
  const owner = uidOf(`${TEAM}/${workload.name}`);
  const samples = Array.from({ length: replicas }, (_, replica) => {
    const object = podOf(workload, replica, progress, VERSION);
    const holes = [NUMBER, TEAM, CPU, object.metadata.uid, owner, VERSION];
    return { object, holes: nodes > 0 ? [...holes, NODE] : holes };
  });
  const texts = (i: number) => [five(i), teamOf(i), `${100 + (i % 800)}m`];
  const pods: Batch = {
    path: PODS_PATH,
    samples,
    count,
    at: (index) => {
      const [i, replica] = [Math.floor(index / replicas), index % replicas];
      const full = `${teamOf(i)}/${name}-${five(i)}`;
      const values = [...texts(i), uidOf(`${full}-${suffixOf(replica)}`), uidOf(full), versionOf(index)];
      return [replica, nodes > 0 ? [...values, five((i * 31 + replica * 157) % nodes)] : values];
    },
  };
  if (kind !== 'Job') return [pods];
  return [jobs(workload, Math.ceil(count / replicas), replicas, texts), pods];
}

/** @param texts the values for the number, the team and the request in the workload, as far as it has them. */
function jobs(workload: Workload, count: number, want: number, texts: (index: number) => readonly string[]): Batch {
  const { namespace, name, labels, spec } = workload;
  const uid = uidOf(`${namespace}/${name}`);
  const object: WireObject = {
    metadata: { name, namespace, uid, resourceVersion: VERSION, labels },
    spec: {
      parallelism: want,
      completions: want,
      completionMode: 'Indexed',
      template: { metadata: { labels }, spec },
    },
    status: { startTime: '2026-11-02T08:15:30Z' },
  };
  const holes = [NUMBER, TEAM, CPU].slice(0, texts(0).length);
  return {
    path: JOBS_PATH,
    samples: [{ object, holes: [...holes, uid, VERSION] }],
    count,
    at: (index) => {
      const values = texts(index);
      const full = `${values[1] ?? namespace}/${name.replace(NUMBER, five(index))}`;
      return [0, [...values, uidOf(full), versionOf(index)]];
    },
  };
}

function one(path: string, object: WireObject): Batch {
  return { path, samples: [{ object, holes: [VERSION] }], count: 1, at: () => [0, [versionOf(0)]] };
}

function others(services: number): readonly Batch[] {
  const name = `service-${NUMBER}`;
  const metadata = { name, namespace: TEAM, uid: uidOf(name), resourceVersion: VERSION };
  const numbered = (path: string, object: WireObject, count: number): Batch => ({
    path,
    samples: [{ object, holes: [NUMBER, TEAM, object.metadata.uid, VERSION] }],
    count,
    at: (i) => [0, [five(i), teamOf(i), uidOf(`${path} ${i}`), versionOf(i)]],
  });
  return [
    numbered(
      '/api/v1/persistentvolumeclaims',
      {
        metadata: { ...metadata, annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
        spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'storage', volumeName: `pv-${NUMBER}` },
        status: { phase: 'Bound' },
      },
      services,
    ),
    numbered(
      '/apis/policy/v1/poddisruptionbudgets',
      {
        metadata,
        spec: { maxUnavailable: 1, selector: { matchLabels: { app: name } } },
        status: { disruptionsAllowed: 1, currentHealthy: 30, desiredHealthy: 29, expectedPods: 30 },
      },
      services,
    ),
    one('/apis/storage.k8s.io/v1/storageclasses', {
      metadata: { name: 'storage', uid: uidOf('storage'), resourceVersion: VERSION },
      provisioner: 'disk.csi.example.com',
      volumeBindingMode: 'WaitForFirstConsumer',
    }),
    one('/apis/scheduling.k8s.io/v1/priorityclasses', {
      metadata: { name: 'research', uid: uidOf('research'), resourceVersion: VERSION },
      value: 1_000,
    }),
  ];
}

/** Events of one life. */
const STEPS = 6;

/**
 * The life of a short lone pod, and with it a status change of a member of a running gang: one batch for each event, whose
 * index is that of the life.
 */
export function podLife({ nodes: count }: Size): readonly { readonly type: string; readonly batch: Batch }[] {
  const workload: Workload = { ...team('Job', 'burst', 'team-00'), spec: serviceSpec('burst', '1') };
  const nodeOfLife = (life: number) => five((life * 37) % count);
  const versionAt = (life: number, step: number) => String(EVENTS_FROM + life * STEPS + step);
  const lone = (step: number, progress: PodProgress): Batch => {
    const object = podOf(workload, SUFFIX_INDEX, progress, VERSION);
    const holes = [SUFFIX, object.metadata.uid, VERSION, ...(progress.node === undefined ? [] : [NODE])];
    return {
      path: PODS_PATH,
      samples: [{ object, holes }],
      count: Number.POSITIVE_INFINITY,
      at: (life) => {
        const values = [suffixOf(life), uidOf(`team-00/burst-${suffixOf(life)}`), versionAt(life, step)];
        return [0, progress.node === undefined ? values : [...values, nodeOfLife(life)]];
      },
    };
  };
  const node = NODE_NAME;
  const [, trainPods] = gangs(
    'train',
    trainingSpec(8),
    { count: 1, have: MEMBERS.train, want: MEMBERS.train },
    { phase: 'Running', node },
    (_, member) => member,
  );
  const member: Batch = {
    ...trainPods!,
    at: (life) => {
      const [sample, [number, uid, owner, , on]] = trainPods!.at(life % MEMBERS.train);
      return [sample, [number!, uid!, owner!, versionAt(life, STEPS - 1), on!]];
    },
  };
  return [
    { type: 'ADDED', batch: lone(0, { phase: 'Pending' }) },
    { type: 'MODIFIED', batch: lone(1, { phase: 'Pending', node }) },
    { type: 'MODIFIED', batch: lone(2, { phase: 'Running', node }) },
    { type: 'MODIFIED', batch: lone(3, { phase: 'Succeeded', node }) },
    { type: 'DELETED', batch: lone(4, { phase: 'Succeeded', node }) },
    { type: 'MODIFIED', batch: member },
  ];
}
