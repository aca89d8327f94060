import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NameIndex, NameList } from '../../../src/core/snapshot/name-list.ts';

function read(text: string, before = '', after = ''): readonly string[] | undefined {
  const bytes = new TextEncoder().encode(`${before}${text}${after}`);
  const begin = new TextEncoder().encode(before).length;
  return NameList.read(bytes, begin, bytes.length - after.length)?.toArray();
}

/** Names that JSON writes as they are: all that nodes can have, and more. */
const plain = fc.stringMatching(/^[!#-[\]-~]{1,40}$/);
/** Any text, and what an encoder makes of it. */
const any = fc.oneof(plain, fc.string({ unit: 'grapheme', maxLength: 6 }), fc.string({ unit: 'binary', maxLength: 6 }));
const nodeName = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,50}[a-z0-9])?$/);

describe('reading names', () => {
  test.each([
    { text: '[]', names: [] },
    { text: '["a"]', names: ['a'] },
    { text: '["node-1","node-2"]', names: ['node-1', 'node-2'] },
    { text: `["${'n'.repeat(253)}","~!"]`, names: ['n'.repeat(253), '~!'] },
  ])('$text', ({ text, names }) => {
    expect(read(text)).toEqual(names);
    expect(read(text, '{"NodeNames":', '}"')).toEqual(names);
  });

  test.each([
    '',
    '[',
    ']',
    '["]',
    '[""',
    '["a]',
    '["a","]',
    '["a",]',
    '[,"a"]',
    '["a""b"]',
    '["a" ,"b"]',
    '["a", "b"]',
    '[ ]',
    '[1]',
    '[null]',
    '["a",null]',
    '["a",["b"]]',
    '["a\\"b"]',
    '["a\\u002d"]',
    '{"a":"b"}',
    'null',
    '[""]',
    '["a",""]',
    '["nœud"]',
    '["节点"]',
    '["a b"]',
    '["a\nb"]',
    '["node-\u0000"]',
    '["node-1\u007f","\u0080"]',
    `["${'n'.repeat(254)}"]`,
  ])('not %j', (text) => {
    expect(read(text)).toBeUndefined();
    expect(read(text, '"', '","x"]')).toBeUndefined();
  });

  test('is what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.array(plain), (names) => {
        expect(read(JSON.stringify(names))).toEqual(names);
        expect(NameList.from(names).toArray()).toEqual(names);
      }),
    );
  });

  test('reads only names of 1 to 253 printable ASCII characters, wherever the others stand', () => {
    fc.assert(
      fc.property(fc.array(any), (names) => {
        const isPlain = names.every((name) => /^[!#-[\]-~]{1,253}$/.test(name));
        const found = read(`[${names.map((name) => `"${name}"`).join(',')}]`);
        if (isPlain) expect(found).toEqual(names);
        else if (found !== undefined) expect(found.every((name) => /^[!#-[\]-~]{1,253}$/.test(name))).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('terminates on any bytes, and reads the same names as JSON.parse', () => {
    const near = fc.array(fc.constantFrom('"', '[', ']', ',', 'a', '\\', ' '), { maxLength: 14 });
    fc.assert(
      fc.property(near, (characters) => {
        const text = `[${characters.join('')}]`;
        const names = read(text);
        if (names !== undefined) expect(JSON.parse(text)).toEqual(names);
      }),
      { numRuns: 5_000 },
    );
  });

  test('names that JSON has to escape are refused', () => {
    expect(() => NameList.from(['a"b'])).toThrow('expected names of nodes');
  });

  test('includes', () => {
    const list = NameList.from(['node-1', 'node-10', 'ode-1']);
    expect(['node-1', 'node-10', 'ode-1', 'node', 'node-100', ''].map((name) => list.includes(name))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('finding names', () => {
  test('finds present names and no others, like a Set', () => {
    fc.assert(
      fc.property(fc.uniqueArray(nodeName), fc.array(nodeName), (some, others) => {
        const index = new NameIndex(NameList.from(some));
        const asked = [...some, ...others];
        const list = NameList.from(asked);
        const set = new Set(some);
        expect(asked.map((_, position) => index.has(list, position))).toEqual(asked.map((name) => set.has(name)));
      }),
    );
  });

  test('names with equal hashes are told apart', () => {
    // The hash is h * 33 + byte: one more in a byte is made up by 33 less in the next.
    const names = ['aab', 'abA'];
    const [first, second] = [NameList.from([names[0]!]), NameList.from([names[1]!])];
    expect(first.hashAt(0)).toBe(second.hashAt(0));
    expect(new NameIndex(first).has(second, 0)).toBe(false);
    expect(new NameIndex(NameList.from(names)).has(second, 0)).toBe(true);
  });
});
