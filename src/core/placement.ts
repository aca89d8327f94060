/**
 * The last step of placing a class of interchangeable members: filling nodes.
 *
 * The fewest nodes are filled (the tightest node that holds the whole rest, else the largest one, whole); among equal
 * nodes the one whose accelerators are broken up least. Filling the largest first is optimal in the number of nodes for
 * equal items. O(nodes) by bucketing nodes on capacity; a comparison sort of 5,000 nodes was the dearest step of a plan.
 */
import { toleratesTaints, wantsNode } from './feasibility.ts';
import type { SpreadConstraint } from './model.ts';
import type { NodeIdx } from './node-idx.ts';
import { matchesSelector } from './selector.ts';
import type { Placeable, ResolvedRequests, Transaction } from './transaction.ts';

/** Members that ask for the same and may go to the same nodes. `pods` is in rank order and never empty. */
export interface MemberClass<Pod extends Placeable = Placeable> {
  readonly pods: readonly Pod[];
  readonly requests: ResolvedRequests;
  /** 1 where the class may be placed at all, by node row: verdict, refusals and pinning together. */
  readonly allowed: Uint8Array;
  /** Accelerators that one member asks for, of all kinds together. */
  readonly accelerators: number;
}

interface Share<Item> {
  readonly item: Item;
  readonly count: number;
}

/**
 * The fewest items that hold `want`, or all of them when they do not: the smallest item that holds the whole rest if
 * there is one, else the largest.
 * @param waste what filling an item with `count` members would break up; less is better.
 */
export function chooseFewest<Item>(
  items: readonly Item[],
  capacities: ArrayLike<number>,
  want: number,
  waste: (item: Item, count: number) => number,
): Share<Item>[] {
  const buckets = new Map<number, Item[]>();
  for (let i = 0; i < items.length; i++) {
    const capacity = capacities[i]!;
    if (capacity <= 0) continue;
    const bucket = buckets.get(capacity);
    if (bucket) bucket.push(items[i]!);
    else buckets.set(capacity, [items[i]!]);
  }
  const sizes = [...buckets.keys()].sort((a, b) => a - b);
  const shares: Share<Item>[] = [];
  let rest = want;
  while (rest > 0 && sizes.length > 0) {
    const size = sizes.find((capacity) => capacity >= rest) ?? sizes.at(-1)!;
    const count = Math.min(size, rest);
    const bucket = buckets.get(size)!;
    // Whole items of one size are taken in one go: sorting the bucket once keeps this O(n log n) in the worst case.
    const takes = size >= rest ? 1 : Math.min(bucket.length, Math.floor(rest / size));
    const ordered = takes === bucket.length ? bucket : leastWaste(bucket, takes, (item) => waste(item, count));
    for (const item of ordered.slice(0, takes)) shares.push({ item, count });
    rest -= takes * count;
    const left = takes === bucket.length ? [] : ordered.slice(takes);
    if (left.length > 0) buckets.set(size, left);
    else {
      buckets.delete(size);
      sizes.splice(sizes.indexOf(size), 1);
    }
  }
  return shares;
}

/**
 * The bucket with its least wasteful items first; equal ones keep their order. On an overcommitted node the waste may
 * be negative: that is no better than none.
 */
function leastWaste<Item>(bucket: readonly Item[], takes: number, wasteOf: (item: Item) => number): Item[] {
  const waste = (item: Item) => Math.max(0, wasteOf(item));
  if (takes === 1) {
    let best = 0;
    let least = waste(bucket[0]!);
    for (let i = 1; i < bucket.length && least > 0; i++) {
      const value = waste(bucket[i]!);
      if (value < least) {
        least = value;
        best = i;
      }
    }
    return [bucket[best]!, ...bucket.slice(0, best), ...bucket.slice(best + 1)];
  }
  const weighed = bucket.map((item, order) => ({ item, order, waste: waste(item) }));
  weighed.sort((a, b) => a.waste - b.waste || a.order - b.order);
  return weighed.map(({ item }) => item);
}

