/**
 * The instants at which a gang may start: when pods leave, or when a wider domain becomes good enough. O(departures
 * log departures) to list.
 */
import type { Departure } from './departures.ts';
import type { PlannedStart } from './planned-start.ts';

export interface TimeStep {
  /** Milliseconds since the epoch; Infinity: after all known ends. */
  readonly at: number;
  /** Ends up to this instant are over. It is before `at` only while pods are still there whose end is past or now. */
  readonly from: number;
  /** How many departures have left, the first ones of the list. */
  readonly gone: number;
}

/** After all known ends. An `endsAt` of Infinity is still later. */
export const AFTER_ALL: Omit<TimeStep, 'gone'> = { at: Number.POSITIVE_INFINITY, from: Number.MAX_VALUE };

/**
 * In the order of time. The first step is now, with all pods still there.
 * @param departures in the order in which they leave.
 * @param patientUntil when a wider domain becomes good enough.
 */
export function listTimeSteps(
  departures: readonly Departure[],
  earlier: readonly PlannedStart[],
  patientUntil: number | undefined,
  now: number,
): readonly TimeStep[] {
  const ends = departures.map(({ ending }) => Math.max(now, ending.endsAt));
  // Nothing is gained where an earlier start begins, but what is lost there is looked up by instant.
  const others = [...earlier.flatMap(({ startsAt, endsAt }) => [startsAt, endsAt]), patientUntil ?? now];
  const instants = [...ends, ...others.filter((at) => at > now)].filter(Number.isFinite);
  const steps: TimeStep[] = [{ at: now, from: Number.NEGATIVE_INFINITY, gone: 0 }];
  let gone = 0;
  for (const at of [...new Set(instants)].sort((a, b) => a - b)) {
    while (gone < ends.length && ends[gone]! <= at) gone++;
    steps.push({ at, from: at, gone });
  }
  return steps;
}

/**
 * Tells at which steps all nodes together have enough accelerators for as long as the gang runs, beside earlier
 * starts: a necessary condition. O(steps x (steps + starts)) to make.
 */
export class AcceleratorSupply {
  readonly #steps: readonly TimeStep[];
  /** What is free at each step beside the starts that run then. */
  readonly #free: readonly number[];

  /** @param free accelerators of all nodes now. Departures add what they hold, starts take away. */
  constructor(
    steps: readonly TimeStep[],
    free: number,
    held: readonly number[],
    starts: readonly { readonly start: PlannedStart; readonly takes: number }[],
  ) {
    const now = steps[0]!.at;
    const freed = [0];
    for (const amount of held) freed.push(freed.at(-1)! + amount);
    this.#steps = steps;
    this.#free = steps.map(({ at, gone }) => {
      let left = free + freed[gone]!;
      for (const { start, takes } of starts) {
        // A start that was due before may have slots on nodes whose pods have no known end: it takes less than it
        // asks for.
        if (now < start.startsAt && start.startsAt <= at && at < start.endsAt) left -= takes;
      }
      return left;
    });
  }

  isEnough(step: number, demand: number, lengthMs: number): boolean {
    const until = this.#steps[step]!.at + lengthMs;
    for (let i = step; i < this.#steps.length; i++) {
      if (i > step && this.#steps[i]!.at >= until) break;
      if (this.#free[i]! < demand) return false;
    }
    return true;
  }
}

/**
 * Finds the first item for which the probe has an answer. The first `linear` items are probed one by one. After them
 * answers count as monotone: every item after one with an answer has one, too. Then at most 2 log2(items) + 1 probes
 * are made, fewer the nearer the answer is.
 */
export function findFirst<Item, Value>(
  items: readonly Item[],
  linear: number,
  probe: (item: Item) => Value | undefined,
): { readonly item: Item; readonly value: Value } | undefined {
  const found = (at: number, value: Value) => ({ at, item: items[at]!, value });
  const ask = (at: number) => {
    const value = probe(items[at]!);
    return value === undefined ? undefined : found(at, value);
  };
  for (let at = 0; at < Math.min(linear, items.length); at++) {
    const answer = ask(at);
    if (answer) return answer;
  }
  if (items.length <= linear) return undefined;
  let best = ask(items.length - 1);
  if (!best) return undefined;
  let none = linear - 1;
  for (let stride = 1; none + stride < best.at; stride *= 2) {
    const answer = ask(none + stride);
    if (answer) best = answer;
    else none += stride;
  }
  while (none + 1 < best.at) {
    const middle = (none + best.at) >> 1;
    const answer = ask(middle);
    if (answer) best = answer;
    else none = middle;
  }
  return best;
}
