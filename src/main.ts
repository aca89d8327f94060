/** The composition root, top to bottom: configuration → client → watch → recover → serve → drain. No logic. */
import { hostname } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ApiClient } from './cluster/api.ts';
import { loadEndpoint } from './cluster/kubeconfig.ts';
import { QueueWriter } from './cluster/queue-writer.ts';
import { ClusterState } from './cluster/state.ts';
import { createWatches } from './cluster/watches.ts';
import type { MusterConfiguration } from './config.ts';
import { PodProjector } from './core/pod-projection.ts';
import { manageResources } from './core/pod-template.ts';
import { Barrier } from './gang/barrier.ts';
import { Binder } from './gang/binder.ts';
import { systemClock } from './gang/clock.ts';
import { Coordinator } from './gang/coordinator.ts';
import { LonePods } from './gang/lone-pods.ts';
import { GangObserver } from './gang/observer.ts';
import { Reservations } from './gang/reservations.ts';
import { createApp, directPaths } from './http/app.ts';
import { Extender } from './http/extender.ts';
import { createHealthApp, probePaths } from './http/health.ts';
import { createInspectApp } from './http/inspect.ts';
import { createQueuesApp, QueueInspector } from './http/queues.ts';
import { startServer } from './http/server.ts';
import { createTopologyApp, TopologyInspector } from './http/topology.ts';
import { EventRecorder } from './telemetry/events.ts';
import { createLogger } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';

const MAX_TEMPLATES = 10_000;
const REGATHER_MS = 2_000;

/** Runs Muster until SIGTERM or SIGINT. Rejects when it cannot start. */
export async function serve(config: MusterConfiguration): Promise<void> {
  const clock = systemClock;
  const log = createLogger({
    verbosity: config.log.verbosity,
    write: (line) => process.stdout.write(line),
    now: clock.now,
  });
  const metrics = new Metrics();

  // Client
  const source =
    config.api.kubeconfig === undefined
      ? ({ kind: 'default' } as const)
      : ({ kind: 'file', path: config.api.kubeconfig } as const);
  const api = new ApiClient(await loadEndpoint(source), {
    requestTimeoutMs: config.api.requestTimeoutMs,
    maxWritesInFlight: config.api.maxInFlightWrites,
  });
  const events = new EventRecorder({ api, logger: log, metrics, instance: hostname(), now: clock.now });

  // Cluster and gangs
  const isAccelerator = manageResources(config.managedResources);
  const policy = { isAccelerator, score: config.topology.policy };
  const projector = new PodProjector({ maxTemplates: MAX_TEMPLATES, managedResources: config.managedResources });
  const state = new ClusterState(config.topology.levels);
  const reservations = new Reservations();
  const observer = new GangObserver(metrics, log, events);
  const barrier = new Barrier(clock, {
    onTimeout: (gang, held) => coordinator.onBarrierTimeout(gang, held),
    onAbandoned: () => observer.onBarrierAbandoned(),
    onOpened: (waitedMs) => observer.onBarrierOpened(waitedMs / 1000),
  });
  const coordinator: Coordinator = new Coordinator({
    view: state,
    reservations,
    barrier,
    writer: api,
    queueWriter: new QueueWriter(api),
    observer,
    clock,
    settings: {
      ...config.gang,
      queues: config.queues,
      preemption: config.preemption,
      repair: config.repair,
      regatherMs: REGATHER_MS,
      policy,
    },
  });

  // Watch, then recover, then decide
  const synced = Promise.withResolvers<void>();
  const watches = createWatches({
    source: api,
    state,
    projector,
    metrics,
    log,
    timing: { idleMs: config.api.watchIdleTimeoutMs },
    onSynced: () => {
      if (watches.kinds.every(({ synced }) => synced())) synced.resolve();
    },
  });
  let recovered = false;
  let draining = false;
  watches.start();

  // Serve: probes answer from the start, readiness only after recovery
  const binder = new Binder({
    view: state,
    reservations,
    barrier,
    coordinator,
    writer: api,
    observer,
    clock,
    barrierTimeoutMs: config.gang.barrierTimeoutMs,
  });
  const lonePods = new LonePods(reservations, isAccelerator, config.lonePodCandidates);
  const projectPod = (raw: object) => projector.project(raw);
  const extender = new Extender({ view: state, reservations, coordinator, binder, lonePods, clock, projectPod });
  const checks = [
    ...watches.kinds.map(({ kind, synced }) => ({
      name: `synced-${kind.toLowerCase()}s`,
      check: () => (synced() ? undefined : 'the first list is not complete'),
    })),
    { name: 'recovered', check: () => (recovered ? undefined : 'reservations are not rebuilt yet') },
    { name: 'not-draining', check: () => (draining ? 'shutting down' : undefined) },
  ];
  const inspector = new TopologyInspector({ view: state, reservations, policy, isReady: () => recovered });
  const queueInspector = new QueueInspector({
    coordinator,
    view: state,
    settings: config.queues,
    isAccelerator,
    clock,
    isReady: () => recovered,
  });
  const scraped = {
    contentType: metrics.contentType,
    render: () => {
      inspector.measure(metrics);
      queueInspector.measure(metrics);
      return metrics.render();
    },
  };
  const notices = [
    { name: 'topology', list: () => inspector.warnings() },
    { name: 'queues', list: () => queueInspector.warnings() },
    {
      name: 'nodes',
      list: () =>
        coordinator
          .suspects()
          .map(({ node, failures }) => `${node}: gangs lost members here ${failures.toFixed(1)} times`),
    },
  ];
  const app = createApp({
    extender,
    pages: [
      createHealthApp(checks, scraped, notices),
      createInspectApp(coordinator, reservations),
      createTopologyApp(inspector),
      createQueuesApp(queueInspector),
    ],
    isReady: () => recovered,
    metrics,
    log,
    maxBodyBytes: config.server.maxBodyMiB * 2 ** 20,
  });
  const server = await startServer({
    fetch: app.fetch,
    directPaths,
    bindAddress: config.server.bindAddress,
    port: config.server.port,
    tls: config.server.tls,
    anonymousPaths: probePaths,
    drainDelayMs: config.server.drainDelayMs,
    logger: log,
    onDraining: () => {
      draining = true;
      barrier.shut('Muster is shutting down');
    },
  });
  const stopped = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.resolve());

  const recover = async (): Promise<void> => {
    await synced.promise;
    // In turns of their own, so that probes are answered in between: the last list, the first snapshot, each gang, recovery.
    await nextTurn();
    state.snapshot();
    state.listen(coordinator);
    for (const gang of [...state.gangs()]) {
      await nextTurn();
      coordinator.read(gang);
    }
    await nextTurn();
    coordinator.recover([]);
    recovered = true;
    log.info(0, 'ready', { gangs: [...coordinator.records()].length, slots: reservations.size });
  };
  // Asked to stop before the last list is complete it recovers nothing: on half a cluster it would erase what it cannot place.
  await Promise.race([recover(), stopped.promise]);

  // Drain
  await stopped.promise;
  await server.close();
  coordinator.stop();
  await watches.stop();
  await api.close();
}
