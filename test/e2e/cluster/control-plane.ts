import { join } from 'node:path';
import type { ApiClient } from './api-client.ts';
import type { Tokens } from './credentials.ts';
import { applyManifests, deployDir, removeManifests } from './manifests.ts';
import { addNodes, type NodeOptions, setNodeReady } from './nodes.ts';
import { freePorts, type ManagedProcess } from './process.ts';
import { type ProgramOptions, type Programs, startPrograms } from './programs.ts';
import { type ResetOptions, resetCluster } from './reset.ts';
import { type ClusterScheduler, Scheduler, type SchedulerOptions } from './scheduler.ts';

/** What a cluster consists of. */
export interface ControlPlaneOptions extends ProgramOptions {
  /** By default kube-scheduler runs with the shipped default configuration and expects Muster at `musterPort`. */
  readonly scheduler?: SchedulerOptions;
  /** Whether deploy/admission-policy.yaml is installed. */
  readonly admissionPolicy?: boolean;
  /** Whether deploy/record-policies.yaml is installed; by default it is. */
  readonly recordPolicies?: boolean;
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

/** Starts a cluster, in about seven seconds. All of it listens on the loopback interface only. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<Cluster> {
  const programs = await startPrograms(options);
  return openCluster(programs, options, { policies: undefined, close: () => programs.stop() });
}

/** Whether each file of policies is installed. */
export type InstalledPolicies = Required<Pick<ControlPlaneOptions, 'admissionPolicy' | 'recordPolicies'>>;

/** All of them, unless the options say otherwise. */
export function policiesOf({ admissionPolicy = true, recordPolicies = true }: ControlPlaneOptions): InstalledPolicies {
  return { admissionPolicy, recordPolicies };
}

/** What becomes of the programs when the cluster is done with, and in which state it finds them. */
export interface Tenancy {
  /** Which policies are in force; undefined: nothing of Muster is installed yet. */
  readonly policies: InstalledPolicies | undefined;
  /** Called when all that was started for the cluster has ended. */
  close(): Promise<void>;
}

/** Makes running programs a cluster: starts kube-scheduler, and installs what is missing. Closes the tenancy if that fails. */
export async function openCluster(
  programs: Programs,
  options: ControlPlaneOptions,
  tenancy: Tenancy,
): Promise<Cluster> {
  const { api, url, caFile, tokens, dir, kubeconfigOf } = programs;
  const [musterPort] = (await freePorts(1)) as [number];
  const scheduler = new Scheduler(programs.binaries['kube-scheduler'], dir, kubeconfigOf('scheduler'), {
    extenderUrl: `http://127.0.0.1:${musterPort}`,
    ...options.scheduler,
  });
  const adopted: ManagedProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all([scheduler.stop('SIGKILL'), ...adopted.map(({ stop: end }) => end('SIGKILL'))]);
    await tenancy.close();
  };
  try {
    await Promise.all([scheduler.start(), changePolicies(api, tenancy.policies, policiesOf(options))]);
    programs.assertRunning();
  } catch (error) {
    const logs = programs.tails();
    await stop();
    throw new Error(['expected the control plane to start', ...logs].join('\n'), { cause: error });
  }
  return {
    api,
    url,
    caFile,
    tokens,
    kubeconfig: kubeconfigOf('admin'),
    musterKubeconfig: kubeconfigOf('muster'),
    musterPort,
    scheduler,
    dir,
    addNodes: (nodeOptions) => addNodes(api, nodeOptions),
    setNodeReady: (name, ready) => setNodeReady(api, name, ready),
    applyManifests: (path) => applyManifests(api, path),
    adopt: (process) => void adopted.push(process),
    reset: (resetOptions) => resetCluster(api, resetOptions),
    stop,
  };
}

const policyFiles = {
  admissionPolicy: join(deployDir, 'admission-policy.yaml'),
  recordPolicies: join(deployDir, 'record-policies.yaml'),
} as const;

async function changePolicies(
  api: ApiClient,
  was: InstalledPolicies | undefined,
  is: InstalledPolicies,
): Promise<void> {
  if (was === undefined) {
    await installMuster(api, is);
    return;
  }
  for (const name of Object.keys(policyFiles) as (keyof InstalledPolicies)[]) {
    if (was[name] && !is[name]) await removeManifests(api, policyFiles[name]);
    else if (!was[name] && is[name]) await applyManifests(api, policyFiles[name]);
  }
}

/** Installs what a user installs, from deploy/: rights, fairness, admission. Muster itself is started by tests. */
export async function installMuster(api: ApiClient, policies: InstalledPolicies): Promise<void> {
  for (const file of ['rbac.yaml', 'flowschema.yaml']) await applyManifests(api, join(deployDir, file));
  for (const name of Object.keys(policyFiles) as (keyof InstalledPolicies)[]) {
    if (policies[name]) await applyManifests(api, policyFiles[name]);
  }
}
