import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HostPort, Taint, Toleration } from '../../../src/core/objects/model.ts';
import {
  conflictsOnPorts,
  describeRejection,
  type NodeRejection,
  rejectNode,
  repelledBy,
} from '../../../src/core/objects/node-fit.ts';
import { aNode, aPod, aTemplate, type NodeOptions, type TemplateOptions } from '../../support/builders.ts';

const taint = (effect: Taint['effect'], key = 'dedicated', value = 'ml'): Taint => ({ key, value, effect });
const tolerate = (part: Partial<Toleration>): Toleration => ({
  key: '',
  operator: 'Equal',
  value: '',
  effect: '',
  ...part,
});
const affinity = (key: string, ...values: string[]) => ({
  matchLabels: [{ key, operator: 'In' as const, values }],
  matchFields: [],
});

describe('rejectNode', () => {
  const cordonKey = 'node.kubernetes.io/unschedulable';
  test.each<[string, TemplateOptions, NodeOptions, NodeRejection | undefined]>([
    ['a plain node takes a plain pod', {}, {}, undefined],
    ['a node that is not ready takes none', {}, { ready: false }, 'not ready'],
    [
      'not even one that tolerates everything',
      { tolerations: [tolerate({ operator: 'Exists' })] },
      { ready: false },
      'not ready',
    ],
    ['a cordoned node takes none', {}, { unschedulable: true }, 'cordoned'],
    [
      'but one that tolerates the cordon',
      { tolerations: [tolerate({ key: cordonKey, operator: 'Exists' })] },
      { unschedulable: true },
      undefined,
    ],
    [
      'Equal with an empty value tolerates the cordon',
      { tolerations: [tolerate({ key: cordonKey })] },
      { unschedulable: true },
      undefined,
    ],
    [
      'a toleration of NoExecute is none of the cordon',
      { tolerations: [tolerate({ key: cordonKey, operator: 'Exists', effect: 'NoExecute' })] },
      { unschedulable: true },
      'cordoned',
    ],
    ['NoSchedule repels', {}, { taints: [taint('NoSchedule')] }, 'tainted'],
    ['NoExecute repels', {}, { taints: [taint('NoExecute')] }, 'tainted'],
    ['PreferNoSchedule does not', {}, { taints: [taint('PreferNoSchedule')] }, undefined],
    [
      'an equal toleration helps',
      { tolerations: [tolerate({ key: 'dedicated', value: 'ml' })] },
      { taints: [taint('NoSchedule')] },
      undefined,
    ],
    [
      'one with another value does not',
      { tolerations: [tolerate({ key: 'dedicated', value: 'web' })] },
      { taints: [taint('NoSchedule')] },
      'tainted',
    ],
    [
      'Exists ignores the value',
      { tolerations: [tolerate({ key: 'dedicated', operator: 'Exists' })] },
      { taints: [taint('NoSchedule')] },
      undefined,
    ],
    [
      'a toleration of one effect leaves the other',
      { tolerations: [tolerate({ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' })] },
      { taints: [taint('NoSchedule'), taint('NoExecute')] },
      'tainted',
    ],
    [
      'every taint must be tolerated',
      { tolerations: [tolerate({ key: 'a', operator: 'Exists' })] },
      { taints: [taint('NoSchedule', 'a'), taint('NoSchedule', 'b')] },
      'tainted',
    ],
    [
      'Exists without a key tolerates all',
      { tolerations: [tolerate({ operator: 'Exists' })] },
      { taints: [taint('NoSchedule', 'a'), taint('NoExecute', 'b')] },
      undefined,
    ],
    [
      'Gt tolerates nothing by default in 1.37',
      { tolerations: [tolerate({ key: 'a', operator: 'Gt', value: '1' })] },
      { taints: [taint('NoSchedule', 'a', '5')] },
      'tainted',
    ],
    ['the node selector must match', { nodeSelector: { pool: 'h100' } }, { labels: { pool: 'a100' } }, 'node selector'],
    ['and does', { nodeSelector: { pool: 'h100' } }, { labels: { pool: 'h100' } }, undefined],
    ['an absent label does not match the node selector', { nodeSelector: { pool: '' } }, {}, 'node selector'],
    [
      'the required affinity must match',
      { nodeAffinity: [affinity('zone', 'a')] },
      { labels: { zone: 'b' } },
      'node affinity',
    ],
    [
      'one of its terms is enough',
      { nodeAffinity: [affinity('zone', 'a'), affinity('zone', 'b')] },
      { labels: { zone: 'b' } },
      undefined,
    ],
    ['an affinity without terms matches no node', { nodeAffinity: [] }, {}, 'node affinity'],
    [
      'the cheapest reason is named',
      { nodeAffinity: [], nodeSelector: { pool: 'x' } },
      { taints: [taint('NoExecute')], unschedulable: true },
      'cordoned',
    ],
  ])('%s', (_, template, node, expected) => {
    expect(rejectNode(aTemplate(template), aNode(node))).toBe(expected);
  });
});

describe('the words of a rejection', () => {
  const health = taint('NoSchedule', 'nvidia.com/gpu-health', 'bad');
  test.each<[string, TemplateOptions, NodeOptions, string]>([
    ['not ready', {}, { ready: false }, 'not ready'],
    ['cordoned', {}, { unschedulable: true }, 'cordoned'],
    ['the taint', {}, { taints: [health] }, 'tainted nvidia.com/gpu-health=bad:NoSchedule'],
    ['a taint without a value', {}, { taints: [taint('NoExecute', 'broken', '')] }, 'tainted broken:NoExecute'],
    [
      'the first taint that repels and is not tolerated',
      { tolerations: [tolerate({ key: 'dedicated', value: 'ml' })] },
      { taints: [taint('PreferNoSchedule', 'old'), taint('NoSchedule'), health] },
      'tainted nvidia.com/gpu-health=bad:NoSchedule',
    ],
    [
      'the part of the node selector that does not match',
      { nodeSelector: { zone: 'a', pool: 'a100' } },
      { labels: { zone: 'a', pool: 'h100' } },
      'not matching node selector pool=a100',
    ],
    [
      'the key of the affinity',
      { nodeAffinity: [affinity('zone', 'a')] },
      { labels: { zone: 'b' } },
      'not matching node affinity zone',
    ],
    [
      'the requirement of a term that does not match',
      {
        nodeAffinity: [
          {
            ...affinity('zone', 'a'),
            matchLabels: [...affinity('zone', 'a').matchLabels, ...affinity('gpu', 'x').matchLabels],
          },
        ],
      },
      { labels: { zone: 'a' } },
      'not matching node affinity gpu',
    ],
    [
      'a field of the affinity',
      {
        nodeAffinity: [{ matchLabels: [], matchFields: [{ key: 'metadata.name', operator: 'In', values: ['other'] }] }],
      },
      {},
      'not matching node affinity metadata.name',
    ],
    ['an affinity without terms', { nodeAffinity: [] }, {}, 'not matching node affinity'],
    [
      '64 characters of a long one',
      { nodeSelector: { pool: 'x'.repeat(100) } },
      {},
      `not matching node selector pool=${'x'.repeat(58)}…`,
    ],
  ])('%s', (_, options, nodeOptions, expected) => {
    const [template, node] = [aTemplate(options), aNode(nodeOptions)];
    expect(describeRejection(rejectNode(template, node)!, template, node)).toBe(expected);
  });
});

describe('conflictsOnPorts', () => {
  const port = (ip: string, number: number, protocol = 'TCP'): HostPort => ({ ip, protocol, port: number });
  test.each<[string, HostPort[], HostPort[], boolean]>([
    ['no ports conflict with nothing', [], [port('0.0.0.0', 80)], false],
    ['the same port conflicts', [port('0.0.0.0', 80)], [port('0.0.0.0', 80)], true],
    ['another port does not', [port('0.0.0.0', 80)], [port('0.0.0.0', 81)], false],
    ['another protocol does not', [port('0.0.0.0', 80)], [port('0.0.0.0', 80, 'UDP')], false],
    ['two addresses share a port', [port('10.0.0.1', 80)], [port('10.0.0.2', 80)], false],
    ['the same address does not', [port('10.0.0.1', 80)], [port('10.0.0.1', 80)], true],
    ['the wildcard conflicts with every address', [port('0.0.0.0', 80)], [port('10.0.0.1', 80)], true],
    [
      'one conflict of many is enough',
      [port('0.0.0.0', 1), port('0.0.0.0', 2)],
      [port('10.0.0.1', 3), port('10.0.0.1', 2)],
      true,
    ],
  ])('%s', (_, a, b, expected) => {
    expect(conflictsOnPorts(a, b)).toBe(expected);
    expect(conflictsOnPorts(b, a)).toBe(expected);
  });

  test('law: a list with ports conflicts with itself, and conflicting is symmetric', () => {
    const ip = fc.constantFrom('0.0.0.0', '10.0.0.1', '10.0.0.2');
    const ports = fc.array(
      fc.record({ ip, protocol: fc.constantFrom('TCP', 'UDP'), port: fc.integer({ min: 1, max: 3 }) }),
    );
    fc.assert(
      fc.property(ports, ports, (a, b) => {
        expect(conflictsOnPorts(a, b)).toBe(conflictsOnPorts(b, a));
        expect(conflictsOnPorts(a, a)).toBe(a.length > 0);
      }),
    );
  });
});

describe('repelledBy', () => {
  const train = [{ key: 'app', operator: 'In' as const, values: ['train'] }];
  const term = { selector: train, namespaces: ['ml'] };
  const pod = aPod({ namespace: 'ml', labels: { app: 'train' } });
  test.each([
    ['a match in one of its namespaces repels', [term], [pod], true],
    ['the same labels in another namespace do not', [term], [{ ...pod, namespace: 'web' }], false],
    ['other labels do not', [term], [{ ...pod, labels: { app: 'web' } }], false],
    ['one match of many pods is enough', [term], [{ ...pod, labels: {} }, pod], true],
    ['one term of many is enough', [{ ...term, namespaces: [] }, term], [pod], true],
    ['no terms repel nothing', [], [pod], false],
    ['no pods repel nothing', [term], [], false],
    ['a term without selector matches no pod', [{ selector: undefined, namespaces: ['ml'] }], [pod], false],
    ['an empty selector matches every pod', [{ selector: [], namespaces: ['ml'] }], [{ ...pod, labels: {} }], true],
  ])('%s', (_, terms, pods, expected) => {
    expect(repelledBy(terms, pods)).toBe(expected);
  });
});
