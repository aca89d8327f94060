/**
 * Finds what keeps a gang back although its pods exist: bad keys, contradictions, members that nothing could hold
 * back. O(members).
 */
import {
  COSCHEDULING_LABEL,
  GANG_GATE,
  isKnownKey,
  type KeyProblem,
  MAX_MEMBERS,
  MIN_MEMBERS,
  POD_GROUP_LABEL,
  QUEUE,
} from '../objects/keys.ts';
import { isTerminated, type Owner, type PodModel } from '../objects/model.ts';
import { kindOf, MAX_CLAIMS, MAX_KINDS, MAX_RULES, MAX_SPREAD_CONSTRAINTS } from '../objects/template-rules.ts';
import { cutText } from '../objects/text-values.ts';
import { isGangWideKey, memberKeys } from './member-keys.ts';
import type { GangSize } from './size.ts';
import { findMissingKeys, type MissingKey } from './topology-keys.ts';

export type GangProblem =
  | ((KeyProblem | { readonly kind: 'unreachable-member' | 'unmarked-member' }) & { readonly pod: string })
  /** A few of the values, cut, and how many there are. */
  | { readonly kind: 'contradiction'; readonly key: string; readonly values: readonly string[]; readonly count: number }
  /** A few of the pods, and how many there are. */
  | {
      readonly kind: 'duplicate-rank';
      readonly rank: number;
      readonly pods: readonly string[];
      readonly count: number;
    }
  /** Others beside those that are listed. */
  | { readonly kind: 'more'; readonly count: number }
  | MissingKey
  | { readonly kind: 'min-above-max'; readonly min: number; readonly max: number }
  /** `uncounted`: an owner that does not say how many members it makes; undefined: there is no owner to ask. */
  | { readonly kind: 'no-min-members'; readonly uncounted: Owner | undefined }
  | { readonly kind: 'no-pod-group-object'; readonly name: string }
  | { readonly kind: ClaimObstacle; readonly claim: string }
  /** It asks for more members than a gang may have, or has more. */
  | { readonly kind: 'too-large'; readonly found: number; readonly most: number }
  | { readonly kind: 'set-aside'; readonly fault: GangFault }
  | Excess;

/** The parts of a cycle, and of the answers between two cycles, in which one gang is handled. */
export type HandlingStep = 'observe' | 'repair' | 'admit' | 'plan' | 'preempt' | 'write' | 'publish' | 'answer';

/** Why a gang is set aside: the gang alone pays for it. */
export interface GangFault {
  /** `error`: an exception, which is a mistake in Muster. `time`: it took longer than its budget. */
  readonly cause: 'error' | 'time';
  /** Where it happened, or what took most of the time. */
  readonly step: HandlingStep;
  /** What the exception says, cut; of a `time` how long it took, milliseconds. */
  readonly found: string | number;
  /** What it may take in one cycle, milliseconds. */
  readonly budgetMs: number;
  /** When it is tried again, if nothing of it changes before, milliseconds since the epoch. */
  readonly until: number;
}

/** The members that wait bring more than a plan looks at. */
export interface Excess {
  readonly kind: 'too-complex';
  readonly what: 'rules' | 'spread-constraints' | 'kinds' | 'claims';
  readonly found: number;
  readonly limit: number;
}

/** A claim does not exist, or is not bound and does not wait for its first consumer. */
export type ClaimObstacle = 'missing-claim' | 'unbound-claim';

export interface ProblemSources {
  /** In rank order. */
  readonly members: readonly PodModel[];
  /** Those that speak for the gang (`speakers.ts`). */
  readonly speakers: readonly PodModel[];
  readonly size: GangSize;
  /** The most members that a gang may have. */
  readonly maxSize: number;
  /** How a claim holds the gang back; undefined: it does not. */
  readonly blocksOnClaim: (claim: string) => ClaimObstacle | undefined;
}

/** Values and pods that a problem names. Users decide how many there are. */
const MAX_EXAMPLES = 4;

/** Problems with keys, and contradictions, that are listed one by one. */
const MAX_LISTED = 8;

