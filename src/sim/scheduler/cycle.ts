/**
 * Finds a node for a pod (schedule_one.go schedulePod), the one serial part of kube-scheduler.
 *
 * 1. A nominated pod is tried on its node alone, and extenders are asked about that node only. If it fits, that is
 *    final.
 * 2. Otherwise nodes are filtered, starting where the last cycle stopped, until enough are feasible. Then the extenders
 *    are asked one after the other.
 * 3. The feasible node with the highest score wins; ties are broken at random.
 */
import type { ExtenderClient } from './extender-client.ts';
import { FilterState, type NodeStatus, type Plugin } from './filters.ts';
import type { NamespaceLabels, NodeInfo, PodInfo } from './node-info.ts';
import type { SchedulerCache } from './scheduler-cache.ts';
import { scoreNodes } from './scores.ts';

const MIN_FEASIBLE_NODES = 100;
const MIN_FEASIBLE_PERCENTAGE = 5;

/** No node fits the pod; `plugins` are those that rejected nodes. */
export interface Misfit {
  readonly kind: 'misfit';
  readonly nodeCount: number;
  readonly statuses: ReadonlyMap<string, NodeStatus>;
  readonly plugins: ReadonlySet<Plugin>;
}

export type Verdict =
  | { readonly kind: 'node'; readonly node: string }
  | Misfit
  /** Not a plugin's rejection: the pod backs off and tries again. */
  | { readonly kind: 'no nodes' | 'error'; readonly message: string };

export interface CycleParts {
  readonly cache: SchedulerCache;
  /** In calling order. */
  readonly extenders: readonly ExtenderClient[];
  readonly labelsOf: NamespaceLabels;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  /** 0 selects kube-scheduler's adaptive rule. */
  readonly percentageOfNodesToScore: number;
}

export class SchedulingCycle {
  readonly #parts: CycleParts;
  #nextStart = 0;

  constructor(parts: CycleParts) {
    this.#parts = parts;
  }

  /** Chooses a node. Failures of extenders are verdicts of kind `error`, never exceptions. */
  async place(pod: PodInfo): Promise<Verdict> {
    const { cache } = this.#parts;
    if (cache.nodes().length === 0) return { kind: 'no nodes', message: 'no nodes available to schedule pods' };
    const statuses = new Map<string, NodeStatus>();
    const nominated = await this.#tryNominated(pod, statuses);
    if (nominated) return { kind: 'node', node: nominated };
    const all = cache.nodes();
    if (all.length === 0) return { kind: 'no nodes', message: 'no nodes available to schedule pods' };
    try {
      const plugins = new Set<Plugin>();
      const candidates = this.#narrow(pod, all, statuses, plugins);
      const found = this.#filter(pod, candidates, statuses, plugins);
      this.#nextStart = (this.#nextStart + found.length + statuses.size) % all.length;
      const feasible = await this.#askExtenders(pod, found, statuses);
      if (feasible.length !== found.length) plugins.add('Extender');
      if (feasible.length === 0) return { kind: 'misfit', nodeCount: all.length, statuses, plugins };
      return { kind: 'node', node: await this.#choose(pod, feasible) };
    } catch (error) {
      return { kind: 'error', message: (error as Error).message };
    }
  }

  /** The nominated node if it still fits. An error here only means that all nodes are tried. */
  async #tryNominated(pod: PodInfo, statuses: Map<string, NodeStatus>): Promise<string | undefined> {
    const node = this.#parts.cache.node(pod.model.nominatedNodeName);
    if (!node) return undefined;
    try {
      const feasible = this.#filter(pod, [node], statuses, new Set());
      return (await this.#askExtenders(pod, feasible, statuses))[0]?.name;
    } catch {
      return undefined;
    }
  }

  #filter(
    pod: PodInfo,
    nodes: readonly NodeInfo[],
    statuses: Map<string, NodeStatus>,
    plugins: Set<Plugin>,
  ): readonly NodeInfo[] {
    const { cache, labelsOf } = this.#parts;
    const state = new FilterState(pod, cache.nodes(), labelsOf);
    const nominations = cache.nominations();
    const enough = this.#enough(nodes.length);
    const feasible: NodeInfo[] = [];
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[(this.#nextStart + i) % nodes.length]!;
      const status = state.checkBeside(node, nominations.get(node.name));
      if (status) {
        statuses.set(node.name, status);
        plugins.add(status.plugin);
      } else if (feasible.length === enough) break;
      else feasible.push(node);
    }
    return feasible;
  }

  /** If every term of the required node affinity names nodes, only these are examined (nodeaffinity PreFilter). */
  #narrow(
    { model }: PodInfo,
    nodes: readonly NodeInfo[],
    statuses: Map<string, NodeStatus>,
    plugins: Set<Plugin>,
  ): readonly NodeInfo[] {
    const terms = model.template.nodeAffinity ?? [];
    const named = terms.map(({ matchFields }) =>
      matchFields.find(({ key, operator }) => key === 'metadata.name' && operator === 'In'),
    );
    if (terms.length === 0 || named.some((field) => field === undefined)) return nodes;
    const names = new Set(named.flatMap((field) => field?.values ?? []));
    const reasons = ["node(s) didn't satisfy plugin(s) [NodeAffinity]"];
    plugins.add('NodeAffinity');
    for (const { name } of nodes) {
      if (!names.has(name)) statuses.set(name, { plugin: 'NodeAffinity', reasons, resolvable: false });
    }
    return nodes.filter(({ name }) => names.has(name));
  }

