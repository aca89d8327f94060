import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type ApiClient, ApiError } from './cluster/api-client.ts';
import { type Cluster, startControlPlane } from './cluster/control-plane.ts';
import { waitFor } from './cluster/wait.ts';
import { cpuPod, gangGate, gangPod, gpuJob, gpuPod, memberResource } from './objects.ts';

let cluster: Cluster;
let muster: ApiClient;

beforeAll(async () => {
  cluster = await startControlPlane({ scheduler: { profile: 'none' } });
  muster = cluster.api.as(cluster.tokens.muster);
});
afterEach(async () => cluster.reset());
afterAll(async () => {
  await muster?.close();
  await cluster?.stop();
});

/** Waits until a pod is in a phase; the phase it is in instead is part of the error. */
async function waitForPhase(name: string, phase: string) {
  return waitFor(
    async () => {
      const pod = await cluster.api.get('pods', name);
      if (pod.status?.phase !== phase) throw new Error(`${pod.status?.phase} on ${pod.spec?.nodeName}`);
      return pod;
    },
    { what: `pod ${name} to be ${phase}` },
  );
}

async function waitUntilGone(name: string): Promise<void> {
  await waitFor(async () => (await cluster.api.find('pods', name)) === undefined, { what: `pod ${name} to be gone` });
}

describe('nodes and pods', () => {
  test('a pod without GPUs runs on a KWOK node without any extender', async () => {
    const nodes = await cluster.addNodes({ count: 2 });
    await cluster.api.create('pods', cpuPod({ name: 'web' }));
    const pod = await waitForPhase('web', 'Running');
    expect(nodes).toContain(pod.spec?.nodeName);
    expect(pod.status?.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }));
  });

  test('a pod ends by itself only when an annotation says after how long', async () => {
    await cluster.addNodes();
    await cluster.api.create('pods', cpuPod({ name: 'server' }));
    await cluster.api.create('pods', cpuPod({ name: 'good', runSeconds: 1 }));
    await cluster.api.create('pods', cpuPod({ name: 'bad', runSeconds: 1, exitCode: 3 }));
    await waitForPhase('good', 'Succeeded');
    const bad = await waitForPhase('bad', 'Failed');
    expect(bad.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(3);
    expect((await cluster.api.get('pods', 'server')).status?.phase).toBe('Running');
  });

  test('a deleted pod waits out its grace period, becomes Failed, then goes', async () => {
    await cluster.addNodes();
    await cluster.api.create('pods', cpuPod({ name: 'slow', graceSeconds: 2 }));
    await waitForPhase('slow', 'Running');
    const phases: string[] = [];
    const seen = (async () => {
      const query = { fieldSelector: 'metadata.name=slow' };
      for await (const { type, object } of cluster.api.watch('pods', query, { signal: AbortSignal.timeout(20_000) })) {
        phases.push(`${object.status?.phase}`);
        if (type === 'DELETED') return;
      }
    })();
    const started = performance.now();
    await cluster.api.delete('pods', 'slow');
    await waitUntilGone('slow');
    await seen;
    // Deletion timestamps have whole seconds, hence not the full two.
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(phases).toContain('Failed');
  });

  test('a job completes when its pods do', async () => {
    await cluster.addNodes({ count: 2 });
    await cluster.api.create('jobs', gpuJob({ name: 'train', gang: null, size: 2, runSeconds: 1 }));
    const job = await waitFor(
      async () => {
        const { status } = await cluster.api.get('jobs', 'train');
        if (!status?.conditions?.some(({ type }) => type === 'Complete')) throw new Error(JSON.stringify(status));
        return status;
      },
      { what: 'the job to be Complete' },
    );
    expect(job.succeeded).toBe(2);
  });

  test('a node that is taken down is tainted, and comes back', async () => {
    const [node] = (await cluster.addNodes()) as [string];
    await cluster.setNodeReady(node, false);
    await waitFor(
      async () =>
        (await cluster.api.get('nodes', node)).spec?.taints?.some((t) => t.key === 'node.kubernetes.io/not-ready'),
      { what: 'the not-ready taint' },
    );
    await cluster.setNodeReady(node, true);
    await waitFor(async () => (await cluster.api.get('nodes', node)).spec?.taints === undefined, {
      what: 'the taint to go',
    });
  });

  test('kube-scheduler can be stopped and started again', async () => {
    await cluster.addNodes();
    await cluster.scheduler.stop();
    await cluster.api.create('pods', cpuPod({ name: 'patient' }));
    await cluster.scheduler.start();
    await waitForPhase('patient', 'Running');
    expect(await cluster.scheduler.metrics()).toContain('scheduler_schedule_attempts_total');
  });
});

