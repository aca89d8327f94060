/**
 * Amounts of what queues share. A dimension is a resource, or a resource on one GPU model, so that a quota can cover
 * GPUs in general or H100 only. A pod on a node of known model counts in both.
 */
import type { IsAccelerator } from '../objects/accelerators.ts';
import type { PodTemplate } from '../objects/model.ts';
import { scaleOf } from '../objects/resources.ts';

/**
 * By dimension, in base units: a resource name (`nvidia.com/gpu`, `cpu` in milli-CPU, `memory` in bytes), or a
 * resource name, a blank and a model (`nvidia.com/gpu NVIDIA-H100-80GB-HBM3`). A missing entry is 0.
 */
export type Amounts = ReadonlyMap<string, number>;

export const NOTHING: Amounts = new Map();

/** Teams do not share these: the kubelet bounds pods, the node's disk bounds ephemeral storage. */
const UNCOUNTED: ReadonlySet<string> = new Set(['pods', 'ephemeral-storage']);

const BLANK = ' ';

/** @param model the node label `nvidia.com/gpu.product`; '' or undefined: any model. */
export function dimensionOf(resource: string, model: string | undefined): string {
  return model ? resource + BLANK + model : resource;
}

/** Whether the dimension covers one GPU model only. Resource names contain no blank. */
export function namesModel(dimension: string): boolean {
  return dimension.includes(BLANK);
}

/** The resource of a dimension, without its model. */
export function resourceOf(dimension: string): string {
  const blank = dimension.indexOf(BLANK);
  return blank < 0 ? dimension : dimension.slice(0, blank);
}

/** The GPU model of a dimension; undefined: any. */
export function modelOf(dimension: string): string | undefined {
  const blank = dimension.indexOf(BLANK);
  return blank < 0 ? undefined : dimension.slice(blank + 1);
}

/** How many base units make one unit that people read and write: a CPU, a byte, a GPU. */
export function perUnit(dimension: string): number {
  return scaleOf(resourceOf(dimension)) === 'milli' ? 1000 : 1;
}

/**
 * Adds what `times` pods of the template take; accelerators also under the node's model, if it is known.
 * @param model of the node that the pods are on, or of all nodes that they may use; '' or undefined: unknown.
 */
export function addUse(
  into: Map<string, number>,
  template: PodTemplate,
  model: string | undefined,
  isAccelerator: IsAccelerator,
  times = 1,
): void {
  for (const { name, amount } of template.requests) {
    if (UNCOUNTED.has(name)) continue;
    addTo(into, name, amount * times);
    if (model && isAccelerator(name)) addTo(into, dimensionOf(name, model), amount * times);
  }
}

/** So many times the amounts. */
export function multiplyAmounts(amounts: Amounts, times: number): Amounts {
  return new Map([...amounts].map(([dimension, amount]) => [dimension, amount * times]));
}

export function sumAmounts(parts: Iterable<Amounts>): Amounts {
  const sum = new Map<string, number>();
  for (const part of parts) addAmounts(sum, part);
  return sum;
}

/** Dimensions that come out as 0 are left out. */
export function subtractAmounts(from: Amounts, amounts: Amounts): Amounts {
  const left = new Map<string, number>();
  for (const dimension of new Set([...from.keys(), ...amounts.keys()])) {
    const amount = (from.get(dimension) ?? 0) - (amounts.get(dimension) ?? 0);
    if (amount !== 0) left.set(dimension, amount);
  }
  return left;
}

export function addAmounts(into: Map<string, number>, amounts: Amounts): void {
  for (const [dimension, amount] of amounts) addTo(into, dimension, amount);
}

export function addTo(into: Map<string, number>, dimension: string, amount: number): void {
  into.set(dimension, (into.get(dimension) ?? 0) + amount);
}
