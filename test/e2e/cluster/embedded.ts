import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPlane, type PlaneSchedulerOptions, startEmbeddedPlane } from '../../../src/sim/plane.ts';
import type { ExtenderOptions } from '../../../src/sim/scheduler/extender-client.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { ApiClient } from './api-client.ts';
import { type Cluster, type ControlPlaneOptions, installMuster, policiesOf } from './control-plane.ts';
import { newToken, type Tokens, writeKubeconfig } from './credentials.ts';
import { applyManifests } from './manifests.ts';
import { addNodes, setNodeReady } from './nodes.ts';
import { freePorts, type ManagedProcess } from './process.ts';
import { resetCluster } from './reset.ts';
import { type ClusterScheduler, type SchedulerOptions, schedulerConfiguration } from './scheduler.ts';

/**
 * Starts the embedded control plane as a cluster, in milliseconds and with nothing built. It runs in this process; Muster and
 * whatever else a test starts are real processes beside it. Tokens are not looked at: everybody may do everything.
 * Arguments for the real programs have no meaning here and are not looked at either.
 */
export async function startEmbeddedCluster(options: ControlPlaneOptions = {}): Promise<Cluster> {
  const dir = mkdtempSync(join(tmpdir(), 'muster-embedded-'));
  const removeDir = () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  process.once('exit', removeDir);
  const [musterPort] = (await freePorts(1)) as [number];
  const plane = await startEmbeddedPlane({ clock: systemClock, scheduler: null });
  const tokens: Tokens = { admin: newToken(), scheduler: newToken(), muster: newToken() };
  const api = new ApiClient(plane.url, undefined, tokens.admin);
  const kubeconfigOf = (name: keyof Tokens) =>
    writeKubeconfig(join(dir, `${name}.kubeconfig`), { url: plane.url, token: tokens[name] });
  const processes: ManagedProcess[] = [];
  const scheduler = schedulerOf(plane, { extenderUrl: `http://127.0.0.1:${musterPort}`, ...options.scheduler });

  const stop = async (): Promise<void> => {
    await Promise.all(processes.map(({ stop: end }) => end('SIGKILL')));
    await api.close();
    await plane.stop();
    process.removeListener('exit', removeDir);
    removeDir();
  };
  try {
    // It evaluates no CEL, and everybody may do everything there.
    await installMuster(api, { ...policiesOf(options), recordPolicies: false });
    await scheduler.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    api,
    url: plane.url,
    caFile: undefined,
    tokens,
    kubeconfig: kubeconfigOf('admin'),
    musterKubeconfig: kubeconfigOf('muster'),
    musterPort,
    scheduler,
    dir,
    addNodes: (nodeOptions) => addNodes(api, nodeOptions),
    setNodeReady: (name, ready) => setNodeReady(api, name, ready),
    applyManifests: (path) => applyManifests(api, path),
    adopt: (adopted) => void processes.push(adopted),
    reset: (resetOptions) => resetCluster(api, resetOptions),
    stop,
  };
}

/** kube-scheduler's model under the shipped configurations, with the same options as the real one. */
function schedulerOf({ scheduler }: EmbeddedPlane, first: SchedulerOptions): ClusterScheduler {
  let options = first;
  const change = (changed: SchedulerOptions = {}): PlaneSchedulerOptions => {
    options = { ...options, ...changed };
    const { extenderTls } = options;
    if (extenderTls !== undefined) throw new Error('expected an extender without TLS: the embedded plane has none');
    const { extenders, podInitialBackoffSeconds, podMaxBackoffSeconds, percentageOfNodesToScore } =
      schedulerConfiguration(options);
    return {
      extenders: (extenders ?? []) as unknown as readonly ExtenderOptions[],
      podInitialBackoffMs: (podInitialBackoffSeconds ?? 1) * 1000,
      podMaxBackoffMs: (podMaxBackoffSeconds ?? 10) * 1000,
      percentageOfNodesToScore: percentageOfNodesToScore ?? 0,
    };
  };
  return {
    start: async (changed) => scheduler.start(change(changed)),
    stop: () => scheduler.stop(),
    restart: (changed) => scheduler.restart(change(changed)),
    metrics: async () => {
      throw new Error('expected a real kube-scheduler: the embedded one keeps no metrics');
    },
  };
}
