/** Muster's client of the API server: every write, with its retries, and the requests of watches. */
import { type Clock, sleep } from '../core/objects/clock.ts';
import { PLAN } from '../core/objects/keys.ts';
import type { EvictionOutcome, GatedPod, PodIdentity, WriteOutcome } from '../core/objects/write-outcome.ts';
import { systemClock } from '../telemetry/clock.ts';
import { backoffDelay } from './backoff.ts';
import type { Endpoint } from './kubeconfig.ts';
import { Semaphore } from './semaphore.ts';
import {
  type ApiResponse,
  type ApiStream,
  isUnsent,
  type Method,
  type RequestOptions,
  Transport,
} from './transport.ts';

/** As `WriteOutcome`, with what the API server answered. */
export type ApiOutcome =
  | Exclude<WriteOutcome, { readonly kind: 'ok' }>
  | { readonly kind: 'ok'; readonly body: unknown };

/** Whether a write may begin, and how long it may take; `refused`: `isFinal` if it may not later either. */
export type WritePermit =
  | { readonly kind: 'granted'; readonly withinMs: number }
  | { readonly kind: 'refused'; readonly message: string; readonly isFinal: boolean };

/** Asked before each attempt of each write, so that only one of several Musters writes (`cluster/lease/elector.ts`). */
export interface WriteFence {
  ask(): WritePermit | Promise<WritePermit>;
}

export interface ApiClientOptions {
  /** Milliseconds for one exchange. */
  readonly requestTimeoutMs?: number;
  readonly maxWritesInFlight?: number;
  /** Nothing is fenced unless given. */
  readonly fence?: WriteFence | undefined;
  readonly clock?: Clock;
  /** Returns a number in [0, 1). */
  readonly random?: () => number;
}

const PATCH_TYPE = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
} as const;

const RETRY = { baseMs: 100, maxMs: 2_000 };
const MAX_ATTEMPTS = 5;
/** A busy API server asks for 1 s. A longer Retry-After is not about load: 10 s means a disruption budget. */
const MAX_RETRY_AFTER_MS = 5_000;
const RETRIABLE_STATUS: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** Which failures to retry: any, for a write that may happen twice; otherwise only those that had no effect. */
type Repeatable = 'any-failure' | 'nothing-done';

/**
 * Muster's writes. At most `maxWritesInFlight` are in flight at a time, so that a gang of thousands does not open
 * thousands of connections; writes waiting for a retry do not count. Every write to a pod carries its UID.
 */
export class ApiClient {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #writes: Semaphore;
  readonly #fence: WriteFence | undefined;
  readonly #timeoutMs: number;
  /** No new attempt starts after this many milliseconds. */
  readonly #retryWindowMs: number;
  /** Attempts of writes that were sent and are not answered, and who waits until there is none. */
  #underWay = 0;
  #idle: (() => void)[] = [];
  readonly #closing = new AbortController();

  constructor(endpoint: Endpoint, options: ApiClientOptions = {}) {
    const { requestTimeoutMs = 10_000, maxWritesInFlight = 64, clock = systemClock, random = Math.random } = options;
    this.#fence = options.fence;
    this.#timeoutMs = requestTimeoutMs;
    this.#transport = new Transport(endpoint, clock, requestTimeoutMs);
    this.#clock = clock;
    this.#random = random;
    this.#writes = new Semaphore(maxWritesInFlight);
    this.#retryWindowMs = requestTimeoutMs;
  }

  /** One exchange without retry, outside the queue of writes, where a lease must not wait. Throws like `Transport`. */
  request(method: Method, path: string, options: RequestOptions = {}): Promise<ApiResponse> {
    return this.#transport.request(method, path, options);
  }

  /** Opens a watch or another long response. Throws like `Transport`. */
  open(path: string, signal: AbortSignal, idleMs: number, accept?: string): Promise<ApiStream> {
    return this.#transport.open(path, signal, idleMs, accept);
  }

