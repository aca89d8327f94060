/**
 * How many bytes of reviews are read. The API server presents no certificate to a webhook unless it is told to, so whoever
 * reaches the port is answered, and reading JSON takes the one thread that decides. One address gets a half of what there
 * is, so that it cannot use up what the API server needs.
 */
import type { Clock } from '../../core/objects/clock.ts';
import { groupOfAddress } from '../access/address-group.ts';

const MIB = 2 ** 20;
/** Bytes within a second. A member with all that the API server adds has some 10 KB, so one API server may create 1,000. */
const ALL = 24 * MIB;
const ONE_ADDRESS = 12 * MIB;

export class ReviewBytes {
  readonly #clock: Pick<Clock, 'now'>;
  #second = { begin: Number.NEGATIVE_INFINITY, all: 0, byAddress: new Map<string, number>() };

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** Whether a body of this size may be read now; then it counts. */
  take(address: string, bytes: number): boolean {
    const now = this.#clock.now();
    if (now - this.#second.begin >= 1_000) this.#second = { begin: now, all: 0, byAddress: new Map() };
    const { byAddress } = this.#second;
    const group = groupOfAddress(address);
    const ofAddress = (byAddress.get(group) ?? 0) + bytes;
    if (this.#second.all + bytes > ALL || ofAddress > ONE_ADDRESS) return false;
    this.#second.all += bytes;
    byAddress.set(group, ofAddress);
    return true;
  }
}
