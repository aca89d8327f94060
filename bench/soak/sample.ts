/** What is measured every ten seconds: Muster by its metrics, its traces by the objects in the API server. */
import { loadavg } from 'node:os';

import { sumMetric } from '../plane/leaks.ts';
import type { Ledger } from '../plane/ledger.ts';
import { type Plane, persist } from '../plane/plane.ts';

/** One measurement; latencies are those since the previous one. */
export interface Sample {
  readonly minutes: number;
  readonly rssMb: number;
  readonly heapMb: number;
  /** What V8 has mapped for the heap, and what buffers hold outside it. The rest of RSS is code, threads and malloc's. */
  readonly heapTotalMb: number;
  readonly externalMb: number;
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly filterMs: number;
  /** Upper end of the bucket of the histogram. */
  readonly filterP99Ms: number;
  /** The wait at the barrier is part of a bind. */
  readonly bindMs: number;
  readonly cycleMs: number;
  readonly cycleP99Ms: number;
  readonly cpuPercent: number;
  readonly reservations: number;
  readonly gangs: number;
  readonly waitingGangs: number;
  /** In the API server: pods that are not bound, with a nomination or with Muster's gate; bound pods; all Events. */
  readonly nominations: number;
  readonly gates: number;
  readonly bound: number;
  readonly events: number;
  /** Gangs that came to their minimum, that preempted others, and Events that Muster wrote, since the previous one. */
  readonly starts: number;
  readonly preemptions: number;
  readonly eventsWritten: number;
  readonly etcdMb: number;
  readonly apiServerMb: number;
  readonly kwokMb: number;
  readonly schedulerMb: number;
  /** Programs that ran or wanted to, whoever's they are: the average of a minute. */
  readonly load: number;
}

const FILTER = 'muster_extender_request_duration_seconds';
const CYCLE = 'muster_decision_round_duration_seconds';
/** Node measures the lag with a timer of this many milliseconds, and includes them. */
const LAG_TIMER_MS = 10;
const MB = 1e6;

export class Sampler {
  readonly #plane: Plane;
  readonly #ledger: Ledger;
  readonly #began = performance.now();
  #before = '';
  #beforeAt = performance.now();

  constructor(plane: Plane, ledger: Ledger) {
    this.#plane = plane;
    this.#ledger = ledger;
  }

  /** Muster's metrics begin with this one. */
  async begin(): Promise<void> {
    this.#before = await this.#plane.muster.metrics();
    this.#beforeAt = performance.now();
  }

  async take(): Promise<Sample> {
    const text = await this.#plane.muster.metrics();
    const now = performance.now();
    const windows = new Windows(this.#before, text);
    const elapsed = (now - this.#beforeAt) / 1000;
    const read = (name: string, labels?: string) => sumMetric(text, name, labels);
    const { bound, nominated, gated } = this.#ledger.count();
    const lag = (which: string) => Math.max(0, 1000 * read(`nodejs_eventloop_lag_${which}_seconds`) - LAG_TIMER_MS);
    this.#before = text;
    this.#beforeAt = now;
    return {
      minutes: (now - this.#began) / 60_000,
      rssMb: read('process_resident_memory_bytes') / MB,
      heapMb: read('nodejs_heap_size_used_bytes') / MB,
      heapTotalMb: read('nodejs_heap_size_total_bytes') / MB,
      externalMb: read('nodejs_external_memory_bytes') / MB,
      lagP99Ms: lag('p99'),
      lagMaxMs: lag('max'),
      filterMs: windows.meanMs(FILTER, 'verb="filter"'),
      filterP99Ms: windows.p99Ms(FILTER, 'verb="filter"'),
      bindMs: windows.meanMs(FILTER, 'verb="bind"'),
      cycleMs: windows.meanMs(CYCLE),
      cycleP99Ms: windows.p99Ms(CYCLE),
      cpuPercent: (100 * windows.sum('process_cpu_seconds_total')) / elapsed,
      reservations: read('muster_reservations'),
      gangs: read('muster_gangs'),
      waitingGangs: read('muster_gangs', 'state="Pending"') + read('muster_gangs', 'state="Gathering"'),
      nominations: nominated,
      gates: gated,
      bound,
      events: await this.#countEvents(),
      preemptions: windows.sum('muster_preemptions_total'),
      starts: this.#ledger.takeStarts().length,
      eventsWritten: windows.sum('muster_events_total', 'result="written"'),
      etcdMb: this.#plane.readRss('etcd'),
      apiServerMb: this.#plane.readRss('kube-apiserver'),
      kwokMb: this.#plane.readRss('kwok'),
      schedulerMb: this.#plane.readRss('kube-scheduler'),
      load: loadavg()[0]!,
    };
  }

  async #countEvents(): Promise<number> {
    const list = await persist(() =>
      this.#plane.api.request<{ items: readonly unknown[]; metadata: { remainingItemCount?: number } }>(
        'GET',
        '/api/v1/events?limit=1',
      ),
    );
    return (list?.items.length ?? 0) + (list?.metadata.remainingItemCount ?? 0);
  }
}

/** What has been added to counters and histograms between two readings. */
class Windows {
  readonly #before: string;
  readonly #after: string;

  constructor(before: string, after: string) {
    this.#before = before;
    this.#after = after;
  }

  sum(name: string, labels?: string): number {
    return sumMetric(this.#after, name, labels) - sumMetric(this.#before, name, labels);
  }

  /** Zero without any. */
  meanMs(name: string, labels?: string): number {
    const count = this.sum(`${name}_count`, labels);
    return count === 0 ? 0 : (1000 * this.sum(`${name}_sum`, labels)) / count;
  }

  /** Upper end of the bucket that holds it. */
  p99Ms(name: string, labels = ''): number {
    const wanted = 0.99 * this.sum(`${name}_count`, labels);
    const buckets = new Map<number, number>();
    for (const [text, sign] of [
      [this.#before, -1],
      [this.#after, 1],
    ] as const) {
      for (const line of text.split('\n')) {
        if (!line.startsWith(`${name}_bucket{`) || !line.includes(labels)) continue;
        const end = Number((/le="([^"]+)"/.exec(line)?.[1] ?? '').replace('+Inf', 'Infinity'));
        buckets.set(end, (buckets.get(end) ?? 0) + sign * Number(line.slice(line.lastIndexOf(' ') + 1)));
      }
    }
    const found = [...buckets].sort((a, b) => a[0] - b[0]).find(([, count]) => count >= wanted);
    return wanted === 0 ? 0 : 1000 * (found?.[0] ?? Number.NaN);
  }
}
