/**
 * Projects the object `Queue` (`muster.dev/v1alpha1`). Its spec has the same fields as a queue of the configuration
 * file. deploy/crds/queue.yaml rejects most invalid specs; what it cannot check becomes a problem here, never an
 * exception: one bad object must not hide the others.
 */
import { parseExactly } from '../objects/quantity.ts';
import type { RawMetadata } from '../objects/raw-pod.ts';
import { scaleOf } from '../objects/resources.ts';
import { formatDuration, instantOf, parseDuration } from '../objects/text-values.ts';
import type { Amounts } from './amounts.ts';
import { type RawQueueStatus, readWrittenAmounts } from './status.ts';
import type { QueueSpec, Quota } from './tree.ts';

export interface QueueModel {
  readonly name: string;
  readonly uid: string;
  /** Undefined when the queue cannot be used, see `problem`. */
  readonly spec: QueueSpec | undefined;
  readonly problem: string | undefined;
  /** The decayed usage that was written last, and its instant; undefined: none was written. */
  readonly usage: { readonly amounts: Amounts; readonly at: number } | undefined;
  /** The whole status as it was written, to find out whether it has to be written again. */
  readonly written: RawQueueStatus | undefined;
}

/** As the API server stores it. */
export interface RawQueueSpec {
  readonly parent?: string;
  readonly weight?: number;
  readonly quotas?: readonly RawQuota[] | null;
  readonly allowBorrowing?: boolean;
  readonly reclaimable?: boolean;
  readonly order?: QueueSpec['order'];
  readonly defaultPriority?: number;
  readonly maxRunTime?: string;
  readonly maxMinRuntime?: string;
  readonly allowNonPreemptible?: boolean;
  readonly namespaces?: readonly string[] | null;
  readonly defaultFor?: readonly string[] | null;
}

interface RawQuota {
  readonly resource?: string;
  readonly model?: string;
  readonly guaranteed?: string | number;
  readonly limit?: string | number;
}

interface RawQueue {
  readonly metadata?: RawMetadata;
  readonly spec?: RawQueueSpec | null;
  readonly status?: RawQueueStatus | null;
}

export function projectQueue(raw: unknown): QueueModel {
  const { metadata, spec, status } = raw as RawQueue;
  const name = metadata?.name ?? '';
  const at = instantOf(status?.observedAt);
  const common = {
    name,
    uid: metadata?.uid ?? '',
    usage: at === undefined ? undefined : { amounts: readWrittenAmounts(status?.usage), at },
    written: status ?? undefined,
  };
  try {
    return { ...common, spec: readSpec(name, spec ?? {}), problem: undefined };
  } catch (error) {
    return { ...common, spec: undefined, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** Renders a spec as `projectQueue` and the configuration file read it, with all defaults written out. */
export function renderSpec(spec: QueueSpec): RawQueueSpec {
  const { parent, defaultPriority, maxRunTimeMs, maxMinRuntimeMs, allowNonPreemptible, namespaces } = spec;
  return {
    ...(parent !== undefined && { parent }),
    weight: spec.weight,
    quotas: spec.quotas.map(renderQuota),
    allowBorrowing: spec.allowBorrowing,
    reclaimable: spec.reclaimable,
    order: spec.order,
    ...(defaultPriority !== undefined && { defaultPriority }),
    ...(maxRunTimeMs !== undefined && { maxRunTime: formatDuration(maxRunTimeMs) }),
    ...(maxMinRuntimeMs !== undefined && { maxMinRuntime: formatDuration(maxMinRuntimeMs) }),
    ...(allowNonPreemptible !== undefined && { allowNonPreemptible }),
    ...(namespaces !== undefined && { namespaces }),
    defaultFor: spec.defaultFor,
  };
}

/**
 * The queues in force: an object replaces the queue of the same name in the file, unless the object cannot be used.
 * The queues of the file come first, in its order.
 */
export function mergeQueues(file: readonly QueueSpec[], objects: Iterable<QueueModel>): readonly QueueSpec[] {
  const merged = new Map(file.map((spec) => [spec.name, spec]));
  for (const { name, spec } of objects) if (spec) merged.set(name, spec);
  return [...merged.values()];
}

/** @throws Error that names the field. */
function readSpec(name: string, raw: RawQueueSpec): QueueSpec {
  const { maxRunTime } = raw;
  const maxRunTimeMs = maxRunTime === undefined ? undefined : parseDuration(maxRunTime);
  if (maxRunTime !== undefined && !maxRunTimeMs) {
    throw new Error(
      `spec.maxRunTime: expected a duration above 0 such as 24h or 1h30m, found ${JSON.stringify(maxRunTime)}`,
    );
  }
  const { maxMinRuntime } = raw;
  const maxMinRuntimeMs = maxMinRuntime === undefined ? undefined : parseDuration(maxMinRuntime);
  if (maxMinRuntime !== undefined && maxMinRuntimeMs === undefined) {
    throw new Error(
      `spec.maxMinRuntime: expected a duration such as 0s, 30m or 1h30m, found ${JSON.stringify(maxMinRuntime)}`,
    );
  }
  return {
    name,
    parent: raw.parent,
    weight: raw.weight ?? 1,
    quotas: (raw.quotas ?? []).map(readQuota),
    allowBorrowing: raw.allowBorrowing ?? true,
    reclaimable: raw.reclaimable ?? true,
    order: raw.order ?? 'best-effort',
    defaultPriority: raw.defaultPriority,
    maxRunTimeMs,
    maxMinRuntimeMs,
    allowNonPreemptible: raw.allowNonPreemptible,
    namespaces: raw.namespaces ?? undefined,
    defaultFor: raw.defaultFor ?? [],
  };
}

function readQuota(raw: RawQuota, index: number): Quota {
  const { resource = '', model, guaranteed = 0, limit } = raw;
  const read = (field: string, text: string | number): number => {
    const amount = parseExactly(text, scaleOf(resource));
    if (amount !== undefined && amount >= 0) return amount;
    throw new Error(
      `spec.quotas[${index}].${field}: expected a quantity of ${resource} such as 64, at least 0, found ${JSON.stringify(text)}`,
    );
  };
  const quota = {
    resource,
    model: model || undefined,
    guaranteed: read('guaranteed', guaranteed),
    limit: limit === undefined ? undefined : read('limit', limit),
  };
  if (quota.limit !== undefined && quota.limit < quota.guaranteed) {
    throw new Error(
      `spec.quotas[${index}].limit: expected at least what is guaranteed (${guaranteed}), found ${JSON.stringify(limit)}`,
    );
  }
  return quota;
}

function renderQuota({ resource, model, guaranteed, limit }: Quota): RawQuota {
  const render = (amount: number) => renderQuantity(amount, resource);
  return {
    resource,
    ...(model !== undefined && { model }),
    guaranteed: render(guaranteed),
    ...(limit !== undefined && { limit: render(limit) }),
  };
}

/** As a number or, where it is no whole one, as a quantity. */
export function renderQuantity(amount: number, resource: string): string | number {
  if (scaleOf(resource) === 'one') return amount;
  return amount % 1000 === 0 ? amount / 1000 : `${amount}m`;
}
