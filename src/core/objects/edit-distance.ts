/**
 * Finds the known word that a misspelt one most likely stands for. The distance counts inserted, missing and wrong
 * letters and swapped neighbours; case, `-`, `_` and `.` count for nothing. O(letters²) for each known word.
 */

/** No known word is longer, so a longer one resembles none. */
const MAX_LETTERS = 64;

/** The known word with the fewest mistakes, the first of equals; undefined if it takes more than one for each four letters. */
export function findNearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > MAX_LETTERS) return undefined;
  const letters = simplify(word);
  let nearest: string | undefined;
  let least = Math.max(1, Math.floor(letters.length / 4)) + 1;
  for (const candidate of known) {
    const other = simplify(candidate);
    // Each letter too many or too few is a mistake.
    if (Math.abs(other.length - letters.length) >= least) continue;
    const mistakes = countMistakes(letters, other);
    if (mistakes >= least) continue;
    least = mistakes;
    nearest = candidate;
  }
  return nearest;
}

function simplify(word: string): string {
  return word.toLowerCase().replaceAll(/[-_.]/g, '');
}

/** Row by row; a row has the mistakes between the first letters of `a` and each beginning of `b`. */
function countMistakes(a: string, b: string): number {
  let before: readonly number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let least = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1));
      const areSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (areSwapped) least = Math.min(least, before[j - 2]! + 1);
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
