/** The cluster of the benchmark: 4 blocks of 5 racks of 8 nodes with 8 GPUs. */
import type { NodeModel } from '../../src/core/objects/model.ts';
import { regularTree } from '../../test/support/fabrics.ts';

export const LEVELS = ['block', 'rack'].map((name) => ({ name, label: `example.com/${name}` }));
export const NODE_GPUS = 8;
export const RACK_NODES = 8;
const FAN_OUT = [4, 5];

/** Names run along the racks, so placing by name packs rack by rack: the best case for first fit. */
export const nodes: readonly NodeModel[] = regularTree(LEVELS, FAN_OUT, RACK_NODES);
export const GPUS = nodes.length * NODE_GPUS;

/** Index of the rack of a node, given by its index in `nodes`. */
export function rackOf(node: number): number {
  return Math.floor(node / RACK_NODES);
}
