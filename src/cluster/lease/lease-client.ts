/** The Lease object (`coordination.k8s.io/v1`) at the API server: read, created and replaced, each as one exchange. */
import type { ApiClient } from '../../kube/client.ts';
import type { ApiResponse } from '../../kube/transport.ts';
import type { WatchedKind } from '../../kube/watcher.ts';
import type { LeaseAnswer, LeaseClaim, LeaseRecord, LeaseStep, LeaseTiming } from './election.ts';

/** Which object it is. */
export interface LeaseName {
  readonly namespace: string;
  readonly name: string;
}

/** A version of the object, with what others wrote on it. */
export interface LeaseObject extends LeaseRecord {
  /** Goes back as it came, the version and the UID included: they say which object is replaced. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

export type LeaseRequest = Exclude<LeaseStep, { readonly kind: 'wait' }>;

/** An answer, and why it is none that helps. */
export interface AnsweredLease {
  readonly answer: LeaseAnswer;
  /** '' unless the request failed. */
  readonly problem: string;
}

const API_VERSION = 'coordination.k8s.io/v1';

export class LeaseClient {
  readonly #api: Pick<ApiClient, 'request'>;
  readonly #lease: LeaseName;
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #leaseMs: number;
  /** What others wrote on the object, in the newest version that was read. */
  #metadata: Readonly<Record<string, unknown>> = {};

  constructor(api: Pick<ApiClient, 'request'>, lease: LeaseName, { leaseMs, renewDeadlineMs }: LeaseTiming) {
    this.#api = api;
    this.#lease = lease;
    this.#path = pathOf(lease);
    // As client-go: a renewal that hangs leaves time for another one.
    this.#timeoutMs = renewDeadlineMs / 2;
    this.#leaseMs = leaseMs;
  }

  /** The object for a `Watcher`. */
  get kind(): WatchedKind<LeaseRecord> {
    const { name } = this.#lease;
    const project = (raw: unknown) => this.#note(readLease(raw));
    return { kind: 'Lease', path: this.#path, project, fieldSelector: `metadata.name=${name}` };
  }

  /** @param now milliseconds since the epoch, as people read it. Never throws. */
  async ask(request: LeaseRequest, now: number): Promise<AnsweredLease> {
    try {
      return this.#classify(request, await this.#send(request, now));
    } catch (error) {
      return failed(error instanceof Error ? error.message : String(error));
    }
  }

  #send(request: LeaseRequest, now: number): Promise<ApiResponse> {
    const { name, namespace } = this.#lease;
    const one = `${this.#path}/${encodeURIComponent(name)}`;
    const timeoutMs = this.#timeoutMs;
    if (request.kind === 'read') return this.#api.request('GET', one, { timeoutMs });
    const spec = this.#specOf(request.claim, now);
    if (request.kind === 'create') {
      const body = { apiVersion: API_VERSION, kind: 'Lease', metadata: { name, namespace }, spec };
      return this.#api.request('POST', this.#path, { body, timeoutMs });
    }
    const metadata = { ...this.#metadata, name, namespace, resourceVersion: request.version };
    return this.#api.request('PUT', one, {
      body: { apiVersion: API_VERSION, kind: 'Lease', metadata, spec },
      timeoutMs,
    });
  }

  #specOf({ holder, transitions, acquireTime }: LeaseClaim, now: number): object {
    const time = microTime(now);
    return {
      holderIdentity: holder,
      // One that was given back is over at once; the API server wants at least a second.
      leaseDurationSeconds: holder === '' ? 1 : Math.ceil(this.#leaseMs / 1000),
      acquireTime: acquireTime ?? time,
      renewTime: time,
      leaseTransitions: transitions,
    };
  }

  #classify(request: LeaseRequest, { status, body }: ApiResponse): AnsweredLease {
    if (status === 200 || status === 201) {
      const record = this.#note(readLease(body));
      return { answer: { kind: request.kind === 'read' ? 'read' : 'written', record }, problem: '' };
    }
    if (status === 404 && request.kind !== 'create') {
      return { answer: request.kind === 'read' ? { kind: 'read', record: undefined } : { kind: 'gone' }, problem: '' };
    }
    if (status === 409) return { answer: { kind: 'refused' }, problem: '' };
    const { message = `status ${status}` } = (typeof body === 'object' && body !== null ? body : {}) as {
      readonly message?: string;
    };
    return failed(message);
  }

  #note(lease: LeaseObject): LeaseObject {
    this.#metadata = lease.metadata;
    return lease;
  }
}

function pathOf({ namespace }: LeaseName): string {
  return `/apis/${API_VERSION}/namespaces/${encodeURIComponent(namespace)}/leases`;
}

function failed(problem: string): AnsweredLease {
  return { answer: { kind: 'failed' }, problem };
}

/** @throws Error if it is no Lease. Whatever it says otherwise, somebody holds it or nobody does. */
export function readLease(raw: unknown): LeaseObject {
  const { metadata, spec = {} } = raw as {
    readonly metadata: { readonly resourceVersion: string; readonly managedFields?: unknown };
    readonly spec?: {
      readonly holderIdentity?: string | null;
      readonly leaseDurationSeconds?: number | null;
      readonly leaseTransitions?: number | null;
      readonly acquireTime?: string | null;
    };
  };
  const { managedFields: _, ...kept } = metadata;
  return {
    metadata: kept,
    version: metadata.resourceVersion,
    holder: spec.holderIdentity ?? '',
    leaseMs: (spec.leaseDurationSeconds ?? 0) * 1000,
    transitions: spec.leaseTransitions ?? 0,
    acquireTime: spec.acquireTime ?? '',
  };
}

/** The API server wants six digits after the second. */
function microTime(now: number): string {
  return new Date(now).toISOString().replace('Z', '000Z');
}
