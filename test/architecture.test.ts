/**
 * The shape described in docs/design.md, read off the import statements: layers, which are the folders of src, and rooms,
 * which are the folders of a layer. Type imports count too: a file depends on whatever it names.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../src');
const maxLines = 400;
/** More than a newcomer can keep apart. */
const maxRooms = 12;

/** Which layers the files of a layer may import from, beside their own. */
const layers: Readonly<Record<string, readonly string[]>> = {
  core: [],
  telemetry: ['core'],
  kube: ['core', 'telemetry'],
  cluster: ['core', 'kube', 'telemetry'],
  certs: ['core', 'kube'],
  doctor: ['core'],
  gang: ['core', 'telemetry'],
  http: ['core', 'gang', 'telemetry'],
  search: ['core', 'gang'],
  sim: ['core'],
  demo: ['core', 'kube', 'sim', 'telemetry'],
  /** main.ts, cli.ts with its folder, and config/ compose. */
  composition: ['core', 'telemetry', 'kube', 'cluster', 'certs', 'doctor', 'gang', 'http', 'search', 'sim', 'demo'],
};

/** Which rooms the files of a room may import from, beside their own; each layer's rooms from the lowest up. */
const rooms: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  core: {
    objects: [],
    topology: ['objects'],
    podgroup: ['objects', 'topology'],
    snapshot: ['objects', 'topology', 'podgroup'],
    placement: ['objects', 'topology', 'podgroup', 'snapshot'],
    preemption: ['objects', 'topology', 'podgroup', 'snapshot', 'placement'],
    queues: ['objects', 'podgroup'],
    reclaim: ['objects', 'topology', 'podgroup', 'snapshot', 'placement', 'preemption', 'queues'],
    backfill: ['objects', 'topology', 'podgroup', 'snapshot', 'placement', 'preemption'],
    transport: [
      'objects',
      'topology',
      'podgroup',
      'snapshot',
      'placement',
      'preemption',
      'queues',
      'reclaim',
      'backfill',
    ],
    reasons: ['objects', 'topology', 'podgroup', 'placement', 'preemption', 'queues'],
  },
  gang: {
    state: [],
    framework: ['state'],
    observe: ['state', 'framework'],
    repair: ['state', 'framework'],
    admit: ['state', 'framework'],
    plan: ['state', 'framework', 'admit'],
    preempt: ['state', 'framework', 'admit', 'plan'],
    write: ['state', 'framework', 'admit'],
    extender: ['state', 'framework', 'observe', 'repair', 'admit', 'write'],
    /** The loop and what puts it together. */
    '': ['state', 'framework', 'observe', 'repair', 'admit', 'plan', 'preempt', 'write', 'extender'],
  },
  http: {
    access: [],
    extender: [],
    inspect: ['access'],
    server: ['access', 'extender'],
    admission: ['access', 'extender', 'server'],
    /** The routes. */
    '': ['access', 'extender', 'server'],
  },
};

/** All that HTTP and the search thread may know of the gang package: the read-only view, the verbs and the ports. */
const gangSeenByHttp = 'gang/framework/ports.ts';

interface SourceFile {
  /** Relative to src. */
  readonly path: string;
  readonly layer: string;
  /** '' for a file that lies in the layer's folder itself. */
  readonly room: string;
  readonly lines: number;
  /** What stands between the quotes. */
  readonly specifiers: readonly string[];
  /** The relative ones, as paths relative to src. */
  readonly imports: readonly string[];
}

interface Edge {
  readonly from: SourceFile;
  readonly to: SourceFile;
}

const files: readonly SourceFile[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') || path.endsWith('.tsx'))
  .toSorted()
  .map(readSource);
const byPath = new Map(files.map((file) => [file.path, file]));
const edges: readonly Edge[] = files.flatMap((from) =>
  from.imports.flatMap((path) => {
    const to = byPath.get(path);
    return to ? [{ from, to }] : [];
  }),
);

function readSource(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8');
  const specifiers = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^'\n]+)'/g)].map((match) => match[1]!);
  const imports = specifiers
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => relative(root, join(root, dirname(path), specifier)));
  const [folder = '', ...rest] = path.split('/');
  const isComposition = rest.length === 0 || folder === 'cli' || folder === 'config';
  return {
    path,
    layer: isComposition ? 'composition' : folder,
    room: rest.length > 1 ? rest[0]! : '',
    lines: text.trimEnd().split('\n').length,
    specifiers,
    imports,
  };
}

function describeEdge({ from, to }: Edge): string {
  return `${from.path} → ${to.path}`;
}

