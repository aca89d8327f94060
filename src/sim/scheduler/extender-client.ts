/**
 * kube-scheduler's HTTP client for one extender (pkg/scheduler/extender.go): JSON as Go encodes it, keep-alive as in
 * Go's transport (at most two idle connections, any number of busy ones), and one timeout for the whole call.
 */
import { Agent, type IncomingMessage, request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { Clock } from '../../core/objects/clock.ts';
import type { RawContainer } from '../../core/objects/raw-pod.ts';
import type { Node, Pod } from '../objects.ts';

/** One entry of `extenders` in a KubeSchedulerConfiguration, without TLS. A missing verb disables that call. */
export interface ExtenderOptions {
  readonly urlPrefix: string;
  readonly filterVerb?: string;
  readonly prioritizeVerb?: string;
  readonly preemptVerb?: string;
  readonly bindVerb?: string;
  readonly weight?: number;
  /** A Go duration such as `30s`; defaults to 5 s. */
  readonly httpTimeout?: string;
  readonly nodeCacheCapable?: boolean;
  readonly ignorable?: boolean;
  readonly managedResources?: readonly { readonly name: string; readonly ignoredByScheduler?: boolean }[];
}

export interface ExtenderFilterAnswer {
  readonly nodes: readonly string[];
  readonly failed: Readonly<Record<string, string>>;
  readonly unresolvable: Readonly<Record<string, string>>;
}

/** Victims by node name; `violations` counts violated disruption budgets. */
export type Victims = ReadonlyMap<string, { readonly pods: readonly Pod[]; readonly violations: number }>;
export type VictimsByNode = ReadonlyMap<string, { readonly uids: readonly string[]; readonly violations: number }>;

const MAX_IDLE_CONNECTIONS = 2;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

export class ExtenderClient {
  readonly options: ExtenderOptions;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: MAX_IDLE_CONNECTIONS });
  readonly #managed: ReadonlySet<string>;
  readonly #underWay = new Set<() => void>();

  constructor(options: ExtenderOptions, clock: Clock) {
    this.options = options;
    this.#clock = clock;
    this.#timeoutMs = readDuration(options.httpTimeout ?? '5s');
    this.#managed = new Set((options.managedResources ?? []).map(({ name }) => name));
  }

  /** Aborts every call in flight, like the end of the process. */
  close(): void {
    for (const abort of [...this.#underWay]) abort();
    this.#agent.destroy();
  }

  /** Whether the pod requests a managed resource; always true when none is configured (extender.go IsInterested). */
  isInterested({ spec }: Pod): boolean {
    if (this.#managed.size === 0) return true;
    const requestsOne = ({ resources }: RawContainer) =>
      [...Object.keys(resources?.requests ?? {}), ...Object.keys(resources?.limits ?? {})].some((name) =>
        this.#managed.has(name),
      );
    return [...(spec.containers ?? []), ...(spec.initContainers ?? [])].some(requestsOne);
  }

  /** @throws Error when the call fails, or its answer carries an `Error` or names a node that was not offered. */
  async filter(pod: Pod, nodes: readonly Node[]): Promise<ExtenderFilterAnswer> {
    const { filterVerb, nodeCacheCapable = false } = this.options;
    const offered = nodes.map(({ metadata }) => metadata.name);
    if (!filterVerb) return { nodes: offered, failed: {}, unresolvable: {} };
    const answer = expectObject(await this.#send(filterVerb, this.#nodeArgs(pod, nodes)));
    if (answer.Error) throw new Error(String(answer.Error));
    const items = expectObject(answer.Nodes ?? {}).items ?? [];
    const fromNodes = (items as readonly Node[]).map(({ metadata }) => metadata.name);
    const names = nodeCacheCapable && answer.NodeNames ? expectStrings(answer.NodeNames) : fromNodes;
    const known = new Set(offered);
    const foreign = names.find((name) => !known.has(name));
    if (foreign !== undefined) {
      const url = JSON.stringify(this.options.urlPrefix);
      throw new Error(`extender ${url} claims a filtered node "${foreign}" which is not found in the input node list`);
    }
    return {
      nodes: names,
      failed: expectTexts(answer.FailedNodes),
      unresolvable: expectTexts(answer.FailedAndUnresolvableNodes),
    };
  }

  /**
   * Weighted scores by node on the scale of the plugins' scores, 0 to 100 instead of 0 to 10.
   * @throws Error when the call fails.
   */
  async prioritize(pod: Pod, nodes: readonly Node[]): Promise<ReadonlyMap<string, number>> {
    const { prioritizeVerb, weight = 0 } = this.options;
    if (!prioritizeVerb) return new Map();
    const answer = (await this.#send(prioritizeVerb, this.#nodeArgs(pod, nodes))) ?? [];
    if (!Array.isArray(answer)) throw new Error('json: cannot unmarshal object into a HostPriorityList');
    return new Map(
      answer.map((entry) => {
        const { Host, Score } = expectObject(entry);
        if (!Number.isSafeInteger(Score)) throw new Error(`json: cannot unmarshal ${Score} into an int64`);
        return [String(Host), (Score as number) * weight * 10];
      }),
    );
  }

  /** @throws Error when the call fails, or when its `null` would crash kube-scheduler (extender.go:186). */
  async preempt(pod: Pod, victims: Victims): Promise<VictimsByNode> {
    const entries = [...victims].map(([node, { pods, violations }]) => [
      node,
      {
        Pods: this.options.nodeCacheCapable ? pods.map(({ metadata }) => ({ UID: metadata.uid })) : pods.map(strip),
        NumPDBViolations: violations,
      },
    ]);
    const byNode = Object.fromEntries(entries);
    const answer = expectObject(
      await this.#send(this.options.preemptVerb ?? '', {
        Pod: strip(pod),
        NodeNameToVictims: this.options.nodeCacheCapable ? null : byNode,
        NodeNameToMetaVictims: this.options.nodeCacheCapable ? byNode : null,
      }),
    );
    return new Map(
      Object.entries(expectObject(answer.NodeNameToMetaVictims ?? {})).map(([node, value]) => {
        const { Pods, NumPDBViolations } = expectObject(value);
        const uids = ((Pods ?? []) as readonly unknown[]).map((entry) => String(expectObject(entry).UID));
        return [node, { uids, violations: Number(NumPDBViolations ?? 0) }];
      }),
    );
  }

  /** @throws Error when the call fails or its answer carries an `Error`. */
  async bind({ metadata: { name, namespace, uid } }: Pod, node: string): Promise<void> {
    const args = { PodName: name, PodNamespace: namespace, PodUID: uid, Node: node };
    const { Error: failure } = expectObject(await this.#send(this.options.bindVerb ?? '', args));
    if (failure) throw new Error(String(failure));
  }

  #nodeArgs(pod: Pod, nodes: readonly Node[]): object {
    return this.options.nodeCacheCapable
      ? { Pod: strip(pod), Nodes: null, NodeNames: nodes.map(({ metadata }) => metadata.name) }
      : { Pod: strip(pod), Nodes: { metadata: {}, items: nodes.map(strip) }, NodeNames: null };
  }

  async #send(verb: string, args: object): Promise<unknown> {
    const url = `${this.options.urlPrefix.replace(/\/+$/, '')}/${verb}`;
    const { status, body } = await this.#post(url, Buffer.from(toGoJson(args)));
    if (status !== 200) throw new Error(`failed ${verb} with extender at URL ${url}, code ${status}`);
    if (body === '') throw new Error('EOF');
    return JSON.parse(body);
  }

  #post(url: string, body: Buffer): Promise<{ readonly status: number; readonly body: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
    const call = request(url, { agent: this.#agent, method: 'POST', headers: headersFor(url, body) });
    const abort = () => call.destroy(new Error('context canceled'));
    this.#underWay.add(abort);
    const cancelTimeout = this.#clock.after(this.#timeoutMs, () => {
      call.destroy(new Error('context deadline exceeded (Client.Timeout exceeded while awaiting headers)'));
    });
    const fail = (error: Error) => reject(new Error(`Post "${url}": ${error.message}`));
    call.on('response', (response) => readBody(response).then(resolve, fail));
    // No retry: Go's transport never replays a POST that it has written (net/http/transport.go).
    call.on('error', fail);
    call.on('close', () => {
      cancelTimeout();
      this.#underWay.delete(abort);
    });
    call.end(body);
    return promise;
  }
}

