/** Who holds what a gang lacks, on the nodes that it could use. */
import { expect, test } from 'vitest';
import { findHolders } from '../../../src/core/placement/holders.ts';
import type { GangKey } from '../../../src/core/podgroup/gang.ts';
import { aPod, aTemplate, GPU, type PodOptions, type TemplateOptions } from '../../support/builders.ts';
import { type DrawnOccupant, drawSnapshot } from '../../support/topology.ts';

const drawing = 'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8]';

const on = (nodeName: string, gpus: number, options: PodOptions = {}) =>
  aPod({ name: `pod-${nodeName}`, nodeName, gpus, ...options });
const of = (gang: string, nodeName: string, gpus: number) =>
  on(nodeName, gpus, { namespace: 'ml', name: `${gang}-${nodeName}`, labels: { 'muster.dev/pod-group': gang } });

interface Case {
  readonly pods?: readonly ReturnType<typeof on>[];
  readonly occupants?: readonly DrawnOccupant[];
  readonly domain?: string;
  readonly template?: TemplateOptions;
  readonly resource?: string;
}

function textOf({ pods = [], occupants = [], domain, template = {}, resource = GPU }: Case): string {
  const snapshot = drawSnapshot(drawing, { pods, occupants, nodes: { n4: { labels: { pool: 'other' } } } });
  const gang = 'ml/waits' as GangKey;
  const found = findHolders(snapshot, { gang, resource, template: aTemplate(template), domain });
  if (!found) return 'nobody';
  const named = found.largest.map(({ kind, name, amount }) => `${kind} ${name} ${amount}`);
  return [...named, ...(found.others > 0 ? [`${found.others} more`] : [])].join(', ');
}

const web = on('n1', 2, { name: 'web' });

test.each<[string, Case, string]>([
  ['nobody, where nothing runs', {}, 'nobody'],
  ['a gang with all its members', { pods: [of('train', 'n1', 8), of('train', 'n2', 6)] }, 'gang ml/train 14'],
  ['the one that holds most first', { pods: [web, of('train', 'n2', 8)] }, 'gang ml/train 8, pod default/web 2'],
  [
    'three of them, and how many more',
    { pods: ['a', 'b', 'c', 'd', 'e'].map((name, i) => on('n1', 1 + (i % 2), { name })) },
    'pod default/b 2, pod default/d 2, pod default/a 1, 2 more',
  ],
  ['not its own members', { pods: [of('waits', 'n1', 8), web] }, 'pod default/web 2'],
  ['nobody who holds other resources only', { pods: [on('n1', 0, { cpu: 8 })] }, 'nobody'],
  [
    'nobody where its members may not go',
    { pods: [web, on('n4', 8)], template: { nodeSelector: { pool: 'other' } } },
    'pod default/pod-n4 8',
  ],
  ['nobody outside of the domain', { pods: [web, on('n3', 8)], domain: 'rack-1' }, 'pod default/web 2'],
  ['anybody when the domain is gone', { pods: [on('n3', 8)], domain: 'rack-9' }, 'pod default/pod-n3 8'],
  [
    'no DaemonSet and no static pod: they are on every node',
    { pods: ['DaemonSet', 'Node'].map((kind) => on('n1', 2, { name: kind, owner: { kind, name: 'x', uid: 'x' } })) },
    'nobody',
  ],
  [
    'a gang that has places there, also beside members that run',
    { pods: [of('train', 'n1', 8)], occupants: [{ on: 'n2', pod: aPod({ gpus: 8 }), gang: 'ml/train' }] },
    'gang ml/train 16',
  ],
  [
    'no gang that has places elsewhere',
    { domain: 'rack-2', occupants: [{ on: 'n2', pod: aPod({ gpus: 8 }), gang: 'ml/train' }] },
    'nobody',
  ],
  ['whatever the resource', { pods: [on('n1', 0, { cpu: 8 })], resource: 'cpu' }, 'pod default/pod-n1 8000'],
])('%s', (_, options, expected) => {
  expect(textOf(options)).toBe(expected);
});
