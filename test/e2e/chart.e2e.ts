/**
 * The chart and the kustomizations, rendered by Helm 3, Helm 4 and kustomize as users have them. No cluster is needed:
 * what they make is what deploy/ has, and the e2e tests run that.
 */
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { parseConfiguration } from '../../src/config/configuration.ts';
import { findExposure } from '../../src/config/server.ts';
import { comparable, type Manifest, readable, readObjects } from '../deploy/objects.ts';
import { deployDir, extenderFiles, plainFiles, plainValues, readDeployed, variants } from '../deploy/variants.ts';
import { type RenderOptions, renderChart, runTool } from './tools.ts';

const chart = join(deployDir, 'chart');
const helms = ['helm3', 'helm4'] as const;

type Helm = (typeof helms)[number];

async function objectsOf(helm: Helm, options?: RenderOptions): Promise<readonly Manifest[]> {
  return readObjects(await renderChart(helm, options));
}

async function find(helm: Helm, kind: string, name: string, options?: RenderOptions): Promise<Manifest | undefined> {
  return (await objectsOf(helm, options)).find((object) => object.kind === kind && object.metadata.name === name);
}

/** What Helm says when it refuses the values. */
async function refusalOf(helm: Helm, options: RenderOptions): Promise<string> {
  return renderChart(helm, options).then(
    () => 'nothing',
    (error: Error) => error.message,
  );
}

const ADDRESSES = { enabled: true, apiServerCIDRs: ['192.0.2.0/24'], controlPlaneCIDRs: ['192.0.2.0/24'] };

/** A cluster older than the mutating policies, another namespace, two extender entries. */
const OLD_CLUSTER: RenderOptions = {
  namespace: 'gangs',
  kubeVersion: '1.33.5-eks-1234567',
  values: {
    image: { repository: 'registry.example/muster' },
    podDisruptionBudget: { enabled: true },
    scheduler: { enabled: true, name: 'gangs' },
    config: { bindResources: [], managedResources: ['example.com/npu'], topology: { policy: 'spread' } },
    extender: { managedResources: ['example.com/npu'] },
  },
};

