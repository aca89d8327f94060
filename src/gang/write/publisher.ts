/** Step 7 of a cycle: finds the reason of each gang's state, and announces it when it changes. */
import { PREEMPTED_BY, PREEMPTION_NOTICE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import { instantOf } from '../../core/objects/text-values.ts';
import { explain, explainStably, type Reason, type Repair } from '../../core/reasons/explain.ts';
import type { LoopContext } from '../framework/context.ts';
import { isPresent, type Preempting } from '../state/preempting.ts';
import { announceAt, noteAnnounced, setReason } from '../state/publication.ts';
import { countStarted, type GangRecord } from '../state/records.ts';
import type { HolderFinder } from './holder-finder.ts';
import type { QueuePublisher } from './queue-publisher.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'barrier' | 'observer' | 'settings'>;

/** How often each gang was restarted; implemented by `repair/repairer.ts`. */
export interface Restarts {
  restartsOf(gang: string): number;
}

export class Publisher {
  readonly #context: Context;
  readonly #restarts: Restarts;
  readonly #queues: QueuePublisher;
  readonly #holders: HolderFinder;

  constructor(context: Context, restarts: Restarts, queues: QueuePublisher, holders: HolderFinder) {
    this.#context = context;
    this.#restarts = restarts;
    this.#queues = queues;
    this.#holders = holders;
  }

  /** Runs the step: writes the status of queues, refreshes all reasons, and announces new ones. */
  publish(records: readonly GangRecord[], now: number): void {
    this.#queues.publish(records);
    for (const record of records) {
      const { gang, state, publication } = record;
      const reason = this.#reasonOf(record, now);
      setReason(publication, reason, `${state} ${reason ? announce(reason) : ''}`, now);
      if (publication.isAnnounced || now < announceAt(publication)) continue;
      noteAnnounced(publication);
      this.#context.observer.onReason(gang, state, this.#holders.complete(record, reason));
    }
  }

  #reasonOf(record: GangRecord, now: number): Reason | undefined {
    const { reservations, barrier, settings } = this.#context;
    const { gang, census, state, attempt, admission, preemption } = record;
    const want = gang.minMember ?? 0;
    if (census.isVictim) return describeEviction(census.bound, now);
    switch (state) {
      case 'Gathering':
        return gang.problems.length > 0
          ? { kind: 'problems', problems: gang.problems }
          : { kind: 'gathering', have: gang.members.length, want };
      case 'Pending': {
        const { backoffUntil, lastFailure, shortfall } = attempt;
        if (admission.holdReason) return admission.holdReason;
        if (backoffUntil > now) return { kind: 'backing-off', cause: lastFailure, until: backoffUntil };
        if (!shortfall) return { kind: 'queued' };
        return preemption.outlook ? { ...shortfall, preemption: preemption.outlook } : shortfall;
      }
      case 'Unsatisfiable':
        return attempt.unsatisfiable;
      case 'Preempting':
        return preemption.preempting && this.#describePreempting(preemption.preempting);
      case 'Nominated':
        return {
          kind: 'nominated',
          members: reservations.countOf(gang.key),
          atBarrier: barrier.heldOf(gang.key),
        };
      case 'Broken': {
        const repair = this.#describeRepair(record, settings.repair.maxRestarts);
        return { kind: 'incomplete', running: countStarted(record), want, repair };
      }
      case 'Running':
      case 'Finished':
        return undefined;
      default:
        return state satisfies never;
    }
  }

  #describePreempting({ victims, departing, blockedBy }: Preempting): Reason {
    const { view } = this.#context;
    const uids = [...victims.keys(), ...departing.keys()];
    const gone = uids.filter((uid) => !isPresent(view.pod(uid))).length;
    const names = [...new Set([...victims.values()].map(({ unit }) => unit))].sort();
    return { kind: 'preempting', victims: names, pods: uids.length, gone, blockedBy };
  }

  #describeRepair({ gang }: GangRecord, most: number): Repair {
    switch (gang.onMemberLoss) {
      case 'replace':
        return { kind: 'replace', places: this.#context.reservations.countPlaceholders(gang.key) };
      case 'restart':
        return { kind: 'restart', count: this.#restarts.restartsOf(gang.key), most };
      case 'ignore':
        return { kind: 'ignore' };
      default:
        return gang.onMemberLoss satisfies never;
    }
  }
}

/**
 * The text whose changes are announced. Arrivals at the barrier, pods that leave, the use of a queue and expected
 * starts are in the inspect API: announced, they would cause an Event for each change of a number.
 */
function announce(reason: Reason): string {
  switch (reason.kind) {
    case 'nominated':
    case 'preempting':
      return '';
    case 'quota':
      return `quota of ${reason.refusal.queue}`;
    case 'behind':
      return `behind ${reason.gang}`;
    case 'unsatisfiable':
    case 'beyond-quota':
      return explainStably('', reason);
    default:
      return explain(reason);
  }
}

/** Why running members are about to be evicted. */
function describeEviction(bound: readonly PodModel[], now: number): Reason {
  const { annotations } = bound.find((pod) => pod.annotations[PREEMPTED_BY] !== undefined)!;
  const at = instantOf(annotations[PREEMPTION_NOTICE]) ?? now;
  return { kind: 'preempted', by: annotations[PREEMPTED_BY]!, at };
}
