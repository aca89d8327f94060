/**
 * Alibaba's openb cluster (test/data/openb): 1,213 GPU nodes, 6,212 GPUs, pods that take a part of one GPU or whole ones.
 * The pods of the trace, drawn again at random until they ask for 130 % of the GPUs, arrive one by one and never end; one
 * that fits nowhere is gone. Measured as published for FGD: allocated GPU when as much was asked for as there is.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../random.ts';
import { FragmentationGradient, type TypicalPod, typicalPodsOf } from './fragmentation.ts';
import { gpuMilliOf, hasRoom, NodeBook, type NodeShape, type Request } from './node-book.ts';
import { bestFitScore, packingScore, preferring, type Score, stockScore, strandingScore } from './scoring.ts';
import { TraceWorld } from './world.ts';

export interface OpenbCluster {
  readonly nodes: readonly NodeShape[];
  readonly shapes: readonly { readonly request: Request; readonly count: number }[];
}

/** Allocated GPU as a part of all, by what was asked for, in steps of 1 %. */
export interface Allocation {
  readonly course: readonly number[];
  /** When as much was asked for as there is, and at the end. */
  readonly atCapacity: number;
  readonly atEnd: number;
  /** Of the GPU that is free in the end, what a pod of the trace cannot use on average, as a part of all. */
  readonly unusable: { readonly forLackOfCpu: number; readonly inPieces: number };
}

/** What is asked for in the end, as a part of the GPUs. */
const INFLATION = 1.3;

export function readOpenb(): OpenbCluster {
  const nodes = read('nodes.csv').flatMap(([cpu, memory, gpus, model, count]) =>
    Array.from({ length: Number(count) }, () => ({ ...numbers(cpu, memory), gpus: Number(gpus), model: model! })),
  );
  const shapes = read('pods-default.csv').map(([cpu, memory, gpus, milli, count]) => ({
    request: { ...numbers(cpu, memory), gpus: Number(gpus), milli: Number(milli) },
    count: Number(count),
  }));
  return { nodes, shapes };
}

function numbers(
  cpu: string | undefined,
  memory: string | undefined,
): { readonly cpu: number; readonly memory: number } {
  return { cpu: Number(cpu), memory: Number(memory) };
}

function read(name: string): readonly (readonly string[])[] {
  const [, ...rows] = readFileSync(join(import.meta.dirname, '../../test/data/openb', name), 'utf8')
    .trim()
    .split('\n');
  return rows.map((row) => row.split(','));
}

/**
 * All pods of the trace and random ones of them again, or a random part of them, until they ask for `INFLATION` of the
 * GPUs; in random order.
 */
export function drawPods({ nodes, shapes }: OpenbCluster, seed: number): readonly Request[] {
  const random = new Random(seed);
  const trace = shapes.flatMap(({ request, count }) => new Array<Request>(count).fill(request));
  shuffle(trace, random);
  const wanted = INFLATION * 1_000 * nodes.reduce((sum, { gpus }) => sum + gpus, 0);
  const drawn: Request[] = [];
  let asked = 0;
  for (let i = 0; asked < wanted; i++) {
    const request = trace[i] ?? trace[random.below(trace.length)]!;
    drawn.push(request);
    asked += gpuMilliOf(request);
  }
  shuffle(drawn, random);
  return drawn;
}

function shuffle<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
}

/** Places one pod after the other: a node for each, or none. */
export interface Placer {
  readonly book: NodeBook;
  place(request: Request): Promise<void> | void;
}

/** The node with the best score; the first of several. All nodes are looked at. */
export class ScorePlacer implements Placer {
  readonly book: NodeBook;
  readonly #score: Score;
  #serial = 0;

  constructor(nodes: readonly NodeShape[], score: Score) {
    this.book = new NodeBook(nodes);
    this.#score = score;
  }

  place(request: Request): void {
    const { book } = this;
    let best = -1;
    let most = Number.NEGATIVE_INFINITY;
    for (let node = 0; node < book.free.length; node++) {
      if (!book.fits(node, request)) continue;
      const points = this.#score(book, node, request);
      if (points > most) [best, most] = [node, points];
    }
    if (best >= 0) book.take(`pod-${this.#serial++}`, best, request);
  }
}

/** FGD-like; the policy also chooses the device of a share. */
export class GradientPlacer implements Placer {
  readonly book: NodeBook;
  readonly #gradient: FragmentationGradient;
  #node = -1;
  #serial = 0;

