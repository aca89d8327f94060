/**
 * An API server in memory, as far as Muster's writes and watches need it. It keeps wire objects, refuses what the real
 * one refuses (a foreign UID, a second binding, a gated pod), and notifies one watcher. Tests can make writes fail or
 * hang, and hold back the watch of one kind while other kinds continue, to produce any order that a real cluster can.
 */
import { matchesSelector, readSelector } from '../../src/core/objects/selector.ts';
import type { EvictionOutcome, WriteOutcome } from '../../src/core/objects/write-outcome.ts';
import type { ClusterWriter, QueueWriter } from '../../src/gang/framework/ports.ts';

export type Kind =
  | 'Node'
  | 'Pod'
  | 'Job'
  | 'PodGroup'
  | 'PersistentVolumeClaim'
  | 'DaemonSet'
  | 'StorageClass'
  | 'PodDisruptionBudget'
  | 'Queue'
  | 'Event';

export interface WireObject {
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: wire JSON, any shape that a test writes.
  spec: Record<string, any>;
  // biome-ignore lint/suspicious/noExplicitAny: wire JSON, any shape that a test writes.
  status: Record<string, any>;
}

export type WatchListener = (type: 'ADDED' | 'MODIFIED' | 'DELETED', kind: Kind, object: WireObject) => void;

export type Verb = 'nominate' | 'clear' | 'record' | 'annotate' | 'evict' | 'ungate' | 'bind';

/** One write as requested; `outcome` is undefined while it hangs. */
export interface Write {
  readonly at: number;
  readonly verb: Verb;
  readonly pod: string;
  readonly node: string;
  outcome: EvictionOutcome['kind'] | undefined;
}

/** What happens to matching writes. */
export interface Trouble {
  readonly verb?: Verb;
  readonly pod?: string;
  /** `lost-answer`: the write takes effect, but the caller sees a failure. */
  readonly how: 'ok' | 'failed' | 'forbidden' | 'conflict' | 'gone' | 'lost-answer';
  /** Neither carried out nor answered before `letGo()`. */
  readonly hangs?: boolean;
  /** How many times; unlimited by default. */
  times?: number;
}

type Identity = Parameters<ClusterWriter['clearNomination']>[0];

export class ClusterInMemory {
  readonly writes: Write[] = [];
  readonly #now: () => number;
  readonly #objects = new Map<Kind, Map<string, WireObject>>();
  #listener: WatchListener = () => {};
  readonly #paused = new Set<Kind>();
  readonly #backlog = new Map<Kind, (() => void)[]>();
  #troubles: Trouble[] = [];
  #hanging: { readonly write: Write; readonly go: () => void }[] = [];
  #serial = 0;
  /** Whether the CRD of queues is installed. */
  hasQueueCrd = false;
  /** Called for each requested binding before it is processed. */
  onBinding: (pod: string) => void = () => {};

