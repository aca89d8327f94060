/** What is left of gangs that are gone: nothing may be. */
import type { GangList } from '../../src/http/inspect/gangs.ts';
import { reportingController } from '../../src/telemetry/events.ts';
import { waitFor } from '../../test/e2e/cluster/wait.ts';
import { type Plane, persist } from './plane.ts';

const SETTLE_MS = 30_000;
/** Gauges of Muster that are zero when there are no gangs. */
const GAUGES = ['muster_reservations', 'muster_barrier_held', 'muster_gangs', 'muster_planned_starts'];

/** A figure of Muster's metrics, summed over its series; zero without any. */
export function sumMetric(metrics: string, name: string, labels = ''): number {
  let sum = 0;
  for (const line of metrics.split('\n')) {
    const rest = line.startsWith(name) ? line.slice(name.length) : '';
    if (!rest.startsWith(' ') && !rest.startsWith('{')) continue;
    if (rest.includes(labels)) sum += Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return sum;
}

/** Waits until Muster holds nothing, with no pod in the cluster; returns what it still holds at the deadline. */
export async function findLeaks(plane: Plane): Promise<readonly string[]> {
  let left: readonly string[] = ['no answer'];
  try {
    await waitFor(
      async () => {
        left = await listHeldByMuster(plane);
        return left.length === 0;
      },
      { what: 'Muster to hold nothing', deadlineMs: SETTLE_MS },
    );
  } catch (error) {
    return left.length > 0 ? left : [String(error)];
  }
  return [];
}

async function listHeldByMuster({ muster }: Plane): Promise<readonly string[]> {
  const { items } = await muster.get<GangList>('/v1/gangs');
  const metrics = await muster.metrics();
  const gauges = GAUGES.map((name) => ({ name, value: sumMetric(metrics, name) })).filter(({ value }) => value !== 0);
  return [
    ...items.map(({ metadata, status }) => `gang ${metadata.name}: ${status.state}`),
    ...gauges.map(({ name, value }) => `${name} ${value}`),
  ];
}

/** Muster's Events: how many objects, and how many writes they were (repeats count in the same object). */
export interface EventCount {
  readonly objects: number;
  readonly writes: number;
  /** The most that one object of the cluster got. */
  readonly worst: number;
  readonly worstName: string;
}

export async function countEvents({ api }: Plane): Promise<EventCount> {
  const events = (await persist(() => api.list('events'))) ?? [];
  const own = events.filter(({ reportingComponent }) => reportingComponent === reportingController);
  const writes = new Map<string, number>();
  for (const { involvedObject, count, series } of own) {
    const name = `${involvedObject.kind} ${involvedObject.name}`;
    writes.set(name, (writes.get(name) ?? 0) + (series?.count ?? count ?? 1));
  }
  const [worstName = '', worst = 0] = [...writes].sort((a, b) => b[1] - a[1])[0] ?? [];
  return { objects: own.length, writes: [...writes.values()].reduce((a, b) => a + b, 0), worst, worstName };
}
