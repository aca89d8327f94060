import type { GangList } from '../http/inspect.ts';
import { type Fetch, fetchJson } from './fetch-json.ts';
import { formatTable } from './table.ts';

/** Asks a running Muster for its gangs; throws an Error that says what to do when it does not answer with them. */
export function fetchGangs(fetch: Fetch, baseUrl: string): Promise<GangList> {
  return fetchJson(fetch, new URL('/v1/gangs', baseUrl), { what: 'a list of gangs', has: 'items' });
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
  const titles = ['NAMESPACE', 'NAME', 'STATE', 'MEMBERS', 'AGE', 'REASON'];
  return formatTable(
    titles.map((title) => ({ title })),
    rows,
  );
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
