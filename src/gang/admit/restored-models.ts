/**
 * Which GPU models a gang may get for what it lost. A replacement is not asked for quota, as it restores what the gang was
 * given; on another model it restores nothing, and the limits of that model count.
 */
import type { PodModel } from '../../core/objects/model.ts';
import { type ExcludedModels, NO_EXCLUDED_MODELS } from '../framework/planning-input.ts';
import type { GangRecord } from '../state/records.ts';
import { countMost } from './count-most.ts';
import type { QueueTable } from './queue-table.ts';

export interface RestoredModels {
  readonly excluded: ExcludedModels;
  /** How many of the members may be placed at once, whichever of the other models they get: at least one. */
  readonly most: number;
}

/** @param members that are to be placed. O(models × log members × members). */
export function findRestoredModels(
  record: GangRecord,
  members: readonly PodModel[],
  queues: QueueTable,
): RestoredModels {
  const { gang, repair } = record;
  const queue = queues.queueOf(gang.namespace, gang.queue);
  const all = { excluded: NO_EXCLUDED_MODELS, most: Number.POSITIVE_INFINITY };
  if (!queue || members.length === 0) return all;
  const refused = queues.listExcludedModels(
    queue,
    queues.amountsOf(members, () => ''),
  );
  if (refused.size === 0) return all;
  let { most } = all;
  const excluded = [...refused].filter(([model]) => {
    const count = countMost(0, members.length, (some) => {
      const own = members.slice(0, some);
      return queues.grants.beyond(record, queue.name, own, queues.amountsOn(model, own)).size === 0;
    });
    if (count === members.length) return false;
    // A gang that runs takes its replacements one by one; any other needs all of them.
    if (count === 0 || !repair.hasRun) return true;
    most = Math.min(most, count);
    return false;
  });
  return { excluded: new Map(excluded), most };
}
