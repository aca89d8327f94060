/** `muster uninstall` against an API server: what it reads, what it opens, and when it refuses. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../../src/cli/commands.ts';
import { openLeftovers } from '../../src/cli/leftovers.ts';
import { recordCli } from '../support/cli-environment.ts';
import { PortForwardServer } from '../support/port-forward-server.ts';

const policies = '/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies';
let dir: string;
let api: PortForwardServer;
let kubeconfig: string;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'muster-uninstall-'));
  api = await PortForwardServer.start();
  kubeconfig = join(dir, 'kubeconfig');
  const clusters = [{ name: 'c', cluster: { server: api.url } }];
  const users = [{ name: 'u', user: { token: 't' } }];
  const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }];
  writeFileSync(kubeconfig, JSON.stringify({ clusters, users, contexts, 'current-context': 'x' }));
  serve('/api/v1/pods', { items: [] });
  serve('/api/v1/nodes', { items: [] });
});

afterEach(async () => {
  rmSync(dir, { recursive: true });
  await api.stop();
});

const serve = (path: string, body: unknown, status = 200) => api.objects.set(path, { status, body });

function serveGated(...names: readonly string[]): void {
  const items = names.map((name) => ({
    metadata: { namespace: 'ml', name, uid: name },
    spec: { schedulingGates: [{ name: 'muster.dev/gang' }] },
    status: { phase: 'Pending' },
  }));
  serve('/api/v1/pods', { items });
}

async function uninstall(...args: readonly string[]) {
  const { environment, stdout, stderr } = recordCli({ openLeftovers });
  const code = await runCli(['uninstall', '--kubeconfig', kubeconfig, ...args], environment);
  return { code, stdout: stdout(), stderr: stderr() };
}

const writes = () => api.requests.filter((request) => !request.startsWith('GET'));

test('where nothing is left it says so, also in a cluster without the kinds', async () => {
  expect(await uninstall('--check')).toMatchObject({ code: 0, stdout: expect.stringContaining('not-checked') });
  expect(writes()).toEqual([]);
});

test('what is left is told with what to do, and the exit code is 1', async () => {
  serveGated('a');
  serve(policies, { items: [{ metadata: { name: 'muster-gang-members' } }, { metadata: { name: 'mustering' } }] });
  const { code, stdout } = await uninstall('--check');
  expect(code).toBe(1);
  expect(stdout).toContain('ERROR gate-closed (1 pods)');
  expect(stdout).toContain('-> helm uninstall, or kubectl delete mutatingadmissionpolicies muster-gang-members');
  expect(stdout).not.toContain('mustering');
});

test('where no API server answers there is no verdict', async () => {
  await api.stop();
  const { code, stderr } = await uninstall('--check');
  expect(code).toBe(1);
  expect(stderr).toMatch(/expected the API server to answer at http:.*, found .*ECONNREFUSED.*--kubeconfig/);
  api = await PortForwardServer.start();
});

test('gates are named, and opened only when that is confirmed', async () => {
  serveGated('a', 'b');
  expect(await uninstall('--open-gates')).toMatchObject({ code: 0, stdout: 'ml/a\nml/b\n' });
  expect(writes()).toEqual([]);
  for (const name of ['a', 'b']) serve(`/api/v1/namespaces/ml/pods/${name}`, {});
  expect(await uninstall('--open-gates', '--yes')).toMatchObject({ code: 0, stdout: '2 of 2 gates are open.\n' });
  expect(writes().toSorted()).toEqual(['PATCH /api/v1/namespaces/ml/pods/a', 'PATCH /api/v1/namespaces/ml/pods/b']);
});

test('a gate that stays closed is told, the others are opened', async () => {
  serveGated('a', 'b');
  serve('/api/v1/namespaces/ml/pods/a', {});
  serve('/api/v1/namespaces/ml/pods/b', { message: 'denied' }, 403);
  const { code, stdout, stderr } = await uninstall('--open-gates', '--yes');
  expect([code, stdout]).toEqual([1, '1 of 2 gates are open.\n']);
  expect(stderr).toMatch(/ml\/b: .*denied/);
});

test('no gate is opened while new pods get one', async () => {
  serveGated('a');
  serve(policies, { items: [{ metadata: { name: 'muster-gang-members' } }] });
  const { code, stderr } = await uninstall('--open-gates', '--yes');
  expect(code).toBe(1);
  expect(stderr).toContain('found mutatingadmissionpolicies/muster-gang-members; delete it first');
  expect(writes()).toEqual([]);
});

test('no gate is opened if it cannot be seen what gives new pods one', async () => {
  serveGated('a');
  serve(policies, { message: 'forbidden' }, 403);
  expect(await uninstall('--open-gates', '--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('forbidden'),
  });
  expect(writes()).toEqual([]);
});

test.each([
  [[], 'found neither'],
  [['--check', '--open-gates'], 'found both'],
  [['--check', '--yes'], 'expected --open-gates with it'],
  [['--check', '-o', 'yaml'], 'expected json'],
])('%j is no valid command line', async (args, expected) => {
  expect(await uninstall(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(expected) });
});
