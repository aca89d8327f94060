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
  /** `resource`: as in paths, such as `storageclasses`. */
  readonly kinds: readonly { readonly resource: string; readonly synced: () => boolean }[];
  start(): void;
  stop(): Promise<void>;
}

export interface WatchesParts {
  readonly source: WatchSource;
  /** The API server's address, for the log. */
  readonly server: string;
  readonly state: ClusterState;
  readonly projector: PodProjector;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly timing: Partial<WatchTiming>;
  /** Called once for each kind, when its first list is complete. */
  readonly onSynced: () => void;
}

/** Creates all watchers without starting them. */
export function createWatches(given: WatchesParts): Watches {
  const { state, projector, log, server } = given;
  let isAnswered = false;
  const parts: KnownParts = {
    ...given,
    onSynced: () => {
      isAnswered = true;
      given.onSynced();
    },
    onUnreachable: (found) => {
      if (isAnswered) return;
      isAnswered = true;
      log.warn(
        `expected an API server at ${server}, found ${found}; Muster keeps trying: ` +
          'correct api.kubeconfig, $KUBECONFIG or ~/.kube/config if this is not its address',
      );
    },
  };
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

interface KnownParts extends WatchesParts {
  /** The first failure before any answer is told with what to do, whichever watch has it. */
  readonly onUnreachable: (found: string) => void;
}

interface RunningWatch {
  readonly resource: string;
  readonly synced: () => boolean;
  start(): void;
  stop(): Promise<void>;
}

function watch<T>(parts: KnownParts, what: WatchedKind<T>, sink: Sink<T>): RunningWatch {
  const watcher = new Watcher(parts.source, what, sink, observe(parts, what.kind), { timing: parts.timing });
  return {
    resource: what.path.slice(what.path.lastIndexOf('/') + 1),
    synced: () => watcher.synced,
    start: () => watcher.start(),
    stop: () => watcher.stop(),
  };
}

const MISSING = {
  absent: 'is not installed, Muster goes on without it',
  forbidden: 'may not be read, Muster goes on without it; deploy/rbac.yaml allows it',
} as const;

function observe({ metrics, log, onSynced, onUnreachable }: KnownParts, kind: string): WatchObserver {
  metrics.clusterSynced.set({ kind }, 0);
  /** Why Muster does without the kind. It is tried again all the time, and said once. */
  let missing: keyof typeof MISSING | undefined;
  return {
    onSynced: () => {
      metrics.clusterSynced.set({ kind }, 1);
      if (missing === undefined) log.info(1, 'synced', { kind });
      onSynced();
    },
    onRestart: (reason) => {
      metrics.watchRestarts.inc({ kind, reason });
      if (reason !== 'absent' && reason !== 'forbidden') {
        log.info(2, 'watch restarts', { kind, reason });
        return;
      }
      if (reason !== missing) log.info(reason === 'absent' ? 1 : 0, MISSING[reason], { kind });
      missing = reason;
    },
    onEvent: (type) => {
      metrics.watchEvents.inc({ kind, type });
      if (missing === undefined) return;
      missing = undefined;
      log.info(1, 'can be read now', { kind });
    },
    onError: (error) => {
      const { cause } = error;
      if (!isOfConnection(cause)) {
        log.error('watch error, it goes on', error, { kind });
        return;
      }
      onUnreachable(cause.message);
      log.warn('watch error, it goes on', { kind, found: error.message });
      log.info(4, 'watch error', { kind, cause: error });
    },
  };
}

/** Errors of the system, of TLS and of undici have a code. The stack of any other leads to a mistake in Muster. */
function isOfConnection(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}
