/** `muster demo` as a child process, and its extender entry against the shipped configuration. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { load } from 'js-yaml';
import { afterAll, describe, expect, test } from 'vitest';
import { extenderEntry } from '../../src/demo/embedded.ts';

const repository = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'muster-demo-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('kube-scheduler calls Muster as in the shipped configuration', () => {
  const file = readFileSync(join(repository, 'deploy/scheduler/kube-scheduler-config.yaml'), 'utf8');
  const { extenders } = load(file) as { readonly extenders: readonly Readonly<Record<string, unknown>>[] };
  const { urlPrefix, enableHTTPS, tlsConfig, managedResources, ...shipped } = extenders[0] ?? {};
  const {
    urlPrefix: prefix,
    managedResources: managed,
    ...entry
  } = extenderEntry('https://muster.muster-system.svc:8443');
  expect(entry).toEqual(shipped);
  expect(prefix).toBe(urlPrefix);
  expect(managedResources).toEqual(expect.arrayContaining([...(managed ?? [])]));
});

describe('muster demo, into a pipe', () => {
  test('plays both runs in plain lines, and draws them', { timeout: 120_000 }, async () => {
    const svgFile = join(dir, 'demo.svg');
    const demo = spawn(process.execPath, [join(repository, 'src/cli.ts'), 'demo', '--svg', svgFile]);
    const ended = new Promise((resolve) => demo.once('exit', resolve));
    const [stdout, stderr, code] = await Promise.all([text(demo.stdout), text(demo.stderr), ended]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).not.toContain('\x1b');
    expect(stdout).toMatch(
      /1\. kube-scheduler alone\n[\s\S]*Deadlock: train-a holds \d of 10 nodes, train-b holds \d of 10 nodes\./,
    );
    expect(stdout).toMatch(/2\. kube-scheduler with Muster\n[\s\S]*Both jobs finished, one after the other;/);
    expect(stdout).toMatch(/^kube-scheduler alone +0 of 2 +[\d.]+ s, given up +(\d+) +\1 \(100 %\)$/m);
    expect(stdout).toMatch(/^kube-scheduler with Muster +2 of 2 +[\d.]+ s +\d+ +\d+ \(\d+ %\)$/m);
    expect(readFileSync(svgFile, 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  test('fails at once when the picture cannot be written', { timeout: 30_000 }, async () => {
    const demo = spawn(process.execPath, [join(repository, 'src/cli.ts'), 'demo', '--svg', join(dir, 'no/where.svg')]);
    const ended = new Promise((resolve) => demo.once('exit', resolve));
    expect(await text(demo.stderr)).toContain('muster: --svg: expected a file that can be written, found ENOENT');
    expect(await ended).toBe(1);
  });
});
