/**
 * The programs of the other schedulers, built from their Go modules at pinned versions and cached beside the control
 * plane. Nothing of theirs is in this repository: their CustomResourceDefinitions are read from the module cache, too.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildProgram, cacheDirFor, type GoProgram } from '../../test/e2e/build.ts';

export type ProgramName = 'coscheduling' | 'volcano' | 'kueue';

interface Recipe extends GoProgram {
  readonly name: ProgramName;
  /** Where the definitions are. */
  readonly module: string;
  /** What the program is built from beside go.mod and go.sum. */
  readonly sources: readonly string[];
}

/** A scheduler that is ready to be started. */
export interface BuiltProgram {
  readonly binary: string;
  /** The folder of its module in the module cache. */
  readonly moduleDir: string;
}

/** Those of others that could not be had, with the reason. */
export class Unavailable extends Error {}

const strip = '-s -w';
const dirOf = (name: ProgramName) => join(import.meta.dirname, name);

const recipes: Readonly<Record<ProgramName, Recipe>> = {
  coscheduling: {
    name: 'coscheduling',
    dir: dirOf('coscheduling'),
    module: 'sigs.k8s.io/scheduler-plugins',
    package: '.',
    sources: ['main.go'],
    // A kube-scheduler without a version takes itself for v0.0.0.
    ldflags: `${strip} -X k8s.io/component-base/version.gitVersion=v1.33.5`,
  },
  volcano: {
    name: 'volcano',
    dir: dirOf('volcano'),
    module: 'volcano.sh/volcano',
    package: 'volcano.sh/volcano/cmd/scheduler',
    sources: [],
    ldflags: strip,
  },
  kueue: {
    name: 'kueue',
    dir: dirOf('kueue'),
    module: 'sigs.k8s.io/kueue',
    package: '.',
    sources: ['main.go'],
    ldflags: strip,
  },
};

/**
 * Builds the program unless it is in the cache: about ten minutes on 2 cores the first time.
 * @throws Unavailable when its module cannot be fetched or built.
 */
export async function provide(name: ProgramName, progress: (text: string) => void): Promise<BuiltProgram> {
  const recipe = recipes[name];
  const files = ['go.mod', 'go.sum', ...recipe.sources].map((file) => join(recipe.dir, file));
  const dir = cacheDirFor('contenders', files);
  const binary = join(dir, name);
  try {
    if (!existsSync(binary)) {
      progress(`building ${name} from ${recipe.module} (about ten minutes, once)`);
      await buildProgram(recipe, dir);
    }
    return { binary, moduleDir: await findModule(recipe) };
  } catch (error) {
    throw new Unavailable(firstLines(error instanceof Error ? error.message : String(error)), { cause: error });
  }
}

/** Fetches the module if only the built program is left of it. */
async function findModule({ dir, module }: Recipe): Promise<string> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', await pinned(dir, module)], {
    cwd: dir,
  });
  return (JSON.parse(stdout) as { readonly Dir: string }).Dir;
}

async function pinned(dir: string, module: string): Promise<string> {
  const { stdout } = await promisify(execFile)('go', ['list', '-m', module], { cwd: dir });
  return stdout.trim().replace(' ', '@');
}

/** The Go tool's answer can be long; its beginning says what is missing. */
function firstLines(text: string): string {
  return text.split('\n').slice(0, 4).join(' ').slice(0, 300);
}
