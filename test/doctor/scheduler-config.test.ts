/** What is found in kube-scheduler's configuration; the shipped files have no findings. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { defaultConfiguration } from '../../src/config/configuration.ts';
import {
  checkSchedulerConfiguration,
  type ExtenderEntry,
  type SchedulerConfiguration,
} from '../../src/doctor/scheduler-config.ts';

const { gang, schedulerNames, managedResources } = defaultConfiguration();
const settings = { barrierTimeoutMs: gang.barrierTimeoutMs, schedulerNames, managedResources };

function shipped(file: string): SchedulerConfiguration {
  return load(
    readFileSync(join(import.meta.dirname, '../../deploy/scheduler', file), 'utf8'),
  ) as SchedulerConfiguration;
}

const good = shipped('kube-scheduler-config.yaml');
const [entry = {}] = good.extenders ?? [];
const kindsOf = (config: SchedulerConfiguration, more: Partial<typeof settings> = {}) =>
  checkSchedulerConfiguration(config, { ...settings, ...more }, 'f').map(({ kind, severity }) => `${severity} ${kind}`);
const withEntry = (...changes: readonly ExtenderEntry[]) => ({
  ...good,
  extenders: changes.map((change) => ({ ...entry, ...change })),
});

test.each(['kube-scheduler-config.yaml', 'kube-scheduler-config-large-gangs.yaml'])(
  '%s, as shipped, is good',
  (file) => {
    expect(checkSchedulerConfiguration(shipped(file), settings, file)).toEqual([]);
  },
);

test.each<[string, SchedulerConfiguration]>([
  ['error no-extender', { extenders: [] }],
  ['error no-extender', {}],
  ['error no-extender', { extenders: [{ urlPrefix: 'http://other:1/x', bindVerb: 'bind' }] }],
  ['error ignorable', withEntry({ ignorable: true })],
  ['error node-cache', withEntry({ nodeCacheCapable: false })],
  ['error no-ca', withEntry({ tlsConfig: { certFile: 'c' } })],
  ['error no-ca', withEntry({ tlsConfig: { insecure: true, caFile: 'a', certFile: 'c' } })],
  ['error no-certificate', withEntry({ tlsConfig: { caFile: 'a' } })],
  ['error no-tls', withEntry({ urlPrefix: 'http://muster.muster-system.svc:8443/scheduler' })],
  ['error address', withEntry({ urlPrefix: 'https://muster:8443' })],
  ['error address', withEntry({ urlPrefix: 'muster' })],
  ['error timeout', withEntry({ httpTimeout: '100s' })],
  ['error timeout', withEntry({ httpTimeout: undefined as never })],
  ['error weight', withEntry({ weight: 0 })],
  ['error bind-verbs', { ...good, extenders: [entry, { urlPrefix: 'http://other:1/x', bindVerb: 'bind' }] }],
  ['error verb-missing', withEntry({ filterVerb: '' })],
  ['error verb-missing', withEntry({ bindVerb: '' })],
  ['error verb-missing', withEntry({ preemptVerb: '' })],
  ['warning all-pods', withEntry({ managedResources: [] })],
  ['error marker-counted', withEntry({ managedResources: entry.managedResources!.map(({ name }) => ({ name })) })],
  ['error scheduler-name', { ...good, profiles: [{ schedulerName: 'gpu-scheduler' }] }],
])('%s', (finding, config) => {
  expect(kindsOf(config)).toEqual([finding]);
});

test('a resource that Muster manages and kube-scheduler does not send is found, also one with a star', () => {
  const managed = entry.managedResources!.filter(({ name }) => !name.includes('mig-') && name !== 'muster.dev/member');
  expect(kindsOf(withEntry({ managedResources: managed }))).toEqual([
    'warning resource-missing',
    'warning marker-missing',
  ]);
  expect(kindsOf(good, { managedResources: ['habana.ai/gaudi'] })).toEqual(['warning resource-missing']);
});

test('a Muster on the loopback address needs no TLS, and a profile of its own needs its name in the list', () => {
  const { tlsConfig: _, ...plain } = { ...entry, urlPrefix: 'http://127.0.0.1:8443/scheduler', enableHTTPS: false };
  expect(kindsOf({ extenders: [plain], profiles: [{ schedulerName: 'm' }] }, { schedulerNames: ['m'] })).toEqual([]);
});

describe('what is said', () => {
  test('names the place, both figures and the remedy', () => {
    const [finding] = checkSchedulerConfiguration(withEntry({ httpTimeout: '30s' }), settings, '/etc/s.yaml');
    expect(finding).toEqual({
      kind: 'timeout',
      severity: 'error',
      about: '/etc/s.yaml',
      text: 'expected httpTimeout of the entry that binds to be above gang.barrierTimeout (100s), found 30s: members that wait for their gang are given up',
      fix: 'set httpTimeout to 2m',
    });
  });
});
