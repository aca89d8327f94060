import { describe, expect, test } from 'vitest';
import type { DisruptionBudgetModel, PodModel } from '../../../src/core/objects/model.ts';
import { describeGang, gangKey } from '../../../src/core/podgroup/gang.ts';
import type { RunningGang } from '../../../src/core/preemption/candidates.ts';
import type { Preemption } from '../../../src/core/preemption/preemption.ts';
import { type Amounts, addUse } from '../../../src/core/queues/amounts.ts';
import { rollUp } from '../../../src/core/queues/quota.ts';
import { buildQueueTree } from '../../../src/core/queues/tree.ts';
import { planQuotaPreemption } from '../../../src/core/reclaim/quota-preemption.ts';
import { evictionRights, isOwedAny, listExcessVictims, type ReclaimQuery } from '../../../src/core/reclaim/rights.ts';
import { aGangSources, aPod, GPU, type PodOptions } from '../../support/builders.ts';
import { aGang, members } from '../../support/gangs.ts';
import { aQueue, gpus, type QueueOptions, queueNamed } from '../../support/queues.ts';
import { drawSnapshot } from '../../support/topology.ts';

const NOW = 10_000_000;
const policy = { isAccelerator: (resource: string) => resource === GPU, score: 'best-fit' } as const;

interface Job extends PodOptions {
  readonly queue: string;
  /** Nodes of its members, each taking all 8 GPUs unless `gpus` says otherwise; none of them is a gang's: lone pods. */
  readonly on: readonly string[];
  readonly lone?: boolean;
  /** Seconds since it started: 100. */
  readonly age?: number;
}

interface Situation {
  readonly queues: readonly QueueOptions[];
  readonly jobs: Readonly<Record<string, Job>>;
  /** Where the gang is, how many whole nodes it wants, and its priority. */
  readonly queue: string;
  readonly want?: number;
  readonly priority?: number;
  readonly budgets?: readonly Omit<DisruptionBudgetModel, 'namespace' | 'name'>[];
  readonly barred?: readonly string[];
  /** Eight nodes of 8 GPUs. */
  readonly cluster?: string;
}

function amountsOf(pods: readonly PodModel[]): Amounts {
  const amounts = new Map<string, number>();
  for (const { template } of pods) addUse(amounts, template, undefined, policy.isAccelerator);
  return amounts;
}

function decide({ queues, jobs, queue, want = 1, priority = 0, budgets = [], barred = [], cluster }: Situation) {
  const tree = buildQueueTree(queues.map(aQueue));
  const all = Object.entries(jobs).map(([name, { on, lone, queue: of, age = 100, labels, ...pod }]) => {
    const pods = on.map((nodeName, i) =>
      aPod({
        ...{ cpu: 0, memory: 0, createdAt: NOW - age * 1000, nodeName },
        ...pod,
        name: `${name}-${i}`,
        labels: { ...(!lone && { 'muster.dev/pod-group': name }), queue: of, ...labels },
      }),
    );
    return { name, lone, queue: of, pods };
  });
  const pods = all.flatMap((job) => job.pods);
  const snapshot = drawSnapshot(cluster ?? 'a: n1[8] n2[8] n3[8] n4[8] n5[8] n6[8] n7[8] n8[8]', { pods });
  const running = all.flatMap(({ name, lone, pods: bound }): RunningGang[] => {
    const sources = aGangSources(bound);
    return lone ? [] : [{ gang: describeGang(gangKey('default', name), sources), bound }];
  });
  const held = new Map(
    tree.leaves.map(({ name }) => [name, amountsOf(pods.filter(({ labels }) => labels.queue === name))]),
  );
  const query: ReclaimQuery = {
    tree,
    queue: queueNamed(tree, queue),
    priority,
    asked: gpus(want * 8),
    use: rollUp(tree, held),
    queueOf: ({ labels }) => tree.byName.get(labels.queue ?? ''),
  };
  const holders = {
    query,
    amountsOf,
    rights: evictionRights(query),
    isOwed: isOwedAny(query),
    listExcess: (units: Parameters<typeof listExcessVictims>[1]) => listExcessVictims(query, units, amountsOf),
  };
  const request = {
    gang: aGang(members(want, { cpu: 0, memory: 0 }), { priority }),
    running,
    budgets: budgets.map((budget, i) => ({ namespace: 'default', name: `budget-${i}`, ...budget })),
    barred: new Set(barred),
    holders,
  };
  return planQuotaPreemption(snapshot, request, policy, NOW);
}

