/** RFC 3339 text, as the API server writes times, to milliseconds since the epoch; undefined for none. */
export function instantOf(text: string | null | undefined): number | undefined {
  const instant = text ? Date.parse(text) : Number.NaN;
  return Number.isNaN(instant) ? undefined : instant;
}

/** The last time that a `Date` can be, milliseconds since the epoch (ECMA-262, 21.4.1.1). */
const LAST_MS = 8.64e15;

/** The same the other way; undefined for a time that nobody knows (Infinity), or so far away that it has no text. */
export function instantText(ms: number): string | undefined {
  return Math.abs(ms) <= LAST_MS ? new Date(ms).toISOString() : undefined;
}
