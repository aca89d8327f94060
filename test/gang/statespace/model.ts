/**
 * Two gangs of three pods on two nodes with two places each, one or two Muster processes (the whole gang package), and
 * kube-scheduler's side of the protocol. Whatever can happen next is an action; nothing happens by itself. The model
 * checks after each action what must always hold; `rest.ts` checks what must hold when nothing is left to do.
 */
import { ClusterState, type Sink } from '../../../src/cluster/state.ts';
import { defaultConfiguration } from '../../../src/config/configuration.ts';
import type { PodModel } from '../../../src/core/objects/model.ts';
import { PodProjector } from '../../../src/core/objects/pod-projection.ts';
import { manageResources } from '../../../src/core/objects/pod-template.ts';
import { projectNode } from '../../../src/core/objects/projection.ts';
import type { PodIdentity, WriteOutcome } from '../../../src/core/objects/write-outcome.ts';
import { NameList } from '../../../src/core/snapshot/name-list.ts';
import { assembleScheduler, type Scheduler } from '../../../src/gang/assembly.ts';
import type { GangObserver } from '../../../src/gang/framework/ports.ts';
import { Store } from '../../../src/kube/store.ts';
import { aRawNode, aRawPod, GPU } from '../../support/builders.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { answersAtOnce } from '../../support/searchers.ts';
import { type Answer, ScriptedApi, type Session, type WatchedKind } from './scripted-api.ts';
import { ScriptedClock } from './scripted-clock.ts';

export interface GangSpec {
  readonly name: string;
  readonly min: number;
  readonly priority: number;
  readonly isGated: boolean;
}

export interface Setting {
  readonly gangs: readonly GangSpec[];
}

export type Action =
  | { readonly do: 'deliver'; readonly process: number; readonly kind: WatchedKind }
  /** A cycle, or another timer that is due. */
  | { readonly do: 'timer'; readonly process: number }
  | { readonly do: 'answer'; readonly process: number; readonly write: number; readonly how: Answer }
  /** kube-scheduler's filter calls for one pod. */
  | { readonly do: 'attempt'; readonly pod: string; readonly process: number }
  /** Its bind call, to the node that it chose. */
  | { readonly do: 'bind'; readonly pod: string; readonly process: number }
  | { readonly do: 'disconnect'; readonly pod: string }
  | { readonly do: 'advance' }
  | { readonly do: 'crash' | 'second leader' }
  | { readonly do: 'delete' | 'leave' | 'move' | 'succeed' | 'fail'; readonly pod: string }
  | { readonly do: 'cordon'; readonly node: string };

const SIZE = 3;
const GPUS_PER_POD = 4;
const PLACES = 2;
const NODES = ['n0', 'n1'];
const GANG_LABEL = 'muster.dev/pod-group';

/** One Muster process. */
export interface Process {
  readonly session: Session;
  readonly state: ClusterState;
  readonly scheduler: Scheduler;
  readonly stores: Readonly<Record<WatchedKind, (type: string, object: WireObject) => void>>;
}

/** A pod that kube-scheduler has assumed on a node; `call` is open while its binding is under way. */
export interface Assumed {
  readonly pod: WireObject;
  readonly node: string;
  process: Process | undefined;
  leave: () => void;
}

/** Short timeouts: the order in which things end is what counts. */
const SHORT = {
  preemption: {
    noticeMs: 0,
    fenceTimeoutMs: 20_000,
    blockedTimeoutMs: 5_000,
    backoffInitialMs: 5_000,
    backoffMaxMs: 20_000,
  },
  repair: { replaceTimeoutMs: 20_000, nodeToleranceMs: 5_000, restartBackoffMs: 5_000, maxRestarts: 1 },
};

const succeed = async (): Promise<WriteOutcome> => ({ kind: 'ok' });
/** The search looks at effects alone. */
const silent = new Proxy({}, { get: () => () => {} }) as GangObserver;
const config = defaultConfiguration();

export class Model {
  readonly clock = new ScriptedClock();
  readonly api: ScriptedApi;
  readonly processes: Process[] = [];
  /** By UID. */
  readonly assumed = new Map<string, Assumed>();
  /** Pods that kube-scheduler may try again: something changed since it tried them last. */
  readonly active = new Set<string>();
  readonly violations: string[] = [];
  /** Gangs with a member that was deleted, moved or ended: fewer may be left of them. */
  readonly disturbed = new Set<string>();
  /** Gangs that started whole and still have a bound member. */
  readonly #started = new Set<string>();
  /** Which process asked for the binding, by UID. */
  readonly #boundBy = new Map<string, Session>();
  readonly #gangs: ReadonlyMap<string, GangSpec>;

