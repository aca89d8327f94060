/** The store: its consumer sees each change exactly once, in an order that never has two objects of one key. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Store } from '../../src/kube/store.ts';
import type { Item } from '../../src/kube/watch-stream.ts';

/** A consumer that knows only the calls it gets, and checks that each fits the ones before. */
class Mirror {
  readonly byUid = new Map<string, string>();

  applied(object: string, previous: string | undefined): void {
    expect(previous).toBe(this.byUid.get(uidOf(object)));
    this.byUid.set(uidOf(object), object);
    const keys = [...this.byUid.values()].map((known) => known.split('/')[0]);
    expect(new Set(keys).size).toBe(keys.length);
  }

  deleted(object: string): void {
    expect(this.byUid.get(uidOf(object))).toBe(object);
    this.byUid.delete(uidOf(object));
  }
}

/** Objects are written `key/uid/version` here. */
function uidOf(object: string): string {
  return object.split('/').slice(0, 2).join('/');
}

const itemArbitrary: fc.Arbitrary<Item<string>> = fc
  .record({
    key: fc.constantFrom('a', 'b', 'c', 'd'),
    uid: fc.constantFrom('1', '2'),
    version: fc.nat(3),
    readable: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
  })
  .map(({ key, uid, version, readable }) => ({
    key,
    uid: `${key}/${uid}`,
    resourceVersion: String(version),
    object: readable ? `${key}/${uid}/${version}` : undefined,
  }));

const actionArbitrary = fc.oneof(
  fc.record({ kind: fc.constant('apply' as const), item: itemArbitrary }),
  fc.record({ kind: fc.constant('remove' as const), item: itemArbitrary }),
  fc.record({ kind: fc.constant('stage' as const), item: itemArbitrary }),
  fc.record({ kind: fc.constant('unstage' as const), item: itemArbitrary }),
  fc.record({ kind: fc.constantFrom('commit' as const, 'discard' as const) }),
);

test('after any calls the consumer knows exactly the content of the store, and never two objects of one key', () => {
  fc.assert(
    fc.property(fc.array(actionArbitrary, { maxLength: 40 }), (actions) => {
      const mirror = new Mirror();
      const store = new Store<string>(mirror, (error) => {
        throw error;
      });
      for (const action of actions) {
        if (action.kind === 'apply') store.apply(action.item);
        else if (action.kind === 'remove') store.remove(action.item.key, action.item.uid);
        else if (action.kind === 'stage') store.stage(action.item);
        else if (action.kind === 'unstage') store.unstage(action.item.key);
        else if (action.kind === 'commit') store.commit();
        else store.discard();
        expect([...store.values()].sort()).toEqual([...mirror.byUid.values()].sort());
      }
    }),
    { numRuns: 1000 },
  );
});

/** A store, and the calls its consumer gets: `before>after`. */
function record(): { readonly store: Store<string>; readonly calls: string[] } {
  const calls: string[] = [];
  const handler = {
    applied: (object: string, previous: string | undefined) => calls.push(`${previous ?? ''}>${object}`),
    deleted: (object: string) => calls.push(`${object}>`),
  };
  const store = new Store<string>(handler, (error) => {
    throw error;
  });
  return { store, calls };
}

test('a deletion of an earlier object keeps the one that now has its key', () => {
  const { store, calls } = record();
  store.apply({ key: 'a', uid: 'a/2', resourceVersion: '5', object: 'a/2/5' });
  store.remove('a', 'a/1');
  store.remove('b', 'b/1');
  expect(store.get('a')).toBe('a/2/5');
  expect(calls).toEqual(['>a/2/5']);
});

test('an object that is unreadable in a new list keeps its state, unless its UID is another', () => {
  const { store, calls } = record();
  for (const key of ['a', 'b']) store.apply({ key, uid: `${key}/1`, resourceVersion: '1', object: `${key}/1/1` });
  calls.length = 0;
  store.stage({ key: 'a', uid: 'a/1', resourceVersion: '2', object: undefined });
  store.stage({ key: 'b', uid: 'b/2', resourceVersion: '2', object: undefined });
  store.commit();
  expect([...store.values()]).toEqual(['a/1/1']);
  expect(calls).toEqual(['b/1/1>']);
});

test('a new list reports only the differences', () => {
  const { store, calls } = record();
  const list = (...objects: string[]) => {
    for (const object of objects) {
      const [key = '', , version = ''] = object.split('/');
      store.stage({ key, uid: uidOf(object), resourceVersion: version, object });
    }
    store.commit();
    return calls.splice(0);
  };
  expect(list('a/1/1', 'b/1/1', 'c/1/1', 'd/1/1')).toEqual(['>a/1/1', '>b/1/1', '>c/1/1', '>d/1/1']);
  expect(list('a/1/1', 'b/1/2', 'c/2/5')).toEqual(['c/1/1>', 'd/1/1>', 'b/1/1>b/1/2', '>c/2/5']);
  expect(list()).toEqual(['a/1/1>', 'b/1/2>', 'c/2/5>']);
});
