/**
 * Scenarios: a small world with nodes, an API server in memory, kube-scheduler's side of the protocol, and the real
 * Muster between them, all on a clock that the test advances. A test reads as a story:
 *
 *   const world = await startWorld({ nodes: 8 });
 *   world.create(gang('a', 8));
 *   await world.settle();
 *   await world.schedule();                    // kube-scheduler tries every pod once
 *   expect(world.boundTo('a'))…
 *
 * Names without a namespace are in `default`.
 */
import { defaultConfiguration } from '../../src/config/configuration.ts';
import { explain } from '../../src/core/reasons/explain.ts';
import type { GangState } from '../../src/gang/state/lifecycle.ts';
import type { SpaceHold } from '../../src/gang/state/reservations.ts';
import type { Slot } from '../../src/gang/state/slot.ts';
import type { PreemptResult } from '../../src/http/extender/wire.ts';
import type { GangItem } from '../../src/http/inspect/gangs.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { aRawNode, aRawPod, asPlanned, GPU } from './builders.ts';
import { ClusterInMemory, keyOf, type WireObject } from './cluster-in-memory.ts';
import { HandClock } from './hand-clock.ts';
import { type BindCall, type ExtenderCalls, type FilterAnswer, KubeScheduler } from './kube-scheduler-role.ts';
import { type MusterProcess, type ProcessOptions, startProcess } from './muster-process.ts';

export const GATE = 'muster.dev/gang';
export const PLAN = 'muster.dev/plan';
export const SECOND = 1_000;

/** Shared by all worlds of a file, because each registry starts collectors of the process. */
const sharedMetrics = new Metrics();

export interface PodOptions {
  readonly gpus?: number;
  readonly priority?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Merged over the default spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Milliseconds; the start of the world by default. */
  readonly createdAt?: number;
  readonly nodeName?: string;
}

export interface GangOptions extends PodOptions {
  /** `muster.dev/min-members`; all members by default, no annotation when undefined is passed. */
  readonly min?: number | undefined;
  /** Index of the first member; earlier ones exist already. */
  readonly from?: number;
  readonly gated?: boolean;
  /** Requests no managed resource, so it never reaches the extender. Implies the gate. */
  readonly bypassing?: boolean;
}

export interface RunningOptions extends Omit<GangOptions, 'from' | 'gated' | 'bypassing'> {
  readonly graceSeconds?: number;
  /** Milliseconds. */
  readonly startedAt?: number;
}

const START = Date.UTC(2026, 0, 1);

/** Any pod in `default`. */
export function pod(name: string, options: PodOptions = {}): WireObject {
  const { createdAt = START, spec, gpus, priority, labels, annotations, nodeName } = options;
  const raw = aRawPod({
    name,
    ...(gpus !== undefined && { gpus }),
    ...(priority !== undefined && { priority }),
    ...(nodeName !== undefined && { nodeName }),
    ...(labels && { labels }),
    ...(annotations && { annotations }),
    ...(spec && { spec }),
    metadata: { creationTimestamp: new Date(createdAt).toISOString(), uid: undefined },
  });
  return structuredClone(raw) as unknown as WireObject;
}

/** Members `<name>-0` to `<name>-<size - 1>`, 8 GPUs each (a whole node). */
export function gang(name: string, size: number, options: GangOptions = {}): WireObject[] {
  const { from = 0, gated = false, bypassing = false, spec = {}, gpus = bypassing ? 0 : 8, ...rest } = options;
  const min = 'min' in options ? options.min : size;
  const gates = gated || bypassing ? { schedulingGates: [{ name: GATE }] } : {};
  return Array.from({ length: size - from }, (_, i) =>
    pod(`${name}-${from + i}`, {
      ...rest,
      gpus,
      labels: { 'muster.dev/pod-group': name, ...options.labels },
      annotations: { ...(min !== undefined && { 'muster.dev/min-members': String(min) }), ...options.annotations },
      spec: { ...gates, ...spec },
    }),
  );
}

