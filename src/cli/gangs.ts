import type { GangList } from '../http/inspect.ts';

/** The part of the global `fetch` that is needed. */
export type Fetch = (url: string) => Promise<Response>;

/** Asks a running Muster for its gangs; throws an Error that says what to do when it does not answer with them. */
export async function fetchGangs(fetch: Fetch, baseUrl: string): Promise<GangList> {
  const url = new URL('/v1/gangs', baseUrl).href;
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw new Error(
      `expected Muster to answer at ${url}, found ${reasonOf(cause)}; ` +
        'give its address with --url, after kubectl port-forward if it runs in a cluster',
      { cause },
    );
  }
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`expected ${url} to answer 200, found ${response.status}: ${text.trim().slice(0, 500)}`);
  }
  const list = parseJson(text);
  if (!isGangList(list)) {
    throw new Error(`expected ${url} to answer a list of gangs, found something else; check that --url is a Muster`);
  }
  return list;
}

/** The gangs as kubectl would show them. */
export function formatGangs({ items }: GangList, now: number): string {
  const rows = items.map(({ metadata, status }) => [
    metadata.namespace,
    metadata.name,
    status.state,
    `${status.bound}/${status.want ?? '?'}`,
    formatAge(now - Date.parse(metadata.creationTimestamp)),
    status.reason,
  ]);
  return formatTable(['NAMESPACE', 'NAME', 'STATE', 'MEMBERS', 'AGE', 'REASON'], rows);
}

function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const format = (line: readonly string[]): string =>
    line
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('   ')
      .trimEnd();
  return `${lines.map(format).join('\n')}\n`;
}

/** Two units at most, the second only while it tells something: `59s`, `3m10s`, `5h`, `12d`. */
function formatAge(ms: number): string {
  if (Number.isNaN(ms)) return '<unknown>';
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ];
  if (minutes < 2) return `${seconds}s`;
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  if (days < 2) return `${hours}h`;
  return `${days}d`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isGangList(value: unknown): value is GangList {
  return typeof value === 'object' && value !== null && 'items' in value && Array.isArray(value.items);
}

/** fetch says `fetch failed`; the cause says why. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return cause.message || ('code' in cause ? String(cause.code) : error.message);
}
