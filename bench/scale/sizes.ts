/** The clusters of the `scale` benchmark in numbers. At 10 pods a node nearly the mix of
 * `recover` (scenarios/wire-cluster.ts). */

export interface Size {
  readonly nodes: number;
  readonly pods: number;
}

export const SIZES: readonly Size[] = [
  { nodes: 1_000, pods: 10_000 },
  { nodes: 5_000, pods: 50_000 },
  { nodes: 20_000, pods: 200_000 },
  { nodes: 100_000, pods: 300_000 },
];

export const MEMBERS = { train: 16, tune: 32, starting: 64, waiting: 512, gathering: 100, gatheringWants: 128 };
export const REPLICAS = { service: 30, pending: 50, report: 20 };
/** Nodes that no gang has. Fewer than a waiting gang needs, so the cluster stays as it is. */
const FREE = { share: 0.072, most: 360 };

/** Gangs on their way to their nodes: Muster lets 128 members go at a time, however large the cluster. */
const STARTING = 1;

/** How many there are of each; `starting` and the like count gangs, others workloads. */
export interface Mix {
  readonly agents: number;
  readonly train: number;
  readonly tune: number;
  readonly starting: number;
  readonly waiting: number;
  readonly gathering: number;
  readonly services: number;
  readonly pending: number;
  /** Pods that ended, which make up the number of pods. */
  readonly finished: number;
}

/** @throws when the pods are too few for what runs on the nodes. */
export function mixOf({ nodes, pods }: Size): Mix {
  const dense = pods >= 10 * nodes;
  const per = (share: number) => Math.round(nodes * share);
  const free = Math.min(FREE.most, per(FREE.share));
  const running = Math.floor((nodes - free - STARTING * MEMBERS.starting) / 16);
  const tune = dense ? Math.floor(running / 2) : 0;
  const mix = {
    agents: dense ? 3 : 1,
    train: running - tune,
    tune,
    starting: STARTING,
    waiting: per(dense ? 0.0016 : 0.0008),
    gathering: per(dense ? 0.004 : 0.0005),
    services: per(dense ? 0.06 : 0.0133),
    pending: per(dense ? 0.0128 : 0.002),
  };
  const finished =
    pods -
    mix.agents * nodes -
    mix.train * MEMBERS.train -
    mix.tune * MEMBERS.tune -
    mix.starting * MEMBERS.starting -
    mix.waiting * MEMBERS.waiting -
    mix.gathering * MEMBERS.gathering -
    mix.services * REPLICAS.service -
    mix.pending * REPLICAS.pending;
  if (finished < 0) throw new Error(`expected at least ${pods - finished} pods on ${nodes} nodes, found ${pods}`);
  return { ...mix, finished };
}
