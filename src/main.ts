/** The composition root, in five steps: connect → assemble → watch → listen → run. No logic. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Elector } from './cluster/lease/elector.ts';
import { type Leadership, soleLeadership } from './cluster/lease/leadership.ts';
import { ClusterState } from './cluster/state.ts';
import { createWatches, type Watches } from './cluster/watches.ts';
import type { MusterConfiguration } from './config/configuration.ts';
import { sleep } from './core/objects/clock.ts';
import { PodProjector } from './core/objects/pod-projection.ts';
import { manageResources } from './core/objects/pod-template.ts';
import type { GangRequest } from './core/placement/gang-request.ts';
import { completeMember } from './core/podgroup/new-member.ts';
import { assembleScheduler, type Scheduler } from './gang/assembly.ts';
import { TelemetryObserver } from './gang/framework/observer.ts';
import { Access } from './http/access/access.ts';
import { Reviewer } from './http/access/reviewer.ts';
import { admissionStrangers, createAdmissionApp } from './http/admission/admission.ts';
import { createApp, createPagesApp, directPaths } from './http/app.ts';
import { Extender } from './http/extender/extender.ts';
import { createInspectApp } from './http/inspect/gangs.ts';
import { createQueuesApp, QueueInspector } from './http/inspect/queues.ts';
import { createTopologyApp, TopologyInspector } from './http/inspect/topology.ts';
import { createHealthApp } from './http/server/health.ts';
import { type FurtherPort, startListeners } from './http/server/listeners.ts';
import type { RunningServer, ServerOptions } from './http/server/server.ts';
import { readTlsMaterial } from './http/server/tls.ts';
import { AccessReviews } from './kube/access-review.ts';
import { ApiClient } from './kube/client.ts';
import { ApiGateSwitch } from './kube/gate-switch.ts';
import { type Endpoint, loadEndpoint } from './kube/kubeconfig.ts';
import { ApiQueueWriter } from './kube/queue-writer.ts';
import { WorkerSearcher } from './search/worker-searcher.ts';
import { systemClock } from './telemetry/clock.ts';
import { EventRecorder } from './telemetry/events.ts';
import { createLogger, type Logger } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';

/** Distinct pod templates kept in memory. */
const MAX_TEMPLATES = 10_000;
/** How long a gang keeps its slots while its owner replaces a member. */
const REGATHER_MS = 2_000;
/** What the former leader wrote last may still be on its way to the watches; it takes hundredths of a second. */
const SUCCESSION_PAUSE_MS = 250;
const MIB = 2 ** 20;

/** What every step works with. */
interface Process {
  readonly config: MusterConfiguration;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly api: ApiClient;
  /** Whether this process decides, or another one. */
  readonly leadership: Leadership;
  readonly elector: Elector | undefined;
  /** The API server's address. */
  readonly server: string;
  /** How far the process has come: `/readyz` and the extender check it. */
  readonly progress: { isRecovered: boolean; isDraining: boolean };
}

interface Assembly {
  readonly scheduler: Scheduler;
  readonly state: ClusterState;
  readonly projector: PodProjector;
  readonly topology: TopologyInspector;
  readonly queues: QueueInspector;
  readonly events: EventRecorder;
  readonly searcher: WorkerSearcher;
}

interface Watching {
  readonly watches: Watches;
  /** Every first list is complete. */
  readonly synced: Promise<void>;
}

/** Runs Muster until SIGTERM or SIGINT. Rejects when it cannot start. */
export async function serve(config: MusterConfiguration, version: string): Promise<void> {
  const muster = await connect(config);
  muster.metrics.buildInfo.set({ version }, 1);
  const assembly = assemble(muster);
  const watching = watch(muster, assembly);
  const server = await listen(muster, assembly, watching);
  await run(muster, assembly, watching, server);
}

/** Step 1: creates the API client, the log and the metrics. */
async function connect(config: MusterConfiguration): Promise<Process> {
  // The listener reads them again. A wrong path is the error to see, not a hundred lines of watches that went on meanwhile.
  if (config.server.tls) await readTlsMaterial(config.server.tls);
  const { verbosity } = config.log;
  const log = createLogger({ verbosity, write: (line) => process.stdout.write(line), now: systemClock.now });
  const source =
    config.api.kubeconfig === undefined
      ? ({ kind: 'default' } as const)
      : ({ kind: 'file', path: config.api.kubeconfig } as const);
  const endpoint = await loadEndpoint(source);
  const metrics = new Metrics();
  const elector = createElector(config, endpoint, log, metrics);
  const api = new ApiClient(endpoint, {
    requestTimeoutMs: config.api.requestTimeoutMs,
    maxWritesInFlight: config.api.maxInFlightWrites,
    fence: elector,
  });
  return {
    config,
    log,
    metrics,
    api,
    leadership: elector ?? soleLeadership,
    elector,
    server: endpoint.server,
    progress: { isRecovered: false, isDraining: false },
  };
}

