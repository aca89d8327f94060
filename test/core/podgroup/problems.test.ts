/* Everything that can be wrong with a gang: what is found, and how it is reported (expected, found, what to do). */
import { describe, expect, test } from 'vitest';
import type { PodModel } from '../../../src/core/objects/model.ts';
import { boundValue } from '../../../src/core/objects/text-values.ts';
import { describeGang, type GangSources, gangKey } from '../../../src/core/podgroup/gang.ts';
import type { GangProblem } from '../../../src/core/podgroup/problems.ts';
import { explain, explainStably } from '../../../src/core/reasons/explain.ts';
import { aGangSources, aJobModel, aPod, type PodOptions } from '../../support/builders.ts';

const POD_GROUP = 'muster.dev/pod-group';
const COSCHEDULING = 'scheduling.x-k8s.io/pod-group';
const MIN = 'muster.dev/min-members';

/** A valid member with `min-members` 2. */
function aMember(name: string, { labels, annotations, ...rest }: PodOptions = {}): PodModel {
  return aPod({
    name,
    labels: { [POD_GROUP]: 'train', ...labels },
    annotations: { [MIN]: '2', ...annotations },
    ...rest,
  });
}

function problemsOf(pods: readonly PodModel[], sources: Partial<GangSources> = {}): readonly GangProblem[] {
  const all = aGangSources(pods, sources);
  return describeGang(gangKey('default', 'train'), all).problems;
}

function textOf(problems: readonly GangProblem[]): string {
  return explain({ kind: 'problems', problems });
}

const annotated = (annotations: Record<string, string>) => [aMember('w-0', { annotations }), aMember('w-1')];

test('a gang without a mistake has no problems', () => {
  const good = {
    'muster.dev/max-members': '4',
    'muster.dev/topology-preferred': 'rack',
    'muster.dev/topology-patience': '1h30m',
    'muster.dev/checkpointed-at': '2026-11-23T01:29:02Z',
    'muster.dev/preemptible': 'false',
    'muster.dev/on-member-loss': 'restart',
  };
  const pods = ['w-0', 'w-1'].map((name) =>
    aMember(name, { labels: { 'muster.dev/queue': 'team-a' }, annotations: good }),
  );
  expect(problemsOf(pods)).toEqual([]);
});

