/** Which schedulers have Muster as their extender is written in three places, which must agree. */
import { readFileSync } from 'node:fs';
import { loadAll } from 'js-yaml';
import { expect, test } from 'vitest';
import { defaultConfiguration } from '../../src/config/configuration.ts';

const { schedulerNames } = defaultConfiguration();
const textOf = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface AdmissionPolicy {
  readonly spec?: { readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[] };
}

test('the admission policy gates the pods of the default schedulers, and no others', () => {
  const policies = loadAll(textOf('deploy/admission-policy.yaml')) as AdmissionPolicy[];
  const conditions = policies.flatMap(({ spec }) => spec?.matchConditions ?? []);
  const condition = conditions.find(({ name }) => name === 'scheduler-has-muster')?.expression ?? '';
  const names = condition.match(/^object\.spec\.schedulerName in \[(.*)\]$/)?.[1] ?? '';
  expect([...names.matchAll(/'([^']+)'/g)].map(([, name]) => name)).toEqual(schedulerNames);
});

test('docs/configuration.md has them', () => {
  expect(textOf('docs/configuration.md')).toContain(`| \`schedulerNames\` | \`[${schedulerNames.join(', ')}]\` |`);
});
