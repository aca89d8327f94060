/** The largest count, at least `least`, that holds, if every smaller one holds too. O(log `most`). */
export function countMost(least: number, most: number, holds: (count: number) => boolean): number {
  let [known, beyond] = [least, Math.max(least, most) + 1];
  while (beyond - known > 1) {
    // Most of the time all hold.
    const middle = beyond > most ? most : Math.floor((known + beyond) / 2);
    if (holds(middle)) known = middle;
    else beyond = middle;
  }
  return known;
}
