/*
 * What a plan costs, counted in looks at nodes: linear in the nodes where it can be, bounded where it cannot. The gangs are
 * the kind of which one kept Muster busy for a second, or for half a minute.
 */
import { describe, expect, test } from 'vitest';
import { NodeTable } from '../../../src/cluster/node-table.ts';
import type { MemberRequest } from '../../../src/core/placement/gang-request.ts';
import { planGang } from '../../../src/core/placement/plan.ts';
import { SearchEffort } from '../../../src/core/placement/search-effort.ts';
import type { Snapshot } from '../../../src/core/snapshot/snapshot.ts';
import type { TopologyRequest } from '../../../src/core/topology/request.ts';
import { aNode, aPod } from '../../support/builders.ts';
import { aGang, members } from '../../support/gangs.ts';

const policy = { isAccelerator: (resource: string) => resource.startsWith('nvidia.com/'), score: 'best-fit' } as const;

/** Racks of 16 nodes; one of the 8 GPUs of each node is in use. */
function aCluster(nodes: number): Snapshot {
  const table = new NodeTable([{ name: 'rack', label: 'x/rack' }]);
  for (let i = 0; i < nodes; i++) {
    table.applyNode(aNode({ name: `n${i}`, labels: { 'x/rack': `r${i >> 4}` } }));
    table.addPod(aPod({ name: `f${i}`, nodeName: `n${i}`, gpus: 1, cpu: 1, memory: 0 }));
  }
  return table.snapshot();
}

/** Members of several kinds, one kind after the other in rank. */
function kinds(...rows: readonly { count: number; gpus: number; cpu?: number }[]): readonly MemberRequest[] {
  return rows
    .flatMap(({ count, gpus, cpu = 4 }, i) => members(count, { name: `kind-${i}`, gpus, cpu, memory: 0 }))
    .map((member, rank) => ({ ...member, rank }));
}

function looksFor(snapshot: Snapshot, of: readonly MemberRequest[], topology: Partial<TopologyRequest>) {
  const effort = SearchEffort.for(snapshot.byName.length, of.length);
  const { kind } = planGang(snapshot, aGang(of, { topology }), policy, 0, effort);
  return { kind, looks: effort.looks };
}

describe('a plan of several kinds', () => {
  const leader = kinds({ count: 1, gpus: 1, cpu: 8 }, { count: 7, gpus: 1 });

  test('tries no host that the sums rule out: a leader and 7 workers need 8 GPUs of one host', () => {
    const few = looksFor(aCluster(200), leader, { required: 'host' });
    const many = looksFor(aCluster(2_000), leader, { required: 'host' });
    expect(few.kind).toBe('unschedulable');
    // The roomiest hosts only, to say how many members fit.
    expect(many.looks).toBe(few.looks);
    expect(many.looks).toBeLessThan(2_000);
  });

  test('is placed at the first try where it fits', () => {
    const { kind, looks } = looksFor(aCluster(2_000), kinds({ count: 1, gpus: 1, cpu: 8 }, { count: 6, gpus: 1 }), {
      required: 'host',
    });
    expect(kind).toBe('placed');
    expect(looks).toBeLessThan(100);
  });

  test('tries no block without room for its slices: no host has 8 free GPUs', () => {
    const of = Array.from({ length: 64 }, (_, rank) => ({
      ...kinds({ count: 1, gpus: 1, cpu: 1 + (rank % 6) })[0]!,
      rank,
    }));
    const slice = { size: 8, level: 'host' };
    const distinct = of.map((member, rank) => ({
      ...member,
      name: `m-${rank}`,
      uid: `uid-${rank}` as typeof member.uid,
    }));
    const { kind, looks } = looksFor(aCluster(2_000), distinct, { required: 'rack', slice });
    expect(kind).toBe('unschedulable');
    expect(looks).toBeLessThan(10_000);
  });

  test('gives up after a bounded search where only trying tells: 5 and 4 of 7 GPUs fit by the sum, not by the node', () => {
    const odd = kinds(...Array.from({ length: 8 }, (_, i) => ({ count: 3, gpus: i < 5 ? 5 : 4, cpu: 1 + i })));
    const effort = new SearchEffort(10_000);
    const plan = planGang(aCluster(4_000), aGang(odd, { topology: { required: 'rack' } }), policy, 0, effort);
    expect(plan.kind).toBe('unschedulable');
    // All 250 racks would be 100,000.
    expect(effort.looks).toBeGreaterThan(10_000);
    expect(effort.looks).toBeLessThan(20_000);
  });

  test('a narrow search in vain leaves the wider level its share', () => {
    const odd = kinds(...Array.from({ length: 8 }, (_, i) => ({ count: 3, gpus: i < 5 ? 5 : 4, cpu: 1 + i })));
    const plan = planGang(aCluster(4_000), aGang(odd), policy, 0, new SearchEffort(10_000));
    expect(plan.kind).toBe('placed');
  });
});
