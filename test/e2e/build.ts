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

interface Target {
  readonly name: keyof ControlPlaneBinaries;
  readonly module: string;
  readonly package: string;
  readonly ldflags: string;
}

const strip = '-s -w';
// Without a version the API server calls itself v0.0.0-master and refuses feature gates of "newer" releases.
const versioned = `${strip} -X k8s.io/component-base/version.gitVersion=v1.37.2`;

const modulesDir = join(import.meta.dirname, 'controlplane');
const targets: readonly Target[] = [
  { name: 'etcd', module: 'kubernetes', package: 'go.etcd.io/etcd/server/v3', ldflags: versioned },
  { name: 'kube-apiserver', module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-apiserver', ldflags: versioned },
  {
    name: 'kube-controller-manager',
    module: 'kubernetes',
    package: 'k8s.io/kubernetes/cmd/kube-controller-manager',
    ldflags: versioned,
  },
  { name: 'kube-scheduler', module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-scheduler', ldflags: versioned },
  { name: 'kwok', module: 'kwok', package: 'sigs.k8s.io/kwok/cmd/kwok', ldflags: strip },
];

/** The folder of the built programs: it is keyed by what they are built from, so an update never runs old ones. */
function cacheDir(): string {
  const hash = createHash('sha256');
  for (const module of ['kubernetes', 'kwok']) {
    for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(modulesDir, module, file)));
  }
  const root = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(root, 'muster', 'controlplane', hash.digest('hex').slice(0, 16));
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
  mkdirSync(dir, { recursive: true });
  for (const target of targets) {
    const path = join(dir, target.name);
    if (existsSync(path)) {
      console.log(`${target.name}: present`);
      continue;
    }
    const started = performance.now();
    // Renamed when complete, so an interrupted build leaves no half-written program behind.
    const partial = `${path}.${process.pid}.partial`;
    try {
      // The one failure that a second attempt mends is the network's while modules are fetched.
      const firstError = await runGoBuild(target, partial);
      const error =
        firstError !== undefined && isTransient(firstError) ? await runGoBuild(target, partial) : firstError;
      if (error !== undefined) throw new Error(`go build of ${target.name} failed:\n${error}`);
      renameSync(partial, path);
    } finally {
      rmSync(partial, { force: true });
    }
    console.log(`${target.name}: built in ${Math.round((performance.now() - started) / 1000)} s`);
  }
}

/** Runs one build; returns what the Go tool printed if it failed, otherwise undefined. */
async function runGoBuild(target: Target, output: string): Promise<string | undefined> {
  const child = spawn('go', ['build', '-ldflags', target.ldflags, '-o', output, target.package], {
    cwd: join(modulesDir, target.module),
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
