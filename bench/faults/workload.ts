/** What is submitted in a round: more gangs than the cluster holds at once, of many sizes, drawn from the seed. */
import type { V1Job, V1Pod } from '@kubernetes/client-node';
import { gangPods, gpuJob } from '../../test/e2e/objects.ts';
import type { ExpectedGang } from '../plane/ledger.ts';
import type { Random } from '../random.ts';

export const NODES = 16;
export const GPUS_A_NODE = 8;
export const RACK = 'bench.muster.dev/rack';
const NODES_A_RACK = 4;
/** The queue with a limit, and that limit. */
export const CAPPED = { queue: 'capped', resource: 'nvidia.com/gpu', limit: 32 };
export const GANGS = 24;

/** One thing that the users do in a round. */
export interface Submission {
  readonly atMs: number;
  readonly job: V1Job;
  readonly expected: ExpectedGang;
  /** Its user deletes it then, done or not. */
  readonly deleteAtMs: number | undefined;
}

export interface Workload {
  readonly submissions: readonly Submission[];
  /** Gangs that can never start: one is larger than the cluster, one never gets its last member. */
  readonly hopeless: readonly { readonly expected: ExpectedGang; readonly pods: readonly V1Pod[] }[];
  /** A gang over all GPUs: that it starts in the end shows that nothing is held any more. */
  readonly last: { readonly expected: ExpectedGang; readonly pods: readonly V1Pod[] };
}

/** The rack of a node by its name, as its label says. */
export function rackOf(node: string): string {
  return `rack-${Math.floor(Number(node.slice(node.lastIndexOf('-') + 1)) / NODES_A_RACK)}`;
}

/** When the last gang of a round is submitted, after its begin. */
const SUBMIT_MS = 4_000;
const SIZES = [2, 2, 2, 3, 3, 4, 4, 6, 8];
const GPUS = [1, 2, 4, 8];
/** They run already when the others come, on all nodes but one. */
const LOW = { size: 5, gpus: GPUS_A_NODE, runSeconds: 4 };
const LOW_GANGS = 3;
const HIGH_GANGS = 4;
const QUEUES = [undefined, undefined, 'team', 'capped'];

/** @param round makes names unique: nothing of an earlier round can be taken for this one's. */
export function drawWorkload(round: string, random: Random): Workload {
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)]!;
  // Low gangs come first and run for longer, so the high ones find victims.
  const submissions = Array.from({ length: GANGS }, (_, i): Submission => {
    const isLow = i < LOW_GANGS;
    const isHigh = i >= GANGS - HIGH_GANGS;
    const inRack = !isLow && random.below(4) === 0;
    const queue = isLow || isHigh ? undefined : pick(QUEUES);
    const size = pick(SIZES);
    // A rack has 32 GPUs, and the queue with the limit takes no gang above as many.
    const gpus = size > 4 ? pick([1, 2, 4]) : pick(GPUS);
    const other = { size, gpus, runSeconds: 1 + random.below(2) };
    return {
      ...submission(`${round}-${i}`, {
        ...(isLow ? LOW : other),
        ...(queue !== undefined && { queue }),
        ...(inRack && { topologyRequired: 'rack' }),
        ...(isHigh ? { priorityClassName: 'high' } : isLow ? { priorityClassName: 'low' } : {}),
      }),
      atMs: isLow ? 0 : Math.round((i * SUBMIT_MS) / GANGS),
      deleteAtMs: i % 9 === 7 ? (i * SUBMIT_MS) / GANGS + random.below(3_000) : undefined,
    };
  });
  const tooLarge = `${round}-too-large`;
  const gap = `${round}-incomplete`;
  const last = `${round}-last`;
  return {
    submissions,
    hopeless: [
      {
        expected: { name: tooLarge, min: 3, completions: 3 },
        pods: gangPods({ gang: tooLarge, size: 3, gpus: GPUS_A_NODE * 2 }),
      },
      {
        expected: { name: gap, min: 4, completions: 4 },
        pods: gangPods({ gang: gap, size: 3, minMembers: 4, gpus: 1 }),
      },
    ],
    last: {
      expected: { name: last, min: NODES, completions: NODES },
      pods: gangPods({ gang: last, size: NODES, gpus: GPUS_A_NODE }),
    },
  };
}

function submission(
  name: string,
  options: Omit<Parameters<typeof gpuJob>[0], 'name'> & { readonly size: number },
): Submission {
  const { size, topologyRequired } = options;
  return {
    atMs: 0,
    job: gpuJob({ ...options, name }),
    expected: { name, min: size, completions: size, ...(topologyRequired !== undefined && { domainOf: rackOf }) },
    deleteAtMs: undefined,
  };
}
