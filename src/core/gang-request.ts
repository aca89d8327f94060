/** What the planner is asked: a gang's members to place, what they ask for, and the policy to place them by. */
import type { IsAccelerator } from './accelerators.ts';
import type { Labels, Named, PodTemplate, PodUid } from './model.ts';
import type { GangKey } from './pod-group.ts';
import type { TopologyRequest } from './topology-request.ts';

export interface MemberRequest extends Named {
  readonly uid: PodUid;
  readonly labels: Labels;
  readonly template: PodTemplate;
  /** Its place in the gang's order, distinct within the gang. Neighbours in rank are placed next to each other. */
  readonly rank: number;
  /** The only nodes it may go to, learnt from kube-scheduler (a bound volume); undefined: any. */
  readonly pinnedTo: ReadonlySet<string> | undefined;
}

/** A member that is placed already. */
export interface PlacedMember {
  /** Undefined for a member that is gone while its place is kept. */
  readonly rank: number | undefined;
  readonly node: string;
}

export interface GangRequest {
  readonly key: GangKey;
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
  /** GPU models that its queue has no quota left for: it may not use their nodes. */
  readonly excludedModels: ReadonlySet<string>;
}

/**
 * Which of the domains that hold a gang is best. `best-fit`: the smallest. `least-fragmentation`: one that is broken
 * up already before one that is whole, each filled up before the next is begun. `spread`: the emptiest.
 */
export const PLACEMENT_SCORES = ['best-fit', 'least-fragmentation', 'spread'] as const;
export type PlacementScore = (typeof PLACEMENT_SCORES)[number];

export interface PlanPolicy {
  /**
   * Which resources are accelerators. They are broken up as little as possible and kept free of pods that need none.
   */
  readonly isAccelerator: IsAccelerator;
  readonly score: PlacementScore;
}