/** Undefined: this process is the only one. */
function createElector(
  { leaderElection, api }: MusterConfiguration,
  endpoint: Endpoint,
  log: Logger,
  metrics: Metrics,
): Elector | undefined {
  const { enabled, namespace, leaseName, leaseDurationMs, renewDeadlineMs, retryPeriodMs } = leaderElection;
  if (!enabled) {
    metrics.leader.set(1);
    return undefined;
  }
  return new Elector({
    api: new ApiClient(endpoint),
    lease: { namespace, name: leaseName },
    // A process that is started again in the same pod is another one.
    identity: `${hostname()}_${randomUUID()}`,
    timing: { leaseMs: leaseDurationMs, renewDeadlineMs, retryMs: retryPeriodMs },
    watchIdleMs: api.watchIdleTimeoutMs,
    clock: systemClock,
    wall: Date.now,
    random: Math.random,
    log,
    metrics,
  });
}

/** Step 2: creates the cluster state, the decision loop and the inspectors. */
function assemble({ config, log, metrics, api, progress }: Process): Assembly {
  const clock = systemClock;
  const isAccelerator = manageResources(config.managedResources);
  const policy = { isAccelerator, score: config.topology.policy };
  const { managedResources, bindResources, schedulerNames } = config;
  const projector = new PodProjector({ maxTemplates: MAX_TEMPLATES, managedResources, bindResources, schedulerNames });
  const state = new ClusterState(config.topology.levels, config.topology.exclusiveLevels);
  const events = new EventRecorder({ api, logger: log, metrics, instance: hostname(), clock });
  const { gang, queues, preemption, repair, lonePodCandidates } = config;
  const { levels, policy: score } = config.topology;
  const isThere = ({ members }: GangRequest) => members.some(({ uid }) => state.pod(uid) !== undefined);
  const searcher = new WorkerSearcher({ policy, clock, levels, managedResources, score, isThere });
  const gateObject = new ApiGateSwitch(api, gang.gatesParameter);
  const gateSwitch = { mode: gang.gates, set: gateObject.set.bind(gateObject) };
  const scheduler = assembleScheduler({
    view: state,
    writer: api,
    queueWriter: new ApiQueueWriter(api),
    gates: gateSwitch,
    observer: new TelemetryObserver(metrics, log, events),
    clock,
    settings: { ...gang, queues, preemption, repair, regatherMs: REGATHER_MS, policy },
    barrierTimeoutMs: gang.barrierTimeoutMs,
    lonePodCandidates,
    schedulerNames,
    projectPod: (raw) => projector.project(raw),
    searcher,
  });
  const isReady = () => progress.isRecovered;
  const topology = new TopologyInspector({ scheduler: scheduler.view, policy, isReady });
  const queueInspector = new QueueInspector({ scheduler: scheduler.view, isAccelerator, clock, isReady });
  return { scheduler, state, projector, topology, queues: queueInspector, events, searcher };
}

/** Step 3: the watches fill the model. */
function watch({ config, log, metrics, api, server, leadership }: Process, { state, projector }: Assembly): Watching {
  const synced = Promise.withResolvers<void>();
  const watches = createWatches({
    source: api,
    server,
    state,
    projector,
    metrics,
    log,
    timing: { idleMs: config.api.watchIdleTimeoutMs },
    onSynced: () => {
      if (watches.kinds.every((each) => each.synced())) synced.resolve();
    },
  });
  watches.start();
  leadership.start();
  return { watches, synced: synced.promise };
}

