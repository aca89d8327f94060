import { describe, expect, test } from 'vitest';
import type { DisruptionBudgetModel, PodModel } from '../../../src/core/objects/model.ts';
import { describeGang, gangKey } from '../../../src/core/podgroup/gang.ts';
import type { RunningGang } from '../../../src/core/preemption/candidates.ts';
import { type Preemption, planPreemption } from '../../../src/core/preemption/preemption.ts';
import { aGangSources, aPod, GPU, type PodOptions } from '../../support/builders.ts';
import { aGang, type GangOptions, members } from '../../support/gangs.ts';
import { type DrawingOptions, drawSnapshot, printSnapshot } from '../../support/topology.ts';

const NOW = 10_000_000;
const policy = { isAccelerator: (resource: string) => resource === GPU, score: 'best-fit' } as const;

interface Job extends PodOptions {
  /** Nodes of its members, each taking all 8 GPUs unless `gpus` says otherwise; none: lone pods. */
  readonly on: readonly string[];
  readonly lone?: boolean;
  /** One for each member, instead of `priority`. */
  readonly priorities?: readonly number[];
  /** Seconds since it started: 100. */
  readonly age?: number;
  readonly min?: number;
  readonly max?: number;
}

type Jobs = Readonly<Record<string, Job>>;

interface Question {
  readonly cluster: string;
  readonly jobs: Jobs;
  /** Whole nodes that the preemptor asks for: 1. */
  readonly want?: number;
  readonly gang?: GangOptions & { readonly template?: PodOptions };
  readonly budgets?: readonly Omit<DisruptionBudgetModel, 'namespace' | 'name'>[];
  readonly barred?: readonly string[];
  readonly more?: DrawingOptions;
}

function podsOf(
  name: string,
  { on, lone, priorities, age = 100, min, max, annotations, labels, ...pod }: Job,
): readonly PodModel[] {
  return on.map((nodeName, i) =>
    aPod({
      cpu: 0,
      memory: 0,
      createdAt: NOW - age * 1000,
      ...pod,
      priority: priorities?.[i] ?? pod.priority ?? 0,
      name: on.length === 1 ? name : `${name}-${i}`,
      nodeName,
      labels: { ...(!lone && { 'muster.dev/pod-group': name }), ...labels },
      annotations: {
        ...(!lone && { 'muster.dev/min-members': String(min ?? on.length) }),
        ...(max !== undefined && { 'muster.dev/max-members': String(max) }),
        ...annotations,
      },
    }),
  );
}

function decide({ cluster, jobs, want = 1, gang = {}, budgets = [], barred = [], more = {} }: Question) {
  const all = Object.entries(jobs).map(([name, job]) => ({ name, job, pods: podsOf(name, job) }));
  const snapshot = drawSnapshot(cluster, { ...more, pods: [...all.flatMap(({ pods }) => pods), ...(more.pods ?? [])] });
  const running = all.flatMap(({ name, job, pods }): RunningGang[] => {
    if (job.lone) return [];
    const sources = aGangSources(pods);
    const bound = pods.filter(({ deleting }) => !deleting);
    return [{ gang: describeGang(gangKey('default', name), sources), bound }];
  });
  const { template, ...rest } = gang;
  const request = {
    gang: aGang(members(want, { cpu: 0, memory: 0, ...template }), { priority: 10, ...rest }),
    running,
    budgets: budgets.map((budget, i) => ({ namespace: 'default', name: `budget-${i}`, ...budget })),
    barred: new Set(barred),
  };
  const before = printSnapshot(snapshot);
  const found = planPreemption(snapshot, request, policy, NOW);
  expect(printSnapshot(snapshot)).toBe(before);
  return found;
}

/** The victims' names, and where the preemptor goes. */
function text(found: Preemption): string {
  switch (found.kind) {
    case 'preempt': {
      const names = found.victims.map(({ key }) => key.replace('default/', ''));
      return `${names.join(' ')} for ${found.slots.map(({ node }) => node).join(' ')}`;
    }
    case 'coming':
      return `coming: ${found.slots.map(({ node }) => node).join(' ')}`;
    case 'none':
      return ['none', ...found.spared.map(({ cause, units }) => `${units} ${cause}`)].join(', ');
    default:
      return found satisfies never;
  }
}

