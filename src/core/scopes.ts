/**
 * Where a gang may be placed, from the tightest set of nodes to the widest: one domain that holds it whole (those with
 * members of the gang first, then the tightest), the fewest domains that hold it together, every node. O(classes x nodes).
 */
import type { RequestClass } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import { chooseFewest, countCapacities } from './placement.ts';
import type { Snapshot } from './snapshot.ts';
import type { Transaction } from './transaction.ts';

interface DomainCount {
  readonly index: number;
  /** How many members of each class the domain takes, each class for itself. */
  readonly totals: readonly number[];
  /** Accelerators that the members it takes would use, then the members: the less of both, the tighter the domain. */
  readonly accelerators: number;
  readonly sum: number;
}

/** More members than any node takes; a capacity that is not cut off tells how tight a domain is. */
const UNLIMITED = 2 ** 20;

/**
 * Candidate sets, each in the order of node names.
 * @param nearNodes nodes of members that are placed already.
 */
export function* listScopes(
  tx: Transaction,
  all: readonly RequestClass[],
  nearNodes: readonly string[],
): Generator<readonly NodeIdx[]> {
  const { byName, topology } = tx.snapshot;
  // Where a launcher runs does not matter to the fabric; members without accelerators count only when all are such.
  const onFabric = all.filter(({ accelerators }) => accelerators > 0);
  const classes = onFabric.length > 0 ? onFabric : all;
  if (topology.domains.length > 0) {
    const counted = countDomains(tx, classes);
    const near = countNear(tx.snapshot, nearNodes);
    const whole = counted
      .filter(({ totals }) => totals.every((total, i) => total >= classes[i]!.pods.length))
      .sort((a, b) => (near.get(b.index) ?? 0) - (near.get(a.index) ?? 0) || compareTightness(a, b));
    for (const { index } of whole) yield topology.domains[index]!.nodes;
    const fewest = chooseDomains(classes, counted, near);
    yield byName.filter((node) => fewest.has(topology.domainOf[node]!));
  }
  yield byName;
}

function countDomains(tx: Transaction, classes: readonly RequestClass[]): readonly DomainCount[] {
  const { byName, topology } = tx.snapshot;
  const totals = topology.domains.map(() => new Float64Array(classes.length));
  classes.forEach((members, i) => {
    const capacities = countCapacities(tx, members, byName, UNLIMITED);
    byName.forEach((node, position) => {
      const domain = topology.domainOf[node]!;
      if (domain >= 0) totals[domain]![i]! += capacities[position]!;
    });
  });
  return totals.map((perClass, index) => ({
    index,
    totals: [...perClass],
    accelerators: perClass.reduce((sum, total, i) => sum + total * classes[i]!.accelerators, 0),
    sum: perClass.reduce((sum, total) => sum + total, 0),
  }));
}

function compareTightness(a: DomainCount, b: DomainCount): number {
  return a.accelerators - b.accelerators || a.sum - b.sum || a.index - b.index;
}

/** The fewest domains that hold the gang's largest class; domains with members of the gang come first. */
function chooseDomains(
  classes: readonly RequestClass[],
  counted: readonly DomainCount[],
  near: ReadonlyMap<number, number>,
): ReadonlySet<number> {
  let largest = 0;
  classes.forEach((members, i) => {
    if (members.pods.length > classes[largest]!.pods.length) largest = i;
  });
  const home = counted.filter(({ index }) => near.has(index));
  const others = counted.filter(({ index }) => !near.has(index));
  const atHome = home.reduce((sum, { totals }) => sum + totals[largest]!, 0);
  const capacities = others.map(({ totals }) => totals[largest]!);
  const shares = chooseFewest(others, capacities, classes[largest]!.pods.length - atHome, () => 0);
  return new Set([...home, ...shares.map(({ item }) => item)].map(({ index }) => index));
}

/** How many placed members each domain has. */
function countNear({ indexOf, topology }: Snapshot, nodes: readonly string[]): ReadonlyMap<number, number> {
  const near = new Map<number, number>();
  for (const name of nodes) {
    const node = indexOf.get(name);
    const domain = node === undefined ? -1 : topology.domainOf[node]!;
    if (domain >= 0) near.set(domain, (near.get(domain) ?? 0) + 1);
  }
  return near;
}
