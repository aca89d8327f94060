/**
 * Builds what the planner needs for one gang: the request, and the snapshot with the capacity of other holders
 * occupied.
 */
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
  /** The snapshot with the capacity of all other holders occupied. */
  readonly occupied: Snapshot;
}

/** Capacity of other gangs that the plan may use. */
export interface TakenCapacity {
  readonly slots: readonly Slot[];
  readonly placeholders: readonly Pick<Placeholder, 'key'>[];
}

/** GPU models without quota left in the queue, each with the refusal. */
export type ExcludedModels = ReadonlyMap<string, QuotaRefusal>;

export interface PlanningOptions {
  /** Slots of the gang that the plan leaves as they are. */
  readonly stay?: readonly Slot[];
  readonly taken?: TakenCapacity;
  readonly excludedModels?: ExcludedModels;
}

/** Nodes that failed under a gang; implemented by `repair/node-failures.ts`. */
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

  /** Nodes on which the gang lost members lately. */
  avoidedBy({ gang }: GangRecord): ReadonlySet<string> {
    return this.#failedNodes.avoidedBy(gang.key, this.#context.clock.now());
  }
}
