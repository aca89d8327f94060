/** On which terms the queues let a gang be placed, and how an attempt to do so ended. */
import type { PodModel } from '../core/model.ts';
import type { QuotaRefusal } from '../core/queues/quota.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { Beside, Question, QuotaTerms } from './question.ts';
import type { ReclaimTerms } from './queue-table.ts';

/** What a gang has to keep to when it is placed. */
export interface Terms extends QuotaTerms {
  /** It starts only if others of those who use its quota are evicted. */
  readonly quotaIsFull: boolean;
  /** GPU models that its queue has no quota left for, and what says so. */
  readonly excluded: ReadonlyMap<string, QuotaRefusal>;
  /** Undefined: priority alone decides whom it may evict. */
  reclaim(): ReclaimTerms | undefined;
  /** Bound pods that end so soon by themselves that nobody is evicted for their space, and when, milliseconds. */
  listSoon(): ReadonlyMap<PodModel, number>;
  /** Undefined: it delays nobody. */
  beside(occupied: Snapshot): Beside | undefined;
}

/** How an attempt ended. `later`: it was not tried, through no fault of its own. */
export type Attempt =
  | { readonly kind: 'started' }
  | { readonly kind: 'later' }
  | { readonly kind: 'blocked'; readonly ask: () => Question };
