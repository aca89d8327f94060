/**
 * Reads values as people and Kubernetes write them in annotations, labels and objects: whole numbers, durations
 * (`25s`, `500ms`, `1m30s`) and times (RFC 3339). Any other text reads as undefined.
 */

/** How much is repeated of a text that a user chose, characters. */
const MAX_REPEATED = 64;

/** The text of a user as messages repeat it: a user decides how long it is, so the rest is left out. */
export function cutText(text: string): string {
  return cutTo(text, MAX_REPEATED);
}

/** The text of a user, cut to so many characters. */
export function cutTo(text: string, most: number): string {
  return text.length <= most ? text : copyOf(text.slice(0, most - 1) + CUT);
}

/** Ends a text that was cut. No valid value of a key ends with it. */
const CUT = '…';

/** The longest value of a key under `muster.dev/` that is read, characters. */
export const MAX_VALUE = 1024;

/** The value as it is kept. One that is too long is cut so far that nobody reads it as a shorter one. */
export function boundValue(value: string): string {
  return value.length <= MAX_VALUE ? value : cutText(value);
}

/** Whether `boundValue` cut the value. */
export function isCut(value: string): boolean {
  return value.endsWith(CUT);
}

/** V8 keeps a long text in memory for as long as a part of it that `slice` returned. */
function copyOf(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}

/** The whole number that the text is: digits only, at most nine of them. */
export function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/;

/** The duration in milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)];
  return Math.round(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * UNIT_MS[unit!]!, 0));
}

/** The shortest text that `parseDuration` reads back: `90s`, `2m`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  const unit = ['h', 'm', 's'].find((candidate) => ms % UNIT_MS[candidate]! === 0) ?? 'ms';
  return `${ms / UNIT_MS[unit]!}${unit}`;
}

/** The latest time that a `Date` can hold, milliseconds since the epoch (ECMA-262, 21.4.1.1). */
const LAST_MS = 8.64e15;

/** The time, as the API server writes it (protobuf: as a number), in milliseconds since the epoch. */
export function instantOf(time: string | number | null | undefined): number | undefined {
  if (typeof time === 'number') return Math.abs(time) <= LAST_MS ? time : undefined;
  const instant = time ? Date.parse(time) : Number.NaN;
  return Number.isNaN(instant) ? undefined : instant;
}

/** The text of a time; undefined for an unknown time (Infinity) and for one that is too far away to have a text. */
export function instantText(ms: number): string | undefined {
  return Math.abs(ms) <= LAST_MS ? new Date(ms).toISOString() : undefined;
}

/** Names those that were chosen to be named. @param count how many there are in all. */
export function listFirst(names: readonly string[], count: number): string {
  return `${names.join(', ')}${count > names.length ? ` and ${count - names.length} more` : ''}`;
}

/** Names a few of what may be thousands. @param count how many there are in all. */
export function listSome(names: readonly string[], count = names.length): string {
  const [first, second] = names;
  if (second === undefined) return first ?? '';
  return count === 2 ? `${first} and ${second}` : `${first}, ${second} and ${count - 2} more`;
}
