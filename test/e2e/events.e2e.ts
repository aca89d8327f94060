import { expect } from 'vitest';
import { ApiClient } from '../../src/kube/client.ts';
import { loadEndpoint } from '../../src/kube/kubeconfig.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { type EventReason, eventKinds } from '../../src/telemetry/event-kinds.ts';
import { EventRecorder, type MusterEvent } from '../../src/telemetry/events.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { waitFor } from './cluster/wait.ts';
import { addNodes } from './fabric.ts';
import { gpuJob } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { podsOf, type World } from './world.ts';

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

const SPINE = 'e2e.muster.dev/spine';
const LEAF = 'e2e.muster.dev/leaf';
const topology = {
  levels: [
    { name: 'spine', label: SPINE },
    { name: 'leaf', label: LEAF },
  ],
};

scenarios('Events', { topology }, (scenario) => {
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

  scenario(
    'say on a Job and each of its pods why they wait, on the Job and one pod where they started; nothing when it is deleted',
    async (world) => {
      const { api } = world.cluster;
      await addNodes(world, { count: 2, labels: () => ({ [SPINE]: 'spine-0', [LEAF]: 'leaf-0' }) });
      await api.create('jobs', gpuJob({ name: 'told', size: 3 }));
      const waiting = await expectTold(world, 'told', 'GangUnsatisfiable', ['Job', 'Pod', 'Pod', 'Pod']);

      await addNodes(world, { first: 2, labels: () => ({ [SPINE]: 'spine-0', [LEAF]: 'leaf-1' }) });
      const started = await expectTold(world, 'told', 'GangRunning', ['Job', 'Pod']);
      for (const { note } of started)
        expect(note).toContain('gang default/told: Running 3/3 in spine-0: leaf-0, leaf-1');

      await api.delete('jobs', 'told');
      await waitFor(async () => (await podsOf(world, 'told')).length === 0, { what: 'all pods to be gone' });
      const warnings = (await readEvents(world)).filter(
        ({ type, note }) => type === 'Warning' && note.includes('told'),
      );
      expect(warnings.map(({ note }) => note)).toEqual(waiting.map(({ note }) => note));
    },
  );
});

/** Waits until the gang has this Event on objects of these kinds, and on no others. */
async function expectTold(world: World, gang: string, reason: EventReason, kinds: readonly string[]) {
  return waitFor(
    async () => {
      const told = (await readEvents(world)).filter(
        (event) => event.reason === reason && event.note.includes(`gang default/${gang}:`),
      );
      const found = told.map(({ regarding }) => regarding.kind).toSorted();
      if (found.join() !== kinds.join()) throw new Error(`found ${found.join()}`);
      return told;
    },
    { what: `${reason} on ${kinds.join()}` },
  );
}
