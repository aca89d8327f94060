/**
 * The status of a `Queue` object: for people, and for the next process of Muster, which continues from the usage
 * written here. Amounts are decimal texts by dimension, in whole units (CPUs, bytes, GPUs), because CRDs should hold
 * no floats.
 *
 * The usage decays all the time. It is rounded to four digits, and a status is written only when its text changes.
 */
import { instantText } from '../objects/text-values.ts';
import { type Amounts, perUnit } from './amounts.ts';

/** The figures of a queue that the tree has. */
export interface QueueFigures {
  /** The instant of `usage`, milliseconds since the epoch. */
  readonly observedAt: number;
  /** Decayed mean. */
  readonly usage: Amounts;
  /** Held now. */
  readonly use: Amounts;
  /** Dominant share of the usage, 0..1. */
  readonly share: number;
  /** What its weight entitles it to, 0..1. */
  readonly entitled: number;
  /** Fair-share factor, 0..1. */
  readonly factor: number;
  /** Gangs. */
  readonly pending: number;
  readonly running: number;
}

export interface QueueStatus {
  /** Undefined: the written figures stay, so that a repaired queue continues with its usage. */
  readonly figures: QueueFigures | undefined;
  /** Why the queue is not used as it is; undefined: it is used. */
  readonly problem: string | undefined;
  /** What its operator probably did not mean, although the queue is in use; undefined: nothing. */
  readonly warning?: string | undefined;
}

type WrittenAmounts = Readonly<Record<string, string>>;

/** As the API server stores it. */
export interface RawQueueStatus {
  readonly observedAt?: string;
  readonly usage?: WrittenAmounts | null;
  readonly use?: WrittenAmounts | null;
  readonly share?: string;
  readonly entitled?: string;
  readonly factor?: string;
  readonly pending?: number;
  readonly running?: number;
  readonly conditions?: readonly RawQueueCondition[] | null;
}

interface RawQueueCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

const VALID = 'Valid';
const DIGITS = 4;
/** Smaller amounts are written as 0: a millionth of a GPU. */
const DECIMALS = 6;

/**
 * The merge patch that updates the written status; undefined when it is up to date.
 * @param now milliseconds since the epoch, for a condition that changes.
 */
export function patchStatus(
  { figures, problem, warning }: QueueStatus,
  written: RawQueueStatus | undefined,
  now: number,
): object | undefined {
  const before = written?.conditions?.find(({ type }) => type === VALID);
  const condition = renderCondition(problem, warning);
  const sameCondition = before?.status === condition.status && before.message === condition.message;
  const rendered = figures && renderFigures(figures);
  const sameFigures = rendered === undefined || isWritten(rendered, written);
  if (sameCondition && sameFigures) return undefined;
  const since = before?.status === condition.status ? before.lastTransitionTime : undefined;
  return {
    ...(rendered && {
      ...rendered,
      observedAt: instantText(figures.observedAt),
      usage: replacing(written?.usage, rendered.usage),
      use: replacing(written?.use, rendered.use),
    }),
    conditions: [{ ...condition, lastTransitionTime: since ?? instantText(now) }],
  };
}

/** Reads amounts back into base units. What is no number is left out: the status is ours, but anybody may edit it. */
export function readWrittenAmounts(written: WrittenAmounts | null | undefined): Amounts {
  const amounts = new Map<string, number>();
  for (const [dimension, text] of Object.entries(written ?? {})) {
    const amount = Number(text) * perUnit(dimension);
    if (amount > 0 && Number.isFinite(amount)) amounts.set(dimension, amount);
  }
  return amounts;
}

function renderFigures({ usage, use, share, entitled, factor, pending, running }: QueueFigures) {
  return {
    usage: renderAmounts(usage, (amount) => Number(amount.toPrecision(DIGITS))),
    use: renderAmounts(use, (amount) => amount),
    share: renderPart(share),
    entitled: renderPart(entitled),
    factor: renderPart(factor),
    pending,
    running,
  };
}

function isWritten(rendered: ReturnType<typeof renderFigures>, written: RawQueueStatus | undefined): boolean {
  const { usage, use, share, entitled, factor, pending, running } = written ?? {};
  return canonical({ usage, use, share, entitled, factor, pending, running }) === canonical(rendered);
}

interface Comparable {
  readonly usage: WrittenAmounts | null | undefined;
  readonly use: WrittenAmounts | null | undefined;
}

function canonical<T extends Comparable>({ usage, use, ...others }: T): string {
  const sorted = (amounts: WrittenAmounts | null | undefined) => Object.entries(amounts ?? {}).toSorted();
  return JSON.stringify([sorted(usage), sorted(use), Object.entries(others).toSorted()]);
}

function renderAmounts(amounts: Amounts, round: (amount: number) => number): WrittenAmounts {
  const rendered = [...amounts]
    .map(([dimension, amount]) => [dimension, decimal(round(amount / perUnit(dimension)))] as const)
    .filter(([, text]) => text !== '0');
  return Object.fromEntries(rendered);
}

function renderPart(part: number): string {
  return decimal(Number(part.toFixed(DIGITS)));
}

/** Without an exponent below 10^21. */
function decimal(value: number): string {
  return String(Number(value.toFixed(DECIMALS)));
}

/** A merge patch keeps what it does not name, so dimensions that are gone have to be null. */
function replacing(written: WrittenAmounts | null | undefined, next: WrittenAmounts): Record<string, string | null> {
  const gone = Object.keys(written ?? {}).filter((dimension) => next[dimension] === undefined);
  return { ...next, ...Object.fromEntries(gone.map((dimension) => [dimension, null])) };
}

function renderCondition(problem: string | undefined, warning: string | undefined): RawQueueCondition {
  if (problem !== undefined) return { type: VALID, status: 'False', reason: 'Misconfigured', message: problem };
  return warning === undefined
    ? { type: VALID, status: 'True', reason: 'InUse', message: 'the queue is in use' }
    : { type: VALID, status: 'True', reason: 'OpenGuarantee', message: warning };
}
