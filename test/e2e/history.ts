/** What happens while a scenario goes on: who was told to leave, and which states a gang went through. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CoreV1Event, V1Pod } from '@kubernetes/client-node';
import { reportingController } from '../../src/telemetry/events.ts';
import { waitFor } from './cluster/wait.ts';
import { follow } from './cluster/watch-until.ts';
import { gangItem, type World } from './world.ts';

/** How often a gang's state is looked at, milliseconds. */
const LOOK_MS = 100;

export interface History {
  /** Names of the pods that were evicted, or told that they will be, whoever did it. */
  evicted(): readonly string[];
  /** The states of the gang, each time it was another one. */
  states(): readonly string[];
}

/** Runs a part of a scenario and records meanwhile what happens to the gang, and to all pods of the cluster. */
export async function recorded(world: World, gang: string, part: (history: History) => Promise<void>): Promise<void> {
  const end = new AbortController();
  const evicted = new Set<string>();
  const states: string[] = [];
  const watching = (async () => {
    for await (const { object } of follow(world.cluster.api, 'pods', {}, 'default', end.signal)) {
      if (isToldToLeave(object)) evicted.add(object.metadata?.name as string);
    }
  })();
  const looking = (async () => {
    while (!end.signal.aborted) {
      const state = (await gangItem(world, gang).catch(() => undefined))?.status.state ?? 'unknown';
      // Bindings that the scenario has seen already, Muster's watch will show in a moment.
      const isBehind = states.length === 0 && state === 'Nominated';
      if (state !== states.at(-1) && !isBehind) states.push(state);
      await delay(LOOK_MS);
    }
  })();
  try {
    await Promise.race([part({ evicted: () => [...evicted].sort(), states: () => states }), watching, looking]);
  } finally {
    end.abort();
    await Promise.all([watching, looking]);
  }
}

/** By eviction, by a taint of its node, or by a notice of Muster. A pod that its own controller deletes is none of these. */
function isToldToLeave({ metadata, status }: V1Pod): boolean {
  const isTarget = status?.conditions?.some((condition) => condition.type === 'DisruptionTarget') ?? false;
  return isTarget || metadata?.annotations?.['muster.dev/preempted-by'] !== undefined;
}

/** Muster's own Events on objects of these names, or on all of them. */
export async function musterEvents(
  { cluster }: World,
  ...regarding: readonly string[]
): Promise<readonly CoreV1Event[]> {
  const events = await cluster.api.list('events', { namespace: 'default' });
  return events.filter(({ reportingComponent, involvedObject }) => {
    const isAsked = regarding.length === 0 || regarding.includes(involvedObject.name ?? '');
    return reportingComponent === reportingController && isAsked;
  });
}

/** Waits until Muster says something like it in an Event on one of the objects. */
export async function expectTold(world: World, regarding: readonly string[], text: RegExp): Promise<void> {
  await waitFor(
    async () => {
      const notes = (await musterEvents(world, ...regarding)).map(({ message }) => message ?? '');
      if (notes.some((note) => text.test(note))) return true;
      throw new Error(notes.join(' | ') || 'no Event');
    },
    { what: `an Event on ${regarding.join(' or ')} like ${text}` },
  );
}
