import { describe, expect, test } from 'vitest';
import { explain, explainStably, type Reason } from '../../src/core/explain.ts';

const unschedulable = (fits: number, ...causes: [string, number][]): Reason => ({
  kind: 'unschedulable',
  fits,
  want: 64,
  causes: causes.map(([cause, nodes]) => ({ cause, nodes })),
});

describe('for people', () => {
  test.each<[string, Reason, string]>([
    ['gathering', { kind: 'gathering', have: 60, want: 64 }, '60 of 64 members exist'],
    ['queued', { kind: 'queued' }, 'complete, waiting to be planned'],
    ['no room, and nothing to say about nodes', unschedulable(60), 'room for 60 of 64 members'],
    [
      'no room, with the nodes that are out',
      unschedulable(60, ['insufficient nvidia.com/gpu', 61], ['not ready', 1]),
      'room for 60 of 64 members; nodes for the others: 61 insufficient nvidia.com/gpu, 1 not ready',
    ],
    [
      'nominated',
      { kind: 'nominated', members: 64, atBarrier: 3 },
      '64 members nominated, 3 of them at the bind barrier',
    ],
    [
      'backing off',
      { kind: 'backing-off', cause: 'the barrier timed out', until: 1000 },
      'the barrier timed out; tried again at 1970-01-01T00:00:01.000Z',
    ],
    ['incomplete', { kind: 'incomplete', running: 63, want: 64 }, '63 of 64 members are bound'],
    [
      'several problems',
      { kind: 'problems', problems: [{ kind: 'no-min-members' }, { kind: 'min-above-max', min: 3, max: 2 }] },
      'the size of the gang is unknown: expected annotation muster.dev/min-members, or pods owned by a Job; muster.dev/min-members 3 is above muster.dev/max-members 2',
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
    [
      { kind: 'nominated', members: 64, atBarrier: 0 },
      { kind: 'nominated', members: 60, atBarrier: 63 },
    ],
    [
      { kind: 'backing-off', cause: 'the barrier timed out after 25 s', until: 1000 },
      { kind: 'backing-off', cause: 'kube-scheduler refused 8 placements', until: 2000 },
    ],
    [
      { kind: 'incomplete', running: 1, want: 64 },
      { kind: 'incomplete', running: 63, want: 64 },
    ],
    [{ kind: 'queued' }, { kind: 'queued' }],
  ];

  test.each(moments.map((pair) => [pair[0].kind, pair] as const))(
    '%s has one text without digits',
    (_, [early, late]) => {
      const text = explainStably('default/train', early);
      expect(explainStably('default/train', late)).toBe(text);
      expect(text).toMatch(/^gang default\/train [^\d%]+$/);
    },
  );

  test('each kind of cause has a text of its own', () => {
    const texts = moments.map(([reason]) => explainStably('default/train', reason));
    expect(new Set(texts).size).toBe(moments.length);
  });
});
