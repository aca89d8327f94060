/** Every Event that the observer can write is in the closed list, and every entry of the list can be written. */
import { describe, expect, test } from 'vitest';
import { describeGang, gangKey } from '../../../src/core/podgroup/gang.ts';
import type { Reason } from '../../../src/core/reasons/explain.ts';
import { TelemetryObserver } from '../../../src/gang/framework/observer.ts';
import { beginPreempting } from '../../../src/gang/state/preempting.ts';
import { type EventReason, eventKinds } from '../../../src/telemetry/event-kinds.ts';
import { EventRecorder } from '../../../src/telemetry/events.ts';
import { createLogger } from '../../../src/telemetry/log.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { aGangSources, aPod } from '../../support/builders.ts';
import { HandClock } from '../../support/hand-clock.ts';

interface Told {
  readonly type: string;
  readonly reason: EventReason;
  readonly action: string;
  readonly note: string;
  readonly regarding: { readonly kind: string; readonly name: string };
}

function listen() {
  const told: Told[] = [];
  const clock = new HandClock();
  const metrics = new Metrics();
  const logger = createLogger({ verbosity: 0, now: () => clock.now(), write: () => {} });
  const createEvent = async (_namespace: string, event: object) => {
    told.push(event as Told);
    return { kind: 'ok' } as const;
  };
  const events = new EventRecorder({
    api: { createEvent },
    logger,
    metrics,
    instance: 'test',
    clock: clock.forProcess(),
  });
  return { told, observer: new TelemetryObserver(metrics, logger, events) };
}

const member = (name: string, nodeName: string) =>
  aPod({ name, nodeName, labels: { 'muster.dev/pod-group': 'a' }, owner: { kind: 'Job', name: 'a', uid: 'job-a' } });

/** One member runs and one waits. */
const pods = [member('a-0', 'n0'), member('a-1', '')];
const gang = describeGang(gangKey('default', 'a'), aGangSources(pods));
const noRoom: Reason = { kind: 'unschedulable', fits: 0, want: 1, causes: [], topology: undefined };
const job = { name: 'a', backoffLimit: 0, parallelism: 2 } as Parameters<TelemetryObserver['onFragile']>[1];

const membersWait = { kind: 'members-wait', pods: { names: ['a-1'], count: 1 }, why: noRoom } as const;

/** What leads to each Event. */
const occasions: Readonly<Record<EventReason, (observer: TelemetryObserver) => void>> = {
  GangWaiting: (observer) => {
    observer.onReason(gang, 'Pending', noRoom);
    observer.onReason(gang, 'Pending', { kind: 'queued' });
  },
  GangUnsatisfiable: (observer) =>
    observer.onReason(gang, 'Unsatisfiable', { kind: 'unsatisfiable', lacks: noRoom, oversize: undefined }),
  KeyIgnored: (observer) => observer.onKeysIgnored(pods[1]!, []),
  OtherGates: (observer) => {
    observer.onOtherGates(pods[1]!, ['example.com/gate']);
    observer.onOtherGates(aPod({ name: 'lone' }), ['example.com/gate']);
  },
  MembersWaiting: (observer) => {
    observer.onReason(gang, 'Running', membersWait);
    observer.onReason(gang, 'Running', { ...membersWait, why: { kind: 'queued' } });
  },
  GangInvalid: (observer) =>
    observer.onReason(gang, 'Running', { kind: 'problems', problems: [{ kind: 'unbound-claim', claim: 'data' }] }),
  LaterRunsWait: (observer) =>
    observer.onReason(gang, 'Running', { kind: 'later-runs', run: undefined, later: [], count: 0 }),
  GangPreempting: (observer) =>
    observer.onReason(gang, 'Preempting', { kind: 'preempting', victims: [], pods: 1, gone: 0, blockedBy: '' }),
  GangNominated: (observer) => observer.onReason(gang, 'Nominated', { kind: 'nominated', members: 2, atBarrier: 0 }),
  GangRunning: (observer) => observer.onRunning(gang, 1, 'in spine-0/leaf-0', pods.slice(0, 1)),
  GangFinished: (observer) => observer.onReason(gang, 'Finished', undefined),
  JobDiesWhenPreempted: (observer) => observer.onFragile(gang, job),
  Preempted: (observer) => {
    const units = [{ key: 'default/a', pods }] as unknown as Parameters<typeof beginPreempting>[0];
    observer.onPreempting('default/x', beginPreempting(units, [], { now: 0, noticeMs: 0, waitsForAll: false }));
  },
  GangRestarting: (observer) => observer.onRestarting(gang, 1, 3),
  NodeFailsGangs: (observer) => observer.onNodeFailed('default/a', 'n0', true),
  RunTimeEnding: (observer) => observer.onRunTimeEnding(gang, 'q', 0),
  RunTimeOver: (observer) => observer.onRunTimeOver(gang, 'q', 1_000),
};

