/**
 * Who may have the API server asked how often. A stranger may send any number of tokens that he made up, and a user any
 * number of namespaces: neither may use up what others need, least of all the operator who looks for the cause.
 *
 * - A token that is not known counts for the address that it came from (of IPv6 for the network), and all such tokens together get a half.
 * - A token that was found good before, and what its user may do, count for the user: one user gets a quarter.
 *
 * So the strangers and one user leave a quarter to the next. Nothing is kept but what is counted: its size is bounded by
 * what may be asked.
 */

import type { Clock } from '../../core/objects/clock.ts';
import { groupOfAddress } from './address-group.ts';

/** For whom a question counts. */
export type Payer =
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'user'; readonly username: string };

interface Limit {
  /** Questions that the API server is being asked at a time, and within a second. */
  readonly inFlight: number;
  readonly perSecond: number;
}

const ALL: Limit = { inFlight: 16, perSecond: 100 };
const STRANGERS: Limit = { inFlight: 8, perSecond: 50 };
const ONE_ADDRESS: Limit = { inFlight: 2, perSecond: 10 };
const ONE_USER: Limit = { inFlight: 4, perSecond: 25 };

export class ReviewBudget {
  readonly #clock: Pick<Clock, 'now'>;
  /** By share. */
  readonly #inFlight = new Map<string, number>();
  #second = { begin: 0, counts: new Map<string, number>() };

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** @returns what to call when the question is answered; undefined: it may not be asked now. */
  enter(payer: Payer): (() => void) | undefined {
    const now = this.#clock.now();
    if (now - this.#second.begin >= 1_000) this.#second = { begin: now, counts: new Map() };
    const { counts } = this.#second;
    const shares = sharesOf(payer);
    const isFull = ([share, { inFlight, perSecond }]: readonly [string, Limit]) =>
      countOf(this.#inFlight, share) >= inFlight || countOf(counts, share) >= perSecond;
    if (shares.some(isFull)) return undefined;
    for (const [share] of shares) {
      counts.set(share, countOf(counts, share) + 1);
      this.#inFlight.set(share, countOf(this.#inFlight, share) + 1);
    }
    return () => {
      for (const [share] of shares) {
        const left = countOf(this.#inFlight, share) - 1;
        if (left > 0) this.#inFlight.set(share, left);
        else this.#inFlight.delete(share);
      }
    };
  }
}

/** The shares that a question counts for. */
function sharesOf(payer: Payer): readonly (readonly [string, Limit])[] {
  switch (payer.kind) {
    case 'address':
      return [
        ['all', ALL],
        ['strangers', STRANGERS],
        [`address ${groupOfAddress(payer.address)}`, ONE_ADDRESS],
      ];
    case 'user':
      return [
        ['all', ALL],
        [`user ${payer.username}`, ONE_USER],
      ];
    default:
      return payer satisfies never;
  }
}

function countOf(counts: ReadonlyMap<string, number>, share: string): number {
  return counts.get(share) ?? 0;
}
