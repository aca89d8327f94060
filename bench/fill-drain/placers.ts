/** The placers: Muster's planner with each of its scores, and simple ways without it. */
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { PodModel } from '../../src/core/objects/model.ts';
import type { GangRequest, PlacementScore } from '../../src/core/placement/gang-request.ts';
import { planGang } from '../../src/core/placement/plan.ts';
import { aPod, aTemplate } from '../../test/support/builders.ts';
import { aGang, members } from '../../test/support/gangs.ts';
import { Random } from '../random.ts';
import type { Job } from '../scenarios/philly-jobs.ts';
import { LEVELS, NODE_GPUS, nodes } from './fabric.ts';

/** Places whole jobs or nothing, and keeps track of what is taken. */
export interface Placer {
  /** An index into `nodes` for each pod; undefined when there is no room. */
  place(job: Job): readonly number[] | undefined;
  /** Called when the job has ended. */
  release(job: Job, where: readonly number[]): void;
}

export class PlannerPlacer implements Placer {
  readonly #table = new NodeTable(LEVELS);
  readonly #policy;
  readonly #indexOf = new Map(nodes.map(({ name }, index) => [name, index]));
  /** By shape: equal jobs differ only in their pods. */
  readonly #requests = new Map<string, GangRequest>();
  readonly #pods = new Map<Job, readonly PodModel[]>();
  #serial = 0;

  constructor(score: PlacementScore) {
    this.#policy = { isAccelerator: (resource: string) => resource === 'nvidia.com/gpu', score };
    for (const node of nodes) this.#table.applyNode(node);
  }

  place(job: Job): readonly number[] | undefined {
    const request = this.#requestOf(job);
    const plan = planGang(this.#table.snapshot(), request, this.#policy, 0);
    if (plan.kind !== 'placed') return undefined;
    const { template } = request.members[0]!;
    const serial = this.#serial++;
    const pods = plan.slots.map(({ node }, i) => aPod({ name: `job-${serial}-${i}`, nodeName: node, template }));
    for (const pod of pods) this.#table.addPod(pod);
    this.#pods.set(job, pods);
    return pods.map(({ nodeName }) => this.#indexOf.get(nodeName)!);
  }

  release(job: Job): void {
    for (const pod of this.#pods.get(job)!) this.#table.removePod(pod);
    this.#pods.delete(job);
  }

  #requestOf({ pods, gpus }: Job): GangRequest {
    const key = `${pods} ${gpus}`;
    let request = this.#requests.get(key);
    if (!request) {
      request = aGang(members(pods, { template: aTemplate({ gpus }) }));
      this.#requests.set(key, request);
    }
    return request;
  }
}

/**
 * Places one pod after another without regard to the fabric, but all pods of a job or none, which is more than a stock
 * scheduler guarantees.
 */
export class PodByPodPlacer implements Placer {
  readonly #free = nodes.map(() => NODE_GPUS);
  readonly #choose: (free: readonly number[], gpus: number) => number;

  /** @param choose the node for a pod, given the free GPUs of each node; -1 when none has room. */
  constructor(choose: (free: readonly number[], gpus: number) => number) {
    this.#choose = choose;
  }

  place(job: Job): readonly number[] | undefined {
    const where: number[] = [];
    while (where.length < job.pods) {
      const node = this.#choose(this.#free, job.gpus);
      if (node < 0) {
        this.release({ ...job, pods: where.length }, where);
        return undefined;
      }
      this.#free[node]! -= job.gpus;
      where.push(node);
    }
    return where;
  }

  release({ gpus }: Job, where: readonly number[]): void {
    for (const node of where) this.#free[node]! += gpus;
  }
}

export function firstFit(free: readonly number[], gpus: number): number {
  return free.findIndex((there) => there >= gpus);
}

/**
 * One of the emptiest nodes, as kube-scheduler's default scoring prefers; it breaks ties at random (kubernetes v1.37.2
 * schedule_one.go:1045). The random choices are the same in every run.
 */
export function leastAllocated(): (free: readonly number[], gpus: number) => number {
  const random = new Random(3);
  return (free, gpus) => {
    const most = Math.max(...free);
    if (most < gpus) return -1;
    const emptiest = [...free.keys()].filter((node) => free[node] === most);
    return emptiest[random.below(emptiest.length)]!;
  };
}
