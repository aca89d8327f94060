/**
 * The thread that answers questions about victims: it reads one question after the other, runs the same `findVictims` as
 * the decision loop would, and posts the answer. It decides nothing and writes nothing. `worker-searcher.ts` starts it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { manageResources } from '../core/objects/pod-template.ts';
import type { PlacementScore } from '../core/placement/gang-request.ts';
import { findVictims, type Proposal, proposalOf } from '../core/reclaim/victim-question.ts';
import type { ConfiguredLevels } from '../core/topology/levels.ts';
import type { Message } from '../core/transport/messages.ts';
import { QuestionReader } from '../core/transport/question-reader.ts';

/** What the policy of plans is made of: functions do not cross threads. */
export interface WorkerSettings {
  readonly levels: ConfiguredLevels | undefined;
  readonly managedResources: readonly string[];
  readonly score: PlacementScore;
}

export type WorkerAnswer =
  | { readonly kind: 'answer'; readonly proposal: Proposal }
  | { readonly kind: 'failed'; readonly message: string };

const { levels, managedResources, score } = workerData as WorkerSettings;
const policy = { isAccelerator: manageResources(managedResources), score };
const reader = new QuestionReader(levels);

parentPort?.on('message', (message: Message) => {
  const question = reader.read(message);
  if (question) parentPort?.postMessage(answer(question));
});

function answer(question: Parameters<typeof findVictims>[0]): WorkerAnswer {
  try {
    return { kind: 'answer', proposal: proposalOf(findVictims(question, policy)) };
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
