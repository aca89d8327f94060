/**
 * Turns reasons into text. A reason has two texts: `explain` is for people and carries live counts. `explainStably`
 * goes into filter replies and changes only with the kind of cause, because every change costs kube-scheduler a
 * status patch per pod and a retry (kubernetes v1.37.2 schedule_one.go:1298).
 */

import type { CreationFailure } from '../objects/creation-failure.ts';
import { cutText, instantText, listFirst, listSome } from '../objects/text-values.ts';
import type { Impossibility, Oversize } from '../placement/best-case.ts';
import type { Holders } from '../placement/holders.ts';
import type { Unschedulable } from '../placement/report.ts';
import type { TopologyShortfall } from '../placement/shortfall.ts';
import type { GangProblem } from '../podgroup/problems.ts';
import type { RunName } from '../podgroup/run.ts';
import type { GrowingSet } from '../podgroup/size.ts';
import type { SpareCause } from '../preemption/candidates.ts';
import type { QuotaRefusal } from '../queues/quota.ts';
import { explainProblem, explainProblemStably } from './explain-problem.ts';
import { explainLastingRefusal } from './explain-queue.ts';
import {
  explainLaterRuns,
  explainLost,
  explainRepair,
  type LostMember,
  type Repair,
  type SomePods,
} from './explain-running.ts';
import { formatAmount } from './format-amount.ts';
import { explainHoldReason, explainHoldReasonStably, type HoldReason } from './hold-reason.ts';

/** Why a gang is not running yet. */
export type Reason =
  | {
      readonly kind: 'gathering';
      readonly have: number;
      /** Undefined: its Jobs are gone or make none. */
      readonly want: number | undefined;
      /** Whether its Jobs have made all the members that they want. */
      readonly isExhausted?: boolean;
      /** Whether a StatefulSet makes them, which by default waits for one pod to be ready before it makes the next. */
      readonly isOrdered?: boolean;
      /** How many pods all nodes take, if it wants more. */
      readonly mostPods?: number;
      /** Jobs of the gang that are suspended while others are not. */
      readonly suspended?: readonly string[];
      /** Why a controller could not create the others. */
      readonly refused?: Pick<CreationFailure, 'owner' | 'message'>;
    }
  /** A JobSet has not made all its Jobs: how many members come is not known yet. */
  | ({ readonly kind: 'growing'; readonly refused?: Pick<CreationFailure, 'owner' | 'message'> } & GrowingSet)
  | { readonly kind: 'problems'; readonly problems: readonly GangProblem[] }
  | { readonly kind: 'queued' }
  | HoldReason
  | LacksRoom
  | {
      readonly kind: 'preempting';
      /** Gangs and lone pods that are evicted for it. */
      readonly victims: readonly string[];
      /** How many pods have to leave, and how many of them have left. */
      readonly pods: number;
      readonly gone: number;
      /** Why an eviction is refused; '' when none is. */
      readonly blockedBy: string;
    }
  | NeverReason
  | { readonly kind: 'nominated'; readonly members: number; readonly atBarrier: number }
  | { readonly kind: 'backing-off'; readonly cause: string; readonly until: number }
  /** `at`: when it is evicted, milliseconds since the epoch. */
  | { readonly kind: 'preempted'; readonly by: string; readonly at: number }
  | {
      readonly kind: 'incomplete';
      readonly running: number;
      readonly want: number;
      readonly repair: Repair;
      /** A few of the members that it lost, and how many there are. */
      readonly lost: readonly LostMember[];
      readonly losses: number;
      readonly waiting: WaitingMembers | undefined;
    }
  /** It runs, and members beside those that started wait. */
  | ({ readonly kind: 'members-wait' } & WaitingMembers)
  /** It runs, and younger runs of the same maker wait for its end. */
  /** The first few, and how many there are. */
  | {
      readonly kind: 'later-runs';
      readonly run: RunName | undefined;
      readonly later: readonly RunName[];
      readonly count: number;
    };

/** Members of a gang that has started, without a place. */
export interface WaitingMembers {
  readonly pods: SomePods;
  readonly why: Reason;
}

/** No room now. Who holds what it lacks is found only when somebody wants to know. */
type LacksRoom = Unschedulable & { readonly preemption?: PreemptionOutlook; readonly holders?: Holders };