const TWO = `
  a: n1[8] n2[8]
  b: n3[8] n4[8]`;

/** A gang over rack a, one over rack b. */
const halves = (a: Partial<Job>, b: Partial<Job>): Jobs => ({
  left: { on: ['n1', 'n2'], ...a },
  right: { on: ['n3', 'n4'], ...b },
});

const old = { age: 1_000 };
const stamp = (secondsAgo: number) => ({
  annotations: { 'muster.dev/checkpointed-at': new Date(NOW - secondsAgo * 1000).toISOString() },
});
const label = (app: string) => ({ labels: { app } });
const covers = (app: string, disruptionsAllowed: number) => ({
  selector: [{ key: 'app', operator: 'In' as const, values: [app] }],
  disruptionsAllowed,
});

describe('which units are evicted', () => {
  test.each<[string, Question, string]>([
    ['the job that has done least', { cluster: TWO, jobs: halves(old, {}) }, 'right for n3'],
    ['the whole job, although half of it would do', { cluster: TWO, jobs: halves({}, old) }, 'left for n1'],
    [
      'one that has a checkpoint before a younger one',
      { cluster: TWO, jobs: halves({ ...old, ...stamp(10) }, {}) },
      'left for n1',
    ],
    ['a checkpoint in the future is one of now', { cluster: TWO, jobs: halves(stamp(-500), old) }, 'left for n1'],
    [
      'priority counts before lost work',
      { cluster: TWO, jobs: halves({ ...old, priority: 1 }, { priority: 2 }) },
      'left for n1',
    ],
    [
      'budgets count before priority: together the lone pods would exceed theirs',
      {
        cluster: 'a: n1[8] n2[8] n3[8] n4[8]',
        jobs: {
          web1: { on: ['n1'], lone: true, ...label('web') },
          web2: { on: ['n2'], lone: true, ...label('web') },
          run: { on: ['n3', 'n4'], priority: 5 },
        },
        want: 2,
        budgets: [covers('web', 1)],
      },
      'run for n3 n4',
    ],
    [
      'of equal losses the fewest gangs',
      { cluster: TWO, jobs: { ...halves({}, { on: ['n3'] }), third: { on: ['n4'] } }, want: 2 },
      'left for n1 n2',
    ],
    [
      'of equal ones the younger, by its oldest pod',
      {
        cluster: 'a: n1[8] n2[8]',
        jobs: { one: { on: ['n1'], ...stamp(0), age: 90 }, two: { on: ['n2'], ...stamp(0), age: 80 } },
      },
      'two for n2',
    ],
    [
      'lone pods before a gang, where they cost less',
      { cluster: TWO, jobs: { ...halves({}, old), small: { on: ['n3'], lone: true, age: 1 } } },
      'left for n1',
    ],
    [
      'only as many as are needed: one of ten',
      {
        cluster: Array.from({ length: 10 }, (_, i) => `r${i}: n${i}[8]`).join('\n'),
        jobs: Object.fromEntries(
          Array.from({ length: 10 }, (_, i) => [`job${i}`, { on: [`n${i}`], age: i === 7 ? 1 : 50 + i }]),
        ),
      },
      'job7 for n7',
    ],
    [
      'a larger job instead of a smaller one that is needed beside it',
      {
        cluster: 'a: n1[8] n2[8] n3[8]',
        jobs: { small: { on: ['n1'], age: 60 }, large: { on: ['n2', 'n3'], age: 100 } },
        want: 2,
      },
      'large for n2 n3',
    ],
    [
      'everybody on a shared node',
      {
        cluster: 'a: n1[8] n2[8]',
        jobs: {
          half1: { on: ['n1'], gpus: 4, lone: true, age: 10 },
          half2: { on: ['n1'], gpus: 4, lone: true, age: 10 },
          whole: { on: ['n2'], age: 50 },
        },
      },
      'half1 half2 for n1',
    ],
    [
      'nobody where it fits as soon as its patience is over',
      {
        cluster: TWO,
        jobs: { left: { on: ['n1'] }, right: { on: ['n3'] } },
        want: 2,
        gang: { topology: { preferred: 'rack', patientUntil: NOW + 1 } },
      },
      'none',
    ],
    [
      'one more only because of a preference: never',
      {
        cluster: TWO,
        jobs: { left: { on: ['n1'], age: 1 }, right: { on: ['n3', 'n4'], age: 50 } },
        want: 2,
        gang: { topology: { preferred: 'rack' } },
      },
      'left for n1 n2',
    ],
  ])('%s', (_, question, expected) => {
    expect(text(decide(question))).toBe(expected);
  });
});

