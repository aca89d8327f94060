/** The instants at which a gang may start: when something leaves, or when more becomes good enough for it. */
import type { Departure } from './departures.ts';
import type { PlannedStart } from './planned-start.ts';

export interface TimeStep {
  /** Milliseconds since the epoch; Infinity: after everybody of known end. */
  readonly at: number;
  /** Ends up to then are over: before `at` only while pods are still there whose end is over, or is now. */
  readonly from: number;
  /** How many departures, the first ones, have left. */
  readonly gone: number;
}

/** When all known ends are over; `endsAt` of the endless is still after it. */
export const AFTER_ALL: Omit<TimeStep, 'gone'> = { at: Number.POSITIVE_INFINITY, from: Number.MAX_VALUE };

/**
 * In the order of time. The first one is now, with everybody still there.
 * @param departures in the order in which they leave.
 * @param patientUntil from then on a wider domain will do.
 */
export function listTimeSteps(
  departures: readonly Departure[],
  earlier: readonly PlannedStart[],
  patientUntil: number | undefined,
  now: number,
): readonly TimeStep[] {
  const ends = departures.map(({ ending }) => Math.max(now, ending.endsAt));
  // Where an earlier start begins, nothing is gained; but what is lost there is looked up by instant.
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
 * At which steps the accelerators of all nodes together are enough for as long as the gang runs, beside earlier starts: necessary.
 * O(steps x (steps + starts)).
 */
export class AcceleratorSupply {
  readonly #steps: readonly TimeStep[];
  /** What is free at each step beside the starts that run then. */
  readonly #free: readonly number[];

  /** @param free now, of all nodes; upon it comes what the departures hold and go what the starts take. */
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
        // A start that was due before may have slots that nobody knows the end of: it takes less than it asks for.
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
 * The first of the items that the probe answers for. The first `linear` are probed one by one. What follows counts as monotone: whoever
 * comes after one that is answered for is, too. Then at most 2 log2(items) + 1 probes are made, fewer the nearer the answer.
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
