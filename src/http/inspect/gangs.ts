/** The read-only API for gangs, `GET /v1/gangs`: state and reason of each, as data and as one sentence. */
import { Hono } from 'hono';
import { instantText } from '../../core/objects/text-values.ts';
import { explain, type Reason } from '../../core/reasons/explain.ts';
import { nameRun } from '../../core/reasons/explain-running.ts';
import type { TopologyRequest } from '../../core/topology/request.ts';
import type { GangView, SchedulerView } from '../../gang/framework/ports.ts';
import { type Access, answerRefusal, isRefusal } from '../access/access.ts';
import type { Sight } from '../access/sight.ts';

/** One item of `GET /v1/gangs`, shaped like a Kubernetes object. */
export interface GangItem {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    /** RFC 3339; that of the oldest member. */
    readonly creationTimestamp: string;
  };
  readonly status: {
    readonly state: string;
    readonly priority: number;
    /** Members that exist; those that ended do not count. */
    readonly have: number;
    /** Members that must run together now: what is left to do; null while unknown. */
    readonly want: number | null;
    /** Members bound to a node. */
    readonly bound: number;
    /** Members with a slot that are not bound yet. */
    readonly nominated: number;
    readonly succeeded: number;
    /** Why the gang is in this state, in one sentence; '' when there is nothing to explain. */
    readonly reason: string;
    /** The reason as data; null when there is nothing to explain, or for callers who may not see all gangs. */
    readonly because: Reason | null;
    /** When activeDeadlineSeconds ends a Job of the gang, RFC 3339. */
    readonly deadline: string | null;
    /** The object that makes its pods, such as `Job train`; null when nobody owns them. */
    readonly run: string | null;
    /** Younger runs of the same maker, which wait until this one has ended: the first of them, and how many there are. */
    readonly laterRuns: readonly string[];
    readonly laterRunCount: number;
    /** Its topology requirements; null when it has none. */
    readonly topology: TopologyItem | null;
  };
}

/** Names of levels or node-label keys as the gang's owner wrote them; null when not set. */
export interface TopologyItem {
  readonly required: string | null;
  readonly preferred: string | null;
  readonly slice: { readonly size: number; readonly level: string } | null;
  readonly spread: string | null;
  readonly exclusive: string | null;
  /** Until when it waits for its preferred level, RFC 3339; null when it does not wait (any more). */
  readonly widensAt: string | null;
}

/** Anybody may make any number of runs. */
const MAX_LATER_RUNS = 16;

/** The answer to `GET /v1/gangs`. */
export interface GangList {
  readonly items: readonly GangItem[];
}

export function createInspectApp(scheduler: SchedulerView, access: Pick<Access, 'sightOf'>): Hono {
  const app = new Hono();
  app.get('/v1/gangs', async (c) => {
    const sight = await access.sightOf(c, c.req.queries('namespace') ?? []);
    if (isRefusal(sight)) return answerRefusal(c, sight);
    const records = [...scheduler.gangs()]
      .filter(({ gang }) => sight.shows(gang.namespace))
      .sort((a, b) => (a.gang.key < b.gang.key ? -1 : 1));
    const list: GangList = { items: records.map((record) => describe(record, scheduler, sight)) };
    return c.json(list);
  });
  app.get('/v1/gangs/:namespace/:name', async (c) => {
    const { namespace, name } = c.req.param();
    const sight = await access.sightOf(c, [namespace]);
    if (isRefusal(sight)) return answerRefusal(c, sight);
    const key = `${namespace}/${name}`;
    const record = scheduler.gang(key);
    if (record) return c.json(describe(record, scheduler, sight));
    return c.json({ error: `expected a gang with pods, found none named ${key}; GET /v1/gangs lists all` }, 404);
  });
  return app;
}

function describe(record: GangView, scheduler: SchedulerView, sight: Sight): GangItem {
  const { gang, census, state } = record;
  const reason = scheduler.reasonOf(record);
  return {
    metadata: {
      namespace: gang.namespace,
      name: gang.name,
      creationTimestamp: new Date(gang.createdAt).toISOString(),
    },
    status: {
      state,
      priority: gang.priority,
      have: gang.present.length,
      want: gang.minMember ?? null,
      bound: census.bound.length,
      nominated: scheduler.countSlots(gang.key),
      succeeded: census.succeeded,
      reason: reason ? explain(reason) : '',
      // It names gangs of other namespaces. The sentence does, too, but it is in the Events of the gang's own pods anyway.
      because: (sight.everything && reason) || null,
      deadline: (gang.deadlineAt !== undefined && instantText(gang.deadlineAt)) || null,
      run: gang.run ? nameRun(gang.run) : null,
      laterRuns: gang.laterRuns.slice(0, MAX_LATER_RUNS).map(({ name }) => nameRun(name)),
      laterRunCount: gang.laterRuns.length,
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
