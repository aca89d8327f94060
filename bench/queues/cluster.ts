/** The nodes as seen by Muster's planner, and the jobs on them. */
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { PodModel, PodTemplate, PodUid } from '../../src/core/objects/model.ts';
import type { GangRequest, MemberRequest, PlanPolicy } from '../../src/core/placement/gang-request.ts';
import { type PlannedSlot, planGang } from '../../src/core/placement/plan.ts';
import { type Amounts, addTo } from '../../src/core/queues/amounts.ts';
import type { Snapshot } from '../../src/core/snapshot/snapshot.ts';
import { aNode, aPod, aTemplate, GPU } from '../../test/support/builders.ts';
import { aGang } from '../../test/support/gangs.ts';
import { gpusOf, type Job, NODE_GPUS } from './trace.ts';

export const planPolicy: PlanPolicy = { isAccelerator: (resource) => resource === GPU, score: 'best-fit' };

export class Cluster {
  readonly gpus: number;
  readonly #table = new NodeTable([]);
  readonly #templates = new Map<number, PodTemplate>();
  readonly #requests = new Map<Job, GangRequest>();
  readonly #pods = new Map<Job, readonly PodModel[]>();
  /** By UID of the pod. */
  readonly #jobOf = new Map<string, Job>();
  readonly #freeOf = new Map<string, number>();
  #free: number;
  /** Shapes that did not fit since something was last freed. */
  readonly #refused = new Set<string>();

  constructor(nodes: number) {
    for (let i = 0; i < nodes; i++) {
      const name = `n${String(i).padStart(4, '0')}`;
      this.#table.applyNode(aNode({ name }));
      this.#freeOf.set(name, NODE_GPUS);
    }
    this.gpus = nodes * NODE_GPUS;
    this.#free = this.gpus;
  }

  get free(): number {
    return this.#free;
  }

  get held(): number {
    return this.gpus - this.#free;
  }

  get snapshot(): Snapshot {
    return this.#table.snapshot();
  }

  get capacity(): Amounts {
    const sum = new Map<string, number>();
    for (const node of this.snapshot.nodes) for (const { name, amount } of node!.allocatable) addTo(sum, name, amount);
    return sum;
  }

  /** The jobs on nodes. */
  get jobs(): Iterable<Job> {
    return this.#pods.keys();
  }

  podsOf(job: Job): readonly PodModel[] {
    return this.#pods.get(job)!;
  }

  nodesOf(job: Job): readonly string[] {
    return this.podsOf(job).map(({ nodeName }) => nodeName);
  }

  jobOf({ uid }: PodModel): Job {
    return this.#jobOf.get(uid)!;
  }

  /** Whether the job may fit, judged by counts alone. */
  mayFit(job: Job): boolean {
    return gpusOf(job) <= this.#free && !this.#refused.has(shapeOf(job));
  }

  /** Where the job fits now on all that is free; undefined when nowhere. */
  find(job: Job): readonly PlannedSlot[] | undefined {
    if (!this.mayFit(job)) return undefined;
    const slots = this.findOn(this.snapshot, job);
    if (!slots) this.#refused.add(shapeOf(job));
    return slots;
  }

  /** Where the job fits in the given snapshot; undefined when nowhere. */
  findOn(snapshot: Snapshot, job: Job): readonly PlannedSlot[] | undefined {
    const plan = planGang(snapshot, this.requestOf(job), planPolicy, 0);
    return plan.kind === 'placed' ? plan.slots : undefined;
  }

  /** @throws Error when a node has no room, which means a wrong plan. */
  seat(job: Job, slots: readonly PlannedSlot[], now: number): void {
    const { members } = this.requestOf(job);
    const memberOf = new Map(members.map((member) => [member.uid, member]));
    const pods = slots.map(({ uid, node }) => {
      const { name, namespace, labels, template } = memberOf.get(uid)!;
      return aPod({
        name,
        namespace,
        uid,
        labels,
        template,
        nodeName: node,
        createdAt: job.submittedAt,
        startedAt: now,
      });
    });
    for (const pod of pods) {
      this.#table.addPod(pod);
      this.#jobOf.set(pod.uid, job);
      const left = this.#freeOf.get(pod.nodeName)! - job.gpus;
      this.#freeOf.set(pod.nodeName, left);
      if (left < 0) throw new Error(`expected room for ${job.key} on ${pod.nodeName}, found ${-left} GPUs too few`);
    }
    this.#pods.set(job, pods);
    this.#free -= gpusOf(job);
  }

  /** Marks the job as terminating. */
  announce(job: Job, goneBy: number): void {
    const pods = this.podsOf(job);
    for (const pod of pods) this.#table.removePod(pod);
    const leaving = pods.map((pod) => ({ ...pod, deleting: true, goneBy }));
    for (const pod of leaving) this.#table.addPod(pod);
    this.#pods.set(job, leaving);
  }

  release(job: Job): void {
    for (const pod of this.podsOf(job)) {
      this.#table.removePod(pod);
      this.#jobOf.delete(pod.uid);
      this.#freeOf.set(pod.nodeName, this.#freeOf.get(pod.nodeName)! + job.gpus);
    }
    this.#pods.delete(job);
    this.#free += gpusOf(job);
    this.#refused.clear();
  }

  requestOf(job: Job): GangRequest {
    let request = this.#requests.get(job);
    if (!request) {
      request = aGang(this.#membersOf(job), { key: job.key });
      this.#requests.set(job, request);
    }
    return request;
  }

  #membersOf({ key, tenant, pods, gpus }: Job): readonly MemberRequest[] {
    let template = this.#templates.get(gpus);
    if (!template) {
      template = aTemplate({ gpus });
      this.#templates.set(gpus, template);
    }
    const gang = key.slice(tenant.length + 1);
    const labels = pods > 1 ? { 'muster.dev/pod-group': gang } : {};
    return Array.from({ length: pods }, (_, rank) => {
      const name = `${gang}-${rank}`;
      return {
        namespace: tenant,
        name,
        uid: `${tenant}/${name}` as PodUid,
        labels,
        template: template!,
        rank,
        pinnedTo: undefined,
      };
    });
  }
}

/** Jobs of the same shape fit alike. */
function shapeOf({ pods, gpus }: Job): string {
  return `${pods} ${gpus}`;
}
