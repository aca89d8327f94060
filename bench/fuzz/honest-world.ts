/**
 * The world of a scenario with honest work beside the attack: whatever else was played, a gang of two whole nodes must
 * start, whole, and leave nothing behind. What the attack created is removed first: the capacity must be free then.
 */
import { gang, SECOND, startWorld, type World, type WorldOptions } from '../../test/support/scenario.ts';
import { expectThat } from './target.ts';

/** More than the barrier, the nomination and every back-off of these worlds take. */
const LONGEST_WAIT_MS = 40 * SECOND;

/** A client that goes away in the middle of its body: nobody is left to be answered. */
const CALLER_GONE = /"message":"(?:aborted|expected the whole body, found the connection closed)"/;

export class HonestWorld {
  readonly world: World;
  readonly #complaints: string[];

  private constructor(world: World, complaints: string[]) {
    this.world = world;
    this.#complaints = complaints;
  }

  static async start(options: WorldOptions): Promise<HonestWorld> {
    const complaints: string[] = [];
    // An exception in a handler is answered and logged; nothing else shows it for calls whose reply has an error field.
    const write = (line: string) => {
      if (line.includes('"level":"error"') && !CALLER_GONE.test(line)) complaints.push(describeLine(line));
    };
    return new HonestWorld(await startWorld({ ...options, write }), complaints);
  }

  /** @throws Error with the first error that was logged. */
  expectNoErrorLogged(): void {
    const [first] = this.#complaints.splice(0);
    expectThat(first === undefined, () => `an error was logged: ${first}`);
  }

  /** Removes all pods, and everything else of these kinds. */
  async clear(): Promise<void> {
    const { cluster } = this.world;
    for (const kind of ['Pod', 'Job', 'PodGroup', 'Queue', 'PersistentVolumeClaim', 'PodDisruptionBudget'] as const) {
      for (const { metadata } of cluster.list(kind)) {
        const { namespace, name } = metadata;
        cluster.delete(kind, namespace === undefined ? name : `${namespace}/${name}`);
      }
    }
    await this.world.pass(LONGEST_WAIT_MS);
    cluster.writes.length = 0;
    this.world.told.length = 0;
  }

  /** @throws Error unless an honest gang starts whole on an otherwise empty cluster, and nothing is left behind. */
  async expectHonestStart(): Promise<void> {
    const { world } = this;
    this.#expectNothingHeld('before the honest gang came');
    const names = ['honest-0', 'honest-1'];
    world.create(gang('honest', names.length, { createdAt: world.clock.now() }));
    for (let tries = 0; tries < 3; tries++) {
      await world.pass(2 * SECOND);
      await world.schedule(...names);
    }
    await world.pass(SECOND);
    const bound = Object.keys(world.boundTo('honest'));
    expectThat(bound.length === names.length, () => {
      const state = `${world.stateOf('honest')}: ${world.reasonOf('honest')}`;
      return `expected the honest gang to start, found ${bound.length} of ${names.length} bound; ${state}`;
    });
    world.delete(...names);
    await world.pass(SECOND);
    this.#expectNothingHeld('after the honest gang left');
    this.expectNoErrorLogged();
  }

  #expectNothingHeld(when: string): void {
    const { reservations, barrier, view } = this.world.muster;
    const left = [
      `${reservations.size} slots`,
      `${[...reservations.holds()].length} holds`,
      `${barrier.held} held calls`,
      `${[...view.gangs()].length} gangs`,
    ].filter((what) => !what.startsWith('0 '));
    expectThat(left.length === 0, () => `expected nothing to be held ${when}, found ${left.join(', ')}`);
  }
}

interface ErrorLine {
  readonly msg: string;
  readonly error?: { readonly name?: string; readonly message?: string; readonly stack?: string };
}

/** What was logged, and where it was thrown. */
function describeLine(line: string): string {
  const { msg, error } = JSON.parse(line) as ErrorLine;
  const frame = error?.stack?.split('\n').find((each) => each.includes('/src/'));
  return `${msg}: ${error?.name}: ${error?.message?.slice(0, 500)}${frame ?? ''}`;
}
