/** Muster's own figures in `/metrics`. */

export interface Vitals {
  readonly rssMegabytes: number;
  /** p99 of the event loop lag since the previous reading, in milliseconds. */
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  /** Bind calls held at barriers. */
  readonly held: number;
}

/** Node measures the lag with a timer of this many milliseconds, and includes them. */
const LAG_TIMER_MS = 10;

/** Reading starts a new interval for the lag. */
export async function readVitals({ port, host }: { readonly port: number; readonly host?: string }): Promise<Vitals> {
  const text = await (await fetch(`http://${host ?? '127.0.0.1'}:${port}/metrics`)).text();
  const read = (name: string): number => {
    const found = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1];
    if (found === undefined) throw new Error(`expected ${name} in /metrics, found none`);
    return Number(found);
  };
  return {
    rssMegabytes: read('process_resident_memory_bytes') / 1e6,
    lagP99Ms: Math.max(0, read('nodejs_eventloop_lag_p99_seconds') * 1000 - LAG_TIMER_MS),
    lagMaxMs: Math.max(0, read('nodejs_eventloop_lag_max_seconds') * 1000 - LAG_TIMER_MS),
    held: read('muster_barrier_held'),
  };
}