describe.each(helms)('the chart by %s', (helm) => {
  test('has no faults', async () => {
    expect(await runTool(helm, ['lint', chart, '--strict', '--kube-version', '1.37.2'])).toContain('0 chart(s) failed');
  });

  test('is equal to the manifests of deploy/', async () => {
    const plain = [...plainFiles.flatMap(readDeployed), extenderFiles()];
    expect(comparable(await objectsOf(helm, { values: plainValues }))).toEqual(comparable(plain));
  });

  test.each(variants)('is equal to the kustomization $path', async ({ path, values }) => {
    const built = readObjects(await runTool('kustomize', ['build', join(deployDir, 'kustomize', path)]));
    expect(comparable(await objectsOf(helm, { values }))).toEqual(comparable(built));
  });

  test('has two replicas with an election, apart from each other', async () => {
    const map = await find(helm, 'ConfigMap', 'muster');
    expect(map?.data?.['config.yaml']).toMatch(/leaderElection:\n +enabled: true/);
    const deployment = await find(helm, 'Deployment', 'muster');
    expect(deployment?.spec).toMatchObject({ replicas: 2, strategy: { type: 'RollingUpdate' } });
    expect(dump(deployment?.spec)).toContain('topologyKey: kubernetes.io/hostname');
    const values = { config: { leaderElection: { enabled: false } } };
    expect(await refusalOf(helm, { values })).toContain('config.leaderElection.enabled: expected true');
  });

  test.each([{}, { scheduler: { enabled: true } }, { replicas: 1, config: { queues: { items: [{ name: 'a' }] } } }])(
    'gives Muster a configuration that it reads: %o',
    async (values) => {
      const map = await find(helm, 'ConfigMap', 'muster', { values, namespace: 'gangs' });
      const config = parseConfiguration(map?.data?.['config.yaml'] ?? '', 'chart');
      expect(findExposure(config.server)).toBeUndefined();
      expect(config.gang.gatesParameter).toEqual({ namespace: 'gangs', name: 'muster-gates' });
    },
  );

  test.each([
    ['a value that is not known', { replica: 2 }, 'replica'],
    ['a field that is not known', { config: { gang: { barierTimeout: '10s' } } }, 'barierTimeout'],
    ['a field out of range', { config: { gang: { maxReplans: -1 } } }, 'maxReplans'],
    ['what the chart sets', { config: { server: { port: 9443 } } }, 'port'],
    ['a network policy without addresses', { networkPolicy: { enabled: true } }, 'apiServerCIDRs: expected'],
    ['a monitor without a token', { metrics: { podMonitor: { enabled: true } } }, 'metrics.token.enabled: expected'],
    [
      'a second scheduler whose pods Muster leaves alone',
      { scheduler: { enabled: true }, config: { schedulerNames: ['default-scheduler'] } },
      'expected muster-scheduler',
    ],
  ])('refuses %s', async (_what, values, message) => {
    expect(await refusalOf(helm, { values })).toContain(message);
  });

  test('is as before for an old cluster with a second scheduler', async () => {
    const objects = (await objectsOf(helm, OLD_CLUSTER)).filter(({ kind }) => kind !== 'CustomResourceDefinition');
    expect(objects.map(({ kind }) => kind)).not.toContain('MutatingAdmissionPolicy');
    const texts = objects.map((object) => dump(readable(object), { sortKeys: true, noRefs: true })).toSorted();
    await expect(texts.join('---\n')).toMatchFileSnapshot('snapshots/chart-old-cluster.yaml');
  });

  test('asks Muster instead of the policy where that is wanted, with the CA that it is given', async () => {
    const values = { admissionWebhook: { enabled: true, caBundle: 'Q0E=' }, networkPolicy: ADDRESSES };
    const objects = await objectsOf(helm, { values, namespace: 'gangs' });
    const ofKind = (kind: string) => objects.filter((object) => object.kind === kind);
    expect(ofKind('MutatingAdmissionPolicy')).toEqual([]);
    expect(ofKind('MutatingWebhookConfiguration')).toMatchObject([
      {
        webhooks: [{ clientConfig: { caBundle: 'Q0E=', service: { name: 'muster', namespace: 'gangs', port: 9443 } } }],
      },
    ]);
    const map = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'muster');
    expect(parseConfiguration(map?.data?.['config.yaml'] ?? '', 'chart').server.webhookPort).toBe(9443);
    expect(dump(ofKind('Service'))).toContain('targetPort: 9443');
    expect(dump(ofKind('NetworkPolicy'))).toContain('port: 9443');
    const injected = { admissionWebhook: { enabled: true }, certManager: { enabled: true } };
    const webhook = await find(helm, 'MutatingWebhookConfiguration', 'muster-gang-members', { values: injected });
    expect(webhook?.metadata.annotations).toEqual({ 'cert-manager.io/inject-ca-from': 'muster-system/muster' });
  });

  test('marks only the markers of the entry that binds', async () => {
    const values = { config: { bindResources: [], managedResources: ['nvidia.com/gpu'] } };
    const policy = await find(helm, 'MutatingAdmissionPolicy', 'muster-gang-members', { values });
    expect(dump(policy)).toContain("name in ['muster.dev/member']");
    expect(dump(policy)).not.toContain('nvidia.com');
  });

  test('has the queues stay when it goes, unless told otherwise', async () => {
    const kept = await find(helm, 'CustomResourceDefinition', 'queues.muster.dev');
    expect(kept?.metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' });
    const values = { crds: { keep: false } };
    const lost = await find(helm, 'CustomResourceDefinition', 'queues.muster.dev', { values });
    expect(lost?.metadata.annotations).toBeUndefined();
    expect(
      await find(helm, 'CustomResourceDefinition', 'queues.muster.dev', { values: { crds: { enabled: false } } }),
    ).toBeUndefined();
  });

  test('has the objects that a user adds, with templates in them', async () => {
    const extraObjects = [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: '{{ .Release.Namespace }}' } },
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n',
    ];
    const options = { values: { extraObjects }, namespace: 'gangs' };
    expect((await find(helm, 'ConfigMap', 'a', options))?.metadata.namespace).toBe('gangs');
    expect(await find(helm, 'ConfigMap', 'b', options)).toBeDefined();
  });

  test('scrapes pods instead of the Service if asked to', async () => {
    const values = { metrics: { token: { enabled: true }, podMonitor: { enabled: true, labels: { team: 'a' } } } };
    const monitor = await find(helm, 'PodMonitor', 'muster', { values });
    expect(monitor?.metadata.labels).toMatchObject({ team: 'a' });
    expect(monitor?.spec).toMatchObject({ podMetricsEndpoints: [{ scheme: 'https', port: 'inspect' }] });
  });
});

// Helm 3 asks a cluster for its version before it shows notes.
test.each([
  ['own scheduler', {}, ['muster certs --dir', 'kubectl get configmap -n', 'kubectl get pods -n']],
  [
    'second scheduler',
    { scheduler: { enabled: true }, certManager: { enabled: true } },
    ['kubectl wait -n', 'kubectl label node', 'kubectl get pods -A'],
  ],
])('the notes for %s have the next three commands', async (_what, values, expected) => {
  const printed = await renderChart('helm4', { values, command: ['install', '--dry-run=client'] });
  const notes = printed.slice(printed.indexOf('NOTES:'));
  const commands = notes.split('\n').filter((line) => /^ {3}(kubectl|muster) /.test(line));
  expect(commands).toHaveLength(3);
  for (const [index, text] of expected.entries()) expect(commands[index]).toContain(text);
});
