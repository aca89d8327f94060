/** Writes `Queue` objects (`muster.dev/v1alpha1`, cluster-wide). */
import type { ApiClient, Outcome } from './api.ts';

const API_VERSION = 'muster.dev/v1alpha1';
const QUEUES = `/apis/${API_VERSION}/queues`;

export class QueueWriter {
  readonly #api: ApiClient;

  constructor(api: ApiClient) {
    this.#api = api;
  }

  /** `gone`: the CRD is not there; `conflict`: the object is. */
  createQueue(name: string, labels: Readonly<Record<string, string>>, spec: object): Promise<Outcome> {
    return this.#api.create(QUEUES, { apiVersion: API_VERSION, kind: 'Queue', metadata: { name, labels }, spec });
  }

  /**
   * A merge patch of the status. Without a UID: what a queue used belongs to its name, also when its object was made anew.
   */
  patchQueueStatus(name: string, status: object): Promise<Outcome> {
    return this.#api.patch(`${QUEUES}/${encodeURIComponent(name)}/status`, { status }, 'merge');
  }
}
