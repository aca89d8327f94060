/**
 * Control planes that outlive the test file that started them. A worker runs one file after the other; the next one finds the
 * programs running, an empty cluster, and a kube-scheduler that starts anew.
 */
import {
  type Cluster,
  type ControlPlaneOptions,
  type InstalledPolicies,
  openCluster,
  policiesOf,
} from './control-plane.ts';
import { removeDefinitions } from './manifests.ts';
import { type Programs, startPrograms } from './programs.ts';
import { resetCluster } from './reset.ts';

interface Idle {
  readonly programs: Programs;
  /** What they were started with. */
  readonly key: string;
  readonly policies: InstalledPolicies;
}

/** One at most: even an idle control plane costs some CPU time. */
let idle: Idle | undefined;

// vitest ends a worker by this signal. Listeners of `exit`, which end the programs and remove their folders, then run.
process.once('SIGTERM', () => process.exit());

/** Like `startControlPlane`, but what it starts is used again by the next file when this one stops its cluster. */
export async function borrowControlPlane(options: ControlPlaneOptions = {}): Promise<Cluster> {
  const { nodeLeaseSeconds, apiServerArgs, controllerManagerArgs } = options;
  const key = JSON.stringify([nodeLeaseSeconds, apiServerArgs, controllerManagerArgs]);
  const found = await takeIdle(key);
  const programs = found?.programs ?? (await startPrograms(options));
  let isOpen = false;
  const cluster = await openCluster(programs, options, {
    policies: found?.policies,
    close: async () => {
      if (isOpen) await giveBack({ programs, key, policies: policiesOf(options) });
      else await programs.stop();
    },
  });
  isOpen = true;
  return cluster;
}

async function takeIdle(key: string): Promise<Idle | undefined> {
  const found = idle;
  idle = undefined;
  if (found === undefined || found.key === key) return found;
  await found.programs.stop();
  return undefined;
}

/** Empties the cluster. What cannot be emptied is not used again. */
async function giveBack(lent: Idle): Promise<void> {
  const { programs } = lent;
  try {
    programs.assertRunning();
    await resetCluster(programs.api);
    await removeDefinitions(programs.api);
  } catch (error) {
    await programs.stop();
    throw error;
  }
  if (idle === undefined) idle = lent;
  else await programs.stop();
}
