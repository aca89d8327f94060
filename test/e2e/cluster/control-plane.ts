import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlPlaneBinaries } from '../build.ts';
import { ApiClient } from './api-client.ts';
import { type Tokens, writeCredentials, writeKubeconfig } from './credentials.ts';
import { applyManifests, deployDir } from './manifests.ts';
import { addNodes, type NodeOptions, setNodeReady } from './nodes.ts';
import { assertRunning, freePorts, type ManagedProcess, startProcess } from './process.ts';
import { type ResetOptions, resetCluster } from './reset.ts';
import { type ClusterScheduler, Scheduler, type SchedulerOptions } from './scheduler.ts';
import { waitFor } from './wait.ts';

/** What a cluster consists of. */
export interface ControlPlaneOptions {
  /** By default kube-scheduler runs with the shipped default configuration and expects Muster at `musterPort`. */
  readonly scheduler?: SchedulerOptions;
  /** Whether deploy/admission-policy.yaml is installed. */
  readonly admissionPolicy?: boolean;
  /** How long a node's lease lasts; KWOK renews it four times as often. Longer means less load from many nodes. */
  readonly nodeLeaseSeconds?: number;
  readonly apiServerArgs?: readonly string[];
  readonly controllerManagerArgs?: readonly string[];
}

/** A running cluster: the real control plane with nodes played by KWOK, or the embedded one (`embedded.ts`). */
export interface Cluster {
  /** Acts as a member of system:masters. */
  readonly api: ApiClient;
  readonly url: string;
  /** Undefined where the API server speaks plain http. */
  readonly caFile: string | undefined;
  readonly tokens: Tokens;
  /** For the tests' own tools (admin). */
  readonly kubeconfig: string;
  /** Muster's: its service account, with the rights of deploy/rbac.yaml. */
  readonly musterKubeconfig: string;
  /** A free port at which kube-scheduler expects Muster unless told otherwise. */
  readonly musterPort: number;
  readonly scheduler: ClusterScheduler;
  /** Logs and data; removed by `stop`. */
  readonly dir: string;
  /** Adds Ready nodes of one kind and waits until they are managed by their kubelet; returns their names. */
  addNodes(options?: NodeOptions): Promise<readonly string[]>;
  /** Takes a node down (its pods stay, as on a machine that lost its network) or brings it back. */
  setNodeReady(name: string, ready: boolean): Promise<void>;
  /** Applies a manifest file or all of a folder; relative paths start at deploy/. */
  applyManifests(path: string): Promise<void>;
  /** Ends a process with the cluster, unless it has ended before. */
  adopt(process: ManagedProcess): void;
  /** Removes all nodes (unless they are kept), workloads and volumes; what came with the cluster stays. */
  reset(options?: ResetOptions): Promise<void>;
  stop(): Promise<void>;
}

// The controllers that the tests need; the rest would only cost CPU time.
const controllers = [
  'daemonset-controller',
  'deployment-controller',
  'disruption-controller',
  'ephemeral-volume-controller',
  'garbage-collector-controller',
  'job-controller',
  'namespace-controller',
  'node-lifecycle-controller',
  'persistentvolume-binder-controller',
  'persistentvolumeclaim-protection-controller',
  'pod-garbage-collector-controller',
  'replicaset-controller',
  'serviceaccount-controller',
  'statefulset-controller',
  'taint-eviction-controller',
  'ttl-after-finished-controller',
];

