/** The cluster while gangs leave it, in any combination and back again. */
import { isTerminated, type PodModel } from '../model.ts';
import type { NodeIdx } from '../node-idx.ts';
import type { Snapshot } from '../snapshot.ts';
import { type Seat, Seats, Vacancy } from '../vacancy.ts';
import type { Ending } from './planned-start.ts';

/** An ending and its pods on nodes that matter. */
export interface Departure {
  readonly ending: Ending;
  readonly seats: readonly Seat[];
}

export class Departures {
  /** Those with pods that matter, by their ends; of unknown end after all others, the longest running first. */
  readonly all: readonly Departure[];
  readonly #vacancy: Vacancy;
  readonly #gone = new Set<Departure>();

  /**
   * @param priority of the gang to be placed: occupants that do not count against it free nothing.
   * @param matters nodes that do.
   */
  constructor(snapshot: Snapshot, endings: readonly Ending[], priority: number, matters: (node: NodeIdx) => boolean) {
    const seats = new Seats(snapshot);
    const occupants = new Map(snapshot.occupants.map((occupant) => [occupant.uid, occupant]));
    const seat = (pod: PodModel): readonly Seat[] => {
      if (isTerminated(pod)) return [];
      const occupant = pod.nodeName === '' ? occupants.get(pod.uid) : undefined;
      const node = occupant?.node ?? snapshot.indexOf.get(pod.nodeName);
      if (node === undefined || !matters(node) || (occupant && occupant.shields < priority)) return [];
      // What leaves is added to what is free, under the occupant that is still in the list.
      const own = seats.seat(occupant ? { ...pod, nodeName: snapshot.nodes[node]!.name } : pod);
      return own ? [own] : [];
    };
    const departures = endings.map((ending) => ({ ending, seats: ending.pods.flatMap(seat) }));
    this.all = departures.filter((departure) => departure.seats.length > 0).sort(compareDepartures);
    this.#vacancy = new Vacancy(snapshot, seats.all);
  }

  /** Its resources are always up to date, its lists of pods only after `settle`. */
  get snapshot(): Snapshot {
    return this.#vacancy.snapshot;
  }

  settle(): Snapshot {
    return this.#vacancy.settle();
  }

  leave(departure: Departure): void {
    this.#gone.add(departure);
    for (const seat of departure.seats) this.#vacancy.leave(seat);
  }

  stay(departure: Departure): void {
    this.#gone.delete(departure);
    for (const seat of departure.seats) this.#vacancy.take(seat);
  }

  /** Exactly these are gone then. */
  setTo(departures: Iterable<Departure>): Snapshot {
    const wanted = new Set(departures);
    for (const departure of this.#gone) if (!wanted.has(departure)) this.stay(departure);
    for (const departure of wanted) if (!this.#gone.has(departure)) this.leave(departure);
    return this.settle();
  }
}

function compareDepartures({ ending: a }: Departure, { ending: b }: Departure): number {
  // Infinity - Infinity is no number.
  if (a.endsAt !== b.endsAt) return a.endsAt < b.endsAt ? -1 : 1;
  return a.startedAt - b.startedAt || (a.key < b.key ? -1 : 1);
}
