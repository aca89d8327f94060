/**
 * Laws that hold at every moment of every history: no node is overcommitted, no gang starts in part, an answer names
 * only offered nodes, nothing is evicted for a gang of equal or lower priority, and when the faults end a complete gang
 * starts.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Verb } from '../support/cluster-in-memory.ts';
import { gang, pod, SECOND, startWorld, type World } from '../support/scenario.ts';

const NODES = 4;
/** Two members fit on a node, and the three gangs need more than there is: `c` may evict the others. */
const GANGS = {
  a: { size: 4, min: 3, priority: 0, loss: 'restart', max: 4 },
  b: { size: 4, min: 2, priority: 50, loss: 'replace', max: 4 },
  c: { size: 4, min: 4, priority: 100, loss: 'replace', max: 0 },
} as const;
const GRACE_SECONDS = 5;
type GangName = keyof typeof GANGS;

type Event =
  | { readonly do: 'create' | 'delete' | 'delete slowly' | 'fail' | 'succeed'; readonly name: string }
  | { readonly do: 'schedule' | 'erase' | 'filter'; readonly name: string }
  | { readonly do: 'create gang'; readonly name: GangName }
  | { readonly do: 'lone pod'; readonly name: string }
  | { readonly do: 'node down' | 'node up'; readonly name: string }
  | { readonly do: 'disconnect'; readonly which: number }
  | { readonly do: 'budget'; readonly name: string; readonly allowed: number }
  | { readonly do: 'pass' | 'freeze'; readonly ms: number }
  | { readonly do: 'trouble'; readonly verb: Verb; readonly how: 'failed' | 'conflict' | 'lost-answer'; times: number }
  | { readonly do: 'hang'; readonly verb: Verb; readonly how: 'ok' | 'failed'; readonly times: number }
  | { readonly do: 'schedule all' | 'let go' | 'late watch' | 'watch' | 'restart' };

const members = Object.entries(GANGS).flatMap(([name, { size }]) =>
  Array.from({ length: size }, (_, i) => `${name}-${i}`),
);
const aMember = fc.constantFrom(...members);
const aVerb = fc.constantFrom<Verb>('nominate', 'clear', 'bind', 'record', 'annotate', 'evict');
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('create gang' as const), name: fc.constantFrom<GangName>('a', 'b', 'c') }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('create' as const, 'delete' as const), name: aMember }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('delete slowly' as const, 'fail' as const, 'succeed' as const),
      name: aMember,
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('schedule' as const), name: aMember }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('schedule all' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('erase' as const, 'filter' as const), name: aMember }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lone pod' as const), name: fc.constantFrom('x', 'y', 'z') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('node down' as const, 'node up' as const),
      name: fc.constantFrom('n0', 'n1', 'n2', 'n3'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('disconnect' as const), which: fc.nat(5) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom(100, 1_000, 2_000, 6_000, 15_000, 26_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('freeze' as const), ms: fc.constantFrom(3_000, 26_000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('trouble' as const),
      verb: aVerb,
      how: fc.constantFrom('failed' as const, 'conflict' as const, 'lost-answer' as const),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('hang' as const),
      verb: aVerb,
      how: fc.constantFrom('ok' as const, 'failed' as const),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('let go' as const, 'late watch' as const, 'watch' as const, 'watch' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('budget' as const), name: fc.constantFrom('a', 'b'), allowed: fc.nat(4) }),
  },
);

/** Plays the events and checks the world after each one and at each binding. */
class History {
  readonly world: World;
  #watchIsLate = false;
  /** Gangs that started completely and still have a running member. */
  readonly #started = new Set<string>();
  readonly violations: string[] = [];

  constructor(world: World) {
    this.world = world;
    world.cluster.onBinding = (name) => this.#checkBinding(name);
  }

