/**
 * The calls of kube-scheduler and the inspect API, once on the app alone and once on a real server on loopback: no
 * input may lead to a status of 500 or more, to an exception behind a reply, or to a call that is never answered.
 */
import { Agent, request } from 'undici';
import { type RunningServer, startServer } from '../../../src/http/server/server.ts';
import { SECOND } from '../../../test/support/scenario.ts';
import { makeCall, readCall, recordedNodes, recordedPods } from '../calls.ts';
import type { Dice } from '../dice.ts';
import { HonestWorld } from '../honest-world.ts';
import { loopbackServer } from '../loopback-server.ts';
import { type Arena, expectThat, type Target } from '../target.ts';

/** How many turns of the event loop a call gets before it counts as held at the barrier. */
const TURNS = 4;

/** The bound of a body by default: the server answers larger ones itself. */
const MAX_BODY = 8 * 2 ** 20;

const make = (dice: Dice) => [makeCall(dice)];

export const httpApp: Target = {
  name: 'http-app',
  about: 'calls to the app',
  share: 48,
  checkEvery: 500,
  make,
  open: () => HttpArena.open((world) => new AppCaller(world)),
};

export const httpServer: Target = {
  name: 'http-server',
  about: 'calls to a server on loopback',
  share: 12,
  checkEvery: 500,
  make,
  open: () => HttpArena.open((world) => ServerCaller.start(world)),
};

interface Caller {
  /** The status; undefined: the call is held. */
  call(piece: string): Promise<number | undefined>;
  close(): Promise<void>;
}

export class HttpArena implements Arena {
  readonly #honest: HonestWorld;
  readonly #caller: Caller;

  private constructor(honest: HonestWorld, caller: Caller) {
    this.#honest = honest;
    this.#caller = caller;
  }

  static async open(connect: (world: HonestWorld) => Caller | Promise<Caller>): Promise<Arena> {
    const honest = await HonestWorld.start({ nodes: 2 });
    for (const name of recordedNodes()) honest.world.addNode(name, { gpus: 16 });
    const arena = new HttpArena(honest, await connect(honest));
    await arena.#populate();
    return arena;
  }

  async play(piece: string): Promise<void> {
    const status = await this.#caller.call(piece);
    expectThat(status === undefined || status < 500, () => `expected a status below 500, found ${status}`);
    this.#honest.expectNoErrorLogged();
  }

  async check(): Promise<void> {
    await this.#honest.world.schedule();
    await this.#honest.clear();
    await this.#honest.expectHonestStart();
    await this.#populate();
  }

  async close(): Promise<void> {
    await this.#caller.close();
    this.#honest.world.muster.kill();
  }

  async #populate(): Promise<void> {
    const { world } = this.#honest;
    world.create(structuredClone(recordedPods()));
    await world.pass(SECOND);
  }
}

/** Without a socket. */
class AppCaller implements Caller {
  readonly #world: HonestWorld;

  constructor(world: HonestWorld) {
    this.#world = world;
  }

  async call(piece: string): Promise<number | undefined> {
    const { method, path, body } = readCall(piece);
    if (body.length > MAX_BODY) return 413;
    const { app } = this.#world.world.muster;
    const init = method === 'POST' ? { method, body } : { method };
    const response = Promise.resolve(app.request(`http://muster${path}`, init)).then(({ status }) => status);
    for (let turn = 0; turn < TURNS; turn++) {
      const next = new Promise<'turn'>((resolve) => setImmediate(() => resolve('turn')));
      const first = await Promise.race([response, next]);
      if (first !== 'turn') return first;
    }
    return undefined;
  }

  async close(): Promise<void> {}
}

/** Over kept connections, as kube-scheduler calls. */
class ServerCaller implements Caller {
  readonly #server: RunningServer;
  readonly #agent = new Agent({ connections: 4 });

  private constructor(server: RunningServer) {
    this.#server = server;
  }

  static async start({ world }: HonestWorld): Promise<Caller> {
    const server = await startServer({
      fetch: (incoming, env) => world.muster.app.fetch(incoming, env),
      ...loopbackServer,
    });
    return new ServerCaller(server);
  }

  async call(piece: string): Promise<number | undefined> {
    const { method, path, body } = readCall(piece);
    // A held call is left as kube-scheduler leaves it at its timeout.
    const timeout = AbortSignal.timeout(path.endsWith('/bind') ? 100 : 10 * SECOND);
    try {
      const response = await request(`http://127.0.0.1:${this.#server.port}${path}`, {
        method: method === 'POST' ? 'POST' : 'GET',
        ...(method === 'POST' && { body }),
        dispatcher: this.#agent,
        signal: timeout,
      });
      await response.body.dump();
      return response.statusCode;
    } catch (error) {
      if (timeout.aborted && path.endsWith('/bind')) return undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
    await this.#server.close();
  }
}
