import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JobModel, PodGroupModel, PodModel } from '../../../src/core/objects/model.ts';
import { describeGang, type GangSources, gangKey, gangKeyOf, gangNameOf } from '../../../src/core/podgroup/gang.ts';
import { aGangSources, aJobModel, aPod, type PodOptions } from '../../support/builders.ts';

const POD_GROUP = 'muster.dev/pod-group';
const COSCHEDULING = 'scheduling.x-k8s.io/pod-group';
const MIN = 'muster.dev/min-members';

const aJob = (options: Partial<JobModel> = {}): JobModel =>
  aJobModel({ templateLabels: { [POD_GROUP]: 'train' }, ...options });

const aPodGroup = (options: Partial<PodGroupModel> = {}): PodGroupModel => ({
  namespace: 'default',
  name: 'train',
  uid: 'uid-of-group',
  minMember: 3,
  scheduleTimeoutSeconds: undefined,
  ...options,
});

const aMember = (name: string, options: PodOptions = {}): PodModel =>
  aPod({ name, labels: { [POD_GROUP]: 'train' }, ...options });

function read(pods: readonly PodModel[], sources: Partial<GangSources> = {}) {
  return describeGang(gangKey('default', 'train'), aGangSources(pods, sources));
}

describe('which gang a pod is in', () => {
  test.each<[string, PodOptions, string | undefined]>([
    ['the one its label names', { labels: { [POD_GROUP]: 'train' } }, 'default/train'],
    ['in its own namespace', { namespace: 'ml', labels: { [POD_GROUP]: 'train' } }, 'ml/train'],
    ['the one that the co-scheduling label names', { labels: { [COSCHEDULING]: 'old' } }, 'default/old'],
    ['our label counts before the other', { labels: { [COSCHEDULING]: 'old', [POD_GROUP]: 'train' } }, 'default/train'],
    ['an empty label names none', { labels: { [POD_GROUP]: '' } }, undefined],
    ['no label, no gang', {}, undefined],
    ['a native gang is none of ours', { labels: { [POD_GROUP]: 'train' }, nativeGang: true }, undefined],
    ['our own gate changes nothing', { labels: { [POD_GROUP]: 'train' }, gates: ['muster.dev/gang'] }, 'default/train'],
    [
      'what another controller gates is none of ours',
      { labels: { [POD_GROUP]: 'train' }, gates: ['x.io/wait'] },
      undefined,
    ],
    [
      'nor what is gated by both',
      { labels: { [POD_GROUP]: 'train' }, gates: ['muster.dev/gang', 'x.io/wait'] },
      undefined,
    ],
  ])('%s', (_, options, expected) => {
    expect(gangKeyOf(aPod(options))).toBe(expected);
  });

  test('a pod template is in the gang that its pods will be in', () => {
    expect(gangNameOf({ [POD_GROUP]: 'train' })).toBe('train');
    expect(gangNameOf({})).toBeUndefined();
  });
});

describe('how many members must be there', () => {
  const withMin = (value: string, name = 'w-0') => aMember(name, { annotations: { [MIN]: value } });
  const plain = aMember('w-0');
  test.each<[string, readonly PodModel[], Partial<GangSources>, number | undefined]>([
    ['the annotation', [withMin('8')], {}, 8],
    ['one member that says it is enough', [plain, withMin('8', 'w-1')], {}, 8],
    ['the annotation before the PodGroup and the Job', [withMin('8')], { podGroup: aPodGroup(), jobs: [aJob()] }, 8],
    ['the PodGroup before the Job', [plain], { podGroup: aPodGroup(), jobs: [aJob()] }, 3],
    ['the Job', [plain], { jobs: [aJob()] }, 4],
    ['the sum of several Jobs', [plain], { jobs: [aJob(), aJob({ uid: 'b', parallelism: 1, completions: 1 })] }, 5],
    ['fewer completions than parallelism', [plain], { jobs: [aJob({ parallelism: 4, completions: 2 })] }, 2],
    ['more completions than parallelism', [plain], { jobs: [aJob({ parallelism: 4, completions: 9 })] }, 4],
    ['a work queue Job has its parallelism', [plain], { jobs: [aJob({ completions: undefined })] }, 4],
    ['a Job that creates no pods says nothing', [plain], { jobs: [aJob({ parallelism: 0 })] }, undefined],
    ['nobody says it', [plain], {}, undefined],
    ['a bad annotation is not replaced by a guess', [withMin('many')], { jobs: [aJob()] }, undefined],
    ['nor is a minimum of 0', [withMin('0')], { jobs: [aJob()] }, undefined],
    ['nor one that is not whole', [withMin('1.5')], { jobs: [aJob()] }, undefined],
    ['of members that differ the first rank speaks', [withMin('5', 'w-1'), withMin('4', 'w-0')], {}, 4],
    [
      'failed members have no say',
      [aMember('w-0', { phase: 'Failed', annotations: { [MIN]: '9' } }), withMin('4', 'w-1')],
      {},
      4,
    ],
    ['unless there are no others', [aMember('w-0', { phase: 'Failed', annotations: { [MIN]: '9' } })], {}, 9],
  ])('%s', (_, pods, sources, expected) => {
    expect(read(pods, sources).minMember).toBe(expected);
  });
});

