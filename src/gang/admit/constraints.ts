/** Under which constraints admission hands out a gang. */
import type { Queue } from '../../core/queues/tree.ts';
import type { LoopContext } from '../framework/context.ts';
import { type ExcludedModels, NO_EXCLUDED_MODELS } from '../framework/planning-input.ts';
import { countLacking, type GangRecord } from '../state/records.ts';
import { hasQuotaEarly } from './arrivals.ts';
import type { Backfill } from './backfill.ts';
import type { AdmissionConstraints } from './candidate.ts';
import { countAhead } from './growth.ts';
import type { PlaceInLine } from './place-in-line.ts';
import type { QueueTable } from './queue-table.ts';
import { findRestoredModels } from './restored-models.ts';

interface Parts {
  readonly queues: QueueTable;
  readonly backfill: Pick<Backfill, 'reservedFor' | 'starts'>;
}

/**
 * A gang that has started may replace what it lost, and keeps what it has.
 * @param hasLine whether gangs wait.
 */
export function constrainStarted(
  record: GangRecord,
  { queues, backfill }: Parts,
  reservations: Pick<LoopContext['reservations'], 'slotsOf' | 'slot'>,
  hasLine: boolean,
): AdmissionConstraints {
  const { gang, census } = record;
  const queue = queues.queueOf(gang.namespace, gang.queue);
  const name = queue?.name ?? '';
  const lacking = countLacking(record);
  const needed = census.unbound.slice(0, lacking);
  const restores = lacking > 0 && queues.grants.beyond(record, name, needed).size === 0;
  const models = restores ? findRestoredModels(record, needed, queues) : undefined;
  // Where nobody waits, a gang that is planned anew as a whole takes all its members along.
  const isFree = !hasLine && census.bound.length === 0;
  return {
    queue,
    isQuotaFull: false,
    excludedModels: models?.excluded ?? listExcludedForOne(record, queue, queues),
    // Replacements restore what it had; replacements that take more must not delay others.
    reserved: restores ? undefined : backfill.reservedFor(record),
    mayPlanEarly: false,
    ...(models && { most: models.most }),
    ...(!isFree && { ahead: countAhead(record, name, queues, reservations) }),
  };
}

function listExcludedForOne({ census }: GangRecord, queue: Queue | undefined, queues: QueueTable): ExcludedModels {
  const one = census.unbound.slice(0, 1);
  return queue ? queues.listExcludedModels(queue, queues.amountsOf(one)) : NO_EXCLUDED_MODELS;
}

/** The gang takes its turn in the line. */
export function constrainWaiting(
  { record, queue, asked }: PlaceInLine,
  { queues, backfill }: Parts,
  isQuotaFull: boolean,
): AdmissionConstraints {
  const excludedModels = queues.listExcludedModels(queue, asked);
  return { queue, isQuotaFull, excludedModels, reserved: backfill.reservedFor(record), mayPlanEarly: false };
}

/**
 * Constraints as if the gang were complete and first in queue order.
 * @param isDue its last members are about to be created, and nothing holds the gang back.
 */
export function constrainEarly(record: GangRecord, { queues, backfill }: Parts, isDue: boolean): AdmissionConstraints {
  const queue = queues.queueOf(record.gang.namespace, record.gang.queue);
  const isFirst = isDue && backfill.starts.length === 0;
  const mayPlanEarly = isFirst && queue !== undefined && hasQuotaEarly(record, queue, queues);
  return { queue, isQuotaFull: false, excludedModels: NO_EXCLUDED_MODELS, reserved: undefined, mayPlanEarly };
}
