/**
 * Field numbers of the built-in kinds but Pod, as far as their projections read them. Source: k8s.io/api v0.37.2
 * core/v1, batch/v1, apps/v1, policy/v1 and storage/v1 generated.proto.
 */
import { LABEL_SELECTOR, METADATA } from './common-shapes.ts';
import {
  amounts,
  flag,
  flagKept,
  list,
  messageShape,
  microTime,
  one,
  text,
  textKept,
  time,
  whole,
  wholeKept,
} from './message-shape.ts';

const TAINT = messageShape({ 1: textKept('key'), 2: text('value'), 3: textKept('effect') });
const NODE_CONDITION = messageShape({ 1: textKept('type'), 2: textKept('status'), 4: time('lastTransitionTime') });

export const NODE = messageShape({
  1: one('metadata', METADATA),
  2: one('spec', messageShape({ 4: flag('unschedulable'), 5: list('taints', TAINT) })),
  3: one('status', messageShape({ 2: amounts('allocatable'), 4: list('conditions', NODE_CONDITION) })),
});

const FAILURE_RULE = messageShape({
  1: textKept('action'),
  3: list('onPodConditions', messageShape({ 1: textKept('type'), 2: textKept('status') })),
});
const JOB_SPEC = messageShape({
  1: wholeKept('parallelism'),
  2: wholeKept('completions'),
  3: wholeKept('activeDeadlineSeconds'),
  6: one('template', messageShape({ 1: one('metadata', METADATA) })),
  7: wholeKept('backoffLimit'),
  10: flagKept('suspend'),
  11: one('podFailurePolicy', messageShape({ 1: list('rules', FAILURE_RULE) })),
  12: wholeKept('backoffLimitPerIndex'),
});
const JOB_STATUS = messageShape({
  1: list('conditions', messageShape({ 1: textKept('type'), 2: textKept('status') })),
  2: time('startTime'),
  5: whole('succeeded'),
  7: text('completedIndexes'),
  10: textKept('failedIndexes'),
});

export const JOB = messageShape({
  1: one('metadata', METADATA),
  2: one('spec', JOB_SPEC),
  3: one('status', JOB_STATUS),
});

export const CLAIM = messageShape({
  1: one('metadata', METADATA),
  2: one('spec', messageShape({ 3: text('volumeName'), 5: textKept('storageClassName') })),
});

export const STORAGE_CLASS = messageShape({ 1: one('metadata', METADATA), 7: textKept('volumeBindingMode') });

export const DAEMON_SET = messageShape({ 1: one('metadata', METADATA) });

export const DISRUPTION_BUDGET = messageShape({
  1: one('metadata', METADATA),
  2: one('spec', messageShape({ 2: one('selector', LABEL_SELECTOR) })),
  3: one('status', messageShape({ 3: whole('disruptionsAllowed') })),
});

/** Event of core/v1. */
export const EVENT = messageShape({
  1: one('metadata', METADATA),
  2: one('involvedObject', messageShape({ 1: text('kind'), 3: text('name'), 4: text('uid') })),
  3: text('reason'),
  4: text('message'),
  7: time('lastTimestamp'),
  10: microTime('eventTime'),
  11: one('series', messageShape({ 2: microTime('lastObservedTime') })),
});
