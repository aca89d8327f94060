/** The read-only inspect API: what the coordinator knows of every gang, as data and as one sentence. */
import { Hono } from 'hono';
import { explain, type Reason } from '../core/explain.ts';
import { instantText } from '../core/text-values.ts';
import type { TopologyRequest } from '../core/topology-request.ts';
import type { Coordinator } from '../gang/coordinator.ts';
import type { GangRecord } from '../gang/gang-record.ts';
import type { Reservations } from '../gang/reservations.ts';

/** One item of `GET /v1/gangs`, shaped like a Kubernetes object. */
export interface GangItem {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    /** RFC 3339: the oldest member's. */
    readonly creationTimestamp: string;
  };
  readonly status: {
    readonly state: string;
    readonly priority: number;
    /** Members that exist (failed ones do not count). */
    readonly have: number;
    /** Members that have to be there together; null while unknown. */
    readonly want: number | null;
    /** Members on a node. */
    readonly bound: number;
    /** Members with a slot that are not bound yet. */
    readonly nominated: number;
    readonly succeeded: number;
    /** Why it is in this state, one sentence; '' when there is nothing to say. */
    readonly reason: string;
    /** The same as data; null when there is nothing to say. */
    readonly because: Reason | null;
    /** When a Job of the gang is ended by its activeDeadlineSeconds, RFC 3339. */
    readonly deadline: string | null;
    /** What it asks of the fabric; null when it asks for nothing. */
    readonly topology: TopologyItem | null;
  };
}

/** Names of levels or node-label keys, as the gang's owner wrote them; null: not asked for. */
export interface TopologyItem {
  readonly required: string | null;
  readonly preferred: string | null;
  readonly slice: { readonly size: number; readonly level: string } | null;
  readonly spread: string | null;
  readonly exclusive: string | null;
  /** Until then it waits for its preferred level, RFC 3339; null: it does not (any more). */
  readonly widensAt: string | null;
}

/** What `GET /v1/gangs` answers. */
export interface GangList {
  readonly items: readonly GangItem[];
}

export function createInspectApp(coordinator: Coordinator, reservations: Reservations): Hono {
  const app = new Hono();
  app.get('/v1/gangs', (c) => {
    const records = [...coordinator.records()].sort((a, b) => (a.gang.key < b.gang.key ? -1 : 1));
    const list: GangList = { items: records.map((record) => describe(record, reservations)) };
    return c.json(list);
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
    metadata: {
      namespace: gang.namespace,
      name: gang.name,
      creationTimestamp: new Date(gang.createdAt).toISOString(),
    },
    status: {
      state,
      priority: gang.priority,
      have: gang.members.length,
      want: gang.minMember ?? null,
      bound: census.bound.length,
      nominated: reservations.countOf(gang.key),
      succeeded: census.succeeded,
      reason: reason ? explain(reason) : '',
      because: reason ?? null,
      deadline: (gang.deadlineAt !== undefined && instantText(gang.deadlineAt)) || null,
      topology: describeTopology(gang.topology, reason),
    },
  };
}

function describeTopology(asked: TopologyRequest, reason: Reason | undefined): TopologyItem | null {
  const { required = null, preferred = null, slice = null, spread = null, exclusive = null } = asked;
  if ([required, preferred, slice, spread, exclusive].every((asking) => asking === null)) return null;
  const shortfall = reason?.kind === 'unschedulable' ? reason.topology : undefined;
  const widensAt = shortfall?.kind === 'no-domain' ? shortfall.widensAt : undefined;
  return {
    required,
    preferred,
    slice,
    spread,
    exclusive,
    widensAt: (widensAt !== undefined && instantText(widensAt)) || null,
  };
}
