/** The section `leaderElection` of the configuration: which of several Musters decides. */
import { formatDuration } from '../core/objects/text-values.ts';
import type { Section, TextForm } from './section.ts';

export interface LeaderElectionConfiguration {
  readonly enabled: boolean;
  /** The Lease by which they agree. */
  readonly leaseName: string;
  readonly namespace: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

const second = 1000;
const minute = 60 * second;

const objectName: TextForm = {
  expected: 'the name of an object, such as muster',
  pattern: /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
};

const namespaceName: TextForm = {
  expected: 'the name of a namespace, such as muster-system',
  pattern: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
};

export function readLeaderElection(section: Section): LeaderElectionConfiguration {
  const election = {
    enabled: section.boolean('enabled', true),
    leaseName: section.optionalText('leaseName', objectName) ?? 'muster',
    namespace: section.optionalText('namespace', namespaceName) ?? 'muster-system',
    leaseDurationMs: section.durationMs('leaseDuration', 15 * second, { min: second, max: 10 * minute }),
    renewDeadlineMs: section.durationMs('renewDeadline', 10 * second, { min: 200, max: 10 * minute }),
    retryPeriodMs: section.durationMs('retryPeriod', 2 * second, { min: 50, max: minute }),
  };
  section.end();
  return election;
}

/** A clock may run faster than another one by a tenth: the leader still stops before anybody else may begin. */
const DRIFT = 1.1;
/** As often as client-go demands: the period with its jitter. */
const PERIODS = 1.2;

/** Checks across fields; returns one message per problem. */
export function checkLeaderElection(election: LeaderElectionConfiguration): readonly string[] {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = election;
  const problems: string[] = [];
  if (leaseDurationMs < renewDeadlineMs * DRIFT) {
    problems.push(
      `leaderElection.leaseDuration: expected more than leaderElection.renewDeadline (${formatDuration(renewDeadlineMs)}) ` +
        `by a tenth, found ${formatDuration(leaseDurationMs)}; a leader must stop before another one may begin`,
    );
  }
  if (renewDeadlineMs <= retryPeriodMs * PERIODS) {
    problems.push(
      `leaderElection.renewDeadline: expected more than 1.2 times leaderElection.retryPeriod ` +
        `(${formatDuration(retryPeriodMs)}), found ${formatDuration(renewDeadlineMs)}; a leader must be able to renew in time`,
    );
  }
  return problems;
}

/** As `readLeaderElection` reads it back. */
export function renderLeaderElection(election: LeaderElectionConfiguration): object {
  return {
    enabled: election.enabled,
    leaseName: election.leaseName,
    namespace: election.namespace,
    leaseDuration: formatDuration(election.leaseDurationMs),
    renewDeadline: formatDuration(election.renewDeadlineMs),
    retryPeriod: formatDuration(election.retryPeriodMs),
  };
}
