/**
 * The routes. To kube-scheduler any status other than 200 means a broken extender. An expected failure is therefore a
 * 200 with `Error` where the reply has that field (filter, bind), and a 400 where it does not (prioritize, preempt).
 */
import { type Context, Hono } from 'hono';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ExtenderVerb } from '../telemetry/outcomes.ts';
import type { Access } from './access/access.ts';
import type { Answer, Extender } from './extender/extender.ts';
import { FilterArgs } from './extender/filter-args.ts';
import { decodeBindArgs, decodePreemptArgs, parseBody } from './extender/wire.ts';
import { WireError } from './extender/wire-values.ts';
import { type BodyLimits, BodyReader } from './server/body.ts';
import { closeAfterAnswer, onDisconnect } from './server/connection.ts';
import { answerText } from './server/direct.ts';

export interface AppParts {
  readonly extender: Extender;
  /** Probes, metrics and the read-only API. */
  readonly pages: readonly Hono[];
  /** False until the reservations are rebuilt; an earlier answer could give away space that is taken. */
  readonly isReady: () => boolean;
  /** Why another Muster decides instead of this one; undefined: this one does. Always so unless given. */
  readonly findObstacle?: () => string | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly access: Pick<Access, 'refuseDecision'>;
  readonly bodies: BodyLimits;
}

/** The calls that block kube-scheduler's scheduling loop; `direct.ts` serves them. */
export const directPaths: readonly string[] = ['/scheduler/filter', '/scheduler/prioritize'];

const JSON_TYPE = 'application/json';

/** Another Muster decides. */
class StandbyError extends WireError {}

export function createApp(parts: AppParts): Hono {
  const { extender } = parts;
  const app = new Hono();
  const bodies = new BodyReader(parts.bodies);
  const findObstacle = parts.findObstacle ?? (() => undefined);
  // What this process knows of gangs and queues is not what is decided.
  app.use('/v1/*', async (c, next) => {
    const obstacle = findObstacle();
    if (obstacle === undefined) return next();
    closeAfterAnswer(c);
    return c.json({ error: `this Muster does not decide: ${obstacle}` }, 503);
  });
  for (const page of parts.pages) app.route('/', page);

  const serve = <Verb extends ExtenderVerb>(
    verb: Verb,
    answer: (body: Buffer, c: Context) => Answer<Verb, unknown> | Promise<Answer<Verb, unknown>>,
  ) => {
    app.post(`/scheduler/${verb}`, async (c) => {
      const start = performance.now();
      // Before anything of the body is read.
      const refusal = parts.access.refuseDecision(c);
      if (refusal) return answerText(c, 403, 'text/plain; charset=UTF-8', `${refusal.text}\n`);
      try {
        const obstacle = findObstacle();
        if (obstacle !== undefined) {
          closeAfterAnswer(c);
          throw new StandbyError(`this Muster does not decide: ${obstacle}`);
        }
        if (!parts.isReady()) throw new WireError('not ready yet: the cluster is being read; see /readyz?verbose');
        const { outcome, body } = await readAndRelease(bodies, await bodies.read(c), (call) => answer(call, c));
        parts.metrics.observeRequest(verb, outcome, (performance.now() - start) / 1000);
        return answerText(c, 200, JSON_TYPE, JSON.stringify(body));
      } catch (error) {
        return answerFailure(parts, c, verb, error);
      }
    });
  };
  serve('filter', (body) => extender.filter(FilterArgs.read(body)));
  serve('prioritize', (body) => extender.prioritize(FilterArgs.read(body)));
  serve('preempt', (body) => extender.preempt(decodePreemptArgs(parseBody(body))));
  serve('bind', (body, c) => extender.bind(decodeBindArgs(parseBody(body)), (leave) => onDisconnect(c, leave)));
  return app;
}

/** The pages alone: whoever reaches their port cannot ask for decisions, whatever his certificate says. */
export function createPagesApp(pages: readonly Hono[]): Hono {
  const app = new Hono();
  for (const page of pages) app.route('/', page);
  return app;
}

/** @param answer reads all that it needs of the body before it returns, whatever it waits for afterwards. */
function readAndRelease<T>(bodies: BodyReader, body: Buffer, answer: (body: Buffer) => T): T {
  try {
    return answer(body);
  } finally {
    bodies.release(body);
  }
}

function answerFailure({ metrics, log }: AppParts, c: Context, verb: ExtenderVerb, error: unknown): Response {
  const expected = error instanceof WireError;
  const isStandby = error instanceof StandbyError;
  const outcome = isStandby ? 'standby' : expected ? 'bad-request' : 'error';
  metrics.observeRequest(verb, outcome, 0);
  if (isStandby) log.info(3, 'request refused', { verb, found: error.message });
  else if (expected) log.warn('request refused', { verb, found: error.message });
  else log.error('request failed', error, { verb });
  const message = `muster ${verb}: ${error instanceof Error ? error.message : String(error)}`;
  const hasErrorField = verb === 'filter' || verb === 'bind';
  if (hasErrorField) return answerText(c, 200, JSON_TYPE, JSON.stringify({ Error: message }));
  return answerText(c, expected ? 400 : 500, 'text/plain; charset=UTF-8', message);
}