/** A gang as large as allowed has few problems at a time: whoever has more corrects the first ones first. */
export function findProblems(
  name: string,
  { members, speakers, size, maxSize, blocksOnClaim }: ProblemSources,
): readonly GangProblem[] {
  const problems: GangProblem[] = [];
  if (members.length === 0) return problems;
  problems.push(...findKeyProblems(speakers), ...findContradictions(speakers), ...findOtherQueue(members, speakers));
  problems.push(...findDuplicateRank(members), ...findMissingKeys(speakers));
  const { minMember: minimum, growing } = size;
  const badMinimum = problems.some((problem) => 'key' in problem && problem.key === MIN_MEMBERS);
  const isEnded = members.every(isTerminated);
  // The Job of these pods is gone, or not seen yet: it says the size, or nobody wants them any more.
  const isOrphaned = size.uncounted?.kind === 'Job';
  // Its Jobs say that they want none, or no more: these pods are about to leave.
  const isNobodyWanted = size.uncounted === undefined && size.coming.size > 0;
  if (minimum === undefined && !growing && !badMinimum && !isEnded && !isOrphaned && !isNobodyWanted)
    problems.push(missingMinimum(name, speakers, size));
  const max = speakers.map((pod) => Number(pod.annotations[MAX_MEMBERS])).find((value) => Number.isInteger(value));
  if (minimum !== undefined && max !== undefined && max < minimum) {
    problems.push({ kind: 'min-above-max', min: minimum, max });
  }
  const asked = Math.max(minimum ?? 0, members.length);
  if (asked > maxSize) problems.push({ kind: 'too-large', found: asked, most: maxSize });
  const waiting = members.filter((pod) => pod.nodeName === '' && !isTerminated(pod));
  const unreachable = waiting.find((pod) => !pod.template.reachesExtender && !pod.gates.includes(GANG_GATE));
  if (unreachable) problems.push({ kind: 'unreachable-member', pod: unreachable.name });
  const unmarked = waiting.find((pod) => pod.template.skipsBarrier);
  if (unmarked) problems.push({ kind: 'unmarked-member', pod: unmarked.name });
  problems.push(...findExcess(waiting), ...findClaimProblem(waiting, blocksOnClaim));
  return problems;
}

/** The members of a Job share their mistakes, so each mistake is reported once, with the first pod that has it. */
function findKeyProblems(speakers: readonly PodModel[]): readonly GangProblem[] {
  const problems: GangProblem[] = [];
  const seen = new Set<string>();
  for (const pod of speakers) {
    for (const problem of memberKeys(pod).problems) {
      const mark = `${problem.kind} ${problem.key} ${problem.kind === 'bad-value' ? problem.value : ''}`;
      if (seen.has(mark)) continue;
      seen.add(mark);
      if (problems.length < MAX_LISTED) problems.push({ ...problem, pod: pod.name });
    }
  }
  return withRest(problems, seen.size);
}

/** @param count how many problems there are. */
function withRest(problems: readonly GangProblem[], count: number): readonly GangProblem[] {
  return count > problems.length ? [...problems, { kind: 'more', count: count - problems.length }] : problems;
}

/** The first bound that the members exceed. O(members), and O(templates) to tell kinds apart. */
function findExcess(waiting: readonly PodModel[]): readonly Excess[] {
  const excess = (what: Excess['what'], found: number, limit: number): readonly Excess[] =>
    found > limit ? [{ kind: 'too-complex', what, found, limit }] : [];
  const templates = [...new Set(waiting.map(({ template }) => template))];
  // Before kinds are told apart: that reads all rules.
  const most = templates.reduce((max, { rules }) => Math.max(max, rules), 0);
  if (most > MAX_RULES) return excess('rules', most, MAX_RULES);
  const constraints = templates.reduce((max, { spread }) => Math.max(max, spread.length), 0);
  if (constraints > MAX_SPREAD_CONSTRAINTS) return excess('spread-constraints', constraints, MAX_SPREAD_CONSTRAINTS);
  // Those beyond the bound are not kept.
  if (waiting.some(({ claims }) => claims.length > MAX_CLAIMS)) return excess('claims', MAX_CLAIMS + 1, MAX_CLAIMS);
  if (templates.length < 2) return [];
  const kinds = new Map(templates.map((template) => [kindOf(template), template]));
  if (kinds.size > MAX_KINDS) return excess('kinds', kinds.size, MAX_KINDS);
  return excess(
    'rules',
    [...kinds.values()].reduce((sum, { rules }) => sum + rules, 0),
    MAX_RULES,
  );
}

