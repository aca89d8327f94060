/**
 * The bodies of each supported version of Kubernetes, encoded by the Go types of that version (`versions/generate.ts`): Muster
 * reads and answers them alike. They are no recordings of the program; of those there are version 1.37.2's alone
 * (`extender.test.ts`).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { FilterArgs } from '../../src/http/extender/filter-args.ts';
import { decodeBindArgs, decodePreemptArgs, parseBody } from '../../src/http/extender/wire.ts';
import { deployDir } from '../deploy/variants.ts';
import { assembleApp } from '../support/assembled-app.ts';
import { aNode } from '../support/builders.ts';
import { type GeneratedPod, type KubernetesMinor, kubernetesMinors, readBodies } from './versions/bodies.ts';

interface FilterBody {
  readonly Pod: GeneratedPod;
  readonly NodeNames: readonly string[];
}

/** kube-scheduler's configuration, as deploy/ has it. */
interface Shipped {
  readonly apiVersion: string;
  readonly extenders: readonly { readonly tlsConfig?: object; readonly managedResources?: readonly object[] }[];
}

const podOf = (minor: KubernetesMinor) => (JSON.parse(readBodies(minor).filter) as FilterBody).Pod;

/** Two nodes that hold the generated pod: it names one label in its selector and one in each rule. */
function start() {
  const assembled = assembleApp();
  for (const name of ['n1', 'n2']) assembled.state.nodes.applied(aNode({ name }), undefined);
  assembled.recover();
  return assembled;
}

async function ask(verb: string, body: string) {
  const { app } = start();
  const response = await app.request(`/scheduler/${verb}`, { method: 'POST', body });
  return { status: response.status, reply: (await response.json()) as unknown };
}

test('the wire types of the extender are the same file in all versions', () => {
  const all = kubernetesMinors.map((minor) => readBodies(minor).types);
  expect(all.map(({ version }) => version)).toEqual(kubernetesMinors.map((minor) => `v0.${minor}.0`));
  expect(new Set(all.map(({ sha256 }) => sha256)).size).toBe(1);
});

describe.each(kubernetesMinors)('Kubernetes 1.%i', (minor) => {
  const bodies = readBodies(minor);

  test('filter: the keys, the names and the pod are read', async () => {
    const sent = JSON.parse(bodies.filter) as FilterBody;
    expect(Object.keys(sent)).toEqual(['Pod', 'Nodes', 'NodeNames']);
    const args = FilterArgs.read(Buffer.from(bodies.filter));
    expect(args.nodeNames.toArray()).toEqual(['n1', 'n2']);
    expect(args.uid).toBe(sent.Pod.metadata.uid);
    expect(args.pod).toEqual(sent.Pod);
    const { status, reply } = await ask('filter', bodies.filter);
    expect([status, reply]).toEqual([200, expect.not.objectContaining({ Error: expect.anything() })]);
    expect(reply).toMatchObject({ NodeNames: ['n1', 'n2'] });
  });

  test('prioritize: each node has a score', async () => {
    const { status, reply } = await ask('prioritize', bodies.filter);
    expect(status).toBe(200);
    expect((reply as readonly { readonly Host: string }[]).map(({ Host }) => Host).toSorted()).toEqual(['n1', 'n2']);
  });

  test('preempt: victims come by UID', async () => {
    expect(Object.keys(JSON.parse(bodies.preempt) as object)).toEqual([
      'Pod',
      'NodeNameToVictims',
      'NodeNameToMetaVictims',
    ]);
    const { victims } = decodePreemptArgs(parseBody(Buffer.from(bodies.preempt)));
    expect(Object.fromEntries(victims)).toEqual({ n1: { Pods: [{ UID: 'u1' }, { UID: 'u2' }], NumPDBViolations: 1 } });
    expect((await ask('preempt', bodies.preempt)).status).toBe(200);
  });

  test.each(['kube-scheduler-config', 'kube-scheduler-config-large-gangs'])(
    '%s.yaml has no field that it lacks',
    (name) => {
      const { apiVersion, extender, tlsConfig, managed } = bodies.configuration;
      const shipped = load(readFileSync(join(deployDir, 'scheduler', `${name}.yaml`), 'utf8')) as Shipped;
      expect(shipped.apiVersion).toBe(apiVersion);
      expect(shipped.extenders.length).toBeGreaterThan(0);
      for (const entry of shipped.extenders) {
        expect(extender).toEqual(expect.arrayContaining(Object.keys(entry)));
        expect(tlsConfig).toEqual(expect.arrayContaining(Object.keys(entry.tlsConfig ?? {})));
        for (const resource of entry.managedResources ?? [])
          expect(managed).toEqual(expect.arrayContaining(Object.keys(resource)));
      }
    },
  );

  test('bind: four texts', () => {
    expect(Object.keys(JSON.parse(bodies.bind) as object)).toEqual(['PodName', 'PodNamespace', 'PodUID', 'Node']);
    expect(decodeBindArgs(parseBody(Buffer.from(bodies.bind)))).toEqual({
      name: 'train-0',
      namespace: 'default',
      uid: podOf(minor).metadata.uid,
      node: 'n1',
    });
  });

  test('the pod is read alike, whatever fields the version adds', () => {
    const { projector } = start();
    const { template, nativeGang, schedulerName } = projector.project(podOf(minor)) as unknown as Readonly<
      Record<string, unknown>
    > & { readonly template: { readonly requests: readonly object[] } };
    expect(template.requests).toContainEqual(expect.objectContaining({ name: 'nvidia.com/gpu' }));
    // In 1.35 it was spec.workloadRef, which nobody has without an alpha feature.
    expect({ nativeGang, schedulerName }).toMatchObject({ nativeGang: minor >= 36 });
  });
});

/** Fields of a pod's spec and status that came or went, as far as they are on the first level. */
const changes: Readonly<Record<number, readonly string[]>> = {
  31: [],
  32: ['+spec.resources'],
  33: ['+status.observedGeneration'],
  34: ['+spec.hostnameOverride', '+status.extendedResourceClaimStatus'],
  35: ['+spec.workloadRef', '+status.allocatedResources', '+status.resources'],
  36: ['+spec.schedulingGroup', '+status.nodeAllocatableResourceClaimStatuses', '-spec.workloadRef'],
  37: ['+spec.evictionResponders', '+status.volumeHealth'],
};

test.each(kubernetesMinors.slice(1))('what is new in the pods of 1.%i is known', (minor) => {
  const fieldsOf = (of: KubernetesMinor) => {
    const { spec, status } = podOf(of);
    return new Set([
      ...Object.keys(spec).map((name) => `spec.${name}`),
      ...Object.keys(status).map((name) => `status.${name}`),
    ]);
  };
  const [now, before] = [fieldsOf(minor), fieldsOf((minor - 1) as KubernetesMinor)];
  const added = [...now].filter((field) => !before.has(field)).map((field) => `+${field}`);
  const removed = [...before].filter((field) => !now.has(field)).map((field) => `-${field}`);
  expect([...added, ...removed].toSorted()).toEqual(changes[minor]);
});
