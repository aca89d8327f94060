/**
 * kube-scheduler v1.37.2 for traces in virtual time: the same cycle as in test/support/kube-scheduler-role.ts (nominated
 * node first, then the nodes that fit; assume before bind; nomination cleared after a failed attempt), but it keeps
 * account of each node instead of reading all pods for each attempt, and it has a queue of its own, the sampling and the
 * scores of the real one. It hears of changes from the watch.
 */

import { type ClusterInMemory, type Kind, keyOf, type WireObject } from '../../test/support/cluster-in-memory.ts';
import type { BindCall, ExtenderCalls } from '../../test/support/kube-scheduler-role.ts';
import type { Random } from '../random.ts';
import type { NodeBook, Request } from './node-book.ts';
import type { Score } from './scoring.ts';

export interface SchedulerOptions {
  readonly cluster: ClusterInMemory;
  readonly book: NodeBook;
  readonly names: readonly string[];
  readonly score: Score;
  readonly random: Random;
  /** Undefined: there is none. It is asked about pods that request GPUs. */
  readonly extender: ExtenderCalls | undefined;
}

interface Entry {
  readonly key: string;
  readonly uid: string;
  readonly request: Request;
  readonly shape: string;
  isGated: boolean;
  nominated: number;
}

/** A point of an extender's score counts as ten of a plugin's (MaxNodeScore / MaxExtenderPriority), at weight 1. */
const EXTENDER_POINT = 10;
/** Nodes that are looked at whatever the percentage (schedule_one.go, minFeasibleNodesToFind). */
const MIN_NODES = 100;
const MIN_PERCENT = 5;

