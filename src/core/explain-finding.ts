/** Turns findings about topology labels into text, one line each: what was expected, what was found, what to do. */
import type { NameUnderParents, TopologyFinding } from './topology-finding.ts';
import type { Level } from './topology-levels.ts';

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
