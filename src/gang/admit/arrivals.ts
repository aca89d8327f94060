/** Whether the last members of a gang are about to come, so that it is worth planning it before they do. */
import type { PodModel } from '../../core/objects/model.ts';
import type { GangRecord } from '../state/records.ts';

/**
 * The rest is expected within this, milliseconds. Far below the time for which places are kept: the nominations compete with
 * the creations for the API server. With 1.5 s a 1,000-pod gang on a busy machine was late nearly every time.
 */
const SOON_MS = 500;
/** Below this nothing is won: a plan that is made when the gang is complete comes as early. */
const WORTH_MS = 100;

/** Whether to plan the gang now although members are missing. Once only: one that did not come in time proves us wrong. */
export function isDueEarly({ gang, census, attempt }: GangRecord, now: number): boolean {
  const { arrivals, early } = attempt;
  if (early !== 'possible' || census.started > 0 || gang.problems.length > 0 || gang.minMember === undefined)
    return false;
  const have = gang.members.length;
  const came = have - arrivals.first;
  const missing = gang.minMember - have;
  if (missing <= 0 || came <= 0) return false;
  const restMs = ((now - arrivals.since) / came) * missing;
  return restMs >= WORTH_MS && restMs <= SOON_MS && areAlike(gang.members);
}

/** A launcher among workers, say: nobody knows which of them is still to come. */
function areAlike(members: readonly PodModel[]): boolean {
  return members.every((pod) => pod.template === members[0]!.template);
}
