/** `npm run build`: what package.json names as a command can be executed. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const repository = join(import.meta.dirname, '../..');

test('the build makes the command executable', () => {
  const { bin, scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    readonly bin: { readonly muster: string };
    readonly scripts: { readonly build: string };
  };
  expect(scripts.build).toMatch(new RegExp(`&& node scripts/executable\\.ts ${bin.muster}$`));
  const dir = mkdtempSync(join(tmpdir(), 'muster-build-test-'));
  const file = join(dir, 'cli.js');
  writeFileSync(file, '', { mode: 0o644 });
  execFileSync(process.execPath, [join(repository, 'scripts/executable.ts'), file]);
  expect(statSync(file).mode & 0o111).toBe(0o111);
  rmSync(dir, { recursive: true });
});
