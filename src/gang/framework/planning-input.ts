/** What the planner is given for one gang: what it asks for, and the cluster as others leave it. */
import type { GangRequest } from '../../core/placement/gang-request.ts';
import type { QuotaRefusal } from '../../core/queues/quota.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { type MembersDemand, placedWithPlaceholders, requestOf } from '../state/demand.ts';
import { occupy } from '../state/occupancy.ts';
import type { GangRecord } from '../state/records.ts';
import { type HoldId, holdIdOf, type Placeholder } from '../state/reservations.ts';
import type { Slot } from '../state/slot.ts';
import type { LoopContext } from './context.ts';

export interface PlanningInput {
  readonly request: GangRequest;
  /** With what others hold. */
  readonly occupied: Snapshot;
}

/** Space of others that the plan may count on. */
export interface TakenCapacity {
  readonly slots: readonly Slot[];
  readonly placeholders: readonly Pick<Placeholder, 'key'>[];
}

/** GPU models that a queue has no quota left for, and what says so. */
export type ExcludedModels = ReadonlyMap<string, QuotaRefusal>;

export interface PlanningOptions {
  /** Slots of the gang that stay as they are. */
  readonly stay?: readonly Slot[];
  readonly taken?: TakenCapacity;
  readonly excludedModels?: ExcludedModels;
}

/** Nodes that failed under a gang; `repair/node-failures.ts` knows them. */
export interface FailedNodes {
  avoidedBy(gang: string, now: number): ReadonlySet<string>;
}

export const NO_EXCLUDED_MODELS: ExcludedModels = new Map();

export class PlanningInputs {
  readonly #context: Pick<LoopContext, 'view' | 'reservations' | 'clock'>;
  readonly #failedNodes: FailedNodes;

  constructor(context: Pick<LoopContext, 'view' | 'reservations' | 'clock'>, failedNodes: FailedNodes) {
    this.#context = context;
    this.#failedNodes = failedNodes;
  }

  /** O(nodes + slots and holds). */
  of(
    record: GangRecord,
    demand: MembersDemand,
    { stay = [], taken, excludedModels = NO_EXCLUDED_MODELS }: PlanningOptions = {},
  ): PlanningInput {
    const { reservations, view } = this.#context;
    const own = reservations.placeholdersOf(record.gang.key);
    const slots = new Set(demand.members.map(({ uid }) => uid));
    const holds = new Set<HoldId>(own.map(({ key }) => holdIdOf(key)));
    for (const { pod } of taken?.slots ?? []) slots.add(pod.uid);
    for (const { key } of taken?.placeholders ?? []) holds.add(holdIdOf(key));
    const placed = placedWithPlaceholders(record, stay, own);
    const request = requestOf(record, demand, placed, this.avoidedBy(record), new Set(excludedModels.keys()));
    return { request, occupied: occupy(view.snapshot(), reservations, view.foreignHolders(), { slots, holds }) };
  }

  /** Nodes that failed under the gang. */
  avoidedBy({ gang }: GangRecord): ReadonlySet<string> {
    return this.#failedNodes.avoidedBy(gang.key, this.#context.clock.now());
  }
}