  constructor({ gangs }: Setting) {
    this.#gangs = new Map(gangs.map((gang) => [gang.name, gang]));
    this.api = new ScriptedApi({
      requested: (session, pod, node) => this.#checkRequest(session, pod, node),
      bound: (pod) => this.#checkBound(pod),
    });
    for (const name of NODES) this.api.put('Node', wire(aRawNode({ name, gpus: PLACES * GPUS_PER_POD })));
    for (const gang of gangs) for (let i = 0; i < SIZE; i++) this.api.put('Pod', memberOf(gang, i));
    for (const { metadata } of this.api.list('Pod')) this.active.add(metadata.name);
    this.startProcess();
  }

  get gangs(): readonly GangSpec[] {
    return [...this.#gangs.values()];
  }

  /** A new process reads what exists, and recovers. */
  startProcess(): void {
    const session = this.api.connect();
    const projector = new PodProjector({ maxTemplates: 50, managedResources: [GPU] });
    const state = new ClusterState(undefined);
    const owner = session;
    const { gang, preemption, repair, queues, topology, lonePodCandidates, schedulerNames } = config;
    const policy = { isAccelerator: manageResources([GPU]), score: topology.policy };
    const scheduler = assembleScheduler({
      view: state,
      writer: session.writer,
      queueWriter: { createQueue: succeed, patchQueueStatus: succeed },
      observer: silent,
      clock: this.clock.for(owner),
      settings: {
        ...gang,
        preemption: { ...preemption, ...SHORT.preemption },
        repair: { ...repair, ...SHORT.repair },
        queues,
        regatherMs: 2_000,
        repairTimeoutMs: 20_000,
        policy,
      },
      barrierTimeoutMs: gang.barrierTimeoutMs,
      lonePodCandidates,
      schedulerNames,
      projectPod: (raw) => projector.project(raw),
      searcher: answersAtOnce(policy),
    });
    const stores = {
      Pod: feed((raw) => projector.project(raw), state.pods),
      Node: feed(projectNode, state.nodes),
    };
    const process: Process = { session, state, scheduler, stores };
    this.processes.push(process);
    for (const kind of ['Node', 'Pod'] as const)
      for (const { type, object } of session.events[kind].splice(0)) stores[kind](type, object);
    state.listen(scheduler.coordinator);
    scheduler.coordinator.recover(state.gangs());
  }

  /** What kube-scheduler sees as free for the pod: bound, assumed and nominated pods count. */
  feasible(pod: WireObject): readonly string[] {
    return this.api
      .list('Node')
      .filter(({ spec }) => !spec.unschedulable)
      .map(({ metadata }) => metadata.name)
      .filter((node) => {
        const taken = this.api.list('Pod').filter((other) => {
          if (other.metadata.uid === pod.metadata.uid || isOver(other)) return false;
          const place = other.spec.nodeName ?? this.assumed.get(other.metadata.uid!)?.node;
          if (place) return place === node;
          return other.status.nominatedNodeName === node && other.spec.priority >= pod.spec.priority;
        });
        return taken.length < PLACES;
      });
  }

  /** Carries out one action, and everything that follows at once. */
  async apply(action: Action): Promise<void> {
    this.#act(action);
    // All promises that are settled are also continued when the next turn begins.
    await new Promise((resolve) => setImmediate(resolve));
    for (const name of this.#started) if (this.#countArrived(name) === 0) this.#started.delete(name);
  }

  #act(action: Action): void {
    switch (action.do) {
      case 'deliver':
        this.#deliver(this.processes[action.process]!, action.kind);
        break;
      case 'timer':
        this.clock.fire(this.processes[action.process]!.session);
        break;
      case 'answer':
        this.#answer(this.processes[action.process]!, action.write, action.how);
        break;
      case 'attempt':
        this.#attempt(this.api.pod(action.pod)!, this.processes[action.process]!);
        break;
      case 'bind':
        this.#bind(this.api.pod(action.pod)!.metadata.uid!, this.processes[action.process]!);
        break;
      case 'disconnect':
        this.#breakOff([...this.assumed.values()].find(({ pod }) => pod.metadata.name === action.pod)!);
        break;
      case 'advance':
        this.clock.advance(this.clock.untilNext);
        this.#wakeAll();
        break;
      case 'crash':
        for (const process of this.processes.splice(0)) this.#kill(process);
        this.startProcess();
        break;
      case 'second leader':
        this.startProcess();
        break;
      case 'cordon':
        this.api.change('Node', action.node, ({ spec }) => {
          spec.unschedulable = true;
        });
        this.#wakeAll();
        break;
      default:
        this.#disturb(action.do, action.pod);
    }
  }

  #deliver({ session, stores }: Process, kind: WatchedKind): void {
    const { type, object } = session.events[kind].shift()!;
    stores[kind](type, object);
  }

