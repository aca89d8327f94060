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

type Planned = Pick<LoopContext['reservations'], 'slotsOf' | 'placeholdersOf'>;
type AmountsOf = (pods: readonly PodModel[], nodeOf?: (pod: PodModel) => string) => Amounts;

export class Grants {
  readonly #reservations: Planned;
  readonly #amountsOf: AmountsOf;
  /** By which queue, and how much. */
  readonly #given = new WeakMap<GangRecord, { readonly queue: string; readonly amounts: Amounts }>();

  constructor(reservations: Planned, amountsOf: AmountsOf) {
    this.#reservations = reservations;
    this.#amountsOf = amountsOf;
  }

  /** The queue was asked: what the gang holds now is given. What it had before a new start does not count any more. */
  note(record: GangRecord, queue: string): void {
    const before = record.census.bound.length === 0 ? NOTHING : (this.#givenBy(record, queue) ?? NOTHING);
    this.#given.set(record, { queue, amounts: most(before, this.#holdings(record)) });
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
    asked: Amounts = this.#amountsOf(members),
  ): Amounts {
    const { census, repair } = record;
    const given = this.#givenBy(record, queue) ?? this.#firstGiven(record, queue);
    const asking = new Set(members.map(({ uid }) => uid));
    const lost = new Set(repair.lost.map(({ uid }) => uid));
    const bound = census.bound.filter(({ uid }) => !lost.has(uid));
    const slots = this.#reservations.slotsOf(record.gang.key).filter(({ pod }) => !asking.has(pod.uid));
    const planned = amountsOfPlanned(slots, this.#amountsOf);
    const after = sumAmounts([this.#amountsOf(bound), asked, ...planned]);
    return new Map([...subtractAmounts(after, given)].filter(([, amount]) => amount > 0));
  }

  #firstGiven(record: GangRecord, queue: string): Amounts {
    const given = new Map(this.#holdings(record));
    addAmounts(given, this.#amountsOf(record.repair.left.map(({ pod }) => pod)));
    this.#given.set(record, { queue, amounts: given });
    return given;
  }

  #holdings({ gang, census }: GangRecord): Amounts {
    const planned = [...this.#reservations.slotsOf(gang.key), ...this.#reservations.placeholdersOf(gang.key)];
    return sumAmounts([this.#amountsOf(census.bound), ...amountsOfPlanned(planned, this.#amountsOf)]);
  }
}

/** What each slot or placeholder takes on its node. */
export function amountsOfPlanned(
  planned: readonly { readonly pod: PodModel; readonly node: string }[],
  amountsOf: AmountsOf,
): readonly Amounts[] {
  return planned.map(({ pod, node }) => amountsOf([pod], () => node));
}

function most(a: Amounts, b: Amounts): Amounts {
  const larger = new Map(a);
  for (const [dimension, amount] of b) larger.set(dimension, Math.max(amount, a.get(dimension) ?? 0));
  return larger;
}
