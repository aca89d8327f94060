/** `Queue` objects as the tests write and read them. */
import type { RawQueueSpec } from '../../src/core/queues/projection.ts';
import type { QueueObject } from './cluster/resources.ts';
import { waitFor } from './cluster/wait.ts';
import type { World } from './world.ts';

export const GPU = 'nvidia.com/gpu';

/** Creates queues and waits until Muster has taken them over. */
export async function createQueues(world: World, specs: Readonly<Record<string, RawQueueSpec>>): Promise<void> {
  const queues = Object.entries(specs).map(([name, spec]) => ({ metadata: { name }, spec }));
  await world.cluster.api.createMany('queues', queues);
  for (const name of Object.keys(specs)) {
    await expectQueue(world, name, 'to be in use', ({ status }) => status?.conditions?.[0]?.status === 'True');
  }
}

/** Waits until the object is as `holds` wants it; returns it. */
export function expectQueue(
  world: World,
  name: string,
  what: string,
  holds: (queue: QueueObject) => boolean,
): Promise<QueueObject> {
  return waitFor(
    async () => {
      const queue = await world.cluster.api.find('queues', name);
      if (queue && holds(queue)) return queue;
      throw new Error(queue ? JSON.stringify({ spec: queue.spec, status: queue.status }) : 'no such object');
    },
    { what: `queue ${name} ${what}` },
  );
}
