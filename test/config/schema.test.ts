/** The JSON Schema of the configuration has every documented field, and the bounds with which the field is read. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configurationSchema, type JsonSchema } from '../../src/config/schema.ts';

const schema = configurationSchema();

/** Paths as docs/configuration.md writes them: `queues.items[].name`. */
function pathsOf({ properties, items }: JsonSchema, path = ''): readonly string[] {
  if (items?.properties !== undefined) return [path, ...pathsOf(items, `${path}[]`)];
  if (properties === undefined) return [path];
  const nested = Object.entries(properties).flatMap(([name, child]) =>
    pathsOf(child, path === '' ? name : `${path}.${name}`),
  );
  return path === 'server.tls' ? [path, ...nested] : nested;
}

function at(path: string): JsonSchema {
  return path.split('.').reduce<JsonSchema>((part, name) => {
    const [plain = '', isItem] = name.split('[]');
    const child = part.properties?.[plain] ?? {};
    return isItem === undefined ? child : (child.items ?? {});
  }, schema);
}

test('it has every field of docs/configuration.md, and no other', () => {
  const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  const documented = [...page.matchAll(/^\| `([^`]+)` \| (.+?) \| (.+?) \|$/gm)].map(([, path]) => path!);
  const known = pathsOf(schema).filter((path) => path !== 'apiVersion' && path !== 'kind');
  // The page lists the items of queues, not the list itself with a default.
  expect(known.filter((path) => path !== 'queues.items').toSorted()).toEqual(
    documented.filter((path) => path !== 'queues.items').toSorted(),
  );
});

test.each([
  ['server.maxConnections', { type: 'integer', minimum: 64, maximum: 1_000_000, default: 10_000 }],
  ['gang.gates', { type: 'string', enum: ['auto', 'always', 'never'], default: 'auto' }],
  ['gang.barrierTimeout', { type: 'string', default: '100s' }],
  ['queues.items[].weight', { type: 'number', minimum: 0.001, maximum: 1_000_000, default: 1 }],
  ['queues.items[].allowBorrowing', { type: 'boolean', default: true }],
  ['queues.items[].quotas[].guaranteed', { type: ['number', 'string'], minimum: 0 }],
  ['managedResources', { type: 'array', default: ['nvidia.com/gpu', 'amd.com/gpu', 'nvidia.com/mig-*'] }],
])('%s is read as it is described', (path, expected) => {
  expect(at(path)).toMatchObject(expected);
});

test('fields that are not known are refused, and those that must be there are said', () => {
  expect(schema).toMatchObject({ additionalProperties: false, required: ['apiVersion', 'kind'] });
  expect(at('server.tls')).toMatchObject({ additionalProperties: false, required: ['certFile', 'keyFile'] });
  expect(at('topology.levels').items).toMatchObject({ required: ['name', 'label'] });
});

test('its patterns say the same to every reader of regular expressions', () => {
  const pattern = at('gang.gatesParameter').pattern ?? '';
  expect(pattern).not.toContain('\\/');
  expect(new RegExp(pattern).test('muster-system/muster-gates')).toBe(true);
  expect(new RegExp(pattern).test('muster-gates')).toBe(false);
});
