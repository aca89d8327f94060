/**
 * A text that is equal for equal states: what the API server holds, what each process knows, decided and waits for, and
 * what kube-scheduler has assumed. Pods of a gang are alike and so are nodes, so states that differ only by their names
 * count once.
 *
 * It leaves out what is derived from the rest. Two different states with one fingerprint only cost coverage: nothing is
 * reported that did not happen.
 */
import type { GangRecord } from '../../../src/gang/state/records.ts';
import type { Slot } from '../../../src/gang/state/slot.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import type { Model, Process } from './model.ts';

export function fingerprint(model: Model): string {
  const [plain, swapped] = [false, true].map((isSwapped) => describe(model, isSwapped));
  return plain! < swapped! ? plain! : swapped!;
}

function describe(model: Model, isSwapped: boolean): string {
  const node = (name: string | undefined): string => {
    if (!name) return '-';
    return isSwapped === (name === 'n0') ? '1' : '0';
  };
  const text = (value: string | undefined) => value?.replaceAll(/n[01]/g, node) ?? '-';
  const pods = model.gangs.map(({ name }) => {
    const own = [0, 1, 2].map((i) => describePod(model, `${name}-${i}`, node, text));
    return own.sort().join(' ');
  });
  const nodes = model.api.list('Node').map((raw) => `${node(raw.metadata.name)}${Boolean(raw.spec.unschedulable)}`);
  const processes = model.processes.map((process) => describeProcess(model, process, node));
  return [...pods, nodes.sort().join(), ...processes, [...model.disturbed].sort().join()].join('\n');
}

type Rename = (name: string | undefined) => string;

function describePod(model: Model, uid: string, node: Rename, text: Rename): string {
  const assumed = model.assumed.get(uid);
  const caller = assumed?.process ? model.processes.indexOf(assumed.process) : '-';
  return [
    describeRaw(model.api.pod(uid), node, text),
    assumed ? `${node(assumed.node)}${caller}` : '-',
    model.active.has(uid) ? 'a' : '-',
    ...model.processes.map(({ session, state, scheduler }) => {
      const pod = state.pod(uid);
      const seen = pod && [
        pod.labels['muster.dev/pod-group'],
        node(pod.nodeName),
        node(pod.nominatedNodeName),
        pod.phase,
        pod.gates.length,
      ];
      const events = session.events.Pod.map(({ type, object }) =>
        object.metadata.uid === uid ? `${type[0]}${describeRaw(object, node, text)}` : '',
      );
      const writes = session.writes
        .filter((write) => write.pod.uid === uid)
        .map(({ verb, node: to }) => verb + node(to));
      return [seen, events, writes.sort(), describeSlot(scheduler.reservations.slot(uid), model, node)].join('|');
    }),
  ].join(';');
}

function describeRaw(raw: WireObject | undefined, node: Rename, text: Rename): string {
  if (!raw) return 'none';
  const { metadata, spec, status } = raw;
  const { 'muster.dev/pod-group': gang } = metadata.labels ?? {};
  const { 'muster.dev/plan': plan, 'muster.dev/preempted-by': victim } = metadata.annotations ?? {};
  return [
    gang,
    node(spec.nodeName),
    node(status.nominatedNodeName),
    text(plan),
    victim,
    status.phase,
    spec.schedulingGates?.length,
  ].join();
}

/** Everything that is measured against an age has happened by then (see the settings of the model). */
const OLD_MS = 30_000;

function ageOf(at: number, model: Model): number {
  return Math.min(OLD_MS, model.clock.now() - at);
}

function describeSlot(slot: Slot | undefined, model: Model, node: Rename): string {
  if (!slot) return '-';
  const { state, attempt, since, isRecorded, isWritten, isUngated, renewals } = slot;
  return [
    slot.gang,
    node(slot.node),
    state,
    attempt,
    model.clock.now() - since,
    isRecorded,
    isWritten,
    isUngated,
    renewals,
  ].join();
}

function describeProcess(model: Model, { session, scheduler }: Process, node: Rename): string {
  const { reservations, barrier, view } = scheduler;
  const records = [...view.gangs()].map((record) => describeRecord(model, record)).sort();
  const holds = [...reservations.holds()].map(
    ([key, hold]) => `${key.kind}${node(hold.node)}${hold.until - model.clock.now()}`,
  );
  const order = session.events.Pod.map(({ object }) => object.metadata.labels?.['muster.dev/pod-group']);
  return [
    ...records,
    holds.sort(),
    barrier.held,
    order,
    session.events.Node.length,
    model.clock.deadlines(session),
  ].join('\n');
}

function describeRecord(model: Model, { gang, state, attempt, preemption, repair }: GangRecord): string {
  const since = (at: number | undefined) => (at === undefined || !Number.isFinite(at) ? '-' : ageOf(at, model));
  return [
    gang.key,
    state,
    attempt.isOpen,
    attempt.isUnchecked,
    attempt.failures,
    Math.max(0, attempt.backoffUntil - model.clock.now()),
    attempt.refusals,
    attempt.replans,
    attempt.refused.size,
    attempt.clearing.size,
    attempt.shortfall !== undefined,
    since(attempt.incompleteSince),
    preemption.preempting !== undefined,
    preemption.preempting?.victims.size,
    repair.hasRun,
    repair.left.length,
    repair.lost.length,
    repair.isStuck,
    since(repair.brokenSince),
    since(repair.restartingSince),
  ].join();
}
