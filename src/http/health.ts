import { Hono } from 'hono';

/** One condition of being ready. */
export interface HealthCheck {
  /** A word or two joined by dashes: it is a line of `/readyz?verbose`. */
  readonly name: string;
  /** Undefined: fine. Otherwise why not, in a few words. Called for each probe, so it looks and does not wait. */
  check(): string | undefined;
}

/** Something that people should know and that does not keep Muster from being ready. */
export interface HealthNotice {
  /** A word or two joined by dashes, as the checks have. */
  readonly name: string;
  /** One line each; nothing to know: none. Called for each `/readyz?verbose`. */
  list(): readonly string[];
}

/** Where `/metrics` comes from; `Metrics` is one. */
export interface MetricsSource {
  readonly contentType: string;
  render(): Promise<string>;
}

/** The paths that a kubelet probes: it presents no client certificate. */
export const probePaths: readonly string[] = ['/livez', '/readyz'];

/**
 * `/livez`: 200 as long as the event loop turns; it must not depend on anything else, or an outage of the API server
 * would restart Muster and take the barrier's held calls with it.
 * `/readyz`: 200 if every check is fine, else 503; `?verbose` lists the checks and the notices, a failure
 * always does.
 */
export function createHealthApp(
  checks: readonly HealthCheck[],
  metrics: MetricsSource,
  notices: readonly HealthNotice[] = [],
): Hono {
  const app = new Hono();
  app.get('/livez', (c) => c.text('ok'));
  app.get('/readyz', (c) => {
    const outcomes = checks.map((check) => ({ name: check.name, reason: check.check() }));
    const isReady = outcomes.every((outcome) => outcome.reason === undefined);
    if (isReady && c.req.query('verbose') === undefined) return c.text('ok');
    const lines = outcomes.map(({ name, reason }) =>
      reason === undefined ? `[+]${name} ok` : `[-]${name} failed: ${reason}`,
    );
    for (const notice of notices) lines.push(...notice.list().map((line) => `[!]${notice.name} ${line}`));
    lines.push(isReady ? 'readyz check passed' : 'readyz check failed', '');
    return c.text(lines.join('\n'), isReady ? 200 : 503);
  });
  app.get('/metrics', async (c) => c.body(await metrics.render(), 200, { 'content-type': metrics.contentType }));
  return app;
}