  async play(next: Event): Promise<void> {
    await this.#apply(next);
    await this.world.settle();
    this.#checkEvictions();
    for (const node of this.world.overbooked()) this.violations.push(`after ${JSON.stringify(next)}: ${node}`);
    for (const name of this.#started) if (this.#running(name) === 0) this.#started.delete(name);
  }

  /** All faults end, and the capacity of the other gangs is free. */
  async heal(survivor: GangName, keepOthers = false): Promise<void> {
    const { world } = this;
    world.cluster.heal();
    world.cluster.letGo();
    world.cluster.resumeWatch();
    for (const name of ['a', 'b']) world.setDisruptionsAllowed(name, 4);
    for (const { metadata } of world.cluster.list('Node')) world.setReady(metadata.name, true);
    for (const { metadata } of world.cluster.list('Pod'))
      if (!keepOthers && !metadata.name.startsWith(survivor)) world.delete(metadata.name);
    await world.settle();
    // Two minutes include the longest back-off, one timeout of each kind, and the retries of kube-scheduler.
    for (let second = 0; second < (keepOthers ? 400 : 120); second += 2) {
      await world.schedule();
      await world.pass(2 * SECOND);
      world.finishTerminations();
    }
  }

  async #apply(next: Event): Promise<void> {
    const { world } = this;
    switch (next.do) {
      case 'create gang':
        for (let i = 0; i < GANGS[next.name].size; i++) this.#create(`${next.name}-${i}`);
        return;
      case 'create':
        return this.#create(next.name);
      case 'delete':
        return this.#on(next.name, () => world.delete(next.name));
      case 'delete slowly':
        return this.#on(next.name, () => world.beginDeletion(next.name));
      case 'fail':
        return this.#onBound(next.name, () => world.finish(next.name, 'Failed'));
      case 'succeed':
        return this.#onBound(next.name, () => world.finish(next.name, 'Succeeded'));
      case 'schedule':
        return world.schedule(next.name);
      case 'schedule all':
        return world.schedule();
      case 'erase':
        return this.#on(next.name, () => world.eraseNomination(next.name));
      case 'filter':
        return this.#filterTwice(next.name);
      case 'lone pod':
        // Muster cannot hold capacity for a pod that its watch has not shown.
        if (this.#watchIsLate) return;
        if (!this.#exists(next.name)) world.create(pod(next.name, { gpus: 4 }));
        return world.schedule(next.name);
      case 'node down':
      case 'node up':
        return world.setReady(next.name, next.do === 'node up');
      case 'budget':
        return world.setDisruptionsAllowed(next.name, next.allowed);
      case 'disconnect':
        return world.scheduler.binding[next.which]?.disconnect();
      case 'pass':
        await world.pass(next.ms);
        world.finishTerminations();
        return;
      case 'freeze':
        return world.freeze(next.ms);
      case 'trouble':
        // If the answer of a binding is lost while the watch is late, too, nobody knows of it, and its capacity may be
        // given away.
        if (this.#watchIsLate && next.how === 'lost-answer') return;
        return world.cluster.trouble(next);
      case 'hang':
        return world.cluster.trouble({ ...next, hangs: true });
      case 'let go':
        return world.cluster.letGo();
      case 'late watch':
        this.#watchIsLate = true;
        world.cluster.heal();
        return world.cluster.pauseWatch();
      case 'watch':
        this.#watchIsLate = false;
        return world.cluster.resumeWatch();
      case 'restart':
        // A write under way when the process dies arrives at once or never.
        world.cluster.dropHanging();
        this.#watchIsLate = false;
        return await world.restart();
      default:
        return next satisfies never;
    }
  }

  /** Only `c` has a higher priority than others. */
  #checkEvictions(): void {
    for (const name of this.world.evictions()) {
      if (name.startsWith('c-')) this.violations.push(`${name} was evicted, and nothing is of higher priority`);
    }
  }

  #create(name: string): void {
    if (this.#exists(name)) return;
    const [gangName = '', index = ''] = name.split('-');
    const { min, priority, loss, max } = GANGS[gangName as GangName];
    const annotations = {
      'muster.dev/on-member-loss': loss,
      ...(max > 0 && { 'muster.dev/max-members': String(max) }),
    };
    const spec = { terminationGracePeriodSeconds: GRACE_SECONDS };
    this.world.create(
      gang(gangName, Number(index) + 1, { from: Number(index), min, priority, gpus: 4, spec, annotations }),
    );
  }

  async #filterTwice(name: string): Promise<void> {
    if (!this.#exists(name)) return;
    const once = await this.world.filter(name);
    const again = await this.world.filter(name);
    if (JSON.stringify(once) !== JSON.stringify(again)) this.violations.push(`filter of ${name} is not idempotent`);
  }

  #exists(name: string): boolean {
    return this.world.cluster.list('Pod').some(({ metadata }) => metadata.name === name);
  }

  #on(name: string, act: () => void): void {
    if (this.#exists(name)) act();
  }

  #onBound(name: string, act: () => void): void {
    if (this.#exists(name) && this.world.pod(name).spec.nodeName) act();
  }

  /** Bound or succeeded, in the cluster or as the watch shows it, or with a binding under way. */
  #running(gangName: string): number {
    return this.#present(gangName, false).size;
  }

