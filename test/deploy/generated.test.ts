/** What scripts/deployment.ts writes is as it would write it now, and nothing of deploy/ is forgotten. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { generatedFiles } from '../../scripts/deployment/files.ts';
import { templateOf } from '../../scripts/deployment/templates.ts';
import { deployDir, plainFiles } from './variants.ts';

const generated = generatedFiles();

test.each([...generated])('deploy/%s is up to date; otherwise run `node scripts/deployment.ts`', (path, content) => {
  const file = join(deployDir, path);
  expect(existsSync(file), 'the file is there').toBe(true);
  expect(readFileSync(file, 'utf8')).toBe(content);
});

test('each manifest of deploy/ is in the chart and in a kustomization', () => {
  const manifests = readdirSync(deployDir).filter((name) => name.endsWith('.yaml'));
  const covered = plainFiles.filter((path) => !path.includes('/'));
  expect(manifests.toSorted()).toEqual([...covered, 'networkpolicy.yaml', 'webhook.yaml'].toSorted());
});

test.each([
  ['kustomize/base', []],
  ['kustomize/overlays/second-scheduler', []],
  ['kustomize/overlays/monitoring', []],
  ['kustomize/overlays/cert-manager', []],
  ['kustomize/overlays/webhook', []],
  ['kustomize/overlays/network-policy', []],
])('every file of deploy/%s is used', (folder) => {
  const text = readFileSync(join(deployDir, folder, 'kustomization.yaml'), 'utf8');
  expect(() => load(text)).not.toThrow();
  const files = readdirSync(join(deployDir, folder)).filter((name) => name !== 'kustomization.yaml');
  expect(files.filter((name) => !text.includes(name))).toEqual([]);
});

describe('a template made of manifests', () => {
  const make = (text: string) => templateOf({ header: '# here', texts: [text], condition: '.Values.a.enabled' });

  test('has the namespace and the labels of the release, and is there if the condition holds', () => {
    const manifest =
      '# What.\napiVersion: v1\nkind: Role\nmetadata:\n  name: a\n  namespace: muster-system\nrules: []\n';
    expect(make(manifest)).toBe(
      [
        '{{- if .Values.a.enabled }}',
        '# here',
        '# What.',
        'apiVersion: v1',
        'kind: Role',
        'metadata:',
        '  name: a',
        '  namespace: {{ .Release.Namespace }}',
        '  labels:',
        '    {{- include "muster.labels" . | nindent 4 }}',
        'rules: []',
        '{{- end }}',
        '',
      ].join('\n'),
    );
  });

  test('is refused where a text of the manifest would be read as a template, or labels would be lost', () => {
    const object = (rest: string) => `kind: Role\nmetadata:\n  name: a\n${rest}`;
    expect(() => make(object('rules: "{{ x }}"\n'))).toThrow('expected no {{ in a manifest');
    expect(() => make(object('  labels: {a: b}\n'))).toThrow('expected metadata of a name');
    expect(make(object('  labels:\n    a: b\n'))).toContain(
      'labels:\n    {{- include "muster.labels" . | nindent 4 }}\n    a: b\n',
    );
    expect(() => make('# nothing\n')).toThrow('expected at least one object');
  });
});

test('the list of accelerators in policies is that of the configuration: no template has it as a text', () => {
  const templates = [...generated].filter(([path]) => path.startsWith('chart/templates/'));
  expect(templates.length).toBeGreaterThan(0);
  const fixed = templates.filter(([, text]) => /'nvidia\.com|default-scheduler|muster-system/.test(text));
  expect(fixed.map(([path]) => path)).toEqual([]);
});
