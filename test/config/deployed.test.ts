/** The configuration that deploy/ ships: it is read, closed to strangers, and fits what kube-scheduler is given. */
import { readFileSync } from 'node:fs';
import { loadAll } from 'js-yaml';
import { expect, test } from 'vitest';
import { parseConfiguration } from '../../src/config/configuration.ts';
import { findExposure } from '../../src/config/server.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly labels?: object };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly podSelector?: { readonly matchLabels: object }; readonly template?: Manifest };
}

function read(file: string): readonly Manifest[] {
  return loadAll(readFileSync(new URL(`../../deploy/${file}`, import.meta.url), 'utf8')) as Manifest[];
}

const manifests = read('muster.yaml');

test('deploy/muster.yaml lets kube-scheduler ask for decisions, and nobody else ask for anything', () => {
  const text = manifests.find(({ kind }) => kind === 'ConfigMap')?.data?.['config.yaml'] ?? '';
  const { server } = parseConfiguration(text, 'deploy/muster.yaml');
  expect(server.bindAddress).toBe('0.0.0.0');
  expect(findExposure(server)).toBeUndefined();
  expect(findExposure({ ...server, tls: undefined })).toContain('expected a loopback address');
  expect(server.callers).toEqual({ decisions: ['system:kube-scheduler'], inspect: [], metrics: [] });
});

test('deploy/networkpolicy.yaml selects the pods of the Deployment', () => {
  const labels = manifests.find(({ kind }) => kind === 'Deployment')?.spec?.template?.metadata.labels;
  const [policy] = read('networkpolicy.yaml');
  expect(policy?.spec?.podSelector?.matchLabels).toEqual(labels);
});
