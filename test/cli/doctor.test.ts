/** `muster doctor` against an API server: what it looks at, and what it does where the user may not look. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../../src/cli/commands.ts';
import { gatherFacts } from '../../src/cli/doctor-facts.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { recordCli } from '../support/cli-environment.ts';
import { PortForwardServer } from '../support/port-forward-server.ts';

const shipped = readFileSync(join(import.meta.dirname, '../../deploy/scheduler/kube-scheduler-config.yaml'), 'utf8');
const policies = '/apis/admissionregistration.k8s.io/v1';
let dir: string;
let api: PortForwardServer;
let kubeconfig: string;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'muster-doctor-'));
  api = await PortForwardServer.start();
  kubeconfig = join(dir, 'kubeconfig');
  const context = {
    clusters: [{ name: 'c', cluster: { server: api.url } }],
    users: [{ name: 'u', user: { token: 't' } }],
  };
  const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }];
  writeFileSync(kubeconfig, JSON.stringify({ ...context, contexts, 'current-context': 'x' }));
});

afterEach(async () => {
  rmSync(dir, { recursive: true });
  await api.stop();
});

const serve = (path: string, body: unknown, status = 200) => api.objects.set(path, { status, body });

/** A cluster in which all that the API server shows is good; Muster itself cannot be reached. */
function serveGood(): void {
  const spec = {
    containers: [{ command: ['kube-scheduler', '--config=/c/s.yaml'], volumeMounts: [{ name: 'v', mountPath: '/c' }] }],
    volumes: [{ name: 'v', configMap: { name: 's' } }],
  };
  serve('/api/v1/pods', { items: [{ metadata: { namespace: 'kube-system', name: 'scheduler' }, spec }] });
  serve('/api/v1/namespaces/kube-system/configmaps/s', { data: { 's.yaml': shipped } });
  const config = 'apiVersion: config.muster.dev/v1alpha1\nkind: MusterConfiguration\n';
  serve('/api/v1/namespaces/muster-system/configmaps/muster', { data: { 'config.yaml': config } });
  serve('/apis/authorization.k8s.io/v1/subjectaccessreviews', { status: { allowed: true } }, 201);
  const named = (...names: readonly string[]) => ({ items: names.map((name) => ({ metadata: { name } })) });
  serve(`${policies}/mutatingadmissionpolicies`, named('muster-gang-members'));
  serve(`${policies}/mutatingadmissionpolicybindings`, named('muster-gang-members'));
  serve(`${policies}/validatingadmissionpolicies`, named('muster-writes', 'muster-records'));
  serve(`${policies}/validatingadmissionpolicybindings`, named('muster-writes', 'muster-records'));
  serve('/api/v1/namespaces/muster-system/limitranges/muster-gates', {});
  serve('/apis/batch/v1/jobs', { items: [] });
  serve('/api/v1/resourcequotas', { items: [] });
}

/** An older cluster, where the webhook is installed. */
function serveWebhook(caBundle: string): void {
  for (const plural of ['mutatingadmissionpolicies', 'mutatingadmissionpolicybindings'])
    serve(`${policies}/${plural}`, { message: 'the server could not find the requested resource' }, 404);
  const service = { namespace: 'muster-system', name: 'muster', port: 9443 };
  const clientConfig = { service, caBundle: Buffer.from(caBundle).toString('base64') };
  serve(`${policies}/mutatingwebhookconfigurations/muster-gang-members`, { webhooks: [{ clientConfig }] });
  serve('/api/v1/namespaces/muster-system/services/muster', { spec: { ports: [{ port: 8443 }, { port: 9443 }] } });
  const config = [
    'apiVersion: config.muster.dev/v1alpha1',
    'kind: MusterConfiguration',
    'server: {webhookPort: 9443, tls: {certFile: a, keyFile: b}}',
  ].join('\n');
  serve('/api/v1/namespaces/muster-system/configmaps/muster', { data: { 'config.yaml': config } });
}