describe('where the preemptor goes', () => {
  test.each<[string, Question, string]>([
    [
      'the required rack whose victims cost least, not the first',
      { cluster: TWO, jobs: halves(old, {}), want: 2, gang: { topology: { required: 'rack' } } },
      'right for n3 n4',
    ],
    [
      'one rack, although cheaper victims are in two',
      {
        cluster: TWO,
        jobs: {
          l1: { on: ['n1'], age: 1 },
          l2: { on: ['n2'], age: 90 },
          r1: { on: ['n3'], age: 1 },
          r2: { on: ['n4'], age: 80 },
        },
        want: 2,
        gang: { topology: { required: 'rack' } },
      },
      'r1 r2 for n3 n4',
    ],
    [
      'slices whole',
      {
        cluster: `${TWO}\nc: n5[8]`,
        jobs: {
          l1: { on: ['n1'], age: 1 },
          l2: { on: ['n2'], age: 100 },
          r1: { on: ['n3'], age: 1 },
          r2: { on: ['n4'], age: 90 },
        },
        want: 2,
        gang: { topology: { slice: { size: 2, level: 'rack' } } },
      },
      'r1 r2 for n3 n4',
    ],
    [
      'beside its members that run',
      {
        cluster: TWO,
        jobs: { l1: { on: ['n1'], ...old }, r1: { on: ['n3', 'n4'] } },
        want: 1,
        gang: { topology: { required: 'rack' }, near: ['n2'] },
        more: { nodes: { n2: { gpus: 0 } } },
      },
      'l1 for n1',
    ],
    [
      'one GPU model, although cheaper victims are on two',
      {
        cluster: TWO,
        jobs: {
          l1: { on: ['n1'], age: 1 },
          l2: { on: ['n2'], age: 90 },
          r1: { on: ['n3'], age: 1 },
          r2: { on: ['n4'], age: 80 },
        },
        want: 2,
        more: {
          nodes: Object.fromEntries(
            ['n1', 'n2', 'n3', 'n4'].map((name, i) => [
              name,
              { labels: { 'nvidia.com/gpu.product': i < 2 ? 'A' : 'B' } },
            ]),
          ),
        },
      },
      'r1 r2 for n3 n4',
    ],
    [
      'two models where no single one would do',
      {
        cluster: 'a: n1[8] n2[8]',
        jobs: { one: { on: ['n1'] }, two: { on: ['n2'] } },
        want: 2,
        more: {
          nodes: {
            n1: { labels: { 'nvidia.com/gpu.product': 'A' } },
            n2: { labels: { 'nvidia.com/gpu.product': 'B' } },
          },
        },
      },
      'one two for n1 n2',
    ],
    [
      'a domain that an exclusive gang has for itself, without that gang',
      {
        cluster: TWO,
        jobs: halves({ annotations: { 'muster.dev/topology-exclusive': 'rack' }, on: ['n1'], age: 1 }, old),
        want: 2,
        gang: {},
      },
      'left for n1 n2',
    ],
    [
      'room for its launcher, too',
      {
        cluster: 'a: n1[8] n2[cpu] n3[cpu]',
        jobs: {
          run: { on: ['n1'] },
          web1: { on: ['n2'], gpus: 0, cpu: 90, lone: true, priority: 1 },
          web2: { on: ['n3'], gpus: 0, cpu: 90, lone: true },
        },
        gang: {
          members: [
            ...members(1, { gpus: 8, cpu: 90, memory: 0 }),
            ...members(1, { name: 'launcher', gpus: 0, cpu: 90, memory: 0 }).map((pod) => ({ ...pod, rank: 1 })),
          ],
          min: 2,
        },
      },
      'run web2 for n1 n3',
    ],
    [
      'where a CPU pod alone is in the way',
      {
        cluster: 'a: n1[8]',
        jobs: { web: { on: ['n1'], gpus: 0, cpu: 90, lone: true } },
        gang: { template: { cpu: 10 } },
      },
      'web for n1',
    ],
  ])('%s', (_, question, expected) => {
    expect(text(decide(question))).toBe(expected);
  });
});

