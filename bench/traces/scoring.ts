/**
 * How schedulers score a node for a pod; higher is better. kube-scheduler v1.37.2 with its default plugins, the same
 * with NodeResourcesFit set to MostAllocated, and BestFit as in the artifact of FGD.
 */
import { gpuMilliOf, type NodeBook, type Request } from './node-book.ts';

export type Score = (book: NodeBook, node: number, request: Request) => number;

const MAX = 100;

/**
 * `NodeResourcesFit` with LeastAllocated, and `NodeResourcesBalancedAllocation`, both at weight 1 and over CPU and
 * memory, as shipped (noderesources/least_allocated.go, balanced_allocation.go). The other default plugins give all
 * nodes of the benchmark the same. What no pod requests counts as zero: all pods here have requests.
 */
export const stockScore: Score = (book, node, request) => {
  const [cpu, memory] = freeParts(book, node, request);
  const least = Math.floor((MAX * (cpu + memory)) / 2);
  // The standard deviation of two fractions is half their difference.
  return least + Math.floor(MAX * (1 - Math.abs(cpu - memory) / 2));
};

/** `NodeResourcesFit` with MostAllocated over CPU, memory and GPUs, as a cluster is set up for packing. */
export const packingScore: Score = (book, node, request) => {
  const [cpu, memory] = freeParts(book, node, request);
  const { gpus } = book.shapes[node]!;
  const counted = gpuMilliOf(request) > 0 ? [cpu, memory, gpuPart(book, node, request, gpus)] : [cpu, memory];
  return Math.floor((MAX * counted.reduce((sum, part) => sum + 1 - part, 0)) / counted.length);
};

/** The largest node of the trace. */
const MAX_CPU = 128_000;
const MAX_GPU = 8_000;

/** Half the CPU and half the GPU that are left, each as a part of the largest node (best_fit_score.go of the artifact). */
export const bestFitScore: Score = (book, node, request) => {
  const { cpu, devices } = book.free[node]!;
  const gpu = devices.reduce((sum, left) => sum + left, 0);
  const left = (cpu - request.cpu) / MAX_CPU / 2 + (gpu - gpuMilliOf(request)) / MAX_GPU / 2;
  return Math.floor(MAX * (1 - left));
};

/** How much GPUs without CPU for them count, as a multiple of GPUs that are free. */
const STRANDED = 4;

/**
 * What Muster's order of nodes for lone pods could be: the fullest first, as today, but GPUs that the pod would leave
 * without their part of the node's CPU count more. For pods without GPUs it is `others`.
 */
export function strandingScore(others: Score): Score {
  return (book, node, request) => {
    if (request.gpus === 0) return others(book, node, request);
    const [cpu] = freeParts(book, node, request);
    const gpu = gpuPart(book, node, request, book.shapes[node]!.gpus);
    return -gpu - STRANDED * Math.max(0, gpu - cpu);
  };
}

/** What a preferred node affinity adds: a hundred points at the plugin's weight of 2. */
const AFFINITY = 200;

/** Pods without GPUs carry a preferred node affinity to nodes of this GPU model. */
export function preferring(model: string, score: Score): Score {
  return (book, node, request) => {
    const isPreferred = request.gpus === 0 && book.shapes[node]!.model === model;
    return score(book, node, request) + (isPreferred ? AFFINITY : 0);
  };
}

/** The parts of CPU and memory that are free with the pod. */
function freeParts(book: NodeBook, node: number, request: Request): readonly [number, number] {
  const free = book.free[node]!;
  const has = book.shapes[node]!;
  return [(free.cpu - request.cpu) / has.cpu, (free.memory - request.memory) / has.memory];
}

function gpuPart(book: NodeBook, node: number, request: Request, gpus: number): number {
  const left = book.free[node]!.devices.reduce((sum, each) => sum + each, 0) - gpuMilliOf(request);
  return left / (1_000 * gpus);
}