export interface WorldOptions extends Partial<Omit<ProcessOptions, 'settings'>> {
  /** How many nodes `n0`, `n1`, … exist, each with 8 GPUs. */
  readonly nodes?: number;
  readonly settings?: Partial<ProcessOptions['settings']>;
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const world = new World(options);
  for (let i = 0; i < (options.nodes ?? 0); i++) world.addNode(`n${i}`);
  await world.settle();
  return world;
}

export class World {
  readonly clock = new HandClock(START);
  readonly cluster = new ClusterInMemory(() => this.clock.now());
  readonly scheduler: KubeScheduler;
  readonly metrics: Metrics;
  /** The written Events as `reason: note`. */
  readonly told: string[] = [];
  readonly #options: ProcessOptions;
  muster: MusterProcess;
  #calls = new Set<() => void>();
  /** Slots and holds whose place a lone pod of higher priority has taken, as it may. */
  readonly #overtaken = new WeakSet<object>();

  constructor({ settings, nodes: _nodes, ...rest }: WorldOptions) {
    this.metrics = rest.metrics ?? sharedMetrics;
    this.#options = {
      barrierTimeoutMs: 25 * SECOND,
      lonePodCandidates: 32,
      maxBodyBytes: 64 * 2 ** 20,
      levels: undefined,
      score: 'best-fit',
      metrics: this.metrics,
      write: () => {},
      events: {
        createEvent: async (_namespace, event) => {
          this.told.push(`${event.reason}: ${event.note}`);
          return { kind: 'ok' };
        },
      },
      ...rest,
      settings: {
        nominationTimeoutMs: 15 * SECOND,
        regatherMs: 2 * SECOND,
        backoffInitialMs: SECOND,
        backoffMaxMs: 30 * SECOND,
        maxReplans: 8,
        maxGangSize: 100_000,
        timeBudgetMs: SECOND,
        repairTimeoutMs: 300 * SECOND,
        preemption: {
          noticeMs: 0,
          fenceTimeoutMs: 300 * SECOND,
          blockedTimeoutMs: 30 * SECOND,
          backoffInitialMs: 30 * SECOND,
          backoffMaxMs: 600 * SECOND,
        },
        repair: {
          replaceTimeoutMs: 600 * SECOND,
          nodeToleranceMs: 60 * SECOND,
          maxRestarts: 3,
          restartBackoffMs: 30 * SECOND,
          memoryMs: 3_600 * SECOND,
          suspectAfter: 3,
        },
        queues: defaultConfiguration().queues,
        ...settings,
      },
    };
    const calls: ExtenderCalls = {
      filter: (raw, names) => this.#post('filter', filterBody(raw, names)),
      prioritize: (raw, names) => this.#post('prioritize', filterBody(raw, names)),
      bind: (raw, node) => this.#bind(raw, node),
    };
    this.scheduler = new KubeScheduler(this.cluster, calls);
    this.muster = startProcess(this.cluster, this.clock, this.#options);
    this.muster.recover();
  }

  // What exists

  addNode(name: string, options: Parameters<typeof aRawNode>[0] = {}): void {
    this.cluster.create('Node', structuredClone(aRawNode({ name, ...options })) as unknown as WireObject);
  }

