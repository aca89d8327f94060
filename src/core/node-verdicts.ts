/**
 * Which nodes accept a template, whatever runs on them: judged once for each template and node-set generation by
 * selector, affinity, taints and readiness. O(nodes) for a new template. The result can be derived again at any time,
 * so an LRU cache holds it.
 */
import { LRUCache } from 'lru-cache';
import { type NodeRejection, rejectNode } from './feasibility.ts';
import type { NodeModel, PodTemplate } from './model.ts';

export interface NodeVerdict {
  /** 1 where the template may be placed, by node row. */
  readonly allowed: Uint8Array;
  /** How many nodes each reason excludes. */
  readonly rejected: ReadonlyMap<NodeRejection, number>;
}

export class NodeVerdicts {
  readonly #nodes: readonly (NodeModel | undefined)[];
  readonly #known = new LRUCache<string, NodeVerdict>({ max: 1024 });

  /** @param nodes the rows of one node-set generation. A new generation needs a new instance. */
  constructor(nodes: readonly (NodeModel | undefined)[]) {
    this.#nodes = nodes;
  }

  /**
   * Judging 5,000 nodes takes about a millisecond and is the largest part of a cold 64-pod plan. A cache hit is free.
   */
  of(template: PodTemplate): NodeVerdict {
    const known = this.#known.get(template.key);
    if (known) return known;
    const allowed = new Uint8Array(this.#nodes.length);
    const rejected = new Map<NodeRejection, number>();
    this.#nodes.forEach((node, row) => {
      if (!node) return;
      const reason = rejectNode(template, node);
      if (reason === undefined) allowed[row] = 1;
      else rejected.set(reason, (rejected.get(reason) ?? 0) + 1);
    });
    const verdict: NodeVerdict = { allowed, rejected };
    this.#known.set(template.key, verdict);
    return verdict;
  }
}
