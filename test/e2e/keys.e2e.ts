/** Labels that are wrong, change, or are meant for another scheduler. */
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { gangPods, gpuJob, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectEvent, expectReason, podsOf } from './world.ts';

const LABEL = 'muster.dev/pod-group';

scenarios('labels of gangs', {}, (scenario) => {
  scenario('the label is taken off gated pods: they run as lone pods', async (world) => {
    await world.cluster.addNodes({ count: 2 });
    const { api } = world.cluster;
    await api.createMany('pods', gangPods({ gang: 'left', size: 4 }));
    await expectReason(world, 'left', 'Unsatisfiable', /room for 2 of 4 members/);
    const [first, second] = await podsOf(world, 'left');
    for (const pod of [first, second]) {
      await api.patch('pods', pod?.metadata?.name as string, { metadata: { labels: { [LABEL]: null } } });
    }
    await waitFor(
      async () => {
        const pods = await Promise.all([first, second].map((pod) => api.get('pods', pod?.metadata?.name as string)));
        return pods.every(({ spec }) => spec?.nodeName);
      },
      { what: 'the two pods that left to run' },
    );
    expect(await boundPodsOf(world, 'left')).toEqual([]);
  });

  scenario('a misspelt label and one on the Job instead of its template are told', async (world) => {
    await world.cluster.addNodes({ count: 2 });
    const { api } = world.cluster;
    await api.create('pods', gpuPod({ name: 'typo', labels: { 'muster.dev/podgroup': 'a' } }));
    await expectEvent(world, 'typo', /did you mean muster\.dev\/pod-group\?/);
    const job = gpuJob({ name: 'outside', size: 1, gang: null });
    await api.create('jobs', { ...job, metadata: { ...job.metadata, labels: { [LABEL]: 'outside' } } });
    await expectEvent(world, 'outside', /is on the Job itself, where nothing reads it; write it in spec\.template/);
  });

  scenario('pods of another scheduler beside ours: left alone, and no place is kept for them', async (world) => {
    await world.cluster.addNodes({ count: 4 });
    const spec = { schedulerName: 'volcano' };
    await world.cluster.api.createMany('pods', gangPods({ gang: 'foreign', size: 4, spec }));
    await world.cluster.api.createMany('pods', gangPods({ gang: 'ours', size: 4 }));
    await expectBound(world, 'ours', 4);
    for (const { metadata, spec: found, status } of await podsOf(world, 'foreign')) {
      expect(metadata?.annotations?.['muster.dev/plan']).toBeUndefined();
      expect(status?.nominatedNodeName).toBeUndefined();
      expect(found?.schedulingGates).toBeUndefined();
    }
  });
});
