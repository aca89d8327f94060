/** The demo's control plane: the embedded one in this process, with Muster as a process beside it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../core/objects/clock.ts';
import type { ObjectStore } from '../sim/object-store.ts';
import { startEmbeddedPlane } from '../sim/plane.ts';
import type { ExtenderOptions } from '../sim/scheduler/extender-client.ts';
import { type MusterChild, startMusterChild } from './muster-child.ts';
import { accelerator, GPUS_PER_NODE, NODE_COUNT, nodeLabels } from './scene.ts';
import type { Plane } from './stage.ts';

/** The extender entry of deploy/scheduler/kube-scheduler-config.yaml, without TLS. */
export function extenderEntry(musterUrl: string): ExtenderOptions {
  return {
    urlPrefix: `${musterUrl}/scheduler`,
    filterVerb: 'filter',
    prioritizeVerb: 'prioritize',
    preemptVerb: 'preempt',
    bindVerb: 'bind',
    weight: 1,
    httpTimeout: '120s',
    nodeCacheCapable: true,
    ignorable: false,
    managedResources: [{ name: accelerator }, { name: 'muster.dev/member', ignoredByScheduler: true }],
  };
}

/** The embedded control plane in this process, which needs nothing but Node. Muster runs in a process of its own. */
export async function openEmbeddedPlane(dir: string, clock: Clock): Promise<Plane> {
  const plane = await startEmbeddedPlane({ clock, scheduler: null, admissionPolicy: true });
  createNodes(plane.store);
  const kubeconfig = join(dir, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(kubeconfigFor(plane.url)));
  let muster: MusterChild | undefined;
  return {
    title: 'Embedded control plane: an API server and a model of kube-scheduler, over HTTP with the real Muster',
    kubeconfig,
    async startScheduler(kind) {
      await plane.scheduler.stop();
      if (kind === 'alone') plane.scheduler.start({ extenders: [] });
      else {
        muster ??= await startMusterChild({ dir, kubeconfig, clock });
        plane.scheduler.start({ extenders: [extenderEntry(muster.url)], podMaxBackoffMs: 2_000 });
      }
    },
    async stop() {
      await muster?.stop();
      await plane.stop();
    },
  };
}

function createNodes(store: ObjectStore): void {
  for (let i = 0; i < NODE_COUNT; i++) {
    const name = `node-${String(i + 1).padStart(2, '0')}`;
    const capacity = { cpu: '128', memory: '1Ti', pods: '110', [accelerator]: String(GPUS_PER_NODE) };
    store.create('nodes', {
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...nodeLabels(i) } },
      spec: {},
      status: { capacity, allocatable: capacity, conditions: [{ type: 'Ready', status: 'True' }] },
    });
  }
}

function kubeconfigFor(server: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'demo', cluster: { server } }],
    users: [{ name: 'demo', user: {} }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'demo' } }],
    'current-context': 'demo',
  };
}
