/**
 * The thread that answers large questions: it reads one after the other, runs the same functions of the core as the
 * decision loop would, and posts the answer. It decides nothing and writes nothing. `worker-searcher.ts` starts it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { PlannedStart } from '../core/backfill/planned-start.ts';
import { answerStart } from '../core/backfill/start-question.ts';
import { manageResources } from '../core/objects/pod-template.ts';
import type { PlacementScore } from '../core/placement/gang-request.ts';
import { findVictims, type Proposal, proposalOf } from '../core/reclaim/victim-question.ts';
import type { ConfiguredLevels } from '../core/topology/levels.ts';
import type { Message } from '../core/transport/messages.ts';
import { QuestionReader, type ReadQuestion } from '../core/transport/question-reader.ts';

/** What the policy of plans is made of: functions do not cross threads. */
export interface WorkerSettings {
  readonly levels: ConfiguredLevels | undefined;
  readonly managedResources: readonly string[];
  readonly score: PlacementScore;
}

/** A planned start without its request, which the one who asked has. */
export type WorkerAnswer =
  | { readonly kind: 'answer'; readonly proposal: Proposal }
  | { readonly kind: 'start'; readonly start: Omit<PlannedStart, 'request'> | undefined }
  | { readonly kind: 'failed'; readonly message: string };

const { levels, managedResources, score } = workerData as WorkerSettings;
const policy = { isAccelerator: manageResources(managedResources), score };
const reader = new QuestionReader(levels);

parentPort?.on('message', (message: Message) => {
  const question = reader.read(message);
  if (question) parentPort?.postMessage(answerSafely(question));
});

function answerSafely(question: ReadQuestion): WorkerAnswer {
  try {
    return answer(question);
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function answer(asked: ReadQuestion): WorkerAnswer {
  switch (asked.kind) {
    case 'victims':
      return { kind: 'answer', proposal: proposalOf(findVictims(asked.question, policy)) };
    case 'start': {
      const start = answerStart(asked.question, policy);
      if (!start) return { kind: 'start', start };
      const { request: _, ...plain } = start;
      return { kind: 'start', start: plain };
    }
    default:
      return asked satisfies never;
  }
}
