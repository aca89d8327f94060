/** All files below deploy/ that are made from others. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump, load, loadAll } from 'js-yaml';
import { type TemplateSource, templateOf } from './templates.ts';
import { valuesSchema } from './values-schema.ts';

const root = join(import.meta.dirname, '../..');
const schedulerConfigs = ['kube-scheduler-config.yaml', 'kube-scheduler-config-large-gangs.yaml'];
const secondScheduler = 'kustomize/overlays/second-scheduler';
const webhook = 'kustomize/overlays/webhook';
const monitoring = 'kustomize/overlays/monitoring';
const certificatesJob = 'kustomize/overlays/certificates/certificates-job.yaml';

/** What is copied as it is: target and source. */
const COPIES: readonly (readonly [string, string])[] = [
  ...['rbac.yaml', 'record-policies.yaml', 'admission-policy.yaml', 'flowschema.yaml', 'muster.yaml'].map(
    (file) => [`kustomize/base/${file}`, file] as const,
  ),
  ['kustomize/base/queue.yaml', 'crds/queue.yaml'],
  ['kustomize/overlays/network-policy/networkpolicy.yaml', 'networkpolicy.yaml'],
  [`${webhook}/webhook.yaml`, 'webhook.yaml'],
  ...schedulerConfigs.flatMap((file) => [
    [`kustomize/base/${file}`, `scheduler/${file}`] as const,
    [`chart/files/scheduler/${file}`, `scheduler/${file}`] as const,
  ]),
  ['chart/files/alerts.yaml', `${monitoring}/alerts.yaml`],
  ['chart/files/dashboard.json', `${monitoring}/dashboard.json`],
];

/** Path below deploy/ and content of each file that is made from others. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map(COPIES.map(([target, source]) => [target, copyOf(source)]));
  for (const [name, text] of templates()) files.set(`chart/templates/${name}.yaml`, text);
  files.set('chart/values.schema.json', `${JSON.stringify(valuesSchema(read('chart/values.yaml')), undefined, 2)}\n`);
  files.set('chart/Chart.yaml', withVersion(read('chart/Chart.yaml')));
  files.set(`${secondScheduler}/kube-scheduler-config.yaml`, secondSchedulerConfig());
  files.set(`${secondScheduler}/configuration.yaml`, secondConfiguration());
  files.set(`${webhook}/configuration.yaml`, webhookConfiguration());
  return files;
}

/** A file below deploy/. */
function read(path: string): string {
  return readFileSync(join(root, 'deploy', path), 'utf8');
}

function copyOf(source: string): string {
  // JSON has no comments.
  return source.endsWith('.json') ? read(source) : `${writtenFrom(source)}\n${read(source)}`;
}

function writtenFrom(...sources: readonly string[]): string {
  return `# scripts/deployment.ts writes this from ${sources.map((source) => `deploy/${source}`).join(' and ')}.`;
}

type Options = Pick<TemplateSource, 'labels' | 'keep' | 'injectCa'>;

function templates(): readonly (readonly [string, string])[] {
  const make = (sources: readonly string[], condition: string, options: Options = {}) =>
    templateOf({ header: writtenFrom(...sources), texts: sources.map(read), condition, ...options });
  const forSecond = { labels: 'muster.schedulerLabels' };
  const nodes = 'and .Values.scheduler.enabled .Values.scheduler.nodes.enabled';
  const isMutating = '(include "muster.hasMutatingPolicies" .)';
  return [
    ['rbac', make(['rbac.yaml'], 'true')],
    ['crds', make(['crds/queue.yaml'], '.Values.crds.enabled', { keep: true })],
    ['record-policies', make(['record-policies.yaml'], '.Values.recordPolicies.enabled')],
    [
      'admission-policy',
      make(
        ['admission-policy.yaml'],
        `and .Values.admissionPolicy.enabled (not .Values.admissionWebhook.enabled) ${isMutating}`,
      ),
    ],
    ['webhook', make(['webhook.yaml'], '.Values.admissionWebhook.enabled', { injectCa: true })],
    ['flowschema', make(['flowschema.yaml'], '.Values.flowControl.enabled')],
    ['certificates-job', make([certificatesJob], '.Values.certificates.job.enabled')],
    ['scheduler-rbac', make([`${secondScheduler}/rbac.yaml`], '.Values.scheduler.enabled', forSecond)],
    [
      'scheduler-flowschema',
      make(
        [`${secondScheduler}/flowschema.yaml`],
        'and .Values.scheduler.enabled .Values.flowControl.enabled',
        forSecond,
      ),
    ],
    ['scheduler-nodes-policy', make([`${secondScheduler}/nodes-policy.yaml`], nodes, forSecond)],
    [
      'scheduler-node-selector-policy',
      make([`${secondScheduler}/node-selector-policy.yaml`], `${nodes} ${isMutating}`, forSecond),
    ],
  ];
}

/** The version is written in package.json alone. */
function withVersion(chart: string): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
  return chart.replace(/^(version|appVersion): .*$/gm, `$1: ${version}`);
}

interface SchedulerConfig {
  readonly clientConnection: { kubeconfig?: string };
  readonly extenders: readonly { tlsConfig: object }[];
}

/** kube-scheduler's configuration for a pod: its own service account, lease and profile, and certificates of a Secret. */
function secondSchedulerConfig(): string {
  const source = 'scheduler/kube-scheduler-config.yaml';
  const config = load(read(source)) as SchedulerConfig;
  delete config.clientConnection.kubeconfig;
  const folder = '/etc/muster-scheduler/tls';
  const files = { caFile: `${folder}/ca.crt`, certFile: `${folder}/tls.crt`, keyFile: `${folder}/tls.key` };
  for (const entry of config.extenders) Object.assign(entry.tlsConfig, files);
  Object.assign(config, {
    leaderElection: { leaderElect: true, resourceName: 'muster-scheduler', resourceNamespace: 'muster-system' },
    profiles: [{ schedulerName: 'muster-scheduler' }],
  });
  return `${writtenFrom(source)}\n${dump(config)}`;
}

interface ConfigMap {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: object;
  readonly data: Readonly<Record<string, string>>;
}

/** The patch that makes Muster schedule the pods of the second scheduler, and no others. */
function secondConfiguration(): string {
  return patchedConfiguration((config) => ({ ...config, schedulerNames: ['muster-scheduler'] }));
}

/** The patch that makes Muster answer the API server's reviews. */
function webhookConfiguration(): string {
  return patchedConfiguration((config) => ({ ...config, server: { ...config.server, webhookPort: 9443 } }));
}

interface Configuration {
  readonly server: object;
}

function patchedConfiguration(change: (config: Configuration) => object): string {
  const manifests = loadAll(read('muster.yaml')) as ConfigMap[];
  const map = manifests.find(({ kind }) => kind === 'ConfigMap');
  if (map === undefined) throw new Error('expected a ConfigMap in deploy/muster.yaml, found none');
  const { apiVersion, kind, metadata, data } = map;
  const config = change(load(data['config.yaml'] ?? '') as Configuration);
  return `${writtenFrom('muster.yaml')}\n${dump({ apiVersion, kind, metadata, data: { 'config.yaml': dump(config) } })}`;
}
