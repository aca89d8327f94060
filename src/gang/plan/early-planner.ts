/**
 * Plans a large gang while its owner still creates the last members, so that nominations are written meanwhile. The
 * whole gang is planned, with stand-ins for the members to come. Their placeholders are held for at most `regatherMs`;
 * then everything is given back and the gang waits until it is complete.
 */
import type { PodModel } from '../../core/objects/model.ts';
import { planGang } from '../../core/placement/plan.ts';
import { type Gang, isComplete } from '../../core/podgroup/gang.ts';
import { plannedLevels } from '../../core/podgroup/plan-record.ts';
import { missingRanks } from '../../core/podgroup/ranks.ts';
import type { LoopContext } from '../framework/context.ts';
import type { PlanningInputs } from '../framework/planning-input.ts';
import { noteEarly } from '../state/attempt.ts';
import { requestOf } from '../state/demand.ts';
import { occupy } from '../state/occupancy.ts';
import { type GangRecord, refreshState } from '../state/records.ts';
import { type PlaceholderKey, standInFor } from '../state/reservations.ts';
import { newSlot } from '../state/slot.ts';
import type { SlotAssigner } from './slot-assigner.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'clock' | 'settings'>;

/** Stands in for a member to come. */
interface StandIn {
  readonly key: PlaceholderKey;
  readonly pod: PodModel;
}

export class EarlyPlanner {
  readonly #context: Context;
  readonly #assigner: SlotAssigner;
  readonly #inputs: PlanningInputs;

  constructor(context: Context, assigner: SlotAssigner, inputs: PlanningInputs) {
    this.#context = context;
    this.#assigner = assigner;
    this.#inputs = inputs;
  }

  /** Plans the whole gang, with stand-ins for the members to come. */
  plan(record: GangRecord): void {
    const { reservations, view, observer, clock, settings } = this.#context;
    const start = clock.now();
    const { gang, census, attempt } = record;
    const standIns = listStandIns(gang);
    const members = [...census.unbound, ...standIns.map(({ pod }) => pod)];
    const demand = { kind: 'members', members, min: members.length, blocksStart: true, fresh: true } as const;
    const request = requestOf(record, demand, [], this.#inputs.avoidedBy(record));
    const plan = planGang(
      occupy(view.snapshot(), reservations, view.foreignHolders()),
      request,
      settings.policy,
      start,
    );
    observer.onPlanned(gang.key, plan, (clock.now() - start) / 1000);
    noteEarly(attempt, plan.kind === 'placed' ? 'under-way' : 'over');
    if (plan.kind !== 'placed') return;
    const nodeOf = new Map(plan.slots.map(({ uid, node }) => [uid, node]));
    const name = this.#assigner.namePlan();
    const levels = plannedLevels(gang.topology);
    for (const pod of census.unbound) {
      const node = nodeOf.get(pod.uid)!;
      const rank = gang.ranks.get(pod.uid);
      const decided = { pod, gang: gang.key, node, plan: name, levels, rank, attempt: 1, since: start };
      reservations.assume(newSlot(decided));
    }
    const until = start + settings.regatherMs;
    for (const { key, pod } of standIns) reservations.addPlaceholder({ key, pod, node: nodeOf.get(pod.uid)!, until });
    refreshState(record, reservations);
  }

  /**
   * Gives members that were created since the placeholders of their ranks; a member of an unexpected rank takes any.
   * @returns whether the gang is complete now: then its slots have to be compared with what it asks.
   */
  placeArrivals({ gang, census, attempt }: GangRecord): boolean {
    const { reservations, clock } = this.#context;
    const template = gang.present[0]!.template;
    const refused = attempt.refused.get(template.key);
    const places = reservations.placeholdersOf(gang.key).filter(({ node }) => !refused?.has(node));
    const plan = this.#assigner.namePlan();
    const levels = plannedLevels(gang.topology);
    for (const pod of census.unbound) {
      if (reservations.slot(pod.uid) || pod.template !== template) continue;
      const rank = gang.ranks.get(pod.uid)!;
      const own = places.findIndex(({ key }) => key.kind === 'member-to-come' && key.rank === rank);
      const [place] = places.splice(Math.max(0, own), 1);
      if (place === undefined) break;
      const { key, node } = place;
      const planned = key.kind === 'member-to-come' ? key.rank : undefined;
      const decided = { pod, gang: gang.key, node, plan, levels, rank: planned, attempt: 1, since: clock.now() };
      reservations.fillPlaceholder(key, newSlot(decided));
    }
    if (!isComplete(gang)) return false;
    noteEarly(attempt, 'over');
    return true;
  }
}

/** Stand-ins for the members to come: like the present members, with the missing ranks. */
function listStandIns({ key: gang, present, minMember, ranks }: Gang): readonly StandIn[] {
  const example = present.at(-1)!;
  const missing = missingRanks(ranks);
  return Array.from({ length: minMember! - present.length }, () => {
    const key = { kind: 'member-to-come', gang, rank: missing.next().value } as const;
    return { key, pod: standInFor(key, { ...example, name: '' }) };
  });
}
