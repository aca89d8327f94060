/** Two extender entries: kube-scheduler asks Muster to bind only pods with the marker, and binds all others by itself. */
import { expect } from 'vitest';
import { gangPods, gpuPod, memberResource } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectNoOvercommit, expectReason, expectToStay } from './world.ts';

const options = { scheduler: { profile: 'large-gangs' }, bindResources: [], admissionPolicy: false } as const;
const marked = {
  requests: { cpu: '1', 'nvidia.com/gpu': '8', [memberResource]: '1' },
  limits: { 'nvidia.com/gpu': '8', [memberResource]: '1' },
};
const MARKED = { containers: [{ name: 'main', image: 'train', resources: marked }] };

scenarios('two extender entries', options, (scenario) => {
  scenario('members with the marker are bound together, a lone pod by kube-scheduler itself', async (world) => {
    await world.cluster.addNodes({ count: 5 });
    await world.cluster.api.create('pods', gpuPod({ name: 'lone', gpus: 8 }));
    await world.cluster.api.createMany('pods', gangPods({ gang: 'marked', size: 4, spec: MARKED }));
    await expectBound(world, 'marked', 4);
    await expectNoOvercommit(world);
  });

  scenario('one member without it: its gang waits with that reason, and nobody is nominated', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 5 });
    const [first, ...others] = gangPods({ gang: 'bare', size: 3, spec: MARKED });
    const [bare] = gangPods({ gang: 'bare', size: 1, minMembers: 3 });
    await api.createMany('pods', [bare!, ...others]);
    await expectReason(world, 'bare', 'Gathering', /bare-0 would be bound past the barrier.*muster.dev\/member: 1/);
    await expectToStay('nothing is bound', async () => (await boundPodsOf(world, 'bare')).length === 0, 3_000);
    expect((await api.list('pods')).filter(({ status }) => status?.nominatedNodeName)).toEqual([]);
    // The mistake is corrected.
    await api.delete('pods', 'bare-0', { graceSeconds: 0 });
    await api.create('pods', first!);
    await expectBound(world, 'bare', 3);
  });
});
