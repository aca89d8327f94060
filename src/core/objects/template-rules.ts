/**
 * Counts what a pod brings along that decides where it fits. Each rule is asked for thousands of nodes, and a pod may bring
 * tens of thousands, so there are bounds. They are far above what training jobs use: some tolerations, a selector, one or
 * two affinity terms.
 */
import type { LabelSelector, PodTemplate } from './model.ts';

/**
 * A gang whose kinds of members bring more waits and says why. 512 rules on 5,000 nodes are judged in some 50 ms, once for each
 * change of a node's labels or taints.
 */
export const MAX_RULES = 512;

/** Constraints of one pod. Each one is looked at for each member and node. */
export const MAX_SPREAD_CONSTRAINTS = 8;

/** Claims that one pod mounts. Each is looked up whenever its gang is read, and found when the claim changes. */
export const MAX_CLAIMS = 32;

/**
 * Kinds of members in one gang. Each kind is counted on each node, in each plan. Members that differ only by their claims
 * are of one kind.
 */
export const MAX_KINDS = 32;

type Content = Pick<
  PodTemplate,
  'nodeSelector' | 'nodeAffinity' | 'tolerations' | 'hostPorts' | 'antiAffinity' | 'spread'
>;

/** A term without requirements is still looked at. However many values a requirement lists, they are looked up at once. */
export function countRules({
  nodeSelector,
  nodeAffinity = [],
  tolerations,
  hostPorts,
  antiAffinity,
  spread,
}: Content): number {
  let rules =
    Object.keys(nodeSelector).length + tolerations.length + hostPorts.length + countAntiAffinity(antiAffinity);
  for (const { matchLabels, matchFields } of nodeAffinity) rules += 1 + matchLabels.length + matchFields.length;
  for (const { selector } of spread) rules += countSelector(selector);
  return rules;
}

export function countAntiAffinity(terms: PodTemplate['antiAffinity']): number {
  return terms.reduce((sum, { selector, namespaces }) => sum + countSelector(selector) + namespaces.length, 0);
}

function countSelector(selector: LabelSelector | undefined): number {
  return 1 + (selector?.length ?? 0);
}

/** Templates are shared by many pods. */
const kinds = new WeakMap<PodTemplate, string>();

/** Equal for templates that ask the same of nodes and neighbours; their claims and preferences may differ. */
export function kindOf(template: PodTemplate): string {
  let kind = kinds.get(template);
  if (kind === undefined) {
    const { requests, nodeSelector, nodeAffinity, tolerations, hostPorts, antiAffinity, selfAntiAffine, spread } =
      template;
    kind = JSON.stringify([
      requests,
      nodeSelector,
      nodeAffinity,
      tolerations,
      hostPorts,
      antiAffinity,
      selfAntiAffine,
      spread,
    ]);
    kinds.set(template, kind);
  }
  return kind;
}
