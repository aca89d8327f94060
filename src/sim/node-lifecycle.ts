/**
 * The node lifecycle controller (kubernetes v1.37.2 pkg/controller/nodelifecycle). It taints nodes that are cordoned or
 * not Ready, and marks the pods on a node that is not Ready as not Ready. Eviction is up to `taint-eviction.ts`.
 */
import { isDeepStrictEqual } from 'node:util';
import type { StoreEvent } from './object-store.ts';
import { type Node, type NodeTaint, type Pod, withCondition } from './objects.ts';
import type { Registry } from './registry.ts';
import { timestamp } from './timestamp.ts';

const NOT_READY = 'node.kubernetes.io/not-ready';
const UNREACHABLE = 'node.kubernetes.io/unreachable';
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';

export class NodeLifecycle {
  readonly #registry: Registry;
  #unsubscribe = () => {};
  #stopped = false;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  start(): void {
    this.#stopped = false;
    this.#unsubscribe = this.#registry.store.subscribe((event) => this.#onEvent(event));
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
  }

  #onEvent({ type, resource, object }: StoreEvent): void {
    if (resource !== 'nodes' || type === 'DELETED') return;
    const node = object as Node;
    if (isDeepStrictEqual(taintsOf(node).map(idOf), (node.spec?.taints ?? []).map(idOf))) return;
    // Not within the write that caused it: a real controller sees each change later.
    this.#registry.clock.after(0, () => this.#reconcile(node.metadata.name));
  }

  #reconcile(name: string): void {
    const { store, clock } = this.#registry;
    const node = store.get('nodes', undefined, name);
    if (this.#stopped || node === undefined) return;
    const now = timestamp(clock.now());
    const taints = taintsOf(node).map((taint) => (taint.effect === 'NoExecute' ? { timeAdded: now, ...taint } : taint));
    const setTaints = (live: Node): Node => {
      const { taints: _, ...spec } = live.spec ?? {};
      return { ...live, spec: taints.length > 0 ? { ...spec, taints } : spec };
    };
    store.update('nodes', undefined, name, setTaints);
    if (readyOf(node) === 'True') return;
    for (const pod of store.list('pods')) if (pod.spec.nodeName === name) this.#markNotReady(pod, now);
  }

  #markNotReady({ metadata, status }: Pod, now: string): void {
    if (!status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')) return;
    const condition = { type: 'Ready', status: 'False', reason: 'NodeNotReady' };
    const mark = (pod: Pod): Pod => ({
      ...pod,
      status: { ...pod.status, conditions: withCondition(pod.status.conditions, condition, now) },
    });
    this.#registry.store.update('pods', metadata.namespace, metadata.name, mark);
  }
}

/** The taints the node should have: those set by others, and those that its state calls for. */
function taintsOf(node: Node): readonly NodeTaint[] {
  const own = [NOT_READY, UNREACHABLE, UNSCHEDULABLE];
  const known = node.spec?.taints ?? [];
  const ready = readyOf(node);
  const wanted: NodeTaint[] = [];
  const down = ready === 'False' ? NOT_READY : ready === 'Unknown' ? UNREACHABLE : undefined;
  if (down !== undefined) wanted.push({ key: down, effect: 'NoSchedule' }, { key: down, effect: 'NoExecute' });
  if (node.spec?.unschedulable) wanted.push({ key: UNSCHEDULABLE, effect: 'NoSchedule' });
  return [
    ...known.filter(({ key }) => !own.includes(key)),
    ...wanted.map((taint) => known.find((one) => idOf(one) === idOf(taint)) ?? taint),
  ];
}

function readyOf(node: Node): string | undefined {
  return node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
}

function idOf({ key, effect }: NodeTaint): string {
  return `${key}:${effect}`;
}
