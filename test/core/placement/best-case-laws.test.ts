/** Laws of the best case: it is no worse than any other case. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findImpossibility, shapeOf } from '../../../src/core/placement/best-case.ts';
import { emptyCluster } from '../../../src/core/snapshot/empty-cluster.ts';
import type { TopologyRequest } from '../../../src/core/topology/request.ts';
import { plan } from '../../support/gangs.ts';
import { gangArb, type Scene, sceneArb } from '../../support/random-clusters.ts';
import { buildSnapshot, seat } from '../../support/topology.ts';

const policy = { isAccelerator: (resource: string) => resource.startsWith('nvidia.com/'), score: 'best-fit' } as const;

const askedArb = fc.constantFrom<Partial<TopologyRequest>>(
  {},
  {},
  { required: 'rack' },
  { preferred: 'rack', patientUntil: 1 },
  { slice: { size: 2, level: 'rack' } },
  { slice: { size: 3, level: 'rack' } },
  { required: 'rack', slice: { size: 2, level: 'host' } },
  { exclusive: 'rack' },
);
/** New gangs: nobody is placed yet. */
const newGangArb = fc
  .tuple(gangArb, askedArb)
  .map(([gang, asked]) => ({ ...gang, placed: [], topology: { ...gang.topology, ...asked } }));

function snapshotOf({ occupants, ...cluster }: Scene) {
  return seat(buildSnapshot(cluster), occupants);
}

test('a gang that can be placed now is never judged impossible', () => {
  let placed = 0;
  fc.assert(
    fc.property(sceneArb, newGangArb, (scene, gang) => {
      const snapshot = snapshotOf(scene);
      if (plan(snapshot, gang).kind !== 'placed') return;
      placed++;
      expect(findImpossibility(emptyCluster(snapshot), gang, policy)).toBeUndefined();
    }),
    { numRuns: 1_000 },
  );
  expect(placed, 'the law is about something').toBeGreaterThan(50);
});

test('what is impossible stays so when all pods leave', () => {
  let impossible = 0;
  fc.assert(
    fc.property(sceneArb, newGangArb, (scene, gang) => {
      if (!findImpossibility(emptyCluster(snapshotOf(scene)), gang, policy)) return;
      impossible++;
      expect(plan(snapshotOf({ ...scene, pods: [], occupants: [] }), gang).kind).toBe('unschedulable');
    }),
    { numRuns: 500 },
  );
  expect(impossible, 'the law is about something').toBeGreaterThan(20);
});

test('gangs of one shape are judged alike', () => {
  fc.assert(
    fc.property(sceneArb, newGangArb, (scene, gang) => {
      const empty = emptyCluster(snapshotOf(scene));
      const twin = {
        ...gang,
        priority: gang.priority + 1,
        members: gang.members.map((member) => ({ ...member, labels: { ...member.labels, index: 'x' } })),
      };
      fc.pre(shapeOf(gang) !== undefined);
      expect(shapeOf(twin)).toBe(shapeOf(gang));
      const judge = (request: typeof gang) => findImpossibility(empty, request, policy) !== undefined;
      expect(judge(twin)).toBe(judge(gang));
    }),
    { numRuns: 200 },
  );
});
