/** The configuration that deploy/ ships: it is read, closed to strangers, and fits what kube-scheduler is given. */
import { readFileSync } from 'node:fs';
import { loadAll } from 'js-yaml';
import { expect, test } from 'vitest';
import { defaultConfiguration, parseConfiguration } from '../../src/config/configuration.ts';
import { findExposure } from '../../src/config/server.ts';
import { ADMISSION_PATH } from '../../src/http/admission/admission.ts';

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

interface Entry {
  readonly bindVerb?: string;
  readonly httpTimeout: string;
}

test.each(['kube-scheduler-config', 'kube-scheduler-config-large-gangs'])(
  'deploy/scheduler/%s.yaml waits longer for a bind than the barrier holds it',
  (name) => {
    const [{ extenders }] = read(`scheduler/${name}.yaml`) as unknown as [{ readonly extenders: readonly Entry[] }];
    const binding = extenders.find(({ bindVerb }) => bindVerb === 'bind');
    const { barrierTimeoutMs } = defaultConfiguration().gang;
    expect(Number.parseInt(binding?.httpTimeout ?? '', 10) * 1_000).toBeGreaterThan(barrierTimeoutMs);
  },
);

test('deploy/admission-policy.yaml has the same list of resources in both places', () => {
  const text = readFileSync(new URL('../../deploy/admission-policy.yaml', import.meta.url), 'utf8');
  const lists = [...text.matchAll(/name in (\[[^\]]*\]) \|\| (name\.startsWith\([^)]*\))/g)].map((match) => match[0]);
  expect(lists).toHaveLength(4);
  expect(new Set(lists).size).toBe(1);
});

interface Admission {
  readonly kind: string;
  readonly spec?: { readonly matchConditions?: readonly Condition[] };
  readonly webhooks?: readonly {
    readonly failurePolicy: string;
    readonly timeoutSeconds: number;
    readonly sideEffects: string;
    readonly matchConditions: readonly Condition[];
    readonly clientConfig: { readonly service: { readonly path: string; readonly port: number } };
  }[];
}

interface Condition {
  readonly name: string;
  readonly expression: string;
}

test('deploy/webhook.yaml is asked about pods that the policy looks at, where Muster answers, and never stops a pod', () => {
  const all = [...read('admission-policy.yaml'), ...read('webhook.yaml')] as unknown as readonly Admission[];
  const policy = all.find(({ kind }) => kind === 'MutatingAdmissionPolicy')?.spec?.matchConditions ?? [];
  const [webhook] = all.flatMap(({ webhooks = [] }) => webhooks);
  expect(webhook).toMatchObject({ failurePolicy: 'Ignore', sideEffects: 'None' });
  expect(webhook?.timeoutSeconds).toBeLessThan(5);
  expect(webhook?.matchConditions.map(({ name }) => name)).toEqual([
    'is-gang-member',
    'is-not-bound',
    'is-no-native-group',
  ]);
  expect(policy).toEqual(expect.arrayContaining([...(webhook?.matchConditions ?? [])]));
  expect(webhook?.clientConfig.service.path).toBe(ADMISSION_PATH);
  const [patch] = read('kustomize/overlays/webhook/configuration.yaml');
  const { server } = parseConfiguration(patch?.data?.['config.yaml'] ?? '', 'overlays/webhook');
  expect(server.webhookPort).toBe(webhook?.clientConfig.service.port);
});

test('deploy/webhook.yaml gives a right to the account that makes certificates, and to nobody else', () => {
  const all = read('webhook.yaml') as unknown as readonly { readonly kind: string; readonly subjects?: object }[];
  expect(all.map(({ kind }) => kind)).toEqual(['MutatingWebhookConfiguration', 'ClusterRole', 'ClusterRoleBinding']);
  const account = { kind: 'ServiceAccount', name: 'muster-certs', namespace: 'muster-system' };
  expect(all.flatMap(({ subjects }) => subjects ?? [])).toEqual([account]);
});

test('deploy/networkpolicy.yaml selects the pods of the Deployment', () => {
  const labels = manifests.find(({ kind }) => kind === 'Deployment')?.spec?.template?.metadata.labels;
  const [policy] = read('networkpolicy.yaml');
  expect(policy?.spec?.podSelector?.matchLabels).toEqual(labels);
});

test('deploy/muster.yaml runs two replicas, of which one decides, and lets that one go in a rollout', () => {
  const text = manifests.find(({ kind }) => kind === 'ConfigMap')?.data?.['config.yaml'] ?? '';
  expect(parseConfiguration(text, 'deploy/muster.yaml').leaderElection).toMatchObject({
    enabled: true,
    namespace: 'muster-system',
  });
  expect(manifests.find(({ kind }) => kind === 'Deployment')).toMatchObject({
    spec: { replicas: 2, strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '100%' } } },
  });
});
