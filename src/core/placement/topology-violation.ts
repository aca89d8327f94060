/**
 * Checks whether placed members still are where the gang asked them to be: labels of nodes may change at any time.
 * O(members).
 */

import type { Snapshot } from '../snapshot/snapshot.ts';
import type { TopologyRequest } from '../topology/request.ts';
import { type DomainIdx, domainAt, findLevel, pathOf } from '../topology/tree.ts';
import type { PlacedMember } from './gang-request.ts';

/** What is violated, in words: the level and two of the domains. Undefined when nothing is violated or asked for. */
export function findTopologyViolation(
  snapshot: Snapshot,
  { required, slice }: Pick<TopologyRequest, 'required' | 'slice'>,
  placed: readonly PlacedMember[],
): string | undefined {
  const whole = required === undefined ? undefined : findSplit(snapshot, required, placed);
  if (whole !== undefined || slice === undefined) return whole;
  const slices = new Map<number, PlacedMember[]>();
  for (const member of placed) {
    if (member.rank === undefined) continue;
    const index = Math.floor(member.rank / slice.size);
    const members = slices.get(index);
    if (members) members.push(member);
    else slices.set(index, [member]);
  }
  for (const members of slices.values()) {
    const split = findSplit(snapshot, slice.level, members);
    if (split !== undefined) return split;
  }
  return undefined;
}

/** Ignores members on nodes that are gone. */
function findSplit(snapshot: Snapshot, levelName: string, placed: readonly PlacedMember[]): string | undefined {
  const { topology, indexOf } = snapshot;
  const level = findLevel(topology, levelName);
  const domains = new Set<DomainIdx | undefined>();
  for (const { node } of placed) {
    const row = indexOf.get(node);
    if (row !== undefined) domains.add(level < 0 ? undefined : domainAt(topology, row, level));
  }
  if (domains.size === 0 || (domains.size === 1 && !domains.has(undefined))) return undefined;
  const names = [...domains].map((domain) => (domain === undefined ? 'a node without one' : pathOf(topology, domain)));
  return `${levelName}: members are in ${names.slice(0, 2).join(' and ')}`;
}
