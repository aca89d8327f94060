/** One Muster process in a test: all real parts, composed as in `main.ts`, on a cluster in memory and a hand clock. */
import type { Hono } from 'hono';
import { ClusterState, type Sink } from '../../src/cluster/state.ts';
import { projectCreationFailure } from '../../src/core/objects/creation-failure.ts';
import type { Named } from '../../src/core/objects/model.ts';
import { DEFAULT_SCHEDULER, PodProjector } from '../../src/core/objects/pod-projection.ts';
import { manageResources } from '../../src/core/objects/pod-template.ts';
import {
  projectClaim,
  projectDaemonSet,
  projectDisruptionBudget,
  projectJob,
  projectNode,
  projectPodGroup,
  projectStorageClass,
} from '../../src/core/objects/projection.ts';
import type { PlacementScore, PlanPolicy } from '../../src/core/placement/gang-request.ts';
import { projectQueue } from '../../src/core/queues/projection.ts';
import type { ConfiguredLevels } from '../../src/core/topology/levels.ts';
import { assembleScheduler, type SchedulerPorts } from '../../src/gang/assembly.ts';
import type { Coordinator } from '../../src/gang/coordinator.ts';
import type { Barrier } from '../../src/gang/framework/barrier.ts';
import { TelemetryObserver } from '../../src/gang/framework/observer.ts';
import type { SchedulerView, Searcher } from '../../src/gang/framework/ports.ts';
import type { CoordinatorSettings } from '../../src/gang/framework/settings.ts';
import type { Reservations } from '../../src/gang/state/reservations.ts';
import { createApp } from '../../src/http/app.ts';
import { Extender } from '../../src/http/extender/extender.ts';
import { createInspectApp } from '../../src/http/inspect/gangs.ts';
import { createQueuesApp, QueueInspector } from '../../src/http/inspect/queues.ts';
import { createTopologyApp, TopologyInspector } from '../../src/http/inspect/topology.ts';
import { Store } from '../../src/kube/store.ts';
import { EventRecorder, type EventWriter } from '../../src/telemetry/events.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { type ClusterInMemory, type Kind, keyOf, type WireObject } from './cluster-in-memory.ts';
import type { HandClock } from './hand-clock.ts';
import { type CallerAccess, openAccess } from './open-access.ts';
import { answersAtOnce } from './searchers.ts';

export const MANAGED = ['nvidia.com/gpu', 'amd.com/gpu', 'nvidia.com/mig-*'];

export interface ProcessOptions {
  readonly settings: Omit<CoordinatorSettings, 'policy'>;
  readonly barrierTimeoutMs: number;
  readonly lonePodCandidates: number;
  readonly maxBodyBytes: number;
  /** Everybody may do everything unless given. */
  readonly access?: CallerAccess;
  /** The schedulers whose pods are ours; `default-scheduler` unless given. */
  readonly schedulerNames?: readonly string[];
  /** Topology levels, outer to inner; undefined: detected from the nodes' labels. */
  readonly levels: ConfiguredLevels | undefined;
  /** Those of which a gang may have domains for itself; undefined: all. */
  readonly exclusiveLevels?: readonly string[];
  readonly score: PlacementScore;
  readonly metrics: Metrics;
  readonly events: EventWriter;
  readonly write: (line: string) => void;
  /** Replaces what the gang package gets from outside, such as by a port that fails. */
  readonly changePorts?: (ports: SchedulerPorts) => SchedulerPorts;
  /** Answers at once unless given. */
  readonly searcher?: (policy: PlanPolicy) => Searcher;
  /** `MANAGED` unless given. */
  readonly managedResources?: readonly string[];
}

export interface MusterProcess {
  readonly app: Hono;
  readonly state: ClusterState;
  readonly reservations: Reservations;
  readonly coordinator: Coordinator;
  readonly view: SchedulerView;
  readonly barrier: Barrier;
  /** Whether a member that is created now gets the gate. */
  readonly isGating: () => boolean;
  readonly inspector: TopologyInspector;
  readonly queueInspector: QueueInspector;
  /** Reads the existing objects, then serves. Until then calls are answered with "not ready". */
  recover(): void;
  /** SIGKILL: no timer fires, no write is answered, nothing is watched any more. */
  kill(): void;
}

