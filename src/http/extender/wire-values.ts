/** JSON values of a call: what they must be, and how an error says what was found. */
import { cutText } from '../../core/objects/text-values.ts';

/** A request that cannot be served; the message says what was expected, what was found and what to do. */
export class WireError extends Error {}

/** Longest name of an object, and longest UID, that the API server accepts. */
const MAX_NAME = 253;
/** Printable ASCII without spaces, quotes and backslashes: JSON writes such a text as it is. */
const PLAIN = /^[!#-[\]-~]+$/;
/** A pod has some twenty levels; what is deeper would exhaust the stack of whoever walks through it. */
const MAX_DEPTH = 64;

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);
const OPEN_LIST = '['.charCodeAt(0);
const CLOSE_LIST = ']'.charCodeAt(0);
const OPEN_OBJECT = '{'.charCodeAt(0);
const CLOSE_OBJECT = '}'.charCodeAt(0);

/** Whether the value could be the name of a node, or the name, namespace or UID of a pod. */
export function isPlainName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_NAME && PLAIN.test(value);
}

/** @throws WireError unless the text is JSON, of a depth that can be walked through. */
export function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw new WireError(`expected JSON of at most ${MAX_DEPTH} levels, found more`);
  try {
    return JSON.parse(text);
  } catch {
    throw new WireError(`expected a JSON body, found ${text === '' ? 'nothing' : JSON.stringify(text.slice(0, 80))}`);
  }
}

/** Counts brackets outside of strings; of what is not JSON it says anything. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === OPEN_OBJECT || code === OPEN_LIST) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === CLOSE_OBJECT || code === CLOSE_LIST) depth--;
  }
  return false;
}

/** The place of the quote that ends the string; the end of the text where none does. */
function endOfString(text: string, begin: number): number {
  for (let end = text.indexOf('"', begin + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let first = end;
    while (text.charCodeAt(first - 1) === BACKSLASH) first--;
    if ((end - first) % 2 === 0) return end;
  }
  return text.length;
}

/** The value in a few words: whoever calls decides how large it is. */
export function describeFound(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? JSON.stringify(cutText(value)) : String(value);
}
