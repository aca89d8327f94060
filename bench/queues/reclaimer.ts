/** Chooses the victims for a gang within its queue's guarantee. */

import type { PlannedStart } from '../../src/core/backfill/planned-start.ts';
import type { PodModel } from '../../src/core/objects/model.ts';
import type { PlannedSlot } from '../../src/core/placement/plan.ts';
import { describeGang, type Gang, type GangKey } from '../../src/core/podgroup/gang.ts';
import type { RunningGang } from '../../src/core/preemption/candidates.ts';
import { type Amounts, addUse, sumAmounts } from '../../src/core/queues/amounts.ts';
import type { PendingGang } from '../../src/core/queues/order.ts';
import type { UseByQueue } from '../../src/core/queues/quota.ts';
import type { QueueTree } from '../../src/core/queues/tree.ts';
import { planReclaim } from '../../src/core/reclaim/reclaim.ts';
import { type Borrower, evictionRights, isOwedAny, listExcessVictims } from '../../src/core/reclaim/rights.ts';
import { type Occupant, withOccupants } from '../../src/core/snapshot/snapshot.ts';
import { aGangSources } from '../../test/support/builders.ts';
import { type Cluster, planPolicy } from './cluster.ts';
import type { Job } from './trace.ts';

export class Reclaimer {
  readonly #cluster: Cluster;
  readonly #tree: QueueTree;
  /** Failed attempts since a job last came or went. */
  readonly #failed = new Set<string>();
  #generation = -1;
  readonly #gangs = new Map<Job, Gang>();

  constructor(cluster: Cluster, tree: QueueTree) {
    this.#cluster = cluster;
    this.#tree = tree;
  }

  /**
   * Where the gang fits once the victims are gone; without victims, once the jobs that leave anyway are gone.
   * @param starts planned starts whose space must not be taken.
   * @param soon jobs that end before a victim could be gone.
   */
  find(
    { queue, asked }: PendingGang,
    job: Job,
    use: UseByQueue,
    starts: readonly PlannedStart[],
    soon: ReadonlyMap<Job, number>,
    now: number,
  ): { readonly slots: readonly PlannedSlot[]; readonly victims: readonly Job[] } | undefined {
    const { snapshot } = this.#cluster;
    if (snapshot.generation !== this.#generation) this.#failed.clear();
    this.#generation = snapshot.generation;
    const shape = `${queue.name} ${job.pods} ${job.gpus}`;
    if (this.#failed.has(shape) || !isOwedAny({ tree: this.#tree, queue, asked, use })) return undefined;
    const query = {
      tree: this.#tree,
      queue,
      priority: 0,
      asked,
      use,
      queueOf: (pod: PodModel) => this.#tree.byName.get(pod.namespace),
    };
    const guarantees = {
      rights: evictionRights(query),
      isOwed: true,
      listExcess: (units: readonly Borrower[]) => listExcessVictims(query, units, amountsOf),
    };
    const gang = this.#cluster.requestOf(job);
    const leaving = new Map([...soon].flatMap(([each, at]) => this.#cluster.podsOf(each).map((pod) => [pod, at])));
    const request = {
      gang,
      guarantees,
      running: [...this.#listGangs()],
      budgets: [],
      barred: new Set<string>(),
      departures: leaving,
    };
    const then = withOccupants(snapshot, listOccupants(starts, snapshot.indexOf));
    const found = planReclaim(then, request, planPolicy, now);
    if (found.kind === 'coming') return { slots: found.slots, victims: [] };
    if (found.kind === 'preempt') {
      return { slots: found.slots, victims: found.victims.map(({ pods }) => this.#cluster.jobOf(pods[0]!)) };
    }
    this.#failed.add(shape);
    return undefined;
  }

  #gangOf(job: Job, pods: readonly PodModel[]): Gang {
    let gang = this.#gangs.get(job);
    if (!gang) {
      gang = describeGang(job.key as GangKey, aGangSources(pods));
      this.#gangs.set(job, gang);
    }
    return gang;
  }

  *#listGangs(): Iterable<RunningGang> {
    for (const job of this.#cluster.jobs) {
      if (job.pods === 1) continue;
      const pods = this.#cluster.podsOf(job);
      const gang = this.#gangOf(job, pods);
      const bound = pods.filter(({ deleting }) => !deleting);
      yield { gang, bound };
    }
  }
}

function amountsOf(pods: readonly PodModel[]): Amounts {
  return sumAmounts(
    pods.map(({ template }) => {
      const amounts = new Map<string, number>();
      addUse(amounts, template, undefined, planPolicy.isAccelerator);
      return amounts;
    }),
  );
}

function listOccupants(
  starts: readonly PlannedStart[],
  indexOf: ReadonlyMap<string, Occupant['node']>,
): readonly Occupant[] {
  return starts.flatMap(({ gang, slots, request }) => {
    const memberOf = new Map(request.members.map((member) => [member.uid, member]));
    return slots.map(({ uid, node }) => {
      const { namespace, labels, template } = memberOf.get(uid)!;
      const shields = Number.POSITIVE_INFINITY;
      return { uid, node: indexOf.get(node)!, namespace, labels, template, shields, gang, exclusive: undefined };
    });
  });
}