export function startProcess(cluster: ClusterInMemory, hand: HandClock, options: ProcessOptions): MusterProcess {
  let alive = true;
  let recovered = false;
  const clock = hand.forProcess();
  const { metrics, access = openAccess } = options;
  const log = createLogger({ verbosity: 9, write: options.write, now: clock.now });
  const { managedResources = MANAGED } = options;
  const isAccelerator = manageResources(managedResources);
  const policy = { isAccelerator, score: options.score };
  const { schedulerNames = [DEFAULT_SCHEDULER] } = options;
  const projector = new PodProjector({ maxTemplates: 1_000, managedResources, schedulerNames });
  const state = new ClusterState(options.levels, options.exclusiveLevels);
  const events = new EventRecorder({ api: options.events, logger: log, metrics, instance: 'test', clock });
  const { changePorts = (ports) => ports } = options;
  const ports: SchedulerPorts = {
    view: state,
    writer: cluster.writerFor(() => alive),
    queueWriter: cluster.queueWriterFor(() => alive),
    observer: new TelemetryObserver(metrics, log, events),
    clock,
    settings: { ...options.settings, policy },
    barrierTimeoutMs: options.barrierTimeoutMs,
    lonePodCandidates: options.lonePodCandidates,
    schedulerNames,
    projectPod: (raw) => projector.project(raw),
    searcher: (options.searcher ?? answersAtOnce)(policy),
  };
  const { coordinator, verbs, view, reservations, barrier, isGating } = assembleScheduler(changePorts(ports));
  const isReady = () => recovered;
  const inspector = new TopologyInspector({ scheduler: view, policy, isReady });
  const queueInspector = new QueueInspector({ scheduler: view, isAccelerator, clock, isReady });
  const app = createApp({
    extender: new Extender(verbs),
    pages: [
      createInspectApp(view, access),
      createTopologyApp(inspector, access),
      createQueuesApp(queueInspector, access),
    ],
    isReady,
    metrics,
    log,
    access,
    bodies: { maxBytes: options.maxBodyBytes, maxUnfinishedBytes: 8 * options.maxBodyBytes },
  });
  const sinks: Readonly<Record<Kind, (type: string, object: WireObject) => void>> = {
    Node: feed(projectNode, state.nodes),
    Pod: feed((raw) => projector.project(raw), state.pods),
    Job: feed(projectJob, state.jobs),
    PodGroup: feed(projectPodGroup, state.podGroups),
    PersistentVolumeClaim: feed(projectClaim, state.claims),
    DaemonSet: feed(projectDaemonSet, state.daemonSets),
    StorageClass: feed(projectStorageClass, state.storageClasses),
    PodDisruptionBudget: feed(projectDisruptionBudget, state.disruptionBudgets),
    Queue: feed(projectQueue, state.queueObjects),
    Event: feed(projectCreationFailure, state.creationFailures),
  };
  return {
    app,
    state,
    reservations,
    coordinator,
    view,
    barrier,
    isGating,
    inspector,
    queueInspector,
    recover: () => {
      cluster.watch((type, kind, object) => sinks[kind](type, object));
      state.listen(coordinator);
      coordinator.recover(state.gangs());
      recovered = true;
    },
    kill: () => {
      alive = false;
      clock.stop();
      cluster.watch(() => {});
    },
  };
}

/** Puts the real store between wire and state, so that `before` is the last object the state received. */
function feed<T extends Named | { readonly name: string }>(project: (raw: unknown) => T, sink: Sink<T>) {
  const store = new Store<T>(sink, (error) => {
    throw error;
  });
  return (type: string, raw: WireObject) => {
    const { uid = '', resourceVersion = '' } = raw.metadata;
    if (type === 'DELETED') store.remove(keyOf(raw), uid);
    else store.apply({ key: keyOf(raw), uid, resourceVersion, object: project(raw) });
  };
}
