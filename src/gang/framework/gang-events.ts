/**
 * What users are told about gangs, as Events: on the gang's first member and its Jobs at once, on its other members
 * when the API server has time for it.
 */
import type { PodModel } from '../../core/objects/model.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import type { LaterRun } from '../../core/podgroup/run.ts';
import { explain, type Reason } from '../../core/reasons/explain.ts';
import { explainLaterRuns } from '../../core/reasons/explain-running.ts';
import type { EventReason } from '../../telemetry/event-kinds.ts';
import type { EventRecorder, MusterEvent } from '../../telemetry/events.ts';
import type { GangState } from '../state/lifecycle.ts';
import { MAX_MEMBERS_TOLD } from '../state/publication.ts';

/** Jobs of a gang that are told. */
const MAX_JOBS_TOLD = 8;

/** What is told, without the object. */
type Message = Pick<MusterEvent, 'type' | 'reason' | 'note'>;

export class GangEvents {
  readonly #events: EventRecorder;

  constructor(events: EventRecorder) {
    this.#events = events;
  }

  /** A new state or cause. Members that wait are told why. */
  tellReason(gang: Gang, state: GangState, reason: Reason | undefined): void {
    const message = describeReason(gang, state, reason);
    if (!message) return;
    const { members } = gang;
    // Those that run beside them are not concerned.
    const concerned = message.reason === 'MembersWaiting' ? members.filter(isWaiting) : members;
    this.#tellFirst(gang, concerned, message);
    if (concernsMembers(message)) {
      this.#tellMembers(concerned.slice(1, MAX_MEMBERS_TOLD).filter(isWaiting), message);
    }
  }

  /** Members that came after the others were told. */
  tellNewcomers(gang: Gang, state: GangState, reason: Reason, newcomers: readonly PodModel[]): void {
    const message = describeReason(gang, state, reason);
    if (message && concernsMembers(message)) this.#tellMembers(newcomers.filter(isWaiting), message);
  }

  /**
   * Tells the Jobs, and the first of the members that have started now. The others have an Event of kube-scheduler with
   * their node, and their rank in `muster.dev/placement`: one more for each was a sixth of all writes of a start.
   * @param where the members are: `in spine-0/leaf-0`.
   */
  tellStarted({ key, present, ranks }: Gang, started: number, where: string, members: readonly PodModel[]): void {
    const text = `Running ${started}/${present.length}${where && ` ${where}`}`;
    const message: Message = { type: 'Normal', reason: 'GangRunning', note: `gang ${key}: ${text}` };
    for (const owner of jobsOf(present)) this.#record(owner, message, 'gang');
    const [first] = members;
    if (!first) return;
    const rank = ranks.get(first.uid);
    const place = `${rank === undefined ? '' : `rank ${rank} `}on node ${first.nodeName}`;
    this.#record(podOf(first), { ...message, note: `${message.note}; this member is ${place}` }, 'gang');
  }

  /** Tells the gang's first member and its Jobs. */
  tellGang(gang: Gang, message: Message): void {
    this.#tellFirst(gang, gang.members, message);
  }

  /** Tells every victim and its Job which gang preempts it. */
  tellPreempted(
    preemptor: string,
    victims: Iterable<{ readonly pod: PodModel; readonly unit: string }>,
    at: number,
  ): void {
    const units = new Map<string, PodModel[]>();
    for (const { pod, unit } of victims) {
      const pods = units.get(unit);
      if (pods) pods.push(pod);
      else units.set(unit, [pod]);
    }
    for (const [unit, pods] of units) {
      const note = `${unit}: preempted by gang ${preemptor}, evicted at ${new Date(at).toISOString()}`;
      const message: Message = { type: 'Warning', reason: 'Preempted', note };
      this.#tellFirst({ members: pods }, pods, message);
      this.#tellMembers(pods.slice(1, MAX_MEMBERS_TOLD), message);
    }
  }

