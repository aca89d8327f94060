/**
 * kube-scheduler v1.37.2 as an extender sees it, one pod at a time and on demand: nominated node first, then the full
 * list; assume before bind; nomination cleared after a failed attempt (schedule_one.go:268, preemption.go:134) or a
 * failed bind. It sees the API server's state without delay, which makes it the hardest scheduler to keep up with.
 */

import type { PodModel } from '../../src/core/objects/model.ts';
import { rejectNode } from '../../src/core/objects/node-fit.ts';
import { PodProjector } from '../../src/core/objects/pod-projection.ts';
import { projectNode } from '../../src/core/objects/projection.ts';
import type { FilterResult, HostPriority } from '../../src/http/extender/wire.ts';
import type { ClusterInMemory, WireObject } from './cluster-in-memory.ts';

export interface FilterAnswer extends Partial<FilterResult> {
  readonly NodeNames: readonly string[];
}

/** A bind call; `verdict` is `held` until it is answered. */
export interface BindCall {
  readonly pod: string;
  readonly uid: string;
  readonly node: string;
  /** `held`, `bound`, or the error. */
  readonly verdict: string;
  readonly done: Promise<void>;
  /** The connection breaks: kube-scheduler timed out or ended. */
  disconnect(): void;
}

/** The calls from kube-scheduler to Muster. */
export interface ExtenderCalls {
  filter(pod: WireObject, names: readonly string[]): Promise<FilterAnswer>;
  prioritize(pod: WireObject, names: readonly string[]): Promise<readonly HostPriority[]>;
  bind(pod: WireObject, node: string): BindCall;
}

export type Attempt = 'skipped' | 'gated' | 'unschedulable' | 'error' | 'binding';

export class KubeScheduler {
  readonly #cluster: ClusterInMemory;
  readonly #extender: ExtenderCalls;
  readonly #projector = new PodProjector({ maxTemplates: 1_000, managedResources: ['nvidia.com/gpu'] });
  /** Pods with a bind call in flight, by UID. */
  readonly #assumed = new Map<string, { readonly pod: PodModel; readonly call: BindCall }>();
  /** Nodes that a plugin rejects for pods with this name prefix; Muster does not know about it. */
  readonly refuses = new Map<string, readonly string[]>();

  constructor(cluster: ClusterInMemory, extender: ExtenderCalls) {
    this.#cluster = cluster;
    this.#extender = extender;
  }

  /** Bind calls in flight. */
  get binding(): readonly BindCall[] {
    return [...this.#assumed.values()].map(({ call }) => call);
  }

  /** Nodes that pass every plugin for the pod. */
  feasible(key: string): readonly string[] {
    const pod = this.#projector.project(this.#cluster.get('Pod', key));
    return this.#cluster
      .list('Node')
      .map((raw) => raw.metadata.name)
      .filter((name) => this.#fits(pod, name));
  }

  /** One scheduling cycle of one pod with its side effects. The bind call continues on its own. */
  async attempt(key: string): Promise<Attempt> {
    const raw = this.#cluster.list('Pod').find(({ metadata: m }) => `${m.namespace}/${m.name}` === key);
    if (!raw || raw.spec.nodeName || raw.metadata.deletionTimestamp || this.#assumed.has(raw.metadata.uid!))
      return 'skipped';
    if (raw.spec.schedulingGates?.length > 0) return 'gated';
    const pod = this.#projector.project(raw);
    const seen = structuredClone(raw);
    const nominated = pod.nominatedNodeName;
    let names: readonly string[] = [];
    if (nominated !== '' && this.#fits(pod, nominated)) {
      const answer = await this.#extender.filter(seen, [nominated]);
      names = answer.Error === undefined ? answer.NodeNames : [];
    }
    const offered = names.length > 0 ? [] : this.feasible(key);
    if (offered.length > 0) {
      const answer = await this.#extender.filter(seen, offered);
      if (answer.Error !== undefined) {
        this.#conclude(raw, answer.Error, true);
        return 'error';
      }
      names = answer.NodeNames;
      const foreign = names.find((name) => !offered.includes(name));
      if (foreign !== undefined) throw new Error(`claims a filtered node ${foreign} not found in the input node list`);
    }
    if (names.length === 0) {
      this.#conclude(
        raw,
        `0/${this.#cluster.list('Node').length} nodes are available`,
        raw.spec.preemptionPolicy !== 'Never',
      );
      return 'unschedulable';
    }
    const [node = ''] = names.length === 1 ? names : [await this.#best(seen, names)];
    const call = this.#extender.bind(seen, node);
    const assumed = { pod, call };
    this.#assumed.set(pod.uid, assumed);
    void call.done.then(() => {
      if (this.#assumed.get(pod.uid) === assumed) this.#assumed.delete(pod.uid);
      if (call.verdict !== 'bound') this.#conclude(raw, call.verdict, true);
    });
    return 'binding';
  }

  async #best(pod: WireObject, names: readonly string[]): Promise<string> {
    const scores = await this.#extender.prioritize(pod, names);
    return scores.toSorted((a, b) => b.Score - a.Score || (a.Host < b.Host ? -1 : 1))[0]!.Host;
  }

  /** Resources beside bound, assumed and nominated pods, and the node's own filters. */
  #fits(pod: PodModel, name: string): boolean {
    const raw = this.#cluster.list('Node').find(({ metadata }) => metadata.name === name);
    if (!raw) return false;
    const node = projectNode(raw);
    if (rejectNode(pod.template, node) !== undefined) return false;
    for (const [prefix, nodes] of this.refuses) if (pod.name.startsWith(prefix) && nodes.includes(name)) return false;
    const others = this.#cluster
      .list('Pod')
      .map((other) => this.#projector.project(other))
      .filter((other) => other.uid !== pod.uid && other.phase !== 'Succeeded' && other.phase !== 'Failed')
      .filter((other) => {
        const place = other.nodeName || this.#assumed.get(other.uid)?.call.node;
        if (place) return place === name;
        return other.nominatedNodeName === name && other.priority >= pod.priority;
      });
    return pod.template.requests.every(({ name: resource, amount }) => {
      const has = node.allocatable.find((entry) => entry.name === resource)?.amount ?? 0;
      const taken = others.flatMap((other) => other.template.requests.filter((entry) => entry.name === resource));
      return has - taken.reduce((sum, entry) => sum + entry.amount, 0) >= amount;
    });
  }

  /** The status patch after a failed attempt: the condition, and if `erase` the cleared nomination. */
  #conclude(raw: WireObject, message: string, erase: boolean): void {
    const { namespace, name, uid } = raw.metadata;
    const pod = this.#cluster.list('Pod').find(({ metadata }) => metadata.uid === uid);
    if (!pod || pod.spec.nodeName) return;
    const known = pod.status.conditions?.[0]?.message === message;
    if (known && (!erase || pod.status.nominatedNodeName === undefined)) return;
    this.#cluster.update('Pod', `${namespace}/${name}`, ({ status }) => {
      status.conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }];
      if (erase) delete status.nominatedNodeName;
    });
  }
}