function victimsOf(found: Preemption): readonly string[] {
  return found.kind === 'preempt' ? found.victims.map(({ key }) => key.replace('default/', '')) : [found.kind];
}

const ONE: readonly QueueOptions[] = [{ name: 'q', limit: 24 }, { name: 'other' }];
const ORG: readonly QueueOptions[] = [
  { name: 'org', limit: 32 },
  { name: 'a', parent: 'org', guaranteed: 16 },
  { name: 'b', parent: 'org', guaranteed: 8 },
  { name: 'c', parent: 'org', guaranteed: 8 },
  { name: 'far' },
];

describe('in a queue at its limit', () => {
  const jobs = {
    old: { queue: 'q', on: ['n1'], age: 300 },
    young: { queue: 'q', on: ['n2'], age: 100 },
    dear: { queue: 'q', on: ['n3'], age: 50, priority: 5 },
    stranger: { queue: 'other', on: ['n4'], age: 1 },
  };

  test.each([
    ['the youngest of the lowest priority', 1, ['young-0']],
    ['then the older one', 2, ['old-0', 'young-0']],
    ['then the next priority', 3, ['dear-0', 'old-0', 'young-0']],
  ])('%s goes first', (_, want, expected) => {
    const names = victimsOf(decide({ queues: ONE, jobs, queue: 'q', want, priority: 10 }));
    expect(names).toEqual(expected.map((name) => name.replace('-0', '')));
  });

  test('nothing is evicted without lower priority, for a gang beyond the limit, or where quota is left', () => {
    expect(decide({ queues: ONE, jobs, queue: 'q' }).kind).toBe('none');
    expect(decide({ queues: ONE, jobs, queue: 'q', want: 3, priority: 5 }).kind).toBe('none');
    expect(decide({ queues: ONE, jobs, queue: 'q', want: 4, priority: 10 }).kind).toBe('none');
    expect(decide({ queues: ONE, jobs: { old: jobs.old }, queue: 'q', priority: 10 }).kind).toBe('none');
  });

  test('a victim that turns out not to be needed stays', () => {
    const small = { queue: 'q', on: ['n1'], gpus: 4, age: 10 };
    const large = { queue: 'q', on: ['n2', 'n3'], age: 20 };
    const found = decide({
      queues: ONE,
      jobs: { small, large, rest: { ...small, on: ['n4'], age: 90 } },
      queue: 'q',
      want: 2,
      priority: 1,
    });
    expect(victimsOf(found)).toEqual(['large']);
  });

  test('more are evicted if those that free the quota leave no fitting nodes', () => {
    const whole = { queue: 'q', gpus: 4, on: ['n1'] };
    const found = decide({
      queues: [{ name: 'q', limit: 20 }],
      jobs: {
        p: { ...whole, age: 10 },
        q: { ...whole, on: ['n2'], age: 20 },
        r: { ...whole, age: 30 },
        s: { ...whole, on: ['n2'], age: 40 },
      },
      cluster: 'a: n1[8] n2[8]',
      queue: 'q',
      priority: 1,
    });
    expect(victimsOf(found)).toHaveLength(2);
    expect(found.kind === 'preempt' && found.slots).toHaveLength(1);
  });

  test('lone pods are evicted, too', () => {
    const lone = { queue: 'q', on: ['n1', 'n2', 'n3'], lone: true };
    expect(victimsOf(decide({ queues: ONE, jobs: { lone }, queue: 'q', priority: 1 }))).toEqual(['lone-0']);
  });

  test('protections are respected and reported', () => {
    const protectedJobs = {
      never: { ...jobs.old, annotations: { 'muster.dev/preemptible': 'false' } },
      soon: { ...jobs.young, annotations: { 'muster.dev/min-runtime': '200s' } },
      kept: { queue: 'q', on: ['n3'], labels: { app: 'kept' } },
    };
    const selector = [{ key: 'app', operator: 'In' as const, values: ['kept'] }];
    const found = decide({
      queues: ONE,
      jobs: protectedJobs,
      queue: 'q',
      priority: 10,
      budgets: [{ selector, disruptionsAllowed: 0 }],
    });
    expect(found).toMatchObject({ kind: 'none', reconsiderAt: NOW + 100_000 });
    const spared = found.kind === 'none' ? found.spared.map(({ cause }) => cause) : [];
    expect(spared).toEqual(['budget', 'min-runtime', 'preemptible']);
  });

  test('several units together exceed no budget, and a refused unit is not tried again', () => {
    const both = { queue: 'q', labels: { app: 'kept' } };
    const jobs2 = { u: { ...both, on: ['n1'] }, v: { ...both, on: ['n2'] }, w: { queue: 'q', on: ['n3'], age: 500 } };
    const selector = [{ key: 'app', operator: 'In' as const, values: ['kept'] }];
    const budgets = [{ selector, disruptionsAllowed: 1 }];
    const asked = { queues: ONE, jobs: jobs2, queue: 'q', want: 2, priority: 10, budgets };
    expect(victimsOf(decide(asked))).toEqual(['u', 'w']);
    expect(victimsOf(decide({ ...asked, barred: ['default/w'] }))).toEqual(['none']);
  });
});

