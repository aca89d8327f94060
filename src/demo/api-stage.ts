/** Runs the demo's story on a Kubernetes API server, embedded or real. */

import { type Clock, sleep } from '../core/objects/clock.ts';
import type { ApiClient } from '../kube/client.ts';
import type { ApiResponse } from '../kube/transport.ts';
import { Watcher } from '../kube/watcher.ts';
import { accelerator, containerName, FIRST_PODS, jobOf, rackLabel } from './scene.ts';
import type { NodeView, PodChange, PodView, Stage, TrainingJob } from './stage.ts';

const NAMESPACE = 'default';
const JOBS = `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`;
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const DEADLINE_MS = 20_000;
const POLL_MS = 20;

interface RawObject {
  readonly metadata?: {
    readonly name?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

interface RawNode extends RawObject {
  readonly status?: { readonly allocatable?: Readonly<Record<string, string>> };
}

interface RawPod extends RawObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly containers?: readonly {
      readonly resources?: { readonly limits?: Readonly<Record<string, string>> };
    }[];
  };
  readonly status?: { readonly phase?: string };
}

/** A stage on any Kubernetes API server. */
export class ApiStage implements Stage {
  readonly #api: ApiClient;
  readonly #clock: Clock;

  /** @param api is closed together with the stage. */
  constructor(api: ApiClient, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  async nodes(): Promise<readonly NodeView[]> {
    return (await this.#list<RawNode>('/api/v1/nodes'))
      .map(({ metadata, status }) => ({
        name: metadata?.name ?? '',
        rack: metadata?.labels?.[rackLabel] ?? '',
        gpus: Number(status?.allocatable?.[accelerator] ?? 0),
      }))
      .toSorted((a, b) => `${a.rack} ${a.name}`.localeCompare(`${b.rack} ${b.name}`));
  }

  async submit(jobs: readonly TrainingJob[], asGangs: boolean): Promise<void> {
    await Promise.all(
      jobs.map(async (job) => expectSuccess(await this.#api.request('POST', JOBS, { body: jobOf(job, asGangs) }))),
    );
    await this.#waitForCount(PODS, 'pods', jobs.length * FIRST_PODS);
    await Promise.all(
      jobs.map(async ({ name, size }) => {
        const outcome = await this.#api.patch(`${JOBS}/${name}`, { spec: { parallelism: size } }, 'merge');
        if (outcome.kind !== 'ok') throw new Error(`expected Job ${name} to get all its pods, found ${outcome.kind}`);
      }),
    );
  }

  async follow(listener: (change: PodChange) => void): Promise<() => Promise<void>> {
    const synced = Promise.withResolvers<void>();
    const handler = {
      applied: (pod: PodView) => listener({ kind: 'applied', pod }),
      deleted: ({ uid }: PodView) => listener({ kind: 'gone', uid }),
    };
    const ignore = () => undefined;
    const watcher = new Watcher(this.#api, { kind: 'Pod', path: PODS, project: projectPod }, handler, {
      onSynced: synced.resolve,
      onRestart: ignore,
      onEvent: ignore,
      // The watch recovers by itself; only a first list that never arrives would go unnoticed.
      onError: synced.reject,
    });
    watcher.start();
    try {
      await synced.promise;
    } catch (error) {
      await watcher.stop();
      throw error;
    }
    return () => watcher.stop();
  }

  async finish({ name, uid }: PodView): Promise<void> {
    const ended = (type: string) => ({ type, status: 'False', reason: 'PodCompleted' });
    const container = { name: containerName, ready: false, started: false, restartCount: 0 };
    const status = {
      phase: 'Succeeded',
      conditions: [ended('Ready'), ended('ContainersReady')],
      containerStatuses: [{ ...container, state: { terminated: { exitCode: 0, reason: 'Completed' } } }],
    };
    const outcome = await this.#api.patch(`${PODS}/${name}/status`, { metadata: { uid }, status }, 'strategic');
    if (outcome.kind === 'ok' || outcome.kind === 'gone') return;
    throw new Error(`expected pod ${name} to be marked as finished, found ${outcome.kind}: ${outcome.message}`);
  }

  async clear(): Promise<void> {
    // Owners first, so that no controller creates new pods.
    for (const [path, what] of [
      [JOBS, 'Jobs'],
      [PODS, 'pods'],
    ] as const) {
      const body = { propagationPolicy: 'Background', gracePeriodSeconds: 0 };
      expectSuccess(await this.#api.request('DELETE', path, { body }));
      await this.#waitForCount(path, what, 0);
    }
  }

  async #waitForCount(path: string, what: string, count: number): Promise<void> {
    const deadline = this.#clock.now() + DEADLINE_MS;
    for (;;) {
      const found = (await this.#list<RawObject>(path)).length;
      if (found === count) return;
      if (this.#clock.now() > deadline) throw new Error(`expected ${count} ${what} within 20 s, found ${found}`);
      await sleep(this.#clock, POLL_MS);
    }
  }

  async close(): Promise<void> {
    await this.#api.close();
  }

  async #list<T>(path: string): Promise<readonly T[]> {
    const { body } = expectSuccess(await this.#api.request('GET', path));
    return (body as { readonly items?: readonly T[] }).items ?? [];
  }
}

function projectPod(raw: unknown): PodView {
  const { metadata, spec, status } = raw as RawPod;
  const amounts = (spec?.containers ?? []).map(({ resources }) => Number(resources?.limits?.[accelerator] ?? 0));
  return {
    uid: metadata?.uid ?? '',
    name: metadata?.name ?? '',
    job: metadata?.labels?.['batch.kubernetes.io/job-name'] ?? '',
    node: spec?.nodeName ?? '',
    gpus: amounts.reduce((sum, amount) => sum + amount, 0),
    phase: status?.phase ?? 'Pending',
  };
}

function expectSuccess(response: ApiResponse): ApiResponse {
  if (response.status < 300) return response;
  const { message = '' } = (response.body ?? {}) as { readonly message?: string };
  throw new Error(`expected the API server to agree, found status ${response.status}: ${message}`);
}
