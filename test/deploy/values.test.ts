/** The schema of the chart's values. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { expect, test } from 'vitest';
import { valuesSchema } from '../../scripts/deployment/values-schema.ts';
import type { JsonSchema } from '../../src/config/schema.ts';
import { deployDir } from './variants.ts';

const text = readFileSync(join(deployDir, 'chart/values.yaml'), 'utf8');
const schema = valuesSchema(text) as JsonSchema;

test('it has each value of values.yaml, and needs it', () => {
  const values = load(text) as object;
  expect(schema.required).toEqual(Object.keys(values));
  expect(Object.keys(schema.properties ?? {})).toEqual([...Object.keys(values), 'global']);
  expect(schema.additionalProperties).toBe(false);
});

test('it refuses what the chart itself sets of the configuration', () => {
  const config = schema.properties?.config?.properties ?? {};
  expect(Object.keys(config)).not.toContain('apiVersion');
  expect(Object.keys(config.server?.properties ?? {})).toEqual([
    'callers',
    'maxBodyMiB',
    'maxUnfinishedBodiesMiB',
    'maxConnections',
    'drainDelay',
  ]);
  expect(Object.keys(config.api?.properties ?? {})).not.toContain('kubeconfig');
  expect(config.topology?.properties?.policy?.enum).toContain('best-fit');
});

test('a value of which the default does not say what is allowed needs a type', () => {
  expect(() => valuesSchema('config: {}\nother: {}\n')).toThrow('expected a type for other');
  expect(() => valuesSchema('config: {}\nother: 3\n')).toThrow('expected a type for other');
});
