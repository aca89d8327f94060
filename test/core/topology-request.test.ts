import { describe, expect, test } from 'vitest';
import { type LevelProblem, resolveTopology, type TopologyRequest } from '../../src/core/topology-request.ts';
import { NO_TOPOLOGY } from '../support/gangs.ts';
import { BLOCK, drawSnapshot, RACK } from '../support/topology.ts';

/** Levels: 0 zone, 1 block, 2 rack, 3 host. */
const { topology } = drawSnapshot('z/b/r: n1[8]');
const resolve = (request: Partial<TopologyRequest>, now = 0) =>
  resolveTopology(topology, { ...NO_TOPOLOGY, ...request }, now);

/** What `resolve` found, without what was not asked for. */
function resolved(request: Partial<TopologyRequest>, now = 0): Record<string, unknown> {
  const found = resolve(request, now);
  if (found.kind === 'problem') throw new Error(`expected no problem, got ${JSON.stringify(found.problem)}`);
  return Object.fromEntries(Object.entries(found.topology).filter(([, value]) => value !== -1 && value !== undefined));
}

describe('levels', () => {
  test.each<[string, Partial<TopologyRequest>, Record<string, unknown>]>([
    ['nothing asked', {}, {}],
    ['by name', { required: 'block' }, { required: 1, outermost: 1 }],
    [
      'by node label',
      { required: RACK, preferred: 'kubernetes.io/hostname' },
      { required: 2, preferred: 3, outermost: 2 },
    ],
    ['preferred alone leaves the whole cluster', { preferred: 'rack' }, { preferred: 2 }],
    ['slices', { slice: { size: 4, level: BLOCK } }, { slice: { size: 4, level: 1 } }],
    ['spread and exclusive', { spread: 'zone', exclusive: 'rack' }, { spread: 0, exclusive: 2 }],
  ])('%s', (_, request, expected) => {
    expect(resolved(request)).toEqual(expected);
  });

  test.each<[string, Partial<TopologyRequest>, number, Record<string, unknown>]>([
    [
      'the preferred level is the outermost until the deadline',
      { patientUntil: 1000 },
      999,
      { outermost: 2, widensAt: 1000 },
    ],
    ['then the required one', { patientUntil: 1000, required: 'zone' }, 1000, { required: 0, outermost: 0 }],
    ['or the whole cluster', { patientUntil: 1000 }, 1000, {}],
    [
      'it is no narrower than required: nothing to wait for',
      { patientUntil: 1000, required: 'rack' },
      0,
      { required: 2, outermost: 2 },
    ],
  ])('patience: %s', (_, request, now, expected) => {
    expect(resolved({ preferred: 'rack', ...request }, now)).toEqual({ preferred: 2, ...expected });
  });

  test('patience without a preferred level waits for nothing', () => {
    expect(resolved({ patientUntil: 1000 })).toEqual({});
  });
});

describe('what cannot be', () => {
  const all = ['zone', 'block', 'rack', 'host'];
  test.each<[string, Partial<TopologyRequest>, LevelProblem]>([
    ...(['required', 'preferred', 'spread', 'exclusive'] as const).map(
      (key) =>
        [
          `an unknown ${key} level`,
          { [key]: 'leaf' },
          { kind: 'unknown-level', key: `topology-${key}`, found: 'leaf', known: all },
        ] satisfies [string, Partial<TopologyRequest>, LevelProblem],
    ),
    [
      'an unknown level of slices',
      { slice: { size: 2, level: 'leaf' } },
      { kind: 'unknown-level', key: 'slice-required', found: 'leaf', known: all },
    ],
    [
      'the first of several',
      { required: 'x', preferred: 'y' },
      { kind: 'unknown-level', key: 'topology-required', found: 'x', known: all },
    ],
    [
      'spread inside slices',
      { spread: 'host', slice: { size: 2, level: 'rack' } },
      { kind: 'spread-inside-slice', key: 'topology-spread', found: 'host', known: ['zone', 'block', 'rack'] },
    ],
    [
      'spread outside of the required level',
      { spread: BLOCK, required: 'rack' },
      { kind: 'spread-outside-required', key: 'topology-spread', found: BLOCK, known: ['host'] },
    ],
    [
      'and over it',
      { spread: 'block', required: 'block' },
      { kind: 'spread-outside-required', key: 'topology-spread', found: 'block', known: ['rack', 'host'] },
    ],
  ])('%s', (_, request, problem) => {
    expect(resolve(request)).toEqual({ kind: 'problem', problem });
  });

  test.each<[string, Partial<TopologyRequest>]>([
    ['spread over the slices’ own level', { spread: 'rack', slice: { size: 2, level: 'rack' } }],
    ['spread inside the required level', { spread: 'rack', required: 'block' }],
    ['a preferred level outside of the required one', { preferred: 'zone', required: 'rack' }],
    ['slices in a level outside of the required one', { slice: { size: 2, level: 'zone' }, required: 'rack' }],
  ])('but %s can', (_, request) => {
    expect(resolve(request).kind).toBe('resolved');
  });
});
