/** What the planner is asked: the members to place, and how they fall into classes that ask for the same. */
import { repelledBy } from './feasibility.ts';
import type { Labels, Named, PodTemplate } from './model.ts';
import type { MemberClass } from './placement.ts';
import { matchesSelector } from './selector.ts';
import type { Snapshot } from './snapshot.ts';
import { type Placeable, resolveRequests } from './transaction.ts';

export interface MemberRequest extends Named {
  readonly uid: string;
  readonly labels: Labels;
  readonly template: PodTemplate;
  /** The only nodes it may go to, learnt from kube-scheduler (a bound volume); undefined: any. */
  readonly pinnedTo: ReadonlySet<string> | undefined;
}

export interface GangRequest {
  readonly key: string;
  readonly priority: number;
  /** Members to place now, in rank order. */
  readonly members: readonly MemberRequest[];
  /** How many of `members` have to be placed for the gang to start (or go on). */
  readonly min: number;
  /** Nodes of members that are placed already; the new ones go near them. */
  readonly near: readonly string[];
  /** Nodes that kube-scheduler refused, by template key. */
  readonly refused: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface PlanPolicy {
  /** Which resources are accelerators: broken up as little as possible, kept free of pods that need none. */
  readonly isAccelerator: (resource: string) => boolean;
}

export type RequestClass = MemberClass<MemberRequest>;

/** Members with one template, labels that mean the same to every selector, and the same freedom of nodes, together. */
export function classify(snapshot: Snapshot, gang: GangRequest, policy: PlanPolicy): readonly RequestClass[] {
  const groups = new Map<string, MemberRequest[]>();
  const repellers = listRepellers(snapshot, gang);
  for (const member of gang.members) {
    const pins = member.pinnedTo ? [...member.pinnedTo].sort().join(',') : '*';
    const key = `${pins} ${describeLabels(member, repellers)} ${member.template.key}`;
    const group = groups.get(key);
    if (group) group.push(member);
    else groups.set(key, [member]);
  }
  return [...groups.values()].map((pods) => {
    const { template, pinnedTo } = pods[0]!;
    let { allowed } = snapshot.verdicts.of(template);
    const refused = gang.refused.get(template.key);
    if (refused || pinnedTo) {
      allowed = allowed.map((value, row) => {
        const name = snapshot.nodes[row]?.name;
        return name === undefined || refused?.has(name) || (pinnedTo && !pinnedTo.has(name)) ? 0 : value;
      });
    }
    const accelerators = template.requests
      .filter(({ name }) => policy.isAccelerator(name))
      .reduce((sum, { amount }) => sum + amount, 0);
    return { pods, requests: resolveRequests(template, snapshot), allowed, accelerators };
  });
}

/** Templates whose anti-affinity may keep a member off a node: of bound pods, occupants and the members themselves. */
function listRepellers(snapshot: Snapshot, gang: GangRequest): readonly PodTemplate[] {
  const repellers = new Set<PodTemplate>();
  const add = ({ template }: Placeable) => {
    if (template.antiAffinity.length > 0) repellers.add(template);
  };
  snapshot.repelling.forEach((repels, row) => {
    if (repels === 1) for (const pod of snapshot.podsOn[row]!) add(pod);
  });
  for (const pod of [...snapshot.occupants, ...gang.members]) add(pod);
  return [...repellers];
}

/** Which selectors the member's labels match: its own spread constraints, and the anti-affinity of others. */
function describeLabels(member: MemberRequest, repellers: readonly PodTemplate[]): string {
  const bits = [
    ...member.template.spread.map(({ selector }) => matchesSelector(selector, member.labels)),
    ...repellers.map(({ antiAffinity }) => repelledBy(antiAffinity, [member])),
  ];
  return bits.map(Number).join('');
}
