/** Which addresses count as one caller. */
import { isIPv6 } from 'node:net';

const MAPPED = /^(?:0{0,4}:){2,5}ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * An IPv4 address counts by itself, an IPv6 address by its network of 64 bits: whoever has one address of such a network has
 * all of them. An IPv4 address that is mapped into IPv6 counts as itself.
 */
export function groupOfAddress(address: string): string {
  const [plain = ''] = address.split('%');
  if (!isIPv6(plain)) return address;
  const mapped = MAPPED.exec(plain);
  if (mapped) return mapped[1]!;
  const [head = '', tail] = plain.toLowerCase().split('::');
  const first = wordsOf(head);
  const last = tail === undefined ? [] : wordsOf(tail);
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const words = [...first, ...Array.from({ length: zeros }, () => '0'), ...last];
  return `${words
    .slice(0, 4)
    .map((word) => Number.parseInt(word, 16).toString(16))
    .join(':')}::/64`;
}

/** The words of 16 bits; an IPv4 address at the end is two of them. */
function wordsOf(part: string): readonly string[] {
  return part === '' ? [] : part.split(':').flatMap((word) => (word.includes('.') ? ['0', '0'] : [word]));
}
