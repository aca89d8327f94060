/** The `queues` section of the configuration: reading, rendering and problems. */
import { describe, expect, test } from 'vitest';
import {
  ConfigurationError,
  type MusterConfiguration,
  parseConfiguration,
  renderConfiguration,
} from '../../src/config/configuration.ts';

const header = 'apiVersion: config.muster.dev/v1alpha1\nkind: MusterConfiguration\n';

function parse(queues: string): MusterConfiguration {
  return parseConfiguration(`${header}queues: ${queues}`, 'muster.yaml');
}

/** The problems of the section; empty if it is valid. */
function problemsOf(queues: string): readonly string[] {
  try {
    parse(queues);
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

const FULL = `
  defaultRunTime: 4h
  items:
  - name: org
  - name: research
    parent: org
    weight: 0.7
    quotas:
    - {resource: nvidia.com/gpu, model: NVIDIA-H100-80GB-HBM3, guaranteed: 64, limit: "128"}
    - {resource: memory, guaranteed: 2Ti}
    - {resource: cpu, guaranteed: 1500m, limit: 96}
    allowBorrowing: false
    reclaimable: false
    order: strict
    defaultPriority: -5
    maxRunTime: 24h
    maxMinRuntime: 30m
    allowNonPreemptible: true
    namespaces: [team-a, team-b]
    defaultFor: [team-a]
`;

describe('the queues of a file', () => {
  test('are read with every field, amounts in base units', () => {
    expect(parse(FULL).queues.items[1]).toEqual({
      name: 'research',
      parent: 'org',
      weight: 0.7,
      quotas: [
        { resource: 'nvidia.com/gpu', model: 'NVIDIA-H100-80GB-HBM3', guaranteed: 64, limit: 128 },
        { resource: 'memory', model: undefined, guaranteed: 2 * 2 ** 40, limit: undefined },
        { resource: 'cpu', model: undefined, guaranteed: 1500, limit: 96_000 },
      ],
      allowBorrowing: false,
      reclaimable: false,
      order: 'strict',
      defaultPriority: -5,
      maxRunTimeMs: 86_400_000,
      maxMinRuntimeMs: 1_800_000,
      allowNonPreemptible: true,
      namespaces: ['team-a', 'team-b'],
      defaultFor: ['team-a'],
    });
  });

  test('have defaults for every field but the name', () => {
    expect(parse(FULL).queues.items[0]).toEqual({
      name: 'org',
      parent: undefined,
      weight: 1,
      quotas: [],
      allowBorrowing: true,
      reclaimable: true,
      order: 'best-effort',
      defaultPriority: undefined,
      maxRunTimeMs: undefined,
      maxMinRuntimeMs: undefined,
      allowNonPreemptible: undefined,
      namespaces: undefined,
      defaultFor: [],
    });
  });

  test('can be written and read back', () => {
    const config = parse(FULL);
    expect(parseConfiguration(renderConfiguration(config), 'rendered')).toEqual(config);
    expect(renderConfiguration(config)).toContain('guaranteed: 1500m');
  });

  test('with an empty list of namespaces are closed to all, unlike without a list', () => {
    expect(parse('{items: [{name: a, namespaces: []}]}').queues.items[0]?.namespaces).toEqual([]);
  });

  test.each<[string, string, string]>([
    [
      'no name',
      '{items: [{weight: 1}]}',
      'queues.items[0].name: expected a queue name such as team-a, at most 63 of a-z, 0-9 and -, found nothing',
    ],
    [
      'a name that is no label value',
      '{items: [{name: Team A}]}',
      'queues.items[0].name: expected a queue name such as team-a, at most 63 of a-z, 0-9 and -, found "Team A"',
    ],
    [
      'no weight',
      '{items: [{name: a, weight: 0}]}',
      'queues.items[0].weight: expected a number from 0.001 to 1000000, found 0',
    ],
    [
      'a string as a switch',
      '{items: [{name: a, reclaimable: "no"}]}',
      'queues.items[0].reclaimable: expected true or false, found "no"',
    ],
    [
      'half a GPU',
      '{items: [{name: a, quotas: [{resource: nvidia.com/gpu, guaranteed: 0.5}]}]}',
      'queues.items[0].quotas[0].guaranteed: expected a whole quantity such as 64 or 2Ti, at least 0, found 0.5',
    ],
    [
      'a quota below zero',
      '{items: [{name: a, quotas: [{resource: cpu, limit: "-1"}]}]}',
      'queues.items[0].quotas[0].limit: expected a quantity such as 64 or 500m, at least 0, found "-1"',
    ],
    [
      'a quota that is not a quantity',
      '{items: [{name: a, quotas: [{resource: memory, limit: 2TB}]}]}',
      'queues.items[0].quotas[0].limit: expected a whole quantity such as 64 or 2Ti, at least 0, found "2TB"',
    ],
    [
      'a limit below the guarantee',
      '{items: [{name: a, quotas: [{resource: cpu, guaranteed: 2, limit: 1}]}]}',
      'queues.items[0].quotas[0].limit: expected at least 2 (guaranteed), found 1; raise the limit or lower the guarantee',
    ],
    [
      'a model for a resource other than GPUs',
      '{items: [{name: a, quotas: [{resource: cpu, model: H100}]}]}',
      'queues.items[0].quotas[0].model: expected none, as cpu is of no GPU, found "H100"',
    ],
    [
      'two quotas of one resource',
      '{items: [{name: a, quotas: [{resource: x/gpu, model: A}, {resource: x/gpu}, {resource: x/gpu, model: A}]}]}',
      'queues.items[0].quotas: expected each resource and model once, found x/gpu of model A twice',
    ],
    [
      'the default queue of a namespace that may not use it',
      '{items: [{name: a, namespaces: [x], defaultFor: [x, y]}]}',
      'queues.items[0].defaultFor: expected namespaces that may use the queue (x), found "y"',
    ],
    [
      'a namespace that is no text, nor can be made one',
      '{items: [{name: a, namespaces: [], defaultFor: [{toString: x}]}]}',
      'queues.items[0].defaultFor[0]: expected the name of a namespace, found {"toString":"x"}',
    ],
    [
      'a missing parent',
      '{items: [{name: a, parent: b}]}',
      'queues.items: queue a: expected its parent to be a queue, found none named b; create it or correct the parent',
    ],
    [
      'a queue given twice',
      '{items: [{name: a}, {name: a}]}',
      'queues.items: queue a is defined more than once; keep one definition',
    ],
    [
      'a negative weight of a factor',
      '{weights: {age: -1}}',
      'queues.weights.age: expected a number from 0 to 1000000000, found -1',
    ],
    ['another backfill', '{backfill: all}', 'queues.backfill: expected one of easy, conservative, none, found "all"'],
    [
      'an unknown field of a queue',
      '{items: [{name: a, quota: []}]}',
      'queues.items[0].quota: unknown field; expected one of name, parent, weight, quotas, allowBorrowing, reclaimable, ' +
        'order, defaultPriority, maxRunTime, maxMinRuntime, allowNonPreemptible, namespaces, defaultFor',
    ],
  ])('%s is a problem', (_, queues, problem) => {
    expect(problemsOf(queues)).toEqual([problem]);
  });
});
