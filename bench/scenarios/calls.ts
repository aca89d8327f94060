/**
 * The calls of the `filter` benchmark as data: recorded from kube-scheduler, with the number of node names of each
 * case.
 */
import { type RecordingName, readRecording } from '../../test/contract/recording.ts';
import { Random } from '../random.ts';
import { NODES, nodeNameAt } from './cluster.ts';

export interface CallCase {
  readonly name: string;
  readonly path: '/scheduler/filter' | '/scheduler/prioritize';
  /** The recorded call that the body is made from; its pod has some 5.5 KB. */
  readonly recording: RecordingName;
  /** Number of offered nodes; for a member with a slot, only its node. */
  readonly names: number;
  /** Slots reserved for gangs meanwhile. */
  readonly slots: number;
  /** Milliseconds, p99. */
  readonly goal: number | null;
  /** Calls per second, as a share of the echo's. */
  readonly ratioGoal: number | null;
  /** Start of the expected answer: a fast wrong answer does not count. */
  readonly answers: RegExp;
  /** Whether the call has a version of the pod that Muster's watch has not shown yet. */
  readonly isNews?: boolean;
}

/** The node of the recorded member's slot. */
export const MEMBER_NODE = nodeNameAt(42);

export const callCases: readonly CallCase[] = [
  {
    name: 'member, its one node',
    path: '/scheduler/filter',
    recording: 'filter-nominated-member',
    names: 1,
    slots: 500,
    goal: 1,
    ratioGoal: null,
    answers: new RegExp(`^{"NodeNames":\\["${MEMBER_NODE}"\\]}$`),
  },
  {
    name: 'lone pod, 5,000 names',
    path: '/scheduler/filter',
    recording: 'filter-lone-pod',
    names: NODES,
    slots: 0,
    goal: null,
    ratioGoal: 0.8,
    answers: /^{"NodeNames":\["gpu-[^\]]*"\]}$/,
  },
  {
    name: 'lone pod that the watch has not shown yet, 5,000 names',
    path: '/scheduler/filter',
    recording: 'filter-lone-pod',
    names: NODES,
    slots: 0,
    goal: null,
    ratioGoal: null,
    answers: /^{"NodeNames":\["gpu-[^\]]*"\]}$/,
    isNews: true,
  },
  {
    name: 'lone pod, 5,000 names, 500 slots reserved',
    path: '/scheduler/filter',
    recording: 'filter-lone-pod',
    names: NODES,
    slots: 500,
    goal: null,
    ratioGoal: null,
    answers: /^{"NodeNames":\["gpu-[^\]]*"\]}$/,
  },
  {
    name: 'waiting member, 5,000 names',
    path: '/scheduler/filter',
    recording: 'filter-waiting-member',
    names: NODES,
    slots: 500,
    goal: null,
    ratioGoal: null,
    answers: /^{"NodeNames":\[\],"FailedAndUnresolvableNodes":{"muster.dev\/gang"/,
  },
  {
    name: 'lone pod, 500 names (the default sample), 500 slots',
    path: '/scheduler/filter',
    recording: 'filter-lone-pod',
    names: 500,
    slots: 500,
    goal: null,
    ratioGoal: null,
    answers: /^{"NodeNames":\["gpu-[^\]]*"\]}$/,
  },
  {
    name: 'lone pod, prioritize of 32 names',
    path: '/scheduler/prioritize',
    recording: 'prioritize-lone-pod',
    names: 32,
    slots: 500,
    goal: null,
    ratioGoal: null,
    answers: /^\[{"Host":"gpu-/,
  },
];

/** The bytes of the call: the recorded keys in their order, with other names and another nomination. */
export function bodyOf({ recording, names, isNews }: CallCase): Buffer {
  const args = JSON.parse(readRecording(recording).body) as {
    Pod: { metadata: { resourceVersion: string }; status: { nominatedNodeName?: string } };
    NodeNames: string[];
  };
  if (args.Pod.status.nominatedNodeName !== undefined) args.Pod.status.nominatedNodeName = MEMBER_NODE;
  if (isNews) args.Pod.metadata.resourceVersion += '0';
  args.NodeNames = names === 1 ? [MEMBER_NODE] : shuffledNames().slice(0, names);
  return Buffer.from(JSON.stringify(args));
}

/** kube-scheduler filters nodes in parallel, so their names arrive in no particular order. */
function shuffledNames(): string[] {
  const random = new Random(3);
  const all = Array.from({ length: NODES }, (_, index) => nodeNameAt(index));
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}
