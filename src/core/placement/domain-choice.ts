/**
 * Chooses the domain that a gang goes to.
 *
 * 1. Go outward level by level, from the innermost level to the outermost that the gang allows.
 * 2. At each level, keep the domains that hold every class of the gang, and have room for all of them together.
 * 3. Rank them: domains with placed members first, then those where the members touch the fewest inner domains, then
 *    by score (the smallest by default), then by what is left free and by size, for the domain and for the domains
 *    around it. Whole domains, and whole groups of them, stay whole.
 *
 * O(domains) for each level looked at.
 */

import type { ResolvedTopology } from '../topology/request.ts';
import {
  childrenOf,
  countTouched,
  type DomainIdx,
  domainsInside,
  domainsWithin,
  ROOT,
  type Topology,
} from '../topology/tree.ts';
import { descend } from './descend.ts';
import type { DomainCapacity } from './domain-capacity.ts';
import { type DomainStats, freeIn, isWhole, placedIn } from './domain-stats.ts';
import type { HasRoom } from './room.ts';
import { countFewest } from './segments.ts';

/** One class of the gang: how many members it has, and how many of them every domain takes. */
export interface ClassDemand {
  readonly capacity: DomainCapacity;
  readonly want: number;
  /** Accelerators that one member asks for. */
  readonly accelerators: number;
}

/** What a domain has to hold. */
export interface GangDemand {
  readonly classes: readonly ClassDemand[];
  readonly hasRoom: HasRoom;
}

interface Candidate {
  readonly domain: DomainIdx;
  readonly placed: number;
  readonly breaks: number;
  readonly parts: number;
  readonly fits: number;
  readonly free: number;
}

/**
 * The domains that hold every class of the gang, each class counted for itself, the best first.
 * @param demand `classes` is never empty; the largest class first.
 * @param within only domains inside this one.
 * @param skip how many of the innermost levels to skip.
 */
export function* chooseDomains(
  stats: DomainStats,
  asked: ResolvedTopology,
  { classes: demands, hasRoom }: GangDemand,
  within: DomainIdx,
  skip: number,
): Generator<DomainIdx> {
  const { topology } = stats;
  // Spread members need no narrow domain: only the outermost level is tried.
  const innermost = asked.spread >= 0 ? asked.outermost : Math.max(asked.outermost, topology.levels.length - 1 - skip);
  for (let level = innermost; level >= asked.outermost; level--) {
    const candidates: Candidate[] = [];
    for (const domain of domainsOf(topology, level, within)) {
      if (!demands.every(({ capacity, want }) => capacity.holds(domain, want)) || !hasRoom(domain)) continue;
      const placed = placedIn(stats, domain);
      if (stats.placed && placed === 0 && domain !== within) continue;
      candidates.push(weigh(stats, asked, demands, domain, placed));
    }
    // Callers nearly always take the best domain only. Sorting thousands of candidates would cost more than
    // everything else.
    const best = candidates.reduce<Candidate | undefined>(
      (least, candidate) => (least && compare(stats, least, candidate) <= 0 ? least : candidate),
      undefined,
    );
    if (!best) continue;
    yield best.domain;
    const others = candidates.filter((candidate) => candidate !== best);
    others.sort((a, b) => compare(stats, a, b));
    for (const { domain } of others) yield domain;
  }
}

/** The domains of the level inside the outer domain; level -1: the outer domain itself. */
function domainsOf(topology: Topology, level: number, within: DomainIdx): readonly DomainIdx[] {
  if (level < 0 || topology.levelOf[within]! >= level) return level <= topology.levelOf[within]! ? [within] : [];
  return domainsWithin(topology, within, level);
}

function weigh(
  stats: DomainStats,
  asked: ResolvedTopology,
  demands: readonly ClassDemand[],
  domain: DomainIdx,
  placed: number,
): Candidate {
  const [demand] = demands as readonly [ClassDemand];
  const { capacity, want } = demand;
  return {
    domain,
    placed,
    breaks: stats.score === 'least-fragmentation' && isWhole(stats, domain) && capacity.fits(domain) > want ? 1 : 0,
    parts: countParts(stats, asked, demand, domain),
    fits: demands.reduce((sum, { capacity }) => sum + capacity.fits(domain), 0),
    free: freeIn(stats, domain),
  };
}

/**
 * The fewest inner domains that the members touch: domains of the preferred level, else those directly inside. Nodes
 * count only when they are preferred.
 */
function countParts(
  stats: DomainStats,
  asked: ResolvedTopology,
  { capacity, want, accelerators }: ClassDemand,
  domain: DomainIdx,
): number {
  const { topology } = stats;
  const { levelOf, levels } = topology;
  const level = levelOf[domain]!;
  const isSliced = !capacity.isInsideSlice(domain);
  // For spread members, more domains are better.
  if (asked.spread > level) return -countAble(domainsInside(topology, domain, asked.spread), capacity, want);
  if (level === levels.length - 1) return 1;
  const preferred = asked.preferred > level;
  if (preferred && isSliced) {
    // No sum tells how slices fall on the domains of another level, so they are laid out.
    const nodes = descend({ stats, capacity, asked, accelerators }, domain, want);
    return countTouched(topology, nodes, asked.preferred);
  }
  if (!preferred && level === levels.length - 2) return 1;
  const inside = preferred ? domainsInside(topology, domain, asked.preferred) : childrenOf(topology, domain);
  const capacities: number[] = [];
  for (const part of inside) {
    if (!isSliced) capacities.push(capacity.fits(part));
    else if (levelOf[part]! <= capacity.slice!.level) capacities.push(capacity.slices(part));
  }
  return countFewest(capacities, isSliced ? Math.floor(want / capacity.slice!.size) : want);
}

function countAble(domains: Iterable<DomainIdx>, capacity: DomainCapacity, want: number): number {
  let able = 0;
  for (const domain of domains) if (capacity.fits(domain) > 0) able++;
  return Math.min(able, want);
}

function compare(stats: DomainStats, a: Candidate, b: Candidate): number {
  return (
    b.placed - a.placed ||
    a.breaks - b.breaks ||
    a.parts - b.parts ||
    (stats.score === 'spread' ? b.fits - a.fits : a.fits - b.fits) ||
    a.free - b.free ||
    sizeOf(stats, b.domain) - sizeOf(stats, a.domain) ||
    compareAround(stats, a.domain, b.domain) ||
    a.domain - b.domain
  );
}

/** Of two equal racks, prefers the one in the fuller block. */
function compareAround(stats: DomainStats, a: DomainIdx, b: DomainIdx): number {
  const { parentOf } = stats.topology;
  let [one, other] = [parentOf[a]! as DomainIdx, parentOf[b]! as DomainIdx];
  while (one > ROOT && other > ROOT && one !== other) {
    const byFree = freeIn(stats, one) - freeIn(stats, other) || sizeOf(stats, other) - sizeOf(stats, one);
    if (byFree !== 0) return byFree;
    [one, other] = [parentOf[one]! as DomainIdx, parentOf[other]! as DomainIdx];
  }
  return 0;
}

function sizeOf({ topology }: DomainStats, domain: DomainIdx): number {
  return topology.end[domain]! - topology.start[domain]!;
}