/** The first claim that holds the gang back. */
function findClaimProblem(
  waiting: readonly PodModel[],
  blocksOnClaim: (claim: string) => ClaimObstacle | undefined,
): readonly GangProblem[] {
  for (const { claims } of waiting) {
    for (const claim of claims) {
      const kind = blocksOnClaim(claim);
      if (kind !== undefined) return [{ kind, claim }];
    }
  }
  return [];
}

function missingMinimum(name: string, members: readonly PodModel[], { uncounted }: GangSize): GangProblem {
  const viaPodGroup = members.some((pod) => pod.labels[POD_GROUP_LABEL] === undefined);
  return viaPodGroup ? { kind: 'no-pod-group-object', name } : { kind: 'no-min-members', uncounted };
}

/** Keys about the whole gang must have the same value on every member. */
function findContradictions(members: readonly PodModel[]): readonly GangProblem[] {
  const problems: GangProblem[] = [];
  // One member of each kind: a sound gang has only one kind.
  const distinctMembers = [...new Map(members.map((pod) => [memberKeys(pod).gangWide, pod])).values()];
  const entries = distinctMembers.map(({ labels, annotations }) => ({ ...labels, ...annotations }));
  // Unknown keys are problems of their own, and users decide how many there are.
  const isCompared = (key: string) => isGangWideKey(key) && isKnownKey(key);
  const keys = new Set(entries.flatMap((all) => Object.keys(all).filter(isCompared)));
  let contradictions = 0;
  for (const key of [...keys].sort()) {
    const values = distinct(entries.map((all) => all[key]).filter((value) => value !== undefined));
    if (values.length <= 1) continue;
    contradictions++;
    if (problems.length < MAX_LISTED) problems.push(contradict(key, values));
  }
  if (contradictions > problems.length) problems.push({ kind: 'more', count: contradictions - problems.length });
  for (const pod of distinctMembers) {
    const names = distinct(
      [pod.labels[POD_GROUP_LABEL], pod.labels[COSCHEDULING_LABEL]].filter((value) => value !== undefined),
    );
    if (names.length > 1) return [...problems, contradict(POD_GROUP_LABEL, names)];
  }
  const priorities = new Set(members.filter(({ nodeName }) => nodeName === '').map(({ priority }) => priority));
  if (priorities.size > 1) {
    const values = distinct([...priorities].map(String));
    problems.push(contradict('spec.priority', values));
  }
  return problems;
}

/** Members that join what runs use the quota of its queue: whoever names another one would move all that it uses there. */
function findOtherQueue(members: readonly PodModel[], speakers: readonly PodModel[]): readonly GangProblem[] {
  const bound = members.find((pod) => pod.nodeName !== '' && !isTerminated(pod));
  const queueOf = ({ labels }: PodModel) => labels[QUEUE] ?? '';
  const other = bound && speakers.find((pod) => pod.nodeName === '' && queueOf(pod) !== queueOf(bound));
  return other ? [contradict(QUEUE, [queueOf(bound), queueOf(other)])] : [];
}

function contradict(key: string, values: readonly string[]): GangProblem {
  const examples = values.slice(0, MAX_EXAMPLES).map(cutText);
  return { kind: 'contradiction', key: cutText(key), values: examples, count: values.length };
}

/** The first rank that several members were given explicitly. */
function findDuplicateRank(members: readonly PodModel[]): readonly GangProblem[] {
  const named = new Map<number, string[]>();
  for (const pod of members) {
    const rank = isTerminated(pod) ? undefined : memberKeys(pod).explicitRank;
    if (rank === undefined) continue;
    const pods = named.get(rank);
    if (pods) pods.push(pod.name);
    else named.set(rank, [pod.name]);
  }
  const shared = [...named].filter(([, pods]) => pods.length > 1).sort(([a], [b]) => a - b);
  return shared.slice(0, 1).map(([rank, pods]) => {
    return { kind: 'duplicate-rank', rank, pods: pods.slice(0, MAX_EXAMPLES), count: pods.length };
  });
}

function distinct(values: readonly string[]): readonly string[] {
  return [...new Set(values)].sort();
}