describe('keys', () => {
  const known = /expected muster\.dev\/ and one of .*min-members.*on-member-loss/;
  test.each<[string, Record<string, string>, string | RegExp]>([
    ['a key that does not exist', { 'muster.dev/shiny': '2' }, known],
    [
      'a misspelt key',
      { 'muster.dev/min-member': '2' },
      'pod w-0: did you mean muster.dev/min-members? unknown key muster.dev/min-member',
    ],
    [
      'a label key among the annotations',
      { 'muster.dev/queue': 'a' },
      'pod w-0: muster.dev/queue is an annotation, expected a label; move it there',
    ],
    [
      'not a number',
      { 'muster.dev/max-members': 'two' },
      'pod w-0: muster.dev/max-members expected a whole number of at least 1, found "two"',
    ],
    [
      'a key that says nothing without another',
      { 'muster.dev/topology-patience': '5m' },
      'muster.dev/topology-patience says nothing without muster.dev/topology-preferred; set both or neither',
    ],
    [
      'a number that is too small',
      { 'muster.dev/slice-size': '0', 'muster.dev/slice-required': 'rack' },
      'pod w-0: muster.dev/slice-size expected a whole number of at least 1, found "0"',
    ],
    [
      'a negative rank',
      { 'muster.dev/rank': '-1' },
      'pod w-0: muster.dev/rank expected a whole number of at least 0, found "-1"',
    ],
    [
      'a number beyond reason',
      { 'muster.dev/rank': '9999999999' },
      'pod w-0: muster.dev/rank expected a whole number of at least 0, found "9999999999"',
    ],
    [
      'an empty level',
      { 'muster.dev/topology-required': ' ' },
      'pod w-0: muster.dev/topology-required expected a topology level or node-label key, found " "',
    ],
    [
      'a duration without a unit',
      { 'muster.dev/min-runtime': '30' },
      'pod w-0: muster.dev/min-runtime expected a duration such as 30m, of a year (8784h) at most, found "30"',
    ],
    [
      'a duration that nobody lives to see the end of',
      { 'muster.dev/expected-duration': '8785h' },
      'pod w-0: muster.dev/expected-duration expected a duration such as 30m, of a year (8784h) at most, found "8785h"',
    ],
    [
      'a day that does not exist',
      { 'muster.dev/checkpointed-at': '2026-13-01T00:00:00Z' },
      'pod w-0: muster.dev/checkpointed-at expected an RFC 3339 time, found "2026-13-01T00:00:00Z"',
    ],
    [
      'a word that is none of the choices',
      { 'muster.dev/on-member-loss': 'repair' },
      'pod w-0: muster.dev/on-member-loss expected "replace", "restart" or "ignore", found "repair"',
    ],
    [
      'neither true nor false',
      { 'muster.dev/preemptible': 'no' },
      'pod w-0: muster.dev/preemptible expected "true" or "false", found "no"',
    ],
  ])('%s', (_, annotations, expected) => {
    const text = textOf(problemsOf(annotated(annotations)));
    if (typeof expected === 'string') expect(text).toBe(expected);
    else expect(text).toMatch(expected);
  });

  test('an annotation key among the labels', () => {
    const problems = problemsOf([aMember('w-0', { labels: { 'muster.dev/min-runtime': '5m' } }), aMember('w-1')]);
    expect(textOf(problems)).toBe('pod w-0: muster.dev/min-runtime is a label, expected an annotation; move it there');
  });

  test('keys that Muster writes, and keys of others, are no problems', () => {
    const annotations = { 'muster.dev/plan': 'x/n1/1', 'muster.dev/placement': '', 'example.com/anything': '?' };
    expect(problemsOf([aMember('w-0', { annotations }), aMember('w-1')])).toEqual([]);
  });

  test('a mistake that members share is reported once, with the first pod', () => {
    const pods = ['w-1', 'w-0'].map((name) =>
      aMember(name, { annotations: { 'muster.dev/hold': 'yes', 'muster.dev/x': '' } }),
    );
    expect(problemsOf(pods)).toMatchObject([
      { kind: 'bad-value', key: 'muster.dev/hold', pod: 'w-0' },
      { kind: 'unknown-key', key: 'muster.dev/x', pod: 'w-0' },
    ]);
  });

  test('different bad values are different mistakes', () => {
    const pods = ['1.5', '2.5'].map((rank, i) => aMember(`w-${i}`, { annotations: { 'muster.dev/rank': rank } }));
    expect(problemsOf(pods)).toMatchObject([{ value: '1.5' }, { value: '2.5' }]);
  });

  test('an invalid min-members is reported as that, not as a missing one', () => {
    const pods = ['w-0', 'w-1'].map((name) => aMember(name, { annotations: { [MIN]: 'all' } }));
    expect(problemsOf(pods).map(({ kind }) => kind)).toEqual(['bad-value']);
  });

  test('mistakes of members that do not count are not reported', () => {
    const failed = aMember('w-9', { phase: 'Failed', annotations: { 'muster.dev/x': '' } });
    expect(problemsOf([failed, ...annotated({})])).toEqual([]);
  });
});

describe('members that contradict each other', () => {
  test.each<[string, PodOptions, PodOptions, string]>([
    [
      'in an annotation',
      { annotations: { [MIN]: '2' } },
      { annotations: { [MIN]: '3' } },
      'members contradict each other: muster.dev/min-members is "2" and "3"; give all the same',
    ],
    [
      'in a label',
      { labels: { 'muster.dev/queue': 'b' } },
      { labels: { 'muster.dev/queue': 'a' } },
      'members contradict each other: muster.dev/queue is "a" and "b"; give all the same',
    ],
    [
      'in priority',
      { priority: 5 },
      { priority: 10 },
      'members contradict each other: spec.priority is "10" and "5"; give all the same',
    ],
    [
      'in the two labels that name the gang',
      { labels: { [COSCHEDULING]: 'other' } },
      {},
      'members contradict each other: muster.dev/pod-group is "other" and "train"; give all the same',
    ],
  ])('%s', (_, one, other, expected) => {
    expect(textOf(problemsOf([aMember('w-0', one), aMember('w-1', other)]))).toBe(expected);
  });

  test.each<[string, PodOptions, PodOptions]>([
    [
      'ranks are meant to differ',
      { annotations: { 'muster.dev/rank': '0' } },
      { annotations: { 'muster.dev/rank': '1' } },
    ],
    ['so are plans', { annotations: { 'muster.dev/plan': 'a' } }, { annotations: { 'muster.dev/plan': 'b' } }],
    ['a key on one member only is no contradiction', { annotations: { 'muster.dev/max-members': '4' } }, {}],
    ['labels of others may differ', { labels: { app: 'a' } }, { labels: { app: 'b' } }],
    ['both names of the gang may be given', { labels: { [COSCHEDULING]: 'train' } }, {}],
    ['a bound member may have another priority', { priority: 5, nodeName: 'n1' }, { priority: 10 }],
  ])('%s', (_, one, other) => {
    expect(problemsOf([aMember('w-0', one), aMember('w-1', other)])).toEqual([]);
  });
});

