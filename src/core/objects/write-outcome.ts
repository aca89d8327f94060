/** What a write to the API server comes to. An expected outcome is a value; writes never throw. */

export type WriteOutcome =
  | { readonly kind: 'ok' }
  /** The object does not exist any more: 404, or the UID is that of an earlier one. */
  | { readonly kind: 'gone' }
  /** The state of the object does not allow it: bound elsewhere, being deleted, exists already. */
  | { readonly kind: 'conflict'; readonly message: string }
  /** `status` 0: no answer came. */
  | { readonly kind: 'failed'; readonly status: number; readonly message: string };

/** How an eviction ended. `blocked`: a disruption budget does not allow it now; the message names the budget. */
export type EvictionOutcome = WriteOutcome | { readonly kind: 'blocked'; readonly message: string };

/** The pod that is meant, and no later one of the same name. */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** A pod with the names of its scheduling gates, in their order, where they are known. */
export interface GatedPod extends PodIdentity {
  readonly gates?: readonly string[];
}
