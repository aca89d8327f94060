/**
 * The least and the most of numbers of which users decide how many there are. `Math.min(...numbers)` puts each of them
 * on the stack, and some 120,000 of them overflow it.
 */

/** Infinity of none. */
export function leastOf(numbers: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const number of numbers) if (number < least) least = number;
  return least;
}

/** -Infinity of none. */
export function mostOf(numbers: Iterable<number>): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const number of numbers) if (number > most) most = number;
  return most;
}
