/** Writes `Queue` objects (`muster.dev/v1alpha1`, cluster-scoped). */
import type { ApiClient, ApiOutcome } from './client.ts';

const API_VERSION = 'muster.dev/v1alpha1';
const QUEUES = `/apis/${API_VERSION}/queues`;

export class ApiQueueWriter {
  readonly #api: ApiClient;

  constructor(api: ApiClient) {
    this.#api = api;
  }

  /** `gone`: the CRD is missing; `conflict`: the object exists. */
  createQueue(name: string, labels: Readonly<Record<string, string>>, spec: object): Promise<ApiOutcome> {
    return this.#api.create(QUEUES, { apiVersion: API_VERSION, kind: 'Queue', metadata: { name, labels }, spec });
  }

  /** Merges into the status. No UID: usage belongs to a queue's name, even when its object was recreated. */
  patchQueueStatus(name: string, status: object): Promise<ApiOutcome> {
    return this.#api.patch(`${QUEUES}/${encodeURIComponent(name)}/status`, { status }, 'merge');
  }
}
