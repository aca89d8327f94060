/**
 * Makes a failing case smaller: leaves out pieces, then parts of pieces, as long as it still fails. JSON in a piece is
 * cut by its structure first, so that the rest stays JSON.
 */
import type { Case } from './target.ts';

/** Whether the case still fails in the same way. */
export type StillFails = (pieces: Case) => Promise<boolean>;

/** @param tries how often `stillFails` may be asked. */
export async function shrink(pieces: Case, stillFails: StillFails, tries: number): Promise<Case> {
  let left = tries;
  const ask: StillFails = async (smaller) => left-- > 0 && (await stillFails(smaller));
  const isSpent = () => left <= 0;
  let best = await leaveOut(pieces, ask, isSpent);
  for (let at = 0; at < best.length && !isSpent(); at++) {
    const put = (piece: string) => best.with(at, piece);
    best = put(await shrinkJson(best[at]!, (piece) => ask(put(piece))));
    const parts = await leaveOut([...best[at]!], (chars) => ask(put(chars.join(''))), isSpent);
    best = put(parts.join(''));
  }
  return best;
}

/**
 * Leaves out runs of items, long ones first: halves, quarters and so on down to single items.
 * @param isSpent ends it: a piece may have millions of characters, and trying each costs hours even if nobody is asked.
 */
async function leaveOut(
  items: readonly string[],
  stillFails: (items: readonly string[]) => Promise<boolean>,
  isSpent: () => boolean,
) {
  let best = items;
  for (let length = Math.ceil(best.length / 2); length >= 1 && !isSpent(); length = Math.floor(length / 2)) {
    for (let at = 0; at < best.length && !isSpent(); ) {
      const smaller = best.toSpliced(at, length);
      if (smaller.length < best.length && (await stillFails(smaller))) best = smaller;
      else at += length;
    }
  }
  return best;
}

/** Shrinks the JSON document with which the piece ends, if it ends with one. */
async function shrinkJson(piece: string, stillFails: (piece: string) => Promise<boolean>): Promise<string> {
  const start = piece.search(/[[{]/);
  if (start === -1) return piece;
  const [head, document] = [piece.slice(0, start), parse(piece.slice(start))];
  if (document === undefined) return piece;
  const write = (value: unknown) => head + JSON.stringify(value);
  if (!(await stillFails(write(document)))) return piece;
  let best: unknown = document;
  // Each round removes one member that is not needed, from the outside in.
  for (let progress = true; progress; ) {
    progress = false;
    for (const smaller of listSmaller(best)) {
      if (!(await stillFails(write(smaller)))) continue;
      best = smaller;
      progress = true;
      break;
    }
  }
  return write(best);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The value with one member less, outer members first. */
function* listSmaller(value: unknown): Generator<unknown> {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const at of value.keys()) yield value.toSpliced(at, 1);
    for (const [at, member] of value.entries())
      for (const smaller of listSmaller(member)) yield value.with(at, smaller);
  } else {
    const entries = Object.entries(value);
    for (const at of entries.keys()) yield Object.fromEntries(entries.toSpliced(at, 1));
    for (const [at, [key, member]] of entries.entries())
      for (const smaller of listSmaller(member)) yield Object.fromEntries(entries.with(at, [key, smaller]));
  }
}