/**
 * Places one member after another under DoNotSchedule spread, as kube-scheduler will check them: a node is eligible while its
 * domain's count, plus one, stays within `maxSkew` of the emptiest eligible domain
 * (kubernetes v1.37.2 plugins/podtopologyspread/filtering.go). O(members x nodes), only for gangs that ask for it.
 * @param candidates in the order of node names: the order that breaks ties.
 * The result keeps this order, so that members are also filtered in an order that never exceeds the skew.
 */
export function fillSpread(
  tx: Transaction,
  members: MemberClass,
  candidates: readonly NodeIdx[],
  want: number,
): NodeIdx[] {
  const pod = members.pods[0]!;
  const counters = pod.template.spread.map((constraint) => countDomains(tx, pod, constraint));
  const chosen: NodeIdx[] = [];
  while (chosen.length < want) {
    let best: NodeIdx | undefined;
    let bestCount = Number.POSITIVE_INFINITY;
    for (const node of candidates) {
      if (members.allowed[node] !== 1) continue;
      if (!counters.every((counter) => counter.admits(node))) continue;
      const count = counters.reduce((sum, counter) => sum + counter.countAt(node), 0);
      if (count >= bestCount) continue;
      if (tx.capacity(node, pod, members.requests) < 1) continue;
      best = node;
      bestCount = count;
    }
    if (best === undefined) break;
    tx.place(best, members.pods[chosen.length]!);
    for (const counter of counters) counter.add(best);
    chosen.push(best);
  }
  return chosen;
}

/**
 * Matching pods by domain of one spread constraint, over the nodes that count for it: those with every topology key,
 * and, as the constraint asks, only those the pod's selector and affinity (not taints) or tolerations admit.
 */
function countDomains(tx: Transaction, pod: Placeable, constraint: SpreadConstraint) {
  const { snapshot } = tx;
  const counts = new Map<string, number>();
  const keys = pod.template.spread.map(({ topologyKey }) => topologyKey);
  const selfMatch = matchesSelector(constraint.selector, pod.labels) ? 1 : 0;
  const domainAt = (node: NodeIdx) => snapshot.nodes[node]?.labels[constraint.topologyKey];
  const matches = (other: Placeable) =>
    other.namespace === pod.namespace && matchesSelector(constraint.selector, other.labels);
  const isCounted = (row: NodeIdx) => {
    const node = snapshot.nodes[row]!;
    return (
      keys.every((key) => node.labels[key] !== undefined) &&
      (!constraint.honorsAffinity || wantsNode(pod.template, node)) &&
      (!constraint.honorsTaints || toleratesTaints(pod.template, node))
    );
  };
  for (const row of snapshot.byName) {
    if (!isCounted(row)) continue;
    const domain = domainAt(row)!;
    const matching = snapshot.podsOn[row]!.filter((other) => !other.deleting && matches(other)).length;
    counts.set(domain, (counts.get(domain) ?? 0) + matching);
  }
  for (const { node, pod: other } of tx.placed()) {
    if (isCounted(node) && matches(other)) counts.set(domainAt(node)!, counts.get(domainAt(node)!)! + 1);
  }
  const countFewest = () => (counts.size < constraint.minDomains ? 0 : Math.min(...counts.values()));
  // Asked for every node, so not counted anew each time: over hostnames there are as many domains as nodes.
  let fewest = countFewest();
  return {
    admits(node: NodeIdx): boolean {
      const domain = domainAt(node);
      const count = domain === undefined ? undefined : counts.get(domain);
      return count !== undefined && count + selfMatch - fewest <= constraint.maxSkew;
    },
    countAt: (node: NodeIdx) => counts.get(domainAt(node)!) ?? 0,
    add(node: NodeIdx): void {
      const domain = domainAt(node)!;
      counts.set(domain, (counts.get(domain) ?? 0) + selfMatch);
      fewest = countFewest();
    },
  };
}
