import { describe, expect, test } from 'vitest';
import type { Unschedulable } from '../../../src/core/placement/report.ts';
import type { TopologyShortfall } from '../../../src/core/placement/shortfall.ts';
import { explain, explainStably, type Reason } from '../../../src/core/reasons/explain.ts';
import type { LevelProblem } from '../../../src/core/topology/request.ts';

const unschedulable = (fits: number, ...causes: [string, number][]): Unschedulable => ({
  kind: 'unschedulable',
  fits,
  want: 64,
  causes: causes.map(([cause, nodes]) => ({ cause, nodes })),
  topology: undefined,
});

/** No domain of racks holds all 64, unless told otherwise. */
const noDomain = (options: Partial<TopologyShortfall & { kind: 'no-domain' }> = {}, fits = 60): Reason => ({
  kind: 'unschedulable',
  fits,
  want: 64,
  causes: [{ cause: 'insufficient nvidia.com/gpu', nodes: 8 }],
  topology: {
    kind: 'no-domain',
    level: 'rack',
    best: 'block-2/rack-7',
    slice: undefined,
    squatters: undefined,
    widensAt: undefined,
    ...options,
  },
});

const levelProblem = (kind: LevelProblem['kind'], key: string, found: string, known: readonly string[]): Reason => ({
  kind: 'unschedulable',
  fits: 0,
  want: 64,
  causes: [],
  topology: { kind, key, found, known },
});
const quota = { queue: 'ml', dimension: 'nvidia.com/gpu', used: 0, asked: 40, bound: 32 };
const neverFits = (lacks: Reason): Reason => ({
  kind: 'unsatisfiable',
  lacks: lacks as Unschedulable,
  oversize: undefined,
});
const unknownLevel = levelProblem('unknown-level', 'topology-required', 'rak', ['block', 'rack', 'host']);

