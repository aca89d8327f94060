/** Keys under `muster.dev/` that do nothing where they are. */
import { describe, expect, test } from 'vitest';
import type { JobModel } from '../../../src/core/objects/model.ts';
import { projectJob } from '../../../src/core/objects/projection.ts';
import { findIgnoredKeys } from '../../../src/core/podgroup/ignored-keys.ts';
import { explainIgnoredKey } from '../../../src/core/reasons/explain-key.ts';
import { aPod, type PodOptions } from '../../support/builders.ts';

const aJob = (labels: object, annotations: object = {}, template: object = {}): JobModel =>
  projectJob({ metadata: { name: 'j', labels, annotations }, spec: { template: { metadata: template } } });

describe('on a pod', () => {
  test.each<[string, PodOptions, readonly object[]]>([
    ['without keys: none', { labels: { app: 'web' } }, []],
    ['that is unlabelled: what is about gangs', { annotations: { 'muster.dev/rank': '1' } }, [{ kind: 'needs-gang' }]],
    [
      'in a gang: none, the gang itself has the problem',
      { labels: { 'muster.dev/pod-group': 'g', 'muster.dev/x': '' } },
      [],
    ],
    [
      'that another controller gates: none about gangs',
      { labels: { 'muster.dev/pod-group': 'g' }, annotations: { 'muster.dev/rank': '1' }, gates: ['x.io/y'] },
      [],
    ],
    ['with an empty label', { labels: { 'muster.dev/pod-group': '' } }, [{ kind: 'bad-value' }]],
    ['of another scheduler: none', { labels: { 'muster.dev/x': '' }, isOurs: false }, []],
    ['of a native gang: none', { labels: { 'muster.dev/x': '' }, nativeGang: true }, []],
  ])('%s', (_, options, expected) => {
    expect(findIgnoredKeys(aPod(options), undefined)).toMatchObject(expected);
  });

  test('a few of many', () => {
    const annotations = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`muster.dev/k${i}`, 'x']));
    expect(findIgnoredKeys(aPod({ annotations }), aJob(annotations))).toHaveLength(4);
  });
});

describe('on its Job', () => {
  const told = (job: JobModel, options: PodOptions = {}) => findIgnoredKeys(aPod(options), job).map(explainIgnoredKey);

  test('a label', () => {
    expect(told(aJob({ 'muster.dev/pod-group': 'g' }))).toEqual([
      'ignored: muster.dev/pod-group is on the Job itself, where nothing reads it; write it in spec.template.metadata.labels',
    ]);
  });

  test('an annotation, also of a Job whose pods are in a gang', () => {
    expect(told(aJob({}, { 'muster.dev/rank': '1' }), { labels: { 'muster.dev/pod-group': 'g' } })).toEqual([
      'ignored: muster.dev/rank is on the Job itself, where nothing reads it; write it in spec.template.metadata.annotations',
    ]);
  });

  test('a misspelt one, in the wrong place as well', () => {
    expect(told(aJob({}, { 'muster.dev/podgroup': 'g' }))).toEqual([
      'did you mean muster.dev/pod-group in spec.template.metadata.labels? muster.dev/podgroup is on the Job itself, where nothing reads it',
    ]);
  });

  test('not one that admission copied to the pod', () => {
    const labels = { 'muster.dev/pod-group': 'g' };
    expect(told(aJob(labels), { labels })).toEqual([]);
  });

  test('not one that its template has too, as label or as annotation', () => {
    const job = aJob(
      { 'muster.dev/queue': 'q' },
      { 'muster.dev/hold': 'true' },
      {
        labels: { 'muster.dev/queue': 'other' },
        annotations: { 'muster.dev/hold': 'false' },
      },
    );
    expect(job.ownKeys).toEqual([]);
  });
});
