/**
 * The real app over the real parts, assembled as in main.ts, for tests and benchmarks of the extender's endpoints. The
 * cluster is put into `state` by hand instead of by watches, writes succeed at once without effect, and the clock
 * stands still: no slot counts as stuck, so reservations stay.
 */
import type { Hono } from 'hono';
import { ClusterState } from '../../src/cluster/state.ts';
import { defaultConfiguration } from '../../src/config/configuration.ts';
import type { Clock } from '../../src/core/objects/clock.ts';
import { PodProjector } from '../../src/core/objects/pod-projection.ts';
import { manageResources } from '../../src/core/objects/pod-template.ts';
import type { WriteOutcome } from '../../src/core/objects/write-outcome.ts';
import type { ConfiguredLevels } from '../../src/core/topology/levels.ts';
import { assembleScheduler } from '../../src/gang/assembly.ts';
import { TelemetryObserver } from '../../src/gang/framework/observer.ts';
import type { ClusterWriter } from '../../src/gang/framework/ports.ts';
import type { Reservations } from '../../src/gang/state/reservations.ts';
import { createApp } from '../../src/http/app.ts';
import { Extender } from '../../src/http/extender/extender.ts';
import { EventRecorder } from '../../src/telemetry/events.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { openAccess } from './open-access.ts';
import { answersAtOnce } from './searchers.ts';

export interface AssembledApp {
  readonly app: Hono;
  readonly state: ClusterState;
  readonly projector: PodProjector;
  readonly reservations: Reservations;
  readonly metrics: Metrics;
  /** Adopts the content of `state` as at startup: reservations are rebuilt from what is written on the pods. */
  recover(): void;
}

const stillClock: Clock = { now: () => Date.UTC(2026, 0, 1), after: () => () => {} };

const succeed = async (): Promise<WriteOutcome> => ({ kind: 'ok' });
const writer: ClusterWriter = {
  nominate: succeed,
  clearNomination: succeed,
  recordPlan: succeed,
  annotate: succeed,
  evict: succeed,
  removeGate: succeed,
  bind: succeed,
};

/** @param levels topology levels, outer to inner; detected from the nodes' labels by default. */
export function assembleApp(levels?: ConfiguredLevels): AssembledApp {
  const config = defaultConfiguration();
  const clock = stillClock;
  const log = createLogger({ verbosity: 0, write: () => {}, now: clock.now });
  const metrics = new Metrics();
  const events = new EventRecorder({
    api: { createEvent: succeed },
    logger: log,
    metrics,
    instance: 'assembled',
    clock,
  });
  const isAccelerator = manageResources(config.managedResources);
  const projector = new PodProjector({ maxTemplates: 10_000, managedResources: config.managedResources });
  const view = new ClusterState(levels);
  const { gang, preemption, repair, queues } = config;
  const policy = { isAccelerator, score: config.topology.policy };
  const { coordinator, verbs, reservations } = assembleScheduler({
    view,
    writer,
    queueWriter: { createQueue: succeed, patchQueueStatus: succeed },
    observer: new TelemetryObserver(metrics, log, events),
    clock,
    settings: { ...gang, preemption, repair, queues, regatherMs: 2_000, policy },
    barrierTimeoutMs: gang.barrierTimeoutMs,
    lonePodCandidates: config.lonePodCandidates,
    schedulerNames: config.schedulerNames,
    projectPod: (raw) => projector.project(raw),
    searcher: answersAtOnce(policy),
  });
  const extender = new Extender(verbs);
  const bodies = { maxBytes: config.server.maxBodyMiB * 2 ** 20, maxUnfinishedBytes: 64 * 2 ** 20 };
  return {
    app: createApp({ extender, pages: [], isReady: () => true, access: openAccess, metrics, log, bodies }),
    state: view,
    projector,
    reservations,
    metrics,
    recover: () => {
      view.listen(coordinator);
      coordinator.recover(view.gangs());
    },
  };
}
