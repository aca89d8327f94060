/* Which members are interchangeable: a node is judged once for each class. */
import { describe, expect, test } from 'vitest';
import { NodeTable } from '../../../src/cluster/node-table.ts';
import { classify } from '../../../src/core/placement/member-classes.ts';
import { aNode, aPod } from '../../support/builders.ts';
import { aGang, members } from '../../support/gangs.ts';

const policy = { isAccelerator: () => true, score: 'best-fit' } as const;

/** One running pod for each list of selected values: its anti-affinity keeps pods with such an `app` off its host. */
function aCluster(repelled: readonly (readonly string[])[] = [], namespaces = ['default']) {
  const table = new NodeTable(undefined);
  table.applyNode(aNode({ name: 'n0' }));
  repelled.forEach((apps, i) => {
    table.applyNode(aNode({ name: `n${i}` }));
    const antiAffinity = apps.map((app) => ({
      selector: [{ key: 'app', operator: 'In' as const, values: [app] }],
      namespaces,
    }));
    table.addPod(aPod({ name: `other-${i}`, nodeName: `n${i}`, template: { gpus: 0, antiAffinity } }));
  });
  return table.snapshot();
}

const withClaims = ['a', 'b', 'c'].flatMap((claim) => members(1, { name: claim, template: { claims: [claim] } }));
const ofApps = ['x', 'y'].flatMap((app) => members(2, { name: app, labels: { app } }));

function sizes(of: Parameters<typeof classify>[1], snapshot = aCluster()): readonly number[] {
  return classify(snapshot, of, policy).map(({ pods }) => pods.length);
}

describe('classes of members', () => {
  test('members that differ only by their claims are one class', () => {
    expect(sizes(aGang(withClaims))).toEqual([3]);
  });

  test('a refusal of one of them tells it apart', () => {
    const refused = new Map([[withClaims[1]!.template.key, new Set(['n0'])]]);
    expect(sizes({ ...aGang(withClaims), refused })).toEqual([2, 1]);
  });

  test.each<[string, ReturnType<typeof aCluster>, readonly number[]]>([
    ['nobody else', aCluster(), [4]],
    ['a running pod that repels one app', aCluster([['x']]), [2, 2]],
    ['one that repels neither', aCluster([['z']]), [4]],
    ['one that looks at another namespace', aCluster([['x']], ['elsewhere']), [4]],
    [
      'running pods with more rules than are looked at, before it',
      aCluster([...Array.from({ length: 5 }, (_, i) => Array.from({ length: 160 }, (__, j) => `z${i}-${j}`)), ['x']]),
      [4],
    ],
  ])('labels count as far as selectors of others read them: %s', (_, snapshot, expected) => {
    expect(sizes(aGang(ofApps), snapshot)).toEqual(expected);
  });
});
