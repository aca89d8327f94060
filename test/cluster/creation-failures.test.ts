import { expect, test } from 'vitest';
import { CreationFailures } from '../../src/cluster/creation-failures.ts';
import type { CreationFailure } from '../../src/core/objects/creation-failure.ts';
import { gangKey } from '../../src/core/podgroup/gang.ts';

const failure = (ownerUid: string, options: Partial<CreationFailure> = {}): CreationFailure => ({
  namespace: 'default',
  name: `${ownerUid}.1`,
  ownerUid,
  owner: 'Job a',
  message: 'no',
  at: 0,
  ...options,
});

test('the latest failure of a controller counts, whatever the order in which the Events are read', () => {
  const failures = new CreationFailures();
  failures.add(failure('u', { at: 2, message: 'late', name: 'u.2' }));
  failures.add(failure('u', { at: 1, message: 'early' }));
  expect(failures.latestOf('u', 'default')?.message).toBe('late');
  failures.delete(failure('u'));
  expect(failures.latestOf('u', 'default')?.message, 'only the Event that counts').toBe('late');
  failures.delete(failure('u', { name: 'u.2' }));
  expect(failures.latestOf('u', 'default')).toBeUndefined();
});

test('an Event about a controller of another namespace says nothing', () => {
  const failures = new CreationFailures();
  failures.add(failure('u', { namespace: 'other' }));
  expect(failures.latestOf('u', 'default')).toBeUndefined();
  failures.add(failure(''));
  expect(failures.latestOf('', 'default')).toBeUndefined();
});

test('of more than 10,000 controllers, those that failed longest ago are forgotten', () => {
  const failures = new CreationFailures();
  for (let i = 0; i < 10_000; i++) failures.add(failure(`u${i}`));
  failures.add(failure('u0', { at: 1 }));
  failures.add(failure('one more'));
  expect(failures.latestOf('u1', 'default')).toBeUndefined();
  for (const known of ['u0', 'u2', 'one more']) expect(failures.latestOf(known, 'default')).toBeDefined();
});

test('a controller is about the gangs of which it owns something', () => {
  const failures = new CreationFailures();
  const [a, b] = [gangKey('default', 'a'), gangKey('default', 'b')];
  failures.count('u', a, 1);
  failures.count('u', a, 1);
  failures.count('u', b, 1);
  failures.count('u', a, -1);
  expect([...failures.gangsOf('u')]).toEqual([a, b]);
  failures.count('u', a, -1);
  expect([...failures.gangsOf('u')]).toEqual([b]);
  expect([...failures.gangsOf('other')]).toEqual([]);
});
