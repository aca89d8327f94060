/**
 * The cluster of the `recover` benchmark as data: 5,000 GPU nodes and 50,000 pods (times `scale`). Of 1,000 pods 300
 * are agents (DaemonSets, each pod pinned to its node), 180 services, 120 members of running gangs, 13 nominated
 * members with slots to be adopted, 122 waiting members, 65 waiting lone pods and 200 finished pods.
 */
import { nodeNameAt } from './cluster.ts';
import { nodeOf, uidOf, type WireObject } from './wire-objects.ts';
import { type PodProgress, podOf, serviceSpec, trainingSpec, type Workload } from './wire-pods.ts';

export const PODS_PATH = '/api/v1/pods';

/** What `GET /v1/gangs` must report for one gang. */
export interface ExpectedGang {
  readonly state: string;
  readonly have: number;
  readonly bound: number;
  readonly nominated: number;
}

export interface WireCluster {
  /** Objects by list path, sorted by key. */
  readonly objects: ReadonlyMap<string, readonly WireObject[]>;
  /** By `namespace/name`. */
  readonly gangs: ReadonlyMap<string, ExpectedGang>;
}

const RACK_SIZE = 50;
const NAMESPACES = 40;
export const GANG_GATE = 'muster.dev/gang';
export const REFUSAL =
  '0/5000 nodes are available: 5000 Insufficient memory, 4640 Insufficient nvidia.com/gpu. preemption: 0/5000 nodes ' +
  'are available: 5000 No preemption victims found for incoming pod.';

/** Creates the cluster; the same one for the same scale. */
export function wireCluster(scale: number): WireCluster {
  const builder = new Builder();
  const nodes = 5_000 * scale;
  for (const agent of ['node-exporter', 'network-agent', 'log-shipper']) {
    const workload = builder.workload('DaemonSet', agent, 'kube-system', agentSpec(agent));
    for (let i = 0; i < nodes; i++) builder.pod(workload, i, { phase: 'Running', node: nodeNameAt(i) });
  }
  for (let i = 0; i < 300 * scale; i++) {
    const workload = builder.workload(
      'ReplicaSet',
      `service-${i}`,
      teamOf(i),
      serviceSpec(`service-${i}`, `${100 + i}m`),
    );
    for (let k = 0; k < 30; k++)
      builder.pod(workload, k, { phase: 'Running', node: nodeNameAt((i * 31 + k * 157) % nodes) });
  }
  for (let i = 0; i < 500 * scale; i++) {
    const workload = builder.workload('Job', `report-${i}`, teamOf(i), serviceSpec(`report-${i % 60}`, '1'));
    for (let k = 0; k < 20; k++)
      builder.pod(workload, k, { phase: 'Succeeded', node: nodeNameAt((i * 17 + k) % nodes) });
  }
  const [whole, half] = [trainingSpec(8), trainingSpec(4)];
  let node = 0;
  for (let i = 0; i < 125 * scale; i++) {
    builder.gang(`train-${i}`, whole, 16, 16, (k) => ({ phase: 'Running', node: nodeNameAt(node + k) }));
    node += 16;
  }
  for (let i = 0; i < 125 * scale; i++) {
    builder.gang(`tune-${i}`, half, 32, 32, (k) => ({ phase: 'Running', node: nodeNameAt(node + (k >> 1)) }));
    node += 16;
  }
  for (let i = 0; i < 10 * scale; i++) {
    builder.gang(`starting-${i}`, whole, 64, 64, (k) => {
      const nominated = nodeNameAt(node + k);
      return {
        phase: 'Pending',
        nominated,
        annotations: { 'muster.dev/plan': `bench${i}/${nominated}/1` },
        refusal: REFUSAL,
      };
    });
    node += 64;
  }
  // More than the remaining nodes.
  const large = 512 * scale;
  for (let i = 0; i < 8; i++)
    builder.gang(`waiting-${i}`, whole, large, large, () => ({ phase: 'Pending', gates: [GANG_GATE] }));
  for (let i = 0; i < 20 * scale; i++) {
    builder.gang(`gathering-${i}`, whole, 100, 128, () => ({ phase: 'Pending', gates: [GANG_GATE] }));
  }
  for (let i = 0; i < 64 * scale; i++) {
    const workload = builder.workload('ReplicaSet', `pending-${i}`, teamOf(i), serviceSpec(`pending-${i}`, '500'));
    for (let k = 0; k < 51; k++) builder.pod(workload, k, { phase: 'Pending', refusal: REFUSAL });
  }
  for (let i = 0; i < nodes; i++) {
    builder.add('/api/v1/nodes', nodeOf(nodeNameAt(i), `rack-${Math.floor(i / RACK_SIZE)}`, builder.version()));
  }
  for (let i = 0; i < 500 * scale; i++) builder.add('/api/v1/persistentvolumeclaims', builder.claim(i));
  for (let i = 0; i < 5; i++) {
    builder.add('/apis/scheduling.k8s.io/v1/priorityclasses', { ...builder.plain(`class-${i}`), value: i * 1000 });
    builder.add('/apis/storage.k8s.io/v1/storageclasses', {
      ...builder.plain(`storage-${i}`),
      volumeBindingMode: 'WaitForFirstConsumer',
    });
  }
  for (let i = 0; i < 300 * scale; i++) {
    builder.add('/apis/policy/v1/poddisruptionbudgets', {
      ...builder.plain(`service-${i}`, teamOf(i)),
      spec: { maxUnavailable: 1, selector: { matchLabels: { app: `service-${i}` } } },
      status: { disruptionsAllowed: 1, currentHealthy: 30, desiredHealthy: 29, expectedPods: 30 },
    });
  }
  return builder.build();
}

