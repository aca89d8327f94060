/**
 * Which nodes accept a template, whatever runs on them: judged once for each template by selector, affinity, taints and
 * readiness, and after a change of nodes again for the changed ones only. O(nodes) for a new template. The result can be
 * derived again at any time, so a cache holds it that is bounded in bytes.
 */
import { LRUCache } from 'lru-cache';
import type { NodeModel, PodTemplate } from '../objects/model.ts';
import { type NodeRejection, rejectNode, repelsSome } from '../objects/node-fit.ts';

export interface NodeVerdict {
  /** 1 where the template may be placed, by node row. */
  readonly allowed: Uint8Array;
  /** Why not, by node row: see `rejectionAt`. A template may have hundreds of affinity terms, so they are read once. */
  readonly rejections: Uint8Array;
}

/** By code; 0 is none. */
const REJECTIONS: readonly (NodeRejection | undefined)[] = [
  undefined,
  'not ready',
  'cordoned',
  'tainted',
  'node selector',
  'node affinity',
];

/** Why the node does not accept the template, whatever runs there; undefined: it does. */
export function rejectionAt({ rejections }: NodeVerdict, row: number): NodeRejection | undefined {
  return REJECTIONS[rejections[row]!];
}

type Nodes = readonly (NodeModel | undefined)[];

interface KnownVerdict extends NodeVerdict {
  /** The nodes that it is about. */
  readonly nodes: Nodes;
}

/** Some 3,000 templates on 5,000 nodes. A tenant makes templates, and keys of a megabyte, as he likes. */
const MAX_BYTES = 32 * 2 ** 20;

export class NodeVerdicts {
  readonly #nodes: Nodes;
  readonly #known: LRUCache<string, KnownVerdict>;
  readonly #knownOfOthers: LRUCache<string, KnownVerdict> | undefined;
  /** 1 where the node turns away nobody by itself: it is ready, not cordoned and has no taint that repels. */
  #open: Uint8Array | undefined;
  #judged = 0;

  /**
   * @param nodes the rows of one node-set generation. A new generation needs a new instance.
   * @param earlier verdicts on nodes that these replace: those on rows that hold the same node still stand.
   * @param others verdicts on nodes that exist beside these, most of which are the same.
   */
  constructor(nodes: Nodes, earlier?: NodeVerdicts, others?: NodeVerdicts) {
    this.#nodes = nodes;
    this.#knownOfOthers = others ? others.#known : undefined;
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
    const verdict = this.#judge(template, known ?? this.#knownOfOthers?.get(template.key));
    this.#known.set(template.key, verdict);
    return verdict;
  }

  #judge(template: PodTemplate, known: KnownVerdict | undefined): KnownVerdict {
    const nodes = this.#nodes;
    this.#open ??= Uint8Array.from(nodes, (node) => (node && !repelsSome(node) ? 1 : 0));
    const open = this.#open;
    const isUndemanding = template.nodeAffinity === undefined && Object.keys(template.nodeSelector).length === 0;
    const allowed = new Uint8Array(nodes.length);
    const rejections = new Uint8Array(nodes.length);
    for (let row = 0; row < nodes.length; row++) {
      const node = nodes[row];
      if (!node) continue;
      if (known && known.nodes[row] === node) rejections[row] = known.rejections[row]!;
      else if (!isUndemanding || open[row] !== 1) {
        this.#judged++;
        rejections[row] = REJECTIONS.indexOf(rejectNode(template, node));
      }
      allowed[row] = rejections[row] === 0 ? 1 : 0;
    }
    return { allowed, rejections, nodes };
  }
}

function sizeOf({ allowed }: KnownVerdict, key: string): number {
  return 2 * allowed.byteLength + 2 * key.length + 100;
}
