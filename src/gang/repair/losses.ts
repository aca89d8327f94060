/**
 * Finds members that are lost, and which of them are to be replaced. A loss is seen, never concluded from a number: a
 * member that ended well, one that its controller removed and one that will not come again are no losses. Pure.
 */
import { PREEMPTED_BY } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { type Gang, gangKeyOf } from '../../core/podgroup/gang.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { GangRecord } from '../state/records.ts';
import type { Loss } from '../state/repair-status.ts';

export interface LostOnNodes {
  /** Bound members on lost nodes, by gang. */
  readonly byGang: ReadonlyMap<string, readonly PodModel[]>;
  /** When the next node that is not ready counts as lost, milliseconds; Infinity: none. */
  readonly nextAt: number;
}

/**
 * Members that count as lost although their pods may still exist: their node has been not ready for too long. O(nodes).
 * @param toleranceMs how long a node may be not ready.
 */
export function findLostOnNodes({ nodes, podsOn }: Snapshot, now: number, toleranceMs: number): LostOnNodes {
  const byGang = new Map<string, PodModel[]>();
  let nextAt = Number.POSITIVE_INFINITY;
  nodes.forEach((node, row) => {
    if (!node || node.ready) return;
    const lostAt = (node.notReadySince ?? now) + toleranceMs;
    if (lostAt > now) {
      nextAt = Math.min(nextAt, lostAt);
      return;
    }
    for (const pod of podsOn[row]!) {
      // What never ran there is no loss: its creator may have chosen the node.
      const gang = pod.deleting || !pod.isConfirmed ? undefined : gangKeyOf(pod);
      if (gang === undefined) continue;
      const lost = byGang.get(gang);
      if (lost) lost.push(pod);
      else byGang.set(gang, [pod]);
    }
  });
  return { byGang, nextAt };
}

/**
 * A controller that does not say how many members it makes replaces one that was removed within seconds, or not at all:
 * then it was told to make fewer. Milliseconds.
 */
const REPLACED_WITHIN_MS = 5_000;

/** Creation times have whole seconds, and another clock wrote them. Milliseconds. */
const CREATION_SLACK_MS = 2_000;

/**
 * The losses that are still to be replaced: no more of each owner than it will still make or has made already.
 * @param losses of the gang.
 * @param podOf the pod as the watch shows it now.
 */
export function listOpenLosses(
  { gang, census }: Pick<GangRecord, 'gang' | 'census'>,
  losses: readonly Loss[],
  podOf: (uid: string) => PodModel | undefined,
  now: number,
): readonly Loss[] {
  if (losses.length === 0) return losses;
  const open = new Map(gang.coming);
  for (const { owner } of census.unbound) {
    if (owner && open.has(owner.uid)) open.set(owner.uid, open.get(owner.uid)! + 1);
  }
  return losses.flatMap((loss) => {
    const { owner } = loss.pod;
    const expected = owner && open.get(owner.uid);
    if (expected !== undefined) {
      open.set(owner!.uid, expected - 1);
      return expected > 0 ? [loss] : [];
    }
    if (!mayComeAgain(gang, loss.pod)) return [];
    if (!wasRemoved(loss)) return [loss];
    const pod = podOf(loss.pod.uid);
    // It is replaced only when it is gone. A ReplicaSet does not wait for that.
    if (pod && !isTerminated(pod) && owner?.kind !== 'ReplicaSet') return [{ ...loss, at: now }];
    return mayBeReplaced(loss, census.unbound) || now < loss.at + REPLACED_WITHIN_MS ? [loss] : [];
  });
}

/**
 * Losses that the gang does without, and whose replacements go before others nevertheless: for `keptMs`, as long as places
 * are kept for those that it needs. Who was evicted for others must not take their place.
 */
export function listSpareLosses(spare: readonly Loss[], now: number, keptMs: number): readonly Loss[] {
  if (spare.length === 0) return spare;
  return spare.filter(
    ({ pod: { annotations, disruption }, at }) =>
      now < at + keptMs && annotations[PREEMPTED_BY] === undefined && disruption !== 'PreemptionByScheduler',
  );
}

/** Whether a member waits that may be the replacement: then the controller has not been told to make fewer. */
function mayBeReplaced({ since }: Loss, waiting: readonly PodModel[]): boolean {
  return waiting.some(({ createdAt }) => createdAt >= since - CREATION_SLACK_MS);
}

/** When a loss stops counting by time alone, milliseconds; Infinity: none does. One that counts for longer needs no alarm. */
export function lossesChangeAt(left: readonly Loss[], now: number): number {
  return left.reduce((next, loss) => {
    const at = loss.at + REPLACED_WITHIN_MS;
    return wasRemoved(loss) && at > now ? Math.min(next, at) : next;
  }, Number.POSITIVE_INFINITY);
}

/**
 * Whether it is not known yet if the member comes again: its controller may have removed it for good. A pod that is
 * deleted ends as failed, too.
 */
export function wasRemoved({ pod: { owner, phase, deleting, disruption } }: Loss): boolean {
  return owner !== undefined && owner.kind !== 'Job' && (phase !== 'Failed' || deleting) && disruption === '';
}

/** A Job that does not count any more makes no pods, and a worker of an MPIJob that failed is not replaced. */
function mayComeAgain({ onMemberLoss }: Gang, { owner, phase }: PodModel): boolean {
  if (owner?.kind === 'Job') return false;
  return owner?.kind !== 'MPIJob' || phase !== 'Failed' || onMemberLoss === 'restart';
}
