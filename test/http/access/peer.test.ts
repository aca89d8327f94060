/** Names in certificates. */
import { expect, test } from 'vitest';
import { readAlternativeNames } from '../../../src/http/access/peer.ts';

test.each([
  ['nothing', '', []],
  ['one DNS name', 'DNS:localhost', ['localhost']],
  ['an IP address, which names nobody', 'DNS:a, IP Address:127.0.0.1', ['a']],
  ['a URI and an email address', 'URI:spiffe://cluster/ns/a, email:a@b.c', ['spiffe://cluster/ns/a', 'a@b.c']],
  [
    'a quoted name that contains what looks like another one',
    'DNS:"x, DNS:system:kube-scheduler"',
    ['x, DNS:system:kube-scheduler'],
  ],
  ['a quoted name with an escaped quote', 'DNS:"x\\", DNS:y", DNS:z', ['x", DNS:y', 'z']],
  ['another kind of name', 'othername:<unsupported>, DirName:CN = system:kube-scheduler', []],
])('%s is read', (_, text, names) => {
  expect(readAlternativeNames(text)).toEqual(names);
});
