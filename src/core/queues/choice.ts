/** Chooses the queue of a gang: the one that its pods name, else the default of their namespace, else `default`. */
import { DEFAULT_QUEUE, type Queue, type QueueProblem, type QueueSpec, type QueueTree } from './tree.ts';

export type QueueChoice =
  | { readonly kind: 'queue'; readonly queue: Queue }
  | { readonly kind: 'problem'; readonly problem: QueueChoiceProblem };

/** `usable`: the leaves that the namespace may use. */
export type QueueChoiceProblem =
  | { readonly kind: 'unknown-queue'; readonly queue: string; readonly usable: readonly string[] }
  | { readonly kind: 'no-leaf'; readonly queue: string; readonly usable: readonly string[] }
  | {
      readonly kind: 'not-allowed';
      readonly queue: string;
      readonly namespace: string;
      /** The queue of the path that does not list the namespace. */
      readonly by: string;
      readonly usable: readonly string[];
    }
  | { readonly kind: 'misconfigured-queue'; readonly queue: string; readonly problem: QueueProblem };

/** @param label `muster.dev/queue` of the pods; undefined or '': none. */
export function chooseQueue(tree: QueueTree, namespace: string, label: string | undefined): QueueChoice {
  const name = label || (defaultOf(tree, namespace) ?? DEFAULT_QUEUE);
  const queue = tree.byName.get(name);
  if (queue === undefined) {
    const problem = tree.problems.find((found) => found.kind !== 'same-default' && found.queue === name);
    if (problem) return refuse({ kind: 'misconfigured-queue', queue: name, problem });
    return refuse({ kind: 'unknown-queue', queue: name, usable: usableBy(tree, namespace) });
  }
  if (queue.children.length > 0) return refuse({ kind: 'no-leaf', queue: name, usable: usableBy(tree, namespace) });
  const by = findExcluding(queue, namespace);
  if (by) {
    return refuse({ kind: 'not-allowed', queue: name, namespace, by: by.name, usable: usableBy(tree, namespace) });
  }
  return { kind: 'queue', queue };
}

/** The queue that running pods of this choice count for: `default` if their own cannot be used (any more). */
export function countedIn(tree: QueueTree, choice: QueueChoice): Queue | undefined {
  if (choice.kind === 'queue') return choice.queue;
  const fallback = tree.byName.get(DEFAULT_QUEUE);
  return fallback?.children.length === 0 ? fallback : undefined;
}

function refuse(problem: QueueChoiceProblem): QueueChoice {
  return { kind: 'problem', problem };
}

/**
 * The queue that is the default for the namespace. Where several claim it, which `problems` reports, the first by
 * name. A misconfigured queue keeps its namespaces unless another queue claims them: the rules of `default` are not
 * theirs.
 */
function defaultOf(tree: QueueTree, namespace: string): string | undefined {
  const claims = ({ defaultFor }: QueueSpec) => defaultFor.includes(namespace);
  const claimants = [...tree.byName.values()].map(({ spec }) => spec).filter(claims);
  const names = (claimants.length > 0 ? claimants : tree.leftOut.filter(claims)).map(({ name }) => name);
  return names.sort()[0];
}

/** The outermost queue on the path that does not admit the namespace. */
function findExcluding(queue: Queue, namespace: string): Queue | undefined {
  return queue.path.find(({ spec }) => spec.namespaces !== undefined && !spec.namespaces.includes(namespace));
}

function usableBy(tree: QueueTree, namespace: string): readonly string[] {
  return tree.leaves
    .filter((leaf) => findExcluding(leaf, namespace) === undefined)
    .map((leaf) => leaf.name)
    .sort();
}
