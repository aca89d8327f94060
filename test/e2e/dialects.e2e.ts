import { join } from 'node:path';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { expectReason } from './world.ts';

const podGroups = '/apis/scheduling.x-k8s.io/v1alpha1/namespaces/default/podgroups';

scenarios('the co-scheduling dialect', {}, (scenario) => {
  scenario('its label alone waits for the PodGroup; the CRD may come later; then minMember rules', async (world) => {
    await world.cluster.addNodes({ count: 4 });
    const member = (rank: number) =>
      gpuPod({ name: `legacy-${rank}`, labels: { 'scheduling.x-k8s.io/pod-group': 'legacy' } });
    await world.cluster.api.createMany('pods', [member(0), member(1), member(2)]);
    await expectReason(world, 'legacy', 'Gathering', /expected a PodGroup .* named legacy, found none/);

    await world.cluster.applyManifests(join(import.meta.dirname, 'podgroup-crd.yaml'));
    const group = {
      apiVersion: 'scheduling.x-k8s.io/v1alpha1',
      kind: 'PodGroup',
      metadata: { name: 'legacy', namespace: 'default' },
      spec: { minMember: 4, scheduleTimeoutSeconds: 10 },
    };
    await waitFor(async () => Boolean(await world.cluster.api.request('POST', podGroups, group)), {
      what: 'the PodGroup to be created once its CRD is served',
    });
    // Muster looks for a missing CRD every 30 s.
    await expectReason(world, 'legacy', 'Gathering', /3 of 4 members exist/);
    await world.cluster.api.create('pods', member(3));
    const pods = await waitFor(
      async () => {
        const pods = await world.cluster.api.list('pods', { namespace: 'default' });
        return pods.every((pod) => pod.spec?.nodeName) && pods;
      },
      { what: 'all four members to be bound' },
    );
    expect(pods).toHaveLength(4);
  });
});
