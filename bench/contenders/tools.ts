/** Who takes part: kube-scheduler and Muster as in the other benchmarks, and the schedulers of others. */
import type { V1Pod } from '@kubernetes/client-node';
import { type Contender, gangFor, loneGpuPods, MUSTER, MUSTER_SHIPPED, NATIVE, STOCK } from '../e2e/contenders.ts';
import { UsageError } from '../result.ts';
import { COSCHEDULING } from './coscheduling.ts';
import { KUEUE } from './kueue.ts';
import type { Rival } from './rival.ts';
import { GANG_LABEL, type GangRequest, type Submission } from './submission.ts';
import { VOLCANO } from './volcano.ts';

export interface Tool {
  /** As in `--tools`. */
  readonly key: string;
  readonly title: string;
  /** How kube-scheduler runs, and whether Muster does. */
  readonly contender: Contender;
  /** Undefined for those that need no program of others. */
  readonly rival: Rival | undefined;
  submissionOf(gang: GangRequest): Submission;
}

const tools: readonly Tool[] = [
  ours('stock', STOCK),
  ours('muster', MUSTER_SHIPPED),
  ours('ungated', { ...MUSTER, name: 'Muster, ungated' }),
  ours('native', NATIVE),
  theirs(COSCHEDULING),
  theirs(VOLCANO),
  theirs(KUEUE),
];

/** Everybody but a Muster that is not as shipped. */
export const DEFAULT_TOOLS = tools.filter(({ key }) => key !== 'ungated').map(({ key }) => key);

/** @throws UsageError for an unknown name, or when there is none. */
export function parseTools(text: string): readonly Tool[] {
  const known = tools.map(({ key }) => key).join(', ');
  const keys = text.split(',').filter((key) => key !== '');
  if (keys.length === 0) throw new UsageError(`expected names after --tools, found none; there are: ${known}`);
  return [...new Set(keys)].map((key) => {
    const tool = tools.find((candidate) => candidate.key === key);
    if (tool === undefined) throw new UsageError(`expected --tools to name ${known}, found "${key}"`);
    return tool;
  });
}

function ours(key: string, contender: Contender): Tool {
  return {
    key,
    title: contender.name,
    contender,
    rival: undefined,
    submissionOf(gang) {
      const { name, size } = gang;
      // Lone pods belong to no gang.
      const { podGroups = [], pods } = size > 1 ? gangFor(contender, gang) : loneGpuPods(name, 1);
      return {
        gang: name,
        size,
        objects: podGroups.map(({ path, object }) => ({ path, object })),
        pods: pods.map((pod) => labelled(pod, name)),
      };
    },
  };
}

/** Theirs take turns with plain pods, whatever kube-scheduler runs beside them. */
function theirs(rival: Rival): Tool {
  return {
    key: rival.program,
    title: rival.title,
    contender: { ...STOCK, name: rival.title },
    rival,
    submissionOf: (gang) => rival.submissionOf(gang),
  };
}

function labelled(pod: V1Pod, gang: string): V1Pod {
  return { ...pod, metadata: { ...pod.metadata, labels: { ...pod.metadata?.labels, [GANG_LABEL]: gang } } };
}
