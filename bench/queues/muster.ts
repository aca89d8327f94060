/**
 * Muster's queues in virtual time: order, quotas, planned starts and reclaim of the real core, in rounds like those of
 * the coordinator. One queue per tenant.
 */

import type { Ending, PlannedStart } from '../../src/core/backfill/planned-start.ts';
import { reservedView } from '../../src/core/backfill/reserved-view.ts';
import { planStart } from '../../src/core/backfill/start-planner.ts';
import { type Amounts, addUse, NOTHING } from '../../src/core/queues/amounts.ts';
import { decayUsage } from '../../src/core/queues/fair-share.ts';
import { type OrderWeights, QueueOrder } from '../../src/core/queues/order.ts';
import { rollUp } from '../../src/core/queues/quota.ts';
import { buildQueueTree, plainQueue, type QueueTree } from '../../src/core/queues/tree.ts';
import { GPU } from '../../test/support/builders.ts';
import { Backlog, type Waiting } from './backlog.ts';
import { Cluster, planPolicy } from './cluster.ts';
import { Reclaimer } from './reclaimer.ts';
import { GRACE_MS, type Policy, type Stage } from './simulation.ts';
import { gpusOf, type Job, NODE_GPUS } from './trace.ts';

export interface MusterOptions {
  /** Whether jobs declare their exact run time (`expected-duration`). */
  readonly knowsLengths: boolean;
  readonly backfill: 'easy' | 'none';
}

const HOUR_MS = 3_600_000;
/** The defaults of the configuration. */
const WEIGHTS: OrderWeights = { priority: 1_000_000, fairShare: 10_000, age: 100, size: 0 };
const HALF_LIFE_MS = 168 * HOUR_MS;
const MAX_AGE_MS = 168 * HOUR_MS;
const DRAIN_AFTER_MS = 1_800_000;

/** Space that is being freed for a gang. */
interface Fence {
  readonly applicant: Waiting;
  readonly start: PlannedStart;
  /** Jobs that are leaving its nodes, and are not all gone yet. */
  readonly waitsFor: ReadonlySet<Job>;
}

/** The first blocked gang. */
interface Head {
  readonly job: Job;
  /** Undefined while its start is unknown and no nodes are kept for it. */
  readonly start: PlannedStart | undefined;
}

export class MusterPolicy implements Policy {
  readonly #options: MusterOptions;
  readonly #cluster: Cluster;
  readonly #tree: QueueTree;
  readonly #capacity: Amounts;
  readonly #reclaimer: Reclaimer;
  readonly #waiting = new Backlog();
  /** The jobs on nodes with the time when they are gone; Infinity when unknown. */
  readonly #seated = new Map<Job, { readonly startedAt: number; readonly endsAt: number }>();
  readonly #leaving = new Set<Job>();
  /** Endings of the jobs on nodes, cached until one comes or goes. */
  #listed: readonly Ending[] | undefined;
  #fences: readonly Fence[] = [];
  #head: Head | undefined;
  /** When each first gang became blocked. */
  readonly #blockedSince = new Map<Job, number>();
  /** What is held, by queue. Leaving jobs do not count any more; jobs waiting for space that is being freed do. */
  readonly #held = new Map<string, Map<string, number>>();
  readonly #usage = new Map<string, Amounts>();
  #settledAt: number | undefined;
  /** What did not fit beside planned starts since something was last freed, by starts and shape. */
  readonly #refused = new Set<string>();

  /** @param quotas number of nodes per tenant. */
  constructor(quotas: ReadonlyMap<string, number>, options: MusterOptions) {
    this.#options = options;
    const nodes = [...quotas.values()].reduce((sum, each) => sum + each, 0);
    this.#cluster = new Cluster(nodes);
    this.#tree = buildQueueTree(
      [...quotas].map(([name, own]) => ({
        ...plainQueue(name),
        weight: own,
        quotas: [{ resource: GPU, model: undefined, guaranteed: own * NODE_GPUS, limit: undefined }],
      })),
    );
    this.#capacity = this.#cluster.capacity;
    this.#reclaimer = new Reclaimer(this.#cluster, this.#tree);
    for (const { name } of this.#tree.leaves) this.#held.set(name, new Map());
  }