  #present(gangName: string, heldToo: boolean): Set<string> {
    const present = new Set<string>();
    for (const raw of this.world.cluster.list('Pod')) {
      const { name, labels, uid } = raw.metadata;
      if (labels?.['muster.dev/pod-group'] !== gangName) continue;
      const phase = raw.status.phase;
      if ((raw.spec.nodeName && phase !== 'Failed') || phase === 'Succeeded') present.add(uid!);
      const writing = this.world.cluster.writes.some(
        (write) => write.verb === 'bind' && write.pod === name && write.outcome === undefined,
      );
      if (writing) present.add(uid!);
    }
    // Also of a deleted pod, as long as the watch has not shown it.
    for (const { pod: name, uid } of heldToo ? this.world.scheduler.binding : [])
      if (name.startsWith(`${gangName}-`)) present.add(uid);
    const { view, reservations } = this.world.muster;
    const record = view.gang(`default/${gangName}`);
    for (const { uid } of record?.census.bound ?? []) present.add(uid);
    for (const known of record?.gang.members ?? []) if (known.phase === 'Succeeded') present.add(known.uid);
    // Bound and then deleted: the watch has shown neither.
    for (const slot of reservations.slotsOf(`default/${gangName}`))
      if (slot.state === 'binding') present.add(slot.pod.uid);
    return present;
  }

  #checkBinding(name: string): void {
    const [gangName = ''] = name.split('-');
    if (!(gangName in GANGS)) return;
    const { min } = GANGS[gangName as GangName];
    const present = this.#present(gangName, true).size;
    if (present >= min) this.#started.add(gangName);
    else if (!this.#started.has(gangName)) {
      this.violations.push(`${name} is bound while only ${present} of ${min} members are there`);
    }
  }
}

/** With short timeouts; in every other history victims get a notice. */
async function startHistoryWorld(length: number): Promise<World> {
  const world = await startWorld({
    nodes: NODES,
    settings: {
      preemption: {
        noticeMs: length % 2 === 0 ? 0 : 3 * SECOND,
        fenceTimeoutMs: 20 * SECOND,
        blockedTimeoutMs: 5 * SECOND,
        backoffInitialMs: 5 * SECOND,
        backoffMaxMs: 20 * SECOND,
      },
    },
  });
  for (const name of ['a', 'b']) world.disruptionBudget(name, { 'muster.dev/pod-group': name }, 4);
  return world;
}

async function playAll(events: readonly Event[]): Promise<History> {
  const history = new History(await startHistoryWorld(events.length));
  for (const next of events) {
    await history.play(next);
    if (history.violations.length > 0) break;
  }
  return history;
}

/** Members that should be bound by now: those of a complete gang. */
function listDue(world: World, name: GangName): readonly string[] {
  const alive = world.cluster
    .list('Pod')
    .filter(({ metadata, status }) => status.phase !== 'Failed' && !metadata.deletionTimestamp)
    .filter(({ metadata }) => metadata.name.startsWith(`${name}-`));
  const waiting = alive.filter(({ spec, status }) => !spec.nodeName && status.phase === 'Pending');
  return alive.length >= GANGS[name].min ? waiting.map(({ metadata }) => metadata.name) : [];
}

/** The same histories in each run; `MUSTER_LAW_RUNS=5000` tries new ones. */
const RUNS = Number(process.env.MUSTER_LAW_RUNS ?? 100);
const SEED = process.env.MUSTER_LAW_RUNS === undefined ? { seed: 20_260_101 } : {};

describe('under any history of events', () => {
  test('no node is overcommitted, no gang starts in part, and equal calls get equal answers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 20, maxLength: 80, size: 'max' }), async (events) => {
        const { violations } = await playAll(events);
        expect(violations).toEqual([]);
      }),
      { numRuns: RUNS, ...SEED },
    );
  }, 600_000);

  test('when the faults end, a complete gang starts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 10, maxLength: 50, size: 'max' }), async (events) => {
        const history = await playAll([...events, { do: 'create gang', name: 'a' }]);
        await history.heal('a');
        expect(history.violations).toEqual([]);
        const { world } = history;
        const due = listDue(world, 'a');
        expect(due.length, `still not bound: ${due}, the gang is ${world.stateOf('a')}`).toBe(0);
      }),
      { numRuns: RUNS / 2, ...SEED },
    );
  }, 600_000);

  test('the gang of highest priority starts although others run', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 10, maxLength: 50, size: 'max' }), async (events) => {
        const history = await playAll([...events, { do: 'create gang', name: 'c' }]);
        await history.heal('c', true);
        expect(history.violations).toEqual([]);
        const { world } = history;
        const due = listDue(world, 'c');
        expect(
          due.length,
          `still not bound: ${due}, ${world.stateOf('c')} ${world.reasonOf('c')} ${JSON.stringify(world.boundTo())}`,
        ).toBe(0);
      }),
      { numRuns: RUNS / 2, ...SEED },
    );
  }, 600_000);
});
