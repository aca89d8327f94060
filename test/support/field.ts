/** Jobs and owned pods for the tests of how strangers' workloads behave (`test/field`). */
import type { WireObject } from './cluster-in-memory.ts';
import type { World } from './scenario.ts';

/** A Job as the watch shows it; its pod template carries the gang's label. */
export function aJob(
  name: string,
  gang: string,
  spec: Readonly<Record<string, unknown>> = {},
  maker?: { readonly kind: string; readonly name: string },
): WireObject {
  const owner = maker && { ...maker, uid: `${maker.kind}-${maker.name}`, controller: true };
  return {
    metadata: { name, namespace: 'default', uid: `job-${name}`, ...(owner && { ownerReferences: [owner] }) },
    spec: {
      parallelism: 4,
      completions: 4,
      template: { metadata: { labels: { 'muster.dev/pod-group': gang } } },
      ...spec,
    },
    status: {},
  };
}

/** Names the pods `<prefix>-0`, … and gives them a controller. */
export function made(pods: WireObject[], prefix: string, kind: string, owner: string): WireObject[] {
  return pods.map((pod, i) => {
    pod.metadata.name = `${prefix}-${i}`;
    const uid = `${kind.toLowerCase()}-${owner}`;
    Object.assign(pod.metadata, { ownerReferences: [{ kind, name: owner, uid, controller: true }] });
    return pod;
  });
}

export function setJobStatus(world: World, name: string, status: Record<string, unknown>): void {
  world.cluster.update('Job', `default/${name}`, (job) => {
    job.status = status;
  });
}

/** Members of the gang that are bound. */
export function countBound(world: World, gang: string): number {
  return Object.keys(world.boundTo(gang)).length;
}