describe('for people', () => {
  test.each<[string, Reason, string]>([
    ['gathering', { kind: 'gathering', have: 60, want: 64 }, '60 of 64 members exist'],
    [
      'members that cannot be created',
      { kind: 'gathering', have: 3, want: 4, refused: { owner: 'Job a', message: 'exceeded quota: q' } },
      '3 of 4 members exist; Job a cannot create more: "exceeded quota: q"',
    ],
    ['queued', { kind: 'queued' }, 'complete, waiting to be planned'],
    ['no room, and nothing to say about nodes', unschedulable(60), 'room for 60 of 64 members'],
    [
      'no room, with the nodes that are out',
      unschedulable(60, ['insufficient nvidia.com/gpu', 61], ['not ready', 1]),
      'room for 60 of 64 members; nodes for the others: 61 insufficient nvidia.com/gpu, 1 not ready',
    ],
    [
      'no room, and who has it',
      {
        ...unschedulable(60, ['insufficient memory', 4]),
        holders: {
          resource: 'memory',
          largest: [
            { kind: 'gang', name: 'ml/a', amount: 96 * 2 ** 30 },
            { kind: 'pod', name: 'web/b', amount: 1.5 * 2 ** 30 },
          ],
          others: 7,
        },
        preemption: { kind: 'coming' },
      },
      'room for 60 of 64 members; nodes for the others: 4 insufficient memory; held by gang ml/a (96Gi memory), pod web/b (1.5Gi) and 7 more; it fits when the pods that are terminating have left',
    ],
    [
      'never any room',
      { kind: 'unsatisfiable', lacks: unschedulable(16, ['insufficient nvidia.com/gpu', 16]), oversize: undefined },
      'can never fit on these nodes: room for 16 of 64 members even if nothing else ran; nodes for the others: 16 insufficient nvidia.com/gpu; ask for less, or add nodes',
    ],
    [
      'no node that is allowed',
      {
        kind: 'unsatisfiable',
        lacks: unschedulable(0, ['not matching node selector pool=a', 16]),
        oversize: undefined,
      },
      'can never fit on these nodes: room for 0 of 64 members even if nothing else ran; nodes for the others: 16 not matching node selector pool=a; change what its pods require of nodes, or add nodes',
    ],
    [
      'never any room for one member',
      {
        kind: 'unsatisfiable',
        lacks: unschedulable(0, ['insufficient cpu', 16]),
        oversize: { resource: 'cpu', asked: 128_000, largest: 95_500 },
      },
      'can never fit on these nodes: room for 0 of 64 members even if nothing else ran; one member asks for 128 cpu, the largest node has 95.5; nodes for the others: 16 insufficient cpu; ask for less, or add nodes',
    ],
    [
      'more than a limit',
      { kind: 'beyond-quota', refusal: { cause: 'limit', ...quota } },
      'can never start: queue ml: expected at most 32 nvidia.com/gpu (its limit), found 40 asked for; ask for less or raise the limit',
    ],
    [
      'more than a guarantee, without the right to borrow',
      { kind: 'beyond-quota', refusal: { cause: 'no-borrowing', ...quota } },
      'can never start: queue ml: expected at most 32 nvidia.com/gpu (its guarantee; it may not borrow), found 40 asked for; ask for less, raise the guarantee or allow borrowing',
    ],
    [
      'no domain of the required level',
      noDomain(),
      'rack: best domain block-2/rack-7 fits 60 of 64; nodes there for the others: 8 insufficient nvidia.com/gpu',
    ],
    [
      'no domain that takes any',
      noDomain({ best: undefined }, 0),
      'rack: no domain takes any of 64 members; nodes for the others: 8 insufficient nvidia.com/gpu',
    ],
    [
      'no domain for slices',
      noDomain({ slice: { size: 8, level: 'nvlink' } }, 56),
      'rack: best domain block-2/rack-7 fits 56 of 64 in slices of 8, each in one nvlink; nodes there for the others: 8 insufficient nvidia.com/gpu',
    ],
    [
      'slices without a required level',
      noDomain({ level: undefined, best: undefined, slice: { size: 8, level: 'nvlink' } }, 56),
      'room for 56 of 64 members in slices of 8, each in one nvlink; nodes for the others: 8 insufficient nvidia.com/gpu',
    ],
    [
      'pods in the way',
      noDomain({ squatters: { domain: 'block-1/rack-2', pods: 2, examples: ['web/a', 'web/b'] } }),
      'rack: best domain block-2/rack-7 fits 60 of 64; block-1/rack-2 would hold it without pods that use no accelerator: web/a, web/b; nodes there for the others: 8 insufficient nvidia.com/gpu',
    ],
    [
      'many pods in the way',
      noDomain({ squatters: { domain: 'block-1/rack-2', pods: 12, examples: ['web/a', 'web/b', 'web/c'] } }),
      'rack: best domain block-2/rack-7 fits 60 of 64; block-1/rack-2 would hold it without pods that use no accelerator: web/a, web/b, web/c and 9 more; nodes there for the others: 8 insufficient nvidia.com/gpu',
    ],
    [
      'patience',
      noDomain({ widensAt: 60_000 }),
      'rack: best domain block-2/rack-7 fits 60 of 64; tried wider after 1970-01-01T00:01:00.000Z; nodes there for the others: 8 insufficient nvidia.com/gpu',
    ],
    [
      'a level that does not exist',
      unknownLevel,
      'muster.dev/topology-required: expected one of block, rack, host, or a node label of theirs, found "rak"; muster topology shows the levels of this cluster',
    ],
    [
      'spread within slices',
      levelProblem('spread-inside-slice', 'topology-spread', 'host', ['block', 'rack']),
      'muster.dev/topology-spread: expected one of block, rack, or a node label of theirs, found "host"; slices are kept together and only whole ones can be spread',
    ],
    [
      'spread over what one domain has to hold',
      levelProblem('spread-outside-required', 'topology-spread', 'block', ['rack', 'host']),
      'muster.dev/topology-spread: expected one of rack, host, or a node label of theirs, found "block"; all members are in one domain of the required level already',
    ],
    [
      'spread where there is nothing to spread over',
      levelProblem('spread-outside-required', 'topology-spread', 'host', []),
      'muster.dev/topology-spread: expected no level, found "host"; all members are in one domain of the required level already',
    ],
    [
      'nominated',
      { kind: 'nominated', members: 64, atBarrier: 3 },
      '64 members nominated, 3 of them at the bind barrier; all are bound together',
    ],
    [
      'nominated, one member',
      { kind: 'nominated', members: 1, atBarrier: 0 },
      '1 member nominated; kube-scheduler binds it next',
    ],
    [
      'backing off',
      { kind: 'backing-off', cause: 'the barrier timed out', until: 1000 },
      'the barrier timed out; tried again at 1970-01-01T00:00:01.000Z',
    ],
    [
      'incomplete, nothing to be had for the missing one',
      {
        kind: 'incomplete',
        running: 63,
        want: 64,
        repair: { kind: 'replace', places: 0 },
        lost: [],
        losses: 0,
        waiting: undefined,
      },
      '63 of 64 members are bound',
    ],
    [
      'incomplete, with a place for the missing one',
      {
        kind: 'incomplete',
        running: 63,
        want: 64,
        repair: { kind: 'replace', places: 1 },
        lost: [],
        losses: 0,
        waiting: undefined,
      },
      '63 of 64 members are bound; places kept for replacements: 1',
    ],
    [
      'incomplete, restarted before',
      {
        kind: 'incomplete',
        running: 63,
        want: 64,
        repair: { kind: 'restart', count: 1, most: 3 },
        lost: [],
        losses: 0,
        waiting: undefined,
      },
      '63 of 64 members are bound; restarted 1 of at most 3 times',
    ],
    [
      'incomplete, restarted too often',
      {
        kind: 'incomplete',
        running: 63,
        want: 64,
        repair: { kind: 'restart', count: 3, most: 3 },
        lost: [],
        losses: 0,
        waiting: undefined,
      },
      '63 of 64 members are bound; restarted 3 times, which is the most: it is left as it is',
    ],
    [
      'incomplete, and nobody is to care',
      {
        kind: 'incomplete',
        running: 63,
        want: 64,
        repair: { kind: 'ignore' },
        lost: [],
        losses: 0,
        waiting: undefined,
      },
      '63 of 64 members are bound; muster.dev/on-member-loss is ignore',
    ],
    [
      'preempting',
      { kind: 'preempting', victims: ['ml/a', 'ml/b', 'ml/c'], pods: 48, gone: 16, blockedBy: '' },
      'preempts ml/a, ml/b and 1 more; 16 of 48 pods have left',
    ],
    [
      'preempted',
      { kind: 'preempted', by: 'ml/a', at: 1000 },
      'preempted by gang ml/a, evicted at 1970-01-01T00:00:01.000Z',
    ],
    [
      'preempting, blocked',
      { kind: 'preempting', victims: ['ml/a'], pods: 4, gone: 0, blockedBy: 'PodDisruptionBudget ml/pdb says no' },
      'preempts ml/a; 0 of 4 pods have left; blocked: PodDisruptionBudget ml/pdb says no',
    ],
    [
      'waiting for pods that leave by themselves',
      { kind: 'preempting', victims: [], pods: 4, gone: 0, blockedBy: '' },
      'waits for pods that are leaving; 0 of 4 pods have left',
    ],
    [
      'no room, and protected gangs in the way',
      {
        ...unschedulable(0, ['cordoned', 1]),
        preemption: { kind: 'none', reconsiderAt: 1000, spared: [{ cause: 'min-runtime', units: 2 }] },
      },
      'room for 0 of 64 members; nodes for the others: 1 cordoned; of lower priority but protected: 2 inside min-runtime until 1970-01-01T00:00:01.000Z',
    ],
    [
      'no room, and budgets in the way',
      { ...unschedulable(0, ['cordoned', 1]), preemption: { kind: 'budgets', violations: 2, victims: ['ml/a'] } },
      'room for 0 of 64 members; nodes for the others: 1 cordoned; preempting ml/a would violate PodDisruptionBudgets by 2',
    ],
    [
      'room to come',
      { ...unschedulable(0, ['cordoned', 1]), preemption: { kind: 'coming' } },
      'room for 0 of 64 members; nodes for the others: 1 cordoned; it fits when the pods that are terminating have left',
    ],
    [
      'several problems',
      {
        kind: 'problems',
        problems: [
          { kind: 'no-min-members', uncounted: undefined },
          { kind: 'min-above-max', min: 3, max: 2 },
        ],
      },
      'the size of the gang is unknown: expected annotation muster.dev/min-members, or only pods owned by Jobs; muster.dev/min-members 3 is above muster.dev/max-members 2',
    ],
  ])('%s', (_, reason, expected) => {
    expect(explain(reason)).toBe(expected);
  });
});

