/**
 * What tenants and operators write, through the whole gang package with a clock that is turned by hand: keys on pods,
 * objects that describe gangs (`Job`, `PodGroup`), and `Queue` objects. Beside the hostile pods an honest pair starts
 * whole or not at all, no node is overbooked at any time, and nothing is left when the pods are gone.
 */

import type { Kind, WireObject } from '../../../test/support/cluster-in-memory.ts';
import { gang, SECOND, type World } from '../../../test/support/scenario.ts';
import type { Dice } from '../dice.ts';
import { HonestWorld } from '../honest-world.ts';
import {
  hostileAnnotations,
  hostileJob,
  hostileLabels,
  hostilePod,
  hostilePodGroup,
  hostileQueue,
  hostileStatus,
} from '../hostile-objects.ts';
import { type Arena, expectThat, type Target } from '../target.ts';

type Action =
  | { readonly do: 'create'; readonly kind: Kind; readonly object: WireObject }
  | { readonly do: 'change'; readonly name: string; readonly labels: object; readonly annotations: object }
  | { readonly do: 'status'; readonly name: string; readonly status: object }
  | { readonly do: 'delete' | 'delete slowly'; readonly name: string }
  | { readonly do: 'pair' | 'schedule' | 'restart' | 'settle' | 'inspect' }
  | { readonly do: 'pass'; readonly ms: number };

const START = Date.UTC(2026, 0, 1);

/** @param objects makes what the target is about. */
function target(name: string, about: string, share: number, objects: (dice: Dice, index: number) => Action): Target {
  return {
    name,
    about,
    share,
    checkEvery: 10,
    make: (dice) => makeCase(dice, objects).map((action) => JSON.stringify(action)),
    open: async () => await GangArena.open(),
  };
}

const podAction = (dice: Dice, index: number): Action => ({
  do: 'create',
  kind: 'Pod',
  object: hostilePod(dice, index, START + dice.below(60) * SECOND),
});

export const gangKeys: Target = target('gang-keys', 'labels, annotations and specs of pods', 2, podAction);

export const sources: Target = target('sources', 'Jobs, PodGroups and owners', 1, (dice, index) => {
  if (dice.once(3)) return { do: 'create', kind: 'Job', object: hostileJob(dice) };
  return dice.once(3) ? { do: 'create', kind: 'PodGroup', object: hostilePodGroup(dice) } : podAction(dice, index);
});

export const queueObjects: Target = target('queues', 'Queue objects', 1, (dice, index) =>
  dice.once(2) ? { do: 'create', kind: 'Queue', object: hostileQueue(dice, index) } : podAction(dice, index),
);

function makeCase(dice: Dice, objects: (dice: Dice, index: number) => Action): readonly Action[] {
  const name = () => (dice.once(8) ? `pair-${dice.below(2)}` : `h-${dice.below(6)}`);
  return dice.times(dice.between(3, 12), (index): Action => {
    switch (dice.below(14)) {
      case 0:
        return {
          do: 'change',
          name: `h-${dice.below(6)}`,
          labels: hostileLabels(dice),
          annotations: hostileAnnotations(dice),
        };
      case 1:
        return { do: 'status', name: `h-${dice.below(6)}`, status: hostileStatus(dice) };
      case 2:
        return { do: dice.once(2) ? 'delete' : 'delete slowly', name: name() };
      case 3:
        return { do: 'pair' };
      case 4:
      case 5:
        return { do: 'schedule' };
      case 6:
        return { do: 'pass', ms: dice.pick([100, 1_000, 3_000, 16_000, 30_000]) };
      case 7:
        return dice.once(6) ? { do: 'restart' } : { do: 'inspect' };
      default:
        return objects(dice, index);
    }
  });
}

class GangArena implements Arena {
  readonly #honest: HonestWorld;
  /** A member of the honest pair was deleted: what is left of it may be fewer. */
  #isPairBroken = false;

  private constructor(honest: HonestWorld) {
    this.#honest = honest;
  }

  static async open(): Promise<Arena> {
    const honest = await HonestWorld.start({ nodes: 0 });
    for (let i = 0; i < 4; i++) {
      const labels = { 'topology.kubernetes.io/zone': 'a', rack: `r${i >> 1}`, zone: 'a' };
      honest.world.addNode(`n${i}`, { labels });
    }
    honest.world.cluster.hasQueueCrd = true;
    return new GangArena(honest);
  }

  async play(piece: string): Promise<void> {
    const action = JSON.parse(piece) as Action;
    await this.#act(action);
    await this.#honest.world.settle();
    const { world } = this.#honest;
    const overbooked = world.overbooked();
    expectThat(overbooked.length === 0, () => `expected no node to be overbooked, found ${overbooked.join(', ')}`);
    const bound = Object.keys(world.boundTo('pair')).length;
    expectThat(
      this.#isPairBroken || bound !== 1,
      () => `expected the honest pair to be bound whole, found ${bound} of 2`,
    );
    this.#honest.expectNoErrorLogged();
  }

  async check(): Promise<void> {
    await this.#honest.clear();
    this.#isPairBroken = false;
    await this.#honest.expectHonestStart();
  }

  async close(): Promise<void> {
    this.#honest.world.muster.kill();
  }

  async #act(action: Action): Promise<void> {
    const { world } = this.#honest;
    const { cluster } = world;
    switch (action.do) {
      case 'create':
        // Case pieces may be played after those of another case.
        if (!cluster.list(action.kind).some(({ metadata }) => metadata.name === action.object.metadata.name))
          cluster.create(action.kind, action.object);
        return;
      case 'change':
        return onPod(world, action.name, ({ metadata }) => {
          metadata.labels = { ...metadata.labels, ...action.labels };
          metadata.annotations = { ...metadata.annotations, ...action.annotations };
        });
      case 'status':
        return onPod(world, action.name, ({ status }) => {
          const { phase } = status;
          Object.assign(status, action.status);
          // What has ended never runs again: nothing in a cluster writes that, and its node has been given away.
          if (phase === 'Succeeded' || phase === 'Failed') status.phase = phase;
        });
      case 'delete':
      case 'delete slowly':
        this.#isPairBroken ||= action.name.startsWith('pair');
        if (!hasPod(world, action.name)) return;
        return action.do === 'delete' ? world.delete(action.name) : world.beginDeletion(action.name);
      case 'pair':
        if (!hasPod(world, 'pair-0') && !hasPod(world, 'pair-1'))
          world.create(gang('pair', 2, { gpus: 4, createdAt: world.clock.now() }));
        return;
      case 'schedule':
        return await world.schedule();
      case 'restart':
        return await world.restart();
      case 'inspect':
        await Promise.all(['gangs', 'queues', 'topology'].map((page) => world.muster.app.request(`/v1/${page}`)));
        return;
      case 'pass':
        await world.pass(action.ms);
        return void world.finishTerminations();
      default:
        return;
    }
  }
}

function hasPod(world: World, name: string): boolean {
  return world.cluster.list('Pod').some(({ metadata }) => metadata.name === name);
}

function onPod(world: World, name: string, change: (raw: WireObject) => void): void {
  if (hasPod(world, name)) world.cluster.update('Pod', `default/${name}`, change);
}
