/** Which earlier lists of CAs the current one still stands for. */
import { expect, test } from 'vitest';
import { CallerAuthorities } from '../../../src/http/server/tls-reload.ts';

const pem = (...names: readonly string[]) =>
  names.map((name) => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`).join('');

test.each<[string, readonly string[], string, boolean]>([
  ['the same list', [], pem('a'), true],
  ['a list that has grown', [pem('a', 'b')], pem('a'), true],
  ['a list that has grown twice', [pem('a', 'b'), pem('a', 'b', 'c')], pem('a'), true],
  ['a list in another order, with comments', [`# both\n${pem('b', 'a')}`], pem('a'), true],
  ['another list', [pem('b')], pem('a'), false],
  ['a list from which one was taken', [pem('a', 'b'), pem('b')], pem('a', 'b'), false],
  ['a list to which it came back', [pem('b'), pem('a', 'b')], pem('a'), false],
])('after %s', (_, later, earlier, stands) => {
  const authorities = new CallerAuthorities(pem('a'));
  for (const list of later) authorities.replace(list);
  expect(authorities.stillVerify(earlier)).toBe(stands);
});
