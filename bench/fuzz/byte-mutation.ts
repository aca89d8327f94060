/** Changes bytes without regard to what they mean. Bytes are written as latin1. */
import type { Dice } from './dice.ts';

const TOKENS: readonly string[] = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  '\\',
  '\n',
  '\r\n',
  '\0',
  '\xff',
  '\xc3\x28',
  '}]',
];

/** Makes between one and `most` changes. */
export function mutateBytes(text: string, dice: Dice, most = 4): string {
  let bytes = text;
  for (let left = dice.between(1, most); left > 0; left--) bytes = changeBytes(bytes, dice);
  return bytes;
}

function changeBytes(bytes: string, dice: Dice): string {
  const at = dice.below(bytes.length + 1);
  const length = Math.min(dice.size(8), bytes.length - at);
  const [head, middle, tail] = [bytes.slice(0, at), bytes.slice(at, at + length), bytes.slice(at + length)];
  switch (dice.below(7)) {
    case 0:
      return head;
    case 1:
      return head + tail;
    case 2:
      return head + middle + middle.repeat(dice.size(4)) + tail;
    case 3:
      return head + dice.pick(TOKENS) + middle + tail;
    case 4:
      return head + randomBytes(dice, dice.size(6)) + middle + tail;
    case 5:
      return head + String.fromCharCode((bytes.charCodeAt(at) || 0) ^ (1 << dice.below(8))) + bytes.slice(at + 1);
    default:
      return head + [...middle].reverse().join('') + tail;
  }
}

export function randomBytes(dice: Dice, length: number): string {
  return String.fromCharCode(...dice.times(length, () => dice.below(256)));
}

/** The bytes of a text. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
