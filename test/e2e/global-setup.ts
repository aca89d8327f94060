/**
 * Gives the workers a folder for what they and the programs write, and removes it when all of them have ended. Each Muster
 * that starts finds there what the ones before have compiled.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function setup(): void {
  const dir = mkdtempSync(join(tmpdir(), 'muster-e2e-run-'));
  process.env.TMPDIR = dir;
  process.env.NODE_COMPILE_CACHE = join(dir, 'compiled');
  // Not when vitest tears down: workers write there until they end.
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
}
