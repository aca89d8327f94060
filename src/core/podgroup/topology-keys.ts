/** Reads what a gang's annotations ask of the fabric, and finds what is wrong with them on any cluster. O(members). */
import {
  readDuration,
  SLICE_REQUIRED,
  SLICE_SIZE,
  TOPOLOGY_EXCLUSIVE,
  TOPOLOGY_PATIENCE,
  TOPOLOGY_PREFERRED,
  TOPOLOGY_REQUIRED,
  TOPOLOGY_SPREAD,
} from '../objects/keys.ts';
import type { Labels, PodModel } from '../objects/model.ts';
import { wholeNumber } from '../objects/text-values.ts';
import type { TopologyRequest } from '../topology/request.ts';

/** A key that makes no sense without another one. */
export interface MissingKey {
  readonly kind: 'missing-key';
  readonly key: string;
  readonly needs: string;
}

/**
 * Reads the first speaker's annotations. Where speakers contradict each other, the gang has a problem and waits.
 * @param minMember how many members have to exist; patience begins when they do.
 */
export function readTopologyKeys(
  speakers: readonly PodModel[],
  members: readonly PodModel[],
  minMember: number | undefined,
): TopologyRequest {
  const annotations: Labels = speakers[0]?.annotations ?? {};
  const size = wholeNumber(annotations[SLICE_SIZE]);
  const level = annotations[SLICE_REQUIRED];
  const patience = readDuration(annotations[TOPOLOGY_PATIENCE]);
  return {
    required: annotations[TOPOLOGY_REQUIRED],
    preferred: annotations[TOPOLOGY_PREFERRED],
    patientUntil: patience === undefined ? undefined : completeSince(members, minMember) + patience,
    slice: size !== undefined && size > 0 && level !== undefined ? { size, level } : undefined,
    spread: annotations[TOPOLOGY_SPREAD],
    exclusive: annotations[TOPOLOGY_EXCLUSIVE],
  };
}

export function findMissingKeys(members: readonly PodModel[]): readonly MissingKey[] {
  const annotations: Labels = members[0]?.annotations ?? {};
  const pairs = [
    [TOPOLOGY_PATIENCE, TOPOLOGY_PREFERRED],
    [SLICE_SIZE, SLICE_REQUIRED],
    [SLICE_REQUIRED, SLICE_SIZE],
  ] as const;
  return pairs.flatMap(([key, needs]) =>
    annotations[key] !== undefined && annotations[needs] === undefined ? [{ kind: 'missing-key', key, needs }] : [],
  );
}

/**
 * When the gang became complete, milliseconds since the epoch. Computed from the pods, so that a restart does not
 * change it.
 */
function completeSince(members: readonly PodModel[], minMember = members.length): number {
  const created = members.map(({ createdAt }) => createdAt).sort((a, b) => a - b);
  return created[Math.min(minMember, created.length) - 1] ?? 0;
}
