/** What a caller of the inspect API may see. */

export interface Sight {
  /** Every gang. The others see the queues only by their sums, and nothing of other namespaces' gangs. */
  readonly everything: boolean;
  shows(namespace: string): boolean;
}

export const fullSight: Sight = { everything: true, shows: () => true };

/** @param everything false where the caller's rights end with these namespaces. */
export function sightOfNamespaces(namespaces: readonly string[], everything: boolean): Sight {
  const seen = new Set(namespaces);
  return { everything, shows: (namespace) => seen.has(namespace) };
}
