/** Which members of an elastic gang go first: those outside, that the others would miss least on the fabric. */
import { keyOf, type PodModel } from './model.ts';
import type { Ranks } from './ranks.ts';
import type { Snapshot } from './snapshot.ts';
import { type DomainIdx, domainAt } from './topology.ts';

/**
 * The members with fewest others in their outermost domain, then in the next inner one, and so on; among equal ones the highest rank.
 * O(members x levels), plus sorting.
 */
export function sortOutsideFirst(snapshot: Snapshot, ranks: Ranks, bound: readonly PodModel[]): readonly PodModel[] {
  const { topology, indexOf } = snapshot;
  const crowds = new Map<DomainIdx, number>();
  const seated = bound.map((pod) => {
    const node = indexOf.get(pod.nodeName);
    const domains = topology.levels.map((_, level) =>
      node === undefined ? undefined : domainAt(topology, node, level),
    );
    for (const domain of domains) if (domain !== undefined) crowds.set(domain, (crowds.get(domain) ?? 0) + 1);
    return { pod, domains, rank: ranks.get(pod.uid) ?? -1 };
  });
  const crowdOf = (domain: DomainIdx | undefined) => (domain === undefined ? 0 : crowds.get(domain)!);
  const weighed = seated.map(({ pod, domains, rank }) => ({ pod, rank, crowds: domains.map(crowdOf) }));
  weighed.sort((a, b) => {
    const level = a.crowds.findIndex((crowd, i) => crowd !== b.crowds[i]);
    const byCrowd = level < 0 ? 0 : a.crowds[level]! - b.crowds[level]!;
    return byCrowd || b.rank - a.rank || (keyOf(a.pod) < keyOf(b.pod) ? -1 : 1);
  });
  return weighed.map(({ pod }) => pod);
}
