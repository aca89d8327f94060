/** Durations as people write them: `25s`, `500ms`, `1m30s`. */
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const PATTERN = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/;

/** Milliseconds of the text; undefined if it is no duration. */
export function parseDuration(text: string): number | undefined {
  if (!PATTERN.test(text)) return undefined;
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)];
  return Math.round(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * UNIT_MS[unit!]!, 0));
}

/** The shortest text that `parseDuration` reads back: `90s`, `2m`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  const unit = ['h', 'm', 's'].find((candidate) => ms % UNIT_MS[candidate]! === 0) ?? 'ms';
  return `${ms / UNIT_MS[unit]!}${unit}`;
}
