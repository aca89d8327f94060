/**
 * Judges whether a gang could ever start on the nodes that exist: it is planned as if nothing else ran, without
 * patience, and on nodes that were refused or failed, too. What it lacks then no waiting and no eviction will give it.
 */
import type { ResourceAmount } from '../objects/model.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { GangRequest, MemberRequest, PlanPolicy } from './gang-request.ts';
import { planGang } from './plan.ts';
import type { Unschedulable } from './report.ts';

/** A member asks for more than the largest node has. Amounts in base units. */
export interface Oversize {
  readonly resource: string;
  readonly asked: number;
  readonly largest: number;
}

/** What a gang lacks even if nothing else runs. */
export interface Impossibility {
  readonly lacks: Unschedulable;
  /** One node is too small for one member; undefined: that is not the reason. */
  readonly oversize: Oversize | undefined;
}

/** @param empty the nodes without pods, see `empty-cluster.ts`. @returns undefined: the gang may start some day. */
export function findImpossibility(
  empty: Snapshot,
  request: GangRequest,
  policy: PlanPolicy,
): Impossibility | undefined {
  const lacks = planGang(empty, bestCaseOf(request), policy, 0);
  if (lacks.kind !== 'unschedulable') return undefined;
  return { lacks, oversize: findOversize(empty, request.members) };
}

function bestCaseOf(request: GangRequest): GangRequest {
  return {
    ...request,
    members: request.members.map((member) => ({ ...member, pinnedTo: undefined })),
    topology: { ...request.topology, patientUntil: undefined },
    refused: new Map(),
    avoided: new Set(),
    excludedModels: new Set(),
  };
}

/** The first resource of which a member asks for more than any node has. */
function findOversize(
  { columns, allocatable, byName }: Snapshot,
  members: readonly MemberRequest[],
): Oversize | undefined {
  for (const template of new Set(members.map((member) => member.template))) {
    for (const { name, amount } of template.requests as readonly ResourceAmount[]) {
      const column = columns.get(name);
      let largest = 0;
      if (column !== undefined) for (const node of byName) largest = Math.max(largest, allocatable[column]![node]!);
      if (amount > largest) return { resource: name, asked: amount, largest };
    }
  }
  return undefined;
}

/** Longer lists of different members are not compared: each such gang is judged by itself. */
const MAX_RUNS = 16;

/**
 * A text that requests share which end alike: the same members in the same order, the same minimum and topology.
 * Undefined: the labels of members matter, or there are too many kinds of members.
 */
export function shapeOf({ members, min, topology }: GangRequest): string | undefined {
  const runs: { readonly key: string; count: number }[] = [];
  let last: MemberRequest['template'] | undefined;
  for (const { template } of members) {
    if (template === last) {
      runs.at(-1)!.count++;
      continue;
    }
    if (runs.length === MAX_RUNS || template.antiAffinity.length + template.spread.length > 0) return undefined;
    runs.push({ key: template.key, count: 1 });
    last = template;
  }
  const { required, preferred, slice, spread, exclusive } = topology;
  return JSON.stringify([min, [required, preferred, slice, spread, exclusive], runs]);
}
