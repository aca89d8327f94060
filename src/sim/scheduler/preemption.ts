/**
 * kube-scheduler's preemption when no node fits a pod (plugins/defaultpreemption, framework/preemption): it looks for
 * one node where evicting pods of lower priority would help.
 *
 * 1. Dry run on each node rejected for a resolvable reason: remove all pods of lower priority, then add back those that
 *    need not go, the most important ones first. Filters of extenders are not called.
 * 2. Extenders with a preempt verb replace the candidates; the model validates their answer as kube-scheduler does.
 * 3. One node is chosen: fewest budget violations, lowest top priority, lowest sum of priorities, fewest pods, latest
 *    start.
 * 4. Its victims are deleted, nominations of lower priority to it are cleared, and the pod is nominated.
 */

import type { Clock } from '../../core/objects/clock.ts';
import { matchesSelector, readSelector } from '../../core/objects/selector.ts';
import { ApiRefusal } from '../api-refusal.ts';
import type { ObjectStore } from '../object-store.ts';
import type { Pod } from '../objects.ts';
import { deletePod } from '../pods.ts';
import type { CycleParts, Misfit } from './cycle.ts';
import { FilterState, type NodeStatus } from './filters.ts';
import { describeMisfit } from './fit-error.ts';
import type { NodeInfo, PodInfo } from './node-info.ts';
import type { PodReports } from './pod-reports.ts';

const MIN_CANDIDATES = 100;
const CANDIDATE_SHARE = 0.1;
const NOT_HELPFUL = 'Preemption is not helpful for scheduling';

/** `nomination`: undefined keeps the pod's nomination, '' clears it. */
export interface PreemptionResult {
  readonly message: string;
  readonly nomination: string | undefined;
}

export interface PreemptionParts extends CycleParts {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly reports: PodReports;
}

interface Candidate {
  readonly node: NodeInfo;
  /** Most important first. */
  readonly victims: readonly PodInfo[];
  readonly violations: number;
}

export class PodPreemption {
  readonly #parts: PreemptionParts;

  constructor(parts: PreemptionParts) {
    this.#parts = parts;
  }

  async run(pod: PodInfo, { nodeCount, statuses }: Misfit): Promise<PreemptionResult> {
    const why = this.#ineligible(pod, statuses);
    if (why !== undefined) return { message: `preemption: ${why}`, nomination: undefined };
    const { candidates, failures, errors } = this.#dryRun(pod, statuses);
    if (candidates.length === 0) {
      if (errors.length > 0) return { message: `preemption: ${joinErrors(errors)}`, nomination: undefined };
      return { message: `preemption: ${describeMisfit(nodeCount, failures, NOT_HELPFUL)}`, nomination: '' };
    }
    try {
      const chosen = this.#choose(await this.#askExtenders(pod, candidates));
      if (!chosen) return { message: 'preemption: no candidate node for preemption', nomination: undefined };
      this.#evict(pod, chosen);
      const { node, victims } = chosen;
      const message = `preemption: found a potential placement for pod on node ${node.name}, preempting ${victims.length} victims`;
      return { message, nomination: node.name };
    } catch (error) {
      return { message: `preemption: ${(error as Error).message}`, nomination: undefined };
    }
  }