describe('for filter replies', () => {
  /** Two moments of one gang: what counts changed, the kind of cause did not. */
  const moments: readonly (readonly [Reason, Reason])[] = [
    [
      { kind: 'gathering', have: 1, want: 64 },
      { kind: 'gathering', have: 63, want: 64 },
    ],
    [unschedulable(1, ['not ready', 3]), unschedulable(60, ['insufficient nvidia.com/gpu', 61])],
    [noDomain({}, 60), noDomain({ best: 'block-1/rack-3', widensAt: 1 }, 61)],
    [neverFits(unschedulable(1, ['not ready', 3])), neverFits(unschedulable(60, ['cordoned', 4]))],
    [neverFits(noDomain({}, 60)), neverFits(noDomain({ best: 'block-1/rack-3' }, 61))],
    [
      { kind: 'beyond-quota', refusal: { cause: 'limit', ...quota } },
      { kind: 'beyond-quota', refusal: { cause: 'limit', ...quota, asked: 48 } },
    ],
    [
      { kind: 'nominated', members: 64, atBarrier: 0 },
      { kind: 'nominated', members: 60, atBarrier: 63 },
    ],
    [
      { kind: 'backing-off', cause: 'the barrier timed out after 25 s', until: 1000 },
      { kind: 'backing-off', cause: 'kube-scheduler refused 8 placements', until: 2000 },
    ],
    [
      {
        kind: 'incomplete',
        running: 1,
        want: 64,
        repair: { kind: 'replace', places: 3 },
        lost: [],
        losses: 0,
        waiting: undefined,
      },
      {
        kind: 'incomplete',
        running: 63,
        want: 64,
        repair: { kind: 'restart', count: 1, most: 3 },
        lost: [],
        losses: 0,
        waiting: undefined,
      },
    ],
    [
      { kind: 'preempting', victims: ['ml/a'], pods: 4, gone: 0, blockedBy: '' },
      { kind: 'preempting', victims: ['ml/b'], pods: 4, gone: 3, blockedBy: 'a budget' },
    ],
    [{ kind: 'queued' }, { kind: 'queued' }],
    [unknownLevel, unknownLevel],
  ];

  test.each(moments.map((pair) => [pair[0].kind, pair] as const))(
    '%s has one text without digits',
    (_, [early, late]) => {
      const text = explainStably('default/train', early);
      expect(explainStably('default/train', late)).toBe(text);
      expect(text).toMatch(/^gang default\/train [^\d%]+$/);
    },
  );

  test('what is asked for may have digits: it does not change while a gang waits', () => {
    const slices = noDomain({ level: undefined, best: undefined, slice: { size: 8, level: 'nvlink' } }, 56);
    expect(explainStably('default/train', slices)).toBe('gang default/train waits for room for slices of 8 members');
  });

  test('each kind of cause has a text of its own', () => {
    const texts = moments.map(([reason]) => explainStably('default/train', reason));
    expect(new Set(texts).size).toBe(moments.length);
  });
});
