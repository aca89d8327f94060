/**
 * Which nodes accept a template, whatever runs on them: judged once for each template by selector, affinity, taints and
 * readiness, and after a change of nodes again for the changed ones only. O(nodes) for a new template. The result can be
 * derived again at any time, so a cache holds it that is bounded in bytes.
 */
import { LRUCache } from 'lru-cache';
import type { NodeModel, PodTemplate } from '../objects/model.ts';
import { rejectNode, repelsSome } from '../objects/node-fit.ts';

export interface NodeVerdict {
  /** 1 where the template may be placed, by node row. */
  readonly allowed: Uint8Array;
}

type Nodes = readonly (NodeModel | undefined)[];

interface KnownVerdict extends NodeVerdict {
  /** The nodes that it is about. */
  readonly nodes: Nodes;
}

/** Some 5,000 templates on 5,000 nodes. A tenant makes templates, and keys of a megabyte, as he likes. */
const MAX_BYTES = 32 * 2 ** 20;

export class NodeVerdicts {
  readonly #nodes: Nodes;
  readonly #known: LRUCache<string, KnownVerdict>;
  /** 1 where the node turns away nobody by itself: it is ready, not cordoned and has no taint that repels. */
  #open: Uint8Array | undefined;
  #judged = 0;

  /**
   * @param nodes the rows of one node-set generation. A new generation needs a new instance.
   * @param earlier verdicts on other nodes: those on rows that hold the same node still stand.
   */
  constructor(nodes: Nodes, earlier?: NodeVerdicts) {
    this.#nodes = nodes;
    this.#known = earlier ? earlier.#known : new LRUCache({ maxSize: MAX_BYTES, sizeCalculation: sizeOf });
  }

  /** How many times a node was judged for a template: what verdicts cost. */
  get judged(): number {
    return this.#judged;
  }

  /**
   * A cache hit is free. Judging 5,000 nodes took a millisecond, the largest part of a cold 64-pod plan; it takes 0.05 ms
   * for a template that wants no labels, as most nodes are open.
   */
  of(template: PodTemplate): NodeVerdict {
    const known = this.#known.get(template.key);
    if (known?.nodes === this.#nodes) return known;
    const verdict = { allowed: this.#judge(template, known), nodes: this.#nodes };
    this.#known.set(template.key, verdict);
    return verdict;
  }

  #judge(template: PodTemplate, known: KnownVerdict | undefined): Uint8Array {
    const nodes = this.#nodes;
    this.#open ??= Uint8Array.from(nodes, (node) => (node && !repelsSome(node) ? 1 : 0));
    const open = this.#open;
    const isUndemanding = template.nodeAffinity === undefined && Object.keys(template.nodeSelector).length === 0;
    const allowed = new Uint8Array(nodes.length);
    for (let row = 0; row < nodes.length; row++) {
      const node = nodes[row];
      if (!node) continue;
      if (known && known.nodes[row] === node) allowed[row] = known.allowed[row]!;
      else if (isUndemanding && open[row] === 1) allowed[row] = 1;
      else {
        this.#judged++;
        allowed[row] = rejectNode(template, node) === undefined ? 1 : 0;
      }
    }
    return allowed;
  }
}

function sizeOf({ allowed }: KnownVerdict, key: string): number {
  return allowed.byteLength + 2 * key.length + 100;
}
