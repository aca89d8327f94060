/** Step 7 of a cycle: finds the reason of each gang's state, and announces it when it changes. */
import { PREEMPTED_BY, PREEMPTION_NOTICE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import { instantOf } from '../../core/objects/text-values.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import { explain, type Reason, type WaitingMembers } from '../../core/reasons/explain.ts';
import type { Repair } from '../../core/reasons/explain-running.ts';
import type { LoopContext } from '../framework/context.ts';
import { describeLosses } from '../state/losses.ts';
import { isPresent, type Preempting } from '../state/preempting.ts';
import { announceAt, noteAnnounced, noteLaterTold, setReason } from '../state/publication.ts';
import { countStarted, type GangRecord } from '../state/records.ts';
import type { QueuePublisher } from './queue-publisher.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'barrier' | 'observer' | 'settings'>;

type Gathering = Extract<Reason, { readonly kind: 'gathering' }>;
type Refusal = NonNullable<Gathering['refused']>;

/** How often each gang was restarted; implemented by `repair/repairer.ts`. */
export interface Restarts {
  restartsOf(gang: Gang): number;
}

/** How many pods a reason names. */
const EXAMPLES = 3;

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
      const { gang, state, publication } = record;
      const reason = this.#reasonOf(record, now);
      this.#tellLaterRuns(record);
      setReason(publication, reason, `${state} ${reason ? announce(reason) : ''}`, now);
      if (publication.isAnnounced || now < announceAt(publication)) continue;
      noteAnnounced(publication);
      this.#context.observer.onReason(gang, state, reason);
    }
  }

  #tellLaterRuns({ gang, publication }: GangRecord): void {
    const { laterTold } = publication;
    if (gang.laterRuns.length + laterTold.size === 0) return;
    const names = gang.laterRuns.filter(({ pods }) => pods.length > 0).map(({ name }) => `${name.kind}/${name.name}`);
    for (const later of gang.laterRuns) {
      if (later.pods.length === 0 || laterTold.has(`${later.name.kind}/${later.name.name}`)) continue;
      this.#context.observer.onLaterRun(gang, later);
    }
    noteLaterTold(publication, new Set(names));
  }

  #reasonOf(record: GangRecord, now: number): Reason | undefined {
    const { reservations, barrier, settings, view } = this.#context;
    const { gang, census, state, preemption } = record;
    const want = gang.minMember ?? 0;
    if (census.isVictim) return describeEviction(census.bound, now);
    switch (state) {
      case 'Gathering':
        return gang.problems.length > 0
          ? { kind: 'problems', problems: gang.problems }
          : gang.growing
            ? { kind: 'growing', ...gang.growing, ...describeRefusal(gang, now) }
            : { kind: 'gathering', have: gang.present.length, want, ...describeRefusal(gang, now) };
      case 'Pending':
        return this.#explainWait(record, now);
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
        const waiting = this.#describeWaiting(record, now);
        const lost = describeLosses(record, view.snapshot());
        return { kind: 'incomplete', running: countStarted(record), want, repair, ...lost, waiting };
      }
      case 'Running':
        return this.#describeRunning(record, now);
      case 'Suspended':
      case 'Preempted':
      case 'Deleting':
      case 'Finished':
        return undefined;
      default:
        return state satisfies never;
    }
  }

  /** Why a gang, or a member of one that has started, has no place. */
  #explainWait({ gang, attempt, admission, preemption }: GangRecord, now: number): Reason {
    const { backoffUntil, lastFailure, shortfall } = attempt;
    if (gang.problems.length > 0) return { kind: 'problems', problems: gang.problems };
    if (admission.holdReason) return admission.holdReason;
    if (backoffUntil > now) return { kind: 'backing-off', cause: lastFailure, until: backoffUntil };
    if (!shortfall) return { kind: 'queued' };
    return preemption.outlook ? { ...shortfall, preemption: preemption.outlook } : shortfall;
  }

  #describeRunning(record: GangRecord, now: number): Reason | undefined {
    const { gang } = record;
    const waiting = this.#describeWaiting(record, now);
    if (waiting) return { kind: 'members-wait', ...waiting };
    if (gang.problems.length > 0) return { kind: 'problems', problems: gang.problems };
    if (gang.laterRuns.length === 0) return undefined;
    return {
      kind: 'later-runs',
      run: gang.run,
      later: gang.laterRuns.map(({ name: { kind, name } }) => ({ kind, name })),
    };
  }

  /** Members of a gang that has started, without a slot. */
  #describeWaiting(record: GangRecord, now: number): WaitingMembers | undefined {
    const { reservations } = this.#context;
    const { unbound } = record.census;
    // Each slot is a member's: most of the time the numbers tell.
    if (unbound.length === reservations.countOf(record.gang.key)) return undefined;
    const names = unbound.filter(({ uid }) => !reservations.slot(uid)).map(({ name }) => name);
    if (names.length === 0) return undefined;
    return { pods: { names: names.slice(0, EXAMPLES), count: names.length }, why: this.#explainWait(record, now) };
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
        return { kind: 'restart', count: this.#restarts.restartsOf(gang), most };
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
    case 'gathering':
      return explain({ ...reason, ...(reason.refused && { refused: withoutNumbers(reason.refused) }) });
    case 'quota':
      return `quota of ${reason.refusal.queue}`;
    case 'behind':
      return `behind ${reason.gang}`;
    default:
      return explain(reason);
  }
}

/** A controller repeats what it cannot create every few minutes at least. */
const REFUSAL_HOLDS_MS = 900_000;

function describeRefusal({ refusedCreation: refused }: Gang, now: number): Pick<Gathering, 'refused'> {
  return refused && Math.abs(now - refused.at) < REFUSAL_HOLDS_MS ? { refused } : {};
}

/** The kind of cause: what is used and what was asked for changes with each attempt. */
function withoutNumbers({ owner, message }: Refusal): Refusal {
  return { owner, message: message.split(/[:,]/, 2).join(':').replace(/\d+/g, '') };
}

/** Why running members are about to be evicted. */
function describeEviction(bound: readonly PodModel[], now: number): Reason {
  const { annotations } = bound.find((pod) => pod.annotations[PREEMPTED_BY] !== undefined)!;
  const at = instantOf(annotations[PREEMPTION_NOTICE]) ?? now;
  return { kind: 'preempted', by: annotations[PREEMPTED_BY]!, at };
}
