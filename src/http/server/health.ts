/** The probes `/livez` and `/readyz`, and `/metrics`. */
import { Hono } from 'hono';
import { type Access, answerRefusal } from '../access/access.ts';

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

const WITHHELD = '[ ]notices withheld: expected a certificate of server.callers, or a token whose user may list nodes';

/**
 * `/livez` is 200 as long as the event loop runs. It must depend on nothing else, or an outage of the API server would
 * restart Muster and cut off the binds held at the barrier. `/readyz` is 200 if every check passes, otherwise 503.
 * `?verbose` lists the checks and notices, every failure the checks. The notices name nodes and queues, so only callers who
 * may see those get them. All else is open to everybody: a kubelet presents no certificate.
 */
export function createHealthApp(
  checks: readonly HealthCheck[],
  metrics: MetricsSource,
  access: Pick<Access, 'seesDetails' | 'refuseMetrics'>,
  notices: readonly HealthNotice[] = [],
): Hono {
  const app = new Hono();
  app.get('/livez', (c) => c.text('ok'));
  app.get('/readyz', async (c) => {
    const outcomes = checks.map((check) => ({ name: check.name, reason: check.check() }));
    const isReady = outcomes.every((outcome) => outcome.reason === undefined);
    const isVerbose = c.req.query('verbose') !== undefined;
    if (isReady && !isVerbose) return c.text('ok');
    const lines = outcomes.map(({ name, reason }) =>
      reason === undefined ? `[+]${name} ok` : `[-]${name} failed: ${reason}`,
    );
    if (isVerbose && (await access.seesDetails(c))) {
      for (const notice of notices) lines.push(...notice.list().map((line) => `[!]${notice.name} ${line}`));
    } else if (isVerbose) lines.push(WITHHELD);
    lines.push(isReady ? 'readyz check passed' : 'readyz check failed', '');
    return c.text(lines.join('\n'), isReady ? 200 : 503);
  });
  app.get('/metrics', async (c) => {
    const refusal = await access.refuseMetrics(c);
    if (refusal) return answerRefusal(c, refusal);
    return c.body(await metrics.render(), 200, { 'content-type': metrics.contentType });
  });
  return app;
}
