/**
 * What tells one cause from another. People are told of a reason when its cause changes: a count, a time, a pod or the
 * gang ahead changes all the time and is no new cause.
 */
import { cutText } from '../objects/text-values.ts';
import type { TopologyShortfall } from '../placement/shortfall.ts';
import type { GangProblem } from '../podgroup/problems.ts';
import type { Reason } from './explain.ts';
import type { Repair } from './explain-running.ts';

/** Problems that count: more of them are no new cause. */
const MAX_PROBLEMS = 8;

/** The cause of the reason, as a text that is equal for equal causes. It is compared and never shown. */
export function causeOf(reason: Reason): string {
  switch (reason.kind) {
    case 'settling':
    case 'queued':
    case 'held':
    case 'nominated':
    case 'backing-off':
    case 'preempting':
    case 'preempted':
    case 'later-runs':
      return reason.kind;
    case 'gathering':
      return join(
        reason.kind,
        reason.mostPods === undefined ? '' : 'beyond',
        reason.refused ? cutText(withoutNumbers(reason.refused.message)) : '',
      );
    case 'growing':
      return join(reason.kind, reason.refused ? cutText(withoutNumbers(reason.refused.message)) : '');
    case 'problems':
      return join(reason.kind, ...causesOfProblems(reason.problems));
    case 'unschedulable':
      // Why preemption does not help changes with the counts, except that a budget is in the way.
      return join(
        reason.kind,
        ...causeOfShortfall(reason.topology),
        ...(reason.preemption?.kind === 'budgets' ? ['budgets'] : []),
      );
    case 'unsatisfiable':
      return join(reason.kind, reason.oversize ? 'oversize' : '', ...causeOfShortfall(reason.lacks.topology));
    case 'queue':
      return join(reason.kind, reason.problem.kind, cutText(reason.problem.queue));
    case 'quota':
    case 'beyond-quota':
      return join(reason.kind, reason.refusal.cause, reason.refusal.queue);
    case 'outruns-barrier':
      return join(reason.kind, reason.isOwn ? 'own' : '');
    case 'over-time':
      return join(reason.kind, reason.queue);
    case 'behind':
      return join(reason.kind, reason.cause);
    case 'incomplete':
      return join(reason.kind, ...causeOfRepair(reason.repair), reason.waiting ? causeOf(reason.waiting.why) : '');
    case 'members-wait':
      return join(reason.kind, causeOf(reason.why));
    default:
      return reason satisfies never;
  }
}

function causesOfProblems(problems: readonly GangProblem[]): readonly string[] {
  const causes = problems.map((problem) => {
    if (problem.kind === 'set-aside') return join(problem.kind, problem.fault.cause, problem.fault.step);
    return join(problem.kind, 'key' in problem ? cutText(problem.key) : '');
  });
  return [...new Set(causes)].sort().slice(0, MAX_PROBLEMS);
}

function causeOfShortfall(topology: TopologyShortfall | undefined): readonly string[] {
  if (topology === undefined) return [];
  if (topology.kind !== 'no-domain') return [topology.kind, topology.key];
  return [topology.kind, topology.level ?? '', topology.slice?.level ?? ''];
}

function causeOfRepair(repair: Repair): readonly string[] {
  switch (repair.kind) {
    case 'restart':
      return [repair.kind, repair.count < repair.most ? 'tried' : 'given up'];
    case 'replace':
    case 'ignore':
      return [repair.kind];
    default:
      return repair satisfies never;
  }
}

/** `exceeded quota: q, used: pods=3` without what changes with each attempt of the controller. */
function withoutNumbers(message: string): string {
  return message.split(/[:,]/, 2).join(':').replace(/\d+/g, '');
}

function join(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' ');
}
