/** Searchers for victims: one that answers at once, and one whose answers the test lets through by hand. */
import type { PlanPolicy } from '../../src/core/placement/gang-request.ts';
import { findVictims, type Proposal, proposalOf, type VictimQuestion } from '../../src/core/reclaim/victim-question.ts';
import type { SearchOutcome, VictimSearcher } from '../../src/gang/framework/ports.ts';

export function answersAtOnce(policy: PlanPolicy): VictimSearcher {
  return { search: (question) => findVictims(question, policy) };
}

/** As a thread that is slow: it computes the answer when asked, and the test decides when it arrives. */
export class SlowSearcher {
  /** Questions that are not answered, the oldest first. */
  readonly open: {
    readonly gang: string;
    readonly proposal: Proposal;
    readonly onOutcome: (outcome: SearchOutcome) => void;
  }[] = [];
  asked = 0;
  isBusy = false;

  for(policy: PlanPolicy): VictimSearcher {
    return {
      search: (question: VictimQuestion, onOutcome) => {
        if (this.isBusy) return 'busy';
        this.asked++;
        this.open.push({ gang: question.gang.key, proposal: proposalOf(findVictims(question, policy)), onOutcome });
        return undefined;
      },
    };
  }

  /** Lets the oldest answer through, or another outcome instead. */
  answer(outcome?: SearchOutcome): void {
    const { proposal, onOutcome } = this.open.shift()!;
    onOutcome(outcome ?? { kind: 'answer', proposal });
  }
}
