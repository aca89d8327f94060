/**
 * Asks the API server who holds a bearer token and what they may do, and remembers the answers for a short time. What
 * is asked is bounded, for each caller and in all (`review-budget.ts`): a flood of tokens must neither flood the API server,
 * nor fill the memory, nor keep others out.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/objects/clock.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type Payer, ReviewBudget } from './review-budget.ts';

/** The user of a token, as a TokenReview tells it and a SubjectAccessReview takes it. */
export interface TokenUser {
  readonly username: string;
  readonly uid?: string | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** What somebody wants to do. */
export type AccessQuestion =
  /** Namespace '': in all of them, or not in a namespace. */
  | { readonly kind: 'list'; readonly resource: 'pods' | 'nodes'; readonly namespace: string }
  | { readonly kind: 'get-path'; readonly path: string };

/** The API server. Both methods throw when it gives no answer. */
export interface ReviewApi {
  /** Undefined when the token is not valid. */
  reviewToken(token: string): Promise<TokenUser | undefined>;
  reviewAccess(user: TokenUser, question: AccessQuestion): Promise<boolean>;
}

/** The API server was not asked, or gave no answer. */
export class ReviewError extends Error {}

/** How long answers stand. A right that was taken away is used at most this long. */
const GRANTED_MS = 30_000;
const DENIED_MS = 10_000;
/** Remembered tokens, and answers about what their users may do. */
const MAX_TOKENS = 1_000;
const MAX_ANSWERS = 10_000;
/** How long a token that was found good is no stranger's. Only what it counts for depends on it. */
const PROVEN_MS = 3_600_000;
/** Tokens of service accounts have 1 to 2 KB. */
const TOKEN = /^[\w.~+/-]{1,8192}=*$/;

export class Reviewer {
  readonly #api: ReviewApi;
  readonly #metrics: Metrics;
  readonly #users: LRUCache<string, { readonly user: TokenUser | undefined }>;
  readonly #answers: LRUCache<string, { readonly isAllowed: boolean }>;
  /** Questions under way: who asks the same one waits for the same answer. */
  readonly #asked = new Map<string, Promise<unknown>>();
  /** Names of the users of tokens that were found good, by the hash of the token. */
  readonly #proven: LRUCache<string, string>;
  readonly #budget: ReviewBudget;

  constructor(api: ReviewApi, metrics: Metrics, clock: Pick<Clock, 'now'>) {
    this.#api = api;
    this.#metrics = metrics;
    const perf = { now: () => clock.now() };
    this.#users = new LRUCache({ max: MAX_TOKENS, ttl: GRANTED_MS, ttlResolution: 0, perf });
    this.#proven = new LRUCache({ max: MAX_TOKENS, ttl: PROVEN_MS, ttlResolution: 0, perf });
    this.#budget = new ReviewBudget(clock);
    this.#answers = new LRUCache({ max: MAX_ANSWERS, ttl: GRANTED_MS, ttlResolution: 0, perf });
  }

  /**
   * The user of the token; undefined when it is not valid.
   * @param address where the token came from.
   * @throws ReviewError when that cannot be found out now.
   */
  async identify(token: string, address: string): Promise<TokenUser | undefined> {
    if (!TOKEN.test(token)) return undefined;
    const key = hash(token);
    const known = this.#users.get(key);
    if (known) return known.user;
    return this.#askOnce(key, async () => {
      const username = this.#proven.get(key);
      const payer: Payer = username === undefined ? { kind: 'address', address } : { kind: 'user', username };
      const user = await this.#ask('token', payer, () => this.#api.reviewToken(token));
      this.#count('token', user !== undefined);
      if (user) this.#proven.set(key, user.username);
      else this.#proven.delete(key);
      this.#users.set(key, { user }, { ttl: user ? GRANTED_MS : DENIED_MS });
      return user;
    });
  }

  /**
   * Whether the user may do this.
   * @throws ReviewError when that cannot be found out now.
   */
  async isAllowed(user: TokenUser, question: AccessQuestion): Promise<boolean> {
    const key = hash(JSON.stringify([user, question]));
    const known = this.#answers.get(key);
    if (known) return known.isAllowed;
    return this.#askOnce(key, async () => {
      const payer: Payer = { kind: 'user', username: user.username };
      const isAllowed = await this.#ask('access', payer, () => this.#api.reviewAccess(user, question));
      this.#count('access', isAllowed);
      this.#answers.set(key, { isAllowed }, { ttl: isAllowed ? GRANTED_MS : DENIED_MS });
      return isAllowed;
    });
  }

  #askOnce<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const underWay = this.#asked.get(key);
    if (underWay) return underWay as Promise<T>;
    const answer = ask().finally(() => this.#asked.delete(key));
    this.#asked.set(key, answer);
    return answer;
  }

  async #ask<T>(kind: 'token' | 'access', payer: Payer, ask: () => Promise<T>): Promise<T> {
    const leave = this.#budget.enter(payer);
    if (!leave) {
      this.#metrics.accessReviews.inc({ kind, result: 'busy' });
      throw new ReviewError('too many callers ask at once; try again in a moment');
    }
    try {
      return await ask();
    } catch (cause) {
      this.#metrics.accessReviews.inc({ kind, result: 'failed' });
      const found = cause instanceof Error ? cause.message : String(cause);
      throw new ReviewError(`the API server did not answer: ${found}`, { cause });
    } finally {
      leave();
    }
  }

  #count(kind: 'token' | 'access', isAllowed: boolean): void {
    this.#metrics.accessReviews.inc({ kind, result: isAllowed ? 'granted' : 'denied' });
  }
}

/** Tokens are not kept, so that they are in no heap dump. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
