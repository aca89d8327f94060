/**
 * Writes what the chart and the kustomizations have in common with the manifests in deploy/, so that each text is in one
 * place: templates, copies, the schema of the values, the version. A test says when that was forgotten.
 *
 * Usage: node scripts/deployment.ts
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generatedFiles } from './deployment/files.ts';

for (const [path, content] of generatedFiles()) {
  const target = join(import.meta.dirname, '../deploy', path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
  console.log(`deploy/${path}`);
}
