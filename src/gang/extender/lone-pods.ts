/**
 * Lone pods: filters the offered nodes by the reservations, and scores the rest. kube-scheduler has filtered the nodes
 * already; only what it cannot see is checked here.
 */

import type { PodModel, PodTemplate } from '../../core/objects/model.ts';
import { scoreBreakage, scoreLinked } from '../../core/placement/scoring.ts';
import { NameIndex, type NameList } from '../../core/snapshot/name-list.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { INTERCONNECTS, type Interconnect } from '../../core/topology/gpu-pools.ts';
import type { NodeIdx } from '../../core/topology/tree.ts';
import type { Reservations } from '../state/reservations.ts';
import { AcceleratorUse } from './accelerator-use.ts';

export class LonePods {
  readonly #reservations: Reservations;
  readonly #isAccelerator: (resource: string) => boolean;
  readonly #candidates: number;
  readonly #use: AcceleratorUse;

  /** @param candidates at most this many of the nodes that fit are offered back. */
  constructor(reservations: Reservations, isAccelerator: (resource: string) => boolean, candidates: number) {
    this.#reservations = reservations;
    this.#isAccelerator = isAccelerator;
    this.#candidates = candidates;
    this.#use = new AcceleratorUse(reservations, isAccelerator);
  }

  /**
   * The offered nodes where the pod still fits beside reservations of its priority or higher. Of many nodes, only the
   * few where it breaks up least: kube-scheduler decodes and scores every name it gets, and reading 5,000 costs it more
   * than all the rest of a call. The order of the offered names does not change the answer.
   *
   * A pod of several GPUs gets only nodes of the best interconnect, so that it does not land on PCIe by chance. A pod
   * with preferences of its own gets every node that fits, whatever the interconnect: kube-scheduler weighs them
   * against our score.
   */
  filter(snapshot: Snapshot, pod: PodModel, names: NameList): readonly string[] {
    const { hasPreferences, spread } = pod.template;
    const needsAllNodes = hasPreferences || spread.length > 0;
    const wantsLinks = !hasPreferences && this.#wantsLinks(pod.template);
    if (!needsAllNodes && names.length > this.#candidates) {
      const offered = new NameIndex(names);
      for (const interconnect of wantsLinks ? listInterconnects(snapshot) : [undefined]) {
        const best = this.#listBest(snapshot, pod, offered, interconnect);
        if (best.length === this.#candidates || (wantsLinks && best.length > 0)) return best;
      }
    }
    const fitting = names.toArray().filter((name) => this.fitsWithReservations(snapshot, name, pod, []));
    return wantsLinks ? pickBestLinked(snapshot, fitting) : fitting;
  }

  /** Whether the pod fits on the node beside the reservations after the victims have left. */
  fitsWithReservations(snapshot: Snapshot, name: string, pod: PodModel, victims: readonly PodTemplate[]): boolean {
    const reserved = this.#reservations.templatesAgainst(name, pod);
    const reservedAmounts = this.#reservations.reservedAgainst(name, pod.priority);
    // Nothing is reserved there, or the watch has not shown the node yet: kube-scheduler's own check stands.
    if (reserved.length === 0 && !reservedAmounts) return true;
    const node = snapshot.indexOf.get(name);
    if (node === undefined) return true;
    for (const { name: resource, amount } of pod.template.requests) {
      const column = snapshot.columns.get(resource);
      if (column === undefined) continue;
      const free =
        snapshot.free[column]![node]! +
        total(victims, resource) -
        total(reserved, resource) -
        (reservedAmounts?.get(resource) ?? 0);
      if (free < amount) return false;
    }
    return true;
  }

  /**
   * Scores nodes by name, 0 to 10: the less the pod breaks up, the higher. The interconnect counts only for a pod whose
   * filter call kept nodes of several.
   */
  scorer(snapshot: Snapshot, { template }: PodModel): (name: string) => number {
    const isMixed = template.hasPreferences && this.#wantsLinks(template);
    return (name) => {
      const node = snapshot.indexOf.get(name);
      const score = node === undefined ? 0 : scoreBreakage(this.#use.breakageAt(snapshot, node));
      return isMixed ? scoreLinked(linksOf(snapshot, node), score) : score;
    };
  }

  /**
   * Walks the nodes by breakage. Judging each offered name instead took two to five times as long, and longer the more
   * nodes are reserved.
   */
  #listBest(snapshot: Snapshot, pod: PodModel, offered: NameIndex, interconnect: Interconnect | undefined): string[] {
    const { nodes, topology } = snapshot;
    const names = this.#use.namesOf(snapshot);
    const best: string[] = [];
    this.#use.showByBreakage(snapshot, (position) => {
      if (!offered.has(names, position)) return false;
      const node = topology.order[position]! as NodeIdx;
      if (interconnect !== undefined && linksOf(snapshot, node) !== interconnect) return false;
      const { name } = nodes[node]!;
      if (this.fitsWithReservations(snapshot, name, pod, [])) best.push(name);
      return best.length === this.#candidates;
    });
    return best;
  }

  /** Whether the pod requests several GPUs. Slices of a GPU do not count: they cannot reach another GPU anyway. */
  #wantsLinks({ requests }: PodTemplate): boolean {
    let gpus = 0;
    for (const { name, amount } of requests) if (this.#isAccelerator(name) && !name.includes('/mig-')) gpus += amount;
    return gpus > 1;
  }
}

/** `unknown` for a node that the watch has not shown yet. */
function linksOf({ pools }: Snapshot, node: NodeIdx | undefined): Interconnect {
  return node === undefined ? 'unknown' : pools.pools[pools.poolOf[node]!]!.interconnect;
}

/** The interconnects of the present nodes, best first. */
function listInterconnects({ pools: { pools } }: Snapshot): readonly Interconnect[] {
  return INTERCONNECTS.filter((interconnect) => pools.some((pool) => pool.interconnect === interconnect));
}

/** The nodes of the best interconnect among the names. */
function pickBestLinked(snapshot: Snapshot, names: readonly string[]): readonly string[] {
  const links = names.map((name) => linksOf(snapshot, snapshot.indexOf.get(name)));
  const best = INTERCONNECTS.find((interconnect) => links.includes(interconnect));
  return names.filter((_, i) => links[i] === best);
}

function total(templates: readonly PodTemplate[], resource: string): number {
  let sum = 0;
  for (const { requests } of templates) {
    for (const { name, amount } of requests) if (name === resource) sum += amount;
  }
  return sum;
}
