/** `muster gangs`: fetches the gangs and formats them as a table. */
import type { GangList } from '../http/inspect/gangs.ts';
import { formatAge } from './age.ts';
import { addressOf, type Fetch, fetchJson } from './fetch-json.ts';
import { formatMembers } from './members.ts';
import { formatTable } from './table.ts';

/**
 * Fetches the gangs of a running Muster.
 * @param namespace only those in this one.
 * @throws Error that says what to do when there is no answer or not the expected one.
 */
export function fetchGangs(fetch: Fetch, baseUrl: string, namespace: string | undefined): Promise<GangList> {
  return fetchJson(fetch, addressOf('/v1/gangs', baseUrl, namespace), { what: 'a list of gangs', has: 'items' });
}

/** The gangs as a table in the style of kubectl; `now` in milliseconds since the epoch. */
export function formatGangs({ items }: GangList, now: number): string {
  const rows = items.map(({ metadata, status }) => [
    metadata.namespace,
    metadata.name,
    status.state,
    formatMembers(status.state, status),
    formatAge(now - Date.parse(metadata.creationTimestamp)),
    status.reason,
  ]);
  const titles = ['NAMESPACE', 'NAME', 'STATE', 'MEMBERS', 'AGE', 'REASON'];
  return formatTable(
    titles.map((title) => ({ title })),
    rows,
  );
}
