/* Spread over domains, and exclusive domains. */
import { describe, expect, test } from 'vitest';
import type { MemberRequest } from '../../../src/core/placement/gang-request.ts';
import type { TopologyRequest } from '../../../src/core/topology/request.ts';
import { aPod } from '../../support/builders.ts';
import { aGang, type GangOptions, members, planText } from '../../support/gangs.ts';
import { type DrawnOccupant, drawSnapshot } from '../../support/topology.ts';

const GANG = 'muster.dev/pod-group';
const EXCLUSIVE = 'muster.dev/topology-exclusive';

describe('spread over the domains of a level', () => {
  const racks = `a/1: n1[8] n2[8]
                 a/2: n3[8] n4[8]
                 b/1: n5[8] n6[8]
                 b/2: n7[8] n8[8]`;
  const launcher = members(1, { name: 'launcher', gpus: 0 });
  test.each<[string, string, readonly MemberRequest[], Partial<TopologyRequest>, GangOptions, string]>([
    ['the same for each', racks, members(4), { spread: 'rack' }, {}, 'n1 n3 n5 n7'],
    ['in ranks of one run for each', racks, members(8), { spread: 'block' }, {}, 'n1 n2 n3 n4 n5 n6 n7 n8'],
    [
      'a full domain leaves more for the others',
      'a: n1[8]\nb: n2[8] n3[8]\nc: n4[8] n5[8]',
      members(5),
      { spread: 'rack' },
      {},
      'n1 n2 n3 n4 n5',
    ],
    [
      'inside a domain as few nodes as can be',
      'a: n1[8] n2[8]\nb: n3[8] n4[8]',
      members(4, { gpus: 4 }),
      { spread: 'rack' },
      {},
      'n1 n1 n3 n3',
    ],
    ['over nodes', 'a: n1[8] n2[8]\nb: n3[8]', members(3, { gpus: 1 }), { spread: 'host' }, {}, 'n1 n2 n3'],
    [
      'nodes without the label are in no domain of it',
      '-: n1[8] n2[8]\na: n3[8] n4[8]',
      members(2),
      { spread: 'rack' },
      {},
      'n3 n4',
    ],
    ['and none of them is used', '-: n1[8] n2[8]\na: n3[8]', members(2), { spread: 'rack' }, {}, 'room for 1 of 2'],
    ['one domain is enough when there is no other', 'a: n1[8] n2[8]', members(2), { spread: 'rack' }, {}, 'n1 n2'],
    [
      'members that are placed already count',
      racks.replace('n1[8]', 'n1[0]'),
      members(3),
      { spread: 'block' },
      { near: ['n1'] },
      'n2 n5 n6',
    ],
    ['a replacement goes where fewest are', racks, members(1), { spread: 'rack' }, { near: ['n1', 'n3', 'n7'] }, 'n5'],
    ['inside the required domain', racks, members(3), { spread: 'rack', required: 'block' }, {}, 'n1 n2 n3'],
    [
      'a required domain with more domains to spread over is better',
      'a/1: n1[8] n2[8]\nb/1: n3[8]\nb/2: n4[8] n5[8]',
      members(2),
      { spread: 'rack', required: 'block' },
      {},
      'n3 n4',
    ],
    [
      'a launcher is no reason to be uneven',
      racks,
      [...launcher, ...members(4)],
      { spread: 'block' },
      {},
      'n1 n1 n2 n5 n6',
    ],
    [
      'slices are spread whole',
      racks,
      members(4),
      { spread: 'block', slice: { size: 2, level: 'rack' } },
      {},
      'n1 n2 n5 n6',
    ],
    [
      'evenly, as many as there are',
      racks,
      members(6),
      { spread: 'block', slice: { size: 2, level: 'rack' } },
      {},
      'n1 n2 n3 n4 n5 n6',
    ],
    [
      'over the slices’ own level',
      racks,
      members(4, { gpus: 4 }),
      { spread: 'rack', slice: { size: 2, level: 'rack' } },
      {},
      'n1 n1 n3 n3',
    ],
  ])('%s', (_, drawing, all, topology, options, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all, { ...options, topology }))).toBe(expected);
  });

  test('slices that differ are spread, too', () => {
    const all = [...launcher, ...members(3)].map((member, rank) => ({ ...member, rank }));
    const topology = { spread: 'block', slice: { size: 2, level: 'rack' } };
    expect(planText(drawSnapshot(racks), aGang(all, { topology }))).toBe('n1 n1 n5 n6');
  });

  test.each<[string, Partial<TopologyRequest>]>([
    ['within slices', { spread: 'host', slice: { size: 2, level: 'rack' } }],
    ['over what one domain has to hold', { spread: 'rack', required: 'rack' }],
    ['over a level outside of it', { spread: 'block', required: 'rack' }],
  ])('%s it makes no sense: the gang waits', (_, topology) => {
    expect(planText(drawSnapshot(racks), aGang(members(2), { topology }))).toBe('room for 0 of 2');
  });
});

