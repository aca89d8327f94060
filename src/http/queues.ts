/** The queues as people look at them: the tree, who waits and for how long, who runs. Read only. */
import { Hono } from 'hono';
import { dimensionOf } from '../core/queues/amounts.ts';
import type { Clock, SchedulerView } from '../gang/framework/ports.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { WaitingItem } from './queue-gangs.ts';
import { listQueueProblems, type QueueReport, reportQueues } from './queue-report.ts';

export interface QueueInspectorParts {
  readonly scheduler: SchedulerView;
  readonly isAccelerator: (resource: string) => boolean;
  readonly clock: Pick<Clock, 'now'>;
  /** False until the whole cluster is known: half of it would look as if nobody used anything. */
  readonly isReady: () => boolean;
}

/** A report stands for so long, and so many times longer than it took: however often people ask, others get their turn. */
const STANDS_MS = 2_000;
const PAUSE_PER_REPORT = 9;

export class QueueInspector {
  readonly #parts: QueueInspectorParts;
  #last: { readonly report: QueueReport; readonly until: number; text: string | undefined } | undefined;

  constructor(parts: QueueInspectorParts) {
    this.#parts = parts;
  }

  /** As of a moment ago; undefined until the whole cluster is known. */
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

  /** The same as JSON, written once: it may be megabytes. */
  reportText(): string | undefined {
    const report = this.report();
    if (!report || !this.#last) return undefined;
    this.#last.text ??= JSON.stringify(report);
    return this.#last.text;
  }

  /** Queues that are not used as they are written, one line each; nothing until the whole cluster is known. */
  warnings(): readonly string[] {
    const { scheduler, isReady } = this.#parts;
    return isReady() ? listQueueProblems(scheduler.queues).map(({ text }) => text) : [];
  }

  /** Brings the gauges up to date; until the whole cluster is known they stay as they are. */
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
      for (const { resource: plain, model, use, usage, guaranteed, limit } of amounts) {
        const labels = { queue, resource: dimensionOf(plain, model ?? undefined) };
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

export function createQueuesApp(inspector: QueueInspector): Hono {
  const app = new Hono();
  const notReady = { error: 'not ready yet: the cluster is being read; see /readyz?verbose' };
  app.get('/v1/queues', (c) => {
    const text = inspector.reportText();
    return text === undefined ? c.json(notReady, 503) : c.body(text, 200, { 'content-type': 'application/json' });
  });
  app.get('/v1/queues/:name', (c) => {
    const name = c.req.param('name');
    const report = inspector.report();
    if (!report) return c.json(notReady, 503);
    const narrow = narrowReport(report, name);
    if (narrow) return c.json(narrow);
    const known = report.queues.map((queue) => queue.name).join(', ');
    return c.json({ error: `expected a queue, found none named ${name}; there are ${known}` }, 404);
  });
  return app;
}

/** The queue and those below it; undefined: there is none of that name, not even a misconfigured one. */
function narrowReport(report: QueueReport, name: string): QueueReport | undefined {
  const inside = new Set([name]);
  // Each queue stands before those below it.
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

/** Of each queue and those below it: the longest wait in line, seconds, and when the first one is expected to start. */
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
