/** Test fixture: the embedded API server and its controllers, started on demand, with a clock set by hand. */
import { afterEach } from 'vitest';
import { ApiClient } from '../../src/kube/client.ts';
import { openEndpoint } from '../../src/kube/kubeconfig.ts';
import { installGangPolicy } from '../../src/sim/admission.ts';
import { EmbeddedApiServer } from '../../src/sim/api-server.ts';
import { ObjectStore } from '../../src/sim/object-store.ts';
import type { ApiObject, Job, NewObject, Node, Pod } from '../../src/sim/objects.ts';
import { bindPod } from '../../src/sim/pods.ts';
import { Registry } from '../../src/sim/registry.ts';
import { builtInKind } from '../../src/sim/resource-kinds.ts';
import { TestClock } from './scheduler/scheduler-world.ts';

/** An answer of the API server. */
export interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: wire JSON of any kind.
  readonly body: any;
}

type Controller = new (registry: Registry) => { start(): void; stop(): void };

export class SimWorld {
  readonly clock = new TestClock();
  readonly store: ObjectStore;
  readonly registry: Registry;
  readonly #ends: (() => unknown)[] = [];

  constructor({ historyLimit }: { readonly historyLimit?: number } = {}) {
    this.store = new ObjectStore({ clock: this.clock, ...(historyLimit !== undefined && { historyLimit }) });
    this.registry = new Registry(this.store, this.clock);
    for (const name of ['default', 'kube-node-lease']) this.store.create('namespaces', { metadata: { name } });
  }

  /** Starts the server; everything stops with the test. */
  async serve(): Promise<{ readonly url: string; readonly api: ApiClient; readonly ask: Ask }> {
    const server = await EmbeddedApiServer.start(this.registry);
    const api = new ApiClient(openEndpoint(server.url));
    this.onEnd(() => Promise.all([api.close(), server.stop()]));
    return { url: server.url, api, ask: askOf(server.url) };
  }

  run(...controllers: readonly Controller[]): void {
    for (const Controller of controllers) {
      const controller = new Controller(this.registry);
      controller.start();
      this.onEnd(() => controller.stop());
    }
  }

  /** Advances the clock by `ms` until nothing more falls due in that time. */
  pass(ms = 0): void {
    this.clock.advance(ms);
  }

  onEnd(end: () => unknown): void {
    this.#ends.unshift(end);
  }

  async end(): Promise<void> {
    for (const end of this.#ends) await end();
  }

  enforceGangPolicy(): void {
    installGangPolicy(this.store);
  }

  createPod(name: string, fields: NewObject = {}): Pod {
    const object = {
      ...fields,
      metadata: { name, ...fields.metadata },
      spec: { containers: [{ name: 'main' }], ...fields.spec },
    };
    return this.registry.create(builtInKind('pods'), 'default', object) as Pod;
  }

  createJob(name: string, spec: object): Job {
    const template = { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main' }] } };
    const object = { metadata: { name }, spec: { template, ...spec } };
    return this.registry.create(builtInKind('jobs'), 'default', object) as Job;
  }

  createNode(name: string, fields: NewObject = {}): Node {
    const status = { conditions: [{ type: 'Ready', status: 'True' }] };
    return this.store.create('nodes', { status, ...fields, metadata: { name, ...fields.metadata } });
  }

  pod(name: string): Pod {
    return this.#expect('pods', name) as Pod;
  }

  job(name: string): Job {
    return this.#expect('jobs', name) as Job;
  }

  node(name: string): Node {
    const node = this.store.get('nodes', undefined, name);
    if (node === undefined) throw new Error(`expected a node ${name}, found none`);
    return node;
  }

  /** Binds a pod as a scheduler would. */
  bind(name: string, node: string): void {
    bindPod(this.store, this.clock, { namespace: 'default', name, node });
  }

  setPhase(name: string, phase: 'Running' | 'Succeeded' | 'Failed'): void {
    this.store.update('pods', 'default', name, (pod) => ({ ...pod, status: { ...pod.status, phase } }));
  }

  #expect(resource: string, name: string): ApiObject {
    const object = this.store.get(resource, 'default', name);
    if (object === undefined) throw new Error(`expected ${resource} to have ${name}, found none`);
    return object;
  }
}

/** Sends one request; patches are merge patches by default. */
export type Ask = (method: string, path: string, body?: unknown, patchType?: string) => Promise<Reply>;

function askOf(url: string): Ask {
  return async (method, path, body, patchType = 'merge-patch+json') => {
    const type = method === 'PATCH' ? `application/${patchType}` : 'application/json';
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(url + path, { method, headers: { 'content-type': type }, ...init });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  };
}

/** Stops each test's worlds after it; returns a function that creates one. */
export function useSimWorlds(): (options?: { readonly historyLimit?: number }) => SimWorld {
  let worlds: SimWorld[] = [];
  afterEach(async () => {
    for (const world of worlds) await world.end();
    worlds = [];
  });
  return (options) => {
    const world = new SimWorld(options);
    worlds.push(world);
    return world;
  };
}
