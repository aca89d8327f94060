/**
 * The admission webhook: what deploy/admission-policy.yaml does where the API server has such policies, Muster itself does
 * below Kubernetes 1.36. It refuses no pod. Anything but an answer leaves the pod as it is (`failurePolicy: Ignore`).
 *
 * It has a port of its own, on which there is nothing else: an API server presents no certificate to a webhook unless it is
 * told to, and on no other port a call without one may cost more than its headers.
 */
import { type Context, Hono } from 'hono';
import type { Clock } from '../../core/objects/clock.ts';
import type { RawPod } from '../../core/objects/raw-pod.ts';
import type { PatchOperation } from '../../core/podgroup/new-member.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { parseBody } from '../extender/wire.ts';
import { WireError } from '../extender/wire-values.ts';
import { BodyReader } from '../server/body.ts';
import type { ServerEnv } from '../server/direct.ts';
import { ReviewBytes } from './budget.ts';
import { readReview, writeReview } from './review.ts';

export interface WebhookParts {
  /** The patch of a new pod. */
  readonly complete: (pod: RawPod) => readonly PatchOperation[];
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Pick<Clock, 'now'>;
}

export const ADMISSION_PATH = '/admission/members';

const MIB = 2 ** 20;
/** An API server takes objects of 3 MiB at most. */
const BODIES = { maxBytes: 4 * MIB, maxUnfinishedBytes: 32 * MIB };

/**
 * Places for connections on this port, all of strangers. An API server calls webhooks over HTTP/1.1 (apiserver v0.37.2,
 * pkg/util/webhook/client.go:185), so each pod that is being created takes one; it creates some hundred at a time.
 */
export const admissionStrangers = { total: 4_096, perAddress: 1_024 } as const;

export function createAdmissionApp({ complete, metrics, log, clock }: WebhookParts): Hono {
  const app = new Hono();
  const bodies = new BodyReader(BODIES);
  const budget = new ReviewBytes(clock);
  const count = (result: 'patched' | 'unchanged' | 'refused' | 'busy') => metrics.admissionReviews.inc({ result });
  app.post(ADMISSION_PATH, async (c) => {
    try {
      const body = await bodies.read(c);
      if (!budget.take(addressOf(c), body.length)) {
        bodies.release(body);
        count('busy');
        return c.text('expected fewer reviews, found too many at once; the pod is created as it is\n', 429);
      }
      const { uid, pod } = readAndRelease(bodies, body);
      const patch = pod === undefined ? [] : complete(pod);
      count(patch.length > 0 ? 'patched' : 'unchanged');
      return c.body(writeReview(uid, patch), 200, { 'content-type': 'application/json' });
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      count('refused');
      log.info(2, 'review refused', { found: error.message });
      return c.text(`muster admission: ${error.message}\n`, 400);
    }
  });
  return app;
}

function readAndRelease(bodies: BodyReader, body: Buffer): ReturnType<typeof readReview> {
  try {
    return readReview(parseBody(body));
  } finally {
    bodies.release(body);
  }
}

/** Empty without a server in between: a test calls `app.request()`. */
function addressOf(c: Context): string {
  const { incoming } = (c.env ?? {}) as Partial<ServerEnv>;
  return incoming?.socket.remoteAddress ?? '';
}