/** In the order in which Go writes them. */
function headersFor(url: string, body: Buffer): string[] {
  const headers = {
    Host: new URL(url).host,
    'User-Agent': 'Go-http-client/1.1',
    'Content-Length': String(body.length),
    'Content-Type': 'application/json',
    'Accept-Encoding': 'gzip',
  };
  return Object.entries(headers).flat();
}

async function readBody(response: IncomingMessage): Promise<{ status: number; body: string }> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const plain = response.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
  return { status: response.statusCode ?? 0, body: plain.toString('utf8') };
}

/** kube-scheduler's informers drop `managedFields` (scheduler.go:665). */
function strip<T extends Pod | Node>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { readonly managedFields?: unknown };
  return { ...object, metadata };
}

/** encoding/json escapes `<`, `>`, `&` and the line separators, which could break out of a script element. */
function toGoJson(value: object): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * Milliseconds of a Go duration with a single unit.
 * @throws Error when it is not one.
 */
function readDuration(text: string): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  if (amount === undefined) throw new Error(`expected a duration like 30s or 500ms, found ${JSON.stringify(text)}`);
  return Number(amount) * UNIT_MS[unit]!;
}

function expectObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`json: cannot unmarshal ${JSON.stringify(value)} into an object`);
}

function expectStrings(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return value;
  throw new Error(`json: cannot unmarshal ${JSON.stringify(value)} into a list of strings`);
}

function expectTexts(value: unknown): Readonly<Record<string, string>> {
  const texts = Object.entries(expectObject(value ?? {}));
  expectStrings(texts.map(([, text]) => text));
  return Object.fromEntries(texts) as Record<string, string>;
}