describe('who counts as a member', () => {
  test.each<[string, PodOptions, boolean]>([
    ['a pending pod', {}, true],
    ['a running one', { phase: 'Running', nodeName: 'n1' }, true],
    ['one that succeeded beside a live one', { phase: 'Succeeded', nodeName: 'n1', endedAt: 7_000 }, true],
    ['the same on its way out', { phase: 'Succeeded', nodeName: 'n1', endedAt: 7_000, deleting: true }, true],
    ['not one that ended before the live one started', { phase: 'Succeeded', nodeName: 'n1', endedAt: 4_000 }, false],
    ['not one that never ran', { phase: 'Succeeded' }, false],
    ['one whose state is unknown', { phase: 'Unknown', nodeName: 'n1' }, true],
    ['not a failed one', { phase: 'Failed' }, false],
    ['not one on its way out', { phase: 'Running', deleting: true }, false],
  ])('%s', (_, options, counts) => {
    const live = aMember('b', { nodeName: 'n2', startedAt: 5_000 });
    expect(read([aMember('a', options), live]).members.map(({ name }) => name)).toEqual(counts ? ['a', 'b'] : ['b']);
  });
});

describe('rank order', () => {
  const INDEX = 'batch.kubernetes.io/job-completion-index';
  const ranked = (name: string, rank: string) => aMember(name, { annotations: { 'muster.dev/rank': rank } });
  const indexed = (name: string, index: string) => aMember(name, { labels: { [POD_GROUP]: 'train', [INDEX]: index } });
  test.each<[string, readonly PodModel[], string]>([
    ['explicit ranks', [ranked('a', '10'), ranked('b', '9')], 'b a'],
    ['completion indexes, as numbers', [indexed('a', '10'), indexed('b', '9')], 'b a'],
    [
      'an explicit rank before the completion index',
      [
        aMember('a', { labels: { [POD_GROUP]: 'train', [INDEX]: '0' }, annotations: { 'muster.dev/rank': '5' } }),
        indexed('b', '1'),
      ],
      'b a',
    ],
    ['names, with numbers as numbers', [aMember('w-10'), aMember('w-9'), aMember('v-11')], 'v-11 w-9 w-10'],
    ['equal ranks by name', [ranked('w-10', '1'), ranked('w-9', '1')], 'w-9 w-10'],
    ['those without a rank last', [aMember('a'), ranked('b', '7')], 'b a'],
    ['a bad rank is none', [ranked('a', 'first'), ranked('b', '7'), aMember('0')], 'b 0 a'],
  ])('%s', (_, pods, expected) => {
    expect(
      read(pods)
        .members.map(({ name }) => name)
        .join(' '),
    ).toBe(expected);
  });

  test('does not depend on the order in which the pods are given', () => {
    const podArb = fc.record({
      name: fc.string({ unit: fc.constantFrom('a', 'b', '1', '2', '0', '-'), minLength: 1, maxLength: 4 }),
      rank: fc.constantFrom(undefined, '0', '1', '02', 'x'),
      index: fc.constantFrom(undefined, '0', '2'),
    });
    const pods = fc.uniqueArray(podArb, { selector: ({ name }) => name, minLength: 2, maxLength: 6 }).map((drawn) =>
      drawn.map(({ name, rank, index }) =>
        aMember(name, {
          labels: { [POD_GROUP]: 'train', ...(index !== undefined && { [INDEX]: index }) },
          annotations: rank === undefined ? {} : { 'muster.dev/rank': rank },
        }),
      ),
    );
    const shuffled = pods.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        expect(read(other)).toEqual(read(one));
      }),
      { numRuns: 300 },
    );
  });
});

describe('what else a gang is', () => {
  test('its key, names, priority and age', () => {
    const pods = [aMember('a', { priority: 3, createdAt: 50 }), aMember('b', { priority: 7, createdAt: 40 })];
    expect(read(pods)).toMatchObject({
      key: 'default/train',
      namespace: 'default',
      name: 'train',
      priority: 7,
      createdAt: 40,
    });
  });

  test('the age is that of the members that count', () => {
    expect(read([aMember('a', { createdAt: 10, phase: 'Failed' }), aMember('b', { createdAt: 40 })]).createdAt).toBe(
      40,
    );
  });

  test('how long members may wait for each other, from the PodGroup', () => {
    expect(read([aMember('a')]).scheduleTimeoutMs).toBeUndefined();
    expect(read([aMember('a')], { podGroup: aPodGroup({ scheduleTimeoutSeconds: 20 }) }).scheduleTimeoutMs).toBe(
      20_000,
    );
  });

  test.each<[string, readonly Partial<JobModel>[], number | undefined]>([
    ['no Job, no deadline', [], undefined],
    ['a Job without one', [{ startedAt: 1000 }], undefined],
    ['a Job that has not started', [{ activeDeadlineSeconds: 60 }], undefined],
    ['its start and its deadline', [{ startedAt: 1000, activeDeadlineSeconds: 60 }], 61_000],
    [
      'the first of several',
      [
        { startedAt: 1000, activeDeadlineSeconds: 60 },
        { startedAt: 2000, activeDeadlineSeconds: 30 },
      ],
      32_000,
    ],
  ])('the deadline: %s', (_, jobs, expected) => {
    expect(read([aMember('a')], { jobs: jobs.map(aJob) }).deadlineAt).toBe(expected);
  });
});
