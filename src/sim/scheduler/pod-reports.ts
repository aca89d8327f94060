/**
 * What kube-scheduler writes about pods: PodScheduled conditions, nominations and Events. A pod's status is patched
 * only when reason, message or nomination changed, because each patch is an event that may wake the pod again.
 */

import type { Clock } from '../../core/objects/clock.ts';
import { ApiRefusal } from '../api-refusal.ts';
import type { ObjectStore } from '../object-store.ts';
import { type Condition, type Pod, withCondition } from '../objects.ts';
import { timestamp } from '../timestamp.ts';

/** pkg/apis/core/validation/events.go:37. */
const MAX_NOTE_LENGTH = 1_024;
const MAX_REPORTS_KEPT = 10_000;

interface Report {
  readonly type: 'Normal' | 'Warning';
  readonly reason: 'FailedScheduling' | 'Scheduled' | 'Preempted';
  readonly action: 'Scheduling' | 'Binding' | 'Preempting';
  readonly note: string;
}

export class PodReports {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  /** Reports already made about one version of a pod; they are not repeated (client-go tools/events getKey). */
  readonly #made = new Set<string>();
  #serial = 0;

  constructor(store: ObjectStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** An attempt failed. `nomination`: undefined keeps the pod's nomination, '' clears it. */
  failed(pod: Pod, reason: 'Unschedulable' | 'SchedulerError', message: string, nomination: string | undefined): void {
    this.#record(pod, { type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling', note: cut(message) });
    this.#patch(pod, { type: 'PodScheduled', status: 'False', lastProbeTime: null, reason, message }, nomination);
  }

  /** The queue returned a pod that is being deleted. */
  skipped(pod: Pod): void {
    const note = `skip schedule deleting pod: ${pod.metadata.namespace}/${pod.metadata.name}`;
    this.#record(pod, { type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling', note });
  }

  scheduled(pod: Pod, node: string): void {
    const note = `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${node}`;
    this.#record(pod, { type: 'Normal', reason: 'Scheduled', action: 'Binding', note });
  }

  /** A victim is about to be deleted in favour of a pod of higher priority. */
  preempted(victim: Pod, preemptor: Pod, node: string): void {
    const message = `${preemptor.spec.schedulerName}: preempting to accommodate a higher priority pod`;
    const reason = 'PreemptionByScheduler';
    this.#patch(victim, { type: 'DisruptionTarget', status: 'True', lastProbeTime: null, reason, message }, undefined);
    const note = `Preempted by pod ${preemptor.metadata.uid} on node ${node}`;
    this.#record(victim, { type: 'Normal', reason: 'Preempted', action: 'Preempting', note });
  }

  eraseNomination(pod: Pod): void {
    this.#patch(pod, undefined, '');
  }

  #patch({ metadata }: Pod, condition: Condition | undefined, nomination: string | undefined): void {
    const now = timestamp(this.#clock.now());
    const change = (live: Pod): Pod => {
      const { nominatedNodeName, ...rest } = live.status;
      const nominated = nomination ?? nominatedNodeName;
      const conditions = condition ? withCondition(rest.conditions, condition, now) : rest.conditions;
      return {
        ...live,
        status: { ...rest, ...(conditions && { conditions }), ...(nominated && { nominatedNodeName: nominated }) },
      };
    };
    try {
      this.#store.update('pods', metadata.namespace, metadata.name, change, { uid: metadata.uid });
    } catch (error) {
      // The pod is gone or was recreated.
      if (!(error instanceof ApiRefusal)) throw error;
    }
  }

  #record({ metadata, spec }: Pod, { type, reason, action, note }: Report): void {
    const { name, namespace, uid, resourceVersion } = metadata;
    const key = [namespace, name, uid, resourceVersion, reason, action].join('/');
    if (this.#made.has(key)) return;
    if (this.#made.size === MAX_REPORTS_KEPT) this.#made.clear();
    this.#made.add(key);
    const now = new Date(this.#clock.now()).toISOString();
    // As client-go names them, by the nanosecond (tools/record/event.go); the serial stands for what the clock lacks.
    const nanoseconds = BigInt(Math.floor(this.#clock.now())) * 1_000_000n + BigInt(this.#serial++ % 1_000_000);
    this.#store.create('events', {
      metadata: { name: `${name}.${nanoseconds.toString(16)}`, namespace },
      involvedObject: { kind: 'Pod', namespace, name, uid, apiVersion: 'v1', resourceVersion },
      type,
      reason,
      action,
      message: note,
      eventTime: now.replace('Z', '000Z'),
      reportingComponent: spec.schedulerName,
      reportingInstance: `${spec.schedulerName}-embedded`,
      source: {},
      firstTimestamp: null,
      lastTimestamp: null,
    });
  }
}

function cut(note: string): string {
  return note.length <= MAX_NOTE_LENGTH ? note : `${note.slice(0, MAX_NOTE_LENGTH - 4)} ...`;
}
