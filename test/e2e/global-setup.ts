/**
 * Gives the workers a folder for what they and the programs write, and removes it when all of them have ended. It holds
 * Muster's modules compiled: most of what the start of one takes, and there are a hundred of them.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export function setup(): void {
  const dir = mkdtempSync(join(tmpdir(), 'muster-e2e-run-'));
  process.env.TMPDIR = dir;
  process.env.NODE_COMPILE_CACHE = join(dir, 'compiled');
  // Not when vitest tears down: workers write there until they end.
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  // A Muster that is killed saves nothing of what it compiled, so one process loads all modules and ends.
  for (const file of ['cli/commands.ts', 'main.ts']) {
    const module = pathToFileURL(join(import.meta.dirname, '../../src', file)).href;
    execFileSync(process.execPath, ['--input-type=module', '--eval', `import ${JSON.stringify(module)}`]);
  }
}
