/**
 * Which domain a gang goes to: level by level outward, those that hold it whole, the best first.
 *
 * Best means, in this order: members of the gang are there already; it touches the fewest inner domains; what the score
 * says (the smallest by default); what is left free, how large it is, and the same of the domains around it, so that
 * whole domains, and whole groups of them, stay whole. O(domains) for each level looked at.
 */
import { descend } from './descent.ts';
import { type Field, freeIn, isWhole, nearIn } from './field.ts';
import { countTouched, domainsInside } from './filling.ts';
import { countFewest } from './segments.ts';
import type { Tally } from './tally.ts';
import { childrenOf, type DomainIdx, domainsWithin, ROOT, type Topology } from './topology.ts';
import type { ResolvedTopology } from './topology-request.ts';

/** One class of the gang: what every domain takes of it, and how many members it has. */
export interface Crowd {
  readonly tally: Tally;
  readonly want: number;
  /** That one member takes. */
  readonly accelerators: number;
}

interface Candidate {
  readonly domain: DomainIdx;
  readonly near: number;
  readonly breaks: number;
  readonly parts: number;
  readonly fits: number;
  readonly free: number;
}

/**
 * Domains that hold every class of the gang, each class for itself, from the innermost level to the outermost that was asked for.
 * @param crowds never empty; the first is the largest.
 * @param within look nowhere else.
 * @param skip how many of the innermost levels are not looked at.
 */
export function* listHolders(
  field: Field,
  asked: ResolvedTopology,
  crowds: readonly Crowd[],
  within: DomainIdx,
  skip: number,
): Generator<DomainIdx> {
  const { topology } = field;
  // Spread members are not drawn together: only the outermost domain will do.
  const innermost = asked.spread >= 0 ? asked.outermost : Math.max(asked.outermost, topology.levels.length - 1 - skip);
  for (let level = innermost; level >= asked.outermost; level--) {
    const candidates: Candidate[] = [];
    for (const domain of domainsOf(topology, level, within)) {
      if (!crowds.every(({ tally, want }) => tally.holds(domain, want))) continue;
      const near = nearIn(field, domain);
      if (field.nearBefore && near === 0 && domain !== within) continue;
      candidates.push(weigh(field, asked, crowds, domain, near));
    }
    // Nearly always the best one is taken, and sorting thousands of candidates would cost more than all the rest.
    const best = candidates.reduce<Candidate | undefined>(
      (least, candidate) => (least && compare(field, least, candidate) <= 0 ? least : candidate),
      undefined,
    );
    if (!best) continue;
    yield best.domain;
    const others = candidates.filter((candidate) => candidate !== best);
    others.sort((a, b) => compare(field, a, b));
    for (const { domain } of others) yield domain;
  }
}

/** Domains of the level inside; -1: the outer domain itself. */
function domainsOf(topology: Topology, level: number, within: DomainIdx): readonly DomainIdx[] {
  if (level < 0 || topology.levelOf[within]! >= level) return level <= topology.levelOf[within]! ? [within] : [];
  return domainsWithin(topology, within, level);
}

function weigh(
  field: Field,
  asked: ResolvedTopology,
  crowds: readonly Crowd[],
  domain: DomainIdx,
  near: number,
): Candidate {
  const [crowd] = crowds as readonly [Crowd];
  const { tally, want } = crowd;
  return {
    domain,
    near,
    breaks: field.score === 'least-fragmentation' && isWhole(field, domain) && tally.fits(domain) > want ? 1 : 0,
    parts: countParts(field, asked, crowd, domain),
    fits: crowds.reduce((sum, crowd) => sum + crowd.tally.fits(domain), 0),
    free: freeIn(field, domain),
  };
}

/** How many domains inside the members touch at least: of the preferred level, else directly inside; nodes only if preferred. */
function countParts(
  field: Field,
  asked: ResolvedTopology,
  { tally, want, accelerators }: Crowd,
  domain: DomainIdx,
): number {
  const { topology } = field;
  const { levelOf, levels } = topology;
  const level = levelOf[domain]!;
  const isSliced = !tally.isInsideSlice(domain);
  // Spread members want many.
  if (asked.spread > level) return -countAble(domainsInside(topology, domain, asked.spread), tally, want);
  if (level === levels.length - 1) return 1;
  const preferred = asked.preferred > level;
  if (preferred && isSliced) {
    // How slices fall on the domains of another level no sum tells: they are laid out.
    const nodes = descend({ field, tally, asked, accelerators }, domain, want);
    return countTouched(topology, nodes, asked.preferred);
  }
  if (!preferred && level === levels.length - 2) return 1;
  const inside = preferred ? domainsInside(topology, domain, asked.preferred) : childrenOf(topology, domain);
  const capacities: number[] = [];
  for (const part of inside) {
    if (!isSliced) capacities.push(tally.fits(part));
    else if (levelOf[part]! <= tally.slice!.level) capacities.push(tally.slices(part));
  }
  return countFewest(capacities, isSliced ? Math.floor(want / tally.slice!.size) : want);
}

function countAble(domains: Iterable<DomainIdx>, tally: Tally, want: number): number {
  let able = 0;
  for (const domain of domains) if (tally.fits(domain) > 0) able++;
  return Math.min(able, want);
}

function compare(field: Field, a: Candidate, b: Candidate): number {
  return (
    b.near - a.near ||
    a.breaks - b.breaks ||
    a.parts - b.parts ||
    (field.score === 'spread' ? b.fits - a.fits : a.fits - b.fits) ||
    a.free - b.free ||
    sizeOf(field, b.domain) - sizeOf(field, a.domain) ||
    compareAround(field, a.domain, b.domain) ||
    a.domain - b.domain
  );
}

/** Of two equal racks the one in the fuller block. */
function compareAround(field: Field, a: DomainIdx, b: DomainIdx): number {
  const { parentOf } = field.topology;
  let [one, other] = [parentOf[a]! as DomainIdx, parentOf[b]! as DomainIdx];
  while (one > ROOT && other > ROOT && one !== other) {
    const byFree = freeIn(field, one) - freeIn(field, other) || sizeOf(field, other) - sizeOf(field, one);
    if (byFree !== 0) return byFree;
    [one, other] = [parentOf[one]! as DomainIdx, parentOf[other]! as DomainIdx];
  }
  return 0;
}

function sizeOf({ topology }: Field, domain: DomainIdx): number {
  return topology.end[domain]! - topology.start[domain]!;
}
