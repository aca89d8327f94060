/** All watchers of Muster: which part of the cluster state receives each kind. */
import type { PodProjector } from '../core/objects/pod-projection.ts';
import { type WatchedKind, Watcher, type WatchObserver, type WatchSource, type WatchTiming } from '../kube/watcher.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import {
  CLAIMS,
  CREATION_FAILURES,
  DAEMON_SETS,
  DISRUPTION_BUDGETS,
  JOBS,
  NODES,
  POD_GROUPS,
  podKind,
  QUEUES,
  STORAGE_CLASSES,
} from './kinds.ts';
import type { ClusterState, Sink } from './state.ts';

/** The watchers of one process. */
export interface Watches {
  readonly kinds: readonly { readonly kind: string; readonly synced: () => boolean }[];
  start(): void;
  stop(): Promise<void>;
}

export interface WatchesParts {
  readonly source: WatchSource;
  readonly state: ClusterState;
  readonly projector: PodProjector;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly timing: Partial<WatchTiming>;
  /** Called once for each kind, when its first list is complete. */
  readonly onSynced: () => void;
}

/** Creates all watchers without starting them. */
export function createWatches(parts: WatchesParts): Watches {
  const { state, projector } = parts;
  const watchers = [
    watch(parts, NODES, state.nodes),
    watch(parts, podKind(projector), state.pods),
    watch(parts, JOBS, state.jobs),
    watch(parts, CLAIMS, state.claims),
    watch(parts, STORAGE_CLASSES, state.storageClasses),
    watch(parts, DAEMON_SETS, state.daemonSets),
    watch(parts, DISRUPTION_BUDGETS, state.disruptionBudgets),
    watch(parts, POD_GROUPS, state.podGroups),
    watch(parts, QUEUES, state.queueObjects),
    watch(parts, CREATION_FAILURES, state.creationFailures),
  ];
  return {
    kinds: watchers,
    start: () => {
      for (const watcher of watchers) watcher.start();
    },
    stop: async () => {
      await Promise.all(watchers.map((watcher) => watcher.stop()));
    },
  };
}

interface RunningWatch {
  readonly kind: string;
  readonly synced: () => boolean;
  start(): void;
  stop(): Promise<void>;
}

function watch<T>(parts: WatchesParts, what: WatchedKind<T>, sink: Sink<T>): RunningWatch {
  const watcher = new Watcher(parts.source, what, sink, observe(parts, what.kind), { timing: parts.timing });
  return {
    kind: what.kind,
    synced: () => watcher.synced,
    start: () => watcher.start(),
    stop: () => watcher.stop(),
  };
}

function observe({ metrics, log, onSynced }: WatchesParts, kind: string): WatchObserver {
  metrics.clusterSynced.set({ kind }, 0);
  let isForbidden = false;
  return {
    onSynced: () => {
      metrics.clusterSynced.set({ kind }, 1);
      log.info(1, 'synced', { kind });
      onSynced();
    },
    onRestart: (reason) => {
      metrics.watchRestarts.inc({ kind, reason });
      if (reason === 'forbidden' && !isForbidden) {
        isForbidden = true;
        log.info(0, 'may not be read, Muster goes on without it; deploy/rbac.yaml allows it', { kind });
      }
      log.info(2, 'watch restarts', { kind, reason });
    },
    onEvent: (type) => metrics.watchEvents.inc({ kind, type }),
    onError: (error) => log.error('watch error, it goes on', error, { kind }),
  };
}