describe('the closed list of Events', () => {
  test.each(Object.keys(eventKinds) as EventReason[])('%s is written as it says', (reason) => {
    const { told, observer } = listen();
    occasions[reason](observer);
    const { types, on, action } = eventKinds[reason];
    expect(told.map((event) => event.reason)).toEqual(told.map(() => reason));
    expect([...new Set(told.map(({ type }) => type))].toSorted()).toEqual(types.toSorted());
    expect([...new Set(told.map(({ regarding }) => regarding.kind))].toSorted()).toEqual(on.toSorted());
    expect(new Set(told.map((event) => event.action))).toEqual(new Set([action]));
  });
});

describe('who is told', () => {
  test('that members wait beside a running gang: those, and the Job', () => {
    const { told, observer } = listen();
    observer.onReason(gang, 'Running', membersWait);
    expect(told.map(({ regarding }) => `${regarding.kind} ${regarding.name}`)).toEqual(['Pod a-1', 'Job a']);
  });

  test('that newcomers wait: those alone', () => {
    const { told, observer } = listen();
    observer.onNewcomers(gang, 'Broken', noRoom, pods);
    expect(told.map(({ regarding }) => `${regarding.kind} ${regarding.name}`)).toEqual(['Pod a-1']);
  });

  test('that it runs: those that run, of the members that have not ended', () => {
    const { told, observer } = listen();
    const ended = aPod({ ...member('a-9', 'n9'), phase: 'Succeeded' });
    observer.onRunning({ ...gang, members: [...pods, ended] }, 1, 'in s0', pods.slice(0, 1));
    expect(told.map(({ regarding }) => `${regarding.kind} ${regarding.name}`)).toEqual(['Job a', 'Pod a-0']);
    expect(told.map(({ note }) => note)).toEqual([
      'gang default/a: Running 1/2 in s0',
      expect.stringContaining('gang default/a: Running 1/2 in s0; '),
    ]);
  });

  test('at most eight Jobs', () => {
    const { told, observer } = listen();
    const many = Array.from({ length: 20 }, (_, i) =>
      aPod({ name: `p${i}`, owner: { kind: 'Job', name: `job-${i}`, uid: `job-${i}` } }),
    );
    observer.onReason({ ...gang, members: many }, 'Pending', noRoom);
    expect(told.filter(({ regarding }) => regarding.kind === 'Job')).toHaveLength(8);
  });

  test('that a later run waits: each of its pods', () => {
    const { told, observer } = listen();
    observer.onLaterRun(gang, { name: { kind: 'Job', name: 'b' }, pods });
    const first = ['GangWaiting on a-0', 'GangWaiting on a', 'GangWaiting on a-1'];
    expect(told.map(({ reason, regarding }) => `${reason} on ${regarding.name}`)).toEqual(first);
  });

  test('nobody that a gang runs when it is a victim', () => {
    const { told, observer } = listen();
    observer.onReason(gang, 'Running', { kind: 'preempted', by: 'default/x', at: 0 });
    expect(told).toEqual([]);
  });
});
