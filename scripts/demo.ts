/**
 * `npm run demo`: `muster demo` from the sources. With `--real` it plays on the control plane of the e2e tests, which
 * `npm run e2e:build` builds; `--svg FILE` draws the run.
 */
import { parseArgs } from 'node:util';
import type { Clock } from '../src/core/objects/clock.ts';
import { runDemo } from '../src/demo/demo.ts';
import { openEmbeddedPlane } from '../src/demo/embedded.ts';
import { type MusterChild, startMusterChild } from '../src/demo/muster-child.ts';
import { GPUS_PER_NODE, NODE_COUNT, nodeLabels } from '../src/demo/scene.ts';
import type { Plane } from '../src/demo/stage.ts';

async function openRealPlane(dir: string, clock: Clock): Promise<Plane> {
  const { startControlPlane } = await import('../test/e2e/cluster/control-plane.ts');
  const cluster = await startControlPlane({ scheduler: { profile: 'none' } });
  await cluster.addNodes({ count: NODE_COUNT, first: 1, gpus: GPUS_PER_NODE, labels: (n) => nodeLabels(n - 1) });
  let muster: MusterChild | undefined;
  return {
    title: 'Real control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler v1.37.2; nodes by KWOK',
    kubeconfig: cluster.kubeconfig,
    async startScheduler(kind) {
      // It runs without an extender from the start.
      if (kind === 'alone') return;
      await cluster.scheduler.stop();
      muster ??= await startMusterChild({ dir, kubeconfig: cluster.musterKubeconfig, clock });
      await cluster.scheduler.start({ profile: 'default', extenderUrl: muster.url });
    },
    async stop() {
      await muster?.stop();
      await cluster.stop();
    },
  };
}

function readFlags() {
  try {
    return parseArgs({ options: { real: { type: 'boolean' }, svg: { type: 'string' } } }).values;
  } catch (cause) {
    throw new Error('expected no flags but --real and --svg FILE, found others', { cause });
  }
}

try {
  const flags = readFlags();
  const openPlane = flags.real ? openRealPlane : openEmbeddedPlane;
  await runDemo({ openPlane, svgFile: flags.svg, output: process.stdout, env: process.env });
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
