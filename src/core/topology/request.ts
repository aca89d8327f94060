/** What a gang asks of the fabric: as its owner wrote it, and resolved on a topology to level numbers. O(levels). */
import { findLevel, mayBeExclusive, type Topology } from './tree.ts';

/** What the gang asks of the fabric, as its owner wrote it: names of levels, or node-label keys. */
export interface TopologyRequest {
  /** All members inside one domain of this level, or none is placed. */
  readonly required: string | undefined;
  /** One domain of this level if there is one, else of the next outer level, and so on. */
  readonly preferred: string | undefined;
  /**
   * Until then only the preferred level is allowed, milliseconds since the epoch; undefined: wider levels are allowed
   * at once.
   */
  readonly patientUntil: number | undefined;
  /** Chunks of `size` consecutive ranks, each inside one domain of the level. */
  readonly slice: { readonly size: number; readonly level: string } | undefined;
  /** Members or slices are divided evenly among domains of this level. */
  readonly spread: string | undefined;
  /** No other gang may be in the domains of this level that this gang uses. */
  readonly exclusive: string | undefined;
}

/** Level numbers; -1: the whole cluster, that is, not asked for. */
export interface ResolvedTopology {
  readonly required: number;
  readonly preferred: number;
  readonly slice: { readonly size: number; readonly level: number } | undefined;
  readonly spread: number;
  readonly exclusive: number;
  /**
   * One domain of this level or an inner one has to hold the gang now: the required level or, during patience, the
   * preferred one.
   */
  readonly outermost: number;
  /** When a wider level is allowed, milliseconds; undefined: `outermost` does not change. */
  readonly widensAt: number | undefined;
}

/** The gang names a level that the topology does not have or that may not be exclusive, or levels that exclude each other. */
export interface LevelProblem {
  readonly kind: 'unknown-level' | 'spread-inside-slice' | 'spread-outside-required' | 'not-exclusive';
  /** The annotation, without its prefix. */
  readonly key: string;
  readonly found: string;
  /** Names of the levels that are allowed there, outer to inner. */
  readonly known: readonly string[];
}

export type Resolution =
  | { readonly kind: 'resolved'; readonly topology: ResolvedTopology }
  | { readonly kind: 'problem'; readonly problem: LevelProblem };

/** @param now milliseconds since the epoch: decides whether the gang's patience is over. */
export function resolveTopology(topology: Topology, request: TopologyRequest, now: number): Resolution {
  const known = topology.levels.map(({ name }) => name);
  const asked: [string, string | undefined][] = [
    ['topology-required', request.required],
    ['topology-preferred', request.preferred],
    ['slice-required', request.slice?.level],
    ['topology-spread', request.spread],
    ['topology-exclusive', request.exclusive],
  ];
  const levels: number[] = [];
  for (const [key, found] of asked) {
    const level = found === undefined ? -1 : findLevel(topology, found);
    if (found !== undefined && level < 0) return problem('unknown-level', key, found, known);
    levels.push(level);
  }
  const [required, preferred, slice, spread, exclusive] = levels as [number, number, number, number, number];
  if (spread >= 0 && slice >= 0 && spread > slice) {
    return problem('spread-inside-slice', 'topology-spread', request.spread!, known.slice(0, slice + 1));
  }
  if (spread >= 0 && spread <= required) {
    return problem('spread-outside-required', 'topology-spread', request.spread!, known.slice(required + 1));
  }
  if (exclusive >= 0 && !mayBeExclusive(topology, exclusive)) {
    const allowed = known.filter((_, level) => mayBeExclusive(topology, level));
    return problem('not-exclusive', 'topology-exclusive', request.exclusive!, allowed);
  }
  const patient = request.patientUntil !== undefined && now < request.patientUntil && preferred > required;
  return {
    kind: 'resolved',
    topology: {
      required,
      preferred,
      slice: request.slice && { size: request.slice.size, level: slice },
      spread,
      exclusive,
      outermost: patient ? preferred : required,
      widensAt: patient ? request.patientUntil : undefined,
    },
  };
}

function problem(kind: LevelProblem['kind'], key: string, found: string, known: readonly string[]): Resolution {
  return { kind: 'problem', problem: { kind, key, found, known } };
}
