/** Which versions of Node are accepted: those of `engines` in package.json. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { findNodeProblem } from '../../src/cli/node-version.ts';

test.each(['22.19.0', '22.20.1', '23.0.0', '24.21.0', '100.0.0'])('Node %s is new enough', (version) => {
  expect(findNodeProblem(version)).toBeUndefined();
});

test.each(['20.19.0', '22.18.0', '22.2.0', '9.99.99', ''])('Node %j is too old', (version) => {
  expect(findNodeProblem(version)).toBe(
    `expected Node 22.19 or newer, found ${version}; install a newer Node, or use the image`,
  );
});

test('it is what package.json says', () => {
  const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly engines: { readonly node: string };
  };
  expect(engines.node).toBe('>=22.19');
});
