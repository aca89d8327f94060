/**
 * Members that only kube-scheduler can hold back: they want to be in a zone with a pod labelled `unblocks`, which Muster
 * does not model. Muster plans and nominates them, and they reach the bind barrier once such a pod exists.
 */
import type { V1PodSpec } from '@kubernetes/client-node';
import { cpuPod, type GangPodOptions, gangPod } from './objects.ts';
import { expectBound, expectReason, type World } from './world.ts';

/** All nodes of these tests are in one zone. */
export const ONE_ZONE = { 'e2e.muster.dev/zone': 'a' };

/** Pod spec fields of a member that waits for `unblock`. */
export function blocked(name: string): Partial<V1PodSpec> {
  return {
    affinity: {
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: 'e2e.muster.dev/zone', labelSelector: { matchLabels: { unblocks: name } } },
        ],
      },
    },
  };
}

/** Lets the members of `blocked(name)` go. */
export async function unblock(world: World, name: string): Promise<void> {
  await world.cluster.api.create('pods', cpuPod({ name: `unblock-${name}`, labels: { unblocks: name } }));
}

/** Brings a gang to the point where all but its last member are held at the bind barrier. */
export async function holdAtBarrier(
  world: World,
  gang: string,
  size: number,
  options: Omit<Partial<GangPodOptions>, 'gang' | 'name' | 'rank' | 'minMembers'> = {},
): Promise<void> {
  const members = Array.from({ length: size }, (_, rank) =>
    gangPod({ ...options, gang, rank, minMembers: size, ...(rank === size - 1 ? { spec: blocked(gang) } : {}) }),
  );
  await world.cluster.api.createMany('pods', members);
  await expectReason(world, gang, 'Nominated', new RegExp(`${size - 1} of them at the bind barrier`));
}

/** Lets the last member go and waits for the gang to be bound whole. */
export async function finishGang(world: World, gang: string, size: number): Promise<void> {
  await unblock(world, gang);
  await expectBound(world, gang, size);
}
