/** The sections `preemption` and `repair` of the configuration. */

import { formatDuration } from '../core/objects/text-values.ts';
import type { Section } from './section.ts';

/** How Muster preempts for gangs. */
export interface PreemptionConfiguration {
  readonly noticeMs: number;
  readonly fenceTimeoutMs: number;
  readonly blockedTimeoutMs: number;
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
}

/** How Muster handles running gangs that lost members. */
export interface RepairConfiguration {
  readonly replaceTimeoutMs: number;
  readonly nodeToleranceMs: number;
  readonly maxRestarts: number;
  readonly restartBackoffMs: number;
  readonly memoryMs: number;
  readonly suspectAfter: number;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const range = { min: 10, max: 24 * hour };

/** Reads the section; problems are reported to it. */
export function readPreemption(section: Section): PreemptionConfiguration {
  const preemption = {
    noticeMs: section.durationMs('notice', 0, { min: 0, max: 24 * hour }),
    fenceTimeoutMs: section.durationMs('fenceTimeout', 5 * minute, range),
    blockedTimeoutMs: section.durationMs('blockedTimeout', 30 * second, range),
    backoffInitialMs: section.durationMs('backoffInitial', 30 * second, range),
    backoffMaxMs: section.durationMs('backoffMax', 10 * minute, range),
  };
  section.end();
  return preemption;
}

/** Reads the section; problems are reported to it. */
export function readRepair(section: Section): RepairConfiguration {
  const repair = {
    replaceTimeoutMs: section.durationMs('replaceTimeout', 10 * minute, { min: 0, max: 24 * hour }),
    nodeToleranceMs: section.durationMs('nodeTolerance', minute, { min: 0, max: 24 * hour }),
    maxRestarts: section.integer('maxRestarts', 3, { min: 0, max: 1000 }),
    restartBackoffMs: section.durationMs('restartBackoff', 30 * second, range),
    memoryMs: section.durationMs('memory', hour, range),
    suspectAfter: section.integer('suspectAfter', 3, { min: 1, max: 1000 }),
  };
  section.end();
  return repair;
}

/** Checks across fields; returns one message per problem. */
export function checkPreemption({ backoffInitialMs, backoffMaxMs }: PreemptionConfiguration): readonly string[] {
  if (backoffMaxMs >= backoffInitialMs) return [];
  return [
    `preemption.backoffMax: expected at least preemption.backoffInitial (${formatDuration(backoffInitialMs)}), ` +
      `found ${formatDuration(backoffMaxMs)}`,
  ];
}

/** The sections in the form that `readPreemption` and `readRepair` read. */
export function renderRepair(
  preemption: PreemptionConfiguration,
  repair: RepairConfiguration,
): { readonly preemption: object; readonly repair: object } {
  return {
    preemption: {
      notice: formatDuration(preemption.noticeMs),
      fenceTimeout: formatDuration(preemption.fenceTimeoutMs),
      blockedTimeout: formatDuration(preemption.blockedTimeoutMs),
      backoffInitial: formatDuration(preemption.backoffInitialMs),
      backoffMax: formatDuration(preemption.backoffMaxMs),
    },
    repair: {
      replaceTimeout: formatDuration(repair.replaceTimeoutMs),
      nodeTolerance: formatDuration(repair.nodeToleranceMs),
      maxRestarts: repair.maxRestarts,
      restartBackoff: formatDuration(repair.restartBackoffMs),
      memory: formatDuration(repair.memoryMs),
      suspectAfter: repair.suspectAfter,
    },
  };
}
