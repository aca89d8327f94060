/** What arrives in the soak: one gang a second of five members on average, drawn from a seed. */
import type { V1Job } from '@kubernetes/client-node';
import { gpuJob } from '../../test/e2e/objects.ts';
import type { ExpectedGang } from '../plane/ledger.ts';
import type { Random } from '../random.ts';

export const RACK = 'bench.muster.dev/rack';
export const GPUS_A_NODE = 8;
const NODES_A_RACK = 20;
/** Their mean is 5. */
const SIZES = [1, 2, 2, 3, 4, 4, 6, 8, 15];
/** Their mean is 6: one gang a second then holds 30 more GPUs each second. */
const GPUS = [8, 8, 8, 4, 2];
/**
 * Mean 205 s. Gangs then want 6,850 of 8,000 GPUs on average, less what users delete and more what preempted gangs do twice:
 * whole nodes of one rack are rarely free, and the line comes to rest. With 255 s they wanted more than there is, and it grew.
 */
const RUN_SECONDS = { least: 80, most: 330 };
const DELETED_WITHIN_MS = 120_000;
/** How long pods stay on a node that is not ready: shorter than the long flaps, longer than the short ones. */
const NODE_LOSS_SECONDS = 20;
/** Shorter than what the API server needs to be filled with finished Jobs. */
const KEEP_FINISHED_SECONDS = 20;

/** PriorityClasses by name. */
export const PRIORITIES = { low: -1_000, high: 1_000 } as const;

export interface Arrival {
  readonly job: V1Job;
  readonly expected: ExpectedGang;
  /** Its user deletes it so long after its creation, in whatever state it is. */
  readonly deletedAfterMs: number | undefined;
}

/** The rack of a node by its name, as its label says. */
export function rackOf(node: string): string {
  return `rack-${Math.floor(Number(node.slice(node.lastIndexOf('-') + 1)) / NODES_A_RACK)}`;
}

/** One of ten wants whole nodes of one rack and has a high priority: it rarely finds them free, and preempts. */
export function drawArrival(index: number, random: Random): Arrival {
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)]!;
  const name = `soak-${index}`;
  const isUrgent = random.below(10) === 0;
  const size = isUrgent ? 8 : pick(SIZES);
  const isLow = random.below(10) < 6;
  const job = gpuJob({
    name,
    size,
    gpus: isUrgent ? GPUS_A_NODE : pick(GPUS),
    runSeconds: RUN_SECONDS.least + random.below(RUN_SECONDS.most - RUN_SECONDS.least),
    nodeLossSeconds: NODE_LOSS_SECONDS,
    ...(isUrgent ? { topologyRequired: 'rack', priorityClassName: 'high' } : isLow ? { priorityClassName: 'low' } : {}),
    job: { ttlSecondsAfterFinished: KEEP_FINISHED_SECONDS },
  });
  return {
    job,
    expected: { name, min: size, completions: size, ...(isUrgent && { domainOf: rackOf }) },
    deletedAfterMs: random.below(12) === 0 ? random.below(DELETED_WITHIN_MS) : undefined,
  };
}
