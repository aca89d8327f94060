/**
 * Taking Muster out, as docs/install/uninstall.md says it, while gangs wait: no gate stays closed, and what is left is told.
 * Real control plane only: the embedded one has no policies.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../../src/cli/commands.ts';
import { openLeftovers } from '../../src/cli/leftovers.ts';
import { recordCli } from '../support/cli-environment.ts';
import { type Cluster, startControlPlane } from './cluster/control-plane.ts';
import { removeManifests } from './cluster/manifests.ts';
import { waitFor } from './cluster/wait.ts';
import { startMuster } from './muster.ts';
import { gangPods, gpuPod } from './objects.ts';
import { expectBound, expectReason, musterConfig, podsOf, type World, worldOf } from './world.ts';

let cluster: Cluster;
let world: World;

beforeAll(async () => {
  // Of its own: what is removed here others need.
  cluster = await startControlPlane({ admissionPolicy: true });
  await cluster.applyManifests('crds');
  const config = musterConfig();
  world = worldOf(cluster, await startMuster({ cluster, config }), config);
});

afterAll(() => (world ?? cluster)?.stop());

async function uninstall(...args: readonly string[]) {
  const { environment, stdout, stderr } = recordCli({ openLeftovers });
  const code = await runCli(['uninstall', '--kubeconfig', cluster.kubeconfig, ...args], environment);
  return { code, stdout: stdout(), stderr: stderr() };
}

/** The kinds of what is to be done. */
async function listLeft(): Promise<readonly string[]> {
  const { stdout } = await uninstall('--check', '-o', 'json');
  const { items } = JSON.parse(stdout) as { items: readonly { severity: string; kind: string }[] };
  return [...new Set(items.filter(({ severity }) => severity !== 'info').map(({ kind }) => kind))].toSorted();
}

test('gangs that wait when Muster is taken out are placed by kube-scheduler alone, and nothing of Muster is left', async () => {
  await cluster.addNodes({ count: 2 });
  await cluster.api.createMany('pods', gangPods({ gang: 'runs', size: 2 }));
  await expectBound(world, 'runs', 2);
  await cluster.api.createMany('pods', gangPods({ gang: 'waits', size: 2 }));
  await expectReason(world, 'waits', 'Pending', /./);
  expect(await listLeft()).toEqual(['gate-closed', 'object-left', 'still-adds']);

  // 1. No new gates.
  expect(await uninstall('--open-gates', '--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/delete it first/),
  });
  await removeManifests(cluster.api, 'admission-policy.yaml');
  // 2. kube-scheduler without Muster, and Muster's end.
  await cluster.scheduler.restart({ profile: 'none' });
  await world.muster.stop();
  // 3. What still waits.
  expect(await uninstall('--open-gates')).toMatchObject({ code: 0, stdout: 'default/waits-0\ndefault/waits-1\n' });
  expect(await uninstall('--open-gates', '--yes')).toMatchObject({ code: 0, stdout: '2 of 2 gates are open.\n' });
  await cluster.api.delete('pods', 'runs-0', { graceSeconds: 0 });
  // One place, so one of the two: nobody holds gangs together any more.
  await waitFor(
    async () => {
      const bound = (await podsOf(world, 'waits')).filter(({ spec }) => spec?.nodeName !== undefined);
      return bound.length === 1 ? bound : undefined;
    },
    { what: 'kube-scheduler to place a pod by itself' },
  );
  // 4. The rest.
  for (const file of ['record-policies.yaml', 'flowschema.yaml', 'rbac.yaml']) await removeManifests(cluster.api, file);
  expect(await listLeft()).toEqual([]);
  expect(await uninstall('--check')).toMatchObject({ code: 0, stdout: expect.stringContaining('kept on purpose') });
  // A pod that is created now gets neither gate nor marker.
  const [later] = await cluster.api.createMany('pods', [gpuPod({ name: 'later' })]);
  expect(later?.spec?.schedulingGates).toBeUndefined();
});
