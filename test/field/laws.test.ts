/** Laws over random histories of strangers' workloads, with a model of the controllers that make their pods. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Mix, playAll, steps, submissions } from '../support/histories.ts';

/** The same histories in each run; `MUSTER_LAW_RUNS=5000` tries new ones. The seed is in the message of a failure. */
const RUNS = Number(process.env.MUSTER_LAW_RUNS ?? 20);
const SEED = process.env.MUSTER_LAW_RUNS === undefined ? { seed: 20_260_101 } : {};

const MIXES: readonly (readonly [string, Mix])[] = [
  ['Jobs', { kinds: ['Job'] }],
  ['runs of CronJobs', { kinds: ['CronJob'] }],
  ['Deployments and StatefulSets', { kinds: ['ReplicaSet', 'StatefulSet'] }],
  ['training jobs and bare pods', { kinds: ['PyTorchJob', 'MPIJob', 'bare'] }],
  ['all of them', { kinds: ['Job', 'CronJob', 'ReplicaSet', 'StatefulSet', 'PyTorchJob', 'MPIJob', 'bare'] }],
];

describe.each(MIXES)('under any history of %s', (_, mix) => {
  test('nothing starts in part, is evicted without a cause, is kept for nobody, or waits without a reason', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 4, max: 6 }),
        submissions(mix),
        fc.array(steps(mix), { minLength: 4, maxLength: 30, size: 'max' }),
        async (nodes, first, rest) => {
          const history = await playAll(nodes, [first, ...rest]);
          if (history.violations.length === 0) await history.heal(first.gang);
          expect(history.violations).toEqual([]);
        },
      ),
      { numRuns: RUNS, ...SEED },
    );
  }, 600_000);
});
