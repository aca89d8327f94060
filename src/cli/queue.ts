/** `muster queue`: fetches the queue report and formats the line, the expected starts or the tree. */
import type { Reason } from '../core/reasons/explain.ts';
import type { WaitingItem } from '../http/inspect/queue-gangs.ts';
import type { QueueAmounts, QueueItem, QueueReport } from '../http/inspect/queue-report.ts';
import { formatAge } from './age.ts';
import { addressOf, type Fetch, fetchJson } from './fetch-json.ts';
import { formatMembers } from './members.ts';
import { formatTable } from './table.ts';

const left = (title: string) => ({ title, align: 'left' }) as const;
const right = (title: string) => ({ title, align: 'right' }) as const;
const GANG_COLUMNS = [right('POSITION'), left('QUEUE'), left('NAMESPACE'), left('NAME')];
const LINE_COLUMNS = [
  ...GANG_COLUMNS,
  right('MEMBERS'),
  right('GPUS'),
  right('PRIORITY'),
  left('WAITING'),
  left('REASON'),
];
const START_COLUMNS = [
  ...GANG_COLUMNS,
  right('GPUS'),
  left('START (ESTIMATED)'),
  left('IN'),
  left('BASIS'),
  left('RUNS FOR'),
  left('BASIS'),
];
const QUEUE_COLUMNS = [
  left('QUEUE'),
  right('WEIGHT'),
  right('ENTITLED'),
  right('SHARE'),
  right('PENDING'),
  right('RUNNING'),
  left('RESOURCE'),
  right('USE'),
  right('GUARANTEED'),
  right('LIMIT'),
];

/**
 * Fetches the queues of a running Muster.
 * @param name only this queue and those below it. @param namespace only gangs in this one.
 * @throws Error that says what to do when there is no answer or not the expected one.
 */
export function fetchQueues(
  fetch: Fetch,
  baseUrl: string,
  { name, namespace }: { readonly name: string | undefined; readonly namespace: string | undefined },
): Promise<QueueReport> {
  const path = name === undefined ? '/v1/queues' : `/v1/queues/${encodeURIComponent(name)}`;
  return fetchJson(fetch, addressOf(path, baseUrl, namespace), { what: 'a list of queues', has: 'queues' });
}

/** The waiting gangs in order. GPUS counts all accelerators that a gang needs to start, or to go on. */
export function formatLine({ waiting }: QueueReport, now: number): string {
  const rows = waiting.map((item) => [
    ...cellsOf(item),
    formatMembers(item.state, item.members),
    String(item.accelerators),
    String(item.priority),
    formatAge(now - Date.parse(item.since)),
    shortReason(item.because),
  ]);
  return formatTable(LINE_COLUMNS, rows);
}

/** Expected starts and run times of the waiting gangs. */
export function formatStarts({ waiting }: QueueReport, now: number): string {
  const rows = waiting.map((item) => {
    const { start, runLength, accelerators } = item;
    return [
      ...cellsOf(item),
      String(accelerators),
      ...(start ? [start.at, formatAge(Date.parse(start.at) - now), start.basis] : ['unknown', '', '']),
      ...(runLength ? [formatAge(runLength.seconds * 1000), runLength.basis] : ['unknown', '']),
    ];
  });
  return formatTable(START_COLUMNS, rows);
}

function cellsOf({ position, queue, namespace, name }: WaitingItem): readonly string[] {
  return [position === null ? '-' : String(position), queue, namespace, name];
}

/** The tree in ASCII: one line per queue, and more for queues with several resources to show. */
export function formatTree({ queues }: QueueReport): string {
  const names = new Set(queues.map(({ name }) => name));
  const roots = queues.filter(({ parent }) => parent === null || !names.has(parent));
  return formatTable(QUEUE_COLUMNS, [...drawQueues(queues, roots, '', true)]);
}

function* drawQueues(
  all: readonly QueueItem[],
  siblings: readonly QueueItem[],
  trunk: string,
  areRoots = false,
): Generator<readonly string[]> {
  for (const [index, queue] of siblings.entries()) {
    const isLast = index === siblings.length - 1;
    const children = all.filter(({ parent }) => parent === queue.name);
    const [branch, below] = areRoots ? ['', ''] : isLast ? ['`- ', '   '] : ['|- ', '|  '];
    const { name, weight, entitled, share, pending, running } = queue;
    const [first = ['', '', '', ''], ...others] = queue.amounts.filter(isOfInterest).map(describeAmounts);
    const figures = [weight, percent(entitled), percent(share), pending, running].map(String);
    yield [`${trunk}${branch}${name}`, ...figures, ...first];
    const stem = `${trunk}${below}${children.length > 0 ? '|' : ''}`.trimEnd();
    for (const cells of others) yield [stem, '', '', '', '', '', ...cells];
    yield* drawQueues(all, children, trunk + below);
  }
}

/** Accelerators of any model, and every resource with a quota. */
function isOfInterest({ accelerator, model, guaranteed, limit }: QueueAmounts): boolean {
  return (accelerator && model === null) || guaranteed > 0 || limit !== null;
}

function describeAmounts({ resource, model, use, guaranteed, limit }: QueueAmounts): readonly string[] {
  const name = model === null ? resource : `${resource} ${model}`;
  return [name, String(use), guaranteed > 0 ? String(guaranteed) : '-', limit === null ? '-' : String(limit)];
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)}%`;
}

/** One word, with the name it refers to; `muster gangs` shows the whole sentence. */
function shortReason(reason: Reason | null): string {
  switch (reason?.kind) {
    case undefined:
      return '';
    case 'gathering':
      return 'Members';
    case 'problems':
      return 'Invalid';
    case 'queued':
      return 'Queued';
    case 'unschedulable':
      return 'Resources';
    case 'unsatisfiable':
      return 'Unsatisfiable';
    case 'beyond-quota':
      return `Unsatisfiable(${reason.refusal.queue})`;
    case 'held':
      return 'Held';
    case 'queue':
      return 'InvalidQueue';
    case 'quota':
      return `Quota(${reason.refusal.queue})`;
    case 'over-time':
      return 'RunTimeOver';
    case 'outruns-barrier':
      return 'BarrierTimeout';
    case 'behind':
      return `Behind(${reason.gang})`;
    case 'nominated':
      return 'Starting';
    case 'backing-off':
      return 'BackOff';
    case 'preempting':
      return 'Preempting';
    case 'preempted':
      return `Preempted(${reason.by})`;
    case 'incomplete':
      return 'Incomplete';
    case 'growing':
      return 'Jobs';
    case 'settling':
      return 'Settling';
    case 'members-wait':
      return 'Growing';
    case 'later-runs':
      return 'LaterRuns';
    default:
      return reason satisfies never;
  }
}
