import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { recorded } from './history.ts';
import { deployment, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { statefulSet } from './workloads.ts';
import { expectNoOvercommit, expectReason, type World } from './world.ts';

const NONE = 'it runs no Deployments and no StatefulSets';
const MIN_MEMBERS = 'muster.dev/min-members';
const gang = { 'muster.dev/pod-group': 'svc' };

scenarios('templates of running gangs are edited', { gang: { repairTimeout: '60s' } }, (scenario) => {
  scenario.realOnly(
    NONE,
    'a Deployment of an inference gang: more replicas and min-members in one edit, then another image, then fewer replicas',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      const annotations = { [MIN_MEMBERS]: '2' };
      const svc = deployment({ name: 'svc', replicas: 2, labels: gang, annotations });
      await api.create('deployments', svc);
      await expectRolledOut(world, 2);
      await recorded(world, 'svc', async ({ evicted }) => {
        const edit = (spec: object) => api.patch('deployments', 'svc', { spec }, { type: 'strategic' });
        await edit({ replicas: 3, template: { metadata: { annotations: { [MIN_MEMBERS]: '3' } } } });
        const three = await expectRolledOut(world, 3);
        expect(three.map(({ metadata }) => metadata?.annotations?.[MIN_MEMBERS])).toEqual(['3', '3', '3']);

        await edit({ template: { spec: { containers: [{ name: 'main', image: 'inference:2' }] } } });
        const images = (await expectRolledOut(world, 3)).map(({ spec }) => spec?.containers[0]?.image);
        expect(images).toEqual(Array(3).fill('inference:2'));

        await edit({ replicas: 2 });
        await expectRolledOut(world, 2);
        await api.createMany('pods', [gpuPod({ name: 'lone-0' }), gpuPod({ name: 'lone-1' })]);
        for (const name of ['lone-0', 'lone-1']) {
          await waitFor(async () => Boolean((await api.get('pods', name)).spec?.nodeName), {
            what: `the place of the third replica to be kept for nobody, and ${name} to be bound`,
          });
        }
        await expectReason(world, 'svc', 'Running', /^$/);
        expect(evicted()).toEqual([]);
      });
      await expectNoOvercommit(world);
    },
  );

  scenario.realOnly(
    NONE,
    'a StatefulSet whose pods start together is rolled to another min-members: each pod is replaced in its turn',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 3 });
      await api.create(
        'statefulsets',
        statefulSet({ name: 'svc', replicas: 3, labels: gang, annotations: { [MIN_MEMBERS]: '3' } }),
      );
      await expectReason(world, 'svc', 'Running', /^$/);
      await recorded(world, 'svc', async ({ evicted }) => {
        const annotations = { [MIN_MEMBERS]: '2' };
        await api.patch('statefulsets', 'svc', { spec: { template: { metadata: { annotations } } } });
        await waitFor(
          async () => {
            const pods = await api.list('pods', { labelSelector: 'app=svc' });
            const fresh = pods.filter((pod) => isReady(pod) && pod.metadata?.annotations?.[MIN_MEMBERS] === '2');
            if (fresh.length === 3) return true;
            throw new Error(`${fresh.length} of 3 pods are new and ready`);
          },
          { what: 'the rolling update to go through' },
        );
        await expectReason(world, 'svc', 'Running', /^$/);
        expect(evicted()).toEqual([]);
      });
    },
  );
});

/** Waits until the Deployment consists of so many ready pods of its newest template, and Muster has nothing to say about them. */
async function expectRolledOut(world: World, replicas: number): Promise<readonly V1Pod[]> {
  const { api } = world.cluster;
  const pods = await waitFor(
    async () => {
      const { metadata, status } = await api.get('deployments', 'svc');
      const isObserved = status?.observedGeneration === metadata?.generation;
      const ready = (await api.list('pods', { labelSelector: 'app=svc' })).filter(isReady);
      const counts = [status?.replicas, status?.updatedReplicas, status?.availableReplicas, ready.length];
      if (isObserved && counts.every((count) => count === replicas)) return ready;
      throw new Error(`replicas, updated, available, ready: ${counts.join(', ')}`);
    },
    { what: `${replicas} replicas to be rolled out` },
  );
  await expectReason(world, 'svc', 'Running', /^$/);
  return pods;
}

function isReady({ metadata, status }: V1Pod): boolean {
  if (metadata?.deletionTimestamp !== undefined) return false;
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
}
