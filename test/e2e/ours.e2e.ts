import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { musterEvents, recorded } from './history.ts';
import { gangGate, gangPods, gpuPod, priorityClass } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { expectBound, expectNoOvercommit, expectReason, expectToStay, expectUntouched, podsOf } from './world.ts';

/** Long enough for a wrong preemption to be seen. */
const LOOK_MS = 3_000;

scenarios('which pods are ours', {}, (scenario) => {
  scenario(
    'pods of another scheduler, of higher priority: they are left alone, and nobody leaves for them',
    async (world) => {
      const { api } = world.cluster;
      await api.create('priorityclasses', priorityClass('high', 1000));
      await world.cluster.addNodes({ count: 4 });
      await api.createMany('pods', gangPods({ gang: 'ours', size: 3 }));
      const ours = await expectBound(world, 'ours', 3);
      await expectReason(world, 'ours', 'Running', /^$/);
      await recorded(world, 'ours', async ({ evicted, states }) => {
        const foreign = { priorityClassName: 'high', spec: { schedulerName: 'volcano' } };
        const labels = { 'scheduling.x-k8s.io/pod-group': 'theirs-too' };
        await api.createMany('pods', [
          ...gangPods({ gang: 'theirs', size: 4, ...foreign }),
          ...[0, 1].map((rank) =>
            gpuPod({ name: `theirs-too-${rank}`, labels, annotations: { 'muster.dev/min-members': '2' }, ...foreign }),
          ),
        ]);
        await expectToStay('nobody is evicted', async () => evicted().length === 0, LOOK_MS);
        // No node is kept for them either.
        await api.create('pods', gpuPod({ name: 'lone' }));
        await waitFor(async () => Boolean((await api.get('pods', 'lone')).spec?.nodeName), {
          what: 'lone to be bound',
        });
        const theirs = (await api.list('pods')).filter(({ spec }) => spec?.schedulerName === 'volcano');
        expect(theirs).toHaveLength(6);
        expect(theirs.filter(isWrittenByMuster).map(({ metadata }) => metadata?.name)).toEqual([]);
        expect(await musterEvents(world, ...theirs.map(({ metadata }) => metadata?.name as string))).toEqual([]);
        expect(evicted()).toEqual([]);
        expect(states()).toEqual(['Running']);
        await expectUntouched(world, ours, 'they run on');
      });
      await expectNoOvercommit(world);
    },
  );

  scenario(
    'a member that waits at its gate leaves its gang: it runs as a lone pod, and completes nobody',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 3 });
      await api.createMany('pods', gangPods({ gang: 'four', size: 4 }));
      await expectReason(world, 'four', 'Unsatisfiable', /room for 3 of 4 members/);
      expect((await podsOf(world, 'four')).every(isGated)).toBe(true);
      await api.patch('pods', 'four-3', { metadata: { labels: { 'muster.dev/pod-group': null } } });
      await waitFor(async () => Boolean((await api.get('pods', 'four-3')).spec?.nodeName), {
        what: 'four-3 to be bound',
      });
      await expectReason(world, 'four', 'Gathering', /3 of 4 members exist/);
      await expectToStay('the others wait', async () => (await podsOf(world, 'four')).every(isGated), 1_000);
    },
  );
});

function isGated({ spec }: V1Pod): boolean {
  return spec?.schedulingGates?.some(({ name }) => name === gangGate) ?? false;
}

/** The embedded control plane keeps no `managedFields`; there the writes themselves are looked for. */
function isWrittenByMuster(pod: V1Pod): boolean {
  const { metadata, status } = pod;
  const isManaged = metadata?.managedFields?.some(({ manager }) => manager?.startsWith('muster')) ?? false;
  const keys = ['muster.dev/plan', 'muster.dev/placement', 'muster.dev/preempted-by'];
  const isAnnotated = keys.some((key) => metadata?.annotations?.[key] !== undefined);
  return isManaged || isAnnotated || isGated(pod) || status?.nominatedNodeName !== undefined;
}
