/** Worlds with queues, for the scenarios of order, quota, backfill, reclaim and run limits. */

import { defaultConfiguration } from '../../src/config/configuration.ts';
import type { QueuesConfiguration } from '../../src/config/queues.ts';
import type { WireObject } from './cluster-in-memory.ts';
import { aQueue, type QueueOptions } from './queues.ts';
import { type GangOptions, gang, type RunningOptions, startWorld, type World, type WorldOptions } from './scenario.ts';

export interface QueueWorldOptions extends Omit<WorldOptions, 'settings'> {
  /** The `queues` section of the configuration, without its items. */
  readonly queues?: Partial<Omit<QueuesConfiguration, 'items'>>;
  readonly settings?: WorldOptions['settings'];
}

/** A world with these queues in its configuration file. */
export async function startQueueWorld(
  items: readonly QueueOptions[],
  { queues = {}, settings = {}, ...options }: QueueWorldOptions = {},
): Promise<World> {
  const configured = { ...defaultConfiguration().queues, ...queues, items: items.map(aQueue) };
  return await startWorld({ ...options, settings: { ...settings, queues: configured } });
}

/** Adds the label that names the queue to the options of a gang or a pod. */
export function inQueue<T extends GangOptions & RunningOptions>(
  queue: string,
  options: T = {} as T,
): T & { readonly labels: Readonly<Record<string, string>> } {
  return { ...options, labels: { ...options.labels, 'muster.dev/queue': queue } };
}

/** A gang with an expected duration; 8 GPUs per member. */
export function timed(name: string, size: number, duration: string, options: GangOptions = {}): WireObject[] {
  const annotations = { 'muster.dev/expected-duration': duration, ...options.annotations };
  return gang(name, size, { ...options, annotations });
}

/** Binds all nominated pods, and plans what became free. */
export async function scheduleAll(world: World): Promise<void> {
  await world.settle();
  await world.schedule();
}

/** Ends all members with success, which frees their nodes. */
export function end(world: World, name: string): void {
  for (const { metadata } of listMembers(world, name)) world.finish(metadata.name);
}

/** Deletes all members. */
export function remove(world: World, name: string): void {
  for (const { metadata } of listMembers(world, name)) world.delete(metadata.name);
}

export function listMembers(world: World, name: string): readonly WireObject[] {
  return world.cluster.list('Pod').filter(({ metadata }) => metadata.labels?.['muster.dev/pod-group'] === name);
}

/** Sets an annotation on all members; undefined removes it. */
export function annotate(world: World, name: string, key: string, value: string | undefined): void {
  for (const { metadata } of listMembers(world, name)) {
    world.cluster.update('Pod', `default/${metadata.name}`, (raw) => {
      const { [key]: _, ...rest } = raw.metadata.annotations ?? {};
      raw.metadata.annotations = value === undefined ? rest : { ...rest, [key]: value };
    });
  }
}

/** Names of the gangs with all members bound, in the given order. */
export function runningOf(world: World, ...names: readonly string[]): readonly string[] {
  return names.filter((name) => world.stateOf(name) === 'Running');
}