/** Why a complete gang can never start as it is, whoever leaves. */
export type NeverReason =
  /** The nodes that exist would not hold it even if nothing else ran. */
  | ({ readonly kind: 'unsatisfiable' } & Impossibility)
  /** Its queue may never use as much as it asks for. */
  | { readonly kind: 'beyond-quota'; readonly refusal: QuotaRefusal };

/** Why preemption does not help a gang that found no room. */
export type PreemptionOutlook =
  /** Pods are leaving that take the room it needs. */
  | { readonly kind: 'coming' }
  /** It is not known yet. */
  | { readonly kind: 'searching' }
  /** The search took longer than it may. */
  | { readonly kind: 'too-long'; readonly seconds: number }
  /** The search ended with an error, which the log has. */
  | { readonly kind: 'failed' }
  /** Budgets allow fewer disruptions than the cheapest set of victims causes. */
  | { readonly kind: 'budgets'; readonly violations: number; readonly victims: readonly string[] }
  /** Even evicting everything that may be evicted would not be enough. */
  | {
      readonly kind: 'none';
      /** When a protected victim stops being protected, milliseconds since the epoch; Infinity: never by time alone. */
      readonly reconsiderAt: number;
      /** How many gangs and pods of lower priority are protected, by cause. */
      readonly spared: readonly { readonly cause: SpareCause; readonly units: number }[];
    };

/** For Events, logs and the inspect API. */
export function explain(reason: Reason): string {
  switch (reason.kind) {
    case 'gathering':
      return explainGathering(reason);
    case 'growing':
      return `${reason.have} of ${reason.want} Jobs of JobSet ${reason.name} exist${
        explainCreation(reason.refused) || '; if the others are made only once these run, set muster.dev/min-members'
      }`;
    case 'problems':
      return reason.problems.map(explainProblem).join('; ');
    case 'queued':
      return 'complete, waiting to be planned';
    case 'unschedulable':
      return explainUnschedulable(reason);
    case 'unsatisfiable':
      return explainNever(reason);
    case 'beyond-quota':
      return `can never start: ${explainLastingRefusal(reason.refusal)}`;
    case 'held':
    case 'settling':
    case 'queue':
    case 'quota':
    case 'over-time':
    case 'outruns-barrier':
    case 'behind':
      return explainHoldReason(reason);
    case 'nominated':
      return reason.members === 1
        ? '1 member nominated; kube-scheduler binds it next'
        : `${reason.members} members nominated, ${reason.atBarrier} of them at the bind barrier; all are bound together`;
    case 'backing-off':
      return `${reason.cause}; tried again at ${new Date(reason.until).toISOString()}`;
    case 'preempting':
      return explainPreempting(reason);
    case 'preempted':
      return `preempted by gang ${cutText(reason.by)}, evicted at ${new Date(reason.at).toISOString()}`;
    case 'incomplete': {
      const { running, want, repair, lost, losses, waiting } = reason;
      const waits = waiting ? `; ${explainWaiting(waiting)}` : '';
      return `${running} of ${want} members are bound${explainRepair(repair)}${explainLost(lost, losses)}${waits}`;
    }
    case 'members-wait':
      return explainWaiting(reason);
    case 'later-runs':
      return explainLaterRuns(reason.run, reason.later, reason.count);
    default:
      return reason satisfies never;
  }
}

/**
 * For filter replies: one text for each kind of cause, without counts, times and `%`, as kube-scheduler uses it as a
 * format string.
 */
export function explainStably(gang: string, reason: Reason): string {
  return `gang ${gang} ${stableText(reason)}`.replaceAll('%', ' percent');
}

