/**
 * Existing or published fabrics as labelled nodes: topograph's cluster models with the labels of its three generations,
 * the network of Lingjun's 847 hosts, and regular trees by fan-out. Sources and licences: test/data.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import type { Labels, NodeModel } from '../../src/core/objects/model.ts';
import { aNode, type NodeOptions } from './builders.ts';

const data = join(import.meta.dirname, '../data');

export interface FabricNode {
  readonly name: string;
  /** Names of the switches above the node, leaf first. */
  readonly switches: readonly string[];
  /** The NVLink domain, and the part of it where the model has parts. */
  readonly domain: string | undefined;
  readonly subDomain: string | undefined;
  /** Region and zone, from the switches above. */
  readonly place: Labels;
}

interface ModelFile {
  readonly switches: Readonly<Record<string, { readonly switches?: readonly string[]; readonly labels?: Labels }>>;
  readonly blocks: readonly {
    readonly switch: string;
    readonly nodes: readonly string[];
    readonly annotations: Labels;
  }[];
}

/** The nodes of one of topograph's simulation models, in file order. */
export function readTopographModel(name: string): readonly FabricNode[] {
  const model = load(readFileSync(join(data, 'topograph', `${name}.yaml`), 'utf8')) as ModelFile;
  const parentOf = new Map<string, string>();
  for (const [parent, { switches = [] }] of Object.entries(model.switches)) {
    for (const child of switches) parentOf.set(child, parent);
  }
  return model.blocks.flatMap(({ switch: leaf, nodes, annotations }) => {
    const switches: string[] = [];
    for (let at: string | undefined = leaf; at !== undefined; at = parentOf.get(at)) switches.push(at);
    const place = Object.assign({}, ...switches.map((at) => model.switches[at]?.labels));
    const domain = annotations['accelerator.topology.test/domain'];
    const subDomain = annotations['accelerator.topology.test/sub-domain'];
    return nodes.flatMap(expandRange).map((node) => ({ name: node, switches, domain, subDomain, place }));
  });
}

/** `srv11[01-08]` stands for eight names; the numbers keep their zeros. */
function expandRange(text: string): readonly string[] {
  const match = /^(.*)\[(\d+)-(\d+)\]$/.exec(text);
  if (!match) return [text];
  const [, prefix = '', first = '', last = ''] = match;
  return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => {
    return prefix + String(Number(first) + i).padStart(first.length, '0');
  });
}

/**
 * Generations of topograph: 1.0 numbers the tiers from the leaf outwards, 0.2 names three of them, 0.1 has other names
 * for the same tiers.
 */
export type TopographGeneration = '1.0' | '0.2' | '0.1';

const NETWORK = 'network.topology.nvidia.com';
const tierKeys: Readonly<Record<TopographGeneration, readonly string[]>> = {
  '1.0': [0, 1, 2].map((tier) => `fabric.topograph.run/tier-${tier}`),
  '0.2': ['leaf', 'spine', 'core'].map((tier) => `${NETWORK}/${tier}`),
  '0.1': ['block', 'spine', 'datacenter'].map((tier) => `${NETWORK}/${tier}`),
};

/** The model's nodes with the labels that this generation of topograph writes. */
export function labelAs(
  generation: TopographGeneration,
  fabric: readonly FabricNode[],
  options: NodeOptions = {},
): readonly NodeModel[] {
  return fabric.map(({ name, switches, domain, subDomain, place }) => {
    const labels: Record<string, string> = { ...place };
    tierKeys[generation].forEach((key, tier) => {
      if (switches[tier] !== undefined) labels[key] = switches[tier];
    });
    if (generation === '1.0') {
      if (domain !== undefined) labels['accelerator.topograph.run/domain'] = domain;
      if (subDomain !== undefined) labels['accelerator.topograph.run/sub-domain'] = subDomain;
    } else if (domain !== undefined) labels[`${NETWORK}/accelerator`] = domain;
    return aNode({ ...options, name, labels });
  });
}

/** Lingjun's three layers, outer to inner: core group, pod, access switch. */
export const LINGJUN_LEVELS = ['dsw', 'psw', 'asw'].map((name) => ({ name, label: `example.com/${name}` }));

/** Lingjun's hosts. Names of access switches repeat across pods. */
export function lingjunNodes(): readonly NodeModel[] {
  const [, ...rows] = readFileSync(join(data, 'lingjun', 'topo.csv'), 'utf8')
    .trim()
    .split(/\r?\n/);
  return rows.map((row) => {
    const [ip = '', ...switches] = row.split(',');
    const labels = Object.fromEntries(LINGJUN_LEVELS.map(({ label }, i) => [label, switches[i]!]));
    return aNode({ name: `host-${ip.slice(0, 16)}`, labels });
  });
}

/**
 * A tree by its fan-out, outer to inner: each domain contains `fanOut[i]` domains of `levels[i]`, and innermost
 * `nodesPerLeaf` nodes. Names repeat under different parents, as in practice.
 */
export function regularTree(
  levels: readonly { readonly name: string; readonly label: string }[],
  fanOut: readonly number[],
  nodesPerLeaf: number,
  options: NodeOptions = {},
): readonly NodeModel[] {
  let paths: (readonly number[])[] = [[]];
  for (const children of [...fanOut, nodesPerLeaf]) {
    paths = paths.flatMap((path) => Array.from({ length: children }, (_, i) => [...path, i]));
  }
  return paths.map((path) => {
    const labels = Object.fromEntries(levels.map(({ name, label }, i) => [label, `${name}-${path[i]}`]));
    return aNode({ ...options, name: `node-${path.map((part) => String(part).padStart(3, '0')).join('-')}`, labels });
  });
}