describe('admission policy', () => {
  test('a GPU member gets the gate and no marker', async () => {
    const pod = await cluster.api.create('pods', gangPod({ gang: 'train' }));
    expect(pod.spec?.schedulingGates).toEqual([{ name: gangGate }]);
    expect(pod.spec?.containers[0]?.resources?.requests).not.toHaveProperty(memberResource);
  });

  test('a member without an accelerator gets the gate and the marker, and keeps what it requests', async () => {
    const pod = await cluster.api.create('pods', gangPod({ gang: 'train', gpus: 0, cpu: 2 }));
    expect(pod.spec?.schedulingGates).toEqual([{ name: gangGate }]);
    expect(pod.spec?.containers).toHaveLength(1);
    expect(pod.spec?.containers[0]).toMatchObject({ name: 'main', image: 'training' });
    expect(pod.spec?.containers[0]?.resources).toEqual({
      requests: { cpu: '2', memory: '1Gi', [memberResource]: '1' },
      limits: { [memberResource]: '1' },
    });
  });

  test('only the first container is marked, and none when an init container requests a GPU', async () => {
    const container = (name: string, gpus = 0) => ({
      name,
      image: 'training',
      ...(gpus > 0 ? { resources: { limits: { 'nvidia.com/mig-1g.5gb': `${gpus}` } } } : {}),
    });
    const two = { containers: [container('first'), container('second')] };
    const pod = await cluster.api.create('pods', gangPod({ gang: 'two', spec: two }));
    expect(pod.spec?.containers.map(({ name, resources }) => [name, resources?.limits])).toEqual([
      ['first', { [memberResource]: '1' }],
      ['second', undefined],
    ]);
    const init = { containers: [container('main')], initContainers: [container('warm-up', 1)] };
    const warm = await cluster.api.create('pods', gangPod({ gang: 'warm', spec: init }));
    expect(warm.spec?.containers[0]?.resources?.limits).toBeUndefined();
  });

  test('a template that carries gate and marker already is left as it is', async () => {
    const pod = await cluster.api.create(
      'pods',
      gangPod({
        gang: 'train',
        spec: {
          schedulingGates: [{ name: 'example.com/quota' }, { name: gangGate }],
          containers: [{ name: 'main', image: 'training', resources: { limits: { [memberResource]: '1' } } }],
        },
      }),
    );
    expect(pod.spec?.schedulingGates).toEqual([{ name: 'example.com/quota' }, { name: gangGate }]);
    expect(pod.spec?.containers[0]?.resources?.requests).toEqual({ [memberResource]: '1' });
  });

  test('the co-scheduling label counts as well, and the pods of a Job are gated', async () => {
    const labels = { 'scheduling.x-k8s.io/pod-group': 'train' };
    const pod = await cluster.api.create('pods', gpuPod({ labels }));
    expect(pod.spec?.schedulingGates).toEqual([{ name: gangGate }]);
    await cluster.api.create('jobs', gpuJob({ name: 'train', size: 2 }));
    const members = await waitFor(
      async () => {
        const pods = await cluster.api.list('pods', { labelSelector: 'muster.dev/pod-group=train' });
        return pods.length === 2 && pods;
      },
      { what: 'two pods of the job' },
    );
    expect(members.map(({ spec }) => spec?.schedulingGates)).toEqual([[{ name: gangGate }], [{ name: gangGate }]]);
  });

  test('pods of no gang, bound pods, and pods of other schedulers are not touched', async () => {
    const [node] = (await cluster.addNodes()) as [string];
    const others = [
      gpuPod({ name: 'no-gang' }),
      gangPod({ gang: 'bound', gpus: 0, spec: { nodeName: node } }),
      gangPod({ gang: 'foreign', gpus: 0, spec: { schedulerName: 'batch' } }),
    ];
    for (const pod of await cluster.api.createMany('pods', others)) {
      expect(pod.spec?.schedulingGates, pod.metadata?.name).toBeUndefined();
      expect(pod.spec?.containers[0]?.resources?.limits ?? {}, pod.metadata?.name).not.toHaveProperty(memberResource);
    }
  });
});

