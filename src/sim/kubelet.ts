/**
 * Acts as the kubelet of all nodes, as KWOK does in the e2e cluster (test/e2e/cluster/kwok-stages.yaml). A bound pod
 * runs and ends after `e2e.muster.dev/run-seconds`, or never without it, with exit code `e2e.muster.dev/exit-code`. A
 * deleted pod waits out its grace period, becomes Failed, then disappears. A node gets a lease, and is Ready unless
 * `e2e.muster.dev/down` is set.
 */
import type { Clock } from '../core/objects/clock.ts';
import type { ObjectStore, StoreEvent } from './object-store.ts';
import { type Condition, type Node, type Pod, withCondition } from './objects.ts';
import type { Registry } from './registry.ts';
import { timestamp } from './timestamp.ts';

const RUN_SECONDS = 'e2e.muster.dev/run-seconds';
const EXIT_CODE = 'e2e.muster.dev/exit-code';
const DOWN = 'e2e.muster.dev/down';
const LEASES = 'kube-node-lease';
/** Exit code of a container that SIGTERM ended. */
const TERMINATED = 143;

/** The next step of a pod's life and its time (milliseconds since the epoch). */
interface Step {
  readonly at: number;
  readonly act: () => void;
}

export class Kubelet {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  /** Cancels the next step of each pod and node, by UID. */
  readonly #due = new Map<string, () => void>();
  #unsubscribe = () => {};

  constructor({ store, clock }: Registry) {
    this.#store = store;
    this.#clock = clock;
  }

  start(): void {
    this.#unsubscribe = this.#store.subscribe((event) => this.#onEvent(event));
    for (const node of this.#store.list('nodes')) this.#onNode(node);
    for (const pod of this.#store.list('pods')) this.#onPod(pod);
  }

  stop(): void {
    this.#unsubscribe();
    for (const cancel of this.#due.values()) cancel();
    this.#due.clear();
  }

  #onEvent({ type, resource, object }: StoreEvent): void {
    const { uid, name } = object.metadata;
    if (type === 'DELETED') {
      this.#due.get(uid)?.();
      this.#due.delete(uid);
    } else if (resource === 'pods') this.#onPod(object as Pod);
    else if (resource === 'nodes') {
      this.#onNode(object as Node);
      if (type === 'ADDED') {
        for (const pod of this.#store.list('pods')) if (pod.spec.nodeName === name) this.#onPod(pod);
      }
    }
  }

  #onPod(pod: Pod): void {
    this.#plan(pod.metadata.uid, this.#nextStep(pod));
  }

  #plan(uid: string, step: Step | undefined): void {
    this.#due.get(uid)?.();
    this.#due.delete(uid);
    if (step === undefined) return;
    const cancel = this.#clock.after(Math.max(0, step.at - this.#clock.now()), () => {
      this.#due.delete(uid);
      step.act();
    });
    this.#due.set(uid, cancel);
  }

  #nextStep(pod: Pod): Step | undefined {
    const { metadata, spec, status } = pod;
    if (!spec.nodeName || this.#store.get('nodes', undefined, spec.nodeName) === undefined) return undefined;
    const now = this.#clock.now();
    const ended = status.phase === 'Succeeded' || status.phase === 'Failed';
    if (metadata.deletionTimestamp) {
      if (!ended)
        return { at: Date.parse(metadata.deletionTimestamp), act: () => this.#end(pod, TERMINATED, 'PodFailed') };
      if (metadata.finalizers?.length) return undefined;
      return { at: now, act: () => this.#store.remove('pods', metadata.namespace, metadata.name) };
    }
    if (status.phase === 'Pending') return { at: now, act: () => this.#run(pod) };
    const runSeconds = metadata.annotations?.[RUN_SECONDS];
    if (status.phase !== 'Running' || runSeconds === undefined) return undefined;
    const exitCode = Number(metadata.annotations?.[EXIT_CODE] ?? 0);
    const at = Date.parse(status.startTime ?? '') + Number(runSeconds) * 1000;
    return { at, act: () => this.#end(pod, exitCode, 'PodCompleted') };
  }

  #run(pod: Pod): void {
    const now = timestamp(this.#clock.now());
    const conditions = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady'];
    this.#report(pod, 'Running', now, {
      conditions: conditions.map((type) => ({ type, status: 'True' })),
      container: { ready: true, started: true, state: { running: { startedAt: now } } },
    });
  }

  #end(pod: Pod, exitCode: number, reason: string): void {
    const now = timestamp(this.#clock.now());
    const why = exitCode === 0 ? 'Completed' : 'Error';
    this.#report(pod, exitCode === 0 ? 'Succeeded' : 'Failed', now, {
      conditions: ['Ready', 'ContainersReady'].map((type) => ({ type, status: 'False', reason })),
      container: { ready: false, started: false, state: { terminated: { exitCode, finishedAt: now, reason: why } } },
    });
  }

  #report(
    { metadata: { namespace, name, uid } }: Pod,
    phase: 'Running' | 'Succeeded' | 'Failed',
    now: string,
    { conditions, container }: { readonly conditions: readonly Condition[]; readonly container: object },
  ): void {
    const report = (pod: Pod): Pod => {
      const containerStatuses = (pod.spec.containers ?? []).map((one) => ({
        name: one.name ?? '',
        restartCount: 0,
        ...container,
      }));
      const all = conditions.reduce((known, one) => withCondition(known, one, now), pod.status.conditions ?? []);
      const startTime = pod.status.startTime ?? now;
      return { ...pod, status: { ...pod.status, phase, startTime, conditions: all, containerStatuses } };
    };
    this.#store.update('pods', namespace, name, report, { uid });
  }

  #onNode(node: Node): void {
    const { name, uid } = node.metadata;
    const wanted = node.metadata.annotations?.[DOWN] === undefined ? 'True' : 'False';
    const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    const hasLease = this.#store.get('leases', LEASES, name) !== undefined;
    if (hasLease && ready === wanted) return;
    this.#plan(uid, {
      at: this.#clock.now(),
      act: () => {
        if (!hasLease) this.#createLease(node);
        if (ready !== wanted) this.#setReady(node, wanted);
      },
    });
  }

  #createLease({ metadata: { name } }: Node): void {
    const spec = { holderIdentity: name, renewTime: timestamp(this.#clock.now()) };
    this.#store.create('leases', { metadata: { name, namespace: LEASES }, spec });
  }

  #setReady({ metadata: { name, uid } }: Node, status: 'True' | 'False'): void {
    const now = timestamp(this.#clock.now());
    const condition =
      status === 'True'
        ? { type: 'Ready', status, reason: 'KubeletReady', message: 'kubelet is posting ready status' }
        : { type: 'Ready', status, reason: 'KubeletNotReady', message: 'taken down by the test' };
    const report = (node: Node): Node => ({
      ...node,
      status: { ...node.status, conditions: withCondition(node.status?.conditions, condition, now) },
    });
    this.#store.update('nodes', undefined, name, report, { uid });
  }
}