  constructor(nodes: readonly NodeShape[], typical: readonly TypicalPod[]) {
    this.#gradient = new FragmentationGradient(typical);
    this.book = new NodeBook(nodes, (_, request) => this.#gradient.of(this.book, this.#node, request).device);
  }

  place(request: Request): void {
    const { book } = this;
    let [best, most] = [-1, Number.NEGATIVE_INFINITY];
    for (let node = 0; node < book.free.length; node++) {
      if (!book.fits(node, request)) continue;
      const { points } = this.#gradient.of(book, node, request);
      if (points > most) [best, most] = [node, points];
    }
    if (best < 0) return;
    this.#node = best;
    book.take(`pod-${this.#serial++}`, best, request);
  }
}

/** kube-scheduler with or without Muster: every pod is a lone pod. */
export class WorldPlacer implements Placer {
  readonly #world: TraceWorld;
  #serial = 0;

  constructor(
    nodes: readonly NodeShape[],
    seed: number,
    options: { readonly muster: boolean; readonly score?: Score },
  ) {
    const { muster, ...rest } = options;
    this.#world = new TraceWorld({
      nodes,
      seed,
      sharesGpus: true,
      muster: muster ? { queues: [] } : undefined,
      ...rest,
    });
  }

  get book(): NodeBook {
    return this.#world.book;
  }

  async place(request: Request): Promise<void> {
    const name = `pod-${this.#serial++}`;
    const uid = this.#world.create({ namespace: 'default', name, request });
    await this.#world.settle();
    if (this.book.nodeOf(uid) === undefined) this.#world.delete('default', [name]);
  }
}

/** The nodes with two T4 have 52 CPUs for each GPU, four times as many as most others. */
const TO_T4 = preferring('T4', stockScore);

/** Those that end in `CPU pods to T4` are set up as docs/lone-pods.md says for pods without accelerators. */
export const PLACERS: Readonly<Record<string, (cluster: OpenbCluster, seed: number) => Placer>> = {
  'kube-scheduler': ({ nodes }, seed) => new WorldPlacer(nodes, seed, { muster: false }),
  'kube-scheduler, MostAllocated': ({ nodes }, seed) =>
    new WorldPlacer(nodes, seed, { muster: false, score: packingScore }),
  'kube-scheduler, CPU pods to T4': ({ nodes }, seed) => new WorldPlacer(nodes, seed, { muster: false, score: TO_T4 }),
  BestFit: ({ nodes }) => new ScorePlacer(nodes, bestFitScore),
  'FGD-like': ({ nodes, shapes }) => new GradientPlacer(nodes, typicalPodsOf(shapes)),
  Muster: ({ nodes }, seed) => new WorldPlacer(nodes, seed, { muster: true }),
  'Muster, CPU pods to T4': ({ nodes }, seed) => new WorldPlacer(nodes, seed, { muster: true, score: TO_T4 }),
  // No scheduler of today: shows what its two differences from the line above are worth.
  'an order that counts CPU, CPU pods to T4': ({ nodes }) => new ScorePlacer(nodes, strandingScore(TO_T4)),
};

export async function allocate(
  placer: Placer,
  { shapes }: OpenbCluster,
  pods: readonly Request[],
  onPod: (placed: number) => void,
): Promise<Allocation> {
  const { book } = placer;
  const course: number[] = [];
  let asked = 0;
  for (const [i, request] of pods.entries()) {
    await placer.place(request);
    asked += gpuMilliOf(request);
    while (course.length <= (100 * asked) / book.total) course.push(book.used / book.total);
    onPod(i);
  }
  return { course, atCapacity: course[100]!, atEnd: book.used / book.total, unusable: judgeRest(book, shapes) };
}

function judgeRest(book: NodeBook, shapes: OpenbCluster['shapes']): Allocation['unusable'] {
  const asking = shapes.filter(({ request }) => request.gpus > 0);
  const all = asking.reduce((sum, { count }) => sum + count, 0);
  let [forLackOfCpu, inPieces] = [0, 0];
  for (const free of book.free) {
    const left = free.devices.reduce((sum, each) => sum + each, 0);
    if (left === 0) continue;
    for (const { request, count } of asking) {
      if (!hasRoom(free, { ...request, cpu: 0, memory: 0 })) inPieces += (left * count) / all;
      else if (!hasRoom(free, request)) forLackOfCpu += (left * count) / all;
    }
  }
  return { forLackOfCpu: forLackOfCpu / book.total, inPieces: inPieces / book.total };
}
