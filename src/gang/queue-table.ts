/**
 * The queues as they are now: which there are, which gang is in which, what each holds and has used. The only owner of the
 * decayed usage; `core/queues/` does the arithmetic.
 */
import { QUEUE } from '../core/dialects/muster.ts';
import { GPU_PRODUCT } from '../core/gpu-pools.ts';
import type { PodModel } from '../core/model.ts';
import type { Gang } from '../core/pod-group.ts';
import {
  type Amounts,
  addAmounts,
  addTo,
  addUse,
  dimensionOf,
  NOTHING,
  namesModel,
  resourceOf,
  sumAmounts,
} from '../core/queues/amounts.ts';
import { decayUsage, projectUsage, type QueueShare, rankQueues } from '../core/queues/fair-share.ts';
import { type Applicant, Line } from '../core/queues/line.ts';
import { buildQueueTree, DEFAULT_QUEUE, type Queue, type QueueTree } from '../core/queues/queue.ts';
import { chooseQueue, type QueueChoice } from '../core/queues/queue-choice.ts';
import { mergeQueues } from '../core/queues/queue-projection.ts';
import { type QuotaRefusal, rollUp, type UseByQueue } from '../core/queues/quota.ts';
import { evictionRights, isOwedAny, listBeyond, type ReclaimQuery } from '../core/queues/reclaim.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { EvictionRights, VictimUnit } from '../core/victims.ts';
import type { GangRecord } from './gang-record.ts';
import { LoneUse } from './lone-use.ts';
import type { CoordinatorParts } from './parts.ts';

/** What a gang that makes room for itself may take from whom. */
export interface ReclaimTerms {
  readonly rights: EvictionRights;
  /** Some queue owes it space: it finds victims perhaps whatever the priorities. */
  readonly isOwed: boolean;
  /** Those of the victims without which all queues keep what they are guaranteed. */
  readonly listBeyond: (victims: readonly VictimUnit[]) => readonly VictimUnit[];
}

