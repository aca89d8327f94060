/** Configuration files: whatever the text, it is read or refused with problems, and what is read can be written again. */
import {
  ConfigurationError,
  defaultConfiguration,
  parseConfiguration,
  renderConfiguration,
} from '../../../src/config/configuration.ts';
import { bytesOf, mutateBytes } from '../byte-mutation.ts';
import type { Dice } from '../dice.ts';
import { hostileText } from '../hostile-values.ts';
import { mutateJson } from '../json-mutation.ts';
import { type Arena, expectThat, type Target } from '../target.ts';

const DEFAULTS = renderConfiguration(defaultConfiguration());

/** A file with every field; JSON is YAML. */
const FULL = JSON.stringify({
  apiVersion: 'config.muster.dev/v1alpha1',
  kind: 'MusterConfiguration',
  server: { bindAddress: '127.0.0.1', port: 8443, maxBodyMiB: 8, drainDelay: '5s' },
  api: { maxInFlightWrites: 64, requestTimeout: '10s', watchIdleTimeout: '90s' },
  managedResources: ['nvidia.com/gpu', 'nvidia.com/mig-*'],
  schedulerNames: ['default-scheduler'],
  topology: { policy: 'best-fit', levels: [{ name: 'rack', key: 'example.com/rack' }] },
  gang: { barrierTimeout: '25s', nominationTimeout: '15s', backoffInitial: '1s', backoffMax: '30s', maxReplans: 8 },
  preemption: { notice: '0s' },
  repair: { maxRestarts: 3 },
  queues: {
    backfill: 'easy',
    items: [
      {
        name: 'a',
        quotas: [{ resource: 'nvidia.com/gpu', guaranteed: 8, limit: 16 }],
        namespaces: ['a'],
        defaultFor: ['a'],
      },
      { name: 'b', parent: 'a', weight: 2, maxRunTime: '24h' },
    ],
  },
  lonePodCandidates: 32,
  log: { verbosity: 2 },
});

export const configuration: Target = {
  name: 'configuration',
  about: 'configuration files',
  share: 8,
  checkEvery: 1_000,
  make: (dice) => [makeText(dice)],
  open: async () => new ConfigurationArena(),
};

function makeText(dice: Dice): string {
  switch (dice.below(5)) {
    case 0:
      return mutateBytes(bytesOf(DEFAULTS), dice);
    case 1:
      return aliases(dice);
    case 2:
      return mutateBytes(bytesOf(FULL), dice);
    default:
      return bytesOf(mutateJson(FULL, dice));
  }
}

/** Lists of aliases of lists of aliases, and keys and tags that loaders treat specially. */
function aliases(dice: Dice): string {
  const levels = dice.between(1, 30);
  const width = dice.between(1, 12);
  const lines = dice.times(levels, (i) => `a${i}: &a${i} [${i === 0 ? '"x"' : `${`*a${i - 1}, `.repeat(width)}`}]`);
  const special = dice.pick([
    '<<: *a0',
    '? [a, b]\n: c',
    '!!js/function x: 1',
    '!!binary x: 1',
    '- - - -',
    `"${hostileText(dice).replaceAll(/["\\\n]/g, '')}": 1`,
  ]);
  return bytesOf([DEFAULTS, ...lines, `queues: *a${levels - 1}`, special].join('\n'));
}

class ConfigurationArena implements Arena {
  play(piece: string): void {
    const text = Buffer.from(piece, 'latin1').toString('utf8');
    const config = attempt(text);
    if (config === undefined) return;
    const written = renderConfiguration(config);
    const again = renderConfiguration(parseConfiguration(written, 'written again'));
    expectThat(again === written, () => `expected the file to be read as it was written, found ${again}`);
  }

  async check(): Promise<void> {
    defaultConfiguration();
    expectThat(!('x' in {}) && !('polluted' in {}), () => 'expected prototypes to be unchanged');
  }

  async close(): Promise<void> {}
}

function attempt(text: string) {
  try {
    return parseConfiguration(text, 'fuzzed');
  } catch (error) {
    if (error instanceof ConfigurationError) return undefined;
    throw error;
  }
}
