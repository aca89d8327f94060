/** Divides the nodes of a cluster among tenants. */

/**
 * Whole nodes in proportion to the shares, by largest remainder. Each tenant gets at least one, at the expense of those
 * furthest above their share. Ties are broken by name.
 * @param shares above 0, with any sum.
 */
export function divideNodes(shares: ReadonlyMap<string, number>, nodes: number): ReadonlyMap<string, number> {
  if (shares.size > nodes) throw new Error(`expected a node for each of ${shares.size} tenants, found ${nodes}`);
  const sum = [...shares.values()].reduce((total, share) => total + share, 0);
  const claims = [...shares].map(([tenant, share]) => {
    const exact = (nodes * share) / sum;
    return { tenant, exact, nodes: Math.max(1, Math.floor(exact)) };
  });
  for (let left = nodes - claims.reduce((total, claim) => total + claim.nodes, 0); left !== 0; ) {
    const step = Math.sign(left);
    const payers = claims.filter((claim) => step > 0 || claim.nodes > 1);
    payers.sort((a, b) => step * (b.exact - b.nodes - (a.exact - a.nodes)) || (a.tenant < b.tenant ? -1 : 1));
    payers[0]!.nodes += step;
    left -= step;
  }
  return new Map(claims.map((claim) => [claim.tenant, claim.nodes]));
}