export class TraceScheduler {
  readonly #options: SchedulerOptions;
  readonly #indexOf: ReadonlyMap<string, number>;
  /** Pods without a node, by UID. */
  readonly #entries = new Map<string, Entry>();
  readonly #requests = new Map<string, Request>();
  readonly #active = new Set<Entry>();
  /** UIDs of pods with a bind call in flight, and of those whose binding was seen. */
  readonly #binding = new Set<string>();
  readonly #placed = new Set<string>();
  /** UIDs of the pods that are nominated to each node. */
  readonly #nominated: readonly Map<string, Entry>[];
  /** Without an extender: shapes that fit nowhere since something was last freed. */
  readonly #refused = new Set<string>();
  #next = 0;
  attempts = 0;
  onBound: (uid: string, node: number) => void = () => {};

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#indexOf = new Map(options.names.map((name, index) => [name, index]));
    this.#nominated = options.names.map(() => new Map());
  }

  /** What the pod will request; before it is created. */
  expect(uid: string, request: Request): void {
    this.#requests.set(uid, request);
  }

  onChange(type: string, kind: Kind, { metadata, spec, status }: WireObject): void {
    if (kind !== 'Pod') return;
    const uid = metadata.uid!;
    const isOver = type === 'DELETED' || status.phase === 'Succeeded' || status.phase === 'Failed';
    if (isOver) {
      this.#forget(uid);
      this.#free(uid);
      if (type === 'DELETED') this.#requests.delete(uid);
      return;
    }
    if (spec.nodeName) {
      this.#forget(uid);
      const node = this.#indexOf.get(spec.nodeName)!;
      const known = this.#options.book.nodeOf(uid);
      if (known === undefined) this.#options.book.take(uid, node, this.#requests.get(uid)!);
      else if (known !== node) throw new Error(`expected ${metadata.name} on node ${known}, found it on ${node}`);
      if (type === 'MODIFIED' && this.#placed.size < this.#placed.add(uid).size) this.onBound(uid, node);
      return;
    }
    this.#update(uid, keyOf({ metadata, spec, status }), spec.schedulingGates?.length > 0, status.nominatedNodeName);
  }

  #update(uid: string, key: string, isGated: boolean, nominatedName: string | undefined): void {
    const nominated = nominatedName ? this.#indexOf.get(nominatedName)! : -1;
    let entry = this.#entries.get(uid);
    if (!entry) {
      const request = this.#requests.get(uid)!;
      entry = { key, uid, request, shape: Object.values(request).join(), isGated, nominated: -1 };
      this.#entries.set(uid, entry);
      if (!isGated) this.#active.add(entry);
    }
    const isWoken = (entry.isGated && !isGated) || (nominated >= 0 && nominated !== entry.nominated);
    if (nominated !== entry.nominated) {
      this.#nominated[entry.nominated]?.delete(uid);
      this.#nominated[nominated]?.set(uid, entry);
      entry.nominated = nominated;
    }
    entry.isGated = isGated;
    if (isWoken && !isGated && !this.#binding.has(uid)) this.#active.add(entry);
  }

  #forget(uid: string): void {
    const entry = this.#entries.get(uid);
    if (!entry) return;
    this.#nominated[entry.nominated]?.delete(uid);
    this.#active.delete(entry);
    this.#entries.delete(uid);
  }

  #free(uid: string): void {
    this.#placed.delete(uid);
    if (this.#options.book.nodeOf(uid) === undefined) return;
    this.#options.book.giveBack(uid);
    this.#refused.clear();
    for (const entry of this.#entries.values()) {
      if (!entry.isGated && !this.#binding.has(entry.uid)) this.#active.add(entry);
    }
  }

  /** Tries every pod of the queue once, those that wake meanwhile as well. Returns whether there was one. */
  async run(): Promise<boolean> {
    let any = false;
    for (let next = this.#shift(); next; next = this.#shift()) {
      any = true;
      await this.#attempt(next);
    }
    return any;
  }

  #shift(): Entry | undefined {
    const [next] = this.#active;
    if (next) this.#active.delete(next);
    return next;
  }

  async #attempt(entry: Entry): Promise<void> {
    const { extender, cluster, names } = this.#options;
    const { uid, request, key } = entry;
    if (!extender && this.#refused.has(entry.shape)) return;
    this.attempts++;
    const asks = request.gpus > 0 ? extender : undefined;
    if (asks === undefined) {
      const node = this.#best(this.#feasible(entry), request, () => 0);
      if (node < 0) this.#refused.add(entry.shape);
      else this.#bindPlain(entry, node);
      return;
    }
    const raw = structuredClone(cluster.get('Pod', key));
    let offered: readonly string[] = [];
    if (entry.nominated >= 0 && this.#fits(entry, entry.nominated)) {
      const answer = await asks.filter(raw, [names[entry.nominated]!]);
      offered = answer.Error === undefined ? answer.NodeNames : [];
    }
    if (offered.length === 0) {
      const feasible = this.#feasible(entry);
      if (feasible.length > 0) {
        const answer = await asks.filter(
          raw,
          feasible.map((node) => names[node]!),
        );
        offered = answer.Error === undefined ? answer.NodeNames : [];
      }
    }
    const nodes = offered.map((name) => this.#indexOf.get(name)!);
    let node = nodes[0] ?? -1;
    if (nodes.length > 1) {
      const scores = await asks.prioritize(raw, offered);
      const scoreOf = new Map(scores.map(({ Host, Score }) => [this.#indexOf.get(Host), Score]));
      node = this.#best(nodes, request, (each) => EXTENDER_POINT * scoreOf.get(each)!);
    }
    if (node < 0) this.#conclude(entry, `0/${names.length} nodes are available`);
    else this.#bind(entry, asks.bind(raw, names[node]!), uid, node);
  }

  #bindPlain({ key, uid, request }: Entry, node: number): void {
    const { book, cluster, names } = this.#options;
    book.take(uid, node, request);
    cluster.update('Pod', key, ({ spec, status }) => {
      spec.nodeName = names[node]!;
      status.conditions = [{ type: 'PodScheduled', status: 'True' }];
    });
  }

  #bind(entry: Entry, call: BindCall, uid: string, node: number): void {
    const { book } = this.#options;
    book.take(uid, node, entry.request);
    this.#binding.add(uid);
    void call.done.then(() => {
      this.#binding.delete(uid);
      if (call.verdict === 'bound' || this.#placed.has(uid)) return;
      book.giveBack(uid);
      this.#conclude(entry, call.verdict);
    });
  }

  /** The status patch after a failed attempt. */
  #conclude({ key, uid }: Entry, message: string): void {
    const { cluster } = this.#options;
    if (!this.#entries.has(uid)) return;
    const pod = cluster.get('Pod', key);
    const isKnown = pod.status.conditions?.[0]?.message === message;
    if (isKnown && pod.status.nominatedNodeName === undefined) return;
    cluster.update('Pod', key, ({ status }) => {
      status.conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }];
      delete status.nominatedNodeName;
    });
  }

  /** Beside what is bound, assumed, and nominated there: all pods have the same priority. */
  #fits(entry: Entry, node: number): boolean {
    const { book } = this.#options;
    if (!book.fits(node, entry.request)) return false;
    const others = [...this.#nominated[node]!.values()].filter(
      ({ uid }) => uid !== entry.uid && book.nodeOf(uid) === undefined,
    );
    if (others.length === 0) return true;
    const names = others.map(({ uid }) => `nominated ${uid}`);
    let fits = true;
    for (const [i, { request }] of others.entries()) {
      if (book.fits(node, request)) book.take(names[i]!, node, request);
      else fits = false;
    }
    fits &&= book.fits(node, entry.request);
    for (const name of names) book.giveBack(name);
    return fits;
  }

  /** The nodes that fit, until enough are found, from where the last search ended (schedule_one.go:findNodesThatPassFilters). */
  #feasible(entry: Entry): readonly number[] {
    const all = this.#options.names.length;
    const percent = Math.max(MIN_PERCENT, 50 - Math.floor(all / 125));
    const enough = all < MIN_NODES ? all : Math.max(MIN_NODES, Math.floor((all * percent) / 100));
    const found: number[] = [];
    let looked = 0;
    for (; looked < all && found.length < enough; looked++) {
      const node = (this.#next + looked) % all;
      if (this.#fits(entry, node)) found.push(node);
    }
    this.#next = (this.#next + looked) % all;
    return found;
  }

  /** One of the best at random; -1 for none. */
  #best(nodes: readonly number[], request: Request, extra: (node: number) => number): number {
    const { book, score, random } = this.#options;
    let best: number[] = [];
    let most = Number.NEGATIVE_INFINITY;
    for (const node of nodes) {
      const points = score(book, node, request) + extra(node);
      if (points > most) {
        most = points;
        best = [];
      }
      if (points === most) best.push(node);
    }
    return best.length === 0 ? -1 : best[random.below(best.length)]!;
  }
}
