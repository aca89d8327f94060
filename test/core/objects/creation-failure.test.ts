import { expect, test } from 'vitest';
import { projectCreationFailure } from '../../../src/core/objects/creation-failure.ts';

const metadata = { namespace: 'default', name: 'a.18c', creationTimestamp: '2026-01-01T00:00:00Z' };
const involvedObject = { kind: 'Job', name: 'a', uid: 'u1' };
const event = { metadata, involvedObject, reason: 'FailedCreate', message: '' };

test('names the controller and when it said so last', () => {
  expect(projectCreationFailure({ ...event, message: 'no', lastTimestamp: '2026-01-01T00:01:00Z' })).toEqual({
    namespace: 'default',
    name: 'a.18c',
    ownerUid: 'u1',
    owner: 'Job a',
    message: 'no',
    at: Date.UTC(2026, 0, 1, 0, 1),
  });
});

test.each([
  [{ series: { lastObservedTime: '2026-01-01T00:03:00Z' }, eventTime: '2026-01-01T00:02:00Z' }, 3],
  [{ eventTime: '2026-01-01T00:02:00Z', lastTimestamp: null }, 2],
  [{}, 0],
])('the time of %o', (times, minute) => {
  expect(projectCreationFailure({ ...event, ...times }).at).toBe(Date.UTC(2026, 0, 1, 0, minute));
});

test.each([
  [
    'Error creating: pods "a-2-x7k2p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3',
    'exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3',
  ],
  ['Error creating: admission webhook "v.example.com" denied the request: no\n\tpods', undefined],
  ['create Pod a-1 in StatefulSet a failed error: pods "a-1" is forbidden: exceeded quota: q', undefined],
  [`Error creating: ${'x'.repeat(100_000)}`, `${'x'.repeat(255)}…`],
])('the message %#', (message, expected) => {
  const shown = expected ?? message.replace('Error creating: ', '').replace('\n\t', ' ');
  expect(projectCreationFailure({ ...event, message }).message).toBe(shown);
});

test('names of any length are cut', () => {
  const named = { ...event, involvedObject: { kind: 'k'.repeat(999), name: 'n'.repeat(999), uid: 'u' } };
  expect(projectCreationFailure(named).owner).toHaveLength(64 + 1 + 64);
});

test('an Event of another reason, and one without any field, are about no controller', () => {
  expect(projectCreationFailure({ ...event, reason: 'SuccessfulCreate' }).ownerUid).toBe('');
  expect(projectCreationFailure({ metadata }).ownerUid).toBe('');
});
