/** The object store: resource versions, order of events, identity, preconditions, finalizers and history. */
import { describe, expect, test } from 'vitest';
import { ApiRefusal } from '../../src/sim/api-refusal.ts';
import { ObjectStore, type StoreEvent } from '../../src/sim/object-store.ts';
import { systemClock } from '../../src/telemetry/clock.ts';

const thing = (name: string, fields: object = {}) => ({ metadata: { name, namespace: 'ns' }, ...fields });

function follow(store: ObjectStore): string[] {
  const events: string[] = [];
  store.subscribe(({ type, object }) =>
    events.push(`${type} ${object.metadata.name}@${object.metadata.resourceVersion}`),
  );
  return events;
}

function refusalOf(act: () => unknown): { readonly status: number; readonly reason: string } {
  try {
    act();
  } catch (error) {
    if (error instanceof ApiRefusal) return { status: error.status, reason: error.reason };
    throw error;
  }
  throw new Error('expected a refusal, got none');
}

describe('the object store', () => {
  test('gives each change the next resource version and delivers changes in order', () => {
    const store = new ObjectStore({ clock: systemClock });
    const events = follow(store);
    store.create('things', thing('a'));
    store.create('things', thing('b'));
    store.update('things', 'ns', 'a', (object) => ({ ...object, spec: { size: 2 } }));
    store.remove('things', 'ns', 'b');
    expect(events).toEqual(['ADDED a@1', 'ADDED b@2', 'MODIFIED a@3', 'DELETED b@4']);
    expect(store.version).toBe(4);
  });

  test('records no change for an update that changes nothing', () => {
    const store = new ObjectStore({ clock: systemClock });
    const created = store.create('things', thing('a', { spec: { size: 1 } }));
    const events = follow(store);
    expect(store.update('things', 'ns', 'a', (object) => ({ ...object, spec: { size: 1 } }))).toBe(created);
    expect(events).toEqual([]);
  });

  test('delivers a change made by a listener after every listener has seen the current one', () => {
    const store = new ObjectStore({ clock: systemClock });
    store.subscribe(({ type, object }) => {
      if (type === 'ADDED') store.update('things', 'ns', object.metadata.name, (o) => ({ ...o, seen: true }));
    });
    const events = follow(store);
    store.create('things', thing('a'));
    expect(events).toEqual(['ADDED a@1', 'MODIFIED a@2']);
  });

  test('keeps the identity of an object, and gives a recreated object another UID', () => {
    const store = new ObjectStore({ clock: systemClock });
    const first = store.create('things', thing('a'));
    const updated = store.update('things', 'ns', 'a', (object) => ({
      ...object,
      metadata: { ...object.metadata, uid: 'mine', labels: { a: 'b' } },
    }));
    expect(updated.metadata).toMatchObject({ uid: first.metadata.uid, labels: { a: 'b' } });
    store.remove('things', 'ns', 'a');
    expect(store.create('things', thing('a')).metadata.uid).not.toBe(first.metadata.uid);
  });

  test('refuses as the API server does: 404, 409 for a taken name, 409 for a precondition', () => {
    const store = new ObjectStore({ clock: systemClock });
    store.create('things', thing('a'));
    expect(refusalOf(() => store.remove('things', 'ns', 'b'))).toEqual({ status: 404, reason: 'NotFound' });
    expect(refusalOf(() => store.create('things', thing('a')))).toEqual({ status: 409, reason: 'AlreadyExists' });
    const same = (object: ReturnType<typeof store.prepare<'things'>>) => object;
    const conflict = { status: 409, reason: 'Conflict' };
    expect(refusalOf(() => store.update('things', 'ns', 'a', same, { uid: 'another' }))).toEqual(conflict);
    expect(refusalOf(() => store.update('things', 'ns', 'a', same, { resourceVersion: '77' }))).toEqual(conflict);
  });

  test('removes an object with its last finalizer', () => {
    const store = new ObjectStore({ clock: systemClock });
    store.create('things', { metadata: { name: 'a', namespace: 'ns', finalizers: ['x'] } });
    const events = follow(store);
    store.remove('things', 'ns', 'a');
    store.remove('things', 'ns', 'a');
    expect(store.get('things', 'ns', 'a')?.metadata.deletionTimestamp).toBeDefined();
    store.update('things', 'ns', 'a', (o) => ({ ...o, metadata: { ...o.metadata, finalizers: [] } }));
    expect(events).toEqual(['MODIFIED a@2', 'DELETED a@3']);
  });

  test('starts the history after the changes it has dropped', () => {
    const store = new ObjectStore({ clock: systemClock, historyLimit: 5 });
    for (let i = 0; i < 20; i++) store.create('things', thing(`a${i}`));
    const versions = (events: readonly StoreEvent[] | undefined) => events?.map(({ version }) => version);
    expect(versions(store.since(18))).toEqual([19, 20]);
    expect(versions(store.since(20))).toEqual([]);
    expect(store.since(3)).toBeUndefined();
    store.compact();
    expect(store.since(19)).toBeUndefined();
    expect(versions(store.since(20))).toEqual([]);
  });

  test('generates valid and distinct names', () => {
    const store = new ObjectStore({ clock: systemClock });
    const names = [1, 2, 3].map(() => store.create('things', { metadata: { generateName: 'a-' } }).metadata.name);
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name).toMatch(/^a-[a-z0-9]{5}$/);
  });
});