function stableText(reason: Reason): string {
  switch (reason.kind) {
    case 'gathering':
      return 'waits for all its members to be created';
    case 'growing':
      return `waits for all Jobs of JobSet ${reason.name} to be created`;
    case 'problems':
      return `cannot start: ${explainProblemStably(reason.problems[0]!)}`;
    case 'queued':
      return 'waits to be planned';
    case 'unschedulable':
      return stableShortfall(reason.topology);
    case 'unsatisfiable':
      return stableImpossibility(reason.lacks.topology);
    case 'beyond-quota':
      return `asks for more than queue ${reason.refusal.queue} may ever use`;
    case 'held':
    case 'settling':
    case 'queue':
    case 'quota':
    case 'over-time':
    case 'outruns-barrier':
    case 'behind':
      return explainHoldReasonStably(reason);
    case 'nominated':
      return 'is planned; this member goes to its nominated node';
    case 'backing-off':
      return 'backs off before it is planned again';
    case 'preempting':
      return 'waits for the pods that it preempted to leave';
    case 'preempted':
      return 'is preempted by another gang';
    case 'incomplete':
      return 'runs below its minimum; this member waits for a place';
    case 'members-wait':
      return `runs; this member is more than its minimum and ${stableText(reason.why)}`;
    case 'later-runs':
      return `has one run at a time: ${explainLaterRuns(reason.run, reason.later, reason.count)}`;
    default:
      return reason satisfies never;
  }
}

function explainCreation(refused: Pick<CreationFailure, 'owner' | 'message'> | undefined): string {
  return refused ? `; ${refused.owner} cannot create more: "${refused.message}"` : '';
}

function explainGathering(reason: Reason & { readonly kind: 'gathering' }): string {
  const { have, want, isExhausted, isOrdered, mostPods, suspended = [], refused } = reason;
  if (want === undefined) return `${have} members exist, and no Job makes others`;
  const ended = isExhausted ? ', and its Jobs make no others: create them, or lower muster.dev/min-members' : '';
  const parked = suspended.length > 0 ? `; suspended: Job ${listSome(suspended.map(cutText))}` : '';
  const ordered = isOrdered ? '; a StatefulSet makes them one by one unless its podManagementPolicy is Parallel' : '';
  const beyond =
    mostPods === undefined
      ? ''
      : `; expected at most ${mostPods}, as many pods as all nodes take: lower muster.dev/min-members or the size of the Jobs, or add nodes`;
  return `${have} of ${want} members exist${beyond}${ended}${ordered}${parked}${explainCreation(refused)}`;
}

function explainPreempting({ victims, pods, gone, blockedBy }: Reason & { readonly kind: 'preempting' }): string {
  const whom = victims.length > 0 ? `preempts ${listSome(victims)}` : 'waits for pods that are leaving';
  return `${whom}; ${gone} of ${pods} pods have left${blockedBy && `; blocked: ${blockedBy}`}`;
}

function explainWaiting({ pods, why }: WaitingMembers): string {
  // Each of them may start by itself, but all of them wait.
  const all = why.kind === 'unschedulable' ? { ...why, want: pods.count } : why;
  return `${listFirst(pods.names, pods.count)} ${pods.count === 1 ? 'waits' : 'wait'}: ${explain(all)}`;
}

const SPARED: Readonly<Record<SpareCause, string>> = {
  'min-runtime': 'inside min-runtime',
  preemptible: 'not preemptible',
  budget: 'kept by PodDisruptionBudgets',
  barred: 'whose eviction was refused',
  guaranteed: 'inside the guarantee of their queues',
};

function explainOutlook(outlook: PreemptionOutlook | undefined): string {
  switch (outlook?.kind) {
    case undefined:
      return '';
    case 'coming':
      return '; it fits when the pods that are terminating have left';
    case 'searching':
      return '; searching for victims';
    case 'too-long':
      return `; the search for victims was given up after ${outlook.seconds} s, it is tried again later`;
    case 'failed':
      return '; the search for victims failed, it is tried again later';
    case 'budgets':
      return `; preempting ${listSome(outlook.victims)} would violate PodDisruptionBudgets by ${outlook.violations}`;
    case 'none': {
      if (outlook.spared.length === 0) return '';
      const spared = outlook.spared.map(({ cause, units }) => `${units} ${SPARED[cause]}`).join(', ');
      const at = instantText(outlook.reconsiderAt);
      return `; of lower priority but protected: ${spared}${at === undefined ? '' : ` until ${at}`}`;
    }
    default:
      return outlook satisfies never;
  }
}

function explainUnschedulable(reason: LacksRoom): string {
  return `${explainRoom(reason)}${explainHolders(reason.holders)}${explainOutlook(reason.preemption)}`;
}

function explainHolders(holders: Holders | undefined): string {
  if (!holders) return '';
  const { resource, largest, others } = holders;
  const named = largest.map(({ kind, name, amount }, i) => {
    const held = formatAmount(resource, amount);
    return `${kind} ${cutText(name)} (${i === 0 ? `${held} ${resource}` : held})`;
  });
  return `; held by ${listFirst(named, named.length + others)}`;
}

