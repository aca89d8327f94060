/**
 * What a bound member carries as `muster.dev/placement`: three words, `<plan> <path> <rank>`. The path has one part
 * for each topology level and ends with the node; `-` is an unknown level: `m1k2j3 block-2/rack-7/node-12 5`. It is
 * written in the Binding, so it exists before any container starts, and it never changes.
 */
import { wholeNumber } from './text-values.ts';
export interface PlacementRecord {
  readonly plan: string;
  /** Domain names, outer to inner; the last one is the node. */
  readonly path: string;
  readonly rank: number;
}

/** The annotation's value. No part may contain a blank; label values, node names and plan names never do. */
export function renderPlacement({ plan, path, rank }: PlacementRecord): string {
  return `${plan} ${path} ${rank}`;
}

/** Undefined for a text that Muster did not write. */
export function parsePlacement(text: string): PlacementRecord | undefined {
  const words = text.split(' ');
  const [plan, path] = words;
  const rank = wholeNumber(words[2]);
  return words.length === 3 && plan && path && rank !== undefined ? { plan, path, rank } : undefined;
}
