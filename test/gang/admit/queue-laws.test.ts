/**
 * Laws of queues that hold after every event of every history: usage never exceeds a hard limit, nothing of a held gang
 * starts, no gang starts in part, no gang within a guarantee is evicted for another queue, and no capacity stays idle
 * that a waiting gang could use, unless a planned start, a strict queue or the backfill policy prevents it.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Queue } from '../../../src/core/queues/tree.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { inQueue, listMembers, startQueueWorld } from '../../support/queue-worlds.ts';
import type { QueueOptions } from '../../support/queues.ts';
import { gang, pod, SECOND, type World } from '../../support/scenario.ts';

const GPUS = 'nvidia.com/gpu';
const NODES = 4;
const LEAVES = ['x1', 'x2', 'y', 'default'] as const;
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const;

interface Shape {
  readonly size: number;
  readonly min: number;
  readonly gpus: number;
  readonly queue: string;
  readonly priority: number;
  readonly runs: string | undefined;
}

type Event =
  | { readonly do: 'create'; readonly name: string; readonly shape: Shape }
  | { readonly do: 'end' | 'delete' | 'hold' | 'release' | 'grow'; readonly name: string }
  | { readonly do: 'lone pod'; readonly name: string; readonly queue: string; readonly gpus: number }
  | { readonly do: 'end lone pod'; readonly name: string }
  | { readonly do: 'edit'; readonly queue: string; readonly spec: object }
  | { readonly do: 'node down' | 'node up'; readonly name: string }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'schedule' | 'restart' };

const aName = fc.constantFrom(...NAMES);
const aLeaf = fc.constantFrom(...LEAVES);
const aLone = fc.constantFrom('l0', 'l1', 'l2');
const aShape: fc.Arbitrary<Shape> = fc
  .record({
    size: fc.integer({ min: 1, max: 5 }),
    extras: fc.nat(2),
    gpus: fc.constantFrom(4, 8, 8),
    queue: aLeaf,
    priority: fc.constantFrom(0, 0, 0, 10),
    runs: fc.constantFrom(undefined, '20s', '2m', '30m', '30m', '30m'),
  })
  .map(({ extras, ...shape }) => ({ ...shape, min: Math.max(1, shape.size - extras) }));

/** What may be written about a queue, as in its object. */
const aSpec = fc.record({
  weight: fc.constantFrom(1, 1, 3),
  quotas: fc
    .record({ guaranteed: fc.constantFrom(0, 0, 4, 8, 16), more: fc.constantFrom(undefined, undefined, 0, 8) })
    .map(({ guaranteed, more }) => [
      { resource: GPUS, guaranteed, ...(more !== undefined && guaranteed + more > 0 && { limit: guaranteed + more }) },
    ]),
  allowBorrowing: fc.constantFrom(true, true, true, false),
  reclaimable: fc.constantFrom(true, true, false),
  order: fc.constantFrom('best-effort', 'best-effort', 'strict'),
});

const anEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('create' as const), name: aName, shape: aShape }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('end' as const, 'delete' as const), name: aName }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('hold' as const, 'release' as const), name: aName }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('grow' as const), name: aName }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('lone pod' as const),
      name: aLone,
      queue: aLeaf,
      gpus: fc.constantFrom(1, 4, 8),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end lone pod' as const), name: aLone }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('edit' as const),
      queue: fc.constantFrom('x', 'x1', 'x2', 'y'),
      spec: aSpec,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('node down' as const, 'node up' as const, 'node up' as const),
      name: fc.constantFrom('n0', 'n1'),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom(100, 2_000, 15_000, 60_000, 600_000),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('schedule' as const, 'schedule' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

const aPolicy = fc.record({
  backfill: fc.constantFrom('easy' as const, 'easy' as const, 'conservative' as const, 'none' as const),
  drainAfterMs: fc.constantFrom(60 * SECOND, 1_800 * SECOND),
});

/** Plays the events and checks the world after each. */
class History {
  readonly world: World;
  readonly violations: string[] = [];
  #use = new Map<string, number>();
  #evictions = 0;

  constructor(world: World) {
    this.world = world;
    this.#use = this.#countUse();
  }

  async play(next: Event): Promise<void> {
    await this.#apply(next);
    await this.world.settle();
    // A gang that is no longer held back is planned in the next cycle.
    await this.world.pass(5);
    const use = this.#countUse();
    const found = [
      ...this.world.overbooked(),
      // Members on a node that went down are replaced, and may come back with it.
      ...(next.do === 'node up' ? [] : this.#checkLimits()),
      ...this.#checkParts(),
      ...(next.do === 'edit' ? [] : this.#checkEvictions()),
      ...this.#checkIdle(use),
    ];
    this.#evictions = this.world.evictions().length;
    this.#use = use;
    for (const each of found) this.violations.push(`after ${JSON.stringify(next)}: ${each}`);
  }

  async #apply(next: Event): Promise<void> {
    const { world } = this;
    switch (next.do) {
      case 'create':
        if (listMembers(world, next.name).length === 0) this.#create(next.name, next.shape, 0, next.shape.size);
        return;
      case 'grow':
        return this.#grow(next.name);
      case 'end':
        for (const { metadata, spec } of listMembers(world, next.name)) if (spec.nodeName) world.finish(metadata.name);
        return;
      case 'delete':
        for (const { metadata } of listMembers(world, next.name)) world.delete(metadata.name);
        return;
      case 'hold':
      case 'release':
        for (const { metadata } of listMembers(world, next.name))
          world.cluster.update('Pod', `default/${metadata.name}`, (raw) => {
            raw.metadata.annotations = { ...raw.metadata.annotations, 'muster.dev/hold': String(next.do === 'hold') };
          });
        return;
      case 'lone pod':
        if (!this.#exists(next.name)) world.create(pod(next.name, { ...inQueue(next.queue), gpus: next.gpus }));
        return world.schedule(next.name);
      case 'end lone pod':
        if (this.#exists(next.name)) world.delete(next.name);
        return;
      case 'edit':
        world.cluster.update('Queue', next.queue, (raw) => {
          raw.spec = { ...(raw.spec.parent && { parent: raw.spec.parent }), ...next.spec };
        });
        return;
      case 'node down':
      case 'node up':
        return world.setReady(next.name, next.do === 'node up');
      case 'pass':
        await world.pass(next.ms);
        world.finishTerminations();
        return;
      case 'schedule':
        return world.schedule();
      case 'restart':
        return await world.restart();
      default:
        return next satisfies never;
    }
  }

  #create(name: string, { min, gpus, queue, priority, runs }: Shape, from: number, size: number): void {
    const annotations = { 'muster.dev/max-members': '8', ...(runs && { 'muster.dev/expected-duration': runs }) };
    const createdAt = this.world.clock.now();
    const spec = { terminationGracePeriodSeconds: 5 };
    this.world.create(gang(name, size, inQueue(queue, { from, min, gpus, priority, annotations, createdAt, spec })));
  }

  #grow(name: string): void {
    const members = listMembers(this.world, name);
    const [first] = members;
    if (!first || members.length >= 8) return;
    const { labels, annotations } = first.metadata;
    const last = Math.max(...members.map(({ metadata }) => Number(metadata.name.split('-')[1])));
    const shape = {
      size: 1,
      min: Number(annotations!['muster.dev/min-members']),
      gpus: gpusOf(first),
      queue: labels!['muster.dev/queue']!,
      priority: first.spec.priority,
      runs: annotations!['muster.dev/expected-duration'],
    };
    this.#create(name, shape, last + 1, last + 2);
  }

  #exists(name: string): boolean {
    return this.world.cluster.list('Pod').some(({ metadata }) => metadata.name === name);
  }

  /** GPUs that are bound or planned, by queue. */
  #countUse(isCounted: (raw: WireObject) => boolean = () => true): Map<string, number> {
    const use = new Map<string, number>();
    const add = (labels: Readonly<Record<string, string>> = {}, count: number) => {
      const { path = [] } = this.#queueOf('default', labels['muster.dev/queue']) ?? {};
      for (const { name } of path) use.set(name, (use.get(name) ?? 0) + count);
    };
    for (const raw of this.world.cluster.list('Pod')) {
      const isThere = raw.spec.nodeName && !isOver(raw) && !raw.metadata.deletionTimestamp;
      if (isThere && isCounted(raw)) add(raw.metadata.labels, gpusOf(raw));
    }
    for (const { pod: planned } of this.world.muster.reservations.slots()) {
      if (!this.world.pod(planned.name).spec.nodeName) add(planned.labels, requested(planned));
    }
    return use;
  }

  /** Usage above a limit must be older than the limit. */
  *#checkLimits(): Generator<string> {
    const use = this.#countUse(({ spec }) => isReady(this.world.cluster.get('Node', spec.nodeName)));
    for (const { name, limit } of this.world.muster.view.queues.tree.byName.values()) {
      const bound = limit.get(GPUS) ?? Number.POSITIVE_INFINITY;
      const held = use.get(name) ?? 0;
      if (held > bound && held > (this.#use.get(name) ?? 0))
        yield `queue ${name} holds ${held} GPUs of at most ${bound}`;
    }
  }

  *#checkParts(): Generator<string> {
    for (const name of NAMES) {
      const members = listMembers(this.world, name).filter(({ metadata }) => !metadata.deletionTimestamp);
      const bound = members.filter((raw) => raw.spec.nodeName && raw.status.phase !== 'Failed');
      const min = Number(members[0]?.metadata.annotations?.['muster.dev/min-members'] ?? 0);
      if (bound.length > 0 && bound.length < min) yield `gang ${name} runs with ${bound.length} of ${min} members`;
      const started = bound.some(({ metadata }) => this.#wasBound.has(metadata.uid!));
      const isHeld = members.some(({ metadata }) => metadata.annotations?.['muster.dev/hold'] === 'true');
      if (isHeld && bound.length > 0 && !started) yield `gang ${name} started although it is held`;
      for (const { metadata } of bound) this.#wasBound.add(metadata.uid!);
    }
  }
  readonly #wasBound = new Set<string>();

  /** No gang is evicted for another queue from a queue that used no more than its guarantee. */
  *#checkEvictions(): Generator<string> {
    for (const name of this.world.evictions().slice(this.#evictions)) {
      const raw = this.world.cluster.list('Pod').find(({ metadata }) => metadata.name === name);
      const by = raw?.metadata.annotations?.['muster.dev/preempted-by']?.split('/')[1];
      const preemptor = by === undefined ? undefined : listMembers(this.world, by)[0];
      if (!raw || !preemptor) continue;
      const queue = this.#queueOf('default', raw.metadata.labels?.['muster.dev/queue']);
      const guaranteed = queue?.guaranteed.get(GPUS) ?? 0;
      if (!queue || raw.metadata.labels?.['muster.dev/queue'] === preemptor.metadata.labels?.['muster.dev/queue'])
        continue;
      if (guaranteed > 0 && (this.#use.get(queue.name) ?? 0) <= guaranteed)
        yield `${name} was evicted for ${by}, and its queue ${queue.name} uses no more than ${guaranteed}`;
    }
  }

  /** Gangs that wait without a reason although capacity is free. */
  *#checkIdle(use: ReadonlyMap<string, number>): Generator<string> {
    const free = this.#countFree();
    for (const { gang: described, state, admission, attempt } of this.world.muster.view.gangs()) {
      if (state !== 'Pending' || described.isHeld || attempt.backoffUntil > this.world.clock.now()) continue;
      if (admission.holdReason?.kind === 'behind') continue;
      // The rest of an evicted gang waits until all its members have left.
      if (listMembers(this.world, described.name).some(({ metadata }) => metadata.deletionTimestamp)) continue;
      const each = requested(described.members[0]!);
      const rooms = free.reduce((sum, gpus) => sum + Math.floor(Math.max(0, gpus) / each), 0);
      if (rooms < described.minMember!) continue;
      const asked = each * described.minMember!;
      const queue = this.#queueOf(described.namespace, described.queue);
      if (!queue || !mayUse(queue, asked, use)) continue;
      yield `gang ${described.name} waits (${this.world.reasonOf(described.name)}) although ${rooms} members have room: ${free}`;
    }
  }

  /** The queue that running pods count for: `default` if their own cannot be used. */
  #queueOf(namespace: string, label: string | undefined): Queue | undefined {
    const { queues } = this.world.muster.view;
    const choice = queues.choose(namespace, label);
    if (choice.kind === 'queue') return choice.queue;
    const fallback = queues.tree.byName.get('default');
    return fallback?.children.length === 0 ? fallback : undefined;
  }

  /** GPUs of each ready node that are neither used, held nor waited for. */
  #countFree(): readonly number[] {
    const { cluster, muster } = this.world;
    const nodes = cluster.list('Node').filter(isReady);
    const free = new Map(nodes.map(({ metadata }) => [metadata.name, 8]));
    const take = (node: string, gpus: number) => free.set(node, (free.get(node) ?? 0) - gpus);
    const bound = new Set<string>();
    for (const raw of cluster.list('Pod')) {
      if (!raw.spec.nodeName || isOver(raw)) continue;
      bound.add(raw.metadata.uid!);
      take(raw.spec.nodeName, gpusOf(raw));
    }
    for (const { pod: planned, node } of muster.reservations.slots())
      if (!bound.has(planned.uid)) take(node, requested(planned));
    for (const [, { pod: kept, node }] of muster.reservations.holds())
      if (!bound.has(kept.uid)) take(node, requested(kept));
    return [...free].filter(([name]) => nodes.some(({ metadata }) => metadata.name === name)).map(([, gpus]) => gpus);
  }
}

