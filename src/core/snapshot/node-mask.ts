/**
 * Which nodes count for a gang. A node that lacks a domain of some level the gang asks for cannot be used. Neither can
 * a domain that another gang has for itself, nor, for an exclusive gang, a domain that another gang is in.
 */

import { type GangKey, gangKeyOf } from '../podgroup/gang.ts';
import { exclusiveOf } from '../podgroup/plan-record.ts';
import type { ResolvedTopology } from '../topology/request.ts';
import { type DomainIdx, domainAt, findExclusiveLevel, type NodeIdx, type Topology } from '../topology/tree.ts';
import type { Snapshot } from './snapshot.ts';

/** 1 where the node counts, by row; undefined: all nodes count. */
export type NodeMask = Uint8Array | undefined;

/**
 * 1 where the gang may be, by node row; undefined when it may be everywhere. O(nodes x levels asked for) without
 * exclusive gangs, O(pods) for a gang that is exclusive itself.
 */
export function maskUsable(snapshot: Snapshot, gang: GangKey, asked: ResolvedTopology): NodeMask {
  const { topology, nodes } = snapshot;
  const levels = listAsked(asked);
  const closed = listClosed(snapshot, gang, asked.exclusive);
  if (levels.length === 0 && closed.size === 0) return undefined;
  const mask = new Uint8Array(nodes.length);
  for (const node of snapshot.byName) {
    mask[node] = levels.every((level) => domainAt(topology, node, level) !== undefined) ? 1 : 0;
  }
  for (const domain of closed) {
    for (let i = topology.start[domain]!; i < topology.end[domain]!; i++) mask[topology.order[i]!] = 0;
  }
  return mask;
}

/**
 * Whether the node is in a domain of every level that is asked for. If it is and may still not be used, another gang
 * is in the way.
 */
export function isInAskedLevels({ topology }: Snapshot, asked: ResolvedTopology, node: NodeIdx): boolean {
  return listAsked(asked).every((level) => domainAt(topology, node, level) !== undefined);
}

function listAsked({ required, outermost, slice, spread, exclusive }: ResolvedTopology): readonly number[] {
  return [required, outermost, slice?.level ?? -1, spread, exclusive].filter((level) => level >= 0);
}

/** 1 where the node is in a domain of the level, by node row; undefined when all nodes are. */
export function maskLevel({ topology, nodes, byName }: Snapshot, level: number): NodeMask {
  if (byName.every((node) => domainAt(topology, node, level) !== undefined)) return undefined;
  return Uint8Array.from(nodes, (node, row) =>
    node && domainAt(topology, row as NodeIdx, level) !== undefined ? 1 : 0,
  );
}

/** The nodes that both masks allow. */
export function intersectMasks(a: NodeMask, b: NodeMask): NodeMask {
  return a && b ? a.map((value, row) => value & b[row]!) : (a ?? b);
}

export function equalMasks(a: NodeMask, b: NodeMask): boolean {
  return a === b || (a !== undefined && b !== undefined && a.every((value, row) => value === b[row]));
}

/** The domains of exclusive gangs and, when this gang is exclusive itself, those of any other gang. */
function listClosed(snapshot: Snapshot, gang: GangKey, own: number): ReadonlySet<DomainIdx> {
  const { topology, byName, exclusive, podsOn, occupants } = snapshot;
  const closed = new Set<DomainIdx>();
  const close = (node: NodeIdx, level: number): void => {
    const domain = level < 0 ? undefined : domainAt(topology, node, level);
    if (domain !== undefined) closed.add(domain);
  };
  for (const node of byName) {
    if (own < 0 && exclusive[node] === 0) continue;
    for (const pod of podsOn[node]!) {
      const other = gangKeyOf(pod);
      if (other === undefined || other === gang) continue;
      close(node, own);
      close(node, levelOf(topology, exclusiveOf(pod)));
    }
  }
  for (const occupant of occupants) {
    if (occupant.gang === undefined || occupant.gang === gang) continue;
    close(occupant.node, own);
    close(occupant.node, levelOf(topology, occupant.exclusive));
  }
  return closed;
}

function levelOf(topology: Topology, name: string | undefined): number {
  return name === undefined ? -1 : findExclusiveLevel(topology, name);
}
