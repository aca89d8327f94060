/** The read-only API for queues, `GET /v1/queues`: the tree, which gangs wait and for how long, and which run. */
import { Hono } from 'hono';
import type { Clock } from '../../core/objects/clock.ts';
import { cutText } from '../../core/objects/text-values.ts';
import type { SchedulerView } from '../../gang/framework/ports.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type Access, answerRefusal, isRefusal } from '../access/access.ts';
import { fullSight } from '../access/sight.ts';
import type { WaitingItem } from './queue-gangs.ts';
import { listQueueWarnings, narrowToSight, type QueueReport, reportQueues } from './queue-report.ts';

export interface QueueInspectorParts {
  readonly scheduler: SchedulerView;
  readonly isAccelerator: (resource: string) => boolean;
  readonly clock: Pick<Clock, 'now'>;
  /** False until the whole cluster is known; a partial view would make the queues look unused. */
  readonly isReady: () => boolean;
}

/**
 * A report is reused for at least this long, and for nine times the time it took. Frequent requests thus take at most a
 * tenth of the event loop.
 */
const STANDS_MS = 2_000;
const PAUSE_PER_REPORT = 9;

export class QueueInspector {
  readonly #parts: QueueInspectorParts;
  #last: { readonly report: QueueReport; readonly until: number; text: string | undefined } | undefined;

  constructor(parts: QueueInspectorParts) {
    this.#parts = parts;
  }

  /** At most seconds old; undefined until the whole cluster is known. */
  report(): QueueReport | undefined {
    const { scheduler, isAccelerator, clock, isReady } = this.#parts;
    if (!isReady()) return undefined;
    const now = clock.now();
    if (!this.#last || now >= this.#last.until) {
      const report = reportQueues({ scheduler, isAccelerator, now });
      const end = clock.now();
      this.#last = { report, until: end + Math.max(STANDS_MS, PAUSE_PER_REPORT * (end - now)), text: undefined };
    }
    return this.#last.report;
  }

  /** The report as JSON, serialized once, as it may be megabytes. */
  reportText(): string | undefined {
    const report = this.report();
    if (!report || !this.#last) return undefined;
    this.#last.text ??= JSON.stringify(report);
    return this.#last.text;
  }

  /** Queues that are not used as specified, or whose guarantee everybody can take, one line each; empty until the whole cluster is known. */
  warnings(): readonly string[] {
    const { scheduler, isReady } = this.#parts;
    return isReady() ? listQueueWarnings(scheduler.queues) : [];
  }

  /** Updates the gauges; leaves them as they are until the whole cluster is known. */
  measure(metrics: Metrics): void {
    const report = this.report();
    if (!report) return;
    const { queueUse, queueUsage, queueGuaranteed, queueLimit, queueShare, queueEntitledShare, queueGangs } = metrics;
    const { queueLongestWait, queueExpectedStart, plannedStarts } = metrics;
    for (const gauge of [queueUse, queueUsage, queueGuaranteed, queueLimit]) gauge.reset();
    for (const gauge of [queueShare, queueEntitledShare, queueLongestWait, queueExpectedStart]) gauge.reset();
    queueGangs.reset();
    const now = this.#parts.clock.now();
    const line = sumUpLine(report, now);
    for (const { name: queue, amounts, share, entitled, pending, running } of report.queues) {
      for (const { resource, model, use, usage, guaranteed, limit } of amounts) {
        const labels = { queue, resource, model: model ?? '' };
        queueUse.set(labels, use);
        queueUsage.set(labels, usage);
        if (guaranteed > 0) queueGuaranteed.set(labels, guaranteed);
        if (limit !== null) queueLimit.set(labels, limit);
      }
      queueShare.set({ queue }, share);
      queueEntitledShare.set({ queue }, entitled);
      queueGangs.set({ queue, state: 'pending' }, pending);
      queueGangs.set({ queue, state: 'running' }, running);
      const { longest = 0, start } = line.get(queue) ?? {};
      queueLongestWait.set({ queue }, longest);
      if (start) queueExpectedStart.set({ queue }, Math.max(0, (Date.parse(start.at) - now) / 1000));
    }
    const starts = this.#parts.scheduler.queues.plannedStarts();
    const known = starts.filter(({ startsAt }) => Number.isFinite(startsAt)).length;
    plannedStarts.set({ kind: 'known' }, known);
    plannedStarts.set({ kind: 'unknown' }, starts.length - known);
  }
}

export function createQueuesApp(inspector: QueueInspector, access: Pick<Access, 'sightOf'>): Hono {
  const app = new Hono();
  const notReady = { error: 'not ready yet: the cluster is being read; see /readyz?verbose' };
  app.get('/v1/queues', async (c) => {
    const sight = await access.sightOf(c, c.req.queries('namespace') ?? []);
    if (isRefusal(sight)) return answerRefusal(c, sight);
    if (sight === fullSight) {
      const text = inspector.reportText();
      return text === undefined ? c.json(notReady, 503) : c.body(text, 200, { 'content-type': 'application/json' });
    }
    const report = inspector.report();
    return report ? c.json(narrowToSight(report, sight)) : c.json(notReady, 503);
  });
  app.get('/v1/queues/:name', async (c) => {
    const name = c.req.param('name');
    const sight = await access.sightOf(c, c.req.queries('namespace') ?? []);
    if (isRefusal(sight)) return answerRefusal(c, sight);
    const report = inspector.report();
    if (!report) return c.json(notReady, 503);
    const narrow = narrowReport(report, name);
    if (narrow) return c.json(narrowToSight(narrow, sight));
    const known = report.queues.map((queue) => queue.name).join(', ');
    return c.json({ error: `expected a queue, found none named ${cutText(name)}; there are ${known}` }, 404);
  });
  return app;
}

/** The queue and those below it; undefined when no queue has that name, not even a misconfigured one. */
function narrowReport(report: QueueReport, name: string): QueueReport | undefined {
  const inside = new Set([name]);
  // Parents come before their children.
  const queues = report.queues.filter((queue) => {
    if (queue.parent !== null && inside.has(queue.parent)) inside.add(queue.name);
    return inside.has(queue.name);
  });
  const problems = report.problems.filter(({ queue }) => inside.has(queue));
  if (queues.length + problems.length === 0) return undefined;
  const isInside = ({ queue }: { readonly queue: string }) => inside.has(queue);
  return {
    ...report,
    queues,
    waiting: report.waiting.filter(isInside),
    running: report.running.filter(isInside),
    problems,
  };
}

/**
 * By queue, those below included: the longest wait in line in seconds, and the expected start of the first gang in
 * line.
 */
function sumUpLine({ queues, waiting }: QueueReport, now: number) {
  const parentOf = new Map(queues.map(({ name, parent }) => [name, parent]));
  const line = new Map<string, { longest: number; readonly start: WaitingItem['start'] }>();
  for (const { position, queue, since, start } of waiting) {
    if (position === null) continue;
    const waited = (now - Date.parse(since)) / 1000;
    for (let name: string | null = queue; name !== null; name = parentOf.get(name) ?? null) {
      const known = line.get(name);
      if (known) known.longest = Math.max(known.longest, waited);
      else line.set(name, { longest: waited, start });
    }
  }
  return line;
}
