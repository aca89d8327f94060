/**
 * The bodies that kube-scheduler and an extender exchange (kube-scheduler v0.37.2 extender/v1/types.go). The Go types
 * have no JSON tags, so keys are capitalised, and absent pointers arrive as `null`.
 */

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

/** A request that cannot be served; the message says what was expected, what was found and what to do. */
export class WireError extends Error {}

export const CACHE_CAPABLE = 'set nodeCacheCapable: true on the extender entry of the KubeSchedulerConfiguration';

/** @throws WireError unless the body is JSON. */
export function parseBody(body: Buffer): unknown {
  return parseJson(body.toString('utf8'));
}

/** @throws WireError unless the text is JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new WireError(`expected a JSON body, found ${text === '' ? 'nothing' : JSON.stringify(text.slice(0, 80))}`);
  }
}

/** @throws WireError when the body is no preempt call, or names whole victims instead of UIDs. */
export function decodePreemptArgs(body: unknown): PreemptArgs {
  const args = expectObject(body, 'a request body');
  const pod = expectObject(args.Pod, 'Pod');
  if (args.NodeNameToVictims && !args.NodeNameToMetaVictims) {
    throw new WireError(`expected NodeNameToMetaVictims, found NodeNameToVictims; ${CACHE_CAPABLE}`);
  }
  const victims = new Map<string, MetaVictims>();
  for (const [node, value] of Object.entries(args.NodeNameToMetaVictims ?? {})) {
    const meta = expectObject(value, `victims of node ${node}`);
    const pods = Array.isArray(meta.Pods) ? meta.Pods : [];
    const uids = pods.flatMap((entry: unknown) => {
      const uid = (entry as { UID?: unknown } | null)?.UID;
      return typeof uid === 'string' ? [{ UID: uid }] : [];
    });
    // kube-scheduler treats a node without victims as an error (preemption.go:256), so such a node is dropped.
    const violations = meta.NumPDBViolations;
    if (uids.length > 0)
      victims.set(node, {
        Pods: uids,
        NumPDBViolations: Number.isSafeInteger(violations) ? (violations as number) : 0,
      });
  }
  return { pod, ...identifyPod(pod), victims };
}

/** @throws WireError when a field is missing or empty. */
export function decodeBindArgs(body: unknown): BindArgs {
  const args = expectObject(body, 'a request body');
  const read = (key: string): string => {
    const value = args[key];
    if (typeof value !== 'string' || value === '')
      throw new WireError(`expected ${key}, found ${JSON.stringify(value)}`);
    return value;
  };
  return { namespace: read('PodNamespace'), name: read('PodName'), uid: read('PodUID'), node: read('Node') };
}

/** @throws WireError when the pod has no UID. */
export function identifyPod(pod: Record<string, unknown>): { uid: string; nominatedNodeName: string } {
  const metadata = expectObject(pod.metadata, 'Pod.metadata');
  const uid = metadata.uid;
  if (typeof uid !== 'string' || uid === '')
    throw new WireError(`expected Pod.metadata.uid, found ${JSON.stringify(uid)}`);
  const nominated = (pod.status as { nominatedNodeName?: unknown } | null | undefined)?.nominatedNodeName;
  return { uid, nominatedNodeName: typeof nominated === 'string' ? nominated : '' };
}

/** @throws WireError unless the value is a JSON object; `what` names it in the message. */
export function expectObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WireError(
      `expected ${what} to be an object, found ${value === undefined ? 'nothing' : JSON.stringify(value)?.slice(0, 80)}`,
    );
  }
  return value as Record<string, unknown>;
}
