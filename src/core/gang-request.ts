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
  /** Its place in the gang's order, distinct within the gang: neighbours in rank are placed next to each other. */
  readonly rank: number;
  /** The only nodes it may go to, learnt from kube-scheduler (a bound volume); undefined: any. */
  readonly pinnedTo: ReadonlySet<string> | undefined;
}

/** A member that has its node already. */
export interface PlacedMember {
  /** Undefined for one that is gone and whose place is kept. */
  readonly rank: number | undefined;
  readonly node: string;
}

/** What the gang asks of the fabric: names of levels, or node-label keys, as its owner wrote them. */
export interface TopologyRequest {
  /** All members inside one domain of this level, or none is placed. */
  readonly required: string | undefined;
  /** One domain of this level if there is one, else of the next outer level, and so on. */
  readonly preferred: string | undefined;
  /** Until then only the preferred level will do, milliseconds since the epoch; undefined: it is widened at once. */
  readonly patientUntil: number | undefined;
  /** Chunks of `size` consecutive ranks, each inside one domain of the level. */
  readonly slice: { readonly size: number; readonly level: string } | undefined;
  /** Members, or slices, are divided evenly among domains of this level. */
  readonly spread: string | undefined;
  /** No other gang in the domains of this level that this one uses. */
  readonly exclusive: string | undefined;
}

export interface GangRequest {
  readonly key: string;
  readonly priority: number;
  /** Members to place now, in rank order. */
  readonly members: readonly MemberRequest[];
  /** How many of `members` have to be placed for the gang to start (or go on). */
  readonly min: number;
  readonly topology: TopologyRequest;
  /** Members that are placed already; the new ones go near them. */
  readonly placed: readonly PlacedMember[];
  /** Nodes that kube-scheduler refused, by template key. */
  readonly refused: ReadonlyMap<string, ReadonlySet<string>>;
  /** Nodes that failed under the gang. */
  readonly avoided: ReadonlySet<string>;
  /** GPU models that its queue has no quota left for: their nodes are none of its. */
  readonly excludedModels: ReadonlySet<string>;
}

/**
 * Which of the domains that hold a gang is best: `best-fit` the smallest, `least-fragmentation` one that is broken
 * already before one that is whole, filled up before the next is begun, `spread` the emptiest.
 */
export const PLACEMENT_SCORES = ['best-fit', 'least-fragmentation', 'spread'] as const;
export type PlacementScore = (typeof PLACEMENT_SCORES)[number];

export interface PlanPolicy {
  /** Which resources are accelerators: broken up as little as possible, kept free of pods that need none. */
  readonly isAccelerator: (resource: string) => boolean;
  readonly score: PlacementScore;
}

export type RequestClass = MemberClass<MemberRequest>;

/** Members with one template, labels that mean the same to every selector, and the same freedom of nodes, together. */
export function classify(snapshot: Snapshot, gang: GangRequest, policy: PlanPolicy): readonly RequestClass[] {
  const groups = new Map<string, MemberRequest[]>();
  const repellers = listRepellers(snapshot, gang);
  /** Groups of members that nothing but their template puts there: found without the text, 1.6 ms of a plan for 4,600. */
  const plain = new Map<PodTemplate, MemberRequest[]>();
  const { pools, poolOf } = snapshot.pools;
  const isExcluded = (row: number) => gang.excludedModels.has(pools[poolOf[row]!]?.model ?? '');
  const isNarrowed = gang.avoided.size + gang.excludedModels.size > 0;
  for (const member of gang.members) {
    const isPlain = !member.pinnedTo && repellers.length === 0 && member.template.spread.length === 0;
    const known = isPlain ? plain.get(member.template) : undefined;
    if (known) {
      known.push(member);
      continue;
    }
    const pins = member.pinnedTo ? [...member.pinnedTo].sort().join(',') : '*';
    const key = `${pins} ${describeLabels(member, repellers)} ${member.template.key}`;
    const group = groups.get(key) ?? [];
    group.push(member);
    groups.set(key, group);
    if (isPlain) plain.set(member.template, group);
  }
  return [...groups.values()].map((pods) => {
    const { template, pinnedTo } = pods[0]!;
    let { allowed } = snapshot.verdicts.of(template);
    const refused = gang.refused.get(template.key);
    if (refused || pinnedTo || isNarrowed) {
      allowed = allowed.map((value, row) => {
        const name = snapshot.nodes[row]?.name;
        if (name === undefined || refused?.has(name) || gang.avoided.has(name) || isExcluded(row)) return 0;
        return pinnedTo && !pinnedTo.has(name) ? 0 : value;
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
