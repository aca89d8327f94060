import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/** Paths of the five programs of which an e2e cluster consists. */
export interface ControlPlaneBinaries {
  readonly etcd: string;
  readonly 'kube-apiserver': string;
  readonly 'kube-controller-manager': string;
  readonly 'kube-scheduler': string;
  readonly kwok: string;
}

/** A program to be built from a Go module. */
export interface GoProgram {
  readonly name: string;
  /** The folder of the module's go.mod. */
  readonly dir: string;
  readonly package: string;
  readonly ldflags: string;
}

interface Target extends GoProgram {
  readonly name: keyof ControlPlaneBinaries;
}

const strip = '-s -w';
// Without a version the API server calls itself v0.0.0-master and refuses feature gates of "newer" releases.
const versioned = `${strip} -X k8s.io/component-base/version.gitVersion=v1.37.2`;

const modulesDir = join(import.meta.dirname, 'controlplane');
const kubernetes = { dir: join(modulesDir, 'kubernetes'), ldflags: versioned };
const kwok = { dir: join(modulesDir, 'kwok'), ldflags: strip };
const targets: readonly Target[] = [
  { name: 'etcd', package: 'go.etcd.io/etcd/server/v3', ...kubernetes },
  { name: 'kube-apiserver', package: 'k8s.io/kubernetes/cmd/kube-apiserver', ...kubernetes },
  { name: 'kube-controller-manager', package: 'k8s.io/kubernetes/cmd/kube-controller-manager', ...kubernetes },
  { name: 'kube-scheduler', package: 'k8s.io/kubernetes/cmd/kube-scheduler', ...kubernetes },
  { name: 'kwok', package: 'sigs.k8s.io/kwok/cmd/kwok', ...kwok },
];

function cacheDir(): string {
  const files = [kubernetes, kwok].flatMap(({ dir }) => [join(dir, 'go.mod'), join(dir, 'go.sum')]);
  return cacheDirFor('controlplane', files);
}

/** A folder for built programs: it is keyed by the files they are built from, so an update never runs old ones. */
export function cacheDirFor(what: string, files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  const root = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(root, 'muster', what, hash.digest('hex').slice(0, 16));
}

/** Returns the paths of the built programs, or throws an error which says how to build them. */
export function controlPlaneBinaries(): ControlPlaneBinaries {
  const dir = cacheDir();
  const missing = targets.filter(({ name }) => !existsSync(join(dir, name))).map(({ name }) => name);
  if (missing.length > 0) {
    throw new Error(`expected ${missing.join(', ')} in ${dir}: run \`npm run e2e:build\` first (minutes, once)`);
  }
  return Object.fromEntries(targets.map(({ name }) => [name, join(dir, name)])) as unknown as ControlPlaneBinaries;
}

/** Builds what is missing. Programs are built one after the other: the Go tool uses all cores by itself. */
export async function buildControlPlane(): Promise<void> {
  const dir = cacheDir();
  for (const target of targets) {
    if (existsSync(join(dir, target.name))) {
      console.log(`${target.name}: present`);
      continue;
    }
    const started = performance.now();
    await buildProgram(target, dir);
    console.log(`${target.name}: built in ${Math.round((performance.now() - started) / 1000)} s`);
  }
}

/** Builds a program into a folder; throws what the Go tool printed if it fails. */
export async function buildProgram(program: GoProgram, dir: string): Promise<void> {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, program.name);
  // Renamed when complete, so an interrupted build leaves no half-written program behind.
  const partial = `${path}.${process.pid}.partial`;
  try {
    // The one failure that a second attempt mends is the network's while modules are fetched.
    const firstError = await runGoBuild(program, partial);
    const error = firstError !== undefined && isTransient(firstError) ? await runGoBuild(program, partial) : firstError;
    if (error !== undefined) throw new Error(`go build of ${program.name} failed:\n${error}`);
    renameSync(partial, path);
  } finally {
    rmSync(partial, { force: true });
  }
}

/** Runs one build; returns what the Go tool printed if it failed, otherwise undefined. */
async function runGoBuild(program: GoProgram, output: string): Promise<string | undefined> {
  const child = spawn('go', ['build', '-ldflags', program.ldflags, '-o', output, program.package], {
    cwd: program.dir,
    env: { ...process.env, CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', (cause) => reject(new Error('expected the Go tool (1.26 or newer) on PATH', { cause })));
    child.once('exit', (code) => resolve(code ?? 1));
  });
  const [code, stderr] = await Promise.all([exited, text(child.stderr)]);
  return code === 0 ? undefined : stderr;
}

function isTransient(stderr: string): boolean {
  return /timeout|connection (reset|refused)|EOF|temporary failure|TLS handshake|50[0-9] |no such host/i.test(stderr);
}

if (import.meta.main) {
  console.log(`control plane for the e2e tests in ${cacheDir()} (about 14 minutes on 2 cores the first time)`);
  try {
    await buildControlPlane();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
