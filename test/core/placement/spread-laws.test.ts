/** Members with spread constraints go where a simple search by kube-scheduler's rule puts them, one after the other. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NodeTable } from '../../../src/cluster/node-table.ts';
import type { SpreadConstraint } from '../../../src/core/objects/model.ts';
import { classify, type MemberClass } from '../../../src/core/placement/member-classes.ts';
import { fillSpread } from '../../../src/core/placement/spread-constraints.ts';
import type { Snapshot } from '../../../src/core/snapshot/snapshot.ts';
import { Transaction } from '../../../src/core/snapshot/transaction.ts';
import type { NodeIdx } from '../../../src/core/topology/tree.ts';
import { aNode, aPod } from '../../support/builders.ts';
import { aGang, members } from '../../support/gangs.ts';

const policy = { isAccelerator: (resource: string) => resource.startsWith('nvidia.com/'), score: 'best-fit' } as const;

const constraintArb: fc.Arbitrary<SpreadConstraint> = fc.record({
  topologyKey: fc.constantFrom('zone', 'host'),
  maxSkew: fc.integer({ min: 1, max: 3 }),
  minDomains: fc.integer({ min: 1, max: 4 }),
  selector: fc.constantFrom('train', 'other').map((app) => [{ key: 'app', operator: 'In' as const, values: [app] }]),
  honorsAffinity: fc.boolean(),
  honorsTaints: fc.boolean(),
});

const worldArb = fc.record({
  nodes: fc.array(
    fc.record({
      zone: fc.constantFrom('a', 'b', 'c', undefined),
      busy: fc.integer({ min: 0, max: 8 }),
      train: fc.integer({ min: 0, max: 2 }),
      other: fc.integer({ min: 0, max: 2 }),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  constraints: fc.array(constraintArb, { minLength: 1, maxLength: 4 }),
  want: fc.integer({ min: 1, max: 20 }),
  gpus: fc.integer({ min: 1, max: 4 }),
});

type Nodes = (typeof worldArb extends fc.Arbitrary<infer W> ? W : never)['nodes'];

function aCluster(nodes: Nodes): Snapshot {
  const table = new NodeTable([{ name: 'zone', label: 'zone' }]);
  for (const [i, { zone, busy, train, other }] of nodes.entries()) {
    const nodeName = `n${i}`;
    table.applyNode(aNode({ name: nodeName, labels: { host: nodeName, ...(zone && { zone }) } }));
    table.addPod(aPod({ name: `busy-${i}`, nodeName, gpus: busy, cpu: 0, memory: 0 }));
    for (const [app, count] of [
      ['train', train],
      ['other', other],
    ] as const) {
      for (let j = 0; j < count; j++) {
        table.addPod(aPod({ name: `${app}-${i}-${j}`, nodeName, labels: { app }, gpus: 0, cpu: 0, memory: 0 }));
      }
    }
  }
  return table.snapshot();
}

/** Counts everything again for each member, and looks at each node. */
function fillSlowly(snapshot: Snapshot, { pods, requests }: MemberClass, want: number): NodeIdx[] {
  const tx = new Transaction(snapshot);
  const { spread } = pods[0]!.template;
  const labelsOf = (node: NodeIdx) => snapshot.nodes[node]!.labels;
  const eligible = snapshot.byName.filter((node) => spread.every(({ topologyKey }) => labelsOf(node)[topologyKey]));
  const chosen: NodeIdx[] = [];
  const appOf = ({ selector }: SpreadConstraint) => selector![0]!.values![0]!;
  const countOn = (node: NodeIdx, app: string) =>
    snapshot.podsOn[node]!.filter(({ labels }) => labels.app === app).length +
    (app === 'train' ? chosen.filter((other) => other === node).length : 0);
  const countIn = (of: SpreadConstraint, domain: string) =>
    eligible
      .filter((node) => labelsOf(node)[of.topologyKey] === domain)
      .reduce((sum, node) => sum + countOn(node, appOf(of)), 0);
  while (chosen.length < want) {
    let [best, least] = [undefined as NodeIdx | undefined, Number.POSITIVE_INFINITY];
    for (const node of eligible) {
      let [sum, isAdmitted] = [0, true];
      for (const of of spread) {
        const domains = [...new Set(eligible.map((other) => labelsOf(other)[of.topologyKey]!))];
        const fewest = domains.length < of.minDomains ? 0 : Math.min(...domains.map((domain) => countIn(of, domain)));
        const count = countIn(of, labelsOf(node)[of.topologyKey]!);
        sum += count;
        isAdmitted &&= count + (appOf(of) === 'train' ? 1 : 0) - fewest <= of.maxSkew;
      }
      if (isAdmitted && sum < least && tx.capacity(node, pods[0]!, requests) > 0) [best, least] = [node, sum];
    }
    if (best === undefined) break;
    tx.place(best, pods[chosen.length]!);
    chosen.push(best);
  }
  tx.rollback(0);
  return chosen;
}

describe('members with spread constraints', () => {
  test('go to the emptiest domains that are admitted, in the order of names', () => {
    let [placed, short] = [0, 0];
    fc.assert(
      fc.property(worldArb, ({ nodes, constraints, want, gpus }) => {
        const snapshot = aCluster(nodes);
        const labels = { app: 'train' };
        const all = members(want, { labels, gpus, cpu: 0, memory: 0, template: { spread: constraints, gpus } });
        const [kind] = classify(snapshot, aGang(all), policy);
        const tx = new Transaction(snapshot);
        const found = fillSpread(tx, kind!, snapshot.byName, want);
        tx.rollback(0);
        expect(found).toEqual(fillSlowly(snapshot, kind!, want));
        if (found.length === want) placed++;
        else short++;
      }),
      { numRuns: 1_000 },
    );
    expect(Math.min(placed, short)).toBeGreaterThan(100);
  });
});
