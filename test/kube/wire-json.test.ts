/** Parsing without managedFields: nothing else changes, whatever the document. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseWire } from '../../src/kube/wire-json.ts';

const OWNED = [{ manager: 'kubelet', fieldsV1: { 'f:status': { 'k:{"type":"Ready"}': { '.': {} } } } }];

describe('a document from the API server is parsed without managedFields', () => {
  test('managedFields are empty, everything else is there', () => {
    const node = {
      metadata: { name: 'n', managedFields: OWNED, labels: { a: 'b' } },
      status: { images: [{ names: ['x', 'y'], sizeBytes: 1 }], allocatable: { cpu: '1' } },
    };
    expect(parseWire(JSON.stringify(node))).toEqual({
      metadata: { name: 'n', managedFields: [], labels: { a: 'b' } },
      status: { images: [{ names: ['x', 'y'], sizeBytes: 1 }], allocatable: { cpu: '1' } },
    });
  });

  test('every object of a page loses its own', () => {
    const items = [1, 2, 3].map((size) => ({ metadata: { name: `pod-${size}`, managedFields: OWNED }, size }));
    const seen = parseWire(JSON.stringify({ items }));
    expect(seen).toEqual({
      items: items.map(({ metadata, size }) => ({ metadata: { ...metadata, managedFields: [] }, size })),
    });
  });

  test('a document without such a list is unchanged', () => {
    for (const value of [null, {}, { metadata: { managedFields: [] } }, { managedFields: 'x' }, []]) {
      expect(parseWire(JSON.stringify(value))).toEqual(value);
    }
  });

  test('a string that looks like the start of such a list stays a string', () => {
    const value = { annotations: { note: '"managedFields":[{"a":1}]' }, managedFields: 'x' };
    expect(parseWire(JSON.stringify(value))).toEqual(value);
  });

  test.each(['}]', '{}]', '}],', '}]}', '}],"spec":{', '\\"}]'])(
    'a key with %j in it does not end the list early',
    (key) => {
      const value = {
        metadata: { managedFields: [{ fieldsV1: { [`k:{"name":"${key}"}`]: {}, [key]: {} } }] },
        spec: 1,
      };
      expect(parseWire(JSON.stringify(value))).toHaveProperty('spec', 1);
    },
  );

  test.each([[[null]], [['x', {}]], [[1]], [[{}, []]]])(
    'a list that ends with %j loses nothing that follows it',
    (more) => {
      const value = {
        metadata: { managedFields: [...OWNED, ...more] },
        spec: 1,
        status: { conditions: [{ type: 'Ready' }] },
      };
      const { spec, status } = parseWire(JSON.stringify(value)) as Partial<typeof value>;
      expect({ spec, status }).toEqual({ spec: 1, status: { conditions: [{ type: 'Ready' }] } });
    },
  );

  test('invalid JSON throws, cut or not', () => {
    for (const text of ['', '{', '{"managedFields":[{', '{"managedFields":[{}]', '{"managedFields":[{}]}x']) {
      expect(() => parseWire(text)).toThrow(SyntaxError);
    }
  });

  test('only the list changes, whatever strings are in and around it', () => {
    const text = fc.oneof(fc.string(), fc.constantFrom('}]', '"}]', '[{', '"managedFields":[{', '\\', '\\"'));
    const fields = fc.dictionary(text, fc.dictionary(text, fc.constant({})));
    fc.assert(
      fc.property(fc.dictionary(text, text), fc.array(fields, { minLength: 1 }), text, (labels, owned, name) => {
        const managedFields = owned.map((fieldsV1) => ({ fieldsV1 }));
        const seen = parseWire(JSON.stringify({ labels, managedFields, name })) as Record<string, unknown>;
        expect({ ...seen, managedFields: [] }).toEqual({ labels, managedFields: [], name });
      }),
    );
  });
});
