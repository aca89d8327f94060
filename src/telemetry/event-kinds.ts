/**
 * Every Event that Muster can write, as one closed list: an Event with another reason does not compile. docs/events.md
 * explains each of them, and a test writes each one to a real API server.
 */

/** The kinds of object that an Event can be about, with their API version. */
export const regardedVersions = { Pod: 'v1', Job: 'batch/v1', Node: 'v1' } as const;

export type RegardedKind = keyof typeof regardedVersions;

interface EventKind {
  readonly types: readonly ('Normal' | 'Warning')[];
  /** The kinds of object on which it is written. */
  readonly on: readonly RegardedKind[];
  /** What Muster did or tried, in UpperCamelCase. */
  readonly action: string;
}

/** By reason: the cause in UpperCamelCase, by which users filter. */
export const eventKinds = {
  GangWaiting: { types: ['Normal', 'Warning'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  GangUnsatisfiable: { types: ['Warning'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  KeyIgnored: { types: ['Warning'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  OtherGates: { types: ['Normal', 'Warning'], on: ['Pod'], action: 'GangScheduling' },
  MembersWaiting: { types: ['Normal', 'Warning'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  GangInvalid: { types: ['Warning'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  LaterRunsWait: { types: ['Normal'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  GangPreempting: { types: ['Normal'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  GangNominated: { types: ['Normal'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  GangRunning: { types: ['Normal'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  GangFinished: { types: ['Normal'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  JobDiesWhenPreempted: { types: ['Warning'], on: ['Pod', 'Job'], action: 'GangScheduling' },
  Preempted: { types: ['Warning'], on: ['Pod', 'Job'], action: 'Preemption' },
  GangRestarting: { types: ['Warning'], on: ['Pod', 'Job'], action: 'Repair' },
  NodeFailsGangs: { types: ['Warning'], on: ['Node'], action: 'Repair' },
  RunTimeEnding: { types: ['Warning'], on: ['Pod', 'Job'], action: 'RunTimeLimit' },
  RunTimeOver: { types: ['Warning'], on: ['Pod', 'Job'], action: 'RunTimeLimit' },
} as const satisfies Readonly<Record<string, EventKind>>;

export type EventReason = keyof typeof eventKinds;