describe('domains for one gang alone', () => {
  const racks = `block-1/rack-1: n1[8] n2[8]
                 block-1/rack-2: n3[8] n4[8]
                 block-2/rack-3: n5[8] n6[8]
                 block-2/rack-4: n7[8] n8[8] n9[8]`;
  const other = { labels: { [GANG]: 'other' } };
  const bound = (options = {}) => aPod({ name: 'old', nodeName: 'n1', gpus: 0, ...options });
  const annotated = (level: string) => ({ annotations: { [EXCLUSIVE]: level } });
  const exclusive = (level: string): Partial<TopologyRequest> => ({ exclusive: level });

  test.each<[string, ReturnType<typeof bound>, Partial<TopologyRequest>, number, string]>([
    ['not where another gang is', bound(other), exclusive('rack'), 2, 'n3 n4'],
    ['nor in its block, if that is asked', bound(other), exclusive('block'), 2, 'n5 n6'],
    ['it waits when there is no other', bound(other), exclusive('block'), 6, 'room for 5 of 6'],
    ['pods of no gang do not count', bound(), exclusive('rack'), 2, 'n1 n2'],
    ['nor do its own', bound({ labels: { [GANG]: 'train' }, ...annotated('rack') }), exclusive('rack'), 2, 'n1 n2'],
    [
      'a gang of that name in another namespace is another gang',
      bound({ labels: { [GANG]: 'train' }, namespace: 'x' }),
      exclusive('rack'),
      2,
      'n3 n4',
    ],
    ['nobody enters the rack of an exclusive gang', bound({ ...other, ...annotated('rack') }), {}, 2, 'n3 n4'],
    ['nor its block', bound({ ...other, ...annotated('block') }), {}, 2, 'n5 n6'],
    ['it waits for room outside of it', bound({ ...other, ...annotated('block') }), {}, 6, 'room for 5 of 6'],
    [
      'a level that the cluster does not have closes nothing',
      bound({ ...other, ...annotated('leaf') }),
      {},
      2,
      'n1 n2',
    ],
    ['the wider of both', bound({ ...other, ...annotated('block') }), exclusive('rack'), 2, 'n5 n6'],
    ['also the wider one of its own', bound({ ...other, ...annotated('rack') }), exclusive('block'), 2, 'n5 n6'],
    ['an exclusive pod of no gang closes nothing', bound(annotated('block')), {}, 2, 'n1 n2'],
  ])('%s', (_, pod, topology, count, expected) => {
    expect(planText(drawSnapshot(racks, { pods: [pod] }), aGang(members(count), { topology }))).toBe(expected);
  });

  test.each<[string, DrawnOccupant, Partial<TopologyRequest>, string]>([
    [
      'what another gang has reserved counts',
      { on: 'n1', pod: bound(), gang: 'default/other' },
      exclusive('rack'),
      'n3 n4',
    ],
    [
      'also with a lower priority',
      { on: 'n1', pod: bound(), gang: 'default/other', shields: -1 },
      exclusive('rack'),
      'n3 n4',
    ],
    [
      'what an exclusive gang has reserved is closed',
      { on: 'n1', pod: bound(), gang: 'default/other', exclusive: 'rack' },
      {},
      'n3 n4',
    ],
    ['what nobody’s gang holds is not', { on: 'n1', pod: bound(), exclusive: 'rack' }, exclusive('rack'), 'n1 n2'],
    [
      'nor what it has reserved itself',
      { on: 'n1', pod: bound(), gang: 'default/train', exclusive: 'rack' },
      exclusive('rack'),
      'n1 n2',
    ],
  ])('%s', (_, occupant, topology, expected) => {
    const snapshot = drawSnapshot('rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8]', { occupants: [occupant] });
    expect(planText(snapshot, aGang(members(2), { topology }))).toBe(expected);
  });

  test('nodes without the label take no exclusive gang: what is near them is unknown', () => {
    const snapshot = drawSnapshot('-: n1[8] n2[8]\nrack-1: n3[8]');
    expect(planText(snapshot, aGang(members(1), { topology: exclusive('rack') }))).toBe('n3');
    expect(planText(snapshot, aGang(members(2), { topology: exclusive('rack') }))).toBe('room for 1 of 2');
  });
});
