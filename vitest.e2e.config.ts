import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that wait longest for a back-off or a grace period, longest first: one that began last would be waited for alone. */
const LONGEST = [
  'restarts',
  'preemption-restarts',
  'preemption',
  'repair',
  'runs',
  'sizes',
  'preemption-ungated',
  'dialects',
  'backfill',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}.e2e.ts`));
      return place < 0 ? LONGEST.length : place;
    };
    return files.toSorted((a, b) => rank(a) - rank(b) || a.moduleId.localeCompare(b.moduleId));
  }
}

const scale = 'test/e2e/scale.e2e.ts';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    pool: 'forks',
    // The files of a worker share its control plane: see test/e2e/cluster/plane-pool.ts.
    isolate: false,
    globalSetup: './test/e2e/global-setup.ts',
    testTimeout: 240_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.e2e.ts'],
          exclude: [scale],
          // Most of a file's time is spent waiting, so two cores can bear three of them.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'scale',
          include: [scale],
          // It takes all of the machine.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
