/**
 * Growth: members that a gang which has started has beyond what it was given. They stand in the line with the gangs that
 * wait, at the priority of their gang and as old as they are themselves. No place is kept for growth and nobody waits
 * behind it; what makes good a loss goes before the line.
 */
import type { PodModel } from '../../core/objects/model.ts';
import { subtractAmounts } from '../../core/queues/amounts.ts';
import type { LoopContext } from '../framework/context.ts';
import { holdBack } from '../state/admission-status.ts';
import { demandOf } from '../state/demand.ts';
import { countLacking, countOpenLosses, type GangRecord } from '../state/records.ts';
import { countMost } from './count-most.ts';
import { type PlaceInLine, placeInLine } from './place-in-line.ts';
import type { QueueTable } from './queue-table.ts';

type Reservations = Pick<LoopContext['reservations'], 'slotsOf' | 'slot'>;

/** Where the growth of the gang stands; undefined: it does not grow, or its queue cannot be used. */
export function placeGrowth(
  record: GangRecord,
  queues: QueueTable,
  reservations: Reservations,
): PlaceInLine | undefined {
  const { gang, admission } = record;
  const demand = demandOf(record, reservations.slotsOf(gang.key));
  if (demand.kind !== 'members' || demand.blocksStart) return undefined;
  const choice = queues.choose(gang.namespace, gang.queue);
  if (choice.kind === 'problem') {
    holdBack(admission, { kind: 'queue', problem: choice.problem });
    return undefined;
  }
  const { queue } = choice;
  const createdAt = demand.members.reduce((first, pod) => Math.min(first, pod.createdAt), Number.POSITIVE_INFINITY);
  const asked = queues.amountsOf(demand.members.slice(0, demand.min));
  return placeInLine('growing', record, { queue, asked, createdAt });
}

/**
 * How many of its members without a place the gang may place before all that wait: while it starts, what the queue has
 * given it; from then on as many as make good what it lost, if they ask for no more than that. Members without which it
 * cannot go on always may.
 * @param queue the name of its queue.
 */
export function countAhead(record: GangRecord, queue: string, queues: QueueTable, reservations: Reservations): number {
  const { gang, census, repair } = record;
  const slots = reservations.slotsOf(gang.key);
  const members = census.unbound.filter(({ uid }) => !reservations.slot(uid));
  const needed = Math.max(0, countLacking(record) - slots.length);
  if (!repair.hasRun) {
    return countMost(needed, members.length, (count) => {
      return queues.grants.beyond(record, queue, members.slice(0, count)).size === 0;
    });
  }
  const losses = Math.min(members.length, countOpenLosses(record) + repair.spare.length - slots.length);
  if (losses <= needed) return needed;
  // Wherever they are, or were: the node may be gone.
  const amountsOf = (pods: readonly PodModel[]) => queues.amountsOf(pods, () => '');
  const lost = amountsOf([...repair.left, ...repair.spare].map(({ pod }) => pod).concat(repair.lost));
  const pending = slots.map(({ pod }) => pod);
  return countMost(needed, losses, (count) => {
    const asked = amountsOf([...pending, ...members.slice(0, count)]);
    return [...subtractAmounts(asked, lost).values()].every((amount) => amount <= 0);
  });
}
