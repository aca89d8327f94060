/** The list/watch state machine: each input in each state. */
import { describe, expect, test } from 'vitest';
import {
  type Optional,
  type Requesting,
  requestPath,
  START,
  step,
  type WatchInput,
  type WatchState,
} from '../../src/kube/watch-state.ts';

const WATCHING: Requesting = { kind: 'watching', resourceVersion: '7' };
const PAGING: Requesting = { kind: 'paging', continueToken: 't' };
const ITEM = { key: 'ns/a', uid: 'u', resourceVersion: '8', object: 'a' };

/** A transition in short: the state after any wait, the pace of the wait, the effects. */
function outcome(state: WatchState, input: WatchInput<string>, optional?: Optional) {
  const { state: after, effects } = step(state, input, optional);
  const next = after.kind === 'waiting' ? after.next : after;
  const text = `${next.kind} ${'resourceVersion' in next ? next.resourceVersion : ''}`.trim();
  const done = effects.map((effect) => (effect.kind === 'restart' ? effect.reason : effect.kind));
  return { next: text, pace: after.kind === 'waiting' ? after.pace : undefined, done };
}

describe('an input while requesting', () => {
  test.each([
    ['listing, object', START, { kind: 'changed', type: 'ADDED', item: ITEM }, 'listing', undefined, ['stage']],
    ['listing, deletion', START, { ...ITEM, kind: 'deleted' }, 'listing', undefined, ['unstage']],
    ['listing, plain bookmark', START, bookmark('9', false), 'listing', undefined, []],
    ['listing, last bookmark', START, bookmark('9', true), 'watching 9', undefined, ['commit']],
    ['watching, object', WATCHING, { kind: 'changed', type: 'ADDED', item: ITEM }, 'watching 8', undefined, ['apply']],
    ['watching, deletion', WATCHING, { ...ITEM, kind: 'deleted' }, 'watching 8', undefined, ['remove']],
    ['watching, bookmark', WATCHING, bookmark('9', false), 'watching 9', undefined, []],
    ['a page with more to come', PAGING, page('more'), 'paging', undefined, ['stage']],
    ['the last page', PAGING, page(''), 'watching 9', undefined, ['stage', 'commit']],

    ['listing, ended early', START, { kind: 'lost', reason: 'ended' }, 'listing', 'backoff', ['discard', 'ended']],
    ['listing, silent', START, { kind: 'lost', reason: 'idle' }, 'paging', 'now', ['discard', 'unsupported']],
    ['paging, connection', PAGING, { kind: 'lost', reason: 'connection' }, 'paging', 'backoff', ['connection']],
    ['paging, garbage', PAGING, { kind: 'lost', reason: 'garbage' }, 'listing', 'backoff', ['discard', 'garbage']],
    ['watching, ended', WATCHING, { kind: 'lost', reason: 'ended' }, 'watching 7', 'backoff', ['ended']],
    ['watching, silent', WATCHING, { kind: 'lost', reason: 'idle' }, 'watching 7', 'backoff', ['idle']],

    ['listing, unknown parameter', START, refused(422), 'paging', 'now', ['discard', 'unsupported']],
    ['listing, bad request', START, refused(400), 'paging', 'now', ['discard', 'unsupported']],
    ['watching, bad request', WATCHING, refused(400), 'listing', 'backoff', ['discard', 'rejected']],
    ['watching, expired', WATCHING, refused(410), 'listing', 'backoff', ['discard', 'expired']],
    ['paging, expired token', PAGING, refused(410), 'listing', 'backoff', ['discard', 'expired']],
    ['watching, busy', WATCHING, refused(429), 'watching 7', 'backoff', ['rejected']],
    ['watching, down', WATCHING, refused(503), 'watching 7', 'backoff', ['rejected']],
    ['watching, not let in', WATCHING, refused(401), 'watching 7', 'backoff', ['rejected']],
    ['watching, forbidden', WATCHING, refused(403), 'watching 7', 'backoff', ['rejected']],
    ['watching, not found', WATCHING, refused(404), 'listing', 'backoff', ['discard', 'rejected']],

    ['error event, expired', WATCHING, error(410), 'listing', 'backoff', ['discard', 'expired']],
    ['error event, internal', WATCHING, error(500), 'listing', 'backoff', ['discard', 'rejected']],
    ['error event, version not reached yet', WATCHING, error(504), 'watching 7', 'backoff', ['rejected']],
  ] satisfies [string, Requesting, WatchInput<string>, string, string | undefined, string[]][])(
    '%s',
    (_, state, input, next, pace, done) => {
      expect(outcome(state, input)).toEqual({ next, pace, done });
    },
  );

  test.each([START, PAGING, WATCHING])('404 for an optional kind empties it and looks again later: %o', (state) => {
    const expected = { next: 'listing', pace: 'absent', done: ['discard', 'commit', 'absent'] };
    expect(outcome(state, refused(404), 'absent')).toEqual(expected);
    expect(outcome(state, refused(404), 'unreadable')).toEqual(expected);
  });

  test.each([START, PAGING, WATCHING])('403 does so only for a kind that need not be readable: %o', (state) => {
    const expected = { next: 'listing', pace: 'absent', done: ['discard', 'commit', 'forbidden'] };
    expect(outcome(state, refused(403), 'unreadable')).toEqual(expected);
    expect(outcome(state, refused(403), 'absent')).toMatchObject({ pace: 'backoff' });
  });
});

test('a wait ends when it is due, and by nothing else', () => {
  const waiting: WatchState = { kind: 'waiting', next: WATCHING, pace: 'backoff' };
  expect(step(waiting, { kind: 'due' }, undefined)).toEqual({ state: WATCHING, effects: [] });
  expect(step(waiting, bookmark('9', true), undefined)).toEqual({ state: waiting, effects: [] });
});

test.each([
  [
    START,
    '/p?watch=1&allowWatchBookmarks=true&timeoutSeconds=5&sendInitialEvents=true&resourceVersionMatch=NotOlderThan',
  ],
  [{ kind: 'paging', continueToken: '' }, '/p?limit=500'],
  [{ kind: 'paging', continueToken: 'a/b=' }, '/p?limit=500&continue=a%2Fb%3D'],
  [WATCHING, '/p?watch=1&allowWatchBookmarks=true&timeoutSeconds=5&resourceVersion=7'],
] satisfies [Requesting, string][])('%o asks for %s', (state, path) => {
  expect(requestPath('/p', state, 5)).toBe(path);
  const selected = path.replace(/timeoutSeconds=5|limit=500/, '$&&fieldSelector=reason%3Dx');
  expect(requestPath('/p', state, 5, 'reason=x')).toBe(selected);
});

function bookmark(resourceVersion: string, initialEnd: boolean): WatchInput<string> {
  return { kind: 'bookmark', resourceVersion, initialEnd };
}

function page(continueToken: string): WatchInput<string> {
  return { kind: 'page', page: { items: [ITEM], resourceVersion: '9', continueToken } };
}

function refused(status: number): WatchInput<string> {
  return { kind: 'refused', status };
}

function error(status: number): WatchInput<string> {
  return { kind: 'error', status, message: '' };
}
