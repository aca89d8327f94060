/**
 * Label selectors and node selector terms with Kubernetes' exact semantics (apimachinery v0.37.2
 * pkg/labels/selector.go:182 and :247, component-helpers v0.37.2 scheduling/corev1/nodeaffinity/nodeaffinity.go).
 * A requirement that Kubernetes would not parse (In or NotIn without values, Exists with some) matches nothing.
 */
import type { LabelRequirement, LabelSelector, Labels, NodeModel, NodeSelectorTerm } from './model.ts';
import type { RawLabelSelector, RawNodeTerm, RawRequirement } from './raw-pod.ts';

/** Whether the selector matches the labels. An absent selector matches nothing, an empty one everything. */
export function matchesSelector(selector: LabelSelector | undefined, labels: Labels): boolean {
  return selector?.every((requirement) => matchesRequirement(requirement, labels)) ?? false;
}

/**
 * Whether one of the terms matches the node. No terms match no node, and neither does an empty term
 * (nodeaffinity.go:66).
 */
export function matchesNodeTerm(terms: readonly NodeSelectorTerm[], node: Pick<NodeModel, 'name' | 'labels'>): boolean {
  return terms.some(
    ({ matchLabels, matchFields }) =>
      matchLabels.length + matchFields.length > 0 &&
      matchLabels.every((requirement) => matchesRequirement(requirement, node.labels)) &&
      matchFields.every((requirement) => matchesField(requirement, node.name)),
  );
}

/**
 * The key of the first requirement that keeps the node out, of the first term that does not match: one of those to look
 * at. Undefined when a term has no requirements.
 */
export function findMismatch(
  terms: readonly NodeSelectorTerm[],
  node: Pick<NodeModel, 'name' | 'labels'>,
): string | undefined {
  for (const { matchLabels, matchFields } of terms) {
    const label = matchLabels.find((requirement) => !matchesRequirement(requirement, node.labels));
    const mismatch = label ?? matchFields.find((requirement) => !matchesField(requirement, node.name));
    if (mismatch) return mismatch.key;
  }
  return undefined;
}

/** Projects a selector; undefined for an absent one. */
export function readSelector(raw: RawLabelSelector | null | undefined): LabelSelector | undefined {
  if (!raw) return undefined;
  const labels = Object.entries(raw.matchLabels ?? {});
  return [
    ...labels.map(([key, value]) => requireLabel(key, value)),
    ...(raw.matchExpressions ?? []).map(readRequirement),
  ];
}

/** The requirement that a label has this value. */
export function requireLabel(key: string, value: string): LabelRequirement {
  return { key, operator: 'In', values: [value] };
}

export function readNodeTerm(raw: RawNodeTerm): NodeSelectorTerm {
  return {
    matchLabels: (raw.matchExpressions ?? []).map(readRequirement),
    matchFields: (raw.matchFields ?? []).map(readRequirement),
  };
}

function readRequirement({ key, operator, values }: RawRequirement): LabelRequirement {
  return { key, operator, values: values ?? [] };
}

function matchesRequirement({ key, operator, values }: LabelRequirement, labels: Labels): boolean {
  const found: unknown = labels[key];
  // What a plain object inherits ('constructor') is never a string; this test costs less than Object.hasOwn.
  const value = typeof found === 'string' ? found : undefined;
  switch (operator) {
    case 'In':
      return value !== undefined && contains(values, value);
    case 'NotIn':
      return values.length > 0 && (value === undefined || !contains(values, value));
    case 'Exists':
      return values.length === 0 && value !== undefined;
    case 'DoesNotExist':
      return values.length === 0 && value === undefined;
    case 'Gt':
      return values.length === 1 && compareIntegers(value, values[0]) === 1;
    case 'Lt':
      return values.length === 1 && compareIntegers(value, values[0]) === -1;
    default:
      return operator satisfies never;
  }
}

/** Longer lists are looked up in a set. */
const SHORT_LIST = 16;

const sets = new WeakMap<readonly string[], ReadonlySet<string>>();

/** A requirement may list every node of a cluster, and is asked for each of them. */
function contains(values: readonly string[], value: string): boolean {
  if (values.length <= SHORT_LIST) return values.includes(value);
  let set = sets.get(values);
  if (!set) {
    set = new Set(values);
    sets.set(values, set);
  }
  return set.has(value);
}

/** Fields know only In and NotIn with exactly one value (nodeaffinity.go:261); a node has one field, its name. */
function matchesField({ key, operator, values }: LabelRequirement, nodeName: string): boolean {
  if (values.length !== 1) return false;
  const equal = (key === 'metadata.name' ? nodeName : '') === values[0];
  return (operator === 'In' && equal) || (operator === 'NotIn' && !equal);
}

const DIGITS = /^\d+$/;
/** As many digits are exact in a number. Comparing big integers takes five times as long. */
const SAFE_DIGITS = 15;

/** 1, 0 or -1; undefined unless both are 64-bit decimal integers. */
function compareIntegers(left: string | undefined, right: string | undefined): 1 | 0 | -1 | undefined {
  if (left !== undefined && right !== undefined && left.length <= SAFE_DIGITS && right.length <= SAFE_DIGITS) {
    if (!DIGITS.test(left) || !DIGITS.test(right)) return undefined;
    return Number(left) > Number(right) ? 1 : Number(left) < Number(right) ? -1 : 0;
  }
  const a = readInteger(left);
  const b = readInteger(right);
  if (a === undefined || b === undefined) return undefined;
  return a > b ? 1 : a < b ? -1 : 0;
}

/** Without a sign: with one, neither side would be a valid label value, and the requirement would not parse. */
function readInteger(text: string | undefined): bigint | undefined {
  if (text === undefined || !DIGITS.test(text)) return undefined;
  const value = BigInt(text);
  return BigInt.asIntN(64, value) === value ? value : undefined;
}