describe("Muster's rights", () => {
  const forbidden = expect.objectContaining({ name: ApiError.name, status: 403 });

  test('it may neither create nor delete pods, nor read secrets, nor change nodes', async () => {
    await cluster.addNodes({ count: 1, prefix: 'n' });
    await cluster.api.create('pods', gangPod({ gang: 'train' }));
    await expect(muster.delete('pods', 'train-0')).rejects.toEqual(forbidden);
    await expect(muster.create('pods', cpuPod())).rejects.toEqual(forbidden);
    await expect(muster.request('GET', '/api/v1/secrets')).rejects.toEqual(forbidden);
    await expect(muster.patch('nodes', 'n-0', { metadata: { labels: { a: 'b' } } })).rejects.toEqual(forbidden);
    await expect(muster.request('DELETE', '/apis/batch/v1/namespaces/default/jobs/x')).rejects.toEqual(forbidden);
  });

  test('it may read what it plans with', async () => {
    for (const resource of [
      'nodes',
      'pods',
      'persistentvolumeclaims',
      'storageclasses',
      'priorityclasses',
      'poddisruptionbudgets',
      'jobs',
    ] as const) {
      await expect(muster.list(resource), resource).resolves.toBeDefined();
    }
  });

  test('it nominates a gated pod by one guarded patch, opens the gate, and binds with a record', async () => {
    const [node] = (await cluster.addNodes()) as [string];
    const created = await cluster.api.create('pods', gangPod({ gang: 'train' }));
    const uid = created.metadata?.uid;
    const slot = (guard: string | undefined) => ({
      metadata: { uid: guard, annotations: { 'muster.dev/plan': `p1/${node}/1` } },
      status: { nominatedNodeName: node },
    });
    const wrong = muster.patch('pods', 'train-0', slot('another'), { subresource: 'status' });
    await expect(wrong).rejects.toMatchObject({ status: 422, message: expect.stringContaining('metadata.uid') });

    await cluster.scheduler.stop();
    const nominated = await muster.patch('pods', 'train-0', slot(uid), { subresource: 'status' });
    expect(nominated.status?.nominatedNodeName).toBe(node);
    expect(nominated.metadata?.annotations).toMatchObject({ 'muster.dev/plan': `p1/${node}/1` });
    expect(nominated.spec?.schedulingGates).toEqual([{ name: gangGate }]);

    const open = { metadata: { uid }, spec: { schedulingGates: [{ $patch: 'delete', name: gangGate }] } };
    const opened = await muster.patch('pods', 'train-0', open, { type: 'strategic' });
    expect(opened.spec?.schedulingGates ?? []).toEqual([]);

    await muster.request('POST', '/api/v1/namespaces/default/pods/train-0/binding', {
      metadata: { name: 'train-0', namespace: 'default', uid, annotations: { 'muster.dev/placement': 'p1' } },
      target: { kind: 'Node', name: node },
    });
    const running = await waitForPhase('train-0', 'Running');
    expect(running.spec?.nodeName).toBe(node);
    expect(running.metadata?.annotations).toMatchObject({ 'muster.dev/placement': 'p1' });
    await cluster.scheduler.start();
  });

  test('it writes events of both kinds', async () => {
    const regarding = { kind: 'Pod', name: 'train-0', namespace: 'default' };
    const event = { reason: 'GangWaiting', type: 'Normal', reportingComponent: 'muster', reportingInstance: 'e2e' };
    await muster.create('events', {
      metadata: { name: 'core.1' },
      involvedObject: regarding,
      ...event,
      message: 'waits',
    });
    await muster.request('POST', '/apis/events.k8s.io/v1/namespaces/default/events', {
      metadata: { name: 'new.1', namespace: 'default' },
      regarding,
      ...{ reason: event.reason, type: event.type, note: 'waits', action: 'Plan' },
      ...{ reportingController: 'muster.dev/scheduler', reportingInstance: 'e2e' },
      eventTime: new Date().toISOString().replace('Z', '000Z'),
    });
    expect(
      await cluster.api.list('events', { namespace: 'default', fieldSelector: 'reason=GangWaiting' }),
    ).toHaveLength(2);
  });

  test('its requests have a priority level of their own', async () => {
    const path = '/debug/api_priority_and_fairness/dump_priority_levels';
    const idle = await cluster.api.request<string>('GET', path);
    await muster.list('pods');
    const rows = await cluster.api.request<string>('GET', path);
    const dispatched = (text: string) => {
      const [names, ...levels] = text.split('\n').map((line) => line.split(',').map((cell) => cell.trim()));
      const level = levels.find(([name]) => name === 'muster');
      return Number(level?.[names?.indexOf('DispatchedRequests') ?? -1]);
    };
    expect(dispatched(rows)).toBeGreaterThan(dispatched(idle));
  });
});

test('a watch-list of pods ends its first part with a bookmark', async () => {
  await cluster.api.createMany('pods', [cpuPod({ name: 'a' }), cpuPod({ name: 'b' })]);
  const types: string[] = [];
  const query = { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: 'true' };
  for await (const { type, object } of muster.watch('pods', query, { signal: AbortSignal.timeout(20_000) })) {
    types.push(type);
    if (type !== 'BOOKMARK') continue;
    expect(object.metadata?.annotations).toEqual({ 'k8s.io/initial-events-end': 'true' });
    break;
  }
  expect(types).toEqual(['ADDED', 'ADDED', 'BOOKMARK']);
});