export class QueueTable {
  readonly #parts: CoordinatorParts;
  readonly #lone: LoneUse;
  #tree: QueueTree = buildQueueTree([]);
  #isStale = true;
  readonly #choices = new Map<string, QueueChoice>();
  /** Decayed, of the leaves, as of `#usedAt`. */
  #usage = new Map<string, Amounts>();
  #usedAt: number;
  #held = new Map<string, Map<string, number>>();
  #use: UseByQueue = new Map();
  #capacity: { readonly of: Snapshot['nodes'] | undefined; readonly amounts: Amounts } = {
    of: undefined,
    amounts: NOTHING,
  };
  /** What each gang holds: counted again when its members change or its slots do. */
  readonly #holdings = new WeakMap<object, { readonly slots: number; readonly amounts: Amounts }>();
  readonly #asked = new WeakMap<Gang, Amounts>();

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
    this.#usedAt = parts.clock.now();
    this.#lone = new LoneUse(parts.settings.policy.isAccelerator, (node) => this.modelOf(node));
  }

  get tree(): QueueTree {
    return this.#tree;
  }

  get capacity(): Amounts {
    return this.#capacity.amounts;
  }

  /** What each queue holds now, descendants included, by name. */
  get use(): UseByQueue {
    return this.#use;
  }

  onPod(uid: string, pod: PodModel | undefined): void {
    this.#lone.onPod(uid, pod);
  }

  /** Objects changed: the tree is built anew in the next round. */
  onQueues(): void {
    this.#isStale = true;
  }

  /** Begins with what the cluster has: bound pods, and the usage that was written down by an earlier process. */
  recover(records: Iterable<GangRecord>): void {
    const { podsOn, byName } = this.#parts.view.snapshot();
    for (const row of byName) for (const pod of podsOn[row]!) this.#lone.onPod(pod.uid, pod);
    this.refresh(records);
    const now = this.#parts.clock.now();
    const { halfLifeMs } = this.#parts.settings.queues;
    for (const { name, usage } of this.#parts.view.queues()) {
      if (!usage) continue;
      // What was held meanwhile is not known: what is held now is the best guess.
      this.#usage.set(name, decayUsage(usage.amounts, this.heldBy(name), now - usage.at, halfLifeMs));
    }
  }

  /** Brings everything up to date. To be called at the beginning of each round. O(gangs). */
  refresh(records: Iterable<GangRecord>): void {
    const { view, settings, clock } = this.#parts;
    const now = clock.now();
    const elapsed = now - this.#usedAt;
    this.#usedAt = now;
    const usage = new Map<string, Amounts>();
    for (const name of new Set([...this.#usage.keys(), ...this.#held.keys()])) {
      const before = this.#usage.get(name) ?? NOTHING;
      usage.set(name, decayUsage(before, this.heldBy(name), elapsed, settings.queues.halfLifeMs));
    }
    this.#usage = usage;
    if (this.#isStale) {
      this.#isStale = false;
      this.#tree = buildQueueTree(mergeQueues(settings.queues.items, view.queues()));
      this.#choices.clear();
    }
    this.#measureCluster(view.snapshot());
    this.#held = new Map();
    for (const record of records) {
      const amounts = this.holdingsOf(record);
      if (amounts.size > 0) this.#hold(this.queueOf(record.gang.namespace, record.gang.queue), amounts);
    }
    for (const { namespace, label, amounts } of this.#lone.groups())
      this.#hold(this.queueOf(namespace, label), amounts);
    this.#use = rollUp(this.#tree, this.#held);
  }

  choose(namespace: string, label: string | undefined): QueueChoice {
    const key = `${namespace} ${label ?? ''}`;
    let choice = this.#choices.get(key);
    if (!choice) {
      choice = chooseQueue(this.#tree, namespace, label);
      this.#choices.set(key, choice);
    }
    return choice;
  }

  /** The queue that what runs counts for: `default` when its own cannot be used (any more). */
  queueOf(namespace: string, label: string | undefined): Queue | undefined {
    const choice = this.choose(namespace, label);
    if (choice.kind === 'queue') return choice.queue;
    const fallback = this.#tree.byName.get(DEFAULT_QUEUE);
    return fallback?.children.length === 0 ? fallback : undefined;
  }

  /** What the leaf holds now: bound members and slots. */
  heldBy(leaf: string): Amounts {
    return this.#held.get(leaf) ?? NOTHING;
  }

  /** What the queue holds now, descendants included. */
  useOf(queue: string): Amounts {
    return this.#use.get(queue) ?? NOTHING;
  }

  /** The decayed mean of what the queue held, descendants included. */
  usageOf(queue: string): Amounts {
    const own = this.#usage.get(queue) ?? NOTHING;
    const { children = [] } = this.#tree.byName.get(queue) ?? {};
    return children.length === 0 ? own : sumAmounts(...children.map(({ name }) => this.usageOf(name)));
  }

  shares(): ReadonlyMap<string, QueueShare> {
    const projected = new Map<string, Amounts>();
    for (const { name } of this.#tree.leaves) projected.set(name, projectUsage(this.usageOf(name), this.heldBy(name)));
    return rankQueues(this.#tree, projected, this.#capacity.amounts);
  }

  line<A extends Applicant>(applicants: readonly A[], now: number): Line<A> {
    const { weights, maxAgeMs } = this.#parts.settings.queues;
    return new Line(applicants, {
      tree: this.#tree,
      capacity: this.#capacity.amounts,
      usage: this.#usage,
      held: this.#held,
      weights,
      maxAgeMs,
      now,
    });
  }

  /** It started in this round: what others may have is less by so much. */
  charge(queue: Queue, amounts: Amounts): void {
    this.#hold(queue, amounts);
    this.#use = rollUp(this.#tree, this.#held);
  }

  /** What the gang needs at least to start; GPU models only where its members insist on one. */
  askedBy(gang: Gang): Amounts {
    let asked = this.#asked.get(gang);
    if (!asked) {
      asked = this.amountsOf(gang.members.slice(0, gang.minMember));
      this.#asked.set(gang, asked);
    }
    return asked;
  }

  /** What the pods request, by the model of their nodes, or of the only ones that they accept. */
  amountsOf(pods: readonly PodModel[], nodeOf: (pod: PodModel) => string = ({ nodeName }) => nodeName): Amounts {
    const amounts = new Map<string, number>();
    const { isAccelerator } = this.#parts.settings.policy;
    for (const pod of pods) {
      const node = nodeOf(pod);
      const model = node === '' ? pod.template.nodeSelector[GPU_PRODUCT] : this.modelOf(node);
      addUse(amounts, pod.template, model, isAccelerator);
    }
    return amounts;
  }

  /** What the gang has: bound members and slots. */
  holdingsOf({ gang, census }: GangRecord): Amounts {
    const { reservations } = this.#parts;
    const slots = reservations.countOf(gang.key);
    if (slots + census.bound.length === 0) return NOTHING;
    const known = this.#holdings.get(census);
    if (known?.slots === slots) return known.amounts;
    const amounts = new Map(this.amountsOf(census.bound));
    const nodes = new Map(reservations.slotsOf(gang.key).map(({ pod, node }) => [pod.uid, node]));
    const planned = reservations.slotsOf(gang.key).map(({ pod }) => pod);
    addAmounts(
      amounts,
      this.amountsOf(planned, ({ uid }) => nodes.get(uid)!),
    );
    this.#holdings.set(census, { slots, amounts });
    return amounts;
  }

  /** Whom a gang of the queue may evict that asks for so much. */
  termsFor(queue: Queue, priority: number, asked: Amounts): ReclaimTerms {
    const queueOf = ({ namespace, labels }: PodModel) => this.queueOf(namespace, labels[QUEUE]);
    const query: ReclaimQuery = { tree: this.#tree, queue, priority, asked, use: this.#use, queueOf };
    return {
      rights: evictionRights(query),
      isOwed: isOwedAny(query),
      listBeyond: (victims) => listBeyond(query, victims, (pods) => this.amountsOf(pods)),
    };
  }

  /** GPU models that the queue's limits, or guarantees that it may not exceed, leave too little of. */
  listExcludedModels(queue: Queue, asked: Amounts): ReadonlyMap<string, QuotaRefusal> {
    const excluded = new Map<string, QuotaRefusal>();
    for (const { name, spec, guaranteed, limit } of queue.path) {
      const bounds = spec.allowBorrowing ? limit : new Map([...guaranteed, ...limit]);
      for (const [dimension, bound] of bounds) {
        const amount = namesModel(dimension) ? (asked.get(resourceOf(dimension)) ?? 0) : 0;
        const used = this.useOf(name).get(dimension) ?? 0;
        if (amount === 0 || used + amount <= bound) continue;
        const cause = limit.get(dimension) === bound ? 'limit' : 'no-borrowing';
        const model = dimension.slice(resourceOf(dimension).length + 1);
        excluded.set(model, { cause, queue: name, dimension, used, asked: amount, bound });
      }
    }
    return excluded;
  }

  /** The GPU model of the node; '' where nothing says so. */
  modelOf(node: string): string {
    const { indexOf, pools } = this.#parts.view.snapshot();
    const row = indexOf.get(node);
    return row === undefined ? '' : pools.pools[pools.poolOf[row]!]!.model;
  }

  #hold(queue: Queue | undefined, amounts: Amounts): void {
    if (!queue) return;
    const held = this.#held.get(queue.name) ?? new Map<string, number>();
    this.#held.set(queue.name, held);
    addAmounts(held, amounts);
  }

  #measureCluster({ nodes, columns, allocatable, byName, pools }: Snapshot): void {
    if (this.#capacity.of === nodes) return;
    const { isAccelerator } = this.#parts.settings.policy;
    const amounts = new Map<string, number>();
    for (const [resource, column] of columns) {
      const values = allocatable[column]!;
      for (const row of byName) {
        addTo(amounts, resource, values[row]!);
        const model = pools.pools[pools.poolOf[row]!]!.model;
        if (model !== '' && isAccelerator(resource)) addTo(amounts, dimensionOf(resource, model), values[row]!);
      }
    }
    this.#capacity = { of: nodes, amounts };
  }
}
