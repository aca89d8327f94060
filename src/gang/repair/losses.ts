/** Finds members that count as lost although their pods may still exist: their node has been not ready for too long. */
import type { PodModel } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';

export interface Losses {
  /** Bound members on lost nodes, by gang. */
  readonly byGang: ReadonlyMap<string, readonly PodModel[]>;
  /** When the next node that is not ready counts as lost, milliseconds; Infinity: none. */
  readonly nextAt: number;
}

/** @param toleranceMs how long a node may be not ready. O(nodes). */
export function findLosses({ nodes, podsOn }: Snapshot, now: number, toleranceMs: number): Losses {
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
      const gang = pod.deleting ? undefined : gangKeyOf(pod);
      if (gang === undefined) continue;
      const lost = byGang.get(gang);
      if (lost) lost.push(pod);
      else byGang.set(gang, [pod]);
    }
  });
  return { byGang, nextAt };
}

/** Whether the node could take the pod back, apart from its capacity. */
export function isHealthy({ nodes, indexOf }: Snapshot, name: string): boolean {
  const node = nodes[indexOf.get(name) ?? -1];
  return node?.ready === true && !node.unschedulable && !node.taints.some(({ effect }) => effect === 'NoExecute');
}
