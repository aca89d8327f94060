/** Step 7 of a cycle: finds the reason of each gang's state, and announces it when it changes. */
import { PREEMPTED_BY, PREEMPTION_NOTICE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import { instantOf } from '../../core/objects/text-values.ts';
import { causeOf } from '../../core/reasons/cause.ts';
import type { Reason, Repair } from '../../core/reasons/explain.ts';
import { describeLocation } from '../../core/topology/location.ts';
import type { LoopContext } from '../framework/context.ts';
import { isPresent, type Preempting } from '../state/preempting.ts';
import { announceAt, forgetAnnounced, noteAnnounced, setReason, takeNewcomers } from '../state/publication.ts';
import { countStarted, type GangRecord } from '../state/records.ts';
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

  constructor(context: Context, restarts: Restarts, queues: QueuePublisher) {
    this.#context = context;
    this.#restarts = restarts;
    this.#queues = queues;
  }

  /** Runs the step: writes the status of queues, refreshes all reasons, and announces new ones. */
  publish(records: readonly GangRecord[], now: number): void {
    this.#queues.publish(records);
    for (const record of records) {
      const { publication } = record;
      const isNew = publication.announcement === '';
      const reason = this.#reasonOf(record, now);
      setReason(publication, reason, announcementOf(record, reason), now);
      if (!publication.isAnnounced) {
        if (now >= announceAt(publication)) this.#announce(record, reason, { isNew, now });
      } else if (reason && !record.gang.isEndedByOwner) this.#tellNewcomers(record, reason);
    }
  }

  #announce(record: GangRecord, reason: Reason | undefined, { isNew, now }: { isNew: boolean; now: number }): void {
    const { observer } = this.#context;
    const { gang, state, publication } = record;
    if (reason === undefined || gang.isEndedByOwner) forgetAnnounced(publication);
    if (!noteAnnounced(publication, gang.members, now)) return;
    // Its owner knows.
    if (reason && gang.isEndedByOwner) return;
    // It was told before Muster started.
    if (reason === undefined && isNew) return;
    if (reason === undefined && state === 'Running')
      observer.onRunning(gang, countStarted(record), this.#locate(record));
    else observer.onReason(gang, state, reason);
  }

  #tellNewcomers({ gang, state, publication }: GangRecord, reason: Reason): void {
    const newcomers = takeNewcomers(publication, gang.members);
    if (newcomers.length > 0) this.#context.observer.onNewcomers(gang, state, reason, newcomers);
  }

  /** Where the bound members are. */
  #locate({ census }: GangRecord): string {
    const { topology, indexOf } = this.#context.view.snapshot();
    return describeLocation(
      topology,
      census.bound.flatMap(({ nodeName }) => indexOf.get(nodeName) ?? []),
    );
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

/** The text whose changes are announced. A gang that its owner ends is not announced, whatever becomes of it. */
function announcementOf({ gang, state }: GangRecord, reason: Reason | undefined): string {
  if (reason && gang.isEndedByOwner) return 'ended by its owner';
  return reason ? `${state} ${causeOf(reason)}` : state;
}

/** Why running members are about to be evicted. */
function describeEviction(bound: readonly PodModel[], now: number): Reason {
  const { annotations } = bound.find((pod) => pod.annotations[PREEMPTED_BY] !== undefined)!;
  const at = instantOf(annotations[PREEMPTION_NOTICE]) ?? now;
  return { kind: 'preempted', by: annotations[PREEMPTED_BY]!, at };
}