describe('an elastic gang', () => {
  const elastic: Job = { on: ['n1', 'n2', 'n3', 'n4'], min: 2, max: 4 };

  test.each<[string, Question, string]>([
    [
      'gives up a member rather than go, the one outside of the rack where most are',
      { cluster: 'a: n1[8] n2[8] n3[8]\nb: n4[8]', jobs: { big: elastic } },
      'big-3 for n4',
    ],
    [
      'gives up the highest rank among equal ones',
      { cluster: 'a: n1[8] n2[8] n3[8] n4[8]', jobs: { big: elastic } },
      'big-3 for n4',
    ],
    [
      'gives up members inside where only those help',
      {
        cluster: 'a: n1[8] n2[8] n3[8]\nb: n4[8]',
        jobs: { big: elastic },
        want: 2,
        gang: { topology: { required: 'rack' } },
      },
      'big-1 big-2 for n2 n3',
    ],
    [
      'goes whole when giving up all above its minimum is not enough',
      { cluster: TWO, jobs: { big: elastic }, want: 3 },
      'big for n1 n3 n4',
    ],
    [
      'keeps its members when another job costs less',
      { cluster: `${TWO}\nc: n5[8]`, jobs: { big: elastic, other: { on: ['n5'], age: 1 } } },
      'other for n5',
    ],
    [
      'gives up members even when a budget protects it as a whole',
      { cluster: TWO, jobs: { big: { ...elastic, ...label('big') } }, budgets: [covers('big', 2)] },
      'big-3 for n4',
    ],
  ])('%s', (_, question, expected) => {
    expect(text(decide(question))).toBe(expected);
  });
});