  setReady(name: string, ready: boolean): void {
    this.cluster.update('Node', name, ({ status }) => {
      const lastTransitionTime = new Date(this.clock.now()).toISOString();
      status.conditions = [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime }];
    });
  }

  /**
   * A gang that already runs: `<name>-0` on the first of the nodes, and so on. Its pods have run since `startedAt` (now
   * by default). With `graceSeconds` an eviction takes that long (see `finishTerminations`).
   */
  running(name: string, nodes: readonly string[], options: RunningOptions = {}): void {
    const { graceSeconds = 0, startedAt = this.clock.now(), ...rest } = options;
    const spec = { terminationGracePeriodSeconds: graceSeconds, ...options.spec };
    for (const [i, member] of gang(name, nodes.length, { ...rest, spec }).entries()) {
      this.create({
        ...member,
        metadata: { ...member.metadata, annotations: { ...asPlanned(member.metadata.annotations ?? {}, nodes[i]!) } },
        spec: { ...member.spec, nodeName: nodes[i]! },
        status: { phase: 'Running', startTime: new Date(startedAt).toISOString() },
      });
    }
  }

  /** A disruption budget over the pods with these labels; evicting running ones uses it up. */
  disruptionBudget(name: string, labels: Readonly<Record<string, string>>, allowed: number): void {
    this.cluster.create('PodDisruptionBudget', {
      metadata: { name, namespace: 'default' },
      spec: { selector: { matchLabels: labels } },
      status: { disruptionsAllowed: allowed },
    });
  }

  setDisruptionsAllowed(name: string, allowed: number): void {
    this.cluster.update('PodDisruptionBudget', keyIn(name), ({ status }) => {
      status.disruptionsAllowed = allowed;
    });
  }

  /** The pods that Muster has evicted, in order, without refused evictions. */
  evictions(): readonly string[] {
    return this.cluster.writes
      .filter(({ verb, outcome }) => verb === 'evict' && outcome === 'ok')
      .map(({ pod: name }) => name);
  }

  /** Deletes the evicted pods whose grace period is over; returns their names. */
  finishTerminations(): readonly string[] {
    return this.cluster.finishTerminations();
  }

  create(...pods: readonly (WireObject | readonly WireObject[])[]): void {
    for (const raw of pods.flat()) this.cluster.create('Pod', raw);
  }

  delete(...names: readonly string[]): void {
    for (const name of names) this.cluster.delete('Pod', keyIn(name));
  }

  /** The first step of deleting a pod that runs or has a finalizer (as every pod of a Job). */
  beginDeletion(name: string): void {
    this.cluster.update('Pod', keyIn(name), ({ metadata }) => {
      metadata.deletionTimestamp = new Date(this.clock.now()).toISOString();
    });
  }

  finish(name: string, phase: 'Succeeded' | 'Failed' = 'Succeeded'): void {
    const finishedAt = new Date(this.clock.now()).toISOString();
    this.cluster.update('Pod', keyIn(name), ({ status }) => {
      status.phase = phase;
      status.containerStatuses = [{ name: 'main', state: { terminated: { finishedAt } } }];
    });
  }

  pod(name: string): WireObject {
    return this.cluster.get('Pod', keyIn(name));
  }

  uidOf(name: string): string {
    return this.pod(name).metadata.uid!;
  }

  /** kube-scheduler clears a nomination, as after any failed attempt. */
  eraseNomination(name: string): void {
    this.cluster.update('Pod', keyIn(name), ({ status }) => {
      delete status.nominatedNodeName;
    });
  }

  // Time

  /** Runs everything that is due without advancing the time. */
  async settle(): Promise<void> {
    for (let quiet = 0, turns = 0; quiet < 3; turns++) {
      if (turns > 10_000) throw new Error('expected the world to come to rest, found it busy after 10,000 turns');
      await new Promise((resolve) => setImmediate(resolve));
      quiet = this.clock.fireDue() ? 0 : quiet + 1;
    }
  }

  /** Advances the time and runs everything when it is due. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    await this.settle();
    while (this.clock.next <= until) {
      this.clock.jumpTo(this.clock.next);
      await this.settle();
    }
    this.clock.jumpTo(until);
  }

  /** Freezes the process: time passes and no timer fires. */
  freeze(ms: number): void {
    this.clock.jumpTo(this.clock.now() + ms);
  }

  // kube-scheduler's calls

  /** kube-scheduler tries every pod once, in order of creation. */
  async schedule(...names: readonly string[]): Promise<void> {
    const keys = names.length > 0 ? names.map(keyIn) : this.cluster.list('Pod').map(keyOf);
    for (const key of keys) await this.scheduler.attempt(key);
    await this.settle();
  }

  /**
   * A filter call for the pod in its current state. By default with its nominated node, or with every node if it has
   * none.
   */
  async filter(name: string, names?: readonly string[], change: (raw: WireObject) => void = () => {}) {
    const raw = structuredClone(this.pod(name));
    change(raw);
    const nominated = raw.status.nominatedNodeName;
    const offered = names ?? (nominated ? [nominated] : this.cluster.list('Node').map(({ metadata }) => metadata.name));
    return await this.#post<FilterAnswer>('filter', filterBody(raw, offered));
  }

  /** A filter call with the pod as it was before its nomination. */
  filterEarly(name: string, names: readonly string[]): Promise<FilterAnswer> {
    return this.filter(name, names, ({ status }) => {
      delete status.nominatedNodeName;
    });
  }

  async prioritize(name: string, names: readonly string[]): Promise<readonly { Host: string; Score: number }[]> {
    return await this.#post('prioritize', filterBody(this.pod(name), names));
  }

  /** @param victims names of pods by node. */
  async preempt(name: string, victims: Readonly<Record<string, readonly string[]>>): Promise<PreemptResult> {
    const NodeNameToMetaVictims = Object.fromEntries(
      Object.entries(victims).map(([node, pods]) => [
        node,
        { Pods: pods.map((victim) => ({ UID: this.uidOf(victim) })), NumPDBViolations: 0 },
      ]),
    );
    return await this.#post('preempt', { Pod: this.pod(name), NodeNameToVictims: null, NodeNameToMetaVictims });
  }

  /** A bind call, to the nominated node by default. It stays open until it is answered. */
  bind(name: string, node?: string): BindCall {
    const raw = this.pod(name);
    return this.#bind(raw, node ?? raw.status.nominatedNodeName);
  }

  /** Bind calls for these pods, made together. */
  bindAll(...names: readonly string[]): readonly BindCall[] {
    return names.map((name) => this.bind(name));
  }

  // Muster

  /** SIGKILL and a new start; calls in flight break. */
  async restart(): Promise<void> {
    this.muster.kill();
    for (const breakOff of [...this.#calls]) breakOff();
    await this.settle();
    this.muster = startProcess(this.cluster, this.clock, this.#options);
    this.muster.recover();
    await this.settle();
  }

  /** A process that has not read the cluster yet; `this.muster` does not change. */
  startUnrecovered(): MusterProcess {
    return startProcess(this.cluster, this.clock, this.#options);
  }

  stateOf(name: string): GangState | undefined {
    return this.muster.view.gang(keyIn(name))?.state;
  }

  /** The gang's reason as users read it; '' when there is none. */
  reasonOf(name: string): string {
    const reason = this.muster.view.gang(keyIn(name))?.publication.reason;
    return reason ? explain(reason) : '';
  }

  async inspect(name: string): Promise<GangItem['status']> {
    const response = await this.muster.app.request(`/v1/gangs/${keyIn(name)}`);
    return ((await response.json()) as GangItem).status;
  }

  /** The node of each member in the reservations, by pod name. */
  slotsOf(name: string): Readonly<Record<string, string>> {
    const slots = this.muster.reservations.slotsOf(keyIn(name));
    return sorted(slots.map(({ pod: { name: member }, node }) => [member, node]));
  }

  /** Nominations on the pods, by pod name; of the gang, or of all pods. */
  nominations(name?: string): Readonly<Record<string, string>> {
    return this.#read(name, ({ status }) => status.nominatedNodeName);
  }

  /** Plan annotations on the pods, by pod name. */
  records(name?: string): Readonly<Record<string, string>> {
    return this.#read(name, ({ metadata }) => metadata.annotations?.[PLAN]);
  }

  /** Nodes of the bound pods, by pod name; of the gang, or of all pods. */
  boundTo(name?: string): Readonly<Record<string, string>> {
    return this.#read(name, ({ spec }) => spec.nodeName);
  }

  /** Members that still have their gate. */
  gated(name: string): readonly string[] {
    const gates = this.#read(name, ({ spec }) => spec.schedulingGates?.[0]?.name);
    return Object.keys(gates);
  }

  /** Rounds of the decision loop since the process started; worlds that share metrics are counted together. */
  async rounds(): Promise<number> {
    const { values } = await this.metrics.decisionRoundDuration.get();
    return values.find(({ metricName }) => metricName?.endsWith('_count'))?.value ?? 0;
  }

  /**
   * Nodes where bound pods, slots and holds together request more GPUs than exist; a bound pod counts once, even if
   * Muster has not seen it yet. What is held counts against lone pods up to its own priority, so what was held when one
   * of higher priority was bound there does not count any more.
   */
  overbooked(): readonly string[] {
    const taken = new Map<string, number>();
    const take = (node: string, gpus: number) => taken.set(node, (taken.get(node) ?? 0) + gpus);
    const bound = new Set<string>();
    for (const raw of this.cluster.list('Pod')) {
      if (!raw.spec.nodeName) continue;
      bound.add(raw.metadata.uid!);
      if (raw.status.phase !== 'Succeeded' && raw.status.phase !== 'Failed') take(raw.spec.nodeName, gpusOf(raw));
    }
    for (const holder of this.#holders()) {
      if (bound.has(holder.pod.uid) || this.#overtaken.has(holder)) continue;
      take(holder.node, holder.pod.template.requests.find(({ name }) => name === GPU)?.amount ?? 0);
    }
    return this.cluster
      .list('Node')
      .map(({ metadata: { name }, status }) => ({ name, has: Number(status.allocatable[GPU] ?? 0) }))
      .filter(({ name, has }) => (taken.get(name) ?? 0) > has)
      .map(({ name, has }) => `${name}: ${taken.get(name)} GPUs taken of ${has}`);
  }

  /** What takes up space without a bound pod. A fenced slot does so only after the pods on its node have gone. */
  #holders(): readonly (Slot | SpaceHold)[] {
    const { reservations } = this.muster;
    return [
      ...[...reservations.slots()].filter(({ state }) => state !== 'fenced'),
      ...[...reservations.holds()].map(([, hold]) => hold),
    ];
  }

  /** What is held on the node that a lone pod may take: none for a member, which comes to its own slot. */
  #belowOf({ metadata, spec }: WireObject, node: string): readonly object[] {
    if (this.muster.reservations.slot(metadata.uid!)) return [];
    return this.#holders().filter(
      ({ node: held, pod: { priority } }) => held === node && priority < (spec.priority ?? 0),
    );
  }

  #read(name: string | undefined, value: (raw: WireObject) => string | undefined): Readonly<Record<string, string>> {
    const pods = this.cluster
      .list('Pod')
      .filter(({ metadata }) => name === undefined || metadata.labels?.['muster.dev/pod-group'] === name);
    return sorted(
      pods.flatMap((raw) => {
        const read = value(raw);
        return read === undefined ? [] : [[raw.metadata.name, read] as const];
      }),
    );
  }

  async #post<T>(verb: string, body: object): Promise<T> {
    const response = await this.muster.app.request(`/scheduler/${verb}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`failed ${verb}, code ${response.status}: ${text}`);
    return JSON.parse(text) as T;
  }

  #bind(raw: WireObject, node: string): BindCall {
    const { metadata } = raw;
    const abort = new AbortController();
    const broken = Promise.withResolvers<string>();
    let verdict = 'held';
    const disconnect = () => {
      abort.abort();
      broken.resolve('the connection broke');
    };
    this.#calls.add(disconnect);
    const below = this.#belowOf(raw, node);
    const body = { PodName: metadata.name, PodNamespace: metadata.namespace, PodUID: metadata.uid, Node: node };
    const request = { method: 'POST', body: JSON.stringify(body), signal: abort.signal };
    const answered = Promise.resolve(this.muster.app.request('/scheduler/bind', request))
      .then((response) => response.json() as Promise<{ Error?: string }>)
      .then(({ Error: error }) => error || 'bound');
    const done = Promise.race([answered, broken.promise]).then((outcome) => {
      verdict = outcome;
      this.#calls.delete(disconnect);
      if (verdict === 'bound') for (const holder of below) this.#overtaken.add(holder);
    });
    return {
      pod: metadata.name,
      uid: metadata.uid!,
      node,
      get verdict() {
        return verdict;
      },
      done,
      disconnect,
    };
  }
}

/** The verdict of each call. */
export function verdicts(calls: readonly BindCall[]): readonly string[] {
  return calls.map(({ verdict }) => verdict);
}

function filterBody(raw: WireObject, names: readonly string[]): object {
  return { Pod: raw, Nodes: null, NodeNames: names };
}

function keyIn(name: string): string {
  return name.includes('/') ? name : `default/${name}`;
}

function gpusOf({ spec }: WireObject): number {
  return Number(spec.containers[0].resources.requests[GPU] ?? 0);
}

function sorted(entries: readonly (readonly [string, string])[]): Readonly<Record<string, string>> {
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
