/**
 * Laws of histories in which labels move: no gang starts with who has left it, no node is given twice, and when the
 * faults end nothing of ours is left on a pod outside gangs, which then runs as any other.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Verb } from '../../support/cluster-in-memory.ts';
import { GATE, gang, PLAN, SECOND, startWorld, type World } from '../../support/scenario.ts';

const LABEL = 'muster.dev/pod-group';
const MIN = 3;
const GANGS = ['a', 'b'] as const;
const PODS = GANGS.flatMap((name) => [0, 1, 2, 3].map((i) => `${name}-${i}`));

/** Enough for all pods, and for the places that a running gang keeps. */
const NODES = 2 * PODS.length;
const FEW = MIN - 1;

type Event =
  | { readonly do: 'move'; readonly pod: string; readonly to: 'a' | 'b' | undefined }
  | { readonly do: 'gate'; readonly pod: string; readonly isOn: boolean }
  | { readonly do: 'trouble' | 'hang'; readonly verb: Verb; readonly how: 'ok' | 'failed' }
  | { readonly do: 'schedule'; readonly pod: string }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'schedule all' | 'let go' | 'restart' | 'more nodes' };

const aPod = fc.constantFrom(...PODS);
const aVerb = fc.constantFrom<Verb>('nominate', 'clear', 'ungate', 'bind');
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      pod: aPod,
      to: fc.constantFrom('a' as const, 'b' as const, undefined),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('gate' as const), pod: aPod, isOn: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('trouble' as const, 'hang' as const),
      verb: aVerb,
      how: fc.constantFrom('ok' as const, 'failed' as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('schedule' as const), pod: aPod }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(500, 2_000, 26_000) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('schedule all' as const, 'let go' as const, 'let go' as const, 'restart' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('more nodes' as const) }) },
);

class History {
  readonly world: World;
  readonly violations: string[] = [];
  readonly #started = new Set<string>();

  constructor(world: World) {
    this.world = world;
    world.cluster.onBinding = (name) => this.#checkBinding(name);
  }

  async play(next: Event): Promise<void> {
    await this.#apply(next);
    await this.world.settle();
    this.violations.push(...this.world.overbooked());
  }

  async #apply(next: Event): Promise<void> {
    const { world } = this;
    switch (next.do) {
      case 'move':
        return this.#change(next.pod, ({ metadata: { labels = {} } }) => {
          if (next.to === undefined) delete labels[LABEL];
          else labels[LABEL] = next.to;
        });
      case 'gate':
        return this.#change(next.pod, ({ spec }) => {
          const others = (spec.schedulingGates ?? []).filter(({ name }: { name: string }) => name !== 'x.io/y');
          spec.schedulingGates = next.isOn ? [...others, { name: 'x.io/y' }] : others;
        });
      case 'trouble':
        return world.cluster.trouble({ verb: next.verb, how: next.how, times: 1 });
      case 'hang':
        return world.cluster.trouble({ verb: next.verb, how: next.how, hangs: true, times: 1 });
      case 'schedule':
        return world.schedule(next.pod);
      case 'schedule all':
        return world.schedule();
      case 'pass':
        return world.pass(next.ms);
      case 'let go':
        return world.cluster.letGo();
      case 'more nodes':
        return this.#addNodes(FEW);
      case 'restart':
        world.cluster.dropHanging();
        return await world.restart();
      default:
        return next satisfies never;
    }
  }

  /** So few at first that both gangs wait, with their gates. */
  #addNodes(count: number): void {
    for (let i = 0; i < count; i++) this.world.addNode(`n${this.world.cluster.list('Node').length}`);
  }

  /** All faults end, other controllers open their gates, and there is room for everybody. */
  async heal(): Promise<void> {
    const { world } = this;
    this.#addNodes(NODES);
    world.cluster.heal();
    world.cluster.letGo();
    for (const pod of PODS) await this.#apply({ do: 'gate', pod, isOn: false });
    for (let second = 0; second < 120; second += 2) {
      await world.schedule();
      await world.pass(2 * SECOND);
    }
  }

  /** Of a bound pod nothing changes: what then becomes of its gang is not the matter here. */
  #change(name: string, change: Parameters<World['cluster']['update']>[2]): void {
    if (!this.world.pod(name).spec.nodeName) this.world.cluster.update('Pod', `default/${name}`, change);
  }

  /** What is bound, being bound or held of the gang has to be enough for it to start. */
  #checkBinding(name: string): void {
    const { cluster, scheduler } = this.world;
    const gangName = this.world.pod(name).metadata.labels?.[LABEL];
    if (gangName === undefined || this.#started.has(gangName)) return;
    const calls = new Set(scheduler.binding.map(({ pod }) => pod));
    const there = cluster
      .list('Pod')
      .filter(({ metadata }) => metadata.labels?.[LABEL] === gangName)
      .filter(({ metadata, spec }) => spec.nodeName || calls.has(metadata.name));
    if (there.length >= MIN) this.#started.add(gangName);
    else this.violations.push(`${name} is bound while only ${there.length} of gang ${gangName} are there`);
  }
}

async function playAll(events: readonly Event[], gated: boolean): Promise<History> {
  const history = new History(await startWorld({ nodes: FEW }));
  for (const name of GANGS) history.world.create(gang(name, 4, { min: MIN, gated }));
  for (const next of events) {
    await history.play(next);
    if (history.violations.length > 0) break;
  }
  return history;
}

/** The same histories in each run; `MUSTER_LAW_RUNS=5000` tries new ones. */
const RUNS = Number(process.env.MUSTER_LAW_RUNS ?? 60);
const SEED = process.env.MUSTER_LAW_RUNS === undefined ? { seed: 20_260_101 } : {};
const events = fc.array(event, { minLength: 10, maxLength: 60, size: 'max' });

test('nobody completes a gang that it has left, and no node is given twice', async () => {
  await fc.assert(
    fc.asyncProperty(events, fc.boolean(), async (history, gated) => {
      const { violations } = await playAll(history, gated);
      expect(violations).toEqual([]);
    }),
    { numRuns: RUNS, ...SEED },
  );
}, 600_000);

test('when the faults end, pods outside gangs carry nothing of ours and run, and so do complete gangs', async () => {
  await fc.assert(
    fc.asyncProperty(events, fc.boolean(), async (past, gated) => {
      const history = await playAll(past, gated);
      await history.heal();
      expect(history.violations).toEqual([]);
      const pods = history.world.cluster.list('Pod');
      const waiting = pods.filter(({ spec }) => !spec.nodeName);
      const complete = GANGS.filter(
        (name) => pods.filter(({ metadata }) => metadata.labels?.[LABEL] === name).length >= MIN,
      );
      const isDue = (name: string | undefined) => name === undefined || complete.some((known) => known === name);
      expect(
        waiting.filter(({ metadata }) => isDue(metadata.labels?.[LABEL])).map(({ metadata }) => metadata.name),
      ).toEqual([]);
      const marked = waiting.filter(({ metadata, status }) => metadata.annotations?.[PLAN] ?? status.nominatedNodeName);
      expect(
        marked.map(({ metadata }) => metadata.name),
        'of an incomplete gang neither',
      ).toEqual([]);
      const gatedNow = waiting.filter(({ spec }) => spec.schedulingGates?.length > 0);
      expect(
        gatedNow.every(({ spec, metadata }) => spec.schedulingGates[0].name === GATE && metadata.labels?.[LABEL]),
      ).toBe(true);
    }),
    { numRuns: RUNS / 2, ...SEED },
  );
}, 600_000);
