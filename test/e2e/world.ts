/** A cluster with Muster in it, and the questions the e2e tests ask about gangs, answered from API objects. */
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import type { GangItem } from '../../src/http/inspect/gangs.ts';
import type { ApiClient } from './cluster/api-client.ts';
import type { Cluster, ControlPlaneOptions } from './cluster/control-plane.ts';
import { DEADLINE_MS, waitFor } from './cluster/wait.ts';
import { watchUntil } from './cluster/watch-until.ts';
import { type MusterProcess, startMuster } from './muster.ts';

export interface World {
  readonly cluster: Cluster;
  /** The Muster of now: a test that kills it starts another one here. */
  muster: MusterProcess;
  /** The API server, for somebody with Muster's rights. */
  readonly asMuster: ApiClient;
  /** Muster's configuration. */
  readonly config: Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** A cluster, and what deviates from the defaults in some sections of Muster's configuration. */
export interface WorldOptions extends ControlPlaneOptions {
  readonly gang?: Readonly<Record<string, unknown>>;
  readonly topology?: Readonly<Record<string, unknown>>;
  readonly preemption?: Readonly<Record<string, unknown>>;
  readonly repair?: Readonly<Record<string, unknown>>;
  readonly queues?: Readonly<Record<string, unknown>>;
  /** Installs deploy/crds before Muster starts. */
  readonly queueObjects?: boolean;
  /** With two extender entries: the resources of the one that binds. */
  readonly bindResources?: readonly string[];
}

export type StartCluster = (options: ControlPlaneOptions) => Promise<Cluster>;

const NOT_READY = 'node.kubernetes.io/not-ready';

/** Shorter than the defaults, so that a scenario with a time-out in it ends soon; their order is the same. */
const SHORT_TIMEOUTS = { nominationTimeout: '4s', barrierTimeout: '12s', backoffInitial: '500ms', backoffMax: '5s' };

/** What a scenario starts with must not depend on what another one left behind. */
const GATES = { gates: 'always' };

export async function startWorld(
  { gang, topology, preemption, repair, queues, bindResources, queueObjects = false, ...options }: WorldOptions,
  start: StartCluster,
): Promise<World> {
  const cluster = await start({ admissionPolicy: true, ...options });
  const config = {
    ...musterConfig(gang),
    ...(topology !== undefined && { topology }),
    ...(bindResources !== undefined && { bindResources }),
    ...(preemption !== undefined && { preemption }),
    ...(repair !== undefined && { repair }),
    ...(queues !== undefined && { queues }),
  };
  try {
    if (queueObjects) await cluster.applyManifests('crds');
    return worldOf(cluster, await startMuster({ cluster, config }), config);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** A cluster and the Muster that runs in it. */
export function worldOf(cluster: Cluster, muster: MusterProcess, config: World['config']): World {
  const asMuster = cluster.api.as(cluster.tokens.muster);
  const world: World = {
    cluster,
    muster,
    asMuster,
    config,
    stop: async () => {
      await world.muster.stop();
      await asMuster.close();
      await cluster.stop();
    },
  };
  return world;
}

/** The configuration of a Muster under test. */
export function musterConfig(gang: Readonly<Record<string, unknown>> = {}): World['config'] {
  return { gang: { ...SHORT_TIMEOUTS, ...GATES, ...gang }, server: { drainDelay: '0s' } };
}

/** Starts Muster again after the test ended it. */
export async function restartMuster(world: World): Promise<void> {
  world.muster = await startMuster({ cluster: world.cluster, config: world.config });
}

/** All pods of the gang that are there. */
export async function podsOf(world: World, gang: string): Promise<readonly V1Pod[]> {
  return world.cluster.api.list('pods', { namespace: 'default', labelSelector: `muster.dev/pod-group=${gang}` });
}

export async function boundPodsOf(world: World, gang: string): Promise<readonly V1Pod[]> {
  return (await podsOf(world, gang)).filter((pod) => pod.spec?.nodeName);
}

/** Waits until no pod of the gang is left: a node is free when they have ended, and they go a moment later. */
export async function expectGone(world: World, gang: string): Promise<void> {
  await waitFor(async () => (await podsOf(world, gang)).length === 0, { what: `the pods of gang ${gang} to be gone` });
}

/** Waits until a pod of the gang is on its way out; returns it. It may be so for a moment only, which polling would miss. */
export function expectLeaving({ cluster }: World, gang: string): Promise<V1Pod> {
  const options = { labelSelector: `muster.dev/pod-group=${gang}`, what: `a pod of gang ${gang} to leave` };
  return watchUntil(cluster.api, 'pods', options, (_pods, changed) => changed.metadata?.deletionTimestamp && changed);
}

/** Waits until exactly `count` members are bound and none of them is on its way out; returns them. */
export function expectRunning(world: World, gang: string, count: number, deadlineMs = DEADLINE_MS) {
  return expectMembers(world, gang, count, 'run', isStaying, deadlineMs);
}

function isStaying({ metadata, status }: V1Pod): boolean {
  return metadata?.deletionTimestamp === undefined && status?.phase !== 'Failed' && status?.phase !== 'Succeeded';
}

/** The pods are the same ones on the same nodes, and nobody has asked them to leave. */
export async function expectUntouched(world: World, pods: readonly V1Pod[], why: string): Promise<void> {
  expect(await listTouched(world, pods), why).toEqual([]);
}

/** Names of those of the pods that are gone, leave, or were told to. */
export async function listTouched({ cluster }: World, pods: readonly V1Pod[]): Promise<readonly string[]> {
  const now = new Map((await cluster.api.list('pods')).map((pod) => [pod.metadata?.uid, pod]));
  const isSame = ({ metadata, spec }: V1Pod) => {
    const pod = now.get(metadata?.uid);
    if (!pod || !isStaying(pod) || pod.spec?.nodeName !== spec?.nodeName) return false;
    return pod.metadata?.annotations?.['muster.dev/preempted-by'] === undefined;
  };
  return pods.filter((pod) => !isSame(pod)).map(({ metadata }) => metadata?.name as string);
}

/** Waits until exactly `count` members are bound; returns them. */
export function expectBound(world: World, gang: string, count: number, deadlineMs = DEADLINE_MS) {
  return expectMembers(world, gang, count, 'are bound', () => true, deadlineMs);
}

/** Waits until exactly `count` bound members count. @param what they do then. */
function expectMembers(
  world: World,
  gang: string,
  count: number,
  what: string,
  counts: (pod: V1Pod) => boolean,
  deadlineMs: number,
): Promise<readonly V1Pod[]> {
  return waitFor(
    async () => {
      const pods = await podsOf(world, gang);
      const members = pods.filter((pod) => pod.spec?.nodeName && counts(pod));
      if (members.length === count) return members;
      const others = pods.filter((pod) => !members.includes(pod)).map(describePod);
      const rest = others.length > 0 ? others.slice(0, 5).join(', ') : 'none';
      throw new Error(`${members.length} ${what}; other pods: ${rest}; muster says: ${await reasonOf(world, gang)}`);
    },
    { what: `that ${count} members of ${gang} ${what}`, deadlineMs },
  );
}

function describePod({ metadata, spec, status }: V1Pod): string {
  const leaves = metadata?.deletionTimestamp ? ', leaves' : '';
  return `${metadata?.name} (${status?.phase}, node "${spec?.nodeName ?? ''}"${leaves})`;
}

/** Muster's item for the gang; undefined when it knows none. */
export async function gangItem(world: World, gang: string): Promise<GangItem | undefined> {
  return (await world.muster.gangs<GangItem>()).find(({ metadata }) => metadata.name === gang);
}

async function reasonOf(world: World, gang: string): Promise<string> {
  const item = await gangItem(world, gang).catch(() => undefined);
  return item ? `${item.status.state}: ${item.status.reason}` : 'nothing';
}

/** Waits until Muster gives the reason. */
export async function expectReason(
  world: World,
  gang: string,
  state: string,
  reason: RegExp,
  deadlineMs = DEADLINE_MS,
): Promise<GangItem> {
  return waitFor(
    async () => {
      const item = await gangItem(world, gang);
      if (item?.status.state === state && reason.test(item.status.reason)) return item;
      throw new Error(item ? `${item.status.state}: ${item.status.reason}` : 'no such gang');
    },
    { what: `gang ${gang} to be ${state} with a reason like ${reason}`, deadlineMs },
  );
}

/** Watches for a while that something stays as it is; the observation itself is the assertion. */
export async function expectToStay(what: string, holds: () => Promise<boolean>, forMs: number): Promise<void> {
  const end = performance.now() + forMs;
  while (performance.now() < end) {
    const asked = performance.now();
    expect(await holds(), what).toBe(true);
    await delay(Math.max(100, performance.now() - asked));
  }
}

/**
 * A machine is lost: its node turns NotReady and is tainted, its pods leave when their tolerations end. Unlike on a machine
 * that is really gone, they then end as pods do on one that still runs. Not every node can be killed: without any that is
 * Ready the node lifecycle controller thinks itself cut off, and taints none.
 */
export async function killNode({ cluster }: World, node: string): Promise<void> {
  await cluster.setNodeReady(node, false);
  await waitFor(async () => isTainted(await cluster.api.get('nodes', node)), { what: `${node} to be tainted` });
}

/** The machine is back. */
export async function reviveNode({ cluster }: World, node: string): Promise<void> {
  await cluster.setNodeReady(node, true);
  await waitFor(async () => !isTainted(await cluster.api.get('nodes', node)), { what: `${node} to lose its taint` });
}

function isTainted({ spec }: V1Node): boolean {
  return spec?.taints?.some(({ key, effect }) => key === NOT_READY && effect === 'NoExecute') ?? false;
}

/** Waits for an Event on an object whose note matches. */
export async function expectEvent(
  world: World,
  regarding: string,
  note: RegExp,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  await waitFor(
    async () => {
      const events = await world.cluster.api.list('events', { namespace: 'default' });
      const notes = events
        .filter((event) => event.involvedObject?.name === regarding)
        .map((event) => event.message ?? '');
      if (notes.some((text) => note.test(text))) return true;
      throw new Error(`notes: ${notes.join(' | ') || 'none'}`);
    },
    { what: `an Event on ${regarding} like ${note}`, deadlineMs },
  );
}

/** No node is given away twice: what the bound pods on each node request is no more than the node has. */
export async function expectNoOvercommit(world: World, resource = 'nvidia.com/gpu'): Promise<void> {
  const [nodes, pods] = await Promise.all([world.cluster.api.list('nodes'), world.cluster.api.list('pods')]);
  const used = new Map<string, number>();
  for (const pod of pods) {
    const node = pod.spec?.nodeName;
    if (!node || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') continue;
    const request = (pod.spec?.containers ?? []).reduce(
      (sum, { resources }) => sum + Number(resources?.requests?.[resource] ?? 0),
      0,
    );
    used.set(node, (used.get(node) ?? 0) + request);
  }
  for (const node of nodes) {
    const has = Number(node.status?.allocatable?.[resource] ?? 0);
    expect(used.get(node.metadata?.name as string) ?? 0, `${resource} on ${node.metadata?.name}`).toBeLessThanOrEqual(
      has,
    );
  }
}