describe('which units are spared', () => {
  const one = (job: Partial<Job>): Question => ({ cluster: 'a: n1[8]', jobs: { it: { on: ['n1'], ...job } } });
  const budgeted = (allowed: number): Question => ({
    cluster: TWO,
    jobs: halves(label('left'), old),
    budgets: [covers('left', allowed)],
  });

  test.each<[string, Question, string]>([
    ['an equal priority', one({ priority: 10 }), 'none'],
    ['a higher priority', one({ priority: 11 }), 'none'],
    [
      'a gang with one member of equal priority',
      { ...one({}), cluster: 'a: n1[8] n2[8]', jobs: { it: { on: ['n1', 'n2'], priorities: [0, 10] } } },
      'none',
    ],
    [
      'what says that it is not preemptible',
      one({ annotations: { 'muster.dev/preemptible': 'false' } }),
      'none, 1 preemptible',
    ],
    ['what has not run long enough', one({ annotations: { 'muster.dev/min-runtime': '5m' } }), 'none, 1 min-runtime'],
    ['but not what has', one({ annotations: { 'muster.dev/min-runtime': '100s' } }), 'it for n1'],
    ['what could not be evicted before', { ...one({}), barred: ['default/it'] }, 'none, 1 barred'],
    ['a DaemonSet pod', one({ lone: true, owner: { kind: 'DaemonSet', name: 'd', uid: 'd' } }), 'none'],
    ['a static pod', one({ lone: true, owner: { kind: 'Node', name: 'n1', uid: 'n' } }), 'none'],
    ['a native gang', one({ lone: true, nativeGang: true }), 'none'],
    [
      'system components, whoever asks',
      {
        ...one({ lone: true, priority: 2_000_000_000 }),
        gang: { priority: 2_000_001_000 },
      },
      'none',
    ],
    ['a gang with more pods than its budget allows to go', budgeted(1), 'right for n3'],
    ['but not one whose budget allows all', budgeted(2), 'left for n1'],
    [
      'a pod that two budgets cover',
      { ...one({ lone: true, ...label('web') }), budgets: [covers('web', 1), covers('web', 1)] },
      'none, 1 budget',
    ],
    ['itself', { ...one({}), gang: { key: gangKey('default', 'it') } }, 'none'],
    [
      'those on nodes that are of no use are not told of',
      { ...one({ annotations: { 'muster.dev/preemptible': 'false' } }), gang: { refused: ['n1'] } },
      'none',
    ],
  ])('%s', (_, question, expected) => {
    expect(text(decide(question))).toBe(expected);
  });

  test('until the minimum runtime is over, when it is time to search again', () => {
    const found = decide(one({ annotations: { 'muster.dev/min-runtime': '5m' } }));
    expect(found).toMatchObject({ kind: 'none', reconsiderAt: NOW + 200_000 });
  });

  test('for ever, when time alone does not change it', () => {
    const found = decide(one({ annotations: { 'muster.dev/preemptible': 'false' } }));
    expect(found).toMatchObject({ kind: 'none', reconsiderAt: Number.POSITIVE_INFINITY });
  });

  test('all, when even evicting all candidates would not be enough', () => {
    expect(text(decide({ cluster: TWO, jobs: halves({}, { priority: 10 }), want: 3 }))).toBe('none');
  });
});

describe('pods that are terminating', () => {
  const leaving = { deleting: true, goneBy: NOW + 30_000 };

  test.each<[string, Question, string]>([
    ['are space that is coming', { cluster: TWO, jobs: halves(leaving, {}), want: 2 }, 'coming: n1 n2'],
    [
      'are counted beside the victims',
      { cluster: TWO, jobs: { ...halves(leaving, { on: ['n3'] }), third: { on: ['n4'], age: 1 } }, want: 3 },
      'third for n1 n2 n4',
    ],
    [
      'are not waited for when they are a minute overdue',
      { cluster: TWO, jobs: halves({ ...leaving, goneBy: NOW - 60_001 }, {}) },
      'right for n3',
    ],
  ])('%s', (_, question, expected) => {
    expect(text(decide(question))).toBe(expected);
  });
});

test('the lost work is GPUs times seconds, and pods beyond their budget are counted', () => {
  const found = decide({
    cluster: 'a: n1[8] n2[8]',
    jobs: {
      web1: { on: ['n1'], lone: true, age: 30, ...label('web') },
      web2: { on: ['n2'], lone: true, age: 50, ...label('web') },
    },
    want: 2,
    budgets: [covers('web', 1)],
  });
  expect(found).toMatchObject({ kind: 'preempt', violations: 1, lostWork: 8 * 80 });
});

test('thousands of units do not overflow the stack: every one of them is a victim', () => {
  const pods = Array.from({ length: 6_000 }, (_, i) => podsOf(`job-${i}`, { on: ['n1'], gpus: 1, memory: 0 }).at(0)!);
  const snapshot = drawSnapshot('a: n1[6000/6000]', { pods });
  const running = pods.map((pod) => ({
    gang: describeGang(gangKey('default', pod.name), aGangSources([pod])),
    bound: [pod],
  }));
  const gang = aGang(members(1, { gpus: 6_000, cpu: 0, memory: 0 }), { priority: 1 });
  const found = planPreemption(snapshot, { gang, running, budgets: [], barred: new Set() }, policy, NOW);
  expect(found).toMatchObject({ kind: 'preempt', violations: 0 });
  expect(found.kind === 'preempt' && found.victims.length).toBe(6_000);
}, 60_000);