  get held(): number {
    return this.#cluster.held;
  }

  arrive(job: Job): void {
    const asked = new Map<string, number>();
    const { key, members } = this.#cluster.requestOf(job);
    addUse(asked, members[0]!.template, undefined, planPolicy.isAccelerator, job.pods);
    const queue = this.#tree.byName.get(job.tenant)!;
    this.#waiting.add({ key, queue, priority: 0, createdAt: job.submittedAt, asked, setBack: 0, job });
  }

  leave(job: Job): void {
    this.#cluster.release(job);
    this.#seated.delete(job);
    this.#listed = undefined;
    if (!this.#leaving.delete(job)) this.#charge(job, -1);
    this.#refused.clear();
  }

  round(stage: Stage): void {
    const { now } = stage;
    this.#settle(now);
    this.#enter(stage);
    if (this.#waiting.size === 0) {
      this.#head = undefined;
      return;
    }
    const line = new QueueOrder(
      this.#waiting.list((first) => this.#countHopeful(first)),
      {
        tree: this.#tree,
        capacity: this.#capacity,
        usage: this.#usage,
        held: this.#held,
        weights: WEIGHTS,
        maxAgeMs: MAX_AGE_MS,
        now,
      },
    );
    const last = this.#head;
    this.#head = undefined;
    for (let next = line.next(); next; next = line.next()) {
      const { gang: applicant, verdict } = next;
      if (this.#place(applicant, stage) || (verdict.kind === 'within' && this.#reclaim(applicant, stage))) {
        line.charge(applicant, applicant.asked);
        continue;
      }
      if (this.#options.backfill === 'none') return;
      this.#head ??= this.#plan(applicant, last, stage);
    }
  }

  /**
   * How many equal jobs, by submission, may start or block others in this round: one more than fits into the free GPUs
   * and the guarantee. With known run times a shorter job may pass a longer one of the same shape.
   */
  #countHopeful({ queue, job }: Waiting): number {
    const { free } = this.#cluster;
    if (free > 0 && this.#options.knowsLengths) return Number.POSITIVE_INFINITY;
    const left = queue.guaranteed.get(GPU)! - (this.#held.get(queue.name)!.get(GPU) ?? 0);
    return 1 + Math.floor((free + Math.max(0, left)) / gpusOf(job));
  }

  #settle(now: number): void {
    const elapsed = now - (this.#settledAt ?? now);
    this.#settledAt = now;
    if (elapsed === 0) return;
    for (const [queue, held] of this.#held) {
      this.#usage.set(queue, decayUsage(this.#usage.get(queue) ?? NOTHING, held, elapsed, HALF_LIFE_MS));
    }
  }

  /** Starts the gangs whose fenced space is now completely free. */
  #enter(stage: Stage): void {
    const ready = this.#fences.filter(({ waitsFor }) => [...waitsFor].every((job) => !this.#seated.has(job)));
    if (ready.length === 0) return;
    this.#fences = this.#fences.filter((fence) => !ready.includes(fence));
    for (const { applicant, start } of ready) this.#seat(applicant.job, start.slots, stage);
  }

  #place(applicant: Waiting, stage: Stage): boolean {
    const { job } = applicant;
    const slots = this.#find(job, stage.now);
    if (!slots) return false;
    this.#waiting.delete(applicant);
    this.#charge(job, 1);
    this.#seat(job, slots, stage);
    return true;
  }

  #find(job: Job, now: number): PlannedStart['slots'] | undefined {
    if (!this.#cluster.mayFit(job)) return undefined;
    const endsAt = this.#endOf(job, now);
    const starts = this.#starts.filter(({ startsAt }) => startsAt < endsAt);
    if (starts.length === 0) return this.#cluster.find(job);
    const key = `${starts.map(({ gang, startsAt }) => `${gang} ${startsAt}`).join()} ${job.pods} ${job.gpus}`;
    if (this.#refused.has(key)) return undefined;
    const beside = reservedView(this.#cluster.snapshot, starts, this.#endings, endsAt);
    const slots = this.#cluster.findOn(beside, job);
    if (!slots) this.#refused.add(key);
    return slots;
  }

  #seat(job: Job, slots: PlannedStart['slots'], stage: Stage): void {
    this.#cluster.seat(job, slots, stage.now);
    this.#blockedSince.delete(job);
    this.#listed = undefined;
    this.#seated.set(job, { startedAt: stage.now, endsAt: this.#endOf(job, stage.now) });
    stage.start(job);
  }

  /** Evicts borrowing jobs for one within its guarantee. */
  #reclaim(applicant: Waiting, stage: Stage): boolean {
    const { job } = applicant;
    const goneAt = stage.now + GRACE_MS;
    const soon = new Map([...this.#seated].flatMap(([each, { endsAt }]) => (endsAt <= goneAt ? [[each, endsAt]] : [])));
    const found = this.#reclaimer.find(applicant, job, rollUp(this.#tree, this.#held), this.#starts, soon, stage.now);
    if (!found) return false;
    for (const victim of found.victims) {
      this.#leaving.add(victim);
      this.#charge(victim, -1);
      this.#seated.set(victim, { startedAt: this.#seated.get(victim)!.startedAt, endsAt: goneAt });
      this.#cluster.announce(victim, goneAt);
      stage.evict(victim);
    }
    this.#listed = undefined;
    this.#waiting.delete(applicant);
    this.#charge(job, 1);
    const nodes = new Set(found.slots.map(({ node }) => node));
    const leaving = [...found.victims, ...soon.keys()];
    const waitsFor = new Set(leaving.filter((each) => this.#cluster.nodesOf(each).some((node) => nodes.has(node))));
    const startsAt = Math.max(stage.now, ...[...waitsFor].map((each) => this.#seated.get(each)!.endsAt));
    const request = this.#cluster.requestOf(job);
    const start = {
      gang: request.key,
      startsAt,
      endsAt: this.#endOf(job, startsAt),
      slots: found.slots,
      request,
      waitsFor: [...waitsFor].map(({ key }) => key),
    };
    this.#fences = [...this.#fences, { applicant, start, waitsFor }];
    return true;
  }

  /**
   * What is kept for the first blocked gang: nodes until its known start, or drained nodes when an unknown start has
   * taken too long.
   */
  #plan({ job }: Waiting, last: Head | undefined, stage: Stage): Head {
    const { now } = stage;
    const known = last?.job === job ? last : undefined;
    const since = this.#blockedSince.get(job) ?? now;
    this.#blockedSince.set(job, since);
    if (known?.start && (known.start.startsAt > now || !this.#options.knowsLengths)) return known;
    if (!this.#options.knowsLengths && now < since + DRAIN_AFTER_MS) {
      if (since === now) stage.wake(since + DRAIN_AFTER_MS);
      return { job, start: undefined };
    }
    const length = this.#options.knowsLengths ? job.durationMs : undefined;
    const request = this.#cluster.requestOf(job);
    const earlier = this.#fences.map(({ start }) => start);
    const start = planStart(
      this.#cluster.snapshot,
      { request, lengthMs: length, endings: this.#endings, earlier },
      planPolicy,
      now,
    );
    if (!start || start.startsAt < Number.POSITIVE_INFINITY) return { job, start };
    // Its nodes drain from now on.
    return { job, start: { ...start, startsAt: now } };
  }

  get #starts(): readonly PlannedStart[] {
    const fenced = this.#fences.map(({ start }) => start);
    return this.#head?.start ? [...fenced, this.#head.start] : fenced;
  }

  get #endings(): readonly Ending[] {
    this.#listed ??= [...this.#seated].map(([job, { startedAt, endsAt }]) => ({
      key: job.key,
      pods: this.#cluster.podsOf(job),
      startedAt,
      endsAt,
    }));
    return this.#listed;
  }

  #endOf(job: Job, startedAt: number): number {
    return this.#options.knowsLengths ? startedAt + job.durationMs : Number.POSITIVE_INFINITY;
  }

  #charge(job: Job, sign: 1 | -1): void {
    const held = this.#held.get(job.tenant)!;
    const { template } = this.#cluster.requestOf(job).members[0]!;
    addUse(held, template, undefined, planPolicy.isAccelerator, sign * job.pods);
  }
}
