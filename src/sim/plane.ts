/**
 * The embedded control plane: an API server on loopback, the controllers a training cluster needs, a kubelet for every
 * node and a model of kube-scheduler, all in this process and without files. Muster runs beside it as on a real cluster
 * and talks HTTP to both.
 */

import type { Clock } from '../core/objects/clock.ts';
import { installGangPolicy } from './admission.ts';
import { EmbeddedApiServer } from './api-server.ts';
import { DisruptionBudgets } from './disruption-budgets.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { JobController } from './job-controller.ts';
import { Kubelet } from './kubelet.ts';
import { NodeLifecycle } from './node-lifecycle.ts';
import { ObjectStore } from './object-store.ts';
import { Registry } from './registry.ts';
import { KubeScheduler, type KubeSchedulerParts } from './scheduler/kube-scheduler.ts';
import { TaintEviction } from './taint-eviction.ts';

/** Settings of kube-scheduler, as in a KubeSchedulerConfiguration. */
export type PlaneSchedulerOptions = Omit<KubeSchedulerParts, 'store' | 'clock' | 'random'>;

export interface EmbeddedPlaneOptions {
  /** Port of the API server; a free port by default. */
  readonly port?: number;
  readonly clock: Clock;
  /** Returns a number in [0, 1); `Math.random` by default. */
  readonly random?: () => number;
  /** By default kube-scheduler starts without an extender; `null` leaves it stopped until `scheduler.start`. */
  readonly scheduler?: PlaneSchedulerOptions | null;
  /** Whether the gang admission policy (deploy/admission-policy.yaml) is in force from the start. */
  readonly admissionPolicy?: boolean;
}

/** kube-scheduler as a process that can be stopped and restarted, optionally with other settings. */
export interface PlaneScheduler {
  /** Settings keep their previous values unless given. Throws when it is already running. */
  start(options?: PlaneSchedulerOptions): void;
  /** Like a kill: calls in flight are cut off and assumed pods are forgotten. */
  stop(): Promise<void>;
  restart(options?: PlaneSchedulerOptions): Promise<void>;
}

export interface EmbeddedPlane {
  /** URL of the API server. */
  readonly url: string;
  /** The API server's objects, for code that reads or changes them in-process. */
  readonly store: ObjectStore;
  readonly scheduler: PlaneScheduler;
  stop(): Promise<void>;
}

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
const PRIORITY_CLASSES = { 'system-cluster-critical': 2_000_000_000, 'system-node-critical': 2_000_001_000 };

/** Starts the API server, the controllers and, unless told otherwise, kube-scheduler. Call `stop` in the end. */
export async function startEmbeddedPlane(options: EmbeddedPlaneOptions): Promise<EmbeddedPlane> {
  const { port = 0, clock, random = Math.random, scheduler: given = {}, admissionPolicy = false } = options;
  const store = new ObjectStore({ clock });
  for (const name of NAMESPACES) store.create('namespaces', { metadata: { name } });
  for (const [name, value] of Object.entries(PRIORITY_CLASSES))
    store.create('priorityclasses', { metadata: { name }, value });
  if (admissionPolicy) installGangPolicy(store);

  const registry = new Registry(store, clock);
  const server = await EmbeddedApiServer.start(registry, port);
  const kinds = [Kubelet, NodeLifecycle, TaintEviction, JobController, GarbageCollector, DisruptionBudgets];
  const controllers = kinds.map((Controller) => new Controller(registry));
  for (const controller of controllers) controller.start();
  const scheduler = schedulerOf({ store, clock, random }, given ?? {});
  if (given !== null) scheduler.start();
  return {
    url: server.url,
    store,
    scheduler,
    stop: async () => {
      await scheduler.stop();
      for (const controller of controllers) controller.stop();
      await server.stop();
    },
  };
}

function schedulerOf(
  parts: Pick<KubeSchedulerParts, 'store' | 'clock' | 'random'>,
  first: PlaneSchedulerOptions,
): PlaneScheduler {
  let options = first;
  let running: KubeScheduler | undefined;
  const scheduler: PlaneScheduler = {
    start: (changed = {}) => {
      if (running !== undefined) throw new Error('expected kube-scheduler to be stopped before it is started');
      options = { ...options, ...changed };
      running = new KubeScheduler({ ...options, ...parts });
      running.start();
    },
    stop: async () => {
      const stopped = running;
      running = undefined;
      await stopped?.stop();
    },
    restart: async (changed) => {
      await scheduler.stop();
      scheduler.start(changed);
    },
  };
  return scheduler;
}
