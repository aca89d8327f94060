/** One cause for each kind of reason, the same whatever its numbers, times and names are. */
import { describe, expect, test } from 'vitest';
import type { GangKey } from '../../../src/core/podgroup/gang.ts';
import type { GangProblem } from '../../../src/core/podgroup/problems.ts';
import { causeOf } from '../../../src/core/reasons/cause.ts';
import type { Reason } from '../../../src/core/reasons/explain.ts';

const noDomain = { kind: 'no-domain', level: 'rack', slice: undefined, squatters: undefined } as const;
const quota = { cause: 'limit', queue: 'team-a', dimension: 'nvidia.com/gpu' } as const;

const lossless = { lost: [], losses: 0, waiting: undefined } as const;
const loss = { pod: 'a-1', node: 'n1', how: 'failed', nodeState: '' } as const;
const noRoom = { kind: 'unschedulable', fits: 0, want: 1, causes: [], topology: undefined } as const;

/** Two moments of one cause for each kind, as type and number change. */
const moments: readonly (readonly [cause: string, one: Reason, other: Reason])[] = [
  ['gathering', { kind: 'gathering', have: 1, want: 4 }, { kind: 'gathering', have: 3, want: 8 }],
  ['queued', { kind: 'queued' }, { kind: 'queued' }],
  ['held', { kind: 'held' }, { kind: 'held' }],
  ['nominated', { kind: 'nominated', members: 4, atBarrier: 0 }, { kind: 'nominated', members: 4, atBarrier: 3 }],
  [
    'backing-off',
    { kind: 'backing-off', cause: 'pod a-1 was refused', until: 1 },
    { kind: 'backing-off', cause: 'pod a-2 was refused', until: 2 },
  ],
  [
    'preempting',
    { kind: 'preempting', victims: ['default/x'], pods: 4, gone: 0, blockedBy: '' },
    { kind: 'preempting', victims: ['default/y'], pods: 5, gone: 4, blockedBy: 'PodDisruptionBudget y' },
  ],
  ['preempted', { kind: 'preempted', by: 'default/x', at: 1 }, { kind: 'preempted', by: 'default/y', at: 2 }],
  [
    'problems bad-value muster.dev/min-members duplicate-rank',
    {
      kind: 'problems',
      problems: [
        { kind: 'duplicate-rank', rank: 1, pods: ['a-0', 'a-1'], count: 2 },
        { kind: 'bad-value', key: 'muster.dev/min-members', expected: 'a number', value: 'x', pod: 'a-0' },
      ],
    },
    {
      kind: 'problems',
      problems: [
        { kind: 'bad-value', key: 'muster.dev/min-members', expected: 'a number', value: 'y', pod: 'a-3' },
        { kind: 'duplicate-rank', rank: 2, pods: ['a-2', 'a-3'], count: 2 },
      ],
    },
  ],
  [
    'unschedulable',
    { kind: 'unschedulable', fits: 1, want: 4, causes: [], topology: undefined },
    {
      kind: 'unschedulable',
      fits: 3,
      want: 4,
      causes: [{ cause: 'insufficient nvidia.com/gpu', nodes: 7 }],
      topology: undefined,
      preemption: { kind: 'none', reconsiderAt: 5, spared: [] },
    },
  ],
  [
    'unschedulable no-domain rack',
    { kind: 'unschedulable', fits: 1, want: 4, causes: [], topology: { ...noDomain, best: 'a/r1', widensAt: 1 } },
    { kind: 'unschedulable', fits: 3, want: 4, causes: [], topology: { ...noDomain, best: 'b/r7', widensAt: 2 } },
  ],
  [
    'queue unknown-queue team-a',
    { kind: 'queue', problem: { kind: 'unknown-queue', queue: 'team-a', usable: [] } },
    { kind: 'queue', problem: { kind: 'unknown-queue', queue: 'team-a', usable: ['team-b'] } },
  ],
  [
    'quota limit team-a',
    { kind: 'quota', refusal: { ...quota, used: 8, asked: 8, bound: 8 } },
    { kind: 'quota', refusal: { ...quota, used: 9, asked: 8, bound: 16 } },
  ],
  [
    'over-time team-a',
    { kind: 'over-time', queue: 'team-a', limitMs: 1 },
    { kind: 'over-time', queue: 'team-a', limitMs: 2 },
  ],
  [
    'outruns-barrier',
    { kind: 'outruns-barrier', members: 10_000, most: 7_000, timeoutMs: 25_000, isOwn: false },
    { kind: 'outruns-barrier', members: 10_000, most: 7_100, timeoutMs: 25_000, isOwn: false },
  ],
  [
    'behind planned-start',
    { kind: 'behind', gang: 'default/x' as GangKey, cause: 'planned-start', startsAt: 1 },
    { kind: 'behind', gang: 'default/y' as GangKey, cause: 'planned-start', startsAt: 2 },
  ],
  [
    'incomplete replace',
    { kind: 'incomplete', running: 15, want: 16, repair: { kind: 'replace', places: 1 }, ...lossless },
    { kind: 'incomplete', running: 12, want: 16, repair: { kind: 'replace', places: 4 }, ...lossless },
  ],
  [
    'incomplete replace unschedulable',
    {
      ...{ kind: 'incomplete', running: 15, want: 16, repair: { kind: 'replace', places: 0 } },
      ...{ lost: [loss], losses: 1, waiting: { pods: { names: ['a-1'], count: 1 }, why: noRoom } },
    },
    {
      ...{ kind: 'incomplete', running: 14, want: 16, repair: { kind: 'replace', places: 0 } },
      ...{
        lost: [loss, loss],
        losses: 2,
        waiting: { pods: { names: ['a-2'], count: 2 }, why: { ...noRoom, want: 2 } },
      },
    },
  ],
  [
    'members-wait unschedulable',
    { kind: 'members-wait', pods: { names: ['a-4'], count: 1 }, why: noRoom },
    { kind: 'members-wait', pods: { names: ['a-5'], count: 2 }, why: { ...noRoom, want: 2 } },
  ],
  [
    'later-runs',
    { kind: 'later-runs', run: undefined, later: [{ kind: 'Job', name: 'b' }], count: 1 },
    { kind: 'later-runs', run: undefined, later: [{ kind: 'Job', name: 'c' }], count: 1 },
  ],
  ['growing', { kind: 'growing', name: 'set', have: 1, want: 4 }, { kind: 'growing', name: 'set', have: 3, want: 4 }],
  [
    'gathering exceeded quota: q',
    { kind: 'gathering', have: 1, want: 4, refused: { owner: 'Job a', message: 'exceeded quota: q, used: pods=8' } },
    { kind: 'gathering', have: 2, want: 4, refused: { owner: 'Job a', message: 'exceeded quota: q, used: pods=16' } },
  ],
  [
    'unsatisfiable',
    { kind: 'unsatisfiable', lacks: noRoom, oversize: undefined },
    { kind: 'unsatisfiable', lacks: { ...noRoom, want: 2 }, oversize: undefined },
  ],
  [
    'beyond-quota limit team-a',
    { kind: 'beyond-quota', refusal: { ...quota, used: 0, asked: 9, bound: 8 } },
    { kind: 'beyond-quota', refusal: { ...quota, used: 0, asked: 20, bound: 16 } },
  ],
  ['settling', { kind: 'settling', until: 1 }, { kind: 'settling', until: 2 }],
  [
    'incomplete restart tried',
    { kind: 'incomplete', running: 15, want: 16, repair: { kind: 'restart', count: 1, most: 3 }, ...lossless },
    { kind: 'incomplete', running: 14, want: 16, repair: { kind: 'restart', count: 2, most: 3 }, ...lossless },
  ],
];

