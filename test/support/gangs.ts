/** Gangs to plan, and plans as short texts. */
import { explain } from '../../src/core/explain.ts';
import type { GangRequest, MemberRequest, PlacementScore } from '../../src/core/gang-request.ts';
import { type Plan, planGang } from '../../src/core/plan.ts';
import type { GangKey } from '../../src/core/pod-group.ts';
import type { Snapshot } from '../../src/core/snapshot.ts';
import type { TopologyRequest } from '../../src/core/topology-request.ts';
import { aPod, type PodOptions } from './builders.ts';

const isAccelerator = (resource: string) => resource.startsWith('nvidia.com/');

export const NO_TOPOLOGY: TopologyRequest = {
  required: undefined,
  preferred: undefined,
  patientUntil: undefined,
  slice: undefined,
  spread: undefined,
  exclusive: undefined,
};

/** `count` members named `<prefix>-0`, `<prefix>-1`, … that ask for the same. */
export function members(
  count: number,
  options: PodOptions & { readonly pinnedTo?: readonly string[] } = {},
): MemberRequest[] {
  const { pinnedTo, name = 'w', ...pod } = options;
  const { template } = aPod(pod);
  return Array.from({ length: count }, (_, i) => {
    const { namespace, name: own, uid, labels } = aPod({ ...pod, name: `${name}-${i}`, template });
    return { namespace, name: own, uid, labels, template, rank: i, pinnedTo: pinnedTo && new Set(pinnedTo) };
  });
}

export type GangOptions = Omit<Partial<GangRequest>, 'key' | 'refused' | 'topology'> & {
  /** `namespace/name`. */
  readonly key?: string;
  readonly topology?: Partial<TopologyRequest>;
  /** Nodes of members that are placed already, of the ranks behind the others. */
  readonly near?: readonly string[];
  /** Refused nodes of all the members' templates. */
  readonly refused?: readonly string[];
};

/** All members must be placed unless `min` says otherwise. */
export function aGang(all: readonly MemberRequest[], options: GangOptions = {}): GangRequest {
  const { key = 'default/train', refused = [], near = [], topology, ...rest } = options;
  return {
    key: key as GangKey,
    priority: 0,
    members: all,
    min: all.length,
    topology: { ...NO_TOPOLOGY, ...topology },
    placed: near.map((node, i) => ({ rank: all.length + i, node })),
    avoided: new Set(),
    excludedModels: new Set(),
    refused: new Map(refused.length > 0 ? all.map(({ template }) => [template.key, new Set(refused)]) : []),
    ...rest,
  };
}

export interface PlanOptions {
  /** Milliseconds since the epoch. */
  readonly now?: number;
  readonly score?: PlacementScore;
}

/** The members' nodes in rank order, `-` for one that got none; or why there is no plan. */
export function planText(snapshot: Snapshot, gang: GangRequest, options: PlanOptions = {}): string {
  const result = plan(snapshot, gang, options);
  switch (result.kind) {
    case 'placed':
      return gang.members.map(({ uid }) => nodeOf(result, uid) ?? '-').join(' ');
    case 'unschedulable':
      return `room for ${result.fits} of ${result.want}`;
    case 'waiting':
      return `${result.have} of ${result.want} exist`;
    default:
      return result satisfies never;
  }
}

/** What people are told about a gang that was not placed; the nodes when it was. */
export function reasonText(snapshot: Snapshot, gang: GangRequest, options: PlanOptions = {}): string {
  const result = plan(snapshot, gang, options);
  return result.kind === 'unschedulable' ? explain(result) : planText(snapshot, gang, options);
}

export function plan(snapshot: Snapshot, gang: GangRequest, options: PlanOptions = {}): Plan {
  const { now = 0, score = 'best-fit' } = options;
  return planGang(snapshot, gang, { isAccelerator, score }, now);
}

export function nodeOf(plan: Plan, uid: string): string | undefined {
  return plan.kind === 'placed' ? plan.slots.find((slot) => slot.uid === uid)?.node : undefined;
}
