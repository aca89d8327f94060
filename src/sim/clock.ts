/** Time as the embedded control plane sees it. */
export interface SimClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once after `ms`; returns how to cancel it. */
  setTimeout(ms: number, callback: () => void): () => void;
}

export const realClock: SimClock = {
  now: () => Date.now(),
  setTimeout: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** A point in time as the API writes it in objects: whole seconds (apimachinery `metav1.Time`). */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
