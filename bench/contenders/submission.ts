/** How the same gang is handed to different schedulers: the objects that a user of each of them creates. */
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { ApiClient } from '../../test/e2e/cluster/api-client.ts';
import type { KubeObject } from '../../test/e2e/cluster/resources.ts';

/** The label of every pod of a gang, whoever schedules it. */
export const GANG_LABEL = 'bench-gang';

/** A gang, or lone pods as gangs of one, independent of the scheduler. */
export interface GangRequest {
  readonly name: string;
  readonly size: number;
  /** GPUs per pod. */
  readonly gpus: number;
  readonly priorityClassName?: string;
}

/** An object and the collection in which it is created. */
export interface Placed {
  readonly path: string;
  readonly object: KubeObject;
}

/** What is created for one gang. */
export interface Submission {
  readonly gang: string;
  readonly size: number;
  /** Created before the pods. */
  readonly objects: readonly Placed[];
  /** Empty when a controller makes them. */
  readonly pods: readonly V1Pod[];
}

/** When what was asked for, in milliseconds of `performance.now()`. */
export interface Requests {
  /** By gang: its first object. */
  readonly gangs: Map<string, number>;
  /** By pod. */
  readonly pods: Map<string, number>;
}

/** Concurrent creators. */
const CREATORS = 32;
/** Gangs whose pods are created in turns: as the Job controller does with twenty workers. */
const GANGS_AT_ONCE = 20;

/** Creates all of it, at the rate in objects per second if one is given. */
export async function submit(
  api: ApiClient,
  submissions: readonly Submission[],
  requests: Requests,
  perSecond?: number,
): Promise<void> {
  const pace = perSecond === undefined ? async () => {} : paceAt(perSecond);
  const create = async ({ gang, path, object }: Step): Promise<void> => {
    await pace();
    const now = performance.now();
    if (!requests.gangs.has(gang)) requests.gangs.set(gang, now);
    if (object.kind === 'Pod') requests.pods.set(object.metadata?.name as string, now);
    await api.request('POST', path, object);
  };
  for (const steps of listSteps(submissions)) await api.forEach(steps, create, CREATORS);
}

interface Step extends Placed {
  readonly gang: string;
}

/** Batches in which nothing waits for anything else: a gang's own objects are created before its pods. */
export function listSteps(submissions: readonly Submission[]): readonly (readonly Step[])[] {
  const batches: Step[][] = [];
  for (let first = 0; first < submissions.length; first += GANGS_AT_ONCE) {
    const together = submissions.slice(first, first + GANGS_AT_ONCE);
    const objects = together.flatMap(({ gang, objects: own }) => own.map((placed) => ({ gang, ...placed })));
    if (objects.length > 0) batches.push(objects);
    const longest = Math.max(...together.map(({ pods }) => pods.length));
    const pods = Array.from({ length: longest }, (_, i) =>
      together.flatMap(({ gang, pods: own }) => (own[i] === undefined ? [] : [podStep(gang, own[i])])),
    ).flat();
    if (pods.length > 0) batches.push(pods);
  }
  return batches;
}

function podStep(gang: string, pod: V1Pod): Step {
  return { gang, path: '/api/v1/namespaces/default/pods', object: { apiVersion: 'v1', kind: 'Pod', ...pod } };
}

/** A function to await before each request, so that they begin at the rate at most. */
function paceAt(perSecond: number): () => Promise<void> {
  let next = performance.now();
  return async () => {
    const now = performance.now();
    next = Math.max(next, now) + 1000 / perSecond;
    if (next - now > 2) await delay(next - now);
  };
}

/** Takes back a gang that still waits. */
export async function withdraw(api: ApiClient, { gang, objects }: Submission): Promise<void> {
  for (const { path, object } of objects) {
    await api.request('DELETE', `${path}/${object.metadata?.name}`, { propagationPolicy: 'Background' });
  }
  await api.deleteAll('pods', { labelSelector: `${GANG_LABEL}=${gang}`, graceSeconds: 0 });
}
