/** Turns problems of gangs into text: what was expected, what was found, what to do. */
import { cutText, listSome } from '../objects/text-values.ts';
import type { Excess, GangProblem } from '../podgroup/problems.ts';
import { explainKeyProblem } from './explain-key.ts';

/** What was expected, what was found, what to do. */
export function explainProblem(problem: GangProblem): string {
  switch (problem.kind) {
    case 'unknown-key':
    case 'misplaced-key':
    case 'bad-value':
      return `pod ${problem.pod}: ${explainKeyProblem(problem)}`;
    case 'contradiction': {
      const values = listSome(problem.values.map((value) => `"${cutText(value)}"`));
      return `members contradict each other: ${cutText(problem.key)} is ${values}; give all the same`;
    }
    case 'duplicate-rank':
      return `${problem.pods.length} members have muster.dev/rank ${problem.rank}: ${listSome(problem.pods)}; give each its own, or none to any`;
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
    case 'missing-claim':
      return `PersistentVolumeClaim ${cutText(problem.claim)} does not exist; create it, or correct the name in the pod template`;
    case 'unbound-claim':
      return `PersistentVolumeClaim ${cutText(problem.claim)} is not bound and its storage class does not wait for a first consumer; the gang is planned once it is bound, and the claim's own Events say what it waits for`;
    case 'too-complex':
      return explainExcess(problem, `, found ${problem.found}`);
    default:
      return problem satisfies never;
  }
}

function explainExcess({ what, limit }: Excess, found: string): string {
  switch (what) {
    case 'rules':
      return `its members bring too many rules about nodes and neighbours (selectors, affinity terms and their requirements, tolerations, host ports): expected at most ${limit} over all kinds of members${found}; label the nodes that are meant, and select the label`;
    case 'spread-constraints':
      return `a member has too many topologySpreadConstraints with DoNotSchedule: expected at most ${limit}${found}; leave out some`;
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
      return `members contradict each other about ${cutText(problem.key)}; give all the same`;
    case 'duplicate-rank':
      return 'members have the same muster.dev/rank; give each its own, or none to any';
    case 'missing-claim':
      return 'a PersistentVolumeClaim does not exist';
    case 'unbound-claim':
      return 'a PersistentVolumeClaim is not bound and its storage class does not wait for a first consumer';
    case 'no-min-members':
      return explainProblem({ ...problem, uncounted: undefined });
    case 'too-complex':
      return explainExcess(problem, '');
    default:
      return explainProblem('pod' in problem ? { ...problem, pod: 'of a member' } : problem);
  }
}