/** Starts a cluster, in about five seconds. All of it listens on the loopback interface only. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<Cluster> {
  const binaries = controlPlaneBinaries();
  const dir = mkdtempSync(join(tmpdir(), 'muster-e2e-'));
  const removeDir = () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  process.once('exit', removeDir);
  const processes: ManagedProcess[] = [];
  const start = (name: keyof typeof binaries, args: readonly string[]): ManagedProcess => {
    const started = startProcess(binaries[name], args, { name, logFile: join(dir, `${name}.log`), cwd: dir });
    processes.push(started);
    return started;
  };

  // 1. etcd and the API server, together: the latter retries until the former answers.
  const { tokens, tokenFile, serviceAccountKeyFile } = writeCredentials(dir);
  const [etcdPort, peerPort, apiPort, musterPort] = (await freePorts(4)) as [number, number, number, number];
  start('etcd', etcdArgs(dir, etcdPort, peerPort));
  const apiServer = start('kube-apiserver', [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${apiPort}`,
    `--cert-dir=${join(dir, 'certificates')}`,
    `--token-auth-file=${tokenFile}`,
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${serviceAccountKeyFile}`,
    `--service-account-signing-key-file=${serviceAccountKeyFile}`,
    '--service-cluster-ip-range=10.0.0.0/16',
    // Nothing here has an address that pods could reach; the reconciler refuses the loopback interface.
    '--endpoint-reconciler-type=none',
    '--advertise-address=127.0.0.1',
    // Pods need no token, as no container runs; and the taint that each new node gets would have to be taken away again.
    '--disable-admission-plugins=ServiceAccount,TaintNodesByCondition',
    '--delete-collection-workers=16',
    '--max-requests-inflight=3000',
    '--max-mutating-requests-inflight=1500',
    '--profiling=false',
    ...(options.apiServerArgs ?? []),
  ]);

  const url = `https://127.0.0.1:${apiPort}`;
  // The API server writes its self-signed certificate together with the authority that signed it.
  const caFile = join(dir, 'certificates', 'apiserver.crt');
  const kubeconfigOf = (name: keyof Tokens) =>
    writeKubeconfig(join(dir, `${name}.kubeconfig`), { url, caFile, token: tokens[name] });
  const kubeconfig = kubeconfigOf('admin');
  const scheduler = new Scheduler(binaries['kube-scheduler'], dir, kubeconfigOf('scheduler'), {
    extenderUrl: `http://127.0.0.1:${musterPort}`,
    ...options.scheduler,
  });
  let api: ApiClient | undefined;

  const stop = async (): Promise<void> => {
    await scheduler.stop('SIGKILL');
    await api?.close();
    // Nothing has to be saved, so nobody is asked to end in good order.
    await Promise.all(processes.map(({ stop: end }) => end('SIGKILL')));
    process.removeListener('exit', removeDir);
    removeDir();
  };

  try {
    api = await connect(url, caFile, tokens.admin, apiServer);

    // 2. Everything else at once.
    start('kwok', [
      `--kubeconfig=${kubeconfig}`,
      `--config=${join(import.meta.dirname, 'kwok-stages.yaml')}`,
      '--manage-all-nodes',
      `--node-lease-duration-seconds=${options.nodeLeaseSeconds ?? 40}`,
    ]);
    start('kube-controller-manager', [
      `--kubeconfig=${kubeconfig}`,
      `--controllers=${controllers.join(',')}`,
      '--leader-elect=false',
      '--secure-port=0',
      '--kube-api-qps=1000',
      '--kube-api-burst=2000',
      '--concurrent-job-syncs=20',
      '--concurrent-gc-syncs=20',
      // By default one node in ten seconds gets the taint that makes its pods leave, and none when many are down.
      '--node-eviction-rate=100',
      '--secondary-node-eviction-rate=100',
      ...(options.controllerManagerArgs ?? []),
    ]);
    await Promise.all([scheduler.start(), installMuster(api, options.admissionPolicy ?? true)]);
    for (const started of processes) assertRunning(started);
  } catch (error) {
    const ended = processes.filter((p) => p.exitStatus() !== undefined);
    const logs = (ended.length > 0 ? ended : processes).map((p) => `--- ${p.name}\n${p.tail()}`);
    await stop();
    throw new Error(['expected the control plane to start', ...logs].join('\n'), { cause: error });
  }

  const client = api;
  return {
    api: client,
    url,
    caFile,
    tokens,
    kubeconfig,
    musterKubeconfig: kubeconfigOf('muster'),
    musterPort,
    scheduler,
    dir,
    addNodes: (nodeOptions) => addNodes(client, nodeOptions),
    setNodeReady: (name, ready) => setNodeReady(client, name, ready),
    applyManifests: (path) => applyManifests(client, path),
    adopt: (adopted) => void processes.push(adopted),
    reset: (resetOptions) => resetCluster(client, resetOptions),
    stop,
  };
}

function etcdArgs(dir: string, clientPort: number, peerPort: number): readonly string[] {
  const dataDir = join(dir, 'etcd');
  mkdirSync(dataDir, { mode: 0o700 });
  const clientUrl = `http://127.0.0.1:${clientPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  return [
    '--name=e2e',
    `--data-dir=${dataDir}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=e2e=${peerUrl}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

/** Waits for the certificate, then for a ready API server: roles and priority levels exist by then. */
async function connect(url: string, caFile: string, token: string, server: ManagedProcess): Promise<ApiClient> {
  const ca = await waitFor(async () => readFileSync(caFile, 'utf8') || undefined, {
    what: 'the API server to write its certificate',
    check: () => assertRunning(server),
  });
  const api = new ApiClient(url, ca, token);
  await waitFor(async () => (await api.request('GET', '/readyz')) === 'ok', {
    what: 'the API server to be ready',
    deadlineMs: 60_000,
    check: () => assertRunning(server),
  });
  return api;
}

/** Installs what a user installs, from deploy/: rights, fairness, admission. Muster itself is started by tests. */
export async function installMuster(api: ApiClient, admissionPolicy: boolean): Promise<void> {
  for (const file of ['rbac.yaml', 'flowschema.yaml']) await applyManifests(api, join(deployDir, file));
  if (admissionPolicy) await applyManifests(api, join(deployDir, 'admission-policy.yaml'));
}
