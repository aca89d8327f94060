/**
 * The bodies that kube-scheduler and an extender exchange (kube-scheduler v0.37.2 extender/v1/types.go). The Go types
 * have no JSON tags, so keys are capitalised, and absent pointers arrive as `null`.
 */

import { checkPod } from './pod-shape.ts';
import { describeFound, isPlainName, parseJson, WireError } from './wire-values.ts';

export interface FilterResult {
  readonly NodeNames: readonly string[];
  readonly FailedNodes?: Readonly<Record<string, string>>;
  readonly FailedAndUnresolvableNodes?: Readonly<Record<string, string>>;
  readonly Error?: string;
}

export interface HostPriority {
  readonly Host: string;
  /** An integer; Go's decoder rejects anything else. */
  readonly Score: number;
}

export interface MetaVictims {
  readonly Pods: readonly { readonly UID: string }[];
  readonly NumPDBViolations: number;
}

export interface PreemptArgs {
  readonly pod: object;
  readonly uid: string;
  readonly nominatedNodeName: string;
  readonly victims: ReadonlyMap<string, MetaVictims>;
}

export interface PreemptResult {
  /** Must not be or contain null, which crashes kube-scheduler v1.37.2 (extender.go:186). */
  readonly NodeNameToMetaVictims: Readonly<Record<string, MetaVictims>>;
}

export interface BindArgs {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: string;
}

/** An empty object on success. */
export interface BindResultBody {
  readonly Error?: string;
}

export const CACHE_CAPABLE = 'set nodeCacheCapable: true on the extender entry of the KubeSchedulerConfiguration';

/** @throws WireError unless the body is JSON. */
export function parseBody(body: Buffer): unknown {
  return parseJson(body.toString('utf8'));
}

/** @throws WireError when the body is no preempt call, or names whole victims instead of UIDs. */
export function decodePreemptArgs(body: unknown): PreemptArgs {
  const args = expectObject(body, 'a request body');
  const pod = expectObject(args.Pod, 'Pod');
  const identity = identifyPod(pod);
  checkPod(pod);
  if (args.NodeNameToVictims && !args.NodeNameToMetaVictims) {
    throw new WireError(`expected NodeNameToMetaVictims, found NodeNameToVictims; ${CACHE_CAPABLE}`);
  }
  const victims = new Map<string, MetaVictims>();
  const given = expectObject(args.NodeNameToMetaVictims ?? {}, 'NodeNameToMetaVictims');
  for (const [node, value] of Object.entries(given)) {
    const meta = readVictims(value, expectName(node, 'a key of NodeNameToMetaVictims'));
    // kube-scheduler treats a node without victims as an error (preemption.go:256), so such a node is dropped.
    if (meta.Pods.length > 0) victims.set(node, meta);
  }
  return { pod, ...identity, victims };
}

function readVictims(value: unknown, node: string): MetaVictims {
  const meta = expectObject(value, `victims of node ${node}`);
  const pods = meta.Pods ?? [];
  if (!Array.isArray(pods)) {
    throw new WireError(`expected the Pods of node ${node} to be a list, found ${describeFound(pods)}`);
  }
  const Pods = pods
    .filter((entry) => entry !== null)
    .map((entry: unknown) => ({ UID: expectName(expectObject(entry, 'a victim').UID, 'the UID of a victim') }));
  const NumPDBViolations = meta.NumPDBViolations ?? 0;
  if (!Number.isSafeInteger(NumPDBViolations)) {
    throw new WireError(`expected NumPDBViolations to be an integer, found ${describeFound(NumPDBViolations)}`);
  }
  return { Pods, NumPDBViolations: NumPDBViolations as number };
}

/** @throws WireError when a field is missing or empty. */
export function decodeBindArgs(body: unknown): BindArgs {
  const args = expectObject(body, 'a request body');
  const read = (key: string): string => {
    const value = args[key];
    if (typeof value !== 'string' || value === '') {
      throw new WireError(`expected ${key}, found ${describeFound(value)}`);
    }
    return expectName(value, key);
  };
  return { namespace: read('PodNamespace'), name: read('PodName'), uid: read('PodUID'), node: read('Node') };
}

/** @throws WireError when the pod has no UID. */
export function identifyPod(pod: Record<string, unknown>): { uid: string; nominatedNodeName: string } {
  const metadata = expectObject(pod.metadata, 'Pod.metadata');
  const uid = expectName(metadata.uid, 'Pod.metadata.uid');
  const nominated = (pod.status as { nominatedNodeName?: unknown } | null | undefined)?.nominatedNodeName;
  return { uid, nominatedNodeName: typeof nominated === 'string' ? nominated : '' };
}

/** @throws WireError unless the value could be a name; `what` names it in the message. */
function expectName(value: unknown, what: string): string {
  if (isPlainName(value)) return value;
  throw new WireError(
    `expected ${what} to be 1 to 253 printable ASCII characters without spaces, quotes and backslashes, ` +
      `found ${describeFound(value)}`,
  );
}

/** @throws WireError unless the value is a JSON object; `what` names it in the message. */
export function expectObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new WireError(`expected ${what} to be an object, found ${describeFound(value)}`);
}
