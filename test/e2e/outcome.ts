/**
 * What a scenario ended with, as text in which nothing depends on chance or speed: two control planes that behave alike
 * give the same text. Read from API objects and Muster's inspect API.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { GangItem } from '../../src/http/inspect/gangs.ts';
import { DEADLINE_MS } from './cluster/wait.ts';
import type { World } from './world.ts';

/** Unchanged for this long, an outcome counts as settled, milliseconds. */
const QUIET_MS = 500;
/** The same while Muster has not seen all bindings: on a busy machine its watch may be seconds behind. */
const LAGGING_QUIET_MS = 10_000;

/** Waits until nothing moves any more, and reads what there is. */
export async function settledOutcome(world: World, deadlineMs = DEADLINE_MS): Promise<string> {
  const deadline = performance.now() + deadlineMs;
  let seen = '';
  let since = performance.now();
  for (;;) {
    const asked = performance.now();
    const pods = await world.cluster.api.list('pods');
    const gangs = await world.muster.gangs<GangItem>();
    const now = describeOutcome(pods, gangs);
    if (now !== seen || pods.some(isMoving)) since = performance.now();
    else if (performance.now() - since >= (isBehind(pods, gangs) ? LAGGING_QUIET_MS : QUIET_MS)) return now;
    seen = now;
    if (performance.now() > deadline) {
      throw new Error(`expected the cluster to come to rest within ${deadlineMs} ms, last seen:\n${now}`);
    }
    // Reading hundreds of pods again and again would be what the cluster is busy with.
    await delay(Math.max(50, 4 * (performance.now() - asked)));
  }
}

/** One line per gang, per kind of pod, and per role how its live pods are spread over nodes. */
export function describeOutcome(pods: readonly V1Pod[], gangs: readonly GangItem[]): string {
  const lines = gangs.map(({ metadata, status: { state, bound, reason } }) => {
    return `gang ${withoutNumbers(metadata.name)}: ${state}, ${bound} bound${reason && `: ${reason}`}`;
  });
  for (const [role, members] of groupBy(pods, roleOf)) {
    for (const [condition, alike] of groupBy(members, describePod)) {
      lines.push(`pods ${role}: ${alike.length} ${condition}`);
    }
    const live = members.filter((pod) => pod.spec?.nodeName && !isTerminated(pod));
    const perNode = [...groupBy(live, (pod) => pod.spec?.nodeName as string).values()];
    for (const [count, nodes] of groupBy(perNode, ({ length }) => String(length))) {
      lines.push(`pods ${role}: ${count} a node on ${nodes.length} nodes`);
    }
  }
  return lines.sort().join('\n');
}

function describePod({ spec, status }: V1Pod): string {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  const gates = spec?.schedulingGates?.map(({ name }) => name) ?? [];
  return [
    spec?.nodeName ? 'bound' : 'not bound',
    status?.phase,
    // kube-scheduler says so once it has looked at the pod.
    scheduled?.status === 'True' ? 'scheduled' : `not scheduled (${scheduled?.reason})`,
    ...(status?.nominatedNodeName ? ['nominated'] : []),
    ...gates.map((name) => `held by ${name}`),
  ].join(', ');
}

/** What the pods of one owner or series have in common: names end in numbers, those of a Job's pods in random letters. */
function roleOf({ metadata }: V1Pod): string {
  const owner = metadata?.ownerReferences?.[0];
  return owner ? `of ${owner.kind} ${withoutNumbers(owner.name)}` : withoutNumbers(metadata?.name ?? '');
}

/** Of rivals that differ by their number alone, `rival-1` and `rival-2`, chance says which one wins. */
function withoutNumbers(name: string): string {
  return name.replace(/(-\d+)+$/, '-*');
}

/** Something is about to happen to it by itself. */
function isMoving(pod: V1Pod): boolean {
  const starts = Boolean(pod.spec?.nodeName) && pod.status?.phase === 'Pending';
  return starts || pod.metadata?.deletionTimestamp !== undefined;
}

/** Whether fewer members are bound for Muster than in the cluster. */
function isBehind(pods: readonly V1Pod[], gangs: readonly GangItem[]): boolean {
  const names = new Set(gangs.map(({ metadata: { namespace, name } }) => `${namespace}/${name}`));
  const isBoundMember = (pod: V1Pod) => {
    const name = pod.metadata?.labels?.['muster.dev/pod-group'];
    return Boolean(pod.spec?.nodeName) && !isTerminated(pod) && names.has(`${pod.metadata?.namespace}/${name}`);
  };
  return gangs.reduce((sum, { status }) => sum + status.bound, 0) < pods.filter(isBoundMember).length;
}

function isTerminated({ status }: V1Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