  #answer({ session }: Process, index: number, how: Answer): void {
    const write = session.writes[index]!;
    this.active.add(write.pod.name);
    write.answer(how);
  }

  #breakOff(assumed: Assumed): void {
    assumed.leave();
    this.#conclude(assumed, 'the connection broke');
  }

  #disturb(how: 'delete' | 'leave' | 'move' | 'succeed' | 'fail', name: string): void {
    const gang = this.api.pod(name)!.metadata.labels?.[GANG_LABEL];
    if (gang !== undefined) this.disturbed.add(gang);
    this.#wakeAll();
    if (how === 'delete') this.api.delete(name);
    else this.#changeMember(how, name, gang);
  }

  #changeMember(how: 'leave' | 'move' | 'succeed' | 'fail', name: string, gang: string | undefined): void {
    this.api.change('Pod', name, ({ metadata, status }) => {
      const others = this.gangs.filter((other) => other.name !== gang);
      if (how === 'leave') metadata.labels = {};
      else if (how === 'move') {
        metadata.labels = { [GANG_LABEL]: others[0]!.name };
        metadata.annotations = { ...metadata.annotations, 'muster.dev/min-members': String(others[0]!.min) };
        this.disturbed.add(others[0]!.name);
      } else status.phase = how === 'succeed' ? 'Succeeded' : 'Failed';
    });
  }

  #wakeAll(): void {
    for (const { metadata } of this.api.list('Pod')) this.active.add(metadata.name);
  }

  #kill(process: Process): void {
    this.clock.stop(process.session);
    this.api.disconnect(process.session);
    for (const assumed of [...this.assumed.values()])
      if (assumed.process === process) this.#conclude(assumed, 'the connection broke');
  }

  /** One scheduling cycle: the nominated node first, then all that fit (schedule_one.go). */
  #attempt(pod: WireObject, { scheduler }: Process): void {
    this.active.delete(pod.metadata.name);
    const nominated = pod.status.nominatedNodeName ?? '';
    const feasible = this.feasible(pod);
    const ask = (names: readonly string[]): string | undefined => {
      if (names.length === 0) return undefined;
      const call = {
        uid: pod.metadata.uid!,
        version: pod.metadata.resourceVersion ?? '',
        pod,
        nodeNames: NameList.from([...names]),
        nominatedNodeName: nominated,
      };
      const answer = scheduler.verbs.filter(call);
      if (!('nodeNames' in answer)) return undefined;
      const foreign = answer.nodeNames.find((name) => !names.includes(name));
      if (foreign !== undefined)
        this.violations.push(`the answer for ${pod.metadata.name} names ${foreign}, not offered`);
      return answer.nodeNames[0];
    };
    const node = ask(feasible.filter((name) => name === nominated)) ?? ask(feasible);
    if (node === undefined) this.#eraseNomination(pod.metadata.uid!);
    else this.assumed.set(pod.metadata.uid!, { pod, node, process: undefined, leave: () => {} });
  }

  #bind(uid: string, process: Process): void {
    const assumed = this.assumed.get(uid)!;
    assumed.process = process;
    const { namespace = '', name } = assumed.pod.metadata;
    const call = { namespace, name, uid, node: assumed.node };
    const answered = process.scheduler.verbs.bind(call, (leave) => {
      assumed.leave = leave;
      return () => {};
    });
    void answered.then((answer) => {
      if (this.assumed.get(uid) !== assumed || assumed.process !== process) return;
      this.#conclude(assumed, answer.outcome === 'bound' ? undefined : answer.message);
    });
  }

  /** The bind call is over. @param error undefined: kube-scheduler believes that the pod is bound. */
  #conclude({ pod }: Assumed, error: string | undefined): void {
    this.assumed.delete(pod.metadata.uid!);
    if (error !== undefined) this.#eraseNomination(pod.metadata.uid!);
    this.#wakeAll();
  }

  /** kube-scheduler erases the nomination after a failed attempt and after a failed binding. */
  #eraseNomination(uid: string): void {
    const pod = this.api.list('Pod').find(({ metadata }) => metadata.uid === uid);
    if (!pod || pod.spec.nodeName || pod.status.nominatedNodeName === undefined) return;
    this.api.change('Pod', pod.metadata.name, ({ status }) => {
      delete status.nominatedNodeName;
    });
  }

  /** Members that run, or whose bind call waits: they start together. */
  #countArrived(gang: string): number {
    const arrived = new Set<string>();
    for (const { metadata, spec, status } of this.api.list('Pod'))
      if (metadata.uid!.startsWith(gang) && spec.nodeName && status.phase !== 'Failed') arrived.add(metadata.uid!);
    for (const [uid, { process }] of this.assumed) if (process && uid.startsWith(gang)) arrived.add(uid);
    return arrived.size;
  }

  /** Muster asks for a binding: only for a slot that it holds, and only when the gang may start. */
  #checkRequest(session: Session, { name, uid }: PodIdentity, node: string): void {
    const { scheduler } = this.processes.find((process) => process.session === session)!;
    this.#boundBy.set(uid, session);
    const gang = uid.slice(0, 1);
    const pod = this.api.pod(name);
    const slot = scheduler.reservations.slot(uid);
    if (pod?.metadata.labels?.[GANG_LABEL] !== undefined && slot?.node !== node)
      this.violations.push(`${name} is bound to ${node}, and its slot is ${slot ? `on ${slot.node}` : 'not there'}`);
    if (pod?.metadata.labels?.[GANG_LABEL] === undefined) return;
    const arrived = this.#countArrived(gang);
    const { min } = this.#gangs.get(gang)!;
    if (arrived >= min || this.disturbed.has(gang)) this.#started.add(gang);
    else if (!this.#started.has(gang))
      this.violations.push(`${name} is bound when ${arrived} of ${min} members are there`);
  }

  #checkBound({ spec, metadata }: WireObject): void {
    const on = this.api.list('Pod').filter((pod) => pod.spec.nodeName === spec.nodeName && !isOver(pod));
    if (on.length > PLACES)
      this.violations.push(`${metadata.name} is bound to ${spec.nodeName}, which holds ${on.length - 1} pods`);
  }

  /**
   * No process promises more of a node than it holds: what it sees there, its slots and its holds. What another living
   * process has bound does not count: two leaders may promise the same place, and kube-scheduler gives it to one.
   */
  checkPlaces(): readonly string[] {
    const found: string[] = [];
    for (const { session, state, scheduler } of this.processes) {
      const isOwn = (uid: string) => {
        const binder = this.#boundBy.get(uid);
        return binder === session || !this.processes.some((other) => other.session === binder);
      };
      const { indexOf, podsOn } = state.snapshot();
      for (const node of NODES) {
        const taken = new Set(
          (podsOn[indexOf.get(node) ?? -1] ?? [])
            .filter((pod) => isOwn(pod.uid) && !this.#mayDisplace(pod))
            .map(({ uid }) => uid),
        );
        for (const slot of scheduler.reservations.slots())
          if (slot.node === node && slot.state !== 'fenced') taken.add(slot.pod.uid);
        for (const [, hold] of scheduler.reservations.holds())
          if (hold.node === node && !this.#mayDisplace(state.pod(hold.pod.uid) ?? hold.pod)) taken.add(hold.pod.uid);
        if (taken.size > PLACES)
          found.push(`${taken.size} pods have a place on ${node}: ${[...taken].sort().join(', ')}`);
      }
    }
    return found;
  }

  /**
   * A pod that left a gang of high priority may take the place that is kept for a member of lower priority. What counts is
   * the pod as the process sees it: that it was deleted, or that it left, may not have come to it yet.
   */
  #mayDisplace({ labels, priority }: PodModel): boolean {
    const lowest = Math.min(...this.gangs.map((gang) => gang.priority));
    return labels[GANG_LABEL] === undefined && priority > lowest;
  }
}

export function isOver({ status }: WireObject): boolean {
  return status.phase === 'Succeeded' || status.phase === 'Failed';
}

function wire(raw: object): WireObject {
  return structuredClone(raw) as WireObject;
}

/** UIDs begin with the name of the first gang, which is one letter. */
function memberOf({ name, min, priority, isGated }: GangSpec, index: number): WireObject {
  return wire(
    aRawPod({
      name: `${name}-${index}`,
      gpus: GPUS_PER_POD,
      priority,
      labels: { [GANG_LABEL]: name },
      annotations: { 'muster.dev/min-members': String(min) },
      metadata: { uid: `${name}-${index}`, creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: isGated ? { schedulingGates: [{ name: 'muster.dev/gang' }] } : {},
    }),
  );
}

/** Puts the real store between the wire and the state, as the watcher does. */
function feed<T>(project: (raw: unknown) => T, sink: Sink<T>) {
  const store = new Store<T>(sink, (error) => {
    throw error;
  });
  return (type: string, raw: WireObject): void => {
    const { name: key, uid = key, resourceVersion = '' } = raw.metadata;
    if (type === 'DELETED') store.remove(key, uid);
    else store.apply({ key, uid, resourceVersion, object: project(raw) });
  };
}