test('on an older cluster the webhook does, with the CA of Muster', async () => {
  const pem = (content: string) => `-----BEGIN CERTIFICATE-----\n${content}\n-----END CERTIFICATE-----\n`;
  serveGood();
  serveWebhook(pem('QQ=='));
  serve('/api/v1/namespaces/muster-system/configmaps/muster-ca', { data: { 'ca.crt': pem('QQ==') } });
  expect((await doctor('-o', 'json')).found).toEqual(['info not-checked the running Muster']);
  serve('/api/v1/namespaces/muster-system/configmaps/muster-ca', { data: { 'ca.crt': pem('QUE=') } });
  expect((await doctor('-o', 'json')).found[0]).toContain('warning webhook-other-ca');
});

async function doctor(...args: readonly string[]) {
  const { environment, stdout, stderr } = recordCli({ gatherFacts: (wish) => gatherFacts(wish, () => 0) });
  const code = await runCli(['doctor', '--kubeconfig', kubeconfig, ...args], environment);
  const items = code < 2 && args.includes('json') ? (JSON.parse(stdout()) as { items: Finding[] }).items : [];
  return {
    code,
    stdout: stdout(),
    stderr: stderr(),
    found: items.map(({ severity, kind, about }) => `${severity} ${kind} ${about}`),
  };
}

test('where all is good only what could not be looked at is told, and the exit code is 0', async () => {
  serveGood();
  const { code, found } = await doctor('-o', 'json');
  expect([code, found]).toEqual([0, ['info not-checked the running Muster']]);
  expect((await doctor()).stdout).toContain(
    'INFO not-checked (the running Muster)\n  expected the API server to answer',
  );
});

test('a fault in the ConfigMap of kube-scheduler is found, and the exit code is 1', async () => {
  serveGood();
  const bad = shipped.replace('ignorable: false', 'ignorable: true');
  serve('/api/v1/namespaces/kube-system/configmaps/s', { data: { 's.yaml': bad } });
  const { code, stdout } = await doctor();
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /^ERROR ignorable \(kube-scheduler kube-system\/scheduler\)\n {2}expected .*\n {2}-> set ignorable: false\n/,
  );
});

test('files go before what the cluster shows', async () => {
  serveGood();
  const [file, config] = [join(dir, 's.yaml'), join(dir, 'm.yaml')];
  writeFileSync(file, shipped);
  writeFileSync(
    config,
    'apiVersion: config.muster.dev/v1alpha1\nkind: MusterConfiguration\ngang: {barrierTimeout: 10m}\n',
  );
  const { found } = await doctor('--scheduler-config', file, '--config', config, '-o', 'json');
  expect(found).toEqual([`error timeout ${file}`, 'info not-checked the running Muster']);
});

test('rights are asked for the service account of Muster, and a missing one is an error', async () => {
  serveGood();
  serve('/apis/authorization.k8s.io/v1/subjectaccessreviews', { status: { allowed: false } }, 201);
  const { code, found } = await doctor('-o', 'json');
  expect(code).toBe(1);
  expect(found).toContain('error right-missing serviceaccount muster-system/muster');
});

test('a user who may see nothing is told what was not looked at, and nothing else', async () => {
  const { code, found } = await doctor('-o', 'json');
  expect(code).toBe(1);
  // Policies that are not there answer 404, as on an older cluster.
  expect(found.filter((line) => line.startsWith('info')).toSorted()).toEqual([
    'info not-checked configuration of Muster',
    'info not-checked kube-scheduler',
    'info not-checked pods and Jobs',
    'info not-checked rights of Muster',
    'info not-checked the running Muster',
  ]);
});

test('a cluster whose kube-scheduler is no pod is told what to do', async () => {
  serveGood();
  serve('/api/v1/pods', { items: [] });
  const { stdout } = await doctor();
  expect(stdout).toContain('no pod runs kube-scheduler');
  expect(stdout).toContain('-> run it where the file is: muster doctor --scheduler-config FILE');
});

test('where no API server answers there is no diagnosis', async () => {
  await api.stop();
  const { code, stderr } = await doctor();
  expect(code).toBe(1);
  expect(stderr).toMatch(/expected the API server to answer at http:.*, found .*ECONNREFUSED.*--kubeconfig/);
  api = await PortForwardServer.start();
});
