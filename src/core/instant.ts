/** RFC 3339 text, as the API server writes times, to milliseconds since the epoch; undefined for none. */
export function instantOf(text: string | null | undefined): number | undefined {
  const instant = text ? Date.parse(text) : Number.NaN;
  return Number.isNaN(instant) ? undefined : instant;
}
