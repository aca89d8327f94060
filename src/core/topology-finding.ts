/** What the linter of topology labels finds, as data. */
import type { Level } from './topology-levels.ts';

/** A node that changed domains on the live cluster. */
export interface DomainChange {
  readonly node: string;
  readonly level: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** What has changed since Muster started; the linter only repeats it. */
export interface Drift {
  readonly nodes: number;
  readonly last: DomainChange | undefined;
}

/** A domain name and the paths of some parents that it occurs under; `-` is an unknown level. */
export interface NameUnderParents {
  readonly name: string;
  readonly parents: readonly string[];
}

export type TopologyFinding =
  | { readonly kind: 'no-levels'; readonly nodes: number }
  | {
      readonly kind: 'partial-coverage';
      readonly level: Level;
      readonly labelled: number;
      readonly of: number;
      /** Nodes with accelerators are counted, or all nodes where there are none. */
      readonly counted: 'nodes with accelerators' | 'nodes';
      readonly examples: readonly string[];
    }
  | {
      readonly kind: 'inverted-levels';
      readonly outer: Level;
      readonly inner: Level;
      readonly examples: readonly { readonly inner: string; readonly outers: readonly string[] }[];
    }
  | {
      readonly kind: 'split-domain';
      readonly level: Level;
      readonly names: number;
      readonly examples: readonly NameUnderParents[];
    }
  | {
      readonly kind: 'repeated-name';
      readonly level: Level;
      readonly names: number;
      /** Distinct domains of the level, by path. */
      readonly domains: number;
      readonly examples: readonly NameUnderParents[];
    }
  | {
      readonly kind: 'unused-labels';
      readonly source: string;
      readonly keys: readonly string[];
      readonly nodes: number;
      /** How many of those nodes the levels in use do not cover. */
      readonly unplaced: number;
    }
  | {
      readonly kind: 'reservation-scoped';
      readonly level: Level;
      readonly nodes: number;
      readonly example: { readonly node: string; readonly value: string };
    }
  | {
      readonly kind: 'bad-interconnect';
      readonly nodes: number;
      readonly example: { readonly node: string; readonly value: string };
    }
  | { readonly kind: 'drift'; readonly nodes: number; readonly last: DomainChange | undefined };

/**
 * Repeated names are handled correctly, and a second description does no harm by itself: both are only worth knowing.
 */
export function isWarning(finding: TopologyFinding): boolean {
  switch (finding.kind) {
    case 'no-levels':
    case 'repeated-name':
      return false;
    case 'unused-labels':
      return finding.unplaced > 0;
    default:
      return true;
  }
}
