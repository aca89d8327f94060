/** Builders of gangs to plan, and plans as short texts. */

import type { GangRequest, MemberRequest, PlacementScore } from '../../src/core/placement/gang-request.ts';
import { type Plan, planGang } from '../../src/core/placement/plan.ts';
import type { GangKey } from '../../src/core/podgroup/gang.ts';
import { explain } from '../../src/core/reasons/explain.ts';
import type { Snapshot } from '../../src/core/snapshot/snapshot.ts';
import type { TopologyRequest } from '../../src/core/topology/request.ts';
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

/** `count` equal members named `<prefix>-0`, `<prefix>-1`, … */
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
  /** Nodes of members already placed, with the ranks after the others. */
  readonly near?: readonly string[];
  /** Nodes refused for the templates of all members. */
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

/** The members' nodes in rank order, `-` for one without; or the reason why there is no plan. */
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

/** The explanation for users when a gang was not placed; the nodes when it was. */
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
