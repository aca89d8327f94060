/**
 * Sorts nodes into pools by their kind of GPU: how the GPUs of a node reach each other, and which model they are. A
 * gang is placed in one pool while a single pool holds it, so that no job runs partly on PCIe by accident.
 *
 * The labels are those of NVIDIA's GPU feature discovery (NVIDIA/k8s-device-plugin docs/gpu-feature-discovery). The
 * product is NVML's device name with dashes, followed by `-MIG-…` or `-SHARED` when GPUs are divided. NVML does not
 * say there whether the GPUs are linked, so the rules below go by the form factor in the product's name. The label
 * `muster.dev/gpu-interconnect` overrides them.
 *
 * O(nodes), with a regular expression for each distinct product only.
 */

import type { Labels, NodeModel } from '../objects/model.ts';
import { GPU_CLIQUE } from './known-labels.ts';

/** In the order of preference. */
export const INTERCONNECTS = ['nvlink', 'unknown', 'pcie'] as const;
export type Interconnect = (typeof INTERCONNECTS)[number];

export interface GpuPool {
  readonly interconnect: Interconnect;
  /** The product of GPU feature discovery; '' when unknown. */
  readonly model: string;
}

export interface GpuPools {
  /** In the order of preference: by interconnect, then by model. */
  readonly pools: readonly GpuPool[];
  /** Index into `pools` by node row; -1 for an empty row. */
  readonly poolOf: Int16Array;
}

/** Node label with which an operator says how the node's GPUs reach each other: `nvlink` or `pcie`. */
export const GPU_INTERCONNECT = 'muster.dev/gpu-interconnect';
export const GPU_PRODUCT = 'nvidia.com/gpu.product';
const GPU_MACHINE = 'nvidia.com/gpu.machine';

/** Whether this is a valid value of the override label. */
export function isInterconnectOverride(value: string): value is 'nvlink' | 'pcie' {
  return value === 'nvlink' || value === 'pcie';
}

/** The pool of a node by its labels. An invalid override counts as none; the linter reports it. */
export function readPool(labels: Labels): GpuPool {
  const model = labels[GPU_PRODUCT] ?? '';
  const override = labels[GPU_INTERCONNECT] ?? '';
  return { interconnect: isInterconnectOverride(override) ? override : classify(model, labels), model };
}

/** Sorts the nodes into pools. Nodes without GPUs are in a pool as well, usually the one without a model. */
export function buildPools(nodes: readonly (NodeModel | undefined)[]): GpuPools {
  const found = new Map<string, { readonly pool: GpuPool; readonly rows: number[] }>();
  for (const [row, node] of nodes.entries()) {
    if (!node) continue;
    const pool = readPool(node.labels);
    const key = `${pool.interconnect} ${pool.model}`;
    const entry = found.get(key);
    if (entry) entry.rows.push(row);
    else found.set(key, { pool, rows: [row] });
  }
  const sorted = [...found.values()].sort((a, b) => compare(a.pool, b.pool));
  const poolOf = new Int16Array(nodes.length).fill(-1);
  for (const [index, { rows }] of sorted.entries()) {
    for (const row of rows) poolOf[row] = index;
  }
  return { pools: sorted.map(({ pool }) => pool), poolOf };
}

function compare(a: GpuPool, b: GpuPool): number {
  const byInterconnect = INTERCONNECTS.indexOf(a.interconnect) - INTERCONNECTS.indexOf(b.interconnect);
  if (byInterconnect !== 0) return byInterconnect;
  return a.model < b.model ? -1 : Number(a.model > b.model);
}

function classify(product: string, labels: Labels): Interconnect {
  const ofProduct = classifyProduct(product);
  // A slice of a GPU has no NVLink, whatever the whole GPU has.
  if (ofProduct === 'divided') return 'pcie';
  // The clique is set only once the GPUs of several nodes have formed one NVLink fabric.
  if (labels[GPU_CLIQUE]) return 'nvlink';
  if (ofProduct !== 'other') return ofProduct;
  if (isNvlinkMachine(labels[GPU_MACHINE] ?? '')) return 'nvlink';
  return product === '' ? 'unknown' : 'pcie';
}

/** Cards, and pairs of cards with a bridge: two GPUs of a node are linked, the others are not. */
const CARD = /\bPCIE\b|\bNVL\b/;

/**
 * Modules on a board with NVLink between all of them: everything named SXM, and products that exist only in this form
 * or are named by their memory in it (`NVIDIA-H100-80GB-HBM3` is the SXM5 module).
 */
const MODULE = /\bSXM\d?\b|\bH100-\d+GB-HBM3\b|\bH(20|200|800)\b|\bG?B[123]00\b|\bGH200\b|\bDGXS\b/;

type ProductClass = 'nvlink' | 'pcie' | 'divided' | 'other';

const classOfProduct = new Map<string, ProductClass>();

function classifyProduct(product: string): ProductClass {
  let found = classOfProduct.get(product);
  if (!found) {
    const name = product.toUpperCase();
    found = /\bMIG\b/.test(name) ? 'divided' : CARD.test(name) ? 'pcie' : MODULE.test(name) ? 'nvlink' : 'other';
    classOfProduct.set(product, found);
  }
  return found;
}

/** DGX Spark has one GPU and no NVLink. */
function isNvlinkMachine(machine: string): boolean {
  return /\b[DH]GX\b/i.test(machine.replaceAll('_', '-')) && !/spark/i.test(machine);
}
