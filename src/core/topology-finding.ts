/** What the linter finds, as data and in words: what was expected, what was found, what to do. */
import type { Level } from './topology-levels.ts';

/** A node that changed domains on the live cluster. */
export interface DomainChange {
  readonly node: string;
  readonly level: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** What has been seen to change since Muster started; the linter only repeats it. */
export interface Drift {
  readonly nodes: number;
  readonly last: DomainChange | undefined;
}

/** A domain name and the paths of some of the parents it occurs under; `-` is an unknown level. */
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
      /** Nodes with accelerators are what counts, or all of them where there are none. */
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
      /** How many of those the levels in use say nothing about. */
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

/** Repeated names are treated rightly, and a second description does no harm by itself: that is only to be known. */
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

/** One line. */
export function explainFinding(finding: TopologyFinding): string {
  switch (finding.kind) {
    case 'no-levels':
      return `expected labels that say where a node stands, found none on ${nodes(finding.nodes)}: gangs are kept together by node only; label the nodes (NVIDIA topograph does) and list other labels as topology.levels`;
    case 'partial-coverage': {
      const { level, labelled, of, counted, examples } = finding;
      return `${level.name}: expected ${keysOf(level)} on all ${of} ${counted}, found on ${labelled}; the others are in no domain of this level and take no gang that requires it (${list(examples, of - labelled)}); label them`;
    }
    case 'inverted-levels': {
      const { outer, inner, examples } = finding;
      const found = examples.map((example) => `${inner.name} ${example.inner} spans ${example.outers.join(', ')}`);
      return `expected each ${inner.name} inside one ${outer.name}, found each ${outer.name} inside one ${inner.name} (${found.join('; ')}); swap the two in topology.levels, outer first`;
    }
    case 'split-domain': {
      const { level, names, examples } = finding;
      return `${level.name}: expected each domain under one parent, found ${names} under several (${examples.map(underParents).join('; ')}): each counts as separate domains, and no gang uses it whole; give all its nodes the same outer labels, or move ${level.name} outward in topology.levels`;
    }
    case 'repeated-name': {
      const { level, names, domains, examples } = finding;
      return `${level.name}: found ${names} ${names === 1 ? 'name' : 'names'} under more than one parent (${examples.map(underParents).join('; ')}); told apart by their paths, ${domains} domains in all; nothing to do if that is meant`;
    }
    case 'unused-labels': {
      const { source, keys, nodes: carriers, unplaced } = finding;
      const found = `labels of ${source} on ${nodes(carriers)} that no level is read from (${keys.join(', ')})`;
      return unplaced > 0
        ? `expected one description of all nodes, found ${found}, ${unplaced} of them without any label in their place; label those too, or list the labels to use as topology.levels`
        : `found ${found}: the levels in use describe these nodes already; nothing to do unless they disagree`;
    }
    case 'reservation-scoped': {
      const { level, example } = finding;
      return `${level.name}: expected the id of an NVLink domain, found that of an AWS capacity reservation on ${nodes(finding.nodes)} (${example.node}: ${example.value}); one reservation may hold several NVLink domains: use nvidia.com/gpu.clique or topology.k8s.aws/ultraserver-id`;
    }
    case 'bad-interconnect':
      return `expected nvlink or pcie as node label muster.dev/gpu-interconnect, found "${finding.example.value}" on ${finding.example.node} (${nodes(finding.nodes)} in all), which counts as none; correct or remove it`;
    case 'drift': {
      const example = finding.last
        ? ` (last: ${finding.last.node}, ${finding.last.level} ${finding.last.from ?? '-'} → ${finding.last.to ?? '-'})`
        : '';
      return `expected nodes to stay where they are, found other domains on ${nodes(finding.nodes)} since Muster started${example}; running gangs there may no longer be together: see who writes the labels`;
    }
    default:
      return finding satisfies never;
  }
}

function nodes(count: number): string {
  return count === 1 ? '1 node' : `${count} nodes`;
}

function keysOf({ keys }: Level): string {
  return keys.length === 1 ? `label ${keys[0]}` : `one of the labels ${keys.join(', ')}`;
}

function list(examples: readonly string[], total: number): string {
  return `${examples.join(', ')}${total > examples.length ? ', …' : ''}`;
}

function underParents({ name, parents }: NameUnderParents): string {
  return `${name} under ${parents.join(' and ')}`;
}
