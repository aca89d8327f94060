/** The read-only inspect API: what the coordinator knows of every gang, as data and as one sentence. */
import { Hono } from 'hono';
import { explain, type Reason } from '../core/explain.ts';
import type { Coordinator } from '../gang/coordinator.ts';
import type { GangRecord } from '../gang/gang-record.ts';
import type { Reservations } from '../gang/reservations.ts';

/** One item of `GET /v1/gangs`. */
export interface GangItem {
  readonly namespace: string;
  readonly name: string;
  readonly state: string;
  readonly priority: number;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly members: {
    readonly have: number;
    readonly want: number | null;
    readonly bound: number;
    readonly nominated: number;
    readonly succeeded: number;
  };
  /** One sentence; '' for a gang that runs. */
  readonly reason: string;
  /** The same as data; null for a gang that runs. */
  readonly because: Reason | null;
  /** When a Job of the gang is ended by its activeDeadlineSeconds, RFC 3339. */
  readonly deadlineAt: string | null;
}

export function createInspectApp(coordinator: Coordinator, reservations: Reservations): Hono {
  const app = new Hono();
  app.get('/v1/gangs', (c) => {
    const items = [...coordinator.records()].map((record) => describe(record, reservations));
    items.sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
    return c.json({ items });
  });
  app.get('/v1/gangs/:namespace/:name', (c) => {
    const key = `${c.req.param('namespace')}/${c.req.param('name')}`;
    const record = coordinator.record(key);
    if (record) return c.json(describe(record, reservations));
    return c.json({ error: `expected a gang with pods, found none named ${key}; GET /v1/gangs lists all` }, 404);
  });
  return app;
}

function describe({ gang, census, state, reason }: GangRecord, reservations: Reservations): GangItem {
  return {
    namespace: gang.namespace,
    name: gang.name,
    state,
    priority: gang.priority,
    createdAt: new Date(gang.createdAt).toISOString(),
    members: {
      have: gang.members.length,
      want: gang.minMember ?? null,
      bound: census.bound.length,
      nominated: reservations.countOf(gang.key),
      succeeded: census.succeeded,
    },
    reason: reason ? explain(reason) : '',
    because: reason ?? null,
    deadlineAt: gang.deadlineAt === undefined ? null : new Date(gang.deadlineAt).toISOString(),
  };
}
