import { expect, test } from 'vitest';
import { type DomainReport, reportDomains, reportLevels } from '../../../src/core/placement/topology-report.ts';
import { gangKey } from '../../../src/core/podgroup/gang.ts';
import { configureLevels } from '../../../src/core/topology/levels.ts';
import { aPod, GPU } from '../../support/builders.ts';
import { drawSnapshot, printSnapshot, RACK } from '../../support/topology.ts';

const policy = { isAccelerator: (resource: string) => resource === GPU, score: 'best-fit' as const };
const member = (name: string, nodeName: string, annotations = {}) =>
  aPod({ name, nodeName, gpus: 0, labels: { 'muster.dev/pod-group': name.split('-')[0]! }, annotations });

/** `name free/total`, with `*` for a whole domain. */
const sumUp = (domains: readonly DomainReport[]) =>
  domains.map(({ name, accelerators: { free, total }, whole }) => `${name} ${free}/${total}${whole ? '*' : ''}`);

test('a domain shows what is free in it beside bound pods and held capacity', () => {
  const snapshot = drawSnapshot(
    `rack-a: n1[8] n2[8]
     rack-b: n3[8] n4[4]
     rack-c: n5[cpu]`,
    { occupants: [{ on: 'n3', pod: aPod({ name: 'nominated', gpus: 2 }), shields: 0 }] },
  );
  const before = printSnapshot(snapshot);
  const { cluster, domains } = reportDomains(snapshot, policy, false);
  expect(sumUp(domains)).toEqual(['rack-a 16/16*', 'rack-b 10/16', 'rack-c 0/0']);
  expect(cluster).toEqual({
    nodes: 5,
    ready: 5,
    accelerators: { free: 26, total: 32 },
    whole: false,
    gangs: 0,
    exclusive: null,
  });
  expect(printSnapshot(snapshot), 'the snapshot is left as it was').toBe(before);
});

test('an overcommitted node counts as full and reduces nothing else', () => {
  const { domains } = reportDomains(drawSnapshot('rack-a: n1[-8] n2[8]'), policy, false);
  expect(sumUp(domains)).toEqual(['rack-a 8/16']);
});

test('nodes that take no gang are not counted as ready', () => {
  const nodes = { n1: { ready: false }, n2: { unschedulable: true } };
  const { domains } = reportDomains(drawSnapshot('rack-a: n1[8] n2[8] n3[8]', { nodes }), policy, false);
  expect(domains).toMatchObject([{ nodes: 3, ready: 1 }]);
});

test('hosts are the innermost domains when they are asked for', () => {
  const snapshot = drawSnapshot(`
    rack-a: n2[8] n1[4]
    -: n3[8]`);
  const { domains } = reportDomains(snapshot, policy, true);
  expect(domains.map(({ name, level, path }) => [name, level, path])).toEqual([
    ['rack-a', 'rack', 'rack-a'],
    ['n3', 'host', '-/n3'],
  ]);
  expect(domains[0]?.children.map(({ path, accelerators }) => [path, accelerators.free])).toEqual([
    ['rack-a/n1', 4],
    ['rack-a/n2', 8],
  ]);
  expect(reportDomains(snapshot, policy, false).domains).toMatchObject([{ name: 'rack-a', children: [] }]);
});

test('a gang counts once in each domain where it has a pod, bound or not; a lone pod is none', () => {
  const snapshot = drawSnapshot(
    `rack-a: n1[8] n2[8]
     rack-b: n3[8]`,
    { pods: [member('x-0', 'n1'), member('x-1', 'n2'), member('y-0', 'n2'), aPod({ name: 'web', nodeName: 'n3' })] },
  );
  const reserved = aPod({ name: 'z-0', gpus: 1 });
  const { uid, namespace, labels, template } = reserved;
  const slot = { uid, namespace, labels, template, node: snapshot.indexOf.get('n3')!, shields: Infinity };
  const occupants = [{ ...slot, gang: gangKey('default', 'x'), exclusive: undefined }];
  const { cluster, domains } = reportDomains({ ...snapshot, occupants }, policy, false);
  expect(domains.map(({ name, gangs }) => [name, gangs])).toEqual([
    ['rack-a', 2],
    ['rack-b', 1],
  ]);
  expect(cluster.gangs).toBe(2);
});

test('a domain names its exclusive gang, by level name or by label, and no other domain does', () => {
  const snapshot = drawSnapshot(
    `rack-a: n1[8]
     rack-b: n2[8]
     rack-c: n3[8]`,
    {
      pods: [
        member('x-0', 'n1', { 'muster.dev/topology-exclusive': 'rack' }),
        member('y-0', 'n2', { 'muster.dev/topology-exclusive': RACK }),
        member('z-0', 'n3', { 'muster.dev/topology-exclusive': 'no-such-level' }),
      ],
    },
  );
  const { cluster, domains } = reportDomains(snapshot, policy, true);
  expect([cluster, ...domains].map(({ exclusive }) => exclusive)).toEqual([null, 'default/x', 'default/y', null]);
  expect(domains.flatMap(({ children }) => children).map(({ exclusive }) => exclusive)).toEqual([null, null, null]);
});

test('levels show how much of the cluster they cover', () => {
  const { topology } = drawSnapshot(`
    rack-a: n1[8] n2[8]
    rack-b: n3[8]
    -: n4[8]`);
  expect(reportLevels(topology)).toEqual([
    { name: 'rack', keys: [RACK], domains: 2, nodes: 3 },
    { name: 'host', keys: ['kubernetes.io/hostname'], domains: 4, nodes: 4 },
  ]);
});

test('a tree remembers how it was read', () => {
  const { topology } = drawSnapshot('rack-a: n1[8]');
  const { read, levels } = configureLevels([{ name: 'rack', label: RACK }]);
  const labels = { [RACK]: 'rack-a' };
  expect(topology.scheme.levels).toEqual(levels);
  expect(topology.scheme.read(labels)).toEqual(read(labels));
});
