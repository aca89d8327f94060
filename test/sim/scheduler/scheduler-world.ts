/**
 * Test fixture: the kube-scheduler model with its object store, a clock advanced by hand, and a real HTTP extender on
 * loopback.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../../src/core/objects/clock.ts';
import { ObjectStore } from '../../../src/sim/object-store.ts';
import type { Node, Pod, PodSpec } from '../../../src/sim/objects.ts';
import { completePod } from '../../../src/sim/pods.ts';
import type { ExtenderOptions } from '../../../src/sim/scheduler/extender-client.ts';
import { KubeScheduler, type KubeSchedulerParts } from '../../../src/sim/scheduler/kube-scheduler.ts';
import { until } from '../../support/until.ts';

export const GPU = 'nvidia.com/gpu';

/** A clock that only the test moves. */
export class TestClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #timers: { readonly at: number; readonly callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Runs the callbacks that fall due, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      this.#timers = this.#timers.filter((timer) => timer !== next);
      next.callback();
    }
    this.#now = end;
  }
}

export interface ExtenderCall {
  readonly verb: string;
  /** biome-ignore lint/suspicious/noExplicitAny: wire JSON of any verb. */
  readonly args: any;
  readonly text: string;
  readonly headers: readonly string[];
  /** Connections that were open when the call arrived. */
  readonly connections: number;
}

/** The reply to a call: a body, `{ status }` for anything but 200, or a promise of either. */
export type Reply = unknown;

export interface TestExtender {
  readonly url: string;
  readonly calls: ExtenderCall[];
  readonly server: ReturnType<typeof createServer>;
  /** Answers by verb. By default filter returns every name, prioritize nothing, and bind succeeds. */
  readonly answers: Partial<Record<string, (args: ExtenderCall['args']) => Reply>>;
  callsOf(verb: string): readonly ExtenderCall[];
  stop(): Promise<void>;
}

export async function startExtender(): Promise<TestExtender> {
  let connections = 0;
  const extender: Omit<TestExtender, 'url'> = {
    calls: [],
    server: createServer((request, response) => void serve(request, response)),
    answers: {},
    callsOf: (verb) => extender.calls.filter((call) => call.verb === verb),
    stop: async () => {
      extender.server.closeAllConnections();
      await new Promise((resolve) => extender.server.close(resolve));
    },
  };
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const verb = request.url?.split('/').at(-1) ?? '';
    const args = JSON.parse(text);
    extender.calls.push({ verb, args, text, headers: request.rawHeaders, connections });
    const echo = verb === 'filter' ? { NodeNames: args.NodeNames } : verb === 'prioritize' ? [] : {};
    const answer = extender.answers[verb];
    const reply = (await (answer ? answer(args) : echo)) as { readonly status?: number } | null;
    response.statusCode = reply?.status ?? 200;
    response.end(JSON.stringify(reply));
  };
  extender.server.on('connection', (socket) => {
    connections++;
    socket.on('close', () => connections--);
  });
  await new Promise<void>((resolve) => extender.server.listen(0, '127.0.0.1', resolve));
  const { port } = extender.server.address() as AddressInfo;
  return Object.assign(extender, { url: `http://127.0.0.1:${port}/scheduler` });
}

export interface PodOptions {
  readonly gpus?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly spec?: Partial<PodSpec>;
  readonly nominated?: string;
}

export interface NodeOptions {
  readonly gpus?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: NonNullable<Node['spec']>['taints'];
  readonly unschedulable?: boolean;
}

