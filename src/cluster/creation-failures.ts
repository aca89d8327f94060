/**
 * The latest creation failure of each controller, and the gangs that a controller's failure is about. Bounded, whatever
 * Events exist: the controllers that failed longest ago are forgotten first.
 */
import type { CreationFailure } from '../core/objects/creation-failure.ts';
import type { GangKey } from '../core/podgroup/gang.ts';

/** How many controllers are remembered. */
const MOST = 10_000;

export class CreationFailures {
  /** By the controller's UID, in the order in which they failed last. */
  readonly #latest = new Map<string, CreationFailure>();
  /** How many pods and Jobs of each gang a controller owns, by its UID. */
  readonly #owned = new Map<string, Map<GangKey, number>>();

  add(failure: CreationFailure): void {
    const { ownerUid } = failure;
    const known = this.#latest.get(ownerUid);
    if (ownerUid === '' || (known && known.at > failure.at)) return;
    this.#latest.delete(ownerUid);
    this.#latest.set(ownerUid, failure);
    if (this.#latest.size > MOST) this.#latest.delete(this.#latest.keys().next().value!);
  }

  /** Its Event is deleted. */
  delete({ ownerUid, name }: CreationFailure): void {
    if (this.#latest.get(ownerUid)?.name === name) this.#latest.delete(ownerUid);
  }

  /** An Event is about an object in its own namespace. */
  latestOf(ownerUid: string, namespace: string): CreationFailure | undefined {
    const failure = this.#latest.get(ownerUid);
    return failure?.namespace === namespace ? failure : undefined;
  }

  /** The controller owns one more object of the gang, or one less. */
  count(ownerUid: string, gang: GangKey, change: 1 | -1): void {
    const gangs = this.#owned.get(ownerUid) ?? new Map<GangKey, number>();
    const count = (gangs.get(gang) ?? 0) + change;
    if (count > 0) gangs.set(gang, count);
    else gangs.delete(gang);
    if (gangs.size > 0) this.#owned.set(ownerUid, gangs);
    else this.#owned.delete(ownerUid);
  }

  /** Gangs of which the controller owns a pod or a Job. */
  gangsOf(ownerUid: string): Iterable<GangKey> {
    return this.#owned.get(ownerUid)?.keys() ?? [];
  }
}