  /** Resolves when no attempt of a write is under way. */
  async whenIdle(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Aborts exchanges in flight and closes all connections. */
  close(): Promise<void> {
    this.#closing.abort();
    return this.#transport.close();
  }

  /** A patch without resource version can be sent twice, so any failure is retried. */
  patch(path: string, body: unknown, type: keyof typeof PATCH_TYPE): Promise<ApiOutcome> {
    return this.#write('PATCH', path, { body, contentType: PATCH_TYPE[type] }, 'any-failure');
  }

  /** Retried only when the server did nothing: it was not reached, or answered 429 with a short Retry-After. */
  create(path: string, body: unknown): Promise<ApiOutcome> {
    return this.#write('POST', path, { body }, 'nothing-done');
  }

  /** Records the plan on the pod and nominates the node, in one write. `conflict`: the pod is already bound. */
  nominate(pod: PodIdentity, node: string, plan: string): Promise<ApiOutcome> {
    return this.#patchNomination(pod, node, plan);
  }

  /** Removes the plan and the nomination. */
  clearNomination(pod: PodIdentity): Promise<ApiOutcome> {
    return this.#patchNomination(pod, null, null);
  }

  /** Records the plan on the pod and keeps its nomination. */
  recordPlan(pod: PodIdentity, plan: string): Promise<ApiOutcome> {
    const body = { metadata: { uid: pod.uid, annotations: { [PLAN]: plan } } };
    return this.patch(`${podPath(pod)}/status`, body, 'merge');
  }

  /** Sets the pod's annotations; null removes one. */
  annotate(pod: PodIdentity, annotations: Readonly<Record<string, string | null>>): Promise<ApiOutcome> {
    return this.patch(podPath(pod), { metadata: { uid: pod.uid, annotations } }, 'merge');
  }

  /**
   * Evicts the pod with its own grace period. `ok` also when it is already being deleted: with the UID as precondition
   * an eviction can be sent twice.
   */
  async evict(pod: PodIdentity): Promise<EvictionOutcome> {
    const { namespace, name, uid } = pod;
    const body = {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { namespace, name },
      deleteOptions: { preconditions: { uid } },
    };
    const { outcome, response } = await this.#exchange('POST', `${podPath(pod)}/eviction`, { body }, 'any-failure');
    const budget = response && readBudgetRefusal(response);
    return budget === undefined ? outcome : { kind: 'blocked', message: budget };
  }

  /**
   * Removes one scheduling gate and keeps the others; `ok` also when the gate was absent. Where the pod's gates are as
   * they were seen, a JSON patch does it, for 2.9 ms of the API server's CPU time instead of the 4.0 ms of a strategic
   * patch (on an idle machine; on a busy one 3.2 and 3.6). Its tests fail for another pod of the same name and for other gates; then the strategic patch decides.
   */
  async removeGate(pod: GatedPod, gate: string): Promise<ApiOutcome> {
    const at = pod.gates?.indexOf(gate) ?? -1;
    if (at !== -1) {
      const path = `/spec/schedulingGates/${at}`;
      const body = [
        { op: 'test', path: '/metadata/uid', value: pod.uid },
        { op: 'test', path: `${path}/name`, value: gate },
        { op: 'remove', path },
      ];
      const outcome = await this.patch(podPath(pod), body, 'json');
      if (outcome.kind !== 'failed' || outcome.status !== 422) return outcome;
    }
    const body = { metadata: { uid: pod.uid }, spec: { schedulingGates: [{ $patch: 'delete', name: gate }] } };
    return this.patch(podPath(pod), body, 'strategic');
  }

  /** Binds the pod and sets annotations in one write. `ok` also when the pod is already bound to this node. */
  async bind(pod: PodIdentity, node: string, annotations: Readonly<Record<string, string>>): Promise<ApiOutcome> {
    const { name, namespace, uid } = pod;
    const body = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, uid, annotations },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    };
    const outcome = await this.#write('POST', `${podPath(pod)}/binding`, { body }, 'any-failure');
    // An attempt may have bound the pod although its answer was lost; only the pod can tell.
    const unclear =
      outcome.kind === 'conflict' || (outcome.kind === 'failed' && (outcome.status === 0 || outcome.status >= 500));
    return unclear ? ((await this.#lookUpBinding(pod, node)) ?? outcome) : outcome;
  }

  /** Creates an Event of events.k8s.io/v1; `event` lacks apiVersion and kind. */
  createEvent(namespace: string, event: object): Promise<ApiOutcome> {
    const body = { apiVersion: 'events.k8s.io/v1', kind: 'Event', ...event };
    return this.create(`/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`, body);
  }

  #patchNomination(pod: PodIdentity, node: string | null, plan: string | null): Promise<ApiOutcome> {
    const body = {
      metadata: { uid: pod.uid, annotations: { [PLAN]: plan } },
      status: { nominatedNodeName: node },
    };
    return this.patch(`${podPath(pod)}/status`, body, 'merge');
  }