  /** default_preemption.go PodEligibleToPreemptOthers. */
  #ineligible({ raw, model }: PodInfo, statuses: ReadonlyMap<string, NodeStatus>): string | undefined {
    if (raw.spec.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.';
    const nominated = model.nominatedNodeName;
    if (!statuses.get(nominated)?.resolvable) return undefined;
    const pods = [...(this.#parts.cache.node(nominated)?.pods.values() ?? [])];
    const waitsForVictims = pods.some((other) => other.model.priority < model.priority && isPreempted(other.raw));
    return waitsForVictims ? 'not eligible due to a terminating pod on the nominated node.' : undefined;
  }

  /** The candidates, the statuses of the nodes that cannot be one, and errors. */
  #dryRun(pod: PodInfo, statuses: ReadonlyMap<string, NodeStatus>) {
    const { cache, labelsOf, random } = this.#parts;
    const all = cache.nodes();
    const nodes = all.filter(({ name }) => statuses.get(name)?.resolvable);
    const state = new FilterState(pod, all, labelsOf);
    const nominations = cache.nominations();
    const offset = Math.floor(random() * nodes.length);
    const limit = Math.max(MIN_CANDIDATES, Math.floor(nodes.length * CANDIDATE_SHARE));
    const candidates: Candidate[] = [];
    const failures = new Map<string, NodeStatus>();
    const errors: string[] = [];
    for (let i = 0; i < nodes.length; i++) {
      const harmless = candidates.some(({ violations }) => violations === 0);
      if (harmless && candidates.length >= limit) break;
      const node = nodes[(offset + i) % nodes.length]!;
      const found = this.#selectVictims(state, node, nominations.get(node.name));
      if ('reasons' in found) failures.set(node.name, found);
      else if (found.victims.length > 0) candidates.push(found);
      else errors.push(`expected at least one victim pod on node "${node.name}"`);
    }
    return { candidates, failures, errors };
  }

  /** The fewest pods that must leave the node; restores the node before it returns. */
  #selectVictims(
    state: FilterState,
    node: NodeInfo,
    nominated: readonly PodInfo[] | undefined,
  ): Candidate | NodeStatus {
    const { priority } = state.pod.model;
    const lower = [...node.pods.values()].filter(({ model }) => model.priority < priority);
    if (lower.length === 0) {
      const reasons = ['No preemption victims found for incoming pod'];
      return { plugin: 'NodeResourcesFit', reasons, resolvable: false };
    }
    for (const pod of lower) state.removePod(pod, node);
    const hopeless = state.checkBeside(node, nominated);
    const victims: PodInfo[] = [];
    const violating = this.#violatingPods(lower.sort((a, b) => this.#compareImportance(a, b)));
    const byViolation = [...violating, ...lower.filter((pod) => !violating.has(pod))];
    if (!hopeless) {
      for (const pod of byViolation) {
        state.addPod(pod, node);
        if (!state.checkBeside(node, nominated)) continue;
        state.removePod(pod, node);
        victims.push(pod);
      }
    }
    for (const pod of hopeless ? lower : victims) state.addPod(pod, node);
    victims.sort((a, b) => this.#compareImportance(a, b));
    return hopeless ?? { node, victims, violations: victims.filter((pod) => violating.has(pod)).length };
  }

  /** preemption.go FilterVictimsWithPDBViolation. */
  #violatingPods(pods: readonly PodInfo[]): ReadonlySet<PodInfo> {
    const budgets = this.#parts.store.list('poddisruptionbudgets').map(({ metadata, spec, status }) => ({
      namespace: metadata.namespace,
      selector: readSelector(spec?.selector),
      left: status?.disruptionsAllowed ?? 0,
    }));
    const violating = new Set<PodInfo>();
    for (const pod of pods) {
      for (const budget of budgets) {
        const { selector } = budget;
        if (budget.namespace !== pod.model.namespace || !selector?.length) continue;
        if (!matchesSelector(selector, pod.model.labels)) continue;
        budget.left--;
        if (budget.left < 0) violating.add(pod);
      }
    }
    return violating;
  }

  /** @throws Error when an extender that is not ignorable fails or gives an invalid answer. */
  async #askExtenders(pod: PodInfo, candidates: readonly Candidate[]): Promise<readonly Candidate[]> {
    let current = candidates;
    for (const extender of this.#parts.extenders) {
      const { preemptVerb, ignorable } = extender.options;
      if (!preemptVerb || !extender.isInterested(pod.raw)) continue;
      try {
        const offered = current.map(
          ({ node, victims, violations }) => [node.name, { pods: victims.map(({ raw }) => raw), violations }] as const,
        );
        const answer = await extender.preempt(pod.raw, new Map(offered));
        const read = [...answer].map(([name, meta]) => this.#readCandidate(name, meta, extender.options.urlPrefix));
        const empty = read.find(({ victims }) => victims.length === 0);
        if (empty && !ignorable) throw new Error(`expected at least one victim pod on node "${empty.node.name}"`);
        current = read.filter(({ victims }) => victims.length > 0);
      } catch (error) {
        if (!ignorable) throw error;
      }
      if (current.length === 0) break;
    }
    return current;
  }

  /** @throws Error unless the node and all victims on it are known (extender.go convertToVictims). */
  #readCandidate(name: string, meta: { uids: readonly string[]; violations: number }, url: string): Candidate {
    const node = this.#parts.cache.node(name);
    if (!node) throw new Error(`nodeinfo not found for node name "${name}"`);
    const victims = meta.uids.map((uid) => {
      const victim = node.pods.get(uid);
      if (victim) return victim;
      const why = `claims to preempt pod (UID: &{${uid}}) on node: ${name}, but the pod is not found on that node`;
      throw new Error(`extender: ${url} ${why}`);
    });
    return { node, victims, violations: meta.violations };
  }

  /** preemption.go pickOneNodeForPreemption. */
  #choose(candidates: readonly Candidate[]): Candidate | undefined {
    const cost = ({ victims, violations }: Candidate): readonly number[] => [
      violations,
      victims[0]!.model.priority,
      victims.reduce((sum, { model }) => sum + model.priority + 2 ** 31, 0),
      victims.length,
      -this.#earliestStart(victims),
    ];
    return candidates.toSorted((a, b) => compareLists(cost(a), cost(b)))[0];
  }

  /** util.GetEarliestPodStartTime: among the victims with the highest priority. */
  #earliestStart(victims: readonly PodInfo[]): number {
    const highest = Math.max(...victims.map(({ model }) => model.priority));
    const top = victims.filter(({ model }) => model.priority === highest);
    return Math.min(...top.map((victim) => this.#startOf(victim)));
  }

  #compareImportance(a: PodInfo, b: PodInfo): number {
    return b.model.priority - a.model.priority || this.#startOf(a) - this.#startOf(b);
  }

  #startOf({ raw }: PodInfo): number {
    return Date.parse(raw.status.startTime ?? '') || this.#parts.clock.now();
  }

  #evict(pod: PodInfo, { node, victims }: Candidate): void {
    const { cache, reports, store, clock } = this.#parts;
    for (const other of cache.nominations().get(node.name) ?? []) {
      if (other.model.priority < pod.model.priority) reports.eraseNomination(other.raw);
    }
    for (const { raw } of victims) {
      if (raw.metadata.deletionTimestamp) continue;
      reports.preempted(raw, pod.raw, node.name);
      try {
        deletePod(store, clock, raw.metadata.namespace, raw.metadata.name);
      } catch (error) {
        // Already gone.
        if (!(error instanceof ApiRefusal)) throw error;
      }
    }
  }
}

function isPreempted({ metadata, status }: Pod): boolean {
  const target = status.conditions?.find(({ type }) => type === 'DisruptionTarget');
  const byScheduler = target?.status === 'True' && target.reason === 'PreemptionByScheduler';
  return Boolean(metadata.deletionTimestamp) && byScheduler;
}

/** apimachinery util/errors Aggregate. */
function joinErrors(errors: readonly string[]): string {
  return errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`;
}

function compareLists(a: readonly number[], b: readonly number[]): number {
  const i = a.findIndex((value, at) => value !== b[at]);
  return i < 0 ? 0 : a[i]! - b[i]!;
}
