/** docs/configuration.md matches the configuration: its fields, defaults and examples. */
import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { expect, test } from 'vitest';
import { defaultConfiguration, parseConfiguration, renderConfiguration } from '../../src/config/configuration.ts';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const [example = '', queuesExample = ''] = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text);
const optional = [
  'server.tls.certFile',
  'server.tls.keyFile',
  'server.tls.clientCaFile',
  'api.kubeconfig',
  'bindResources',
  'topology.levels',
  'topology.levels[].name',
  'topology.levels[].label',
  'queues.defaultRunTime',
  'queues.items[].name',
  'queues.items[].parent',
  'queues.items[].quotas',
  'queues.items[].quotas[].resource',
  'queues.items[].quotas[].model',
  'queues.items[].quotas[].guaranteed',
  'queues.items[].quotas[].limit',
  'queues.items[].weight',
  'queues.items[].allowBorrowing',
  'queues.items[].reclaimable',
  'queues.items[].order',
  'queues.items[].defaultPriority',
  'queues.items[].maxRunTime',
  'queues.items[].maxMinRuntime',
  'queues.items[].allowNonPreemptible',
  'queues.items[].namespaces',
  'queues.items[].defaultFor',
];

/** `path: default` for every field of a rendered configuration. */
function fieldsOf(value: unknown, path = ''): readonly (readonly [string, string])[] {
  if (typeof value !== 'object' || value === null) return [[path, String(value)]];
  if (Array.isArray(value)) return [[path, `[${value.join(', ')}]`]];
  return Object.entries(value).flatMap(([name, child]) => fieldsOf(child, path === '' ? name : `${path}.${name}`));
}

const documented = new Map(
  [...page.matchAll(/^\| `([^`]+)` \| (.+?) \| (.+?) \|$/gm)].map(([, path, value]) => [path!, value!]),
);
const {
  apiVersion: _,
  kind: __,
  ...defaults
} = load(renderConfiguration(defaultConfiguration())) as Record<string, unknown>;

test.each(fieldsOf(defaults))('docs/configuration.md has %s with the default %s', (path, value) => {
  expect(documented.get(path)).toBe(`\`${value}\``);
});

test('docs/configuration.md lists every field with its default, and no other field', () => {
  const known = [...fieldsOf(defaults).map(([path]) => path), ...optional, 'server.tls'];
  expect([...documented.keys()].toSorted()).toEqual(known.toSorted());
});

test('the example on the page is a valid configuration', () => {
  expect(parseConfiguration(example, 'docs/configuration.md').topology.levels).toEqual([
    { name: 'block', label: 'example.com/block' },
    { name: 'rack', label: 'example.com/rack' },
  ]);
});

test('the queues of the second example are read', () => {
  const { queues } = parseConfiguration(
    `apiVersion: config.muster.dev/v1alpha1\nkind: MusterConfiguration\n${queuesExample}`,
    'docs/configuration.md',
  );
  expect(queues.items.map(({ name, parent }) => `${parent ?? '-'}/${name}`)).toEqual([
    '-/research',
    'research/vision',
    'research/speech',
  ]);
});
