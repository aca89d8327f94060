import { describe, expect, test } from 'vitest';
import { findMissingKeys, readTopologyKeys } from '../../../src/core/podgroup/topology-keys.ts';
import type { TopologyRequest } from '../../../src/core/topology/request.ts';
import { aPod } from '../../support/builders.ts';
import { NO_TOPOLOGY } from '../../support/gangs.ts';

/** Keys without their prefix. */
function annotated(keys: Readonly<Record<string, string>>, createdAt: readonly number[] = [0]) {
  const annotations = Object.fromEntries(Object.entries(keys).map(([key, value]) => [`muster.dev/${key}`, value]));
  return createdAt.map((at, i) => aPod({ name: `w-${i}`, annotations, createdAt: at }));
}

describe('what annotations ask for', () => {
  test.each<[string, Record<string, string>, Partial<TopologyRequest>]>([
    ['nothing', {}, {}],
    ['a required level', { 'topology-required': 'rack' }, { required: 'rack' }],
    ['a preferred one, by its key', { 'topology-preferred': 'example.com/rack' }, { preferred: 'example.com/rack' }],
    [
      'spread and exclusive',
      { 'topology-spread': 'zone', 'topology-exclusive': 'rack' },
      { spread: 'zone', exclusive: 'rack' },
    ],
    ['slices', { 'slice-size': '8', 'slice-required': 'rack' }, { slice: { size: 8, level: 'rack' } }],
    ['a size without a level is no slice', { 'slice-size': '8' }, {}],
    ['nor a level without a size', { 'slice-required': 'rack' }, {}],
    ['nor a size that is none', { 'slice-size': 'eight', 'slice-required': 'rack' }, {}],
    ['nor the size 0', { 'slice-size': '0', 'slice-required': 'rack' }, {}],
    [
      'patience that is no duration waits for nothing',
      { 'topology-preferred': 'rack', 'topology-patience': 'soon' },
      { preferred: 'rack' },
    ],
  ])('%s', (_, keys, expected) => {
    expect(readTopologyKeys(annotated(keys), annotated(keys), 1)).toEqual({ ...NO_TOPOLOGY, ...expected });
  });

  test.each<[string, readonly number[], number | undefined, number]>([
    ['when the only member is created', [5000], 1, 65_000],
    ['when the last member that is needed is', [5000, 7000, 9000], 2, 67_000],
    ['in whatever order they are told', [9000, 5000, 7000], 2, 67_000],
    ['when fewer exist than are needed, with the last', [5000, 7000], 3, 67_000],
    ['when the size is unknown, with the last', [5000, 9000, 7000], undefined, 69_000],
  ])('patience begins %s', (_, createdAt, minMember, until) => {
    const members = annotated({ 'topology-patience': '1m' }, createdAt);
    expect(readTopologyKeys(members, members, minMember).patientUntil).toBe(until);
  });

  test('a gang without members asks for nothing', () => {
    expect(readTopologyKeys([], [], undefined)).toEqual(NO_TOPOLOGY);
    expect(findMissingKeys([])).toEqual([]);
  });
});

test.each<[string, Record<string, string>, readonly (readonly [string, string])[]]>([
  ['patience without a preferred level', { 'topology-patience': '1m' }, [['topology-patience', 'topology-preferred']]],
  ['a slice size without a level', { 'slice-size': '2' }, [['slice-size', 'slice-required']]],
  ['a level without a size', { 'slice-required': 'rack' }, [['slice-required', 'slice-size']]],
  [
    'several',
    { 'slice-size': '2', 'topology-patience': '1m' },
    [
      ['topology-patience', 'topology-preferred'],
      ['slice-size', 'slice-required'],
    ],
  ],
  [
    'both of a pair',
    { 'slice-size': '2', 'slice-required': 'rack', 'topology-patience': '1m', 'topology-preferred': 'rack' },
    [],
  ],
  ['a preferred level without patience is fine', { 'topology-preferred': 'rack' }, []],
])('keys that say nothing alone: %s', (_, keys, missing) => {
  const expected = missing.map(([key, needs]) => ({
    kind: 'missing-key',
    key: `muster.dev/${key}`,
    needs: `muster.dev/${needs}`,
  }));
  expect(findMissingKeys(annotated(keys))).toEqual(expected);
});
