/** The shell snippets of docs/ranks.md, run as they appear on the page. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { renderPlacement } from '../../../src/core/podgroup/placement-record.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/ranks.md'), 'utf8');
const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'muster-ranks-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the one block that contains the text. */
function run(having: string, then = ''): string {
  const [block, ...others] = blocks.filter((text) => text.includes(having));
  expect(others).toEqual([]);
  const env = { PATH: process.env.PATH, MUSTER_PLACEMENT: placement('block-2/rack-7/node-12', 5) };
  return execFileSync('sh', ['-euc', `${block}\n${then}`], { cwd: folder, encoding: 'utf8', env });
}

function placement(path: string, rank: number): string {
  return renderPlacement({ plan: 'm1k2j3', path, rank });
}

/** Output of kubectl: in any order, with an empty placement for a pod that Muster did not place. */
function writePlacements(): void {
  const lines = [
    `${placement('block-1/rack-2/node-9', 2)} 10.0.0.2`,
    `${placement('block-1/rack-3/node-1', 10)} 10.0.0.10`,
    ' 10.0.0.99',
    `${placement('block-1/rack-1/node-3', 0)} 10.0.0.7`,
    `${placement('block-1/rack-1/node-4', 1)} 10.0.0.1`,
  ];
  writeFileSync(join(folder, 'placements'), `${lines.join('\n')}\n`);
}

const written = (file: string): string => readFileSync(join(folder, file), 'utf8');

test('the shell splits a placement into its parts', () => {
  expect(run('set -- $MUSTER_PLACEMENT', 'echo "$plan|$domain|$node|$rank"')).toBe('m1k2j3|block-2/rack-7|node-12|5\n');
});

test('a hostfile of names has one line for each index', () => {
  run('seq 0');
  expect(written('hostfile')).toBe(
    'train-0.train slots=8\ntrain-1.train slots=8\ntrain-2.train slots=8\ntrain-3.train slots=8\n',
  );
});

test('a hostfile of placements is sorted by rank as a number', () => {
  writePlacements();
  run('$4 " slots=8"');
  expect(written('hostfile')).toBe('10.0.0.7 slots=8\n10.0.0.1 slots=8\n10.0.0.2 slots=8\n10.0.0.10 slots=8\n');
});

test('the map of ranks shows where each GPU rank is, as on the page', () => {
  writePlacements();
  run('> rankmap');
  const lines = written('rankmap').trimEnd().split('\n');
  expect(lines.at(-1)).toBe('80-87 block-1/rack-3/node-1');
  expect(page).toContain(`\`\`\`\n${lines.slice(0, 3).join('\n')}\n\`\`\``);
});
