/** Callers in tests without a server in between: everybody may do everything. */
import type { Access } from '../../src/http/access/access.ts';
import { fullSight, sightOfNamespaces } from '../../src/http/access/sight.ts';

/** What the routes ask about who calls. */
export type CallerAccess = Pick<Access, 'refuseDecision' | 'sightOf' | 'refuseNodes' | 'refuseMetrics' | 'seesDetails'>;

export const openAccess: CallerAccess = {
  refuseDecision: () => undefined,
  sightOf: async (_, namespaces) => (namespaces.length === 0 ? fullSight : sightOfNamespaces(namespaces, true)),
  refuseNodes: async () => undefined,
  refuseMetrics: async () => undefined,
  seesDetails: async () => true,
};