  /** The number of feasible nodes after which the search stops (schedule_one.go numFeasibleNodesToFind). */
  #enough(count: number): number {
    if (count < MIN_FEASIBLE_NODES) return count;
    const adaptive = Math.max(MIN_FEASIBLE_PERCENTAGE, 50 - Math.floor(count / 125));
    const percentage = this.#parts.percentageOfNodesToScore || adaptive;
    return Math.max(MIN_FEASIBLE_NODES, Math.floor((count * percentage) / 100));
  }

  /** @throws Error when a call to an extender fails and the extender is not ignorable. */
  async #askExtenders(
    pod: PodInfo,
    nodes: readonly NodeInfo[],
    statuses: Map<string, NodeStatus>,
  ): Promise<readonly NodeInfo[]> {
    let feasible = nodes;
    for (const extender of this.#parts.extenders) {
      if (feasible.length === 0) break;
      if (!extender.isInterested(pod.raw)) continue;
      const byName = new Map(feasible.map((node) => [node.name, node]));
      try {
        const {
          nodes: names,
          failed,
          unresolvable,
        } = await extender.filter(
          pod.raw,
          feasible.map(({ raw }) => raw!),
        );
        for (const [node, reason] of Object.entries(failed)) {
          statuses.set(node, { plugin: 'Extender', reasons: [reason], resolvable: true });
        }
        for (const [node, reason] of Object.entries(unresolvable)) {
          statuses.set(node, { plugin: 'Extender', reasons: [reason], resolvable: false });
        }
        feasible = names.map((name) => byName.get(name)!);
      } catch (error) {
        if (!extender.options.ignorable) throw error;
      }
    }
    return feasible;
  }

  async #choose(pod: PodInfo, nodes: readonly NodeInfo[]): Promise<string> {
    if (nodes.length === 1) return nodes[0]!.name;
    const { cache, extenders, random } = this.#parts;
    const own = scoreNodes(pod, nodes, cache.nodes());
    const interested = extenders.filter((extender) => extender.isInterested(pod.raw));
    const raws = nodes.map(({ raw }) => raw!);
    // A failed call contributes no scores and is not an error.
    const given = await Promise.all(
      interested.map((extender) => extender.prioritize(pod.raw, raws).catch(() => new Map<string, number>())),
    );
    const totals = nodes.map(({ name }, i) => given.reduce((sum, scores) => sum + (scores.get(name) ?? 0), own[i]!));
    const highest = Math.max(...totals);
    const best = nodes.filter((_, i) => totals[i] === highest);
    return best[Math.floor(random() * best.length)]!.name;
  }
}
