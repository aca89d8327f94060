/**
 * The question when and where a blocked gang starts, as plain data, so that it can be answered anywhere. Also how much
 * work an answer is, at a guess.
 */
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
/** A member counts as this many nodes that are looked at. */
const NODES_PER_MEMBER = 4;

/** How many nodes are looked at to answer the question, very roughly. O(members). */
export function estimateStartWork({ snapshot, query }: StartQuestion): number {
  const { members } = query.request;
  const kinds = new Set(members.map(({ template }) => template)).size;
  const plans = PLANS + 2 * Math.log2(query.endings.length + 1);
  return plans * (snapshot.byName.length * kinds + NODES_PER_MEMBER * members.length);
}
