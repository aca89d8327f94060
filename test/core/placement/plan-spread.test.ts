/*
 * DoNotSchedule topology spread as kube-scheduler v1.37.2 will check it (plugins/podtopologyspread/filtering.go).
 *
 * The zones of the drawings are the spread domains: a: n1 n2, b: n3 n4, c: n5.
 */
import { describe, expect, test } from 'vitest';
import type { LabelRequirement, PodModel, SpreadConstraint } from '../../../src/core/objects/model.ts';
import { aPod, type NodeOptions, type PodOptions } from '../../support/builders.ts';
import { aGang, members, planText } from '../../support/gangs.ts';
import { type DrawnOccupant, drawSnapshot } from '../../support/topology.ts';

const ZONE = 'zone';
const selector: readonly LabelRequirement[] = [{ key: 'app', operator: 'In', values: ['train'] }];
const labels = { app: 'train' };

function spread(options: Partial<SpreadConstraint> = {}): SpreadConstraint {
  return {
    topologyKey: ZONE,
    maxSkew: 1,
    minDomains: 1,
    selector,
    honorsAffinity: true,
    honorsTaints: false,
    ...options,
  };
}

function spreadMembers(count: number, constraint: Partial<SpreadConstraint> = {}, options: PodOptions = {}) {
  const template = { gpus: 1, ...options.template, spread: [spread(constraint)] };
  return members(count, { labels, ...options, template });
}

interface Scene {
  readonly drawing?: string;
  readonly nodes?: Readonly<Record<string, NodeOptions>>;
  readonly pods?: readonly PodModel[];
  readonly occupants?: readonly DrawnOccupant[];
}

function drawZones({ drawing = '-: n1[8] n2[8] n3[8] n4[8] n5[8]', nodes = {}, ...rest }: Scene = {}) {
  const zones = { n1: 'a', n2: 'a', n3: 'b', n4: 'b', n5: 'c' };
  const labelled = Object.entries(zones).map(([name, zone]) => {
    const { labels: more = { [ZONE]: zone }, ...options } = nodes[name] ?? {};
    return [name, { labels: more, ...options }] as const;
  });
  return drawSnapshot(drawing, { nodes: Object.fromEntries(labelled), ...rest });
}

const old = (nodeName: string, options: PodOptions = {}) =>
  aPod({ name: `old-${nodeName}`, nodeName, labels, gpus: 0, ...options });

describe('spread over domains', () => {
  test.each<[string, ReturnType<typeof members>, Scene, string]>([
    ['in turn, emptiest first', spreadMembers(4), {}, 'n1 n3 n5 n1'],
    ['a full domain stops it', spreadMembers(5), { drawing: '-: n1[8] n2[8] n3[8] n4[8] n5[1]' }, 'n1 n3 n5 n1 n3'],
    ['at the skew', spreadMembers(6), { drawing: '-: n1[8] n2[8] n3[8] n4[8] n5[1]' }, 'room for 5 of 6'],
    [
      'a larger skew allows more',
      spreadMembers(6, { maxSkew: 2 }),
      { drawing: '-: n1[8] n2[8] n3[8] n4[8] n5[1]' },
      'n1 n3 n5 n1 n3 n1',
    ],
    ['existing pods count', spreadMembers(2), { pods: [old('n1'), old('n3')] }, 'n5 n1'],
    ['those of other namespaces do not', spreadMembers(1), { pods: [old('n1', { namespace: 'x' })] }, 'n1'],
    ['nor those that the selector leaves out', spreadMembers(1), { pods: [old('n1', { labels: {} })] }, 'n1'],
    ['nor those on their way out', spreadMembers(1), { pods: [old('n1', { deleting: true })] }, 'n1'],
    ['what others hold counts', spreadMembers(1), { occupants: [{ on: 'n1', pod: old('n1') }] }, 'n3'],
    [
      'unless it gives way to the gang',
      spreadMembers(1),
      { occupants: [{ on: 'n1', pod: old('n1'), shields: -1 }] },
      'n1',
    ],
    [
      'what is held on a node without the label does not count',
      spreadMembers(1),
      { nodes: { n2: { labels: {} } }, occupants: [{ on: 'n2', pod: old('n2') }] },
      'n1',
    ],
    [
      'members of another class count',
      [...members(1, { name: 'driver', gpus: 8, labels }), ...spreadMembers(2)],
      {},
      'n1 n3 n5',
    ],
    ['nodes without the label are out', spreadMembers(2), { nodes: { n1: { labels: {} } } }, 'n2 n3'],
    [
      'fewer domains than minDomains: the emptiest counts as 0',
      spreadMembers(4, { minDomains: 4 }),
      {},
      'room for 3 of 4',
    ],
    ['exactly minDomains', spreadMembers(4, { minDomains: 3 }), {}, 'n1 n3 n5 n1'],
    [
      'pods that do not match their own selector never fill a domain',
      spreadMembers(3, {}, { labels: {} }),
      { pods: [old('n1')] },
      'n3 n3 n3',
    ],
    [
      'and may go to a domain at the skew',
      spreadMembers(2, {}, { labels: {} }),
      { drawing: '-: n1[8] n2[8] n3[0] n4[0] n5[0]', pods: [old('n1')] },
      'n1 n1',
    ],
    [
      'but not beyond it',
      spreadMembers(1, {}, { labels: {} }),
      { drawing: '-: n1[8] n2[8] n3[0] n4[0] n5[0]', pods: [old('n1'), old('n2')] },
      'room for 0 of 1',
    ],
    ['and have no domain left that is above the skew', spreadMembers(3, {}, { labels: {} }), {}, 'n1 n1 n1'],
    ['no selector: only the label is demanded', spreadMembers(2, { selector: undefined }), {}, 'n1 n1'],
    [
      'over hosts: one each, then one more each',
      spreadMembers(7, { topologyKey: 'kubernetes.io/hostname' }),
      {},
      'n1 n2 n3 n4 n5 n1 n2',
    ],
  ])('%s', (_, all, scene, expected) => {
    expect(planText(drawZones(scene), aGang(all))).toBe(expected);
  });
});

