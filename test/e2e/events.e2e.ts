import { expect } from 'vitest';
import { ApiClient } from '../../src/kube/client.ts';
import { loadEndpoint } from '../../src/kube/kubeconfig.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { type EventReason, eventKinds } from '../../src/telemetry/event-kinds.ts';
import { EventRecorder, type MusterEvent } from '../../src/telemetry/events.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { waitFor } from './cluster/wait.ts';
import { gpuJob } from './objects.ts';
import { scenarios } from './scenarios.ts';
import type { World } from './world.ts';

interface ReadBack {
  readonly metadata: { readonly namespace: string };
  readonly type: string;
  readonly reason: string;
  readonly action: string;
  readonly note: string;
  readonly reportingInstance: string;
  readonly regarding: {
    readonly kind: string;
    readonly namespace?: string;
    readonly name: string;
    readonly uid: string;
  };
}

/** Tells the Events under test from those of the Muster that runs beside it. */
const INSTANCE = 'e2e-events';

/** Everything that Muster can write: each reason with each of its types, on each kind of object. */
function listEvents(): readonly MusterEvent[] {
  return (Object.keys(eventKinds) as EventReason[]).flatMap((reason) => {
    const { types, on } = eventKinds[reason];
    return on.flatMap((kind) =>
      types.map((type): MusterEvent => {
        const namespace = kind === 'Node' ? '' : 'default';
        // The longest name that such an object can have, and a note that has to be cut.
        const name = `${kind.toLowerCase()}-${reason.toLowerCase()}-${type.toLowerCase()}`.padEnd(253, 'x');
        return {
          regarding: { kind, namespace, name, uid: name },
          ...{ type, reason, level: 'gang', note: `${reason} ${'é'.repeat(2000)}` },
        };
      }),
    );
  });
}

async function readEvents({ cluster }: World): Promise<readonly ReadBack[]> {
  const { items } = await cluster.api.request<{ items: readonly ReadBack[] }>('GET', '/apis/events.k8s.io/v1/events');
  return items;
}

// There are no nodes: every gang waits.
scenarios('Events', { scheduler: { profile: 'none' } }, (scenario) => {
  scenario('of every kind that Muster writes arrive, with its own rights', async (world) => {
    const metrics = new Metrics();
    const api = new ApiClient(await loadEndpoint({ kind: 'file', path: world.cluster.musterKubeconfig }));
    const lines: string[] = [];
    const logger = createLogger({ verbosity: 0, now: Date.now, write: (line) => lines.push(line) });
    const recorder = new EventRecorder({ api, logger, metrics, instance: INSTANCE, clock: systemClock });
    const events = listEvents();
    try {
      for (const event of events) recorder.record(event);
      const read = await waitFor(
        async () => {
          const found = (await readEvents(world)).filter(({ reportingInstance }) => reportingInstance === INSTANCE);
          if (found.length < events.length) throw new Error(`${found.length} of ${events.length}: ${lines.join('')}`);
          return found;
        },
        { what: 'all Events to be there' },
      );
      const textOf = ({ regarding, type, reason }: ReadBack | MusterEvent) =>
        `${type} ${reason} on ${regarding.kind} ${regarding.namespace ?? ''}/${regarding.name} ${regarding.uid}`;
      expect(read.map(textOf).toSorted()).toEqual(events.map(textOf).toSorted());
      for (const { metadata, note, action, reason } of read) {
        expect(metadata.namespace).toBe('default');
        expect(note).toMatch(new RegExp(`^${reason} é+…$`));
        expect(action).toBe(eventKinds[reason as EventReason].action);
      }
    } finally {
      recorder.stop();
      await api.close();
    }
  });

  scenario('about a gang that waits are on its Job and on every member', async (world) => {
    const { api } = world.cluster;
    await api.create('jobs', gpuJob({ name: 'told', size: 3 }));
    await waitFor(
      async () => {
        const told = (await readEvents(world)).filter(
          ({ reason, note }) => reason === 'GangWaiting' && note.includes('default/told: room for 0 of 3'),
        );
        const kinds = told.map(({ regarding }) => regarding.kind).toSorted();
        if (kinds.join() !== 'Job,Pod,Pod,Pod') throw new Error(`found ${kinds.join()}`);
        return true;
      },
      { what: 'the Job and its three pods to have the Event' },
    );
  });
});
