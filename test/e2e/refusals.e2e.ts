import { expect } from 'vitest';
import { blocked, ONE_ZONE, unblock } from './blocked.ts';
import { waitFor } from './cluster/wait.ts';
import { cpuPod, gangPod, gangPods, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import {
  boundPodsOf,
  expectBound,
  expectEvent,
  expectNoOvercommit,
  expectReason,
  expectToStay,
  gangItem,
  podsOf,
  type World,
} from './world.ts';

/** Where the members are nominated; a gang is called so when that is decided, and written a moment later. */
async function nominatedNodes(world: World, gang: string): Promise<readonly string[]> {
  return await waitFor(
    async () => {
      const pods = await podsOf(world, gang);
      const nodes = pods.flatMap((pod) => pod.status?.nominatedNodeName ?? []);
      return nodes.length === pods.length && nodes;
    },
    { what: `the nominations of gang ${gang} to be written` },
  );
}

/** Required anti-affinity over a wider domain than a node: kube-scheduler's to judge alone. */
function avoid(app: string) {
  return {
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: 'e2e.muster.dev/room', labelSelector: { matchLabels: { app } } },
        ],
      },
    },
  };
}

const rooms = (index: number) => ({ 'e2e.muster.dev/room': index < 4 ? 'loud' : 'quiet' });

async function occupyLoudRoom(world: World): Promise<void> {
  const noisy = cpuPod({
    name: 'noisy',
    labels: { app: 'noisy' },
    nodeSelector: { 'e2e.muster.dev/room': 'loud' },
  });
  await world.cluster.api.create('pods', noisy);
  await waitFor(async () => Boolean((await world.cluster.api.get('pods', 'noisy')).spec?.nodeName), {
    what: 'the noisy pod to be bound',
  });
}

