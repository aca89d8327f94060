/** Everything that README.md and docs/ tell users to apply works as it is, with the files and defaults that we ship. */
import type { V1ObjectMeta } from '@kubernetes/client-node';
import { dump, load } from 'js-yaml';
import { expect } from 'vitest';
import { defaultConfiguration, parseConfiguration, renderConfiguration } from '../../src/config/configuration.ts';
import type { KubeObject } from './cluster/resources.ts';
import { waitFor } from './cluster/wait.ts';
import { type Documented, readDocumented } from './documented.ts';
import { addNodes } from './fabric.ts';
import { scenarios } from './scenarios.ts';
import type { World } from './world.ts';

const { gang } = load(renderConfiguration(defaultConfiguration())) as { readonly gang: Record<string, unknown> };

const WORKLOADS = ['Deployment', 'StatefulSet', 'DaemonSet'] as const;
/** Kinds whose controllers the embedded control plane does not have. */
const REAL_ONLY: ReadonlySet<string> = new Set([...WORKLOADS, 'ResourceQuota']);
const MAKES_PODS: ReadonlySet<string> = new Set(['Job', 'Pod', ...WORKLOADS]);

const documented = readDocumented();

/** 64 nodes under one spine: four leaves, each with two NVLink domains of eight nodes, labelled as topograph does. */
function addFabric(world: World): Promise<readonly string[]> {
  return addNodes(world, {
    count: 64,
    labels: (index) => ({
      'fabric.topograph.run/tier-1': 'spine-0',
      'fabric.topograph.run/tier-0': `leaf-${Math.floor(index / 16)}`,
      'accelerator.topograph.run/domain': `nvl-${Math.floor(index / 8)}`,
    }),
  });
}

scenarios('what the documentation tells users to apply', { gang, queueObjects: true }, (scenario) => {
  for (const { where, object } of documented) {
    const { kind = '' } = object;
    const name = `${where}: a ${kind}${MAKES_PODS.has(kind) ? ' whose pods start' : ''}`;
    const body = async (world: World) => apply(world, { where, object });
    if (REAL_ONLY.has(kind)) scenario.realOnly(`it has no controller of ${kind}s`, name, body);
    else scenario(name, body);
  }
});

async function apply(world: World, { where, object }: Documented): Promise<void> {
  const { kind = '', apiVersion } = object;
  if (kind === 'MusterConfiguration') {
    const text = dump(object);
    expect(parseConfiguration(text, where)).toEqual(
      parseConfiguration(renderConfiguration(parseConfiguration(text, where)), where),
    );
    return;
  }
  await addFabric(world);
  const applied = (await world.cluster.api.apply(object)) as KubeObject & { readonly spec?: PodCounts };
  expect(applied).toMatchObject({ kind, apiVersion });
  if (MAKES_PODS.has(kind)) await expectStarted(world, kind, applied);
  expect(await listWarnings(world)).toEqual([]);
}

interface PodCounts {
  readonly parallelism?: number;
  readonly replicas?: number;
}

async function expectStarted(world: World, kind: string, owner: KubeObject & { readonly spec?: PodCounts }) {
  const { name, uid } = owner.metadata!;
  const count = owner.spec?.parallelism ?? owner.spec?.replicas ?? 1;
  await waitFor(
    async () => {
      const pods = await world.cluster.api.list('pods', { namespace: 'default' });
      const own = pods.filter(({ metadata }) => metadata?.uid === uid || (metadata && isOwned(metadata, uid, name)));
      const started = own.filter(({ spec }) => spec?.nodeName).length;
      if (started === count) return true;
      throw new Error(`${started} of ${own.length} pods; ${JSON.stringify(await world.muster.gangs())}`);
    },
    { what: `${count} pods of ${kind} ${name} to start` },
  );
}

/** A Deployment's pods belong to its ReplicaSet, whose name begins with that of the Deployment. */
function isOwned({ ownerReferences }: V1ObjectMeta, uid: string | undefined, name: string | undefined): boolean {
  const controller = ownerReferences?.find((owner) => owner.controller);
  return controller?.uid === uid || (controller?.kind === 'ReplicaSet' && controller.name.startsWith(`${name}-`));
}

async function listWarnings(world: World): Promise<readonly string[]> {
  const events = await world.cluster.api.list('events');
  return events
    .filter(({ type, reportingComponent }) => type === 'Warning' && reportingComponent === 'muster.dev/muster')
    .map(({ reason, message }) => `${reason}: ${message}`);
}
