/**
 * Writes `test/data/kubernetes/wire-schema.txt`: the fields of the kinds that Muster reads and of all that is in them, as
 * the Go types of the control plane's Kubernetes version declare them. Tests and benchmarks encode objects by it.
 *
 * Usage: node scripts/wire-schema.ts (needs Go, and downloads the modules if they are not there)
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const OUTPUT = join(import.meta.dirname, '../test/data/kubernetes/wire-schema.txt');
const MODULES = join(import.meta.dirname, '../test/e2e/controlplane/kubernetes');
const ROOTS = [
  ...['core.Pod', 'core.Node', 'core.PersistentVolumeClaim', 'core.Event', 'batch.Job', 'apps.DaemonSet'],
  ...['policy.PodDisruptionBudget', 'storage.StorageClass', 'meta.WatchEvent', 'meta.Status', 'meta.ListMeta'],
];
/** By the names under which Go files import them. */
const PACKAGES: Readonly<Record<string, string>> = { v1: 'core', corev1: 'core', metav1: 'meta' };
/** What has a form of its own on the wire, and what is a plain type elsewhere. */
const KNOWN: Readonly<Record<string, string>> = {
  'meta.Time': 'Time',
  'meta.MicroTime': 'MicroTime',
  'meta.FieldsV1': 'FieldsV1',
  'resource.Quantity': 'Quantity',
  'intstr.IntOrString': 'IntOrString',
  'runtime.RawExtension': 'RawExtension',
  'types.UID': 'string',
  'types.NodeName': 'string',
};
const PLAIN = /^(?:string|bool|int32|int64|bytes)$/;

/** Go structs by `package.Name`, and what other named types stand for. */
const structs = new Map<string, readonly string[]>();
const aliases = new Map<string, string>();
for (const [name, module, path] of [
  ['core', 'k8s.io/api', 'core/v1'],
  ['batch', 'k8s.io/api', 'batch/v1'],
  ['apps', 'k8s.io/api', 'apps/v1'],
  ['policy', 'k8s.io/api', 'policy/v1'],
  ['storage', 'k8s.io/api', 'storage/v1'],
  ['schedulingv1alpha3', 'k8s.io/api', 'scheduling/v1alpha3'],
  ['meta', 'k8s.io/apimachinery', 'pkg/apis/meta/v1'],
] as const) {
  readPackage(name, join(folderOf(module), path));
}

const lines: string[] = [];
const seen = new Set<string>();
for (const root of ROOTS) describe(root);
mkdirSync(dirname(OUTPUT), { recursive: true });
const heading = [
  `# Source: Go types of k8s.io/api and k8s.io/apimachinery ${versionOf('k8s.io/api')}; scripts/wire-schema.ts writes it.`,
  '# Message, then its fields: name in JSON, number, type (map: keys are texts), * pointer, ? omitempty, ^ inline.',
];
writeFileSync(OUTPUT, [...heading, ...lines.toSorted(), ''].join('\n'));

function go(...args: string[]): string {
  return execFileSync('go', args, { cwd: MODULES, encoding: 'utf8' }).trim();
}

function folderOf(module: string): string {
  go('mod', 'download', module);
  return go('list', '-m', '-f', '{{.Dir}}', module);
}

function versionOf(module: string): string {
  return go('list', '-m', '-f', '{{.Version}}', module);
}

function readPackage(name: string, folder: string): void {
  for (const file of readdirSync(folder)) {
    if (!file.endsWith('.go') || /_test\.go$|generated|zz_/.test(file)) continue;
    const text = readFileSync(join(folder, file), 'utf8');
    for (const [, type, body] of text.matchAll(/^type (\w+) struct \{\n([\s\S]*?)^\}/gm)) {
      structs.set(`${name}.${type}`, body!.split('\n'));
    }
    for (const [, type, target] of text.matchAll(/^type (\w+) ((?:\[\]|map\[)?[\w.\]]+)$/gm)) {
      aliases.set(`${name}.${type}`, target!);
    }
  }
}

function describe(message: string): void {
  if (seen.has(message)) return;
  seen.add(message);
  const found = structs.get(message);
  if (found === undefined) throw new Error(`expected the Go type ${message}, found none`);
  const [scope = ''] = message.split('.');
  const fields = found.flatMap((line) => readField(scope, line));
  lines.push([message, ...fields].join(' '));
}

function readField(scope: string, line: string): readonly string[] {
  const [, declared = '', json = '', number] = /^\t(\S.*?)\s+`json:"([^"]*)".*?protobuf:"\w+,(\d+)/.exec(line) ?? [];
  if (number === undefined || line.trimStart().startsWith('//')) return [];
  // An embedded struct has a type only.
  const type = declared.split(/\s+/).at(-1)!;
  const [name = '', ...options] = json.split(',');
  const isInline = options.includes('inline') || name === '';
  const marks = [type.startsWith('*') && '*', options.includes('omitempty') && '?', isInline && '^'];
  const wire = wireType(scope, type.replace(/^\*/, ''));
  return [`${isInline ? type.split('.').at(-1) : name}=${number}:${wire}${marks.filter(Boolean).join('')}`];
}

function wireType(scope: string, type: string): string {
  if (type === '[]byte') return 'bytes';
  if (type.startsWith('[]')) return `[]${wireType(scope, type.slice(2))}`;
  const [, value] = /^map\[[\w.]+\](.+)$/.exec(type) ?? [];
  if (value !== undefined) return `map:${wireType(scope, value)}`;
  if (PLAIN.test(type)) return type;
  const [first = '', second] = type.split('.');
  const full = second === undefined ? `${scope}.${first}` : `${PACKAGES[first] ?? first}.${second}`;
  const known = KNOWN[full];
  if (known !== undefined) return known;
  const alias = aliases.get(full);
  if (alias !== undefined && !structs.has(full)) return wireType(full.split('.')[0]!, alias);
  describe(full);
  return full;
}