describe('which nodes count', () => {
  const onlyAB = { nodeSelector: { fast: 'yes' } };
  const fast: Scene['nodes'] = Object.fromEntries(
    ['n1', 'n2', 'n3', 'n4'].map((name, i) => [name, { labels: { [ZONE]: i < 2 ? 'a' : 'b', fast: 'yes' } }]),
  );
  const tainted: Scene['nodes'] = { n5: { taints: [{ key: 'x', value: '', effect: 'NoSchedule' }] } };
  const noRoomInC: Scene['nodes'] = { n5: { ready: false } };
  test.each<[string, ReturnType<typeof members>, Scene, string]>([
    [
      'Honor affinity: a zone the selector excludes is no zone',
      spreadMembers(4, {}, { template: onlyAB }),
      { nodes: fast },
      'n1 n3 n1 n3',
    ],
    [
      'Ignore affinity: it is one, and stays empty',
      spreadMembers(4, { honorsAffinity: false }, { template: onlyAB }),
      { nodes: fast },
      'room for 2 of 4',
    ],
    ['Ignore taints: a tainted zone stays empty', spreadMembers(4), { nodes: tainted }, 'room for 2 of 4'],
    ['Honor taints: it is no zone', spreadMembers(4, { honorsTaints: true }), { nodes: tainted }, 'n1 n3 n1 n3'],
    ['a zone whose nodes are not ready stays empty', spreadMembers(3), { nodes: noRoomInC }, 'room for 2 of 3'],
    [
      'pods on excluded nodes of a counted zone do not count',
      spreadMembers(1, { honorsTaints: true }),
      { nodes: { n2: { ...tainted.n5! } }, pods: [old('n2')] },
      'n1',
    ],
  ])('%s', (_, all, scene, expected) => {
    expect(planText(drawZones(scene), aGang(all))).toBe(expected);
  });
});

describe('two constraints', () => {
  const both = (count: number) =>
    members(count, {
      labels,
      template: { gpus: 1, spread: [spread(), spread({ topologyKey: 'kubernetes.io/hostname' })] },
    });
  test('both hold: zones in turn, and every host once before one twice', () => {
    expect(planText(drawZones(), aGang(both(3)))).toBe('n1 n3 n5');
    expect(planText(drawZones(), aGang(both(5)))).toBe('n1 n3 n5 n2 n4');
  });

  test('a node needs all the keys', () => {
    const scene: Scene = { nodes: { n1: { labels: { [ZONE]: 'a', 'kubernetes.io/hostname': undefined as never } } } };
    expect(planText(drawZones(scene), aGang(both(1)))).toBe('n2');
  });

  test('and counts only with all the keys', () => {
    const nodes: Scene['nodes'] = { n2: { labels: { [ZONE]: 'a', 'kubernetes.io/hostname': undefined as never } } };
    expect(planText(drawZones({ nodes, pods: [old('n2')] }), aGang(both(1)))).toBe('n1');
  });
});

describe('spread and what else there is', () => {
  test('members of one template are told apart by what its selector says of them', () => {
    // The driver has the constraint, too, but its selector counts workers only.
    const template = { gpus: 1, spread: [spread({ selector: [{ key: 'role', operator: 'In', values: ['worker'] }] })] };
    const driver = members(1, { name: 'driver', labels: { role: 'driver' }, template });
    const workers = members(3, { labels: { role: 'worker' }, template });
    expect(planText(drawZones(), aGang([...driver, ...workers]))).toBe('n1 n1 n3 n5');
    expect(planText(drawZones(), aGang([...workers, ...driver]))).toBe('n1 n3 n5 n1');
  });

  test('a preferred domain gives way to the spread', () => {
    const snapshot = drawSnapshot('rack-a: n1[8] n2[8]\nrack-b: n3[8]', {
      nodes: { n1: { labels: { [ZONE]: 'a' } }, n2: { labels: { [ZONE]: 'a' } }, n3: { labels: { [ZONE]: 'b' } } },
    });
    expect(planText(snapshot, aGang(spreadMembers(2)))).toBe('n1 n3');
  });

  test('an elastic gang takes what the skew allows', () => {
    const scene: Scene = { drawing: '-: n1[8] n2[8] n3[8] n4[8] n5[0]' };
    expect(planText(drawZones(scene), aGang(spreadMembers(5), { min: 2 }))).toBe('n1 n3 - - -');
  });
});
