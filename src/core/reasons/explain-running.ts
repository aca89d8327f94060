/** Turns into text what a gang that has started lacks: members that it lost, members that wait, and later runs. */
import { cutText, listFirst } from '../objects/text-values.ts';
import type { RunName } from '../podgroup/run.ts';

/** A member that left its node without success. */
export interface LostMember {
  readonly pod: string;
  readonly node: string;
  readonly how: 'failed' | 'evicted' | 'deleted' | 'on a lost node';
  /** What is wrong with the node, such as `cordoned`; '' when nothing is known to be. */
  readonly nodeState: string;
}

/** Names of a few pods, and how many there are. */
export interface SomePods {
  readonly names: readonly string[];
  readonly count: number;
}

/** What is done about lost members. */
export type Repair =
  | { readonly kind: 'replace'; readonly places: number }
  | { readonly kind: 'restart'; readonly count: number; readonly most: number }
  | { readonly kind: 'ignore' };

export function explainRepair(repair: Repair): string {
  switch (repair.kind) {
    case 'replace':
      return repair.places > 0 ? `; places kept for replacements: ${repair.places}` : '';
    case 'restart':
      return repair.count < repair.most
        ? `; restarted ${repair.count} of at most ${repair.most} times`
        : `; restarted ${repair.count} times, which is the most: it is left as it is`;
    case 'ignore':
      return '; muster.dev/on-member-loss is ignore';
    default:
      return repair satisfies never;
  }
}

/** @param lost a few of them. @param count how many there are. */
export function explainLost(lost: readonly LostMember[], count: number): string {
  if (lost.length === 0) return '';
  const texts = lost.map(({ pod, node, how, nodeState }) => {
    const state = nodeState === '' ? '' : `; the node is ${nodeState}`;
    return how === 'on a lost node'
      ? `${pod} on node ${node} (${nodeState})`
      : `${pod} on node ${node} (${how}${state})`;
  });
  return `; lost: ${listFirst(texts, count)}`;
}

export function nameRun({ kind, name }: RunName): string {
  return `${cutText(kind)} ${cutText(name)}`;
}

/** @param later a few of them. @param count how many there are. */
export function explainLaterRuns(run: RunName | undefined, later: readonly RunName[], count: number): string {
  const [first] = later;
  if (!first) return '';
  const whom = listFirst([nameRun(first)], count);
  const own = run ? nameRun(run) : 'this run';
  return `${whom} of the same gang ${count > 1 ? 'wait' : 'waits'} until ${own} has ended`;
}
