/**
 * The gangs that fill a cluster when a more important one arrives, with different sizes and different amounts of work
 * to lose.
 */
import type { V1Pod } from '@kubernetes/client-node';
import type { ApiClient } from '../../test/e2e/cluster/api-client.ts';
import { waitFor } from '../../test/e2e/cluster/wait.ts';
import { watchUntil } from '../../test/e2e/cluster/watch-until.ts';
import { cpuPod, priorityClass } from '../../test/e2e/objects.ts';
import type { Residents } from '../e2e/arena.ts';
import { type Contender, gangFor, together } from '../e2e/contenders.ts';
import type { Random } from '../random.ts';

export const GPUS_A_NODE = 8;
/** PriorityClasses of the residents and of the preemptor. */
export const LOW = 'low';
export const HIGH = 'high';
const HOUR = 3_600;
const DEADLINE_MS = 180_000;

/** A running gang; each of its pods has a whole node. */
export interface Resident {
  readonly name: string;
  readonly size: number;
  /** Seconds since it started. */
  readonly age: number;
  /** Seconds since its last checkpoint; undefined: no checkpoint. */
  readonly sinceCheckpoint: number | undefined;
}

/** What a turn cost the residents. */
export interface Toll {
  /** Gangs that lost all members, and gangs that lost some, whose rest runs on below the minimum. */
  readonly gangs: number;
  readonly broken: number;
  readonly pods: number;
  /** GPU-seconds since the start or the last checkpoint; a gang that lost one member lost the work of all. */
  readonly lostWork: number;
}

/** Gangs of these sizes in turns, until every node is taken; the last one takes what is left. */
export function listResidents(sizes: readonly number[], nodes: number, random: Random): readonly Resident[] {
  const residents: Resident[] = [];
  for (let left = nodes; left > 0; ) {
    const size = Math.min(left, sizes[residents.length % sizes.length]!);
    const age = HOUR + random.below(23 * HOUR);
    // About every other gang writes checkpoints, some more often than others.
    const sinceCheckpoint = random.below(2) === 0 ? undefined : 60 + random.below(HOUR);
    residents.push({ name: `resident-${residents.length}`, size, age, sinceCheckpoint });
    left -= size;
  }
  return residents;
}

/** GPU-seconds lost if the gang is evicted. */
export function lostWorkOf({ size, age, sinceCheckpoint }: Resident): number {
  return size * GPUS_A_NODE * (sinceCheckpoint ?? age);
}

/** The least lost work to free this many nodes, over all sets of whole gangs. */
export function leastLostWork(residents: readonly Resident[], nodes: number): number {
  // By number of nodes still to be freed: the least cost with the gangs considered so far.
  const least = [0, ...new Array<number>(nodes).fill(Number.POSITIVE_INFINITY)];
  for (const resident of residents) {
    for (let freed = nodes; freed > 0; freed--) {
      const others = least[Math.max(0, freed - resident.size)]!;
      least[freed] = Math.min(least[freed]!, others + lostWorkOf(resident));
    }
  }
  return least[nodes]!;
}

/**
 * Creates the gangs on all nodes with their ages, in the contender's form. They are bound at creation, so that all
 * contenders find them in the same places.
 * @param turn makes their names unique.
 * @param onToll receives what the turn cost them.
 */
export function settlers(
  contender: Contender,
  residents: readonly Resident[],
  turn: number,
  onToll: (toll: Toll) => void,
): Residents {
  const gangs = residents.map((resident) => {
    const { name, size } = resident;
    return { resident, workload: gangFor(contender, { name: `${name}-${turn}`, size, priorityClassName: LOW }) };
  });
  return {
    settle: async (api) => {
      await createClasses(api, contender);
      const now = Date.now();
      const nodes = (await api.list('nodes')).map(({ metadata }) => metadata?.name as string).sort();
      const { podGroups = [] } = together(gangs.map(({ workload }) => workload));
      for (const { path, object } of podGroups) await api.request('POST', path, object);
      const pods = gangs.flatMap(({ resident, workload }) =>
        workload.pods.map((pod) => withCheckpoint(pod, resident, now)),
      );
      const running = watchRunning(api, pods.length);
      await Promise.all([
        running,
        api.createMany(
          'pods',
          pods.map((pod, i) => ({ ...pod, spec: { ...pod.spec!, nodeName: nodes[i]! } })),
        ),
      ]);
      const starts = gangs.flatMap(({ resident, workload }) =>
        workload.pods.map(({ metadata }) => ({ name: metadata?.name as string, startTime: ago(now, resident.age) })),
      );
      await api.forEach(starts, ({ name, startTime }) =>
        api.patch('pods', name, { status: { startTime } }, { subresource: 'status' }),
      );
    },
    review: async (api) => {
      const listed = await api.list('pods', { namespace: 'default' });
      const standing = new Set(
        listed.filter(({ metadata }) => !metadata?.deletionTimestamp).map(({ metadata }) => metadata?.name),
      );
      const losses = gangs.map(({ resident, workload }) => ({
        resident,
        lost: workload.pods.filter(({ metadata }) => !standing.has(metadata?.name)).length,
      }));
      const hit = losses.filter(({ lost }) => lost > 0);
      onToll({
        gangs: hit.filter(({ resident, lost }) => lost === resident.size).length,
        broken: hit.filter(({ resident, lost }) => lost < resident.size).length,
        pods: hit.reduce((sum, { lost }) => sum + lost, 0),
        lostWork: hit.reduce((sum, { resident }) => sum + lostWorkOf(resident), 0),
      });
    },
  };
}

/**
 * As each contender needs them: Kubernetes' own preemption follows the class, Muster preempts whatever the class says
 * about kube-scheduler.
 */
export async function createClasses(api: ApiClient, contender: Contender): Promise<void> {
  const preempts = !contender.muster;
  await api.create('priorityclasses', priorityClass(LOW, 100, { preempts }));
  await api.create('priorityclasses', priorityClass(HIGH, 1_000, { preempts }));
  const probe = cpuPod({ name: 'probe', priorityClassName: HIGH });
  await waitFor(
    async () => {
      await api.request('POST', '/api/v1/namespaces/default/pods?dryRun=All', probe);
      return true;
    },
    { what: 'the API server to know the PriorityClasses' },
  );
}

function withCheckpoint(pod: V1Pod, { sinceCheckpoint }: Resident, now: number): V1Pod {
  if (sinceCheckpoint === undefined) return pod;
  const annotations = { ...pod.metadata?.annotations, 'muster.dev/checkpointed-at': ago(now, sinceCheckpoint) };
  return { ...pod, metadata: { ...pod.metadata, annotations } };
}

async function watchRunning(api: ApiClient, count: number): Promise<void> {
  const running = new Set<string>();
  await watchUntil(
    api,
    'pods',
    { namespace: 'default', what: `${count} residents to run`, deadlineMs: DEADLINE_MS },
    (_, { metadata, status }) => {
      if (status?.phase === 'Running') running.add(metadata?.name as string);
      if (running.size < count) throw new Error(`${running.size} run`);
      return true;
    },
  );
}

/** The API server stores whole seconds. */
function ago(now: number, seconds: number): string {
  return `${new Date(now - seconds * 1000).toISOString().slice(0, 19)}Z`;
}