interface QueueLike {
  readonly name: string;
  readonly path: readonly {
    readonly name: string;
    readonly limit: ReadonlyMap<string, number>;
    readonly spec: { readonly allowBorrowing: boolean };
  }[];
}

/** Conservative: a queue is left out if a queue on its path may not borrow. */
function mayUse({ path }: QueueLike, asked: number, use: ReadonlyMap<string, number>): boolean {
  return path.every(
    ({ name, limit, spec }) =>
      spec.allowBorrowing && (use.get(name) ?? 0) + asked <= (limit.get(GPUS) ?? Number.POSITIVE_INFINITY),
  );
}

function isReady({ status }: { readonly status: Readonly<Record<string, unknown>> }): boolean {
  const [{ status: ready }] = status.conditions as [{ status: string }];
  return ready === 'True';
}

function isOver({ status }: { readonly status: { readonly phase?: string } }): boolean {
  return status.phase === 'Succeeded' || status.phase === 'Failed';
}

function gpusOf(raw: { readonly spec: Readonly<Record<string, unknown>> }): number {
  const [container] = raw.spec.containers as [{ resources: { limits: Record<string, string> } }];
  return Number(container.resources.limits[GPUS] ?? 0);
}

function requested({
  template,
}: {
  readonly template: { readonly requests: readonly { name: string; amount: number }[] };
}): number {
  return template.requests.find(({ name }) => name === GPUS)?.amount ?? 0;
}

