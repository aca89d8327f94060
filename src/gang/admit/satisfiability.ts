/**
 * Finds gangs that can never start: the nodes that exist would not hold them even if nothing else ran, or their queue
 * may never use as much as they ask for. Such a gang is told at once, is in no line and delays nobody.
 *
 * It is asked only when a gang found no room. Results are remembered by the shape of the gang until the nodes change.
 */
import { LRUCache } from 'lru-cache';
import type { PodModel } from '../../core/objects/model.ts';
import { findImpossibility, type Impossibility, shapeOf } from '../../core/placement/best-case.ts';
import type { GangRequest } from '../../core/placement/gang-request.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import type { Amounts } from '../../core/queues/amounts.ts';
import { judgeQuota, type QuotaRefusal, type UseByQueue } from '../../core/queues/quota.ts';
import type { Queue } from '../../core/queues/tree.ts';
import { areSameWhenHealthy, changesEmptyCluster, emptyCluster } from '../../core/snapshot/empty-cluster.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { LoopContext } from '../framework/context.ts';
import { clearBlocked, holdBack } from '../state/admission-status.ts';
import { forgetUnsatisfiable, noteUnsatisfiable } from '../state/attempt.ts';
import { sameMembers } from '../state/lifecycle.ts';
import { type GangRecord, refreshState } from '../state/records.ts';
import type { QueueTable } from './queue-table.ts';

const MAX_SHAPES = 1_024;

/** What all queues use when nothing runs. */
const NO_USE: UseByQueue = new Map();

/** The nodes without pods, and what is known of gangs on them. */
interface EmptyNodes {
  /** The rows that it stands for. */
  nodes: Snapshot['nodes'];
  readonly snapshot: Snapshot;
  /** By shape; `possible`: the gang may start some day. */
  readonly judged: LRUCache<string, Impossibility | 'possible'>;
  /** Gangs that found no room and may start some day. */
  readonly possible: WeakSet<Gang>;
}

/** What a gang was judged on. */
interface Basis {
  readonly gang: Gang;
  /** Undefined: its queue refuses it, whatever the nodes. */
  readonly nodes: EmptyNodes | undefined;
}

type Context = Pick<LoopContext, 'view' | 'reservations' | 'settings' | 'isolation'>;

export class Satisfiability {
  readonly #context: Context;
  readonly #queues: QueueTable;
  readonly #bases = new WeakMap<GangRecord, Basis>();
  #empty: EmptyNodes | undefined;

  constructor(context: Context, queues: QueueTable) {
    this.#context = context;
    this.#queues = queues;
  }

  /** A pod changed. What stays on nodes counts even on empty ones. */
  onPod(before: PodModel | undefined, now: PodModel | undefined): void {
    if (changesEmptyCluster(before, now)) this.#empty = undefined;
  }

  /** Gangs whose nodes, members or queues changed wait again, and are planned in this cycle. O(gangs). */
  review(records: readonly GangRecord[]): void {
    const unsatisfiable = records.filter(({ attempt }) => attempt.unsatisfiable !== undefined);
    this.#context.isolation.each(unsatisfiable, 'admit', (record) => {
      if (this.#stillHolds(record)) return;
      forgetUnsatisfiable(record.attempt);
      refreshState(record, this.#context.reservations);
    });
  }

  /**
   * Whether the gang, which found no room, can never have any: then this is recorded.
   * @param request all that it needs to start.
   */
  lacksNodes(record: GangRecord, request: GangRequest): boolean {
    const nodes = this.#emptyNodes();
    const found = this.#judge(record, request, nodes);
    if (!found) return false;
    this.#record(record, { kind: 'unsatisfiable', ...found }, nodes);
    return true;
  }

  /** Whether the gang, which its queue refuses, asks for more than the queue may ever use: then this is recorded. */
  exceedsQuota(record: GangRecord, queue: Queue, asked: Amounts): boolean {
    const refusal = findLastingRefusal(queue, asked);
    if (!refusal) return false;
    this.#record(record, { kind: 'beyond-quota', refusal }, undefined);
    return true;
  }

  #record(
    record: GangRecord,
    reason: NonNullable<GangRecord['attempt']['unsatisfiable']>,
    nodes: EmptyNodes | undefined,
  ): void {
    const { attempt, admission, gang } = record;
    noteUnsatisfiable(attempt, reason);
    holdBack(admission, undefined);
    clearBlocked(admission);
    this.#bases.set(record, { gang, nodes });
    refreshState(record, this.#context.reservations);
  }

  #judge({ gang }: GangRecord, request: GangRequest, nodes: EmptyNodes): Impossibility | undefined {
    if (nodes.possible.has(gang)) return undefined;
    const shape = shapeOf(request);
    const known = shape === undefined ? undefined : nodes.judged.get(shape);
    const found = known ?? findImpossibility(nodes.snapshot, request, this.#context.settings.policy) ?? 'possible';
    if (shape !== undefined) nodes.judged.set(shape, found);
    if (found !== 'possible') return found;
    nodes.possible.add(gang);
    return undefined;
  }

  #stillHolds(record: GangRecord): boolean {
    const basis = this.#bases.get(record);
    if (!basis || !asksTheSame(basis.gang, record.gang)) return false;
    this.#bases.set(record, { ...basis, gang: record.gang });
    if (basis.nodes) return basis.nodes === this.#emptyNodes();
    const { namespace, queue: label } = record.gang;
    const choice = this.#queues.choose(namespace, label);
    return choice.kind === 'queue' && findLastingRefusal(choice.queue, this.#queues.askedBy(record.gang)) !== undefined;
  }

  /** Made again when nodes have changed otherwise than by going and coming back. */
  #emptyNodes(): EmptyNodes {
    const snapshot = this.#context.view.snapshot();
    const known = this.#empty;
    if (known && (known.nodes === snapshot.nodes || areSameWhenHealthy(known.nodes, snapshot.nodes))) {
      known.nodes = snapshot.nodes;
      return known;
    }
    this.#empty = {
      nodes: snapshot.nodes,
      snapshot: emptyCluster(snapshot, known?.snapshot),
      judged: new LRUCache({ max: MAX_SHAPES }),
      possible: new WeakSet(),
    };
    return this.#empty;
  }
}

/** What refuses the amounts even while nobody uses the queues; undefined: it is a matter of time. */
function findLastingRefusal(queue: Queue, asked: Amounts): QuotaRefusal | undefined {
  const verdict = judgeQuota(queue, asked, NO_USE);
  return verdict.kind === 'refused' ? verdict.refusal : undefined;
}

function asksTheSame(before: Gang, now: Gang): boolean {
  if (before === now) return true;
  const { patientUntil: _, ...asked } = now.topology;
  const { patientUntil: __, ...askedBefore } = before.topology;
  return (
    sameMembers(before, now) && before.queue === now.queue && JSON.stringify(asked) === JSON.stringify(askedBefore)
  );
}