describe('the size', () => {
  test.each<[string, readonly PodModel[], string]>([
    [
      'a minimum above the maximum',
      annotated({ 'muster.dev/max-members': '1' }),
      'muster.dev/min-members 2 is above muster.dev/max-members 1',
    ],
    [
      'nothing that says how many',
      [aPod({ name: 'w-0', labels: { [POD_GROUP]: 'train' } })],
      'the size of the gang is unknown: expected annotation muster.dev/min-members, or only pods owned by Jobs',
    ],
    [
      'a PodGroup that does not exist',
      [aPod({ name: 'w-0', labels: { [COSCHEDULING]: 'train' } })],
      'expected a PodGroup (scheduling.x-k8s.io/v1alpha1) named train, found none; create it, or set annotation muster.dev/min-members',
    ],
  ])('%s', (_, pods, expected) => {
    expect(textOf(problemsOf(pods))).toBe(expected);
  });

  test('a maximum equal to the minimum is fine', () => {
    expect(problemsOf(annotated({ 'muster.dev/max-members': '2' }))).toEqual([]);
  });
});

describe('members that cannot be planned', () => {
  const cpuOnly: PodOptions = { template: { gpus: 0 } };
  const text =
    'pod w-0 never reaches the extender: it requests no managed resource and has no gate muster.dev/gang; set requests and limits muster.dev/member: 1 on one of its containers';
  const skipping: PodOptions = { template: { skipsBarrier: true } };
  const unmarked =
    'pod w-0 would be bound past the barrier: it requests no resource of the extender entry that binds; set requests and limits muster.dev/member: 1 on one of its containers, or have the admission policy do so for every member';
  test.each<[string, PodOptions, string]>([
    ['a member without a managed resource', cpuOnly, text],
    ['unless it carries the gate', { ...cpuOnly, gates: ['muster.dev/gang'] }, ''],
    ['or the marker', { template: { gpus: 0, reachesExtender: true } }, ''],
    ['or is bound already', { ...cpuOnly, nodeName: 'n1' }, ''],
    ['a member that would be bound past the barrier', skipping, unmarked],
    ['also with the gate, which would be opened', { ...skipping, gates: ['muster.dev/gang'] }, unmarked],
    ['not so when it is bound', { ...skipping, nodeName: 'n1' }, ''],
    ['or is done', { ...cpuOnly, phase: 'Succeeded' }, ''],
    [
      'a claim that nothing will bind',
      { claims: ['data'] },
      "PersistentVolumeClaim data is not bound and its storage class does not wait for a first consumer; the gang is planned once it is bound, and the claim's own Events say what it waits for",
    ],
    [
      'a claim that does not exist',
      { claims: ['ghost'] },
      'PersistentVolumeClaim ghost does not exist; create it, or correct the name in the pod template',
    ],
    ['not so for a claim that is fine', { claims: ['scratch'] }, ''],
    ['nor of a bound member', { claims: ['data'], nodeName: 'n1' }, ''],
  ])('%s', (_, options, expected) => {
    const pods = [aMember('w-0', options), aMember('w-1')];
    expect(
      textOf(
        problemsOf(pods, {
          blocksOnClaim: (claim) =>
            claim === 'data' ? 'unbound-claim' : claim === 'ghost' ? 'missing-claim' : undefined,
        }),
      ),
    ).toBe(expected);
  });
});

