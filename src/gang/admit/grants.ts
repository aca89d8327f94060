/**
 * What the queue of each gang has given it. A gang that has started replaces what it lost without being asked again, up to
 * that. A replacement may ask for more than the member whose place it takes: then the queue is asked for the rest.
 *
 * Volatile: after a restart a gang was given what it holds and has lost.
 */
import type { PodModel } from '../../core/objects/model.ts';
import { type Amounts, addAmounts, NOTHING, subtractAmounts, sumAmounts } from '../../core/queues/amounts.ts';
import type { LoopContext } from '../framework/context.ts';
import type { GangRecord } from '../state/records.ts';
import type { HoldingSums } from './holding-sums.ts';

export class Grants {
  readonly #reservations: Pick<LoopContext['reservations'], 'slotsOf'>;
  readonly #sums: HoldingSums;
  /** By which queue, and how much. */
  readonly #given = new WeakMap<GangRecord, { readonly queue: string; readonly amounts: Amounts }>();

  constructor(reservations: Pick<LoopContext['reservations'], 'slotsOf'>, sums: HoldingSums) {
    this.#reservations = reservations;
    this.#sums = sums;
  }

  /** The queue was asked: what the gang holds now is given. What it had before a new start does not count any more. */
  note(record: GangRecord, queue: string): void {
    const before = record.census.bound.length === 0 ? NOTHING : (this.#givenBy(record, queue) ?? NOTHING);
    this.#given.set(record, { queue, amounts: most(before, this.#sums.ofMembers(record)) });
  }

  /** Undefined if nothing is known; what another queue gave counts for nothing. */
  #givenBy(record: GangRecord, queue: string): Amounts | undefined {
    const given = this.#given.get(record);
    return given && given.queue !== queue ? NOTHING : given?.amounts;
  }

  /**
   * What the gang would hold with these members beyond what it was given; empty: it only restores what it had.
   * @param members that are to be placed, also such as have a slot.
   * @param asked what they take.
   */
  beyond(
    record: GangRecord,
    queue: string,
    members: readonly PodModel[],
    asked: Amounts = this.#sums.amountsOf(members),
  ): Amounts {
    const { census, repair } = record;
    const given = this.#givenBy(record, queue) ?? this.#firstGiven(record, queue);
    const asking = new Set(members.map(({ uid }) => uid));
    const lost = new Set(repair.lost.map(({ uid }) => uid));
    const bound = census.bound.filter(({ uid }) => !lost.has(uid));
    const slots = this.#reservations.slotsOf(record.gang.key).filter(({ pod }) => !asking.has(pod.uid));
    const after = sumAmounts([this.#sums.amountsOf(bound), asked, this.#sums.amountsOfPlanned(slots)]);
    return new Map([...subtractAmounts(after, given)].filter(([, amount]) => amount > 0));
  }

  #firstGiven(record: GangRecord, queue: string): Amounts {
    const given = new Map(this.#sums.ofMembers(record));
    addAmounts(given, this.#sums.amountsOf(record.repair.left.map(({ pod }) => pod)));
    this.#given.set(record, { queue, amounts: given });
    return given;
  }
}

function most(a: Amounts, b: Amounts): Amounts {
  const larger = new Map(a);
  for (const [dimension, amount] of b) larger.set(dimension, Math.max(amount, a.get(dimension) ?? 0));
  return larger;
}
