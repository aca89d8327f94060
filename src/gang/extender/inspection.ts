/** The scheduler as the inspect API shows it: reads the tables between two cycles and changes nothing. */
import { type Forecast, forecastStarts } from '../../core/backfill/forecast.ts';
import type { Reason } from '../../core/reasons/explain.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { Drift } from '../../core/topology/finding.ts';
import type { Backfill } from '../admit/backfill.ts';
import type { Endings } from '../admit/endings.ts';
import { priorityIn } from '../admit/place-in-line.ts';
import type { QueueTable } from '../admit/queue-table.ts';
import type { LoopContext } from '../framework/context.ts';
import type { GangView, QueueView, SchedulerView, Suspect } from '../framework/ports.ts';
import type { GangTable } from '../observe/gang-table.ts';
import type { NodeFailures } from '../repair/node-failures.ts';
import { demandOf, requestOf } from '../state/demand.ts';
import { occupy } from '../state/occupancy.ts';
import type { HolderFinder } from '../write/holder-finder.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'clock' | 'settings'>;

export interface InspectionParts {
  readonly gangs: GangTable;
  readonly failures: NodeFailures;
  readonly queues: QueueTable;
  readonly backfill: Backfill;
  readonly endings: Endings;
  readonly holders: HolderFinder;
}

export class Inspection implements SchedulerView {
  readonly #context: Context;
  readonly #parts: InspectionParts;
  readonly queues: QueueView;

  constructor(context: Context, parts: InspectionParts) {
    this.#context = context;
    this.#parts = parts;
    this.queues = viewQueues(context, parts, () => this.occupied());
  }

  gangs(): Iterable<GangView> {
    return this.#parts.gangs.values();
  }

  gang(key: string): GangView | undefined {
    return this.#parts.gangs.get(key);
  }

  reasonOf(record: GangView): Reason | undefined {
    return this.#parts.holders.complete(record, record.publication.reason);
  }

  countSlots(gang: string): number {
    return this.#context.reservations.countOf(gang);
  }

  suspects(): readonly Suspect[] {
    return this.#parts.failures.suspects(this.#context.clock.now());
  }

  snapshot(): Snapshot {
    return this.#context.view.snapshot();
  }

  occupied(): Snapshot {
    const { view, reservations } = this.#context;
    return occupy(view.snapshot(), reservations, view.foreignHolders());
  }

  get drift(): Drift {
    return this.#context.view.drift;
  }
}

function viewQueues(context: Context, parts: InspectionParts, occupied: () => Snapshot): QueueView {
  const { view, settings } = context;
  const { gangs, queues, backfill, endings } = parts;
  const { weights, backfill: rule } = settings.queues;
  return {
    get tree() {
      return queues.tree;
    },
    get use() {
      return queues.use;
    },
    weights,
    backfill: rule,
    objects: () => view.queues(),
    choose: (namespace, label) => queues.choose(namespace, label),
    shares: () => queues.shares(),
    useOf: (queue) => queues.useOf(queue),
    usageOf: (queue) => queues.usageOf(queue),
    askedBy: (gang) => queues.askedBy(gang),
    holdingsOf: (record) => queues.holdingsOf(record),
    priorityOf: ({ gang }) => {
      const choice = queues.choose(gang.namespace, gang.queue);
      return choice.kind === 'queue' ? priorityIn(choice.queue, gang) : gang.priority;
    },
    count: () => queues.countGangs([...gangs.values()]),
    plannedStarts: () => backfill.starts,
    endings: () => endings.list([...gangs.values()]),
    runLengthOf: (record) => endings.lengthOf(record),
    forecast: () => forecast(context, parts, occupied()),
  };
}

function forecast(
  { clock, settings }: Context,
  { gangs, backfill, endings }: InspectionParts,
  occupied: Snapshot,
): readonly Forecast[] {
  const records = [...gangs.values()];
  const starts = new Map(backfill.starts.map((start) => [start.gang, start]));
  // A gang that has its slots keeps its position until it waits again.
  const allowed = records.filter(
    ({ state, admission: { position, holdReason } }) =>
      state === 'Pending' && position && (!holdReason || holdReason.kind === 'behind'),
  );
  const waiting = allowed
    .sort((a, b) => a.admission.position!.position - b.admission.position!.position)
    .flatMap((record) => {
      const demand = demandOf(record, []);
      if (demand.kind !== 'members') return [];
      const request = requestOf(record, demand, [], new Set());
      return [{ request, lengthMs: endings.lengthOf(record)?.ms, start: starts.get(record.gang.key) }];
    });
  return forecastStarts(occupied, waiting, endings.list(records), settings.policy, clock.now());
}