describe('the text of a filter reply', () => {
  const stable = (pods: readonly PodModel[], sources: Partial<GangSources> = {}) =>
    explainStably('default/train', { kind: 'problems', problems: problemsOf(pods, sources) });

  test('does not change with the pod that has the mistake', () => {
    const mistake = { annotations: { 'muster.dev/hold': 'yes' } };
    const early = stable([aMember('w-7', mistake)]);
    expect(early).toBe(
      'gang default/train cannot start: pod of a member: muster.dev/hold expected "true" or "false", found "yes"',
    );
    expect(stable([aMember('w-7', mistake), aMember('w-3', mistake)])).toBe(early);
  });

  test('does not change with the claim that is not bound', () => {
    const blocked = { blocksOnClaim: () => 'unbound-claim' as const };
    const early = stable([aMember('w-7', { claims: ['data-7'] })], blocked);
    expect(early).toContain('PersistentVolumeClaim');
    expect(stable([aMember('w-3', { claims: ['data-3'] })], blocked)).toBe(early);
    const missing = stable([aMember('w-3', { claims: ['data-3'] })], { blocksOnClaim: () => 'missing-claim' });
    expect(missing).toBe('gang default/train cannot start: a PersistentVolumeClaim does not exist');
  });

  test('does not change with the values that contradict each other', () => {
    const pods = ['a', 'b', 'c'].map((queue, i) => aMember(`w-${i}`, { labels: { 'muster.dev/queue': queue } }));
    const early = stable(pods.slice(0, 2));
    expect(early).toContain('muster.dev/queue');
    expect(stable(pods)).toBe(early);
  });

  test('has no % even when a user wrote one', () => {
    const text = stable(annotated({ 'muster.dev/hold': '100%' }));
    expect(text).toContain('100 percent');
    expect(text).not.toContain('%');
  });
});