describe('below an organisation at its limit', () => {
  const b = (name: string, age: number) => ({ [name]: { queue: 'b', on: [`n${name.at(-1)}`], age } });

  test('a team reclaims what its sister team borrowed, whatever the priority, and no more', () => {
    const jobs = { ...b('b1', 10), ...b('b2', 20), ...b('b3', 30), far: { queue: 'far', on: ['n5'], age: 1 } };
    const c = { queue: 'c', on: ['n4'], age: 1 };
    expect(victimsOf(decide({ queues: ORG, jobs: { ...jobs, c }, queue: 'a', want: 2 }))).toEqual(['b1', 'b2']);
    const dear = Object.fromEntries(Object.entries(jobs).map(([name, job]) => [name, { ...job, priority: 9 }]));
    expect(victimsOf(decide({ queues: ORG, jobs: { ...dear, c }, queue: 'a', want: 1 }))).toEqual(['b1']);
  });

  test('beyond its own guarantee it is owed nothing', () => {
    const jobs = { ...b('b1', 10), ...b('b2', 20), a: { queue: 'a', on: ['n3', 'n4'] } };
    expect(decide({ queues: ORG, jobs, queue: 'a' }).kind).toBe('none');
  });

  test('a sister team keeps its guarantee, whatever the priority', () => {
    const jobs = {
      ...b('b1', 10),
      c: { queue: 'c', on: ['n2'], age: 1 },
      a: { queue: 'a', on: ['n3', 'n4'], priority: 5 },
    };
    const found = decide({ queues: ORG, jobs, queue: 'a', priority: 5 });
    expect(found.kind).toBe('none');
    expect(found.kind === 'none' && found.spared).toEqual([{ cause: 'guaranteed', units: 2 }]);
  });

  test('by priority alone a sister team loses only what it has above its guarantee', () => {
    const jobs = { large: { queue: 'b', on: ['n1', 'n2'], age: 5 }, ...b('b3', 20), a: { queue: 'a', on: ['n4'] } };
    const guaranteed = (ofB: number) => [
      { name: 'org', limit: 32 },
      { name: 'a', parent: 'org', guaranteed: 8 },
      { name: 'b', parent: 'org', guaranteed: ofB },
    ];
    const asked = { jobs, queue: 'a', priority: 5 };
    expect(victimsOf(decide({ ...asked, queues: guaranteed(8) }))).toEqual(['large']);
    expect(victimsOf(decide({ ...asked, queues: guaranteed(16) }))).toEqual(['b3']);
    expect(victimsOf(decide({ ...asked, queues: guaranteed(17) })), 'one of its own').toEqual(['a']);
  });
});
