/** Gangs to plan, and plans as short texts. */
import type { GangRequest, MemberRequest } from '../../src/core/gang-request.ts';
import { type Plan, planGang } from '../../src/core/plan.ts';
import type { Snapshot } from '../../src/core/snapshot.ts';
import { aPod, type PodOptions } from './builders.ts';

const policy = { isAccelerator: (resource: string) => resource.startsWith('nvidia.com/') };

/** `count` members named `<prefix>-0`, `<prefix>-1`, … that ask for the same. */
export function members(
  count: number,
  options: PodOptions & { readonly pinnedTo?: readonly string[] } = {},
): MemberRequest[] {
  const { pinnedTo, name = 'w', ...pod } = options;
  const { template } = aPod(pod);
  return Array.from({ length: count }, (_, i) => {
    const { namespace, name: own, uid, labels } = aPod({ ...pod, name: `${name}-${i}`, template });
    return { namespace, name: own, uid, labels, template, pinnedTo: pinnedTo && new Set(pinnedTo) };
  });
}

export type GangOptions = Omit<Partial<GangRequest>, 'refused'> & {
  /** Refused nodes of all the members' templates. */
  readonly refused?: readonly string[];
};

/** All members must be placed unless `min` says otherwise. */
export function aGang(all: readonly MemberRequest[], options: GangOptions = {}): GangRequest {
  const { refused = [], ...rest } = options;
  return {
    key: 'default/train',
    priority: 0,
    members: all,
    min: all.length,
    near: [],
    refused: new Map(refused.length > 0 ? all.map(({ template }) => [template.key, new Set(refused)]) : []),
    ...rest,
  };
}

/** The members' nodes in rank order, `-` for one that got none; or why there is no plan. */
export function planText(snapshot: Snapshot, gang: GangRequest): string {
  const plan = planGang(snapshot, gang, policy);
  switch (plan.kind) {
    case 'placed':
      return gang.members.map(({ uid }) => nodeOf(plan, uid) ?? '-').join(' ');
    case 'unschedulable':
      return `room for ${plan.fits} of ${plan.want}`;
    case 'waiting':
      return `${plan.have} of ${plan.want} exist`;
    default:
      return plan satisfies never;
  }
}

export function plan(snapshot: Snapshot, gang: GangRequest): Plan {
  return planGang(snapshot, gang, policy);
}

export function nodeOf(plan: Plan, uid: string): string | undefined {
  return plan.kind === 'placed' ? plan.slots.find((slot) => slot.uid === uid)?.node : undefined;
}
