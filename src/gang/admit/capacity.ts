/** What all nodes of the cluster have, as queues count it. */
import type { IsAccelerator } from '../../core/objects/accelerators.ts';
import { type Amounts, addTo, dimensionOf } from '../../core/queues/amounts.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';

/** O(nodes × resources). */
export function capacityOf({ columns, allocatable, byName, pools }: Snapshot, isAccelerator: IsAccelerator): Amounts {
  const amounts = new Map<string, number>();
  for (const [resource, column] of columns) {
    const values = allocatable[column]!;
    for (const row of byName) {
      addTo(amounts, resource, values[row]!);
      const model = pools.pools[pools.poolOf[row]!]!.model;
      if (model !== '' && isAccelerator(resource)) addTo(amounts, dimensionOf(resource, model), values[row]!);
    }
  }
  return amounts;
}
