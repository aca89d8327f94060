/** Step 7 of a cycle: finds the reason of each gang's state, and announces it when it changes. */
import { PREEMPTED_BY, PREEMPTION_NOTICE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import { instantOf } from '../../core/objects/text-values.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import { causeOf } from '../../core/reasons/cause.ts';
import type { Reason, WaitingMembers } from '../../core/reasons/explain.ts';
import type { Repair } from '../../core/reasons/explain-running.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { describeLocation } from '../../core/topology/location.ts';
import type { LoopContext } from '../framework/context.ts';
import { describeLosses } from '../state/losses.ts';
import { isPresent, type Preempting } from '../state/preempting.ts';
import {
  announceAt,
  forgetAnnounced,
  noteAnnounced,
  setReason,
  takeLaterPods,
  takeNewcomers,
  takeStarted,
} from '../state/publication.ts';
import { countStarted, type GangRecord } from '../state/records.ts';
import type { HolderFinder } from './holder-finder.ts';
import type { QueuePublisher } from './queue-publisher.ts';

type Context = Pick<LoopContext, 'view' | 'reservations' | 'barrier' | 'observer' | 'settings' | 'isolation'>;

type Gathering = Extract<Reason, { readonly kind: 'gathering' }>;

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
  readonly #holders: HolderFinder;
  /** How many pods the nodes take; undefined: they do not say. */
  #podRoom: { readonly nodes: Snapshot['nodes']; readonly most: number | undefined } | undefined;

  constructor(context: Context, restarts: Restarts, queues: QueuePublisher, holders: HolderFinder) {
    this.#context = context;
    this.#restarts = restarts;
    this.#queues = queues;
    this.#holders = holders;
  }

  /** Runs the step: writes the status of queues, refreshes all reasons, and announces new ones. */
  publish(records: readonly GangRecord[], now: number): void {
    this.#queues.publish(records);
    this.#context.isolation.each(records, 'publish', (record) => this.#publish(record, now));
  }

  #publish(record: GangRecord, now: number): void {
    const { publication } = record;
    const isNew = publication.announcement === '';
    const reason = this.#reasonOf(record, now);
    this.#tellLaterRuns(record);
    this.#tellStart(record, isNew);
    setReason(publication, reason, announcementOf(record, reason), now);
    if (!publication.isAnnounced) {
      if (now >= announceAt(publication)) this.#announce(record, reason, { isNew, now });
    } else if (reason && !leavesByItsOwner(record.gang)) this.#tellNewcomers(record, reason);
  }

  /** @param isNew it is looked at for the first time: what runs already started before Muster did. */
  #tellStart(record: GangRecord, isNew: boolean): void {
    const { gang, state, census, publication } = record;
    const isSetAside = state === 'Invalid' && census.bound.length > 0;
    // What runs goes on: it is no start when the gang is looked after again.
    if (isSetAside && !isNew) return;
    const isRunning = state === 'Running' || isSetAside;
    const { members, isStart } = takeStarted(publication, isRunning ? census.bound : undefined);
    if (isNew || members.length === 0) return;
    if (isStart) forgetAnnounced(publication);
    this.#context.observer.onRunning(gang, countStarted(record), this.#locate(record), members);
  }

  #announce(record: GangRecord, reason: Reason | undefined, { isNew, now }: { isNew: boolean; now: number }): void {
    const { gang, state, publication, census } = record;
    // A member that has a place and is not bound may lose it again: that is the same cause as before.
    const isOver = reason === undefined && census.unbound.length === 0;
    if (isOver || leavesByItsOwner(gang)) forgetAnnounced(publication);
    if (!noteAnnounced(publication, gang.members, now)) return;
    // Its owner knows.
    if (reason && leavesByItsOwner(gang)) return;
    // It ended before Muster started.
    if (reason === undefined && isNew) return;
    this.#context.observer.onReason(gang, state, this.#holders.complete(record, reason));
  }

  #tellNewcomers(record: GangRecord, reason: Reason): void {
    const { gang, state, publication } = record;
    const newcomers = takeNewcomers(publication, gang.members);
    if (newcomers.length === 0) return;
    this.#context.observer.onNewcomers(gang, state, this.#holders.complete(record, reason) ?? reason, newcomers);
  }

  /** Where the bound members are. */
  #locate({ census }: GangRecord): string {
    const { topology, indexOf } = this.#context.view.snapshot();
    return describeLocation(
      topology,
      census.bound.flatMap(({ nodeName }) => indexOf.get(nodeName) ?? []),
    );
  }

  #tellLaterRuns({ gang, publication }: GangRecord): void {
    for (const later of takeLaterPods(publication, gang.laterRuns)) this.#context.observer.onLaterRun(gang, later);
  }

  #reasonOf(record: GangRecord, now: number): Reason | undefined {
    const { reservations, barrier, settings, view } = this.#context;
    const { gang, census, state, attempt, preemption } = record;
    const want = gang.minMember ?? 0;
    if (census.isVictim) return describeEviction(census.bound, now);
    switch (state) {
      case 'Gathering':
        return gang.problems.length > 0
          ? { kind: 'problems', problems: gang.problems }
          : gang.growing
            ? { kind: 'growing', ...gang.growing, ...describeRefusal(gang, now) }
            : { ...describeGathering(gang, now), ...this.#describeBeyond(gang) };
      case 'Pending':
        return this.#explainWait(record, now);
      case 'Unsatisfiable':
        return attempt.unsatisfiable;
      case 'Preempting':
        if (gang.problems.length > 0) return { kind: 'problems', problems: gang.problems };
        return preemption.preempting && this.#describePreempting(preemption.preempting);
      case 'Nominated':
        if (gang.problems.length > 0) return { kind: 'problems', problems: gang.problems };
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
      case 'Invalid':
        return { kind: 'problems', problems: gang.problems };
      case 'Suspended':
      case 'Preempted':
      case 'Deleting':
      case 'Finished':
        return undefined;
      default:
        return state satisfies never;
    }
  }

  /** Whether it wants more members than the nodes could hold, whatever they ask for. */
  #describeBeyond({ minMember = 0 }: Gang): Pick<Gathering, 'mostPods'> {
    const { nodes, byName, columns, allocatable } = this.#context.view.snapshot();
    if (this.#podRoom?.nodes !== nodes) {
      const pods = allocatable[columns.get('pods') ?? -1];
      this.#podRoom = { nodes, most: pods && byName.reduce((sum, row) => sum + pods[row]!, 0) };
    }
    const { most } = this.#podRoom;
    return most !== undefined && most > 0 && minMember > most ? { mostPods: most } : {};
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
      later: gang.laterRuns.slice(0, EXAMPLES).map(({ name: { kind, name } }) => ({ kind, name })),
      count: gang.laterRuns.length,
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