export interface SchedulerWorld {
  readonly store: ObjectStore;
  readonly clock: TestClock;
  readonly extender: TestExtender;
  scheduler: KubeScheduler;
  addNodes(count: number, options?: NodeOptions): void;
  addNode(name: string, options?: NodeOptions): void;
  addPod(name: string, options?: PodOptions): Pod;
  /** Adds a pod that runs on a node. */
  addRunning(name: string, node: string, options?: PodOptions): Pod;
  pod(name: string): Pod;
  /** The message of its PodScheduled condition; '' without one. */
  message(name: string): string;
  notes(reason: string): readonly string[];
  bound(name: string): Promise<string>;
  refused(name: string, text?: RegExp): Promise<string>;
  /** Waits until everything that could be tried has been: two pods that fit nowhere have had their turns. */
  turn(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export const ALL_VERBS = {
  filterVerb: 'filter',
  prioritizeVerb: 'prioritize',
  preemptVerb: 'preempt',
  bindVerb: 'bind',
  weight: 1,
  nodeCacheCapable: true,
  httpTimeout: '30s',
};

type WorldOptions = Partial<Omit<KubeSchedulerParts, 'store' | 'clock' | 'extenders'>> & {
  /** Fields of the single extender entry; `null` for the plain scheduler. */
  readonly extender?: Partial<ExtenderOptions> | null;
};

/** The extender takes and binds every pod unless told otherwise. */
export async function startSchedulerWorld({
  extender: entry = {},
  ...parts
}: WorldOptions = {}): Promise<SchedulerWorld> {
  const clock = new TestClock();
  const store = new ObjectStore({ clock });
  const extender = await startExtender();
  const bindNode = (name: string, nodeName: string) =>
    store.update('pods', 'default', name, (pod) => ({
      ...pod,
      spec: { ...pod.spec, nodeName },
      status: { phase: 'Running', startTime: pod.metadata.creationTimestamp },
    }));
  extender.answers.bind = ({ PodName, Node: node }) => {
    bindNode(PodName, node);
    return {};
  };
  const extenders = entry === null ? [] : [{ urlPrefix: extender.url, ...ALL_VERBS, ...entry }];
  const begin = () => {
    const scheduler = new KubeScheduler({ store, clock, random: () => 0, extenders, ...parts });
    scheduler.start();
    return scheduler;
  };
  const world: SchedulerWorld = {
    store,
    clock,
    extender,
    scheduler: begin(),
    addNodes: (count, options) => {
      for (let i = 0; i < count; i++) world.addNode(`node-${i}`, options);
    },
    addNode: (name, { gpus = 8, labels = {}, taints, unschedulable = false } = {}) => {
      store.create('nodes', {
        metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
        spec: { unschedulable, ...(taints && { taints }) },
        status: { allocatable: { cpu: '64', memory: '512Gi', pods: '110', [GPU]: String(gpus) } },
      });
    },
    addPod: (name, options = {}) => {
      const { nominated } = options;
      const pod = completePod(store, clock, podObject(name, options));
      const status = { ...pod.status, ...(nominated && { nominatedNodeName: nominated }) };
      return store.create('pods', { ...pod, status });
    },
    addRunning: (name, node, options = {}) => {
      world.addPod(name, { ...options, spec: { ...options.spec, nodeName: node } });
      return bindNode(name, node) as Pod;
    },
    pod: (name) => {
      const pod = store.get('pods', 'default', name);
      if (!pod) throw new Error(`expected pod ${name} to exist`);
      return pod;
    },
    message: (name) =>
      (store.get('pods', 'default', name)?.status.conditions ?? []).find(({ type }) => type === 'PodScheduled')
        ?.message ?? '',
    notes: (reason) =>
      store
        .list('events')
        .filter((event) => event.reason === reason)
        .map(({ message = '' }) => message),
    bound: async (name) => {
      await until(`pod ${name} to be bound`, () => Boolean(store.get('pods', 'default', name)?.spec.nodeName));
      return world.pod(name).spec.nodeName ?? '';
    },
    refused: async (name, text = /./) => {
      await until(`pod ${name} to be refused like ${text}`, () => text.test(world.message(name)));
      return world.message(name);
    },
    turn: async () => {
      for (let i = 0; i < 2; i++) {
        const name = `misfit-${store.version}`;
        world.addPod(name, { gpus: 1_000 });
        await world.refused(name);
        store.remove('pods', 'default', name);
      }
    },
    restart: async () => {
      await world.scheduler.stop();
      world.scheduler = begin();
    },
    stop: async () => {
      await world.scheduler.stop();
      await extender.stop();
    },
  };
  return world;
}

function podObject(name: string, { gpus = 8, labels = {}, spec = {} }: PodOptions) {
  const amounts: Record<string, string> = gpus > 0 ? { [GPU]: String(gpus) } : {};
  return {
    metadata: { name, namespace: 'default', labels },
    spec: {
      containers: [{ name: 'main', resources: { requests: { cpu: '1', memory: '1Gi', ...amounts }, limits: amounts } }],
      ...spec,
    },
  };
}
