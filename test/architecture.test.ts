/** The direction of imports between the folders of src, the absence of cycles, and the size of files. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

/* The layers that docs/architecture.md describes, checked on the import statements. Type imports count too. */

const root = join(import.meta.dirname, '../src');
const maxLines = 400;

/** The folders that the files of a folder may import from, beside their own. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  core: [],
  telemetry: ['core'],
  cluster: ['core', 'telemetry'],
  gang: ['core', 'telemetry'],
  http: ['core', 'gang', 'telemetry'],
  sim: ['core'],
  demo: ['core', 'cluster', 'sim', 'telemetry'],
  /** main.ts, cli.ts with its folder, and config*.ts put everything together. */
  composition: ['core', 'telemetry', 'cluster', 'gang', 'http', 'sim', 'demo'],
};

interface SourceFile {
  /** Relative to src. */
  readonly path: string;
  readonly layer: string;
  readonly lines: number;
  /** The text between the quotes. */
  readonly specifiers: readonly string[];
  /** The relative specifiers, as paths relative to src. */
  readonly imports: readonly string[];
}

const files: readonly SourceFile[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') || path.endsWith('.tsx'))
  .toSorted()
  .map(readSource);
const byPath = new Map(files.map((file) => [file.path, file]));

function readSource(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8');
  const specifiers = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^'\n]+)'/g)].map((match) => match[1]!);
  const imports = specifiers
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => relative(root, join(root, dirname(path), specifier)));
  return { path, layer: layerOf(path), lines: text.trimEnd().split('\n').length, specifiers, imports };
}

function layerOf(path: string): string {
  const [folder = '', ...rest] = path.split('/');
  return rest.length === 0 || folder === 'cli' ? 'composition' : folder;
}

/** A chain of imports that leads back to its start, if there is one. */
function findCycle(): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): readonly string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const target of byPath.get(path)?.imports ?? []) {
      const cycle = visit(target, [...trail, path]);
      if (cycle) return cycle;
    }
    done.add(path);
    return undefined;
  };
  for (const { path } of files) {
    const cycle = visit(path, []);
    if (cycle) return cycle;
  }
  return undefined;
}

describe('architecture', () => {
  test('files and imports are found', () => {
    expect(byPath.get('cli.ts')?.imports).toEqual(expect.arrayContaining(['cli/commands.ts', 'main.ts']));
    expect(byPath.get('http/health.ts')?.specifiers).toContain('hono');
  });

  test('every folder of src has a place in the direction of imports', () => {
    expect(files.filter((file) => !(file.layer in allowed)).map((file) => file.path)).toEqual([]);
  });

  test.each(Object.entries(allowed))('%s imports from itself and %j only', (layer, targets) => {
    const crossings = files
      .filter((file) => file.layer === layer)
      .flatMap((file) => file.imports.map((target) => ({ from: file.path, target, layer: layerOf(target) })))
      .filter((edge) => edge.layer !== layer && !targets.includes(edge.layer))
      .map((edge) => `${edge.from} → ${edge.target}`);
    expect(crossings).toEqual([]);
  });

  test('there are no cycles', () => {
    expect(findCycle()?.join(' → ')).toBeUndefined();
  });

  test('every import names an existing file with its .ts extension', () => {
    const missing = files.flatMap((file) =>
      file.imports.filter((target) => !byPath.has(target)).map((target) => `${file.path} → ${target}`),
    );
    expect(missing).toEqual([]);
  });

  test('there are no barrels', () => {
    expect(files.filter((file) => basename(file.path).startsWith('index.')).map((file) => file.path)).toEqual([]);
    const reexports = files.filter((file) => /^export (?:type )?(?:\*|\{[^}]*\}) from/m.test(read(file)));
    expect(reexports.map((file) => file.path)).toEqual([]);
  });

  test(`no file has more than ${maxLines} lines`, () => {
    const long = files.filter((file) => file.lines > maxLines).map((file) => `${file.path}: ${file.lines}`);
    expect(long).toEqual([]);
  });

  test('the core reads no clock, draws no random number and does no I/O', () => {
    const impure =
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.now\b|\bset(?:Timeout|Interval|Immediate)\b|\bprocess\.|\bconsole\./;
    const core = files.filter((file) => file.layer === 'core');
    expect(core.filter((file) => impure.test(withoutComments(read(file)))).map((file) => file.path)).toEqual([]);
    expect(
      core.filter((file) => file.specifiers.some((name) => name.startsWith('node:'))).map((file) => file.path),
    ).toEqual([]);
  });
});

function read(file: SourceFile): string {
  return readFileSync(join(root, file.path), 'utf8');
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}
