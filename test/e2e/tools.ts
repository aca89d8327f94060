/** Helm 3, Helm 4 and kustomize, built from pinned Go modules and cached beside the control plane. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildProgram, cacheDirFor, type GoProgram } from './build.ts';

export type ToolName = 'helm3' | 'helm4' | 'kustomize';

interface Tool extends GoProgram {
  readonly name: ToolName;
}

const modulesDir = join(import.meta.dirname, 'tools');
const tools: readonly Tool[] = [
  { name: 'helm3', package: 'helm.sh/helm/v3/cmd/helm' },
  { name: 'helm4', package: 'helm.sh/helm/v4/cmd/helm' },
  { name: 'kustomize', package: 'sigs.k8s.io/kustomize/kustomize/v5' },
].map((tool) => ({ ...tool, dir: join(modulesDir, tool.name), ldflags: '-s -w' }) as Tool);

function cacheDir(): string {
  return cacheDirFor(
    'tools',
    tools.flatMap(({ dir }) => [join(dir, 'go.mod'), join(dir, 'go.sum')]),
  );
}

/** Builds what is missing. */
export async function buildTools(): Promise<void> {
  const dir = cacheDir();
  for (const tool of tools) {
    if (existsSync(join(dir, tool.name))) {
      console.log(`${tool.name}: present`);
      continue;
    }
    const started = performance.now();
    await buildProgram(tool, dir);
    console.log(`${tool.name}: built in ${Math.round((performance.now() - started) / 1000)} s`);
  }
}

const run = promisify(execFile);
/** A chart with all its definitions is larger than Node's default of 1 MiB. */
const MAX_OUTPUT = 32 * 2 ** 20;

/**
 * Runs a tool where it finds no cluster and no settings of the user, and returns what it printed.
 * @throws Error with what it printed to stderr when it fails.
 */
export async function runTool(name: ToolName, args: readonly string[]): Promise<string> {
  const binary = join(cacheDir(), name);
  if (!existsSync(binary)) throw new Error(`expected ${binary}: run \`npm run e2e:build\` first (minutes, once)`);
  const home = mkdtempSync(join(tmpdir(), 'muster-tool-'));
  try {
    const env = { PATH: process.env.PATH, HOME: home, KUBECONFIG: join(home, 'no-kubeconfig') };
    const { stdout } = await run(binary, args, { env, maxBuffer: MAX_OUTPUT });
    return stdout;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

export interface RenderOptions {
  readonly values?: object;
  readonly namespace?: string;
  /** The cluster's version. */
  readonly kubeVersion?: string;
  /** Default: template. */
  readonly command?: readonly string[];
}

/** What Helm renders of the chart, as it prints it. */
export async function renderChart(helm: 'helm3' | 'helm4', options: RenderOptions = {}): Promise<string> {
  const { values = {}, namespace = 'muster-system', kubeVersion = '1.37.2' } = options;
  const { command = ['template', '--kube-version', kubeVersion] } = options;
  const dir = mkdtempSync(join(tmpdir(), 'muster-values-'));
  try {
    const file = join(dir, 'values.json');
    writeFileSync(file, JSON.stringify(values));
    const chart = join(import.meta.dirname, '../../deploy/chart');
    return await runTool(helm, [...command, 'muster', chart, '--namespace', namespace, '--values', file]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  console.log(`tools for the e2e tests in ${cacheDir()} (minutes the first time)`);
  try {
    await buildTools();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
