/**
 * An API server whose every step is an action of the search: a watch event waits until it is delivered, a write until
 * it is answered. It keeps pods and nodes, and refuses what the real one refuses: a foreign UID, a second binding, a
 * gated pod.
 */
import type { EvictionOutcome, PodIdentity, WriteOutcome } from '../../../src/core/objects/write-outcome.ts';
import type { ClusterWriter } from '../../../src/gang/framework/ports.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';

export type WatchedKind = 'Pod' | 'Node';

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly kind: WatchedKind;
  readonly object: WireObject;
}

/** How a write is answered. `lost`: it takes effect, and the caller sees a failure. */
export type Answer = 'ok' | 'lost' | 'fail';

/** A write that waits for its answer. */
export interface PendingWrite {
  readonly verb: keyof ClusterWriter;
  readonly pod: PodIdentity;
  /** The node of a binding or a nomination; '' for other writes. */
  readonly node: string;
  readonly answer: (how: Answer) => void;
}

/** What one Muster process sees of the API server. */
export interface Session {
  /** Watch events that are not delivered yet, in order, by kind. */
  readonly events: Record<WatchedKind, WatchEvent[]>;
  readonly writes: PendingWrite[];
  readonly writer: ClusterWriter;
}

/** Is told of bindings: before Muster's request counts, and when it has taken effect. */
export interface BindingObserver {
  requested(session: Session, pod: PodIdentity, node: string): void;
  bound(pod: WireObject): void;
}

export class ScriptedApi {
  readonly #objects: Record<WatchedKind, Map<string, WireObject>> = { Pod: new Map(), Node: new Map() };
  readonly #sessions = new Set<Session>();
  readonly #observer: BindingObserver;
  #version = 0;
  /** Names of pods that Muster evicted. */
  readonly evicted: string[] = [];

  constructor(observer: BindingObserver) {
    this.#observer = observer;
  }

  list(kind: WatchedKind): readonly WireObject[] {
    return [...this.#objects[kind].values()];
  }

  pod(name: string): WireObject | undefined {
    return this.#objects.Pod.get(name);
  }

  put(kind: WatchedKind, object: WireObject): void {
    const { name } = object.metadata;
    const type = this.#objects[kind].has(name) ? 'MODIFIED' : 'ADDED';
    object.metadata.resourceVersion = String(++this.#version);
    this.#objects[kind].set(name, object);
    this.#tell({ type, kind, object });
  }

  change(kind: WatchedKind, name: string, change: (object: WireObject) => void): void {
    const object = structuredClone(this.#objects[kind].get(name)!);
    change(object);
    this.put(kind, object);
  }

  delete(name: string): void {
    const object = this.#objects.Pod.get(name);
    if (!object) return;
    this.#objects.Pod.delete(name);
    this.#tell({ type: 'DELETED', kind: 'Pod', object });
  }

  /** A process that starts: it lists what exists, which `Session.events` begins with. */
  connect(): Session {
    const events = { Pod: this.#initial('Pod'), Node: this.#initial('Node') };
    const writes: PendingWrite[] = [];
    const session: Session = { events, writes, writer: this.#writerFor(() => session) };
    this.#sessions.add(session);
    return session;
  }

  /** A process that died: its writes under way never arrive. */
  disconnect(session: Session): void {
    this.#sessions.delete(session);
    session.writes.length = 0;
  }

  #initial(kind: WatchedKind): WatchEvent[] {
    return this.list(kind).map((object) => ({ type: 'ADDED', kind, object }));
  }

  #tell(event: WatchEvent): void {
    for (const { events } of this.#sessions) events[event.kind].push(event);
  }

  #writerFor(session: () => Session): ClusterWriter {
    const write = <T extends EvictionOutcome>(
      verb: keyof ClusterWriter,
      pod: PodIdentity,
      node: string,
      act: (pod: WireObject) => T | WriteOutcome,
    ) =>
      new Promise<T | WriteOutcome>((resolve) => {
        const carryOut = (): T | WriteOutcome => {
          const found = this.#objects.Pod.get(pod.name);
          return found?.metadata.uid === pod.uid ? act(found) : { kind: 'gone' };
        };
        const pending: PendingWrite = {
          verb,
          pod,
          node,
          answer: (how) => {
            session().writes.splice(session().writes.indexOf(pending), 1);
            const outcome = how === 'fail' ? undefined : carryOut();
            resolve(how === 'ok' && outcome ? outcome : { kind: 'failed', status: 0, message: `scripted: ${how}` });
          },
        };
        session().writes.push(pending);
      });
    const change = (pod: WireObject, how: (pod: WireObject) => void): WriteOutcome => {
      this.change('Pod', pod.metadata.name, how);
      return { kind: 'ok' };
    };
    return {
      nominate: (pod, node, plan) =>
        write('nominate', pod, node, (found) =>
          found.spec.nodeName
            ? { kind: 'conflict', message: 'is bound' }
            : change(found, ({ metadata, status }) => {
                metadata.annotations = { ...metadata.annotations, 'muster.dev/plan': plan };
                status.nominatedNodeName = node;
              }),
        ),
      clearNomination: (pod) =>
        write('clearNomination', pod, '', (found) => {
          const isClear =
            found.status.nominatedNodeName === undefined && !found.metadata.annotations?.['muster.dev/plan'];
          return isClear ? { kind: 'ok' } : change(found, eraseNomination);
        }),
      recordPlan: (pod, plan) =>
        write('recordPlan', pod, '', (found) =>
          change(found, ({ metadata }) => {
            metadata.annotations = { ...metadata.annotations, 'muster.dev/plan': plan };
          }),
        ),
      annotate: (pod, annotations) =>
        write('annotate', pod, '', (found) =>
          change(found, ({ metadata }) => {
            const all = Object.entries({ ...metadata.annotations, ...annotations });
            metadata.annotations = Object.fromEntries(
              all.filter((entry): entry is [string, string] => entry[1] !== null),
            );
          }),
        ),
      evict: (pod) =>
        write('evict', pod, '', (found) => {
          this.evicted.push(found.metadata.name);
          this.delete(found.metadata.name);
          return { kind: 'ok' };
        }),
      removeGate: (pod) =>
        write('removeGate', pod, '', (found) =>
          change(found, ({ spec }) => {
            delete spec.schedulingGates;
          }),
        ),
      bind: (pod, node, annotations) => {
        this.#observer.requested(session(), pod, node);
        return write('bind', pod, node, (found) => this.#bind(found, node, annotations));
      },
    };
  }

  #bind(pod: WireObject, node: string, annotations: Readonly<Record<string, string>>): WriteOutcome {
    if (pod.spec.nodeName === node) return { kind: 'ok' };
    if (pod.spec.nodeName) return { kind: 'conflict', message: `is already assigned to node "${pod.spec.nodeName}"` };
    if (pod.spec.schedulingGates) return { kind: 'conflict', message: 'has non-empty .spec.schedulingGates' };
    this.change('Pod', pod.metadata.name, ({ metadata, spec, status }) => {
      metadata.annotations = { ...metadata.annotations, ...annotations };
      spec.nodeName = node;
      status.phase = 'Running';
      delete status.nominatedNodeName;
    });
    this.#observer.bound(this.pod(pod.metadata.name)!);
    return { kind: 'ok' };
  }
}

function eraseNomination({ metadata, status }: WireObject): void {
  delete metadata.annotations?.['muster.dev/plan'];
  delete status.nominatedNodeName;
}
