/** The probes `/livez` and `/readyz`, and `/metrics`. */
import { Hono } from 'hono';

/** One condition for being ready. */
export interface HealthCheck {
  /** One or two words joined by dashes; a line of `/readyz?verbose`. */
  readonly name: string;
  /** Undefined when it holds, otherwise the problem in a few words. Called for each probe, so it must not wait. */
  check(): string | undefined;
}

/** Something that operators should know but that does not make Muster unready. */
export interface HealthNotice {
  /** One or two words joined by dashes, like the name of a check. */
  readonly name: string;
  /** One line each; empty when there is nothing to report. Called for each `/readyz?verbose`. */
  list(): readonly string[];
}

/** The source of `/metrics`, such as `Metrics`. */
export interface MetricsSource {
  readonly contentType: string;
  render(): Promise<string>;
}

/** The paths that a kubelet probes, which it does without a client certificate. */
export const probePaths: readonly string[] = ['/livez', '/readyz'];

/**
 * `/livez` is 200 as long as the event loop runs. It must depend on nothing else, or an outage of the API server would
 * restart Muster and cut off the binds held at the barrier. `/readyz` is 200 if every check passes, otherwise 503.
 * `?verbose` lists the checks and notices; so does every failure.
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
