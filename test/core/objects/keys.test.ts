/** Keys under `muster.dev/`: what is known, what was meant, and how much of a user's text is repeated. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkKeys, keyMeantBy, needsGang, placeOf } from '../../../src/core/objects/keys.ts';

const unknown = (key: string) => {
  const [problem] = checkKeys({}, { [key]: 'x' });
  if (problem?.kind !== 'unknown-key') throw new Error(`expected ${key} to be unknown, found ${problem?.kind}`);
  return problem;
};

describe('a key that is written nearly right', () => {
  test.each([
    ['podgroup', 'pod-group'],
    ['pod_group', 'pod-group'],
    ['pod-groups', 'pod-group'],
    ['PodGroup', 'pod-group'],
    ['pdo-group', 'pod-group'],
    ['min-member', 'min-members'],
    ['minMembers', 'min-members'],
    ['topology-require', 'topology-required'],
    ['topology.preferred', 'topology-preferred'],
    ['queu', 'queue'],
    ['queue-name', 'queue'],
    ['gang', 'pod-group'],
    ['min-available', 'min-members'],
    ['prempts', 'preempts'],
    ['preemptable', 'preemptible'],
    ['checkpoint-at', 'checkpointed-at'],
  ])('%s means %s', (name, meant) => {
    expect(unknown(`muster.dev/${name}`).meant).toBe(`muster.dev/${meant}`);
  });

  test.each(['', 'x', 'priority', 'mlflow-run-id', 'topology', 'plan-b', 'z'.repeat(300)])(
    '%s means nothing that is known',
    (name) => {
      expect(keyMeantBy(`muster.dev/${name}`)).toBeUndefined();
    },
  );
});

test('the known keys are those that users write: none that Muster writes, none that nothing reads', () => {
  const { known } = unknown('muster.dev/x');
  expect(known).toContain('pod-group');
  for (const own of ['plan', 'placement', 'preempted-by', 'preemption-notice', 'over-time', 'mlflow-run-id']) {
    expect(known).not.toContain(own);
  }
});

test('docs/gangs.md has every known key', () => {
  const page = readFileSync(new URL('../../../docs/gangs.md', import.meta.url), 'utf8');
  const short = (key: string) => key.replace(/^topology-/, '-');
  const missing = unknown('muster.dev/x').known.filter(
    (key) => !page.includes(key) && !page.includes(`\`${short(key)}\``),
  );
  expect(missing).toEqual([]);
});

test('docs/lone-pods.md has exactly the keys that count without a gang', () => {
  const page = readFileSync(new URL('../../../docs/lone-pods.md', import.meta.url), 'utf8');
  const table = page.split('## Keys')[1]?.split('\n## ')[0] ?? '';
  const documented = [...table.matchAll(/^\| `muster\.dev\/([a-z-]+)`/gm)].map(([, key]) => key);
  const alone = unknown('muster.dev/x').known.filter((key) => !needsGang(`muster.dev/${key}`));
  expect(documented.toSorted()).toEqual(alone.toSorted());
});

test.each([
  ['pod-group', 'label'],
  ['queue', 'label'],
  ['rank', 'annotation'],
  ['plan', undefined],
  ['x', undefined],
])('%s belongs among: %s', (key, place) => {
  expect(placeOf(`muster.dev/${key}`)).toBe(place);
});

test('keys and values of users are cut to 64 characters', () => {
  const long = 'x'.repeat(10_000);
  const [value] = checkKeys({}, { 'muster.dev/rank': long });
  expect(value).toMatchObject({ kind: 'bad-value', value: `${'x'.repeat(63)}…` });
  expect(unknown(`muster.dev/${long}`).key).toHaveLength(64);
});
