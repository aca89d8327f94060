/**
 * Writes what kube-scheduler of each supported minor version sends to an extender, into test/contract/versions/. Each body is
 * encoded by the Go types of that version; it is no recording of the program, which `../record.ts` makes of one version.
 *
 *   npm exec -c 'node test/contract/versions/generate.ts'        needs Go, and the network for modules that are not cached
 *   npm run format
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bodiesFile, kubernetesMinors } from './bodies.ts';

for (const minor of kubernetesMinors) {
  const dir = mkdtempSync(join(tmpdir(), 'muster-contract-'));
  const go = (...args: readonly string[]) =>
    execFileSync('go', args, { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    copyFileSync(join(import.meta.dirname, 'main.go'), join(dir, 'main.go'));
    const version = `v0.${minor}.0`;
    go('mod', 'init', 'muster.dev/contract');
    go('get', ...['api', 'apimachinery', 'kube-scheduler'].map((name) => `k8s.io/${name}@${version}`));
    const { bodies, ...configuration } = JSON.parse(go('run', '.')) as { readonly bodies: object };
    const module = JSON.parse(go('mod', 'download', '-json', `k8s.io/kube-scheduler@${version}`)) as { Dir: string };
    const types = readFileSync(join(module.Dir, 'extender/v1/types.go'));
    const sha256 = Buffer.from(await crypto.subtle.digest('SHA-256', types)).toString('hex');
    writeFileSync(
      bodiesFile(minor),
      `${JSON.stringify({ types: { version, sha256 }, configuration, ...bodies }, undefined, 2)}\n`,
    );
    console.log(`1.${minor}: k8s.io/kube-scheduler ${version}, extender/v1/types.go ${sha256.slice(0, 12)}`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