  /** @param now milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Replaces the watcher, which gets all existing objects, then each change. */
  watch(listener: WatchListener): void {
    this.#backlog.clear();
    this.#paused.clear();
    this.#listener = listener;
    for (const [kind, objects] of this.#objects)
      for (const object of objects.values()) listener('ADDED', kind, structuredClone(object));
  }

  /** Holds back what this kind's watch delivers. */
  pauseWatch(kind: Kind = 'Pod'): void {
    this.#paused.add(kind);
  }

  /** Delivers what was held back, in order. */
  resumeWatch(kind: Kind = 'Pod'): void {
    this.#paused.delete(kind);
    for (const deliver of this.#backlog.get(kind) ?? []) deliver();
    this.#backlog.delete(kind);
  }

  create(kind: Kind, object: WireObject): WireObject {
    const key = keyOf(object);
    if (this.#of(kind).has(key)) throw new Error(`expected no ${kind} ${key}, found one`);
    const stored = structuredClone(object);
    stored.metadata.uid ??= `uid-${key}-${this.#serial++}`;
    stored.metadata.resourceVersion = String(++this.#serial);
    this.#of(kind).set(key, stored);
    this.#notify('ADDED', kind, stored);
    return stored;
  }

  update(kind: Kind, key: string, change: (object: WireObject) => void): void {
    const object = this.get(kind, key);
    change(object);
    object.metadata.resourceVersion = String(++this.#serial);
    this.#notify('MODIFIED', kind, object);
  }

  delete(kind: Kind, key: string): void {
    const object = this.get(kind, key);
    this.#of(kind).delete(key);
    this.#notify('DELETED', kind, object);
  }

  get(kind: Kind, key: string): WireObject {
    const object = this.#of(kind).get(key);
    if (!object) throw new Error(`expected ${kind} ${key}, found none`);
    return object;
  }

  list(kind: Kind): readonly WireObject[] {
    return [...this.#of(kind).values()];
  }

  /** Applies to matching writes from now on; the first match counts. */
  trouble(trouble: Trouble): void {
    this.#troubles.push({ ...trouble });
  }

  /** Ends all trouble; writes that hang keep hanging. */
  heal(): void {
    this.#troubles = [];
  }

  /** Carries out and answers all hanging writes. */
  letGo(): void {
    const hanging = this.#hanging;
    this.#hanging = [];
    for (const { go } of hanging) go();
  }

  /** Drops all hanging writes: they never reached the server. */
  dropHanging(): void {
    for (const { write } of this.#hanging) write.outcome = 'failed';
    this.#hanging = [];
  }

  /** The writer of one process; once `isAlive` returns false, none of its writes is answered any more. */
  writerFor(isAlive: () => boolean): ClusterWriter {
    const write = <T extends EvictionOutcome>(verb: Verb, pod: Identity, node: string, act: () => T) =>
      isAlive() ? this.#write(verb, pod, node, act) : new Promise<T | WriteOutcome>(() => {});
    return {
      nominate: (pod, node, plan) => write('nominate', pod, node, () => this.#nominate(pod, node, plan)),
      clearNomination: (pod) => write('clear', pod, '', () => this.#clear(pod)),
      recordPlan: (pod, plan) => write('record', pod, '', () => this.#annotate(pod, { 'muster.dev/plan': plan })),
      annotate: (pod, annotations) => write('annotate', pod, '', () => this.#annotate(pod, annotations)),
      evict: (pod) => write('evict', pod, '', () => this.#evict(pod)),
      removeGate: (pod, gate) => write('ungate', pod, '', () => this.#ungate(pod, gate)),
      bind: (pod, node, annotations) => write('bind', pod, node, () => this.#bind(pod, node, annotations)),
    };
  }

  /** The same for `Queue` objects. */
  queueWriterFor(isAlive: () => boolean): QueueWriter {
    const write = async (act: () => WriteOutcome): Promise<WriteOutcome> => {
      await undefined;
      if (!isAlive()) return await new Promise(() => {});
      return this.hasQueueCrd ? act() : { kind: 'gone' };
    };
    return {
      createQueue: (name, labels, spec) =>
        write(() => {
          if (this.#of('Queue').has(name)) return { kind: 'conflict', message: 'it exists' };
          this.create('Queue', { metadata: { name, labels: { ...labels } }, spec, status: {} });
          return { kind: 'ok' };
        }),
      patchQueueStatus: (name, status) =>
        write(() => {
          if (!this.#of('Queue').has(name)) return { kind: 'gone' };
          this.update('Queue', name, (object) => {
            object.status = { ...object.status, ...structuredClone(status) };
          });
          return { kind: 'ok' };
        }),
    };
  }

  /** Number of writes requested since index `from`, by verb. */
  countWrites(from = 0): Partial<Record<Verb, number>> {
    const counts: Partial<Record<Verb, number>> = {};
    for (const { at, verb } of this.writes) if (at >= from) counts[verb] = (counts[verb] ?? 0) + 1;
    return counts;
  }

  async #write<T extends EvictionOutcome>(
    verb: Verb,
    pod: Identity,
    node: string,
    act: () => T,
  ): Promise<T | WriteOutcome> {
    const write: Write = { at: this.#now(), verb, pod: pod.name, node, outcome: undefined };
    this.writes.push(write);
    if (verb === 'bind') this.onBinding(pod.name);
    const trouble = this.#troubles.find(
      (other) => (other.verb ?? verb) === verb && (other.pod ?? pod.name) === pod.name && other.times !== 0,
    );
    if (trouble?.times !== undefined) trouble.times--;
    if (trouble?.hangs) await new Promise<void>((go) => this.#hanging.push({ write, go }));
    const outcome = answer(trouble, act);
    write.outcome = outcome.kind;
    return outcome;
  }

  #nominate({ namespace, name, uid }: Identity, node: string, plan: string): WriteOutcome {
    const pod = this.#find(namespace, name, uid);
    if (!pod) return { kind: 'gone' };
    if (pod.spec.nodeName) return { kind: 'conflict', message: 'may not be set on pods that are already bound' };
    this.update('Pod', keyOf(pod), ({ metadata, status }) => {
      metadata.annotations = { ...metadata.annotations, 'muster.dev/plan': plan };
      status.nominatedNodeName = node;
    });
    return { kind: 'ok' };
  }

  #clear({ namespace, name, uid }: Identity): WriteOutcome {
    const pod = this.#find(namespace, name, uid);
    if (!pod) return { kind: 'gone' };
    if (pod.status.nominatedNodeName === undefined && pod.metadata.annotations?.['muster.dev/plan'] === undefined) {
      return { kind: 'ok' };
    }
    this.update('Pod', keyOf(pod), ({ metadata, status }) => {
      delete metadata.annotations?.['muster.dev/plan'];
      delete status.nominatedNodeName;
    });
    return { kind: 'ok' };
  }

  #annotate({ namespace, name, uid }: Identity, changes: Readonly<Record<string, string | null>>): WriteOutcome {
    const pod = this.#find(namespace, name, uid);
    if (!pod) return { kind: 'gone' };
    this.update('Pod', keyOf(pod), ({ metadata }) => {
      const entries = Object.entries({ ...metadata.annotations, ...changes });
      metadata.annotations = Object.fromEntries(
        entries.filter((entry): entry is [string, string] => entry[1] !== null),
      );
    });
    return { kind: 'ok' };
  }

  /**
   * Like the eviction API: budgets count only for running pods; an exhausted one blocks, and so do two for one pod. A
   * bound pod with a grace period is deleted by `finishTerminations` after that period, any other pod at once.
   */
  #evict({ namespace, name, uid }: Identity): EvictionOutcome {
    const pod = this.#find(namespace, name, uid);
    if (!pod) return { kind: 'gone' };
    if (pod.metadata.deletionTimestamp) return { kind: 'ok' };
    if (pod.status.phase === 'Running') {
      const budgets = this.list('PodDisruptionBudget').filter(
        ({ metadata, spec }) =>
          metadata.namespace === namespace && matchesSelector(readSelector(spec.selector), pod.metadata.labels ?? {}),
      );
      if (budgets.length > 1) return { kind: 'blocked', message: 'This pod has more than one PodDisruptionBudget' };
      for (const budget of budgets) {
        const { name: budgetName } = budget.metadata;
        if (!(budget.status.disruptionsAllowed > 0))
          return { kind: 'blocked', message: `The disruption budget ${budgetName} does not allow it` };
        this.update('PodDisruptionBudget', keyOf(budget), ({ status }) => {
          status.disruptionsAllowed--;
        });
      }
    }
    const graceMs = pod.spec.nodeName ? (pod.spec.terminationGracePeriodSeconds ?? 0) * 1_000 : 0;
    if (graceMs === 0) this.delete('Pod', keyOf(pod));
    else
      this.update('Pod', keyOf(pod), ({ metadata, status }) => {
        metadata.deletionTimestamp = new Date(this.#now() + graceMs).toISOString();
        const conditions = (status.conditions ?? []) as object[];
        status.conditions = [
          ...conditions,
          { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' },
        ];
      });
    return { kind: 'ok' };
  }

  /** Deletes evicted pods whose grace period is over; returns their names. */
  finishTerminations(): readonly string[] {
    const over = this.list('Pod').filter(({ metadata }) => Date.parse(metadata.deletionTimestamp ?? '') <= this.#now());
    for (const pod of over) this.delete('Pod', keyOf(pod));
    return over.map(({ metadata }) => metadata.name);
  }

  #ungate({ namespace, name, uid }: Identity, gate: string): WriteOutcome {
    const pod = this.#find(namespace, name, uid);
    if (!pod) return { kind: 'gone' };
    this.update('Pod', keyOf(pod), ({ spec }) => {
      spec.schedulingGates = (spec.schedulingGates ?? []).filter((other: { name: string }) => other.name !== gate);
    });
    return { kind: 'ok' };
  }

  #bind({ namespace, name, uid }: Identity, node: string, annotations: Readonly<Record<string, string>>): WriteOutcome {
    const pod = this.#find(namespace, name, uid);
    if (!pod) return { kind: 'gone' };
    if (pod.spec.nodeName === node) return { kind: 'ok' };
    if (pod.spec.nodeName) return { kind: 'conflict', message: `is already assigned to node "${pod.spec.nodeName}"` };
    if (pod.metadata.deletionTimestamp) return { kind: 'conflict', message: 'is being deleted' };
    if (pod.spec.schedulingGates?.length > 0)
      return { kind: 'conflict', message: 'has non-empty .spec.schedulingGates' };
    this.update('Pod', keyOf(pod), ({ metadata, spec, status }) => {
      metadata.annotations = { ...metadata.annotations, ...annotations };
      spec.nodeName = node;
      delete status.nominatedNodeName;
      // The kubelet accepts the pod at once.
      status.startTime = new Date(this.#now()).toISOString();
      status.conditions = [{ type: 'PodScheduled', status: 'True' }];
    });
    return { kind: 'ok' };
  }

  #find(namespace: string, name: string, uid: string): WireObject | undefined {
    const pod = this.#of('Pod').get(`${namespace}/${name}`);
    return pod?.metadata.uid === uid ? pod : undefined;
  }

  #of(kind: Kind): Map<string, WireObject> {
    const objects = this.#objects.get(kind) ?? new Map<string, WireObject>();
    this.#objects.set(kind, objects);
    return objects;
  }

  #notify(type: 'ADDED' | 'MODIFIED' | 'DELETED', kind: Kind, object: WireObject): void {
    const seen = structuredClone(object);
    const deliver = () => this.#listener(type, kind, seen);
    if (this.#paused.has(kind)) this.#backlog.set(kind, [...(this.#backlog.get(kind) ?? []), deliver]);
    else deliver();
  }
}

function answer<T extends EvictionOutcome>(trouble: Trouble | undefined, act: () => T): T | WriteOutcome {
  switch (trouble?.how) {
    case 'failed':
      return { kind: 'failed', status: 500, message: 'injected: internal error' };
    case 'forbidden':
      return { kind: 'failed', status: 403, message: 'injected: forbidden' };
    case 'conflict':
      return { kind: 'conflict', message: 'injected: conflict' };
    case 'gone':
      return { kind: 'gone' };
    case 'lost-answer':
      act();
      return { kind: 'failed', status: 0, message: 'injected: the answer was lost' };
    default:
      return act();
  }
}

export function keyOf({ metadata: { namespace, name } }: WireObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
