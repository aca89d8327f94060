import { expect } from 'vitest';
import { gpuJob } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectEvent, expectReason, type World } from './world.ts';

const QUOTAS = '/api/v1/namespaces/default/resourcequotas';
const GPUS = 'requests.nvidia.com/gpu';

/** The Job controller tries again ever later, up to a minute. */
const LIFTED_MS = 120_000;

scenarios('pods that a ResourceQuota refuses', {}, (scenario) => {
  scenario.realOnly(
    'needs the admission of quotas',
    'two Jobs under a quota with room for neither: none starts, both say why, and both start without it',
    async (world) => {
      await world.cluster.addNodes({ count: 8 });
      // With room for one and a half, one Job may get all its pods and start, which is right.
      await withQuota(world, 24, async () => {
        await Promise.all(['a', 'b'].map((name) => world.cluster.api.create('jobs', gpuJob({ name, size: 4 }))));
        for (const name of ['a', 'b']) {
          const quoted = new RegExp(`^\\d of 4 members exist; Job ${name} cannot create more: "exceeded quota: q, `);
          await expectReason(world, name, 'Gathering', quoted);
          await expectEvent(world, name, /cannot create more: "exceeded quota: q/);
          expect(await boundPodsOf(world, name)).toEqual([]);
        }
      });
      for (const name of ['a', 'b']) await expectBound(world, name, 4, LIFTED_MS);
    },
    2 * LIFTED_MS,
  );
});

/** Runs the body under a quota of so many GPUs. Its status is what a controller, which does not run here, would write. */
async function withQuota({ cluster: { api } }: World, gpus: number, body: () => Promise<void>): Promise<void> {
  const hard = { [GPUS]: String(gpus) };
  await api.request('POST', QUOTAS, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'q', namespace: 'default' },
    spec: { hard },
  });
  try {
    const status = { hard, used: { [GPUS]: '0' } };
    await api.request('PATCH', `${QUOTAS}/q/status`, { status }, 'application/merge-patch+json');
    await body();
  } finally {
    await api.request('DELETE', `${QUOTAS}/q`);
  }
}
