/** Turns problems of gangs into text: what was expected, what was found, what to do. */
import { cutText, formatDuration, instantText, listSome } from '../objects/text-values.ts';
import type { Excess, GangFault, GangProblem, HandlingStep } from '../podgroup/problems.ts';
import { explainKeyProblem } from './explain-key.ts';

/** What was expected, what was found, what to do. */
export function explainProblem(problem: GangProblem): string {
  switch (problem.kind) {
    case 'unknown-key':
    case 'misplaced-key':
    case 'bad-value':
      return `pod ${problem.pod}: ${explainKeyProblem(problem)}`;
    case 'contradiction': {
      const values = problem.values.map((value) => `"${value}"`);
      return `members contradict each other: ${problem.key} is ${listSome(values, problem.count)}; give all the same`;
    }
    case 'duplicate-rank':
      return `${problem.count} members have muster.dev/rank ${problem.rank}: ${listSome(problem.pods, problem.count)}; give each its own, or none to any`;
    case 'missing-key':
      return `${problem.key} says nothing without ${problem.needs}; set both or neither`;
    case 'min-above-max':
      return `muster.dev/min-members ${problem.min} is above muster.dev/max-members ${problem.max}`;
    case 'no-min-members': {
      const { uncounted } = problem;
      const found = uncounted
        ? `; found members of ${cutText(uncounted.kind)} ${cutText(uncounted.name)}, which does not say it`
        : '';
      return `the size of the gang is unknown: expected annotation muster.dev/min-members, or only pods owned by Jobs${found}`;
    }
    case 'no-pod-group-object':
      return `expected a PodGroup (scheduling.x-k8s.io/v1alpha1) named ${problem.name}, found none; create it, or set annotation muster.dev/min-members`;
    case 'unreachable-member':
      return `pod ${problem.pod} never reaches the extender: it requests no managed resource and has no gate muster.dev/gang; set requests and limits muster.dev/member: 1 on one of its containers`;
    case 'unmarked-member':
      return `pod ${problem.pod} would be bound past the barrier: it requests no resource of the extender entry that binds; set requests and limits muster.dev/member: 1 on one of its containers, or have the admission policy do so for every member`;
    case 'missing-claim':
      return `PersistentVolumeClaim ${cutText(problem.claim)} does not exist; create it, or correct the name in the pod template`;
    case 'unbound-claim':
      return `PersistentVolumeClaim ${cutText(problem.claim)} is not bound and its storage class does not wait for a first consumer; the gang is planned once it is bound, and the claim's own Events say what it waits for`;
    case 'more':
      return `and ${problem.count} more problems with keys under muster.dev/; correct these first`;
    case 'too-large':
      return `expected at most ${problem.most} members, found ${problem.found}; lower muster.dev/min-members or the size of the Jobs, or raise gang.maxGangSize of Muster's configuration`;
    case 'set-aside':
      return explainFault(problem.fault);
    case 'too-complex':
      return explainExcess(problem, `, found ${problem.found}`);
    default:
      return problem satisfies never;
  }
}

const STEPS: Readonly<Record<HandlingStep, string>> = {
  observe: 'reading the gang',
  repair: 'its repair',
  admit: 'looking at its queue',
  plan: 'planning',
  preempt: 'looking for victims',
  write: 'writing to its pods',
  publish: 'finding its reason',
  answer: "answering kube-scheduler's calls",
};

/** What is done for whoever is set aside: the same for every cause. */
const MEANWHILE = 'it starts nothing, and what runs goes on';

function explainFault({ cause, step, found, budgetMs, until }: GangFault): string {
  const again = `${MEANWHILE}; tried again when it changes, or at ${instantText(until)}`;
  if (cause === 'error') {
    return `set aside, because ${STEPS[step]} failed: "${found}"; ${again}. This is a mistake in Muster: report it with the log`;
  }
  const took = formatDuration(Math.ceil(Number(found)));
  return `set aside, because ${STEPS[step]} took too long: expected all of it within ${formatDuration(budgetMs)} (gang.timeBudget), found ${took}; ${again}. Ask for fewer members, kinds or rules in one gang, or have the operator raise gang.timeBudget`;
}

function explainExcess({ what, limit }: Excess, found: string): string {
  switch (what) {
    case 'rules':
      return `its members bring too many rules about nodes and neighbours (selectors, affinity terms and their requirements, tolerations, host ports): expected at most ${limit} over all kinds of members${found}; label the nodes that are meant, and select the label`;
    case 'spread-constraints':
      return `a member has too many topologySpreadConstraints with DoNotSchedule: expected at most ${limit}${found}; leave out some`;
    case 'claims':
      return `a member mounts too many PersistentVolumeClaims: expected at most ${limit}${found && ', found more'}; put the data on fewer volumes`;
    case 'kinds':
      return `its members are of too many kinds: expected at most ${limit} different pod templates (claims aside)${found}; give members of one role the same template`;
    default:
      return what satisfies never;
  }
}

/** Without the pod, claim or values that happen to be found first: those change while members come and go. */
export function explainProblemStably(problem: GangProblem): string {
  switch (problem.kind) {
    case 'contradiction':
      return `members contradict each other about ${problem.key}; give all the same`;
    case 'duplicate-rank':
      return 'members have the same muster.dev/rank; give each its own, or none to any';
    case 'missing-claim':
      return 'a PersistentVolumeClaim does not exist';
    case 'unbound-claim':
      return 'a PersistentVolumeClaim is not bound and its storage class does not wait for a first consumer';
    case 'no-min-members':
      return explainProblem({ ...problem, uncounted: undefined });
    case 'too-large':
      return `expected at most ${problem.most} members`;
    case 'set-aside':
      return `set aside, because ${STEPS[problem.fault.step]} ${problem.fault.cause === 'time' ? 'took too long' : 'failed'}`;
    case 'too-complex':
      return explainExcess(problem, '');
    default:
      return explainProblem('pod' in problem ? { ...problem, pod: 'of a member' } : problem);
  }
}
