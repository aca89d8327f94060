/** Small random clusters and gangs as fast-check arbitraries, for the laws. */
import fc from 'fast-check';
import type { LabelRequirement, NodeModel, PodModel } from '../../src/core/objects/model.ts';
import type { GangRequest } from '../../src/core/placement/gang-request.ts';
import { aNode, aPod, type PodOptions } from './builders.ts';
import { aGang, members } from './gangs.ts';
import { type DrawnOccupant, RACK } from './topology.ts';

export interface Scene {
  readonly nodes: readonly NodeModel[];
  readonly pods: readonly PodModel[];
  readonly occupants: readonly DrawnOccupant[];
}

const train: LabelRequirement = { key: 'app', operator: 'In', values: ['train'] };
const avoidTrain = { antiAffinity: [{ selector: [train], namespaces: ['default'] }] };
const port = { hostPorts: [{ ip: '0.0.0.0', protocol: 'TCP', port: 80 }] };

const nodeArb = fc.record({
  gpus: fc.constantFrom(0, 2, 4, 8, 8),
  cpu: fc.integer({ min: 2, max: 12 }),
  pods: fc.integer({ min: 1, max: 9 }),
  rack: fc.constantFrom(undefined, 'a', 'b', 'c'),
  ready: fc.constantFrom(true, true, true, true, true, false),
});

const podArb: fc.Arbitrary<PodOptions> = fc.record({
  gpus: fc.integer({ min: 0, max: 4 }),
  cpu: fc.integer({ min: 0, max: 3 }),
  labels: fc.constantFrom({}, { app: 'train' }),
  template: fc.constantFrom({}, {}, {}, avoidTrain, port),
});

/** Up to seven nodes in up to three racks, some not ready, with bound pods (sometimes too many) and occupants. */
export const sceneArb: fc.Arbitrary<Scene> = fc
  .record({
    shapes: fc.array(nodeArb, { minLength: 1, maxLength: 7, size: 'max' }),
    bound: fc.array(fc.tuple(fc.nat(6), podArb), { maxLength: 6 }),
    held: fc.array(fc.tuple(fc.nat(6), podArb, fc.constantFrom(-1, 0, 5, Number.POSITIVE_INFINITY)), { maxLength: 3 }),
  })
  .map(({ shapes, bound, held }) => {
    const nodes = shapes.map(({ rack, ...node }, i) =>
      aNode({ name: `n${i}`, ...node, labels: rack === undefined ? {} : { [RACK]: rack } }),
    );
    const nameOf = (i: number) => nodes[i % nodes.length]!.name;
    const shape = ({ gpus = 0, cpu = 0, labels = {}, template }: PodOptions) => ({
      gpus,
      cpu,
      labels,
      template: { gpus, cpu, ...template },
    });
    return {
      nodes,
      pods: bound.map(([i, pod], n) => aPod({ name: `bound-${n}`, nodeName: nameOf(i), ...shape(pod) })),
      occupants: held.map(([i, pod, shields], n) => ({
        on: nameOf(i),
        pod: aPod({ name: `held-${n}`, ...shape(pod) }),
        shields,
      })),
    };
  });

const roleArb = fc.record({
  count: fc.integer({ min: 1, max: 5 }),
  gpus: fc.constantFrom(0, 1, 1, 2, 3, 4),
  cpu: fc.integer({ min: 0, max: 3 }),
  kind: fc.constantFrom('plain', 'plain', 'plain', 'port', 'alone', 'spread', 'pinned'),
});
type Role = typeof roleArb extends fc.Arbitrary<infer T> ? T : never;

const hostSpread = {
  topologyKey: 'kubernetes.io/hostname',
  maxSkew: 1,
  minDomains: 1,
  selector: [train],
  honorsAffinity: true,
  honorsTaints: false,
};

function membersOf({ count, gpus, cpu, kind }: Role, name: string) {
  const extra = {
    plain: {},
    pinned: {},
    port,
    alone: { ...avoidTrain, selfAntiAffine: true },
    spread: { spread: [hostSpread] },
  }[kind];
  const pinned = kind === 'pinned' ? { pinnedTo: ['n0', 'n1'] } : {};
  return members(count, { name, labels: { app: 'train' }, template: { gpus, cpu, ...extra }, ...pinned });
}

/** One to three roles of up to five members, whole or elastic, with and without refusals. */
export const gangArb: fc.Arbitrary<GangRequest> = fc
  .record({
    roles: fc.array(roleArb, { minLength: 1, maxLength: 3, size: 'small' }),
    missing: fc.nat(3),
    priority: fc.constantFrom(0, 1, 10),
    refused: fc.constantFrom([], [], ['n0'], ['n1', 'n2']),
    near: fc.uniqueArray(fc.constantFrom('n0', 'n3', 'gone'), { maxLength: 2 }),
  })
  .map(({ roles, missing, ...options }) => {
    const all = roles.flatMap((role, i) => membersOf(role, `${'abc'[i]}${role.kind}`));
    return aGang(all, { min: Math.max(1, all.length - missing), ...options });
  });

/** One role of equal members, all of which must be placed. */
export const plainGangArb: fc.Arbitrary<GangRequest> = roleArb.map((role) =>
  aGang(membersOf({ ...role, kind: 'plain' }, 'w')),
);