describe('bounds', () => {
  test.each([
    ['100000', ''],
    [
      '100001',
      "expected at most 100000 members, found 100001; lower muster.dev/min-members or the size of the Jobs, or raise gang.maxGangSize of Muster's configuration",
    ],
    [
      '999999999',
      "expected at most 100000 members, found 999999999; lower muster.dev/min-members or the size of the Jobs, or raise gang.maxGangSize of Muster's configuration",
    ],
  ])('min-members %s: "%s"', (min, text) => {
    expect(textOf(problemsOf([aMember('w-0', { annotations: { [MIN]: min } })]))).toBe(text);
  });

  test.each([
    { parallelism: 2_147_483_647, completions: undefined },
    { parallelism: 2_147_483_647, completions: 2_147_483_647 },
  ])('a Job of 2,147,483,647 pods is too large', (size) => {
    const job = aJobModel({ name: 'train', uid: 'job', ...size });
    const member = aPod({
      name: 'w-0',
      labels: { [POD_GROUP]: 'train' },
      owner: { kind: 'Job', name: 'train', uid: 'job' },
    });
    expect(textOf(problemsOf([member], { jobs: [job] }))).toMatch(
      /^expected at most 100000 members, found 2147483647;/,
    );
  });

  test('a PodGroup object that asks for too many is a problem, too', () => {
    const podGroup = {
      namespace: 'default',
      name: 'train',
      uid: 'g',
      minMember: 2_147_483_647,
      scheduleTimeoutSeconds: undefined,
    };
    const member = aPod({ name: 'w-0', labels: { [COSCHEDULING]: 'train' } });
    expect(textOf(problemsOf([member], { podGroup }))).toMatch(/found 2147483647/);
  });

  test('a value of more than 1 KB is a bad value, and is repeated in part', () => {
    const text = textOf(problemsOf(annotated({ 'muster.dev/topology-required': boundValue('r'.repeat(200_000)) })));
    expect(text).toMatch(/muster\.dev\/topology-required expected at most 1024 characters, found "r{63}…"/);
    expect(text.length).toBeLessThan(1_000);
  });

  test('hundreds of members with other keys and values each are told in a few lines', () => {
    const pods = Array.from({ length: 600 }, (_, i) =>
      aMember(`w-${i}`, {
        annotations: { [`muster.dev/x${i}`]: 'y', 'muster.dev/topology-required': `${i}`.repeat(100) },
      }),
    );
    const problems = problemsOf(pods);
    expect(textOf(problems)).toMatch(/and 592 more problems with keys under muster\.dev\//);
    expect(textOf(problems)).toMatch(/topology-required is "\S{64}", "\S{64}" and 598 more; give all the same/);
    expect(textOf(problems).length).toBeLessThan(4_000);
    expect(JSON.stringify(problems).length, 'what the API answers').toBeLessThan(10_000);
  });

  test('thousands of members of one rank are told as a few', () => {
    const pods = Array.from({ length: 5_000 }, (_, i) =>
      aMember(`w-${i}`, { annotations: { 'muster.dev/rank': '3' } }),
    );
    const problems = problemsOf(pods);
    expect(textOf(problems)).toMatch(/5000 members have muster\.dev\/rank 3: w-0, w-1 and 4998 more;/);
    expect(JSON.stringify(problems).length).toBeLessThan(1_000);
  });
});

describe('members that bring more than a plan looks at', () => {
  const nodeAffinity = (terms: number) =>
    Array.from({ length: terms }, (_, i) => ({
      matchLabels: [{ key: 'zone', operator: 'In' as const, values: [`z${i}`] }],
      matchFields: [],
    }));
  const spread = (count: number) =>
    Array.from({ length: count }, () => ({
      topologyKey: 'zone',
      maxSkew: 1,
      minDomains: 1,
      selector: undefined,
      honorsAffinity: true,
      honorsTaints: false,
    }));
  const ofClaims = (claims: number) => Array.from({ length: claims }, (_, i) => `data-${i}`);
  const ofKinds = (kinds: number, claims = false) =>
    Array.from({ length: kinds }, (_, i) =>
      aMember(`w-${i}`, { template: claims ? { claims: [`data-${i}`] } : { cpu: 1 + i } }),
    );

  test.each([
    [
      '8,000 affinity terms',
      [aMember('w-0', { template: { nodeAffinity: nodeAffinity(8_000) } }), aMember('w-1')],
      'its members bring too many rules about nodes and neighbours (selectors, affinity terms and their requirements, tolerations, host ports): expected at most 512 over all kinds of members, found 16000; label the nodes that are meant, and select the label',
    ],
    [
      'kinds that bring 600 rules together',
      [1, 2].map((cpu) => aMember(`w-${cpu}`, { template: { cpu, nodeAffinity: nodeAffinity(150) } })),
      'its members bring too many rules about nodes and neighbours (selectors, affinity terms and their requirements, tolerations, host ports): expected at most 512 over all kinds of members, found 600; label the nodes that are meant, and select the label',
    ],
    [
      '9 spread constraints',
      [aMember('w-0', { template: { spread: spread(9) } }), aMember('w-1')],
      'a member has too many topologySpreadConstraints with DoNotSchedule: expected at most 8, found 9; leave out some',
    ],
    [
      'more claims than are kept',
      [aMember('w-0', { template: { claims: ofClaims(33) } }), aMember('w-1')],
      'a member mounts too many PersistentVolumeClaims: expected at most 32, found more; put the data on fewer volumes',
    ],
    [
      '33 kinds',
      ofKinds(33),
      'its members are of too many kinds: expected at most 32 different pod templates (claims aside), found 33; give members of one role the same template',
    ],
  ])('%s', (_, pods, expected) => {
    const problems = problemsOf(pods);
    expect(textOf(problems)).toBe(expected);
    expect(explainStably('default/train', { kind: 'problems', problems })).not.toContain('found');
  });

  test.each([
    [
      'as many rules as are allowed',
      [aMember('w-0', { template: { nodeAffinity: nodeAffinity(256) } }), aMember('w-1')],
    ],
    ['8 spread constraints', [aMember('w-0', { template: { spread: spread(8) } }), aMember('w-1')]],
    ['32 claims', [aMember('w-0', { template: { claims: ofClaims(32) } }), aMember('w-1')]],
    ['32 kinds', ofKinds(32)],
    ['100 members with a claim each, as a StatefulSet makes them', ofKinds(100, true)],
  ])('%s are no problem', (_, pods) => {
    expect(problemsOf(pods)).toEqual([]);
  });

  test('bound members keep nobody back', () => {
    const bound = aMember('w-0', { nodeName: 'n', template: { nodeAffinity: nodeAffinity(8_000) } });
    expect(problemsOf([bound, aMember('w-1')])).toEqual([]);
  });
});
