/** All kinds that Muster watches: where each is served, and which part of the cluster state receives it. */
import { FAILED_CREATE, projectCreationFailure } from '../core/objects/creation-failure.ts';
import type { PodProjector } from '../core/objects/pod-projection.ts';
import {
  projectClaim,
  projectDaemonSet,
  projectDisruptionBudget,
  projectJob,
  projectNode,
  projectPodGroup,
  projectStorageClass,
} from '../core/objects/projection.ts';
import { projectQueue } from '../core/queues/projection.ts';
import { type WatchedKind, Watcher, type WatchObserver, type WatchSource, type WatchTiming } from '../kube/watcher.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
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
    watch(parts, { kind: 'Node', path: '/api/v1/nodes', project: projectNode }, state.nodes),
    watch(parts, { kind: 'Pod', path: '/api/v1/pods', project: (raw) => projector.project(raw) }, state.pods),
    watch(parts, { kind: 'Job', path: '/apis/batch/v1/jobs', project: projectJob }, state.jobs),
    watch(
      parts,
      { kind: 'PersistentVolumeClaim', path: '/api/v1/persistentvolumeclaims', project: projectClaim },
      state.claims,
    ),
    watch(
      parts,
      { kind: 'StorageClass', path: '/apis/storage.k8s.io/v1/storageclasses', project: projectStorageClass },
      state.storageClasses,
    ),
    watch(parts, { kind: 'DaemonSet', path: '/apis/apps/v1/daemonsets', project: projectDaemonSet }, state.daemonSets),
    watch(
      parts,
      { kind: 'PodDisruptionBudget', path: '/apis/policy/v1/poddisruptionbudgets', project: projectDisruptionBudget },
      state.disruptionBudgets,
    ),
    watch(
      parts,
      {
        kind: 'PodGroup',
        path: '/apis/scheduling.x-k8s.io/v1alpha1/podgroups',
        project: projectPodGroup,
        optional: 'absent',
      },
      state.podGroups,
    ),
    watch(
      parts,
      { kind: 'Queue', path: '/apis/muster.dev/v1alpha1/queues', project: projectQueue, optional: 'absent' },
      state.queueObjects,
    ),
    // The API server has no cache for Events and sends no bookmarks: a quiet watch is opened again each time it is idle.
    watch(
      parts,
      {
        kind: 'Event',
        path: '/api/v1/events',
        fieldSelector: `reason=${FAILED_CREATE}`,
        project: projectCreationFailure,
        optional: 'unreadable',
      },
      state.creationFailures,
    ),
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

function observe({ metrics, log, onSynced, onUnreachable }: KnownParts, kind: string): WatchObserver {
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
