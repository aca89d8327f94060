/** The programs of a control plane but kube-scheduler: etcd, kube-apiserver, kube-controller-manager, and KWOK for the nodes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlPlaneBinaries, controlPlaneBinaries } from '../build.ts';
import { ApiClient } from './api-client.ts';
import { type Tokens, writeCredentials, writeKubeconfig } from './credentials.ts';
import { assertRunning, freePorts, type ManagedProcess, startProcess } from './process.ts';
import { waitFor } from './wait.ts';

/** How to start them. It cannot be changed while they run. */
export interface ProgramOptions {
  /** How long a node's lease lasts; KWOK renews it four times as often. Longer means less load from many nodes. */
  readonly nodeLeaseSeconds?: number;
  readonly apiServerArgs?: readonly string[];
  readonly controllerManagerArgs?: readonly string[];
}

/** One of the programs. A test may end it as a crash does, and start it again as it was: with its port and its data. */
export interface Program {
  readonly name: keyof ControlPlaneBinaries;
  readonly pid: number;
  readonly logFile: string;
  /** The exit code or signal, while it does not run. */
  exitStatus(): string | undefined;
  /** Ends it at once (SIGKILL). */
  kill(): Promise<void>;
  /** Starts it again after it ended. Nobody waits until it is ready. */
  start(): void;
}

/** They run, and there is nothing in the cluster yet. */
export interface Programs {
  /** All of them, in the order of their start. */
  readonly all: readonly Program[];
  readonly binaries: ControlPlaneBinaries;
  /** Acts as a member of system:masters. */
  readonly api: ApiClient;
  readonly url: string;
  /** For what would take too long through the API server: tens of thousands of objects. */
  readonly etcdUrl: string;
  readonly caFile: string;
  readonly tokens: Tokens;
  /** Logs and data; removed by `stop`. */
  readonly dir: string;
  kubeconfigOf(name: keyof Tokens): string;
  /** Throws with the last output of those that have ended, if any has. */
  assertRunning(): void;
  /** The last output of each, for an error message. */
  tails(): readonly string[];
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

/** Starts them, in about five seconds. All of them listen on the loopback interface only. */
export async function startPrograms(options: ProgramOptions = {}): Promise<Programs> {
  const binaries = controlPlaneBinaries();
  const dir = mkdtempSync(join(tmpdir(), 'muster-e2e-'));
  const removeDir = () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  process.once('exit', removeDir);
  const all: Restartable[] = [];
  const start = (name: keyof typeof binaries, args: readonly string[]): Restartable => {
    const options = { name, logFile: join(dir, `${name}.log`), cwd: dir };
    const started = new Restartable(name, () => startProcess(binaries[name], args, options));
    all.push(started);
    return started;
  };

  // 1. etcd and the API server, together: the latter retries until the former answers.
  const { tokens, tokenFile, serviceAccountKeyFile } = writeCredentials(dir);
  const [etcdPort, peerPort, apiPort] = (await freePorts(3)) as [number, number, number];
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
  let api: ApiClient | undefined;
  const tails = () => {
    const ended = all.filter((p) => p.exitStatus() !== undefined);
    return (ended.length > 0 ? ended : all).map((p) => `--- ${p.name}\n${p.process.tail()}`);
  };
  const stop = async (): Promise<void> => {
    await api?.close();
    // Nothing has to be saved, so nobody is asked to end in good order.
    await Promise.all(all.map((program) => program.kill()));
    process.removeListener('exit', removeDir);
    removeDir();
  };

  try {
    api = await connect(url, caFile, tokens.admin, apiServer.process);
  } catch (error) {
    const logs = tails();
    await stop();
    throw new Error(['expected the control plane to start', ...logs].join('\n'), { cause: error });
  }

  // 2. What works with the API server.
  start('kwok', [
    `--kubeconfig=${kubeconfigOf('admin')}`,
    `--config=${join(import.meta.dirname, 'kwok-stages.yaml')}`,
    '--manage-all-nodes',
    `--node-lease-duration-seconds=${options.nodeLeaseSeconds ?? 40}`,
  ]);
  start('kube-controller-manager', [
    `--kubeconfig=${kubeconfigOf('admin')}`,
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
  return {
    all,
    binaries,
    api,
    url,
    etcdUrl: `http://127.0.0.1:${etcdPort}`,
    caFile,
    tokens,
    dir,
    kubeconfigOf,
    assertRunning: () => {
      for (const { process } of all) assertRunning(process);
    },
    tails,
    stop,
  };
}

class Restartable implements Program {
  readonly name: keyof ControlPlaneBinaries;
  readonly #begin: () => ManagedProcess;
  #process: ManagedProcess;

  constructor(name: keyof ControlPlaneBinaries, begin: () => ManagedProcess) {
    this.name = name;
    this.#begin = begin;
    this.#process = begin();
  }

  /** The one of now. */
  get process(): ManagedProcess {
    return this.#process;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get logFile(): string {
    return this.#process.logFile;
  }

  exitStatus(): string | undefined {
    return this.#process.exitStatus();
  }

  kill(): Promise<void> {
    return this.#process.stop('SIGKILL');
  }

  start(): void {
    if (this.exitStatus() === undefined)
      throw new Error(`expected ${this.name} to have ended before it is started again`);
    this.#process = this.#begin();
  }
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
