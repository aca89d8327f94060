import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LabelRequirement, Labels } from '../../../src/core/objects/model.ts';
import { matchesNodeTerm, matchesSelector, readNodeTerm, readSelector } from '../../../src/core/objects/selector.ts';

const require = (key: string, operator: LabelRequirement['operator'], ...values: string[]): LabelRequirement => ({
  key,
  operator,
  values,
});

describe('one requirement', () => {
  test.each<[string, LabelRequirement, Labels, boolean]>([
    ['In matches one of its values', require('a', 'In', 'x', 'y'), { a: 'y' }, true],
    ['In does not match another value', require('a', 'In', 'x'), { a: 'z' }, false],
    ['In does not match an absent label', require('a', 'In', ''), {}, false],
    ['In matches an empty value that it names', require('a', 'In', ''), { a: '' }, true],
    ['NotIn does not match its value', require('a', 'NotIn', 'x'), { a: 'x' }, false],
    ['NotIn matches another value', require('a', 'NotIn', 'x'), { a: 'z' }, true],
    ['NotIn matches an absent label', require('a', 'NotIn', 'x'), {}, true],
    ['NotIn without values is invalid', require('a', 'NotIn'), {}, false],
    ['Exists matches any value', require('a', 'Exists'), { a: '' }, true],
    ['Exists does not match an absent label', require('a', 'Exists'), { b: '' }, false],
    ['Exists with values is invalid', require('a', 'Exists', 'x'), { a: 'x' }, false],
    ['DoesNotExist matches an absent label', require('a', 'DoesNotExist'), {}, true],
    ['DoesNotExist does not match an empty value', require('a', 'DoesNotExist'), { a: '' }, false],
    ['a key every object inherits is absent', require('constructor', 'Exists'), {}, false],
    ['Gt compares as integers', require('a', 'Gt', '9'), { a: '10' }, true],
    ['Gt is strict', require('a', 'Gt', '9'), { a: '9' }, false],
    ['Lt compares as integers', require('a', 'Lt', '10'), { a: '9' }, true],
    ['Lt is strict', require('a', 'Lt', '9'), { a: '9' }, false],
    ['Gt does not match an absent label', require('a', 'Gt', '0'), {}, false],
    ['Lt does not match an absent label', require('a', 'Lt', '9'), {}, false],
    ['Gt of a text does not match', require('a', 'Gt', '1'), { a: 'ten' }, false],
    ['Gt of a decimal does not match', require('a', 'Gt', '1'), { a: '1.5' }, false],
    ['Gt against a text does not match', require('a', 'Gt', 'one'), { a: '5' }, false],
    ['Gt against a negative number is invalid', require('a', 'Gt', '-1'), { a: '5' }, false],
    ['Gt with two values is invalid', require('a', 'Gt', '1', '2'), { a: '5' }, false],
    ['Gt is exact beyond 2^53', require('a', 'Gt', '9007199254740992'), { a: '9007199254740993' }, true],
    ['Gt takes the largest 64-bit integer', require('a', 'Gt', '1'), { a: '9223372036854775807' }, true],
    ['Gt takes no integer beyond 64 bits', require('a', 'Gt', '1'), { a: '9223372036854775808' }, false],
  ])('%s', (_, requirement, labels, expected) => {
    expect(matchesSelector([requirement], labels)).toBe(expected);
  });
});

describe('label selectors', () => {
  test('an absent selector matches nothing, an empty one everything', () => {
    expect(readSelector(undefined)).toBeUndefined();
    expect(readSelector(null)).toBeUndefined();
    expect(matchesSelector(undefined, { a: 'x' })).toBe(false);
    expect(matchesSelector(readSelector({}), { a: 'x' })).toBe(true);
    expect(matchesSelector(readSelector({ matchLabels: {}, matchExpressions: null }), {})).toBe(true);
  });

  test('labels and expressions must all match', () => {
    const selector = readSelector({
      matchLabels: { app: 'train' },
      matchExpressions: [{ key: 'role', operator: 'Exists' }],
    });
    expect(matchesSelector(selector, { app: 'train', role: '' })).toBe(true);
    expect(matchesSelector(selector, { app: 'train' })).toBe(false);
    expect(matchesSelector(selector, { app: 'web', role: '' })).toBe(false);
  });
});

describe('node selector terms', () => {
  const node = { name: 'node-7', labels: { zone: 'a', cores: '96' } };
  const zone = (...values: string[]) => ({ matchExpressions: [{ key: 'zone', operator: 'In' as const, values }] });
  const field = (operator: LabelRequirement['operator'], ...values: string[]) => ({
    matchFields: [{ key: 'metadata.name', operator, values }],
  });
  test.each<[string, Parameters<typeof readNodeTerm>[0][], boolean]>([
    ['no terms match no node', [], false],
    ['an empty term matches no node', [{}], false],
    ['an empty term does not spoil another', [{}, zone('a')], true],
    ['one matching term is enough', [zone('b'), zone('a')], true],
    ['no matching term is not', [zone('b'), zone('c')], false],
    ['the node is matched by its name', [field('In', 'node-7')], true],
    ['another name is not', [field('In', 'node-8')], false],
    ['NotIn excludes a name', [field('NotIn', 'node-7')], false],
    ['NotIn admits the others', [field('NotIn', 'node-8')], true],
    ['fields take exactly one value', [field('In', 'node-7', 'node-8')], false],
    ['fields know no other operator', [field('Exists')], false],
    ['labels and fields of a term must both match', [{ ...zone('b'), ...field('In', 'node-7') }], false],
    ['and do', [{ ...zone('a'), ...field('In', 'node-7') }], true],
    [
      'an unknown field is empty',
      [{ matchFields: [{ key: 'metadata.namespace', operator: 'NotIn', values: ['x'] }] }],
      true,
    ],
    ['numbers compare', [{ matchExpressions: [{ key: 'cores', operator: 'Gt', values: ['64'] }] }], true],
  ])('%s', (_, terms, expected) => {
    expect(matchesNodeTerm(terms.map(readNodeTerm), node)).toBe(expected);
  });
});

describe('laws', () => {
  const key = fc.constantFrom('a', 'b');
  const value = fc.constantFrom('x', 'y', '', '3', '20');
  const labels = fc.dictionary(key, value);
  const values = fc.array(value, { minLength: 1, maxLength: 3 });

  test('In and NotIn are opposites, and so are Exists and DoesNotExist', () => {
    fc.assert(
      fc.property(key, values, labels, (name, some, all) => {
        const matches = (...args: Parameters<typeof require>) => matchesSelector([require(...args)], all);
        expect(matches(name, 'NotIn', ...some)).toBe(!matches(name, 'In', ...some));
        expect(matches(name, 'DoesNotExist')).toBe(!matches(name, 'Exists'));
        expect(matches(name, 'Gt', some[0]!) && matches(name, 'Lt', some[0]!)).toBe(false);
      }),
    );
  });

  test('one more requirement never admits more, one more term never admits less', () => {
    const requirement = fc.record({ key, operator: fc.constantFrom('In' as const, 'NotIn' as const), values });
    fc.assert(
      fc.property(fc.array(requirement), requirement, labels, (some, more, all) => {
        if (matchesSelector([...some, more], all)) expect(matchesSelector(some, all)).toBe(true);
        const terms = some.map((one) => ({ matchLabels: [one], matchFields: [] }));
        const node = { name: 'n', labels: all };
        if (matchesNodeTerm(terms, node))
          expect(matchesNodeTerm([...terms, { matchLabels: [more], matchFields: [] }], node)).toBe(true);
      }),
    );
  });
});
