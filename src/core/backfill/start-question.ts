/**
 * The question when and where a blocked gang starts, as plain data, so that it can be answered anywhere. Also how much
 * work an answer is, at a guess.
 */
import { readsNeighbours } from '../objects/node-fit.ts';
import type { PlanPolicy } from '../placement/gang-request.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { PlannedStart } from './planned-start.ts';
import { planStart, type StartQuery } from './start-planner.ts';

export interface StartQuestion {
  /** With occupants. */
  readonly snapshot: Snapshot;
  readonly query: StartQuery;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** As `planStart`. */
export function answerStart({ snapshot, query, now }: StartQuestion, policy: PlanPolicy): PlannedStart | undefined {
  return planStart(snapshot, query, policy, now);
}

/** Plans that are made whatever the number of endings. */
const PLANS = 16;
/** A member, and a pod that ends, count as this many nodes that are looked at. */
const NODES_PER_POD = 4;
/** The same for a pod that ends, where it matters which pods are on a node or in a domain: lists are made again. */
const NODES_PER_PICKY_POD = 100;

/** How many nodes are looked at to answer the question, very roughly. O(members + endings + nodes). */
export function estimateStartWork({ snapshot, query }: StartQuestion): number {
  const { request, endings } = query;
  const { members, topology } = request;
  const templates = new Set(members.map(({ template }) => template));
  const isPicky =
    topology.exclusive !== undefined ||
    snapshot.exclusive.includes(1) ||
    [...templates].some((template) => template.spread.length > 0 || readsNeighbours(template));
  const pods = endings.reduce((sum, ending) => sum + ending.pods.length, 0);
  const plans = PLANS + 2 * Math.log2(endings.length + 1);
  const once = snapshot.byName.length * templates.size + NODES_PER_POD * members.length;
  return plans * once + (isPicky ? NODES_PER_PICKY_POD : NODES_PER_POD) * pods;
}
