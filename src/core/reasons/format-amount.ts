/** Amounts of resources as people read them: CPUs, bytes with a binary suffix, pieces of everything else. */
import { perUnit } from '../queues/amounts.ts';

const IN_BYTES = /^(?:memory|ephemeral-storage|hugepages-.+)$/;
const SUFFIXES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi'];

/** @param amount in base units. */
export function formatAmount(resource: string, amount: number): string {
  if (!IN_BYTES.test(resource)) return String(amount / perUnit(resource));
  let value = amount;
  let suffix = 0;
  for (; value >= 1024 && suffix < SUFFIXES.length - 1; suffix++) value /= 1024;
  return `${Number(value.toFixed(1))}${SUFFIXES[suffix]}`;
}
