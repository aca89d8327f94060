/** Values that programs mishandle: as texts, as keys, and as JSON that only a parser sees. */
import type { Dice } from './dice.ts';

const TEXTS: readonly string[] = [
  '',
  ' ',
  '0',
  '-1',
  '1',
  '2',
  '999999999',
  '2147483647',
  '2147483648',
  '9007199254740993',
  '1e9',
  '1e400',
  '0x10',
  '٣',
  '+1',
  '1.5',
  '00',
  'NaN',
  'Infinity',
  'null',
  'undefined',
  'true',
  'false',
  'True',
  '[object Object]',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'default/train',
  '/',
  '//',
  'a/b/c',
  '../../etc/passwd',
  '%',
  '%00',
  '%2e%2e',
  '\u0000',
  '\n',
  '\r\n\r\n',
  '"',
  '\\',
  "'",
  '{}',
  '{"a":1}',
  '[]',
  '\ud800',
  '\udfff\ud800',
  '\u202e',
  '\u2028',
  '🚀',
  'ﷺ',
  '1h',
  '1ms',
  '-1h',
  '99999999999999h',
  '1h1h1h',
  '2026-01-01T00:00:00Z',
  '0000-00-00T00:00:00Z',
  '275760-09-13T00:00:00.001Z',
  'p1/n0/1',
  'p1/n0/-1',
  '1-3,5',
  '0-999999999',
  'rack',
  'required',
  'host',
  'kubernetes.io/hostname',
];

export const KEYS: readonly string[] = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  'length',
  'then',
  'toJSON',
  '',
  '0',
  'Pod',
  'metadata',
  'uid',
  'NodeNames',
  'managedFields',
];

/** Texts of JSON values; not all of them are JSON. */
export const RAW_VALUES: readonly string[] = [
  '0',
  '-0',
  '-1',
  '1.5',
  '1e400',
  '-1e400',
  '1e-400',
  '2147483647',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '123456789012345678901234567890',
  'NaN',
  'Infinity',
  'undefined',
  '01',
  '.5',
  'true',
  'false',
  'null',
  '""',
  '"\\ud800"',
  '"\\u0000"',
  '[]',
  '{}',
  '[null]',
  '[[]]',
  '{"__proto__":{"x":1}}',
  '{"constructor":{"prototype":{"x":1}}}',
  '{"toString":1}',
  '{"length":-1}',
  '{"":{}}',
];

/** A text: from the list, long, or random characters. */
export function hostileText(dice: Dice): string {
  switch (dice.below(12)) {
    case 0:
      return dice.pick(['a', '9', '/', '-', ',', 'é', '\ud83d']).repeat(dice.size(14));
    case 1:
      return String.fromCharCode(...dice.times(dice.size(5), () => dice.below(65_536)));
    case 2:
      return dice.pick(TEXTS) + dice.pick(TEXTS);
    case 3:
      return String(dice.between(-5, 300));
    default:
      return dice.pick(TEXTS);
  }
}

/** The text of a value that is nested deeply. */
export function nested(dice: Dice): string {
  const depth = dice.size(dice.once(20) ? 16 : 10);
  const [open, close] = dice.pick([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"metadata":', '}]'],
  ] as const);
  return open.repeat(depth) + dice.pick(RAW_VALUES) + close.repeat(depth);
}
