/** The clock of the embedded control plane; tests replace it with one they advance by hand. */

export interface SimClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once after `ms`; returns a function that cancels it. */
  setTimeout(ms: number, callback: () => void): () => void;
}

export const realClock: SimClock = {
  now: () => Date.now(),
  setTimeout: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** A time as API objects carry it: whole seconds (apimachinery `metav1.Time`). */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