  /** Undefined when the pod is not bound to the node, or cannot be read. */
  async #lookUpBinding(pod: PodIdentity, node: string): Promise<ApiOutcome | undefined> {
    let response: ApiResponse;
    try {
      response = await this.request('GET', podPath(pod));
    } catch {
      return undefined;
    }
    if (response.status === 404) return { kind: 'gone' };
    if (response.status !== 200) return undefined;
    const seen = response.body as { metadata?: { uid?: string }; spec?: { nodeName?: string } };
    if (seen.metadata?.uid !== pod.uid) return { kind: 'gone' };
    return seen.spec?.nodeName === node ? { kind: 'ok', body: seen } : undefined;
  }

  async #write(method: Method, path: string, options: RequestOptions, repeatable: Repeatable): Promise<ApiOutcome> {
    return (await this.#exchange(method, path, options, repeatable)).outcome;
  }

  /** Repeats attempts until the outcome is final; returns that of the last attempt. */
  async #exchange(method: Method, path: string, options: RequestOptions, repeatable: Repeatable): Promise<Attempt> {
    const deadline = this.#clock.now() + this.#retryWindowMs;
    for (let attempt = 1; ; attempt++) {
      const tried = await this.#writes.run(() => this.#attempt(method, path, options, repeatable));
      const { retryAfterMs } = tried;
      if (retryAfterMs === undefined || attempt === MAX_ATTEMPTS) return tried;
      const delay = Math.max(retryAfterMs, backoffDelay(RETRY, attempt, this.#random()));
      if (this.#clock.now() + delay > deadline) return tried;
      await sleep(this.#clock, delay, this.#closing.signal);
      if (this.#closing.signal.aborted) return tried;
    }
  }

  async #attempt(method: Method, path: string, options: RequestOptions, repeatable: Repeatable): Promise<Attempt> {
    if (!this.#fence) return this.#send(method, path, options, repeatable);
    const permit = await this.#fence.ask();
    if (permit.kind === 'granted') {
      const timeoutMs = Math.min(this.#timeoutMs, permit.withinMs);
      return this.#send(method, path, { ...options, timeoutMs }, repeatable);
    }
    const outcome = { kind: 'failed', status: 0, message: permit.message } as const;
    return { response: undefined, outcome, retryAfterMs: permit.isFinal ? undefined : 0 };
  }

  async #send(method: Method, path: string, options: RequestOptions, repeatable: Repeatable): Promise<Attempt> {
    this.#underWay++;
    try {
      const response = await this.#transport.request(method, path, options);
      return { response, outcome: outcomeOf(response), retryAfterMs: retryDelay(response, repeatable) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const retry = repeatable === 'any-failure' || isUnsent(error);
      const outcome = { kind: 'failed', status: 0, message } as const;
      return { response: undefined, outcome, retryAfterMs: retry ? 0 : undefined };
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}

/** One attempt of a write. */
interface Attempt {
  /** Undefined when no answer arrived. */
  readonly response: ApiResponse | undefined;
  readonly outcome: ApiOutcome;
  /** Undefined: no retry. */
  readonly retryAfterMs: number | undefined;
}

function retryDelay(response: ApiResponse, repeatable: Repeatable): number | undefined {
  const { status, retryAfterMs = 0 } = response;
  if (readBudgetRefusal(response) !== undefined) return undefined;
  if (retryAfterMs > MAX_RETRY_AFTER_MS) return undefined;
  // A 429 without Retry-After means a refusal, not overload; the eviction API sends it.
  if (status === 429) return response.retryAfterMs;
  return RETRIABLE_STATUS.has(status) && repeatable === 'any-failure' ? retryAfterMs : undefined;
}

/** The fields of a `Status` answer that are read. */
interface StatusBody {
  readonly message?: string;
  readonly details?: {
    readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  };
}

function outcomeOf({ status, body }: ApiResponse): ApiOutcome {
  if (status >= 200 && status < 300) return { kind: 'ok', body };
  if (status === 404) return { kind: 'gone' };
  const answer = readStatus(body);
  const message = answer.message ?? `HTTP status ${status}`;
  // A wrong UID is a 409 for a binding, where it is a precondition, and a 422 for a patch, where it is an immutable
  // field.
  if (status === 409) return isForeignUid(message) ? { kind: 'gone' } : { kind: 'conflict', message };
  if (status === 422) {
    const fields = answer.details?.causes?.map((cause) => cause.field) ?? [];
    if (fields.includes('metadata.uid')) return { kind: 'gone' };
    // "may not be set on pods that are already bound to a node"
    if (fields.includes('status.nominatedNodeName')) return { kind: 'conflict', message };
  }
  return { kind: 'failed', status, message };
}

/**
 * The API server's message when a disruption budget blocks an eviction (registry/core/pod/storage/eviction.go);
 * undefined for any other answer. It never evicts a pod covered by two budgets, and reports that as an internal error.
 */
function readBudgetRefusal({ status, body }: ApiResponse): string | undefined {
  const { message = '', details } = readStatus(body);
  if (status === 500) return message.includes('more than one PodDisruptionBudget') ? message : undefined;
  const cause = status === 429 && details?.causes?.find(({ reason }) => reason === 'DisruptionBudget');
  return cause ? `${message} ${cause.message ?? ''}`.trim() : undefined;
}

function readStatus(body: unknown): StatusBody {
  return typeof body === 'object' && body !== null ? body : {};
}

/** Bindings, deletions and evictions each word it differently. */
function isForeignUid(message: string): boolean {
  return ['UID in precondition', 'UID in the precondition', 'uid mismatch'].some((words) => message.includes(words));
}

function podPath(pod: PodIdentity): string {
  return `/api/v1/namespaces/${encodeURIComponent(pod.namespace)}/pods/${encodeURIComponent(pod.name)}`;
}
