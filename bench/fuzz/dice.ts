/** Random choices of the fuzzer. A case depends on its seed, target and number only, so any case can be made again. */
import { Random } from '../random.ts';

export class Dice extends Random {
  /** The dice of one case. */
  static of(seed: number, target: string, index: number): Dice {
    let hash = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b);
    for (const char of `${target} ${index}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
    return new Dice(hash ^ (hash >>> 15));
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  /** An integer from `min` to `max`. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** A size up to 2^bits; small ones are as likely as large ones. */
  size(bits: number): number {
    return this.below(2 ** this.between(0, bits)) + 1;
  }

  /** `count` values. */
  times<T>(count: number, make: (i: number) => T): T[] {
    return Array.from({ length: count }, (_, i) => make(i));
  }
}