/**
 * Life cycles of short lone pods (created, bound, running, finished, deleted), and status changes of members of running
 * gangs.
 */
export function* podEvents(count: number): Generator<{ readonly type: string; readonly object: WireObject }> {
  const batch: Workload = { ...team('Job', 'burst', 'team-0'), spec: serviceSpec('burst', '1') };
  const gang: Workload = gangWorkload('train-0', trainingSpec(8), 16);
  let version = 10_000_000;
  for (let sent = 0, life = 0; sent < count; life++) {
    const node = nodeNameAt((life * 37) % 4_000);
    const steps: readonly (readonly [type: string, progress: PodProgress])[] = [
      ['ADDED', { phase: 'Pending' }],
      ['MODIFIED', { phase: 'Pending', node }],
      ['MODIFIED', { phase: 'Running', node }],
      ['MODIFIED', { phase: 'Succeeded', node }],
      ['DELETED', { phase: 'Succeeded', node }],
    ];
    for (const [type, progress] of steps) yield { type, object: podOf(batch, life, progress, String(++version)) };
    const member = life % 16;
    const running: PodProgress = { phase: 'Running', node: nodeNameAt(member) };
    yield { type: 'MODIFIED', object: podOf(gang, member, running, String(++version)) };
    sent += steps.length + 1;
  }
}

class Builder {
  readonly #objects = new Map<string, WireObject[]>();
  readonly #gangs = new Map<string, ExpectedGang>();
  #version = 1_000_000;

  version(): string {
    return String(++this.#version);
  }

  add(path: string, object: WireObject): void {
    const list = this.#objects.get(path) ?? [];
    list.push(object);
    this.#objects.set(path, list);
  }

  pod(workload: Workload, index: number, progress: PodProgress): void {
    this.add(PODS_PATH, podOf(workload, index, progress, this.version()));
  }

  workload(kind: Workload['kind'], name: string, namespace: string, spec: Workload['spec']): Workload {
    const workload: Workload = { ...team(kind, name, namespace), spec };
    if (kind === 'Job') this.#job(workload, 20);
    if (kind === 'DaemonSet') this.add('/apis/apps/v1/daemonsets', this.plain(name, namespace));
    return workload;
  }

  gang(
    name: string,
    spec: Workload['spec'],
    have: number,
    want: number,
    progressOf: (member: number) => PodProgress,
  ): void {
    const workload = gangWorkload(name, spec, want);
    this.#job(workload, want);
    const members = Array.from({ length: have }, (_, k) => progressOf(k));
    for (const [k, progress] of members.entries()) this.pod(workload, k, progress);
    const bound = members.filter((member) => member.node !== undefined).length;
    const nominated = members.filter((member) => member.nominated !== undefined).length;
    const waits = have < want ? 'Gathering' : 'Pending';
    const state = bound > 0 ? 'Running' : nominated > 0 ? 'Nominated' : waits;
    this.#gangs.set(`${workload.namespace}/${name}`, { state, have, bound, nominated });
  }

  plain(name: string, namespace?: string): WireObject {
    const uid = uidOf(`${name} ${this.#version}`);
    return { metadata: { name, ...(namespace && { namespace }), uid, resourceVersion: this.version() } };
  }

  claim(index: number): WireObject {
    const { metadata } = this.plain(`data-${index}`, teamOf(index));
    const annotations = { 'pv.kubernetes.io/bind-completed': 'yes' };
    const spec = { accessModes: ['ReadWriteOnce'], storageClassName: 'storage-0', volumeName: `pv-${index}` };
    return { metadata: { ...metadata, annotations }, spec, status: { phase: 'Bound' } };
  }

  build(): WireCluster {
    const keyOf = ({ metadata: { namespace = '', name } }: WireObject) => `${namespace}/${name}`;
    for (const list of this.#objects.values()) list.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    return { objects: this.#objects, gangs: this.#gangs };
  }

  #job(workload: Workload, size: number): void {
    const { namespace, name, labels, spec } = workload;
    const metadata = { name, namespace, uid: uidOf(`${namespace}/${name}`), resourceVersion: this.version(), labels };
    const template = { metadata: { labels }, spec };
    this.add('/apis/batch/v1/jobs', {
      metadata,
      spec: { parallelism: size, completions: size, completionMode: 'Indexed', template },
      status: { startTime: '2026-11-02T08:15:30Z' },
    });
  }
}

function teamOf(index: number): string {
  return `team-${index % NAMESPACES}`;
}

export function team(kind: Workload['kind'], name: string, namespace: string): Omit<Workload, 'spec'> {
  const labels = { app: name, 'app.kubernetes.io/name': name, 'app.kubernetes.io/part-of': namespace, team: namespace };
  return {
    kind,
    name,
    namespace,
    labels,
    annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9090' },
  };
}

export function gangWorkload(name: string, spec: Workload['spec'], want: number): Workload {
  const { labels, ...rest } = team('Job', name, 'research');
  const annotations = { 'muster.dev/min-members': String(want) };
  return { ...rest, labels: { ...labels, 'muster.dev/pod-group': name }, annotations, spec };
}

export function agentSpec(name: string): Workload['spec'] {
  const tolerations = [{ operator: 'Exists' }];
  return serviceSpec(name, '100m', { hostNetwork: true, tolerations, priority: 2_000_001_000 });
}
