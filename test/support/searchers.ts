/** Searchers: one that answers at once, and one whose answers the test lets through by hand. */
import { answerStart } from '../../src/core/backfill/start-question.ts';
import type { PlanPolicy } from '../../src/core/placement/gang-request.ts';
import { findVictims, type Proposal, proposalOf } from '../../src/core/reclaim/victim-question.ts';
import type { Searcher, SearchOutcome, StartOutcome } from '../../src/gang/framework/ports.ts';

export function answersAtOnce(policy: PlanPolicy): Searcher {
  return {
    findVictims: (question) => findVictims(question, policy),
    planStart: (question) => ({ kind: 'start', start: answerStart(question, policy) }),
  };
}

/** As a thread that is slow: it computes the answer when asked, and the test decides when it arrives. */
export class SlowSearcher {
  /** Searches for victims that are not answered, the oldest first. */
  readonly open: {
    readonly gang: string;
    readonly proposal: Proposal;
    readonly onOutcome: (outcome: SearchOutcome) => void;
  }[] = [];
  /** Planned starts that are not answered. Answered at once unless the test says otherwise. */
  readonly openStarts: {
    readonly gang: string;
    readonly outcome: StartOutcome;
    readonly onOutcome: (outcome: StartOutcome) => void;
  }[] = [];
  asked = 0;
  isBusy = false;
  isSlowToStart = false;

  for(policy: PlanPolicy): Searcher {
    return {
      findVictims: (question, onOutcome) => {
        if (this.isBusy) return 'busy';
        this.asked++;
        this.open.push({ gang: question.gang.key, proposal: proposalOf(findVictims(question, policy)), onOutcome });
        return undefined;
      },
      planStart: (question, onOutcome) => {
        const outcome: StartOutcome = { kind: 'start', start: answerStart(question, policy) };
        if (!this.isSlowToStart) return outcome;
        if (this.isBusy) return 'busy';
        this.openStarts.push({ gang: question.query.request.key, outcome, onOutcome });
        return undefined;
      },
    };
  }

  /** Lets the oldest answer through, or another outcome instead. */
  answer(outcome?: SearchOutcome): void {
    const { proposal, onOutcome } = this.open.shift()!;
    onOutcome(outcome ?? { kind: 'answer', proposal });
  }

  answerStart(other?: StartOutcome): void {
    const { outcome, onOutcome } = this.openStarts.shift()!;
    onOutcome(other ?? outcome);
  }
}
