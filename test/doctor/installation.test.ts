/** What is found in rights, admission policies and the running service; and where kube-scheduler's configuration is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { type DoctorFacts, diagnose } from '../../src/doctor/diagnose.ts';
import {
  checkPolicies,
  checkRights,
  checkService,
  neededRights,
  type RunningService,
  type SeenPolicies,
} from '../../src/doctor/installation.ts';
import { findSchedulers } from '../../src/doctor/scheduler-pods.ts';
import { checkWebhook, type SeenWebhook } from '../../src/doctor/webhook.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

const deployed = (file: string) =>
  loadAll(readFileSync(join(import.meta.dirname, '../../deploy', file), 'utf8')) as Manifest[];

describe('rights', () => {
  test('deploy/rbac.yaml gives each that is asked about', () => {
    const rules =
      deployed('rbac.yaml').find(({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'muster')?.rules ??
      [];
    const isGiven = ({ verb, group, resource, subresource }: (typeof neededRights)[number]) =>
      rules.some(
        ({ apiGroups, resources, verbs }) =>
          apiGroups.includes(group) &&
          verbs.includes(verb) &&
          resources.includes(subresource ? `${resource}/${subresource}` : resource),
      );
    expect(neededRights.filter((right) => !isGiven(right))).toEqual([]);
  });

  test('one that is missing is named with what is lost', () => {
    const reviewed = neededRights.map((right) => ({ right, allowed: right.subresource !== 'binding' }));
    expect(checkRights(reviewed, 'muster-system/muster').map(({ about, text }) => `${about}: ${text}`)).toEqual([
      'serviceaccount muster-system/muster: expected to be allowed to create pods/binding, found that it is not: no gang is bound',
    ]);
  });
});

describe('policies', () => {
  const names = (file: string, kind: string) =>
    deployed(file)
      .filter((each) => each.kind === kind)
      .map(({ metadata }) => metadata.name);
  const all: SeenPolicies = {
    mutating: names('admission-policy.yaml', 'MutatingAdmissionPolicy'),
    mutatingBindings: names('admission-policy.yaml', 'MutatingAdmissionPolicyBinding'),
    validating: names('record-policies.yaml', 'ValidatingAdmissionPolicy'),
    validatingBindings: names('record-policies.yaml', 'ValidatingAdmissionPolicyBinding'),
    gatesParameter: true,
    webhook: undefined,
  };
  const pem = (content: string) => `-----BEGIN CERTIFICATE-----\n${content}\n-----END CERTIFICATE-----\n`;
  const webhook: SeenWebhook = { caBundle: pem('QQ\n=='), musterCa: pem('QQ=='), hasServicePort: true };
  const older = { mutating: [], mutatingBindings: [], gatesParameter: false, webhook };

  test.each<[string, Partial<SeenPolicies>, readonly string[]]>([
    ['all that is shipped', {}, []],
    ['no gate', { mutating: [] }, ['no-gate-policy']],
    ['a gate without binding', { mutatingBindings: [] }, ['gate-policy-incomplete']],
    ['a gate without parameter', { gatesParameter: false }, ['gate-policy-incomplete']],
    ['no record policies', { validating: [] }, ['no-record-policy', 'no-record-policy']],
    ['one without binding', { validatingBindings: ['muster-writes'] }, ['no-record-policy']],
    ['the webhook in place of the policy', older, []],
    ['both', { webhook }, ['policy-and-webhook']],
    ['a webhook without a CA', { ...older, webhook: { ...webhook, caBundle: '' } }, ['webhook-without-ca']],
    ['one with another CA', { ...older, webhook: { ...webhook, caBundle: pem('QUE=') } }, ['webhook-other-ca']],
    [
      'one that lacks the CA that comes',
      { ...older, webhook: { ...webhook, musterCa: pem('QQ==') + pem('QUE=') } },
      ['webhook-other-ca'],
    ],
    ['one whose CA nobody knows', { ...older, webhook: { ...webhook, musterCa: undefined } }, []],
    ['one without a port', { ...older, webhook: { ...webhook, hasServicePort: false } }, ['webhook-without-service']],
  ])('%s', (_, change, kinds) => {
    expect(checkPolicies({ ...all, ...change }, 9443).map(({ kind }) => kind)).toEqual(kinds);
  });
});

test('a webhook that Muster does not serve is found, where its configuration is known', () => {
  const seen: SeenWebhook = { caBundle: '', musterCa: undefined, hasServicePort: true };
  const kindsOf = (port: number | undefined) => checkWebhook(seen, port).map(({ kind }) => kind);
  expect(kindsOf(0)).toEqual(['webhook-without-ca', 'webhook-without-port']);
  expect(kindsOf(undefined)).toEqual(['webhook-without-ca']);
});

describe('the running service', () => {
  const calls = 'muster_extender_request_duration_seconds_count{verb="filter",outcome="placed"} 7\n';
  const good: RunningService = {
    readyz: ['[+]recovered ok'],
    isReady: true,
    metrics: calls,
    topology: [],
    clockAheadSeconds: 0,
  };

  test.each<[string, Partial<RunningService>, readonly string[]]>([
    ['one that is called', {}, []],
    ['one whose metrics are not shown', { metrics: undefined }, []],
    ['one that is not ready', { isReady: false, readyz: ['[-]recovered failed: reservations'] }, ['error not-ready']],
    ['one that was never called', { metrics: '' }, ['error never-called']],
    [
      'one that refuses callers',
      { metrics: `${calls}muster_refused_calls_total{reason="unlisted"} 3\n` },
      ['warning refused-calls'],
    ],
    ['one that refused tokens', { metrics: `${calls}muster_refused_calls_total{reason="bad-token"} 3\n` }, []],
    [
      'labels of nodes',
      {
        topology: [
          { warning: true, kind: 'partial-coverage', text: 't' },
          { warning: false, kind: 'unused', text: 't' },
        ],
      },
      ['warning topology-partial-coverage'],
    ],
    ['a notice about queues', { readyz: ['[!]queues a guarantee for everybody', '[!]topology t'] }, ['warning notice']],
    ['a clock that is ahead', { clockAheadSeconds: 30 }, ['warning clock-skew']],
    ['a clock that is behind', { clockAheadSeconds: -30 }, ['warning clock-skew']],
    ['a second of delay', { clockAheadSeconds: -1 }, []],
  ])('%s', (_, change, findings) => {
    expect(checkService({ ...good, ...change }, 's').map(({ severity, kind }) => `${severity} ${kind}`)).toEqual(
      findings,
    );
  });
});

describe('where kube-scheduler reads its configuration', () => {
  const config = '--config=/etc/kubernetes/s/config.yaml';
  const mount = { name: 'v', mountPath: '/etc/kubernetes/s' };
  const withVolume = (volume: object, command: readonly string[] = ['kube-scheduler', config]) => ({
    metadata: { namespace: 'kube-system', name: 'kube-scheduler-cp1' },
    spec: { nodeName: 'cp1', containers: [{ command, volumeMounts: [mount] }], volumes: [{ name: 'v', ...volume }] },
  });

  test.each([
    [
      'a ConfigMap',
      withVolume({ configMap: { name: 'c' } }),
      { kind: 'config-map', namespace: 'kube-system', name: 'c', key: 'config.yaml' },
    ],
    [
      'a ConfigMap with another key',
      withVolume({ configMap: { name: 'c', items: [{ key: 'k', path: 'config.yaml' }] } }),
      { kind: 'config-map', namespace: 'kube-system', name: 'c', key: 'k' },
    ],
    [
      'a static pod',
      withVolume({ hostPath: { path: '/host/s' } }),
      { kind: 'file', path: '/host/s/config.yaml', node: 'cp1' },
    ],
    ['no configuration', withVolume({}, ['/usr/local/bin/kube-scheduler', '--leader-elect=true']), { kind: 'none' }],
    [
      'a flag in two words',
      withVolume({ hostPath: { path: '/host/s' } }, ['kube-scheduler', '--config', '/etc/kubernetes/s/x']),
      { kind: 'file', path: '/host/s/x', node: 'cp1' },
    ],
  ])('%s', (_, pod, source) => {
    expect(findSchedulers([pod])).toEqual([{ about: 'kube-scheduler kube-system/kube-scheduler-cp1', source }]);
  });

  test('replicas with the same ConfigMap are one, and other pods none', () => {
    const pod = withVolume({ configMap: { name: 'c' } });
    expect(findSchedulers([pod, pod, withVolume({}, ['kube-proxy']), {}])).toHaveLength(1);
  });
});

describe('altogether', () => {
  const unknown = { kind: 'unknown', about: 'a', why: 'forbidden', fix: 'f' } as const;
  const settings = { barrierTimeoutMs: 100_000, schedulerNames: ['default-scheduler'], managedResources: [] };
  const facts: DoctorFacts = {
    now: 0,
    account: 'muster-system/muster',
    serviceAbout: 's',
    defaults: settings,
    settings: { kind: 'known', value: settings },
    schedulers: [],
    rights: unknown,
    policies: unknown,
    webhookPort: undefined,
    workloads: { kind: 'known', value: { pods: [], jobs: [], quotas: [] } },
    service: {
      kind: 'known',
      value: { readyz: [], isReady: false, metrics: undefined, topology: undefined, clockAheadSeconds: 60 },
    },
  };

  test('errors come first, and what could not be looked at is told', () => {
    expect(diagnose(facts).map(({ severity, kind }) => `${severity} ${kind}`)).toEqual([
      'error not-ready',
      'warning clock-skew',
      'info not-checked',
      'info not-checked',
    ]);
  });

  test('a scheduler without Muster is an error only if no other one has it', () => {
    const without = { kind: 'known', value: { about: 'one', config: {} } } as const;
    const entry = {
      urlPrefix: 'http://127.0.0.1:8443/scheduler',
      filterVerb: 'filter',
      bindVerb: 'bind',
      preemptVerb: 'preempt',
    };
    const marker = [{ name: 'muster.dev/member', ignoredByScheduler: true }];
    const extenders = [{ ...entry, nodeCacheCapable: true, httpTimeout: '120s', managedResources: marker }];
    const having = { kind: 'known', value: { about: 'two', config: { extenders } } } as const;
    const severityOf = (...schedulers: DoctorFacts['schedulers']) =>
      diagnose({ ...facts, schedulers })
        .filter(({ kind }) => kind === 'no-extender')
        .map(({ severity }) => severity);
    expect(severityOf(without)).toEqual(['error']);
    expect(severityOf(without, having)).toEqual(['info']);
    expect(severityOf(having)).toEqual([]);
  });
});