/** Whether its Jobs were suspended, deleted or finished: its owner knows. Members whose Job was never seen are told. */
function leavesByItsOwner({ isEndedByOwner, coming, leaving }: Gang): boolean {
  return isEndedByOwner && (coming.size > 0 || leaving.length > 0);
}

/** The text whose changes are announced. A gang that its owner ends is not announced, whatever becomes of it. */
function announcementOf({ gang, state }: GangRecord, reason: Reason | undefined): string {
  if (reason && leavesByItsOwner(gang)) return 'ended by its owner';
  return reason ? `${state} ${causeOf(reason)}` : state;
}

/** A controller repeats what it cannot create every few minutes at least. */
const REFUSAL_HOLDS_MS = 900_000;

function describeGathering(gang: Gang, now: number): Gathering {
  const { present, minMember, isSuspended, suspendedJobs, coming } = gang;
  const isOfJobs = present.length > 0 && present.every(({ owner }) => coming.has(owner?.uid ?? ''));
  const isExhausted = isOfJobs && suspendedJobs.length === 0 && [...coming.values()].every((count) => count === 0);
  return {
    kind: 'gathering',
    have: present.length,
    want: minMember,
    ...(isExhausted && { isExhausted }),
    ...(present.some(({ owner }) => owner?.kind === 'StatefulSet') && { isOrdered: true }),
    ...(suspendedJobs.length > 0 && !isSuspended && { suspended: suspendedJobs }),
    ...describeRefusal(gang, now),
  };
}

function describeRefusal({ refusedCreation: refused }: Gang, now: number): Pick<Gathering, 'refused'> {
  return refused && Math.abs(now - refused.at) < REFUSAL_HOLDS_MS ? { refused } : {};
}

/** Why running members are about to be evicted. */
function describeEviction(bound: readonly PodModel[], now: number): Reason {
  const { annotations } = bound.find((pod) => pod.annotations[PREEMPTED_BY] !== undefined)!;
  const at = instantOf(annotations[PREEMPTION_NOTICE]) ?? now;
  return { kind: 'preempted', by: annotations[PREEMPTED_BY]!, at };
}