function explainNever({ lacks, oversize }: Impossibility): string {
  if (lacks.topology && lacks.topology.kind !== 'no-domain') return explainLevel(lacks.topology);
  const tooLarge = oversize && explainOversize(oversize);
  // No node takes any member, and none for want of a resource: less of it would not help.
  const isKeptOff = lacks.fits === 0 && lacks.lacking === undefined && !oversize;
  const remedy = isKeptOff ? 'change what its pods require of nodes' : 'ask for less';
  return `can never fit on these nodes: ${explainRoom(lacks, ' even if nothing else ran', tooLarge)}; ${remedy}, or add nodes`;
}

function explainOversize({ resource, asked, largest }: Oversize): string {
  const most = largest > 0 ? `the largest node has ${formatAmount(resource, largest)}` : 'no node has any';
  return `one member asks for ${formatAmount(resource, asked)} ${resource}, ${most}`;
}

/** @param condition under which there is so much room. @param more said before the causes. */
function explainRoom(reason: Unschedulable, condition = '', more?: string): string {
  const { fits, want, topology } = reason;
  const room = `room for ${fits} of ${want} members`;
  const rest = `${more === undefined ? '' : `; ${more}`}${listCauses(reason)}`;
  if (topology === undefined) return `${room}${condition}${rest}`;
  if (topology.kind !== 'no-domain') return explainLevel(topology);
  const { level, best, slice, squatters, widensAt } = topology;
  const inSlices = slice ? ` in slices of ${slice.size}, each in one ${slice.level}` : '';
  const parts = [
    level === undefined
      ? `${room}${inSlices}${condition}`
      : best === undefined
        ? `${level}: no domain takes any of ${want} members${inSlices}${condition}`
        : `${level}: best domain ${best} fits ${fits} of ${want}${inSlices}${condition}`,
  ];
  if (squatters) {
    const { domain, pods, examples } = squatters;
    parts.push(`${domain} would hold it without pods that use no accelerator: ${listFirst(examples, pods)}`);
  }
  if (widensAt !== undefined) parts.push(`tried wider after ${new Date(widensAt).toISOString()}`);
  return `${parts.join('; ')}${rest}`;
}

function explainLevel(problem: Exclude<TopologyShortfall, { readonly kind: 'no-domain' }>): string {
  const { kind, key, found, known } = problem;
  const levels = known.length > 0 ? `one of ${known.join(', ')}, or a node label of theirs` : 'no level';
  const expected = `muster.dev/${key}: expected ${levels}, found "${cutText(found)}"`;
  switch (kind) {
    case 'unknown-level':
      return `${expected}; muster topology shows the levels of this cluster`;
    case 'spread-inside-slice':
      return `${expected}; slices are kept together and only whole ones can be spread`;
    case 'spread-outside-required':
      return `${expected}; all members are in one domain of the required level already`;
    case 'not-exclusive':
      return `${expected}; the operator allows no gang to have larger domains for itself (topology.exclusiveLevels)`;
    default:
      return kind satisfies never;
  }
}

/** Only the kind of shortfall: the best domain and the counts change all the time. */
function stableShortfall(topology: TopologyShortfall | undefined): string {
  if (topology === undefined) return 'waits for room for all its members';
  if (topology.kind !== 'no-domain') return `cannot start: ${explainLevel(topology)}`;
  if (topology.level === undefined) return `waits for room for slices of ${topology.slice!.size} members`;
  return `waits for one domain of level ${topology.level} with room for all its members`;
}

function stableImpossibility(topology: TopologyShortfall | undefined): string {
  if (topology && topology.kind !== 'no-domain') return stableShortfall(topology);
  const where = topology?.level === undefined ? 'on the nodes that exist' : `in one domain of level ${topology.level}`;
  return `can never fit ${where}, even if nothing else ran`;
}

function listCauses({ causes, topology }: Unschedulable): string {
  if (causes.length === 0) return '';
  return `; nodes${topology?.kind === 'no-domain' && topology.best !== undefined ? ' there' : ''} for the others: ${causes.map(({ cause, nodes }) => `${nodes} ${cause}`).join(', ')}`;
}