/** A path along the edges that leads back to its start, if there is one. */
function findCycle(targetsOf: ReadonlyMap<string, readonly string[]>): string | undefined {
  const done = new Set<string>();
  const visit = (node: string, trail: readonly string[]): string | undefined => {
    if (trail.includes(node)) return [...trail.slice(trail.indexOf(node)), node].join(' → ');
    if (done.has(node)) return undefined;
    for (const target of targetsOf.get(node) ?? []) {
      const cycle = visit(target, [...trail, node]);
      if (cycle !== undefined) return cycle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of targetsOf.keys()) {
    const cycle = visit(node, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

describe('layers', () => {
  test('the files are found, and their imports read', () => {
    expect(byPath.get('cli.ts')?.imports).toEqual(expect.arrayContaining(['cli/commands.ts', 'main.ts']));
    expect(byPath.get('http/server/health.ts')?.specifiers).toContain('hono');
  });

  test('every folder of src has a place in the direction of imports', () => {
    expect(files.filter((file) => !(file.layer in layers)).map((file) => file.path)).toEqual([]);
  });

  test.each(Object.entries(layers))('%s imports from itself and %j only', (layer, targets) => {
    const crossings = edges
      .filter(({ from, to }) => from.layer === layer && to.layer !== layer && !targets.includes(to.layer))
      .map(describeEdge);
    expect(crossings).toEqual([]);
  });

  test.each(['http', 'search'])('%s knows the gang package by its ports alone', (layer) => {
    const crossings = edges.filter(({ from, to }) => from.layer === layer && to.layer === 'gang');
    expect(crossings.filter(({ to }) => to.path !== gangSeenByHttp).map(describeEdge)).toEqual([]);
    expect(crossings).not.toEqual([]);
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

describe.each(Object.entries(rooms))('rooms of %s', (layer, allowed) => {
  const own = files.filter((file) => file.layer === layer);

  test('every folder is a room, and every room has files', () => {
    expect([...new Set(own.map(({ room }) => room))].toSorted()).toEqual(Object.keys(allowed).toSorted());
  });

  test(`there are at most ${maxRooms}`, () => {
    expect(Object.keys(allowed).length).toBeLessThanOrEqual(maxRooms);
  });

  test.each(Object.entries(allowed))('%s imports from itself and %j only', (room, targets) => {
    const crossings = edges
      .filter(({ from, to }) => from.layer === layer && to.layer === layer && from.room === room && to.room !== room)
      .filter(({ to }) => !targets.includes(to.room))
      .map(describeEdge);
    expect(crossings).toEqual([]);
  });

  test('there is no circle between them', () => {
    expect(findCycle(new Map(Object.entries(allowed)))).toBeUndefined();
  });
});

describe('files', () => {
  test('there are no cycles', () => {
    expect(findCycle(new Map(files.map(({ path, imports }) => [path, imports])))).toBeUndefined();
  });

  test('every import names a file that exists, with its .ts', () => {
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

  test(`none has more than ${maxLines} lines`, () => {
    const long = files.filter((file) => file.lines > maxLines).map((file) => `${file.path}: ${file.lines}`);
    expect(long).toEqual([]);
  });

  test('the decision loop fits on two pages', () => {
    expect(byPath.get('gang/coordinator.ts')?.lines).toBeLessThanOrEqual(200);
  });

  test('an exported name means one thing', () => {
    const names = files.flatMap((file) =>
      [...read(file).matchAll(/^export (?:async |abstract )?(?:const|function\*?|class|type|interface) (\w+)/gm)].map(
        ([, name]) => name!,
      ),
    );
    expect(names.length).toBeGreaterThan(500);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  test('a file that a comment names exists', () => {
    const all = [...files.map(({ path }) => path), 'architecture.test.ts'];
    const dangling = files.flatMap((file) =>
      [...commentsOf(read(file)).matchAll(/(?<![\w./-])([a-z][\w/-]*\.ts)\b/g)]
        .map(([, name]) => name!)
        .filter((name) => !all.some((path) => `/${path}`.endsWith(`/${name.replace(/^src\//, '')}`)))
        .map((name) => `${file.path}: ${name}`),
    );
    expect(dangling).toEqual([]);
  });

  test('each opens with what it is for', () => {
    expect(files.filter((file) => !/^(?:#!.*\n)?\/\*\*/.test(read(file))).map((file) => file.path)).toEqual([]);
  });
});

function read(file: SourceFile): string {
  return readFileSync(join(root, file.path), 'utf8');
}

function commentsOf(text: string): string {
  return [...text.matchAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm)].join('\n');
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}
