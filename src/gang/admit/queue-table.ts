/**
 * The queues as they are now: the tree, the queue of each gang, what each queue holds and has used. The only owner of
 * decayed usage; `core/queues/` does the arithmetic.
 */
import { LRUCache } from 'lru-cache';
import { leastOf } from '../../core/objects/extremes.ts';
import { QUEUE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import { startOf, type VictimUnit } from '../../core/preemption/candidates.ts';
import { type Amounts, addAmounts, addUse, NOTHING, subtractAmounts, sumAmounts } from '../../core/queues/amounts.ts';
import { chooseQueue, countedIn, type QueueChoice } from '../../core/queues/choice.ts';
import { decayUsage, projectUsage, type QueueShare, rankQueues } from '../../core/queues/fair-share.ts';
import { type PendingGang, QueueOrder } from '../../core/queues/order.ts';
import { mergeQueues } from '../../core/queues/projection.ts';
import { findModelRefusals, judgeQuota, type QuotaRefusal, rollUp, type UseByQueue } from '../../core/queues/quota.ts';
import { buildQueueTree, type Queue, type QueueTree } from '../../core/queues/tree.ts';
import { type HoldingGang, listCovered } from '../../core/reclaim/immunity.ts';
import type { QuotaHolders } from '../../core/reclaim/quota-preemption.ts';
import { gpuModelOf, quotaHolders } from '../../core/reclaim/quota-rights.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { LoopContext } from '../framework/context.ts';
import type { ExcludedModels } from '../framework/planning-input.ts';
import type { Demand, MembersDemand } from '../state/demand.ts';
import type { GangRecord } from '../state/records.ts';
import type { AdmissionCandidate, AdmissionConstraints } from './candidate.ts';
import { capacityOf } from './capacity.ts';
import { countMost } from './count-most.ts';
import { Grants } from './grants.ts';
import { HoldingSums } from './holding-sums.ts';
import { LoneUse } from './lone-use.ts';
import { ReleasingUsage } from './releasing-usage.ts';

/** Choices that are kept: each pod of a gang asks for its own. */
const MAX_CHOICES = 10_000;

/** Number of gangs of a queue. */
export interface GangCount {
  readonly pending: number;
  readonly running: number;
}

type Context = Pick<LoopContext, 'view' | 'reservations' | 'clock' | 'settings' | 'isolation'>;

export class QueueTable {
  readonly #context: Context;
  readonly #lone: LoneUse;
  readonly #releasing: ReleasingUsage;
  readonly grants: Grants;
  #records: readonly GangRecord[] = [];
  /** The gangs within the guarantees of their queues, by key; undefined: not asked for in this cycle. */
  #covered: ReadonlySet<string> | undefined;
  #tree: QueueTree = buildQueueTree([]);
  #isStale = true;
  /** Tenants write the labels, so only some of the choices are kept. */
  readonly #choices = new LRUCache<string, QueueChoice>({ max: MAX_CHOICES });
  /** Decayed usage of the leaf queues as of `#usedAt`. */
  #usage = new Map<string, Amounts>();
  #usedAt: number;
  #held = new Map<string, Map<string, number>>();
  /** Without lone pods. */
  #heldByGangs = new Map<string, Map<string, number>>();
  #use: UseByQueue = new Map();
  #capacity: { readonly of: Snapshot['nodes'] | undefined; readonly amounts: Amounts } = {
    of: undefined,
    amounts: NOTHING,
  };
  readonly #holdings: HoldingSums;
  readonly #asked = new WeakMap<Gang, Amounts>();

  constructor(context: Context) {
    this.#context = context;
    this.#usedAt = context.clock.now();
    this.#releasing = new ReleasingUsage(this, context.view);
    this.#holdings = new HoldingSums(context);
    this.grants = new Grants(context.reservations, this.#holdings);
    this.#lone = new LoneUse(context.settings.policy.isAccelerator, (node) =>
      this.#isNode(node) ? this.modelOf(node) : undefined,
    );
  }

  get tree(): QueueTree {
    return this.#tree;
  }

  get capacity(): Amounts {
    return this.#capacity.amounts;
  }

  /** What each queue holds now, including the queues below it, by name. */
  get use(): UseByQueue {
    return this.#use;
  }

  onPod(uid: string, pod: PodModel | undefined): void {
    this.#lone.onPod(uid, pod);
  }

  /** Queue objects changed: the next cycle builds the tree again. */
  onQueues(): void {
    this.#isStale = true;
  }

  /** Begins with the bound pods of the cluster, and with the usage that an earlier process wrote. */
  recover(records: readonly GangRecord[]): void {
    const { podsOn, byName } = this.#context.view.snapshot();
    for (const row of byName) for (const pod of podsOn[row]!) this.#lone.onPod(pod.uid, pod);
    this.refresh(records);
    const now = this.#context.clock.now();
    const { halfLifeMs } = this.#context.settings.queues;
    for (const { name, usage } of this.#context.view.queues()) {
      if (!usage) continue;
      // What was held in the meantime is unknown: the best guess is what is held now.
      this.#usage.set(name, decayUsage(usage.amounts, this.heldBy(name), now - usage.at, halfLifeMs));
    }
  }

  /** Brings everything up to date. Call it at the beginning of each cycle. O(gangs). */
  refresh(records: readonly GangRecord[]): void {
    const { view, settings, clock } = this.#context;
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
    const snapshot = view.snapshot();
    if (this.#capacity.of !== snapshot.nodes)
      this.#capacity = { of: snapshot.nodes, amounts: capacityOf(snapshot, settings.policy.isAccelerator) };
    this.#held = new Map();
    this.#context.isolation.each(records, 'admit', (record) => {
      const amounts = this.holdingsOf(record);
      if (amounts.size > 0) this.#hold(this.queueOf(record.gang.namespace, record.gang.queue), amounts);
    });
    this.#heldByGangs = this.#held;
    this.#addLonePods();
    this.#releasing.refresh(records);
    this.#records = records;
    this.#covered = undefined;
  }

  /** Updates what lone pods hold between two cycles. */
  countLonePods(): void {
    if (this.#lone.isStale) this.#addLonePods();
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

  /** The queue that running pods count for: `default` if their own cannot be used (any more). */
  queueOf(namespace: string, label: string | undefined): Queue | undefined {
    return countedIn(this.#tree, this.choose(namespace, label));
  }

  /** What the leaf queue holds now: bound members, slots and lone pods. */
  heldBy(leaf: string): Amounts {
    return this.#held.get(leaf) ?? NOTHING;
  }

  /** What the queue holds now, including the queues below it. */
  useOf(queue: string): Amounts {
    return this.#use.get(queue) ?? NOTHING;
  }

  /** The decayed mean of what the queue held, including the queues below it. */
  usageOf(queue: string): Amounts {
    const own = this.#usage.get(queue) ?? NOTHING;
    const { children = [] } = this.#tree.byName.get(queue) ?? {};
    return children.length === 0 ? own : sumAmounts(children.map(({ name }) => this.usageOf(name)));
  }

  shares(): ReadonlyMap<string, QueueShare> {
    const projected = new Map<string, Amounts>();
    for (const { name } of this.#tree.leaves) projected.set(name, projectUsage(this.usageOf(name), this.heldBy(name)));
    return rankQueues(this.#tree, projected, this.#capacity.amounts);
  }

  order<G extends PendingGang>(pending: readonly G[], now: number): QueueOrder<G> {
    const { weights, maxAgeMs } = this.#context.settings.queues;
    return new QueueOrder(pending, {
      tree: this.#tree,
      capacity: this.#capacity.amounts,
      usage: this.#usage,
      held: this.#held,
      weights,
      maxAgeMs,
      now,
    });
  }

  /** The gang got this in this cycle, within its quota: others may use that much less. */
  charge(queue: Queue, amounts: Amounts, record?: GangRecord): void {
    if (record) this.grants.note(record, queue.name);
    this.#hold(queue, amounts);
    this.#hold(queue, amounts, this.#heldByGangs);
    this.#use = rollUp(this.#tree, this.#held);
  }

  /** The least that the gang needs to start; by GPU model only if its members require one. */
  askedBy(gang: Gang): Amounts {
    let asked = this.#asked.get(gang);
    if (!asked) {
      asked = this.amountsOf(gang.present.slice(0, gang.minMember));
      this.#asked.set(gang, asked);
    }
    return asked;
  }

  /** What the pods request, by the GPU model of their nodes, or by the only model that they accept. */
  amountsOf(pods: readonly PodModel[], nodeOf?: (pod: PodModel) => string): Amounts {
    return this.#holdings.amountsOf(pods, nodeOf);
  }

  /** What the pods would hold on nodes of the GPU model. */
  amountsOn(model: string, pods: readonly PodModel[]): Amounts {
    const amounts = new Map<string, number>();
    for (const { template } of pods) addUse(amounts, template, model, this.#context.settings.policy.isAccelerator);
    return amounts;
  }

  /** What the gang holds: bound members, pods that have not left yet, slots and placeholders. */
  holdingsOf(record: GangRecord): Amounts {
    return this.#holdings.of(record);
  }

  /** Which pods a gang of the queue may evict if it asks for this much. */
  rightsOf(queue: Queue, priority: number, asked: Amounts): QuotaHolders {
    const use = this.#releasing.without(this.#held, this.#use);
    const covered = this.#listCovered();
    return quotaHolders({ tree: this.#tree, queue, priority, asked, use, covered }, this);
  }

  /** Whether the queue may hold this much more, once these pods have left. */
  hasQuotaFor(queue: Queue, asked: Amounts, leaving: readonly PodModel[]): boolean {
    const held = new Map(this.#held);
    for (const pod of leaving) {
      const { name } = this.queueOf(pod.namespace, pod.labels[QUEUE]) ?? {};
      const own = name === undefined ? undefined : held.get(name);
      if (own) held.set(name!, new Map(subtractAmounts(own, this.amountsOf([pod]))));
    }
    const use = leaving.length === 0 ? this.#use : rollUp(this.#tree, held);
    if (judgeQuota(queue, asked, use).kind === 'refused') return false;
    return findModelRefusals(queue, asked, use).size === 0;
  }

  #listCovered(): ReadonlySet<string> {
    this.#covered ??= this.#tree.promised.size === 0 ? NOBODY : listCovered(this.#listHolding(), this.#use);
    return this.#covered;
  }

  #listHolding(): readonly HoldingGang[] {
    return this.#records.flatMap((record) => {
      const { gang, census } = record;
      const queue = this.queueOf(gang.namespace, gang.queue);
      const amounts = this.holdingsOf(record);
      if (!queue || amounts.size === 0) return [];
      const startedAt = leastOf(census.bound.map(startOf));
      return [{ key: gang.key, queue, amounts, startedAt }];
    });
  }

  /** These units are evicted: their queues owe that much less. */
  noteEvicted(victims: readonly VictimUnit[]): void {
    this.#releasing.add(victims.flatMap(({ pods }) => pods.map(({ uid }) => uid)));
  }

  /** GPU models without quota left in the queue, each with the refusal. */
  listExcludedModels(queue: Queue, asked: Amounts): ExcludedModels {
    return findModelRefusals(queue, asked, this.#use);
  }

  /** Limits the demand to as many members as the queue has quota for. Placeholders count for the quota already. */
  limitDemand(demand: Demand, candidate: Pick<AdmissionCandidate, 'kind' | 'record' | 'constraints'>): Demand {
    if (demand.kind !== 'members') return demand;
    const { record, constraints } = candidate;
    const { queue } = constraints;
    if (!queue) return demand;
    const { members } = demand;
    if (candidate.kind === 'started' && demand.blocksStart) {
      const more = this.grants.beyond(record, queue.name, members.slice(0, demand.min));
      if (judgeQuota(queue, more, this.#use).kind === 'refused') return { kind: 'none' };
    }
    if (demand.blocksStart && members.length === demand.min) return demand;
    const places = Math.min(this.#context.reservations.countPlaceholders(record.gang.key), members.length);
    const least = Math.max(demand.blocksStart ? demand.min : 0, places);
    const allowed = this.#countAllowed(queue, members, least, constraints);
    const isEnough = allowed > 0 && (demand.blocksStart || allowed >= demand.min);
    return isEnough ? { ...demand, members: members.slice(0, allowed) } : { kind: 'none' };
  }

  /** Why the members that are needed, or not one of the others, may be placed: the quota of the queue; undefined: they may. */
  findRefusal(queue: Queue, { members, min, blocksStart }: MembersDemand): QuotaRefusal | undefined {
    const asked = this.amountsOf(members.slice(0, blocksStart ? min : 1));
    const verdict = judgeQuota(queue, asked, this.#use);
    return verdict.kind === 'refused' ? verdict.refusal : [...this.listExcludedModels(queue, asked).values()][0];
  }

  /** Number of gangs of each queue, and of those below it, that wait and run; no entry: none. */
  countGangs(records: readonly GangRecord[]): ReadonlyMap<string, GangCount> {
    const counts = new Map<string, { pending: number; running: number }>();
    for (const { gang, state, census } of records) {
      if (gang.present.length === 0) continue;
      const queue = this.queueOf(gang.namespace, gang.queue);
      for (const { name } of queue?.path ?? []) {
        const count = counts.get(name) ?? { pending: 0, running: 0 };
        counts.set(name, count);
        if (state === 'Running' || state === 'Broken' || (state === 'Invalid' && census.bound.length > 0))
          count.running++;
        else count.pending++;
      }
    }
    return counts;
  }

  /**
   * The most members, at least `least`, for which the queue has quota, whichever allowed GPU models they get. O(log
   * members) judgements.
   */
  #countAllowed(queue: Queue, members: readonly PodModel[], least: number, constraints: AdmissionConstraints): number {
    const { excludedModels: excluded, withinOnly = false } = constraints;
    const isAllowed = (count: number): boolean => {
      const asked = this.amountsOf(members.slice(0, count));
      const { kind } = judgeQuota(queue, asked, this.#use);
      if (kind === 'refused' || (withinOnly && kind === 'borrows')) return false;
      return [...this.listExcludedModels(queue, asked).keys()].every((model) => excluded.has(model));
    };
    return countMost(least, members.length, isAllowed);
  }

  #isNode(name: string): boolean {
    return this.#context.view.snapshot().indexOf.has(name);
  }

  /** The GPU model of the node; '' if unknown. */
  modelOf(node: string): string {
    return gpuModelOf(this.#context.view.snapshot(), node);
  }

  #addLonePods(): void {
    this.#held = new Map([...this.#heldByGangs].map(([leaf, amounts]) => [leaf, new Map(amounts)]));
    for (const { namespace, label, amounts } of this.#lone.groups()) {
      this.#hold(this.queueOf(namespace, label), amounts);
    }
    this.#use = rollUp(this.#tree, this.#held);
  }

  #hold(queue: Queue | undefined, amounts: Amounts, held = this.#held): void {
    if (!queue) return;
    const own = held.get(queue.name) ?? new Map<string, number>();
    held.set(queue.name, own);
    addAmounts(own, amounts);
  }
}

const NOBODY: ReadonlySet<string> = new Set();