describe('the cause', () => {
  test.each(moments)('%s stays the same while numbers, times and names change', (cause, one, other) => {
    expect(causeOf(one)).toBe(cause);
    expect(causeOf(other)).toBe(cause);
  });

  test('differs from kind to kind', () => {
    const causes = moments.map(([, one]) => causeOf(one));
    expect(new Set(causes).size).toBe(moments.length);
  });

  test.each<[string, Reason, Reason]>([
    [
      'a budget comes into the way',
      { kind: 'unschedulable', fits: 1, want: 4, causes: [], topology: undefined },
      {
        ...{ kind: 'unschedulable', fits: 1, want: 4, causes: [], topology: undefined },
        preemption: { kind: 'budgets', violations: 1, victims: ['default/x'] },
      },
    ],
    [
      'the last restart is used up',
      { kind: 'incomplete', running: 3, want: 4, repair: { kind: 'restart', count: 2, most: 3 }, ...lossless },
      { kind: 'incomplete', running: 3, want: 4, repair: { kind: 'restart', count: 3, most: 3 }, ...lossless },
    ],
    [
      'a problem is added',
      { kind: 'problems', problems: [{ kind: 'no-min-members', uncounted: undefined }] },
      {
        kind: 'problems',
        problems: [
          { kind: 'no-min-members', uncounted: undefined },
          { kind: 'unbound-claim', claim: 'data' },
        ],
      },
    ],
  ])('changes when %s', (_, before, after) => {
    expect(causeOf(after)).not.toBe(causeOf(before));
  });

  test('does not grow with what a tenant writes', () => {
    const problems = Array.from(
      { length: 10_000 },
      (_, i): GangProblem => ({
        kind: 'unknown-key',
        key: `muster.dev/${i}${'x'.repeat(300)}`,
        meant: undefined,
        known: [],
        pod: 'a-0',
      }),
    );
    expect(causeOf({ kind: 'problems', problems }).length).toBeLessThan(1_000);
  });
});
