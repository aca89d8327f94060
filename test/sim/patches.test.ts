/** Merge patch, strategic merge patch and JSON patch on wire JSON. */
import { describe, expect, test } from 'vitest';
import { ApiRefusal } from '../../src/sim/api-refusal.ts';
import { applyPatch } from '../../src/sim/patches.ts';

const merge = (target: unknown, patch: unknown) => applyPatch(target, patch, 'application/merge-patch+json');
const strategic = (target: unknown, patch: unknown) =>
  applyPatch(target, patch, 'application/strategic-merge-patch+json');
const json = (target: unknown, ...patch: unknown[]) => applyPatch(target, patch, 'application/json-patch+json');

test('a merge patch merges objects, replaces lists and removes what is null', () => {
  const target = { a: { x: 1, y: 2 }, list: [1, 2], gone: true };
  expect(merge(target, { a: { y: null, z: 3 }, list: [3], gone: null, deep: { n: null } })).toEqual({
    a: { x: 1, z: 3 },
    list: [3],
    deep: {},
  });
  expect(target).toEqual({ a: { x: 1, y: 2 }, list: [1, 2], gone: true });
});

describe('a strategic merge patch', () => {
  test('merges lists by the key of their kind', () => {
    const target = { containers: [{ name: 'a', image: 'x' }, { name: 'b' }], conditions: [{ type: 'T', status: 'F' }] };
    const patch = {
      containers: [{ name: 'a', image: 'y' }, { name: 'c' }],
      conditions: [{ type: 'T', status: 'T' }],
    };
    expect(strategic(target, patch)).toEqual({
      containers: [{ name: 'c' }, { name: 'a', image: 'y' }, { name: 'b' }],
      conditions: [{ type: 'T', status: 'T' }],
    });
  });

  test('removes and replaces entries of lists', () => {
    const target = { schedulingGates: [{ name: 'a' }, { name: 'b' }] };
    expect(strategic(target, { schedulingGates: [{ $patch: 'delete', name: 'a' }] })).toEqual({
      schedulingGates: [{ name: 'b' }],
    });
    expect(strategic(target, { schedulingGates: [{ $patch: 'replace' }, { name: 'c' }] })).toEqual({
      schedulingGates: [{ name: 'c' }],
    });
  });

  test('replaces other lists, merges finalizers and removes what is null', () => {
    const target = { tolerations: [{ key: 'a' }], finalizers: ['x'], spec: { a: 1 } };
    const patch = { tolerations: [{ key: 'b' }], finalizers: ['y', 'x'], spec: { a: null, b: 2 } };
    expect(strategic(target, patch)).toEqual({
      tolerations: [{ key: 'b' }],
      finalizers: ['x', 'y'],
      spec: { b: 2 },
    });
  });
});

describe('a JSON patch', () => {
  test('adds, replaces, removes and tests', () => {
    const target = { 'a/b': 1, list: [1, 2], o: { x: 1 } };
    const result = json(
      target,
      { op: 'test', path: '/list/1', value: 2 },
      { op: 'replace', path: '/a~1b', value: 5 },
      { op: 'add', path: '/list/-', value: 3 },
      { op: 'add', path: '/list/0', value: 0 },
      { op: 'remove', path: '/o/x' },
    );
    expect(result).toEqual({ 'a/b': 5, list: [0, 1, 2, 3], o: {} });
    expect(target.list).toEqual([1, 2]);
  });

  test('is refused where it does not fit', () => {
    for (const operation of [
      { op: 'test', path: '/a', value: 2 },
      { op: 'remove', path: '/none' },
      { op: 'add', path: '/none/x', value: 1 },
      { op: 'move', path: '/a' },
    ]) {
      expect(() => json({ a: 1 }, operation), operation.op).toThrow(ApiRefusal);
    }
  });
});