scenarios('refusals', {}, (scenario) => {
  // What only kube-scheduler can refuse
  scenario('anti-affinity against foreign pods: the gang is planned again where they are not', async (world) => {
    await world.cluster.addNodes({ count: 8, labels: rooms });
    await occupyLoudRoom(world);
    await world.cluster.api.createMany('pods', gangPods({ gang: 'calm', size: 4, spec: avoid('noisy') }));
    const pods = await expectBound(world, 'calm', 4);
    const names = pods.map((pod) => pod.spec?.nodeName).sort();
    expect(names.every((name) => Number(name?.split('-').at(-1)) >= 4)).toBe(true);
  });

  scenario('nowhere to go: the gang is released, says why, holds nothing, and never starts in part', async (world) => {
    await world.cluster.addNodes({ count: 4, labels: rooms });
    await occupyLoudRoom(world);
    await world.cluster.api.createMany('pods', gangPods({ gang: 'stuck', size: 2, spec: avoid('noisy') }));
    await expectReason(world, 'stuck', 'Pending', /anti-affinity/);
    await expectToStay('nothing is bound', async () => (await boundPodsOf(world, 'stuck')).length === 0, 3_000);
    await world.cluster.api.delete('pods', 'noisy', { graceSeconds: 0 });
    await expectBound(world, 'stuck', 2);
  });

  scenario.realOnly(
    'needs volumes',
    'a claim that no volume can serve: released with kube-scheduler’s reason, never half placed',
    async (world) => {
      await world.cluster.addNodes({ count: 4 });
      await world.cluster.api.create('storageclasses', {
        metadata: { name: 'local' },
        provisioner: 'kubernetes.io/no-provisioner',
        volumeBindingMode: 'WaitForFirstConsumer',
      });
      await createClaim(world, 'data', 'local');
      const [first, ...others] = gangPods({ gang: 'data', size: 3 });
      await world.cluster.api.createMany('pods', [withClaim(first!, 'data'), ...others]);
      await expectReason(world, 'data', 'Pending', /persistent volumes/);
      expect(await boundPodsOf(world, 'data')).toHaveLength(0);
      await createVolume(world, 'pv', 'local', 'node-2');
      const pods = await expectBound(world, 'data', 3);
      expect(pods.find((pod) => pod.metadata?.name === 'data-0')?.spec?.nodeName).toBe('node-2');
    },
  );

  scenario.realOnly(
    'needs volumes',
    'a claim that is not bound and does not wait for a consumer: the gang waits with that reason',
    async (world) => {
      await world.cluster.addNodes({ count: 2 });
      await world.cluster.api.create('storageclasses', {
        metadata: { name: 'slow' },
        provisioner: 'e2e.muster.dev/none',
      });
      await createClaim(world, 'slow', 'slow');
      const [first, ...others] = gangPods({ gang: 'slow', size: 2 });
      await world.cluster.api.createMany('pods', [withClaim(first!, 'slow'), ...others]);
      await expectReason(world, 'slow', 'Gathering', /PersistentVolumeClaim slow is not bound/);
      await expectEvent(world, 'slow-0', /PersistentVolumeClaim slow is not bound/);
      expect(await boundPodsOf(world, 'slow')).toHaveLength(0);
    },
  );

  scenario.realOnly(
    'needs volumes',
    'a member whose bound volume is on one node gets that node, its sibling the other',
    async (world) => {
      await world.cluster.addNodes({ count: 2 });
      await world.cluster.api.create('storageclasses', {
        metadata: { name: 'local' },
        provisioner: 'kubernetes.io/no-provisioner',
        volumeBindingMode: 'WaitForFirstConsumer',
      });
      await createVolume(world, 'pv', 'local', 'node-1');
      await createClaim(world, 'data', 'local');
      const [first, second] = gangPods({ gang: 'pinned', size: 2 });
      await world.cluster.api.createMany('pods', [withClaim(first!, 'data'), second!]);
      const pods = await expectBound(world, 'pinned', 2);
      expect(pods.find((pod) => pod.metadata?.name === 'pinned-0')?.spec?.nodeName).toBe('node-1');
    },
  );

  // Lone pods beside reservations
  scenario('a lone GPU pod leaves reserved nodes alone and takes the free one', async (world) => {
    await world.cluster.addNodes({ count: 5, labels: ONE_ZONE });
    await world.cluster.api.createMany('pods', gangPods({ gang: 'holds', size: 4, spec: blocked('holds') }));
    await expectReason(world, 'holds', 'Nominated', /4 members nominated/);
    const reserved = new Set(await nominatedNodes(world, 'holds'));
    await world.cluster.api.createMany('pods', [
      gpuPod({ name: 'lone-1', gpus: 8 }),
      gpuPod({ name: 'lone-2', gpus: 8 }),
    ]);
    const bound = await waitFor(
      async () => {
        const pods = (await world.cluster.api.list('pods')).filter(
          (pod) => pod.metadata?.name?.startsWith('lone') && pod.spec?.nodeName,
        );
        return pods.length === 1 && pods;
      },
      { what: 'one lone pod to be bound' },
    );
    expect(reserved.has(bound[0]?.spec?.nodeName ?? '')).toBe(false);
    await unblock(world, 'holds');
    await expectBound(world, 'holds', 4);
    await expectNoOvercommit(world);
  });

  scenario(
    'a foreign pod of higher priority takes a reserved node; the gang is planned anew around it',
    async (world) => {
      await world.cluster.addNodes({ count: 4, labels: ONE_ZONE });
      await world.cluster.api.create('priorityclasses', { metadata: { name: 'urgent' }, value: 1000 });
      await world.cluster.api.createMany('pods', gangPods({ gang: 'humble', size: 3, spec: blocked('humble') }));
      await expectReason(world, 'humble', 'Nominated', /3 members nominated/);
      const [reserved = ''] = await nominatedNodes(world, 'humble');
      await world.cluster.api.create(
        'pods',
        gpuPod({ name: 'urgent', priorityClassName: 'urgent', nodeSelector: { 'kubernetes.io/hostname': reserved } }),
      );
      await waitFor(async () => (await world.cluster.api.get('pods', 'urgent')).spec?.nodeName === reserved, {
        what: `the urgent pod to be bound to ${reserved}`,
      });
      await unblock(world, 'humble');
      const pods = await expectBound(world, 'humble', 3);
      expect(pods.some((pod) => pod.spec?.nodeName === reserved)).toBe(false);
      await expectNoOvercommit(world);
    },
  );

  // What users get wrong
  scenario('an unknown key, a bad number and a contradiction are named, and the gang waits', async (world) => {
    await world.cluster.addNodes({ count: 4 });
    const wrong = { 'muster.dev/min-memebrs': '2' };
    await world.cluster.api.create('pods', gangPod({ gang: 'typo', minMembers: 1, annotations: wrong }));
    await expectEvent(world, 'typo-0', /unknown key muster.dev\/min-memebrs/);
    await world.cluster.api.create(
      'pods',
      gangPod({ gang: 'number', annotations: { 'muster.dev/min-members': 'two' } }),
    );
    await expectEvent(world, 'number-0', /expected a whole number of at least 1, found "two"/);
    await world.cluster.api.create('pods', gangPod({ gang: 'argue', rank: 0, minMembers: 2 }));
    await world.cluster.api.create('pods', gangPod({ gang: 'argue', rank: 1, minMembers: 3 }));
    await expectReason(world, 'argue', 'Gathering', /contradict each other/);
    for (const gang of ['typo', 'number', 'argue']) expect((await gangItem(world, gang))?.status.bound).toBe(0);
  });
});

async function createClaim(world: World, name: string, storageClassName: string): Promise<void> {
  await world.cluster.api.create('persistentvolumeclaims', {
    metadata: { name, namespace: 'default' },
    spec: { storageClassName, accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  });
}

async function createVolume(world: World, name: string, storageClassName: string, node: string): Promise<void> {
  await world.cluster.api.create('persistentvolumes', {
    metadata: { name },
    spec: {
      storageClassName,
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      local: { path: '/data' },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] },
          ],
        },
      },
    },
  });
}

function withClaim(pod: ReturnType<typeof gangPod>, claimName: string): ReturnType<typeof gangPod> {
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName } }];
  return { ...pod, spec: { ...pod.spec!, volumes } };
}
