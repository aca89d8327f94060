/**
 * The cluster while endings leave it, in any combination and back again. O(nodes + pods that end) to make, O(pods)
 * for each departure.
 */
import { isTerminated, type PodModel } from '../model.ts';
import type { Snapshot } from '../snapshot.ts';
import type { NodeIdx } from '../topology.ts';
import { type RemovablePod, RemovablePods, SnapshotWithoutPods } from '../without-pods.ts';
import type { Ending } from './planned-start.ts';

/** An ending, and its pods on nodes that matter. */
export interface Departure {
  readonly ending: Ending;
  readonly pods: readonly RemovablePod[];
}

export class Departures {
  /**
   * The endings with pods that matter, sorted by their ends. Those of unknown end come last, the longest running
   * first.
   */
  readonly all: readonly Departure[];
  readonly #view: SnapshotWithoutPods;
  readonly #gone = new Set<Departure>();

  /**
   * @param priority of the gang to be placed: occupants that do not count against it free nothing.
   * @param matters whether a node matters to the gang.
   */
  constructor(snapshot: Snapshot, endings: readonly Ending[], priority: number, matters: (node: NodeIdx) => boolean) {
    const removable = new RemovablePods(snapshot);
    const occupants = new Map(snapshot.occupants.map((occupant) => [occupant.uid, occupant]));
    const find = (pod: PodModel): readonly RemovablePod[] => {
      if (isTerminated(pod)) return [];
      const occupant = pod.nodeName === '' ? occupants.get(pod.uid) : undefined;
      const node = occupant?.node ?? snapshot.indexOf.get(pod.nodeName);
      if (node === undefined || !matters(node) || (occupant && occupant.shields < priority)) return [];
      // Its space is added to what is free while the occupant stays in the list.
      const own = removable.add(occupant ? { ...pod, nodeName: snapshot.nodes[node]!.name } : pod);
      return own ? [own] : [];
    };
    const departures = endings.map((ending) => ({ ending, pods: ending.pods.flatMap(find) }));
    this.all = departures.filter((departure) => departure.pods.length > 0).sort(compareDepartures);
    this.#view = new SnapshotWithoutPods(snapshot, removable.all);
  }

  /** Resources are always up to date; lists of pods only after `sync`. */
  get snapshot(): Snapshot {
    return this.#view.snapshot;
  }

  sync(): Snapshot {
    return this.#view.sync();
  }

  leave(departure: Departure): void {
    this.#gone.add(departure);
    for (const pod of departure.pods) this.#view.remove(pod);
  }

  stay(departure: Departure): void {
    this.#gone.delete(departure);
    for (const pod of departure.pods) this.#view.restore(pod);
  }

  /** Makes exactly these the departed ones. */
  setTo(departures: Iterable<Departure>): Snapshot {
    const wanted = new Set(departures);
    for (const departure of this.#gone) if (!wanted.has(departure)) this.stay(departure);
    for (const departure of wanted) if (!this.#gone.has(departure)) this.leave(departure);
    return this.sync();
  }
}

function compareDepartures({ ending: a }: Departure, { ending: b }: Departure): number {
  // Infinity - Infinity is NaN.
  if (a.endsAt !== b.endsAt) return a.endsAt < b.endsAt ? -1 : 1;
  return a.startedAt - b.startedAt || (a.key < b.key ? -1 : 1);
}
