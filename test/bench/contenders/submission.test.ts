import { describe, expect, test } from 'vitest';
import { kueueConfiguration, kueueQueues } from '../../../bench/contenders/kueue.ts';
import { isAbout, reasonOf } from '../../../bench/contenders/scarce-turn.ts';
import { GANG_LABEL, listSteps } from '../../../bench/contenders/submission.ts';
import { parseTools } from '../../../bench/contenders/tools.ts';

const everybody = parseTools('stock,muster,ungated,native,coscheduling,volcano,kueue');

describe('a gang as each tool wants it', () => {
  test.each(everybody)('$key: all pods carry its label, and ask for the same', (tool) => {
    const { objects, pods, size } = tool.submissionOf({ name: 'g', size: 3, gpus: 2, priorityClassName: 'high' });
    const job = objects.find(({ object }) => object.kind === 'Job')?.object as
      | { spec: { suspend: boolean; parallelism: number; template: (typeof pods)[number] } }
      | undefined;
    const templates = job === undefined ? pods : [job.spec.template];
    expect(size).toBe(3);
    expect(job === undefined ? pods.length : job.spec.parallelism).toBe(3);
    for (const { metadata, spec } of templates) {
      expect(metadata?.labels?.[GANG_LABEL]).toBe('g');
      expect(spec?.priorityClassName).toBe('high');
      expect(spec?.containers[0]?.resources?.requests).toEqual({ cpu: '1', memory: '1Gi', 'nvidia.com/gpu': '2' });
    }
    expect(new Set(pods.map(({ metadata }) => metadata?.name)).size).toBe(pods.length);
  });

  test.each(everybody)('$key: a lone pod belongs to no gang of several', (tool) => {
    const { objects, pods } = tool.submissionOf({ name: 'g', size: 1, gpus: 1 });
    const keys = pods.flatMap(({ metadata }) => Object.keys({ ...metadata?.labels, ...metadata?.annotations }));
    expect(keys).not.toContain('muster.dev/pod-group');
    expect(keys).not.toContain('scheduling.x-k8s.io/pod-group');
    for (const { object } of objects) {
      const { spec } = object as { spec: { minMember?: number; parallelism?: number } };
      expect(spec.minMember ?? spec.parallelism).toBe(1);
    }
  });

  test('Kueue gets what its webhook would write, and a quota of all that the nodes have', () => {
    const [kueue] = parseTools('kueue');
    const [job] = kueue!.submissionOf({ name: 'g', size: 2, gpus: 1 }).objects;
    expect(job!.object).toMatchObject({
      metadata: { labels: { 'kueue.x-k8s.io/queue-name': 'bench' } },
      spec: { suspend: true },
    });
    expect(kueueQueues({ nodes: 10, gpusPerNode: 16 })[1]).toMatchObject({
      spec: {
        resourceGroups: [
          {
            coveredResources: ['cpu', 'memory', 'nvidia.com/gpu'],
            flavors: [{ resources: [{ nominalQuota: 1280 }, { nominalQuota: '10240Gi' }, { nominalQuota: 160 }] }],
          },
        ],
      },
    });
    expect(kueueConfiguration(1234).health.healthProbeBindAddress).toBe('127.0.0.1:1234');
  });
});

test('a gang is submitted before its pods, and the pods of twenty gangs in turns', () => {
  const [volcano] = parseTools('volcano');
  const submissions = Array.from({ length: 21 }, (_, i) => volcano!.submissionOf({ name: `g${i}`, size: 2, gpus: 1 }));
  const batches = listSteps(submissions).map((steps) => steps.map(({ gang, object }) => [object.kind, gang]));
  expect(batches.map(({ length }) => length)).toEqual([20, 40, 1, 2]);
  expect(batches[1]!.slice(19, 22)).toEqual([
    ['Pod', 'g19'],
    ['Pod', 'g0'],
    ['Pod', 'g1'],
  ]);
  expect(batches[2]).toEqual([['PodGroup', 'g20']]);
});

describe('a reason why a gang waits', () => {
  const pod = (condition: object) => ({ status: { conditions: [{ type: 'PodScheduled', ...condition }] } }) as never;

  test('is a condition that says something, and no gate', () => {
    const message = '0/5 nodes are available';
    expect(reasonOf(pod({ status: 'False', reason: 'Unschedulable', message }))).toContain(message);
    expect(reasonOf(pod({ status: 'False', reason: 'SchedulingGated', message }))).toBeUndefined();
    expect(reasonOf(pod({ status: 'True' }))).toBeUndefined();
    expect(reasonOf({})).toBeUndefined();
  });

  test('is an Event about its objects, and not one of the steps that every gang goes through', () => {
    const event = (name: string, reason: string) => ({ involvedObject: { name }, reason }) as never;
    expect(isAbout(event('job-hopeless-3-abc', 'Pending'), 'hopeless-3')).toBe(true);
    expect(isAbout(event('hopeless-3', 'Suspended'), 'hopeless-3')).toBe(false);
    expect(isAbout(event('resident-0-3', 'FailedScheduling'), 'hopeless-3')).toBe(false);
  });
});
