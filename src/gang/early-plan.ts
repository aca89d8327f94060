/**
 * Planning a large gang while its owner still creates the last members, so that nominations are written meanwhile and
 * not afterwards. The whole gang is planned, with stand-ins for the members to come; their places are kept for at most
 * `regatherMs`, then everything is given back and the gang waits until it is complete.
 */
import type { PodModel, PodUid } from '../core/model.ts';
import { planGang } from '../core/plan.ts';
import type { Gang } from '../core/pod-group.ts';
import { missingRanks } from '../core/ranks.ts';
import { type Snapshot, withOccupants } from '../core/snapshot.ts';
import { requestOf } from './demand.ts';
import { type GangRecord, stateOf } from './gang-record.ts';
import { listOccupants } from './occupancy.ts';
import type { CoordinatorParts } from './parts.ts';
import { newSlot } from './reservations.ts';

/**
 * The rest is expected within this, milliseconds. Far below the time for which places are kept: the nominations compete with
 * the creations for the API server. With 1.5 s a 1,000-pod gang on a busy machine was late nearly every time.
 */
const SOON_MS = 500;
/** Below this nothing is won: a plan that is made when the gang is complete comes as early. */
const WORTH_MS = 100;

/** Whether to plan the gang now although members are missing. Once only: one that did not come in time proves us wrong. */
export function isDueEarly(record: Pick<GangRecord, 'gang' | 'census' | 'arrivals' | 'early'>, now: number): boolean {
  const { gang, census, arrivals, early } = record;
  if (early !== 'possible' || census.started > 0 || gang.problems.length > 0 || gang.minMember === undefined)
    return false;
  const have = gang.members.length;
  const came = have - arrivals.first;
  const missing = gang.minMember - have;
  if (missing <= 0 || came <= 0) return false;
  const restMs = ((now - arrivals.since) / came) * missing;
  return restMs >= WORTH_MS && restMs <= SOON_MS && areAlike(gang.members);
}

/** A launcher among workers, say: nobody knows which of them is still to come. */
function areAlike(members: readonly PodModel[]): boolean {
  return members.every((pod) => pod.template === members[0]!.template);
}

export class EarlyPlanner {
  readonly #parts: CoordinatorParts;
  readonly #namePlan: () => string;
  readonly #avoidedBy: (gang: string) => ReadonlySet<string>;

  /** @param avoidedBy nodes that failed under the gang. */
  constructor(parts: CoordinatorParts, namePlan: () => string, avoidedBy: (gang: string) => ReadonlySet<string>) {
    this.#parts = parts;
    this.#namePlan = namePlan;
    this.#avoidedBy = avoidedBy;
  }

  /** Plans all of the gang, with stand-ins for the members to come. */
  plan(record: GangRecord, snapshot: Snapshot): void {
    const { reservations, view, observer, clock, settings } = this.#parts;
    const start = clock.now();
    const { gang, census } = record;
    const standIns = standInsFor(gang);
    const members = [...census.unbound, ...standIns];
    const occupants = listOccupants(snapshot, reservations, view.strangers(), new Set());
    const demand = { kind: 'members', members, min: members.length, blocksStart: true, fresh: true } as const;
    const plan = planGang(
      withOccupants(snapshot, occupants),
      requestOf(record, demand, [], this.#avoidedBy(gang.key)),
      settings.policy,
      start,
    );
    observer.onPlanned(gang.key, plan, (clock.now() - start) / 1000);
    record.early = plan.kind === 'placed' ? 'under-way' : 'over';
    if (plan.kind !== 'placed') return;
    const nodeOf = new Map(plan.slots.map(({ uid, node }) => [uid, node]));
    const name = this.#namePlan();
    for (const pod of census.unbound) {
      const node = nodeOf.get(pod.uid)!;
      reservations.assume(newSlot({ pod, gang: gang.key, node, plan: name, attempt: 1, since: start }));
    }
    const until = start + settings.regatherMs;
    for (const pod of standIns) {
      const node = nodeOf.get(pod.uid)!;
      record.vacancies.set(pod.uid, node);
      reservations.hold(pod.uid, [{ pod, node, until }]);
    }
    record.state = stateOf(record, reservations);
  }

  /** Members that came since take the places that were kept for their ranks; one of an unexpected rank takes any. */
  seatArrivals(record: GangRecord): void {
    const { reservations, clock } = this.#parts;
    const { gang, census, vacancies, refused } = record;
    const pattern = gang.members[0]!.template;
    const taken = refused.get(pattern.key);
    const places = [...vacancies].filter(([key, node]) => reservations.hasHold(key) && !taken?.has(node));
    const name = this.#namePlan();
    for (const pod of census.unbound) {
      if (reservations.slot(pod.uid) || pod.template !== pattern) continue;
      const key = placeOf(gang, gang.ranks.get(pod.uid)!);
      const [place] = places.splice(
        Math.max(
          0,
          places.findIndex(([kept]) => kept === key),
        ),
        1,
      );
      if (place === undefined) break;
      const [kept, node] = place;
      vacancies.delete(kept);
      const slot = newSlot({ pod, gang: gang.key, node, plan: name, attempt: 1, since: clock.now() });
      reservations.assumeHeld(kept, slot);
    }
    if (gang.members.length >= gang.minMember!) record.early = 'over';
  }
}

/** Members to come, as far as they can be known: like those that are there, with the ranks that are missing. */
function standInsFor(gang: Gang): readonly PodModel[] {
  const { members, minMember, ranks } = gang;
  const pattern = members.at(-1)!;
  const missing = missingRanks(ranks);
  return Array.from({ length: minMember! - members.length }, () => ({
    ...pattern,
    uid: placeOf(gang, missing.next().value),
    name: '',
  }));
}

function placeOf({ key }: Gang, rank: number): PodUid {
  return `${key}: member to come of rank ${rank}` as PodUid;
}
