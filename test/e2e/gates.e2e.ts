/** The gate only where it pays: the admission policy adds it while gangs wait, as Muster tells it. */
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { gangPod, gangPods } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectNoOvercommit, expectReason, type World } from './world.ts';

const isGated = (pod: { readonly spec?: { readonly schedulingGates?: readonly { readonly name: string }[] } }) =>
  pod.spec?.schedulingGates?.some(({ name }) => name === 'muster.dev/gang') === true;

/** As in deploy/admission-policy.yaml. */
const PARAMETER = {
  apiVersion: 'v1',
  kind: 'LimitRange',
  metadata: { name: 'muster-gates', namespace: 'muster-system' },
  spec: { limits: [] },
};
const OFF = { 'muster.dev/gate': 'off' };

/** The API server takes a moment to hear of a change: dry runs show when. */
async function expectGates(world: World, areOn: boolean): Promise<void> {
  const probe = gangPod({ gang: 'probe', name: 'probe', rank: 0, minMembers: 1 });
  await waitFor(
    async () => {
      const path = '/api/v1/namespaces/default/pods?dryRun=All';
      return isGated(await world.cluster.api.request('POST', path, probe)) === areOn;
    },
    { what: `members to get the gate: ${areOn}`, deadlineMs: 30_000 },
  );
}

scenarios('gates by need', { gang: { gates: 'auto' } }, (scenario) => {
  scenario('members of a gang with room get no gate, one without an accelerator the marker', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 4 });
    await expectGates(world, false);
    const workers = await api.createMany('pods', gangPods({ gang: 'free', size: 3, minMembers: 4 }));
    const launcher = gangPod({ gang: 'free', name: 'launcher', rank: 3, minMembers: 4, gpus: 0 });
    const created = [...workers, await api.create('pods', launcher)];
    expect(created.filter(isGated)).toEqual([]);
    expect(created.at(-1)?.spec?.containers[0]?.resources?.requests).toMatchObject({ 'muster.dev/member': '1' });
    await expectBound(world, 'free', 4);
    await expectNoOvercommit(world);
  });

  scenario('while a gang waits for room members get the gate, and none after it has started', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 4 });
    await expectGates(world, false);
    await api.createMany('pods', gangPods({ gang: 'first', size: 3 }));
    await expectBound(world, 'first', 3);
    const second = await api.createMany('pods', gangPods({ gang: 'second', size: 2 }));
    expect(second.filter(isGated), 'nobody waited before it').toEqual([]);
    await expectReason(world, 'second', 'Pending', /room for 1 of 2/);
    await expectGates(world, true);
    const third = await api.createMany('pods', gangPods({ gang: 'third', size: 3 }));
    expect(third.filter(isGated)).toHaveLength(3);
    await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=first', graceSeconds: 0 });
    await expectBound(world, 'second', 2);
    expect(await boundPodsOf(world, 'third')).toHaveLength(0);
    await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=second', graceSeconds: 0 });
    await expectBound(world, 'third', 3);
    await expectGates(world, false);
    await expectNoOvercommit(world);
  });

  scenario(
    "an object of that name elsewhere says nothing, and without Muster's own there is no gate",
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      await api.createMany('pods', gangPods({ gang: 'first', size: 3 }));
      await expectBound(world, 'first', 3);
      await api.createMany('pods', gangPods({ gang: 'second', size: 2 }));
      await expectReason(world, 'second', 'Pending', /room for 1 of 2/);
      await expectGates(world, true);
      // Whoever may do anything in the namespace of the gangs.
      await api.apply({ ...PARAMETER, metadata: { ...PARAMETER.metadata, namespace: 'default', annotations: OFF } });
      const third = await api.createMany('pods', gangPods({ gang: 'third', size: 3 }));
      expect(third.filter(isGated)).toHaveLength(3);
      await api.remove(PARAMETER);
      try {
        await expectGates(world, false);
        const fourth = await api.createMany('pods', gangPods({ gang: 'fourth', size: 2 }));
        expect(fourth.filter(isGated)).toEqual([]);
        await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=first', graceSeconds: 0 });
        await expectBound(world, 'second', 2);
        await expectBound(world, 'fourth', 2);
        for (const gang of ['second', 'fourth'])
          await api.deleteAll('pods', { labelSelector: `muster.dev/pod-group=${gang}`, graceSeconds: 0 });
        await expectBound(world, 'third', 3);
      } finally {
        await api.apply(PARAMETER);
        await api.remove({ ...PARAMETER, metadata: { ...PARAMETER.metadata, namespace: 'default' } });
      }
      // As long as it says nothing.
      await expectGates(world, true);
      await expectNoOvercommit(world);
    },
  );
});
