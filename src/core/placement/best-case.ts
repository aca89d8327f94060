/**
 * Judges whether a gang could ever start on the nodes that exist, if nothing else ran there. What it lacks even then, no
 * waiting and no eviction will give it.
 *
 * The planner places members of one kind wherever they fit, but may miss an arrangement of several kinds. So a gang is
 * called impossible only for what no arrangement can make up for:
 *
 * 1. One kind of its members alone finds no place. Each kind is planned without patience, on nodes that were refused or
 *    failed too, and without what depends on other pods (spread, anti-affinity to others).
 * 2. No domain that is wide enough has as much of some resource as all members together ask for.
 *
 * O(kinds x nodes), for at most 16 kinds.
 */
import type { PodTemplate } from '../objects/model.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { resolveTopology } from '../topology/request.ts';
import { type DomainIdx, ROOT } from '../topology/tree.ts';
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

/** More kinds of members are not judged one by one. */
const MAX_KINDS = 16;

/** @param empty the nodes without pods, see `empty-cluster.ts`. @returns undefined: the gang may start some day. */
export function findImpossibility(
  empty: Snapshot,
  request: GangRequest,
  policy: PlanPolicy,
): Impossibility | undefined {
  const best = bestCaseOf(request);
  const kinds = groupKinds(best.members);
  const isPossible =
    kinds.slice(0, MAX_KINDS).every((kind) => fitsAlone(empty, best, kind, kinds.length > 1, policy)) &&
    isEnoughInAll(empty, best);
  if (isPossible) return undefined;
  const lacks = planGang(empty, best, policy, 0);
  return lacks.kind === 'unschedulable' ? { lacks, oversize: findOversize(empty, request.members) } : undefined;
}

function bestCaseOf(request: GangRequest): GangRequest {
  return {
    ...request,
    members: request.members.map((member) => ({ ...member, pinnedTo: undefined })),
    topology: { ...request.topology, patientUntil: undefined },
    placed: [],
    refused: new Map(),
    avoided: new Set(),
    excludedModels: new Set(),
  };
}

/** Members that ask the same of a node, the largest group first. Their claims may differ. */
function groupKinds(members: readonly MemberRequest[]): readonly (readonly MemberRequest[])[] {
  const kindOf = new Map<PodTemplate, string>();
  const groups = new Map<string, MemberRequest[]>();
  for (const member of members) {
    const { template } = member;
    const kind = kindOf.get(template) ?? describeKind(template);
    kindOf.set(template, kind);
    const group = groups.get(kind);
    if (group) group.push(member);
    else groups.set(kind, [member]);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length);
}

function describeKind(template: PodTemplate): string {
  const { requests, nodeSelector, nodeAffinity, tolerations, hostPorts, selfAntiAffine } = template;
  return JSON.stringify([requests, nodeSelector, nodeAffinity, tolerations, hostPorts, selfAntiAffine]);
}

/** Whether as many of the kind as must start find places when no other member is there. */
function fitsAlone(
  empty: Snapshot,
  gang: GangRequest,
  kind: readonly MemberRequest[],
  hasOthers: boolean,
  policy: PlanPolicy,
): boolean {
  const min = Math.max(0, gang.min - (gang.members.length - kind.length));
  const template: PodTemplate = { ...kind[0]!.template, spread: [], antiAffinity: [] };
  const members = kind.slice(0, min).map((member) => ({ ...member, template }));
  // Slices with gaps are placed one by one, which is no proof.
  const isSliced = !hasOthers && kind.every(({ rank }, i) => rank === i);
  const topology = isSliced ? gang.topology : { ...gang.topology, slice: undefined };
  return planGang(empty, { ...gang, members, min, topology }, policy, 0).kind === 'placed';
}

/** Whether some domain that is wide enough has all that the members ask for together, wherever it is inside. */
function isEnoughInAll({ topology, columns, free }: Snapshot, gang: GangRequest): boolean {
  const resolution = resolveTopology(topology, gang.topology, 0);
  if (resolution.kind === 'problem') return false;
  // Which members an elastic gang begins with is open.
  if (gang.min < gang.members.length) return true;
  const { outermost } = resolution.topology;
  const domains = outermost < 0 ? [ROOT] : (Array.from(topology.domainsAt[outermost]!) as DomainIdx[]);
  const asked = [...sumRequests(gang.members)].map(([name, amount]) => ({ column: columns.get(name), amount }));
  return domains.some((domain) =>
    asked.every(({ column, amount }) => {
      if (column === undefined) return false;
      let sum = 0;
      for (let i = topology.start[domain]!; i < topology.end[domain]! && sum < amount; i++) {
        sum += Math.max(0, free[column]![topology.order[i]!]!);
      }
      return sum >= amount;
    }),
  );
}

function sumRequests(members: readonly MemberRequest[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { template } of members) {
    for (const { name, amount } of template.requests) sums.set(name, (sums.get(name) ?? 0) + amount);
  }
  return sums;
}

/** The first resource of which a member asks for more than any node has. */
function findOversize(
  { columns, allocatable, byName }: Snapshot,
  members: readonly MemberRequest[],
): Oversize | undefined {
  for (const template of new Set(members.map((member) => member.template))) {
    for (const { name, amount } of template.requests) {
      const column = columns.get(name);
      let largest = 0;
      if (column !== undefined) for (const node of byName) largest = Math.max(largest, allocatable[column]![node]!);
      if (amount > largest) return { resource: name, asked: amount, largest };
    }
  }
  return undefined;
}

/**
 * A text that requests share which are judged alike: the same members in the same order, the same minimum and topology.
 * Undefined: there are too many kinds of members.
 */
export function shapeOf({ members, min, topology }: GangRequest): string | undefined {
  const runs: { readonly key: string; count: number }[] = [];
  let last: PodTemplate | undefined;
  for (const { template } of members) {
    if (template === last) {
      runs.at(-1)!.count++;
      continue;
    }
    if (runs.length === MAX_KINDS) return undefined;
    runs.push({ key: template.key, count: 1 });
    last = template;
  }
  const hasGaps = members.some(({ rank }, i) => rank !== i);
  const { required, preferred, slice, spread, exclusive } = topology;
  return JSON.stringify([min, [required, preferred, slice, spread, exclusive], hasGaps, runs]);
}