/** Step 4: probes answer from the start, kube-scheduler's calls only after recovery. */
function listen(
  { config, log, metrics, api, progress, leadership }: Process,
  { scheduler, topology, queues }: Assembly,
  { watches }: Watching,
): Promise<RunningServer> {
  const { server } = config;
  const reviewer = new Reviewer(new AccessReviews(api), metrics, systemClock);
  const access = new Access({ callers: server.callers, reviewer, log, metrics, clock: systemClock });
  const checks = [
    ...watches.kinds.map(({ resource, synced }) => ({
      name: `synced-${resource}`,
      check: () => (synced() ? undefined : 'the first list is not complete'),
    })),
    { name: 'leader', check: () => leadership.findObstacle() },
    { name: 'recovered', check: () => (progress.isRecovered ? undefined : 'reservations are not rebuilt yet') },
    { name: 'not-draining', check: () => (progress.isDraining ? 'shutting down' : undefined) },
  ];
  const scraped = {
    contentType: metrics.contentType,
    render: () => {
      topology.measure(metrics);
      queues.measure(metrics);
      return metrics.render();
    },
  };
  const describeSuspects = () =>
    scheduler.view
      .suspects()
      .map(({ node, failures }) => `${node}: gangs lost members here ${failures.toFixed(1)} times`);
  const notices = [
    { name: 'topology', list: () => topology.warnings() },
    { name: 'queues', list: () => queues.warnings() },
    { name: 'nodes', list: describeSuspects },
  ];
  const pages = [
    createHealthApp(checks, scraped, access, notices),
    createInspectApp(scheduler.view, access),
    createTopologyApp(topology, access),
    createQueuesApp(queues, access),
  ];
  const app = createApp({
    extender: new Extender(scheduler.verbs),
    pages,
    isReady: () => progress.isRecovered,
    findObstacle: () => leadership.findObstacle(),
    metrics,
    log,
    access,
    bodies: { maxBytes: server.maxBodyMiB * MIB, maxUnfinishedBytes: server.maxUnfinishedBodiesMiB * MIB },
  });
  const options: ServerOptions = {
    fetch: app.fetch,
    directPaths,
    bindAddress: server.bindAddress,
    port: server.port,
    tls: server.tls,
    isListed: (peer) => access.isListed(peer),
    onRefusedConnection: (reason) => metrics.refusedConnections.inc({ reason }),
    onCertificate: (event) => metrics.observeCertificate(event),
    maxConnections: server.maxConnections,
    drainDelayMs: server.drainDelayMs,
    logger: log,
    onDraining: () => {
      progress.isDraining = true;
      scheduler.barrier.shut('Muster is shutting down');
    },
  };
  const further: FurtherPort[] = [];
  if (server.inspectPort !== 0) further.push({ port: server.inspectPort, fetch: createPagesApp(pages).fetch });
  if (server.webhookPort !== 0) further.push(listenToReviews({ config, log, metrics }, scheduler));
  return startListeners(options, further);
}

/** The port of the admission webhook. API servers come without a certificate. */
function listenToReviews(
  { config, log, metrics }: Pick<Process, 'config' | 'log' | 'metrics'>,
  { isGating }: Pick<Scheduler, 'isGating'>,
): FurtherPort {
  const { schedulerNames, managedResources, bindResources, server } = config;
  const rules = { schedulerNames, isManaged: manageResources(bindResources ?? managedResources) };
  const app = createAdmissionApp({
    complete: (pod) => completeMember(pod, isGating(), rules),
    metrics,
    log,
    clock: systemClock,
  });
  return {
    port: server.webhookPort,
    fetch: app.fetch,
    strangers: admissionStrangers,
    isWithoutCertificates: true,
  };
}

/** Step 5: recovers when it leads, decides until it is asked to stop or another process leads, then drains. */
async function run(
  muster: Process,
  assembly: Assembly,
  { watches, synced }: Watching,
  server: RunningServer,
): Promise<void> {
  const { api, leadership, elector, progress } = muster;
  const { scheduler, events, searcher } = assembly;
  const stopped = Promise.withResolvers<undefined>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.resolve(undefined));
  // Held calls would be answered too late: whoever leads next holds them when they come again.
  elector?.onLapse(() => scheduler.barrier.clear('this Muster does not lead any more'));
  const ended = Promise.race([stopped.promise, leadership.lost]);
  // If it is asked to stop before the lists are complete, it does not recover: with half of the cluster known, it would
  // erase valid nominations.
  await Promise.race([recover(muster, assembly, synced), ended]);
  const found = await ended;
  if (elector) {
    // Before connections are drained, so that another process decides meanwhile.
    progress.isDraining = true;
    scheduler.barrier.shut('Muster is shutting down');
    scheduler.coordinator.stop();
    events.stop();
    await elector.resign(api.whenIdle());
  }
  await server.close();
  scheduler.coordinator.stop();
  await searcher.stop();
  events.stop();
  await watches.stop();
  await leadership.stop();
  await api.close();
  if (found !== undefined) {
    const { namespace, leaseName } = muster.config.leaderElection;
    throw new Error(`expected to keep the Lease ${namespace}/${leaseName}, found ${found}; start Muster again`);
  }
}

/** Rebuilds what was decided before, and runs the first cycle. */
async function recover(
  { log, progress, leadership }: Process,
  { scheduler, state }: Assembly,
  synced: Promise<void>,
): Promise<void> {
  const { coordinator, view, reservations } = scheduler;
  await synced;
  leadership.campaign();
  const { isSuccession } = await leadership.elected;
  if (isSuccession) await sleep(systemClock, SUCCESSION_PAUSE_MS);
  if (progress.isDraining) return;
  // Each step runs in its own turn of the event loop, so that probes are answered in between.
  await nextTurn();
  state.snapshot();
  state.listen(coordinator);
  for (const gang of [...state.gangs()]) {
    await nextTurn();
    coordinator.read(gang);
  }
  await nextTurn();
  if (progress.isDraining) return;
  coordinator.recover([]);
  progress.isRecovered = true;
  log.info(0, 'ready', { gangs: [...view.gangs()].length, slots: reservations.size });
}
