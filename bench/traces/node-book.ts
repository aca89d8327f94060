/**
 * What is free on each node, down to the single GPU: the independent account of the benchmark. A share of a GPU comes
 * from one device; whole GPUs come from devices that are free as a whole.
 */

/** One kind of node. Memory is in MiB, CPU in milli-CPU. */
export interface NodeShape {
  readonly cpu: number;
  readonly memory: number;
  readonly gpus: number;
  readonly model: string;
}

/** What a pod requests. */
export interface Request {
  readonly cpu: number;
  readonly memory: number;
  /** How many GPUs it uses, whole or in part. */
  readonly gpus: number;
  /** Thousandths of each of them; below 1,000 only for a single GPU. */
  readonly milli: number;
}

export interface FreeSpace {
  cpu: number;
  memory: number;
  pods: number;
  /** Thousandths of each GPU. */
  readonly devices: number[];
}

/** Which device a share comes from: the fullest with room (`best`), or one that the policy names. */
export type DeviceChoice = (free: FreeSpace, request: Request) => number;

export const WHOLE = 1_000;
const MAX_PODS = 110;

export function isShare({ gpus, milli }: Request): boolean {
  return gpus === 1 && milli < WHOLE;
}

export function gpuMilliOf({ gpus, milli }: Request): number {
  return gpus * milli;
}

/** The fullest device that has room; the first of several; -1 for none. */
export function fullestDevice({ devices }: FreeSpace, { milli }: Request): number {
  let best = -1;
  for (let i = 0; i < devices.length; i++) {
    if (devices[i]! >= milli && (best < 0 || devices[i]! < devices[best]!)) best = i;
  }
  return best;
}

export function hasRoom(free: FreeSpace, request: Request): boolean {
  const { cpu, memory, pods, devices } = free;
  if (cpu < request.cpu || memory < request.memory || pods < 1) return false;
  if (request.gpus === 0) return true;
  let count = 0;
  for (const left of devices) if (left >= request.milli) count++;
  return count >= request.gpus;
}

/** Takes the request out of the space, and returns the devices it came from. */
export function takeFrom(free: FreeSpace, request: Request, device: number): readonly number[] {
  free.cpu -= request.cpu;
  free.memory -= request.memory;
  free.pods--;
  const used: number[] = isShare(request) ? [device] : [];
  for (let i = 0; used.length < request.gpus && i < free.devices.length; i++) {
    if (free.devices[i]! >= request.milli) used.push(i);
  }
  for (const i of used) free.devices[i]! -= request.milli;
  return used;
}

export class NodeBook {
  readonly shapes: readonly NodeShape[];
  readonly free: readonly FreeSpace[];
  readonly #choose: DeviceChoice;
  readonly #taken = new Map<
    string,
    { readonly node: number; readonly request: Request; readonly devices: readonly number[] }
  >();
  /** Thousandths of GPUs in use, and in all. */
  used = 0;
  readonly total: number;

  constructor(shapes: readonly NodeShape[], choose: DeviceChoice = fullestDevice) {
    this.shapes = shapes;
    this.#choose = choose;
    this.free = shapes.map(({ cpu, memory, gpus }) => ({
      ...{ cpu, memory, pods: MAX_PODS },
      devices: new Array<number>(gpus).fill(WHOLE),
    }));
    this.total = WHOLE * shapes.reduce((sum, { gpus }) => sum + gpus, 0);
  }

  fits(node: number, request: Request): boolean {
    return hasRoom(this.free[node]!, request);
  }

  /** @throws Error when there is no room: two pods were placed on the same capacity. */
  take(pod: string, node: number, request: Request): void {
    if (this.#taken.has(pod)) throw new Error(`expected ${pod} on no node, found it on one`);
    if (!this.fits(node, request)) throw new Error(`expected room for ${pod} on node ${node}, found none`);
    const free = this.free[node]!;
    const devices = takeFrom(free, request, isShare(request) ? this.#choose(free, request) : -1);
    this.#taken.set(pod, { node, request, devices });
    this.used += gpuMilliOf(request);
  }

  nodeOf(pod: string): number | undefined {
    return this.#taken.get(pod)?.node;
  }

  giveBack(pod: string): void {
    const taken = this.#taken.get(pod);
    if (!taken) return;
    this.#taken.delete(pod);
    const free = this.free[taken.node]!;
    free.cpu += taken.request.cpu;
    free.memory += taken.request.memory;
    free.pods++;
    for (const device of taken.devices) free.devices[device]! += taken.request.milli;
    this.used -= gpuMilliOf(taken.request);
  }
}
