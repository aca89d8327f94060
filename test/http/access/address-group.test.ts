/** Which addresses count as one caller. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { groupOfAddress } from '../../../src/http/access/address-group.ts';

test.each([
  ['an IPv4 address', '10.1.2.3', '10.1.2.3'],
  ['one that is mapped into IPv6', '::ffff:10.1.2.3', '10.1.2.3'],
  ['one that is mapped, in full', '0:0:0:0:0:FFFF:10.1.2.3', '10.1.2.3'],
  ['an IPv6 address', '2001:DB8:a:b:1:2:3:4', '2001:db8:a:b::/64'],
  ['another one of its network', '2001:db8:a:b::9', '2001:db8:a:b::/64'],
  ['leading zeros', '2001:0db8:000a:0b::9', '2001:db8:a:b::/64'],
  ['zeros left out at the front', '::1', '0:0:0:0::/64'],
  ['zeros left out in the network', '2001::b:1:2:3:4', '2001:0:0:b::/64'],
  ['an address of a link, with its zone', 'fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['IPv4 at the end', '64:ff9b:1:2::10.1.2.3', '64:ff9b:1:2::/64'],
  ['nothing', '', ''],
])('%s', (_, address, group) => {
  expect(groupOfAddress(address)).toBe(group);
});

test('all addresses of a network are one, however they are written', () => {
  const word = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 4, maxLength: 4 }),
      fc.array(word, { minLength: 4, maxLength: 4 }),
      (net, host) => {
        const hex = (words: readonly number[]) => words.map((value) => value.toString(16)).join(':');
        expect(groupOfAddress(`${hex(net)}:${hex(host)}`)).toBe(groupOfAddress(`${hex(net)}::`));
        const other = net.with(3, net[3]! ^ 1);
        expect(groupOfAddress(`${hex(other)}:${hex(host)}`)).not.toBe(groupOfAddress(`${hex(net)}:${hex(host)}`));
      },
    ),
  );
});