const TREE: readonly QueueOptions[] = [
  { name: 'x' },
  { name: 'x1', parent: 'x' },
  { name: 'x2', parent: 'x' },
  { name: 'y' },
];

/** The same histories in each run; `MUSTER_LAW_RUNS=5000` tries new ones. */
const RUNS = Number(process.env.MUSTER_LAW_RUNS ?? 100);
const SEED = process.env.MUSTER_LAW_RUNS === undefined ? { seed: 20_260_101 } : {};

describe('whatever happens to queues and their gangs', () => {
  test('limits, holds, guarantees and whole gangs are respected, and no usable capacity stays idle', async () => {
    await fc.assert(
      fc.asyncProperty(
        aPolicy,
        fc.array(aSpec, { minLength: 4, maxLength: 4 }),
        fc.array(anEvent, { minLength: 25, maxLength: 60, size: 'max' }),
        async (policy, specs, events) => {
          const world = await startQueueWorld([], { nodes: NODES, queues: policy });
          for (const [i, { name, parent }] of TREE.entries())
            world.cluster.create('Queue', {
              metadata: { name },
              spec: { ...(parent && { parent }), ...specs[i]! },
              status: {},
            });
          await world.settle();
          const history = new History(world);
          for (const next of events) {
            await history.play(next);
            if (history.violations.length > 0) break;
          }
          expect(history.violations).toEqual([]);
        },
      ),
      { numRuns: RUNS, ...SEED },
    );
  }, 600_000);
});
