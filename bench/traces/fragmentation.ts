/**
 * Fragmentation gradient descent, after Weng et al., *Beware of Fragmentation*, USENIX ATC 2023, with the details of its
 * artifact (hkust-adsl/kubernetes-scheduler-simulator: fgd_score.go, frag.go): a pod goes where the expected amount of
 * GPU that a typical pod cannot use grows least. Typical pods are the most frequent shapes that make up 95 % of the
 * workload; memory does not count; the gradient becomes one of a hundred points, and the first node of several wins.
 */
import { type FreeSpace, isShare, type NodeBook, type Request, takeFrom, WHOLE } from './node-book.ts';

/** A shape and its share of the workload. */
export interface TypicalPod {
  readonly request: Request;
  readonly share: number;
}

export interface Gradient {
  /** 0 to 100: above 50 the pod removes fragments, below it adds some. */
  readonly points: number;
  /** The device that a share comes from; -1 for whole GPUs. */
  readonly device: number;
}

const POPULAR = 0.95;

export class FragmentationGradient {
  readonly #typical: readonly TypicalPod[];
  /** By state of a node and shape: equal nodes are judged once. */
  readonly #known = new Map<string, Gradient>();
  readonly #fragments = new Map<string, number>();

  constructor(typical: readonly TypicalPod[]) {
    this.#typical = typical;
  }

  /** @param request must have room. */
  of(book: NodeBook, node: number, request: Request): Gradient {
    const free = book.free[node]!;
    const key = `${keyOf(free)} ${request.cpu} ${request.gpus} ${request.milli}`;
    const known = this.#known.get(key);
    if (known) return known;
    const gradient = this.#judge(free, request);
    this.#known.set(key, gradient);
    return gradient;
  }

  #judge(free: FreeSpace, request: Request): Gradient {
    const before = this.#fragmentsOf(free);
    const pointsOn = (device: number) => {
      const copy = { ...free, devices: [...free.devices] };
      takeFrom(copy, request, device);
      return pointsFor((before - this.#fragmentsOf(copy)) / WHOLE);
    };
    if (!isShare(request)) return { points: pointsOn(-1), device: -1 };
    let best: Gradient = { points: Number.NEGATIVE_INFINITY, device: -1 };
    for (const [device, left] of free.devices.entries()) {
      if (left < request.milli) continue;
      const points = pointsOn(device);
      if (points > best.points) best = { points, device };
    }
    return best;
  }

  /** Expected thousandths of GPU that a typical pod cannot use. */
  #fragmentsOf(free: FreeSpace): number {
    const key = keyOf(free);
    const known = this.#fragments.get(key);
    if (known !== undefined) return known;
    const all = free.devices.reduce((sum, left) => sum + left, 0);
    let expected = 0;
    for (const { request, share } of this.#typical) {
      if (!isUsable(free, request)) expected += share * all;
      else for (const left of free.devices) if (left < request.milli) expected += share * left;
    }
    this.#fragments.set(key, expected);
    return expected;
  }
}

/** Whether a pod that uses GPUs has room, by CPU and GPUs. A pod without GPUs uses none of them. */
function isUsable({ cpu, devices }: FreeSpace, request: Request): boolean {
  if (request.gpus === 0 || cpu < request.cpu) return false;
  let count = 0;
  for (const left of devices) if (left >= request.milli) count++;
  return count >= request.gpus;
}

/** The logistic function of the gradient in GPUs, as whole points of 100. */
function pointsFor(gain: number): number {
  return Math.floor(100 / (1 + Math.exp(-gain)));
}

/** The order of the devices is kept, because the answer names one. */
function keyOf({ cpu, devices }: FreeSpace): string {
  return `${cpu} ${devices.join()}`;
}

/** The most frequent shapes by CPU and GPUs, until they make up 95 % of the pods. */
export function typicalPodsOf(shapes: readonly { readonly request: Request; readonly count: number }[]) {
  const byShape = new Map<string, { readonly request: Request; readonly count: number }>();
  for (const { request, count } of shapes) {
    const key = `${request.cpu} ${request.gpus} ${request.milli}`;
    byShape.set(key, { request, count: count + (byShape.get(key)?.count ?? 0) });
  }
  const sorted = [...byShape.values()].sort((a, b) => b.count - a.count);
  const all = sorted.reduce((sum, { count }) => sum + count, 0);
  let popular = 0;
  const typical = sorted.filter(({ count }) => {
    const isIn = popular < POPULAR * all;
    if (isIn) popular += count;
    return isIn;
  });
  return typical.map(({ request, count }): TypicalPod => ({ request, share: count / popular }));
}
