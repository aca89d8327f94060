/** Unbound pods outside Muster's gangs that take up space: those that kube-scheduler nominated, and pinned DaemonSet pods. */
import { isTerminated, type PodModel } from '../core/objects/model.ts';

/** A pod that holds capacity on a node without being bound, and that is in no gang of Muster. */
export interface ClaimedSpace {
  readonly pod: PodModel;
  /** The node for which a DaemonSet pod was created; undefined for a nominated pod. */
  readonly pinnedTo: string | undefined;
}

export class ForeignHolders {
  readonly #holders = new Map<string, ClaimedSpace>();
  /** When claims were last looked at, milliseconds. */
  #now = Number.NEGATIVE_INFINITY;

  add(pod: PodModel): void {
    const holder = readForeignHolder(pod);
    if (holder) this.#holders.set(pod.uid, holder);
  }

  delete(uid: string): void {
    this.#holders.delete(uid);
  }

  *values(): Generator<ClaimedSpace> {
    for (const holder of this.#holders.values()) if (claimEndsAt(holder) > this.#now) yield holder;
  }

  /**
   * Ends the claims of DaemonSet pods that have been pending for too long: nobody knows what they wait for.
   * @returns whether any ended since the last call, and when the next one ends, milliseconds.
   */
  endClaims(now: number): { readonly hasEnded: boolean; readonly nextAt: number } {
    let [hasEnded, nextAt] = [false, Number.POSITIVE_INFINITY];
    for (const holder of this.#holders.values()) {
      const endsAt = claimEndsAt(holder);
      if (endsAt > now) nextAt = Math.min(nextAt, endsAt);
      else hasEnded ||= endsAt > this.#now;
    }
    this.#now = now;
    return { hasEnded, nextAt };
  }
}

/** What another scheduler has only nominated keeps no place: it may never use it, and would not respect ours either. */
function readForeignHolder(pod: PodModel): ClaimedSpace | undefined {
  if (!pod.isOurs || pod.nodeName !== '' || isTerminated(pod) || pod.deleting) return undefined;
  const pinnedTo = pinnedNode(pod);
  return pod.nominatedNodeName !== '' || pinnedTo !== undefined ? { pod, pinnedTo } : undefined;
}

/** On a new node the pods of DaemonSets are bound within seconds. One that is still pending after this counts no more. */
const CLAIM_LASTS_MS = 300_000;

function claimEndsAt({ pod, pinnedTo }: ClaimedSpace): number {
  return pinnedTo === undefined ? Number.POSITIVE_INFINITY : pod.createdAt + CLAIM_LASTS_MS;
}

/** The node for which a DaemonSet pod was created (its controller pins each pod by `metadata.name`). */
function pinnedNode(pod: PodModel): string | undefined {
  if (pod.owner?.kind !== 'DaemonSet' || !pod.isOfNode) return undefined;
  const fields = pod.template.nodeAffinity?.[0]?.matchFields ?? [];
  return fields.find(({ key, operator }) => key === 'metadata.name' && operator === 'In')?.values[0];
}