  /** Tells the pods of a later run, and their Jobs, what they wait for. */
  tellLaterRun({ key, run }: Gang, { name, pods }: LaterRun): void {
    const note = `gang ${key}: ${explainLaterRuns(run, [name], 1)}; give each run a label of its own to start them side by side`;
    const message: Message = { type: 'Normal', reason: 'GangWaiting', note };
    this.#tellFirst({ members: pods }, pods, message);
    this.#tellMembers(pods.slice(1, MAX_MEMBERS_TOLD), message);
  }

  /** Tells a pod, in a gang or not, and the Job that owns it. */
  tellPod(pod: PodModel, message: Message): void {
    this.#tellFirst({ members: [pod] }, [pod], message);
  }

  tellPodAlone(pod: PodModel, message: Message): void {
    this.#record(podOf(pod), message, 'member');
  }

  tellNode(node: string, message: Message): void {
    this.#record({ kind: 'Node', namespace: '', name: node, uid: node }, message, 'gang');
  }

  #tellFirst(gang: Pick<Gang, 'members'>, [first]: readonly PodModel[], message: Message): void {
    if (!first) return;
    this.#record(podOf(first), message, 'gang');
    for (const owner of jobsOf(gang.members)) this.#record(owner, message, 'gang');
  }

  #tellMembers(members: readonly PodModel[], message: Message): void {
    for (const member of members) this.#record(podOf(member), message, 'member');
  }

  #record(regarding: MusterEvent['regarding'], message: Message, level: MusterEvent['level']): void {
    this.#events.record({ ...message, regarding, level });
  }
}

/** Undefined: nothing to tell. */
function describeReason({ key }: Gang, state: GangState, reason: Reason | undefined): Message | undefined {
  const note = `gang ${key}: ${reason ? explain(reason) : `gang is ${state}`}`;
  const told = (eventReason: EventReason, type: Message['type']): Message => ({ type, reason: eventReason, note });
  switch (reason?.kind) {
    case undefined:
      // Where it started is told by `tellStarted`.
      return state === 'Finished' ? told('GangFinished', 'Normal') : undefined;
    case 'preempted':
      // Its members and Jobs were told when it was chosen: `tellPreempted`.
      return undefined;
    case 'unsatisfiable':
    case 'beyond-quota':
      return told('GangUnsatisfiable', 'Warning');
    case 'nominated':
      return told('GangNominated', 'Normal');
    case 'preempting':
      return told('GangPreempting', 'Normal');
    case 'queued':
    case 'settling':
      return told('GangWaiting', 'Normal');
    case 'later-runs':
      return told('LaterRunsWait', 'Normal');
    case 'members-wait':
      return told('MembersWaiting', reason.why.kind === 'queued' ? 'Normal' : 'Warning');
    case 'problems':
      return told(state === 'Running' || state === 'Invalid' ? 'GangInvalid' : 'GangWaiting', 'Warning');
    default:
      return told('GangWaiting', 'Warning');
  }
}

const WAITING: ReadonlySet<EventReason> = new Set(['GangWaiting', 'GangUnsatisfiable', 'MembersWaiting']);

/** Whether the message says what unbound members wait for, and for longer than a moment. */
function concernsMembers({ reason, type }: Message): boolean {
  return type === 'Warning' && WAITING.has(reason);
}

function isWaiting({ nodeName }: PodModel): boolean {
  return nodeName === '';
}

function podOf({ namespace, name, uid }: PodModel): MusterEvent['regarding'] {
  return { kind: 'Pod', namespace, name, uid };
}

/** The Jobs that own the members. */
function jobsOf(members: readonly PodModel[]): Iterable<MusterEvent['regarding']> {
  const jobs = new Map<string, MusterEvent['regarding']>();
  for (const { namespace, owner } of members) {
    if (owner?.kind !== 'Job' || jobs.has(owner.uid)) continue;
    jobs.set(owner.uid, { kind: 'Job', namespace, name: owner.name, uid: owner.uid });
    if (jobs.size === MAX_JOBS_TOLD) break;
  }
  return jobs.values();
}
