/** The `queues` section of the configuration. */

import { scaleOf } from '../core/objects/resources.ts';
import { formatDuration } from '../core/objects/text-values.ts';
import { renderQuantity, renderSpec } from '../core/queues/projection.ts';
import { buildQueueTree, type QueueSpec, type Quota } from '../core/queues/tree.ts';
import { explainQueueProblem } from '../core/reasons/explain-queue.ts';
import type { Section, TextForm } from './section.ts';

/** The weight of each factor in the order of gangs. */
export interface OrderWeightsConfiguration {
  readonly priority: number;
  readonly fairShare: number;
  readonly age: number;
  readonly size: number;
}

const BACKFILLS = ['easy', 'conservative', 'none'] as const;

export interface QueuesConfiguration {
  readonly weights: OrderWeightsConfiguration;
  readonly halfLifeMs: number;
  readonly maxAgeMs: number;
  readonly backfill: (typeof BACKFILLS)[number];
  /** Run time assumed for gangs without an expected duration; undefined: unknown. */
  readonly defaultRunTimeMs: number | undefined;
  readonly drainAfterMs: number;
  readonly runTimeWarningMs: number;
  readonly statusIntervalMs: number;
  /** The queues in the file; `Queue` objects of the same name take precedence. */
  readonly items: readonly QueueSpec[];
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const year = 365 * 24 * hour;
const span = { min: 10, max: year };
const orderWeight = { min: 0, max: 1_000_000_000 };

const queueName: TextForm = {
  expected: 'a queue name such as team-a, at most 63 of a-z, 0-9 and -',
  pattern: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
};
const namespaceName: TextForm = {
  expected: 'the name of a namespace',
  pattern: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
};
const resourceName: TextForm = {
  expected: 'a resource name such as nvidia.com/gpu or cpu',
  pattern: /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
};
const gpuModel: TextForm = {
  expected: 'a GPU model as in the node label nvidia.com/gpu.product, such as NVIDIA-H100-80GB-HBM3',
  pattern: /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
};

/** Reads the section; problems are reported to it. */
export function readQueues(section: Section): QueuesConfiguration {
  const queues = {
    weights: readWeights(section.section('weights')),
    halfLifeMs: section.durationMs('halfLife', 168 * hour, span),
    maxAgeMs: section.durationMs('maxAge', 168 * hour, span),
    backfill: section.choice('backfill', 'easy', BACKFILLS),
    defaultRunTimeMs: section.optionalDurationMs('defaultRunTime', span),
    drainAfterMs: section.durationMs('drainAfter', 30 * minute, { min: 0, max: year }),
    runTimeWarningMs: section.durationMs('runTimeWarning', 10 * minute, { min: 0, max: year }),
    statusIntervalMs: section.durationMs('statusInterval', 10 * second, { min: 100, max: hour }),
    items: (section.optionalSections('items') ?? []).map(readItem),
  };
  section.end();
  return queues;
}

function readWeights(section: Section): OrderWeightsConfiguration {
  const weights = {
    priority: section.number('priority', 1_000_000, orderWeight),
    fairShare: section.number('fairShare', 10_000, orderWeight),
    age: section.number('age', 100, orderWeight),
    size: section.number('size', 0, orderWeight),
  };
  section.end();
  return weights;
}

function readItem(section: Section): QueueSpec {
  const spec = {
    name: section.requiredText('name', queueName),
    parent: section.optionalText('parent', queueName),
    weight: section.number('weight', 1, { min: 0.001, max: 1_000_000 }),
    quotas: (section.optionalSections('quotas') ?? []).map(readQuota),
    allowBorrowing: section.boolean('allowBorrowing', true),
    reclaimable: section.boolean('reclaimable', true),
    order: section.choice('order', 'best-effort', ['strict', 'best-effort']),
    defaultPriority: section.optionalInteger('defaultPriority', { min: -2_147_483_648, max: 1_000_000_000 }),
    maxRunTimeMs: section.optionalDurationMs('maxRunTime', span),
    maxMinRuntimeMs: section.optionalDurationMs('maxMinRuntime', { min: 0, max: year }),
    allowNonPreemptible: section.optionalBoolean('allowNonPreemptible'),
    namespaces: section.optionalTexts('namespaces', namespaceName),
    defaultFor: section.texts('defaultFor', [], namespaceName),
  };
  section.end();
  return spec;
}

function readQuota(section: Section): Quota {
  const resource = section.requiredText('resource', resourceName);
  const quota = {
    resource,
    model: section.optionalText('model', gpuModel),
    guaranteed: section.optionalQuantity('guaranteed', scaleOf(resource)) ?? 0,
    limit: section.optionalQuantity('limit', scaleOf(resource)),
  };
  section.end();
  return quota;
}

/** Checks across fields; returns one message per problem. */
export function checkQueues({ items }: QueuesConfiguration): readonly string[] {
  const ofItems = items.flatMap((item, index) => checkItem(item, `queues.items[${index}]`));
  const ofTree = buildQueueTree(items).problems.map((problem) => `queues.items: ${explainQueueProblem(problem)}`);
  return [...ofItems, ...ofTree];
}

function checkItem({ quotas, namespaces, defaultFor }: QueueSpec, path: string): readonly string[] {
  const problems: string[] = [];
  for (const [index, { guaranteed, limit, ...quota }] of quotas.entries()) {
    if (limit !== undefined && limit < guaranteed) {
      const [found, least] = [limit, guaranteed].map((amount) => renderQuantity(amount, quota.resource));
      problems.push(
        `${path}.quotas[${index}].limit: expected at least ${least} (guaranteed), found ${found}; ` +
          'raise the limit or lower the guarantee',
      );
    }
    if (quota.model !== undefined && !quota.resource.includes('/')) {
      problems.push(
        `${path}.quotas[${index}].model: expected none, as ${quota.resource} is of no GPU, found "${quota.model}"`,
      );
    }
    const first = quotas.findIndex(({ resource, model }) => resource === quota.resource && model === quota.model);
    if (first < index) {
      const what = quota.model === undefined ? quota.resource : `${quota.resource} of model ${quota.model}`;
      problems.push(`${path}.quotas: expected each resource and model once, found ${what} twice`);
    }
  }
  const excluded = namespaces && defaultFor.find((namespace) => !namespaces.includes(namespace));
  if (excluded !== undefined) {
    problems.push(
      `${path}.defaultFor: expected namespaces that may use the queue (${namespaces?.join(', ')}), found "${excluded}"`,
    );
  }
  return problems;
}

/** The section in the form that `readQueues` reads. */
export function renderQueues(queues: QueuesConfiguration): object {
  const { defaultRunTimeMs } = queues;
  return {
    weights: queues.weights,
    halfLife: formatDuration(queues.halfLifeMs),
    maxAge: formatDuration(queues.maxAgeMs),
    backfill: queues.backfill,
    ...(defaultRunTimeMs !== undefined && { defaultRunTime: formatDuration(defaultRunTimeMs) }),
    drainAfter: formatDuration(queues.drainAfterMs),
    runTimeWarning: formatDuration(queues.runTimeWarningMs),
    statusInterval: formatDuration(queues.statusIntervalMs),
    items: queues.items.map((item) => ({ name: item.name, ...renderSpec(item) })),
  };
}
