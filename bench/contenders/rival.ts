/** A scheduler of others, as far as the benchmark has to know it. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import type { ApiClient } from '../../test/e2e/cluster/api-client.ts';
import type { Cluster } from '../../test/e2e/cluster/control-plane.ts';
import { assertRunning, type ManagedProcess, startProcess } from '../../test/e2e/cluster/process.ts';
import { waitFor } from '../../test/e2e/cluster/wait.ts';
import type { BuiltProgram, ProgramName } from './programs.ts';
import type { GangRequest, Submission } from './submission.ts';

/** What the cluster offers, for those that want it written down as a quota. */
export interface Capacity {
  readonly nodes: number;
  readonly gpusPerNode: number;
}

/** A program that runs for one turn. */
export interface Running {
  stop(): Promise<void>;
}

export interface Rival {
  readonly program: ProgramName;
  /** With its version. */
  readonly title: string;
  /** Whether kube-scheduler runs beside it. */
  readonly beside: boolean;
  /** Files and folders of its CustomResourceDefinitions, inside its module. */
  readonly definitions: readonly string[];
  /** Collections of custom objects that are emptied between turns. */
  readonly collections: readonly string[];
  submissionOf(gang: GangRequest): Submission;
  /** Starts it and waits until it is at work. */
  start(cluster: Cluster, program: BuiltProgram, capacity: Capacity): Promise<Running>;
}

/** Installs the definitions of a rival from its module. */
export async function installDefinitions(cluster: Cluster, rival: Rival, { moduleDir }: BuiltProgram): Promise<void> {
  for (const path of rival.definitions) await cluster.applyManifests(join(moduleDir, path));
}

/** Starts a program and waits until its health check answers. */
export async function startHealthy(
  cluster: Cluster,
  binary: string,
  args: readonly string[],
  options: { readonly healthUrl: string; readonly env?: Readonly<Record<string, string>> },
): Promise<Running> {
  const name = binary.slice(binary.lastIndexOf('/') + 1);
  const program: ManagedProcess = startProcess(binary, args, {
    name,
    logFile: join(cluster.dir, `${name}.log`),
    cwd: cluster.dir,
    env: { ...process.env, ...options.env },
  });
  cluster.adopt(program);
  try {
    await waitFor(async () => (await request(options.healthUrl)).statusCode === 200, {
      what: `${name} to be healthy (log: ${program.logFile})`,
      deadlineMs: 60_000,
      check: () => assertRunning(program),
    });
  } catch (error) {
    throw new Error(`expected ${name} to start:\n${program.tail()}`, { cause: error });
  }
  return { stop: () => program.stop('SIGKILL') };
}

/** Empties a collection whose controller no longer runs: nobody waits for finalizers. */
export async function purge(api: ApiClient, path: string): Promise<void> {
  for (;;) {
    const { items } = await api.request<{ items: readonly Item[] }>('GET', path);
    if (items.length === 0) return;
    const held = items.filter(({ metadata }) => (metadata.finalizers?.length ?? 0) > 0);
    await api.forEach(held, ({ metadata: { name, namespace } }) =>
      api.request(
        'PATCH',
        `${namespaced(path, namespace)}/${name}`,
        { metadata: { finalizers: null } },
        'application/merge-patch+json',
      ),
    );
    const namespaces = new Set(items.map(({ metadata }) => metadata.namespace));
    for (const namespace of namespaces) await api.request('DELETE', namespaced(path, namespace));
    await delay(50);
  }
}

interface Item {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly finalizers?: readonly string[];
  };
}

/** The path of a collection in one namespace, from the one of all namespaces. */
function namespaced(path: string, namespace: string | undefined): string {
  if (namespace === undefined) return path;
  const cut = path.lastIndexOf('/');
  return `${path.slice(0, cut)}/namespaces/${namespace}${path.slice(cut)}`;
}
