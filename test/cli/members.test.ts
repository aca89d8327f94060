import { expect, test } from 'vitest';
import { formatMembers } from '../../src/cli/members.ts';

test.each([
  ['of a gang that waits, those that exist', 'Pending', 0, '3/4'],
  ['of a gang that runs, those on nodes', 'Running', 2, '2/4'],
  ['of a gang that has lost members, those on nodes', 'Broken', 2, '2/4'],
  ['of a gang that is set aside and runs, those on nodes', 'Invalid', 2, '2/4'],
  ['of a gang that is set aside and waits, those that exist', 'Invalid', 0, '3/4'],
])('MEMBERS counts %s', (_, state, bound, expected) => {
  expect(formatMembers(state, { have: 3, bound, want: 4 })).toBe(expected);
});

test('MEMBERS shows that the size is unknown', () => {
  expect(formatMembers('Invalid', { have: 3, bound: 2, want: null })).toBe('2/?');
});
