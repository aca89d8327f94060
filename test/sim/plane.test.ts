/** The whole embedded control plane over HTTP: a Job from creation to completion, and a restart of kube-scheduler. */
import { afterEach, expect, test } from 'vitest';
import { type EmbeddedPlane, startEmbeddedPlane } from '../../src/sim/plane.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { until } from '../support/until.ts';

let plane: EmbeddedPlane | undefined;
afterEach(() => plane?.stop());

const post = async (path: string, body: object) => {
  const { status } = await fetch(plane!.url + path, { method: 'POST', body: JSON.stringify(body) });
  expect(status).toBe(201);
};
const addNode = (name: string) => {
  const allocatable = { cpu: '8', memory: '64Gi', pods: '110' };
  const conditions = [{ type: 'Ready', status: 'True' }];
  return post('/api/v1/nodes', {
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    status: { allocatable, conditions },
  });
};
const createJob = (name: string, size: number) => {
  const template = {
    metadata: { annotations: { 'e2e.muster.dev/run-seconds': '1' } },
    spec: { containers: [{ name: 'main', resources: { requests: { cpu: '4' } } }] },
  };
  const spec = { parallelism: size, completions: size, completionMode: 'Indexed', template };
  return post('/apis/batch/v1/namespaces/default/jobs', { metadata: { name }, spec });
};
const phases = () => plane!.store.list('pods').map(({ status }) => status.phase);

test('a Job runs to its end on the embedded control plane', async () => {
  plane = await startEmbeddedPlane({ clock: systemClock });
  await addNode('n1');
  await createJob('train', 2);
  const isComplete = () =>
    plane!.store
      .get('jobs', 'default', 'train')
      ?.status?.conditions?.some(({ type, status }) => type === 'Complete' && status === 'True') ?? false;
  await until('the Job to be Complete', isComplete);
  expect(phases()).toEqual(['Succeeded', 'Succeeded']);
});

test('kube-scheduler can be stopped and started again', async () => {
  plane = await startEmbeddedPlane({ clock: systemClock, scheduler: null });
  await addNode('n1');
  await createJob('train', 1);
  await until('the pod', () => phases().length === 1);
  expect(phases()).toEqual(['Pending']);
  plane.scheduler.start();
  expect(() => plane!.scheduler.start()).toThrow(/stopped before it is started/);
  await until('the pod to run', () => phases()[0] !== 'Pending');
  await plane.scheduler.restart();
  await createJob('next', 1);
  await until('the next pod to run', () => phases().every((phase) => phase !== 'Pending'));
});
