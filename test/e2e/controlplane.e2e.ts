import { expect } from 'vitest';
import { ApiError } from './cluster/api-client.ts';
import { waitFor } from './cluster/wait.ts';
import { cpuPod, gangGate, gangPod, gpuJob, gpuPod, memberResource } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { killNode, reviveNode, type World } from './world.ts';

/** Waits until a pod is in a phase; the phase it is in instead is part of the error. */
async function waitForPhase({ cluster }: World, name: string, phase: string) {
  return waitFor(
    async () => {
      const pod = await cluster.api.get('pods', name);
      if (pod.status?.phase !== phase) throw new Error(`${pod.status?.phase} on ${pod.spec?.nodeName}`);
      return pod;
    },
    { what: `pod ${name} to be ${phase}` },
  );
}

async function waitUntilGone({ cluster }: World, name: string): Promise<void> {
  await waitFor(async () => (await cluster.api.find('pods', name)) === undefined, { what: `pod ${name} to be gone` });
}

/** Waits until this many pods run and no others are there, none of them one of the given. */
async function runningPods({ cluster }: World, count: number, ...but: readonly (string | undefined)[]) {
  return waitFor(
    async () => {
      const pods = await cluster.api.list('pods');
      const running = pods.filter(
        ({ metadata, status }) => status?.phase === 'Running' && !metadata?.deletionTimestamp,
      );
      const own = running.filter(({ metadata }) => !but.includes(metadata?.uid));
      if (own.length !== count || pods.length !== count) throw new Error(`${own.length} of ${pods.length} pods`);
      return own;
    },
    { what: `${count} pods to run` },
  );
}

// No extender: what is under test is the cluster itself. A Muster runs beside it and finds nothing to do.
scenarios('the cluster itself', { scheduler: { profile: 'none' } }, (scenario) => {
  // Nodes and pods
  scenario('a pod without GPUs runs on a KWOK node without any extender', async (world) => {
    const nodes = await world.cluster.addNodes({ count: 2 });
    await world.cluster.api.create('pods', cpuPod({ name: 'web' }));
    const pod = await waitForPhase(world, 'web', 'Running');
    expect(nodes).toContain(pod.spec?.nodeName);
    expect(pod.status?.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }));
  });

  scenario('a pod ends by itself only when an annotation says after how long', async (world) => {
    await world.cluster.addNodes();
    await world.cluster.api.create('pods', cpuPod({ name: 'server' }));
    await world.cluster.api.create('pods', cpuPod({ name: 'good', runSeconds: 1 }));
    await world.cluster.api.create('pods', cpuPod({ name: 'bad', runSeconds: 1, exitCode: 3 }));
    await waitForPhase(world, 'good', 'Succeeded');
    const bad = await waitForPhase(world, 'bad', 'Failed');
    expect(bad.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(3);
    expect((await world.cluster.api.get('pods', 'server')).status?.phase).toBe('Running');
  });

  scenario('a deleted pod waits out its grace period, becomes Failed, then goes', async (world) => {
    await world.cluster.addNodes();
    await world.cluster.api.create('pods', cpuPod({ name: 'slow', graceSeconds: 2 }));
    await waitForPhase(world, 'slow', 'Running');
    const phases: string[] = [];
    const seen = (async () => {
      const query = { fieldSelector: 'metadata.name=slow' };
      for await (const { type, object } of world.cluster.api.watch('pods', query, {
        signal: AbortSignal.timeout(20_000),
      })) {
        phases.push(`${object.status?.phase}`);
        if (type === 'DELETED') return;
      }
    })();
    const started = performance.now();
    await world.cluster.api.delete('pods', 'slow');
    await waitUntilGone(world, 'slow');
    await seen;
    // Deletion timestamps have whole seconds, hence not the full two.
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(phases).toContain('Failed');
  });

  scenario('a job completes when its pods do', async (world) => {
    await world.cluster.addNodes({ count: 2 });
    await world.cluster.api.create('jobs', gpuJob({ name: 'train', gang: null, size: 2, runSeconds: 1 }));
    const job = await waitFor(
      async () => {
        const { status } = await world.cluster.api.get('jobs', 'train');
        if (!status?.conditions?.some(({ type }) => type === 'Complete')) throw new Error(JSON.stringify(status));
        return status;
      },
      { what: 'the job to be Complete' },
    );
    expect(job.succeeded).toBe(2);
  });

  scenario('a node that is killed is tainted and keeps its pods when it is back soon', async (world) => {
    await world.cluster.addNodes({ count: 2 });
    await world.cluster.api.create('pods', cpuPod({ name: 'patient', nodeLossSeconds: 300 }));
    const node = (await waitForPhase(world, 'patient', 'Running')).spec?.nodeName as string;
    await killNode(world, node);
    await reviveNode(world, node);
    expect((await waitForPhase(world, 'patient', 'Running')).metadata?.deletionTimestamp).toBeUndefined();
  });

  scenario('the pods of a killed node leave it, and their Job replaces them elsewhere', async (world) => {
    await world.cluster.addNodes({ count: 3 });
    await world.cluster.api.create('jobs', gpuJob({ name: 'train', gang: null, size: 2, nodeLossSeconds: 1 }));
    const [first] = await runningPods(world, 2);
    await killNode(world, first?.spec?.nodeName as string);
    const pods = await runningPods(world, 2, first?.metadata?.uid);
    expect(pods.map((pod) => pod.spec?.nodeName)).not.toContain(first?.spec?.nodeName);
    const { status } = await world.cluster.api.get('jobs', 'train');
    expect([status?.failed ?? 0, status?.conditions ?? []]).toEqual([0, []]);
  });

  // The Job controller would let all of them wait for ten minutes if it had no limit per index.
  scenario(
    'a Job whose 8 pods are evicted survives with a back-off limit of 0, and has them back soon',
    async (world) => {
      await world.cluster.addNodes({ count: 8 });
      await world.cluster.api.create('jobs', gpuJob({ name: 'train', gang: null, size: 8 }));
      const evicted = await runningPods(world, 8);
      const uids = evicted.map(({ metadata }) => metadata?.uid);
      for (const { metadata } of evicted) {
        const name = metadata?.name as string;
        const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } };
        await world.cluster.api.request('POST', `/api/v1/namespaces/default/pods/${name}/eviction`, eviction);
      }
      await runningPods(world, 8, ...uids);
      const { status } = await world.cluster.api.get('jobs', 'train');
      expect([status?.failed ?? 0, status?.conditions ?? []]).toEqual([0, []]);
    },
  );

  scenario('kube-scheduler can be stopped and started again', async (world) => {
    await world.cluster.addNodes();
    await world.cluster.scheduler.stop();
    await world.cluster.api.create('pods', cpuPod({ name: 'patient' }));
    await world.cluster.scheduler.start();
    await waitForPhase(world, 'patient', 'Running');
  });

  scenario.realOnly('its scheduler keeps no metrics', 'kube-scheduler counts what it does', async (world) => {
    expect(await world.cluster.scheduler.metrics()).toContain('scheduler_schedule_attempts_total');
  });

  // Admission policy
  scenario('a GPU member gets the gate and no marker', async (world) => {
    const pod = await world.cluster.api.create('pods', gangPod({ gang: 'train' }));
    expect(pod.spec?.schedulingGates).toEqual([{ name: gangGate }]);
    expect(pod.spec?.containers[0]?.resources?.requests).not.toHaveProperty(memberResource);
  });

  scenario(
    'a member without an accelerator gets the gate and the marker, and keeps what it requests',
    async (world) => {
      const pod = await world.cluster.api.create('pods', gangPod({ gang: 'train', gpus: 0, cpu: 2 }));
      expect(pod.spec?.schedulingGates).toEqual([{ name: gangGate }]);
      expect(pod.spec?.containers).toHaveLength(1);
      expect(pod.spec?.containers[0]).toMatchObject({ name: 'main', image: 'training' });
      expect(pod.spec?.containers[0]?.resources).toEqual({
        requests: { cpu: '2', memory: '1Gi', [memberResource]: '1' },
        limits: { [memberResource]: '1' },
      });
    },
  );

  scenario('only the first container is marked, and none when an init container requests a GPU', async (world) => {
    const container = (name: string, gpus = 0) => ({
      name,
      image: 'training',
      ...(gpus > 0 ? { resources: { limits: { 'nvidia.com/mig-1g.5gb': `${gpus}` } } } : {}),
    });
    const two = { containers: [container('first'), container('second')] };
    const pod = await world.cluster.api.create('pods', gangPod({ gang: 'two', spec: two }));
    expect(pod.spec?.containers.map(({ name, resources }) => [name, resources?.limits])).toEqual([
      ['first', { [memberResource]: '1' }],
      ['second', undefined],
    ]);
    const init = { containers: [container('main')], initContainers: [container('warm-up', 1)] };
    const warm = await world.cluster.api.create('pods', gangPod({ gang: 'warm', spec: init }));
    expect(warm.spec?.containers[0]?.resources?.limits).toBeUndefined();
  });

  scenario('a template that carries gate and marker already is left as it is', async (world) => {
    const pod = await world.cluster.api.create(
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

  scenario('the co-scheduling label counts as well, and the pods of a Job are gated', async (world) => {
    const labels = { 'scheduling.x-k8s.io/pod-group': 'train' };
    const pod = await world.cluster.api.create('pods', gpuPod({ labels }));
    expect(pod.spec?.schedulingGates).toEqual([{ name: gangGate }]);
    await world.cluster.api.create('jobs', gpuJob({ name: 'train', size: 2 }));
    const members = await waitFor(
      async () => {
        const pods = await world.cluster.api.list('pods', { labelSelector: 'muster.dev/pod-group=train' });
        return pods.length === 2 && pods;
      },
      { what: 'two pods of the job' },
    );
    expect(members.map(({ spec }) => spec?.schedulingGates)).toEqual([[{ name: gangGate }], [{ name: gangGate }]]);
  });

  scenario('pods of no gang, bound pods, and pods of other schedulers are not touched', async (world) => {
    const [node] = (await world.cluster.addNodes()) as [string];
    const others = [
      gpuPod({ name: 'no-gang' }),
      gangPod({ gang: 'bound', gpus: 0, spec: { nodeName: node } }),
      gangPod({ gang: 'foreign', gpus: 0, spec: { schedulerName: 'batch' } }),
    ];
    for (const pod of await world.cluster.api.createMany('pods', others)) {
      expect(pod.spec?.schedulingGates, pod.metadata?.name).toBeUndefined();
      expect(pod.spec?.containers[0]?.resources?.limits ?? {}, pod.metadata?.name).not.toHaveProperty(memberResource);
    }
  });

  // Muster's rights
  const forbidden = expect.objectContaining({ name: ApiError.name, status: 403 });

  scenario.realOnly(
    'needs RBAC',
    'it may neither create nor delete pods, nor read secrets, nor change nodes',
    async (world) => {
      const { asMuster: muster } = world;
      await world.cluster.addNodes({ count: 1, prefix: 'n' });
      await world.cluster.api.create('pods', gangPod({ gang: 'train' }));
      await expect(muster.delete('pods', 'train-0')).rejects.toEqual(forbidden);
      await expect(muster.create('pods', cpuPod())).rejects.toEqual(forbidden);
      await expect(muster.request('GET', '/api/v1/secrets')).rejects.toEqual(forbidden);
      await expect(muster.patch('nodes', 'n-0', { metadata: { labels: { a: 'b' } } })).rejects.toEqual(forbidden);
      await expect(muster.request('DELETE', '/apis/batch/v1/namespaces/default/jobs/x')).rejects.toEqual(forbidden);
    },
  );

  scenario.realOnly('needs RBAC', 'it may read what it plans with', async (world) => {
    const { asMuster: muster } = world;
    for (const resource of [
      'nodes',
      'pods',
      'persistentvolumeclaims',
      'storageclasses',
      'poddisruptionbudgets',
      'jobs',
    ] as const) {
      await expect(muster.list(resource), resource).resolves.toBeDefined();
    }
    await expect(muster.list('priorityclasses'), 'what it does not use').rejects.toThrow(/forbidden/);
  });

  scenario.realOnly(
    'needs RBAC',
    'it nominates a gated pod by one guarded patch, opens the gate, and binds with a record',
    async (world) => {
      const { asMuster: muster } = world;
      const [node] = (await world.cluster.addNodes()) as [string];
      const created = await world.cluster.api.create('pods', gangPod({ gang: 'train' }));
      const uid = created.metadata?.uid;
      const slot = (guard: string | undefined) => ({
        metadata: { uid: guard, annotations: { 'muster.dev/plan': `p1/${node}/1` } },
        status: { nominatedNodeName: node },
      });
      const wrong = muster.patch('pods', 'train-0', slot('another'), { subresource: 'status' });
      await expect(wrong).rejects.toMatchObject({ status: 422, message: expect.stringContaining('metadata.uid') });

      await world.cluster.scheduler.stop();
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
      const running = await waitForPhase(world, 'train-0', 'Running');
      expect(running.spec?.nodeName).toBe(node);
      expect(running.metadata?.annotations).toMatchObject({ 'muster.dev/placement': 'p1' });
      await world.cluster.scheduler.start();
    },
  );

  scenario.realOnly('needs RBAC', 'it writes Events, those of events.k8s.io', async (world) => {
    const { asMuster: muster } = world;
    const regarding = { kind: 'Pod', name: 'train-0', namespace: 'default' };
    const event = { reason: 'GangWaiting', type: 'Normal', reportingComponent: 'muster', reportingInstance: 'e2e' };
    const old = { metadata: { name: 'core.1' }, involvedObject: regarding, ...event, message: 'waits' };
    await expect(muster.create('events', old)).rejects.toThrow(/forbidden/);
    await muster.request('POST', '/apis/events.k8s.io/v1/namespaces/default/events', {
      metadata: { name: 'new.1', namespace: 'default' },
      regarding,
      ...{ reason: event.reason, type: event.type, note: 'waits', action: 'Plan' },
      ...{ reportingController: 'muster.dev/scheduler', reportingInstance: 'e2e' },
      eventTime: new Date().toISOString().replace('Z', '000Z'),
    });
    expect(
      await world.cluster.api.list('events', { namespace: 'default', fieldSelector: 'reason=GangWaiting' }),
    ).toHaveLength(1);
  });

  scenario.realOnly('needs RBAC', 'its requests have a priority level of their own', async (world) => {
    const { asMuster: muster } = world;
    const path = '/debug/api_priority_and_fairness/dump_priority_levels';
    const idle = await world.cluster.api.request<string>('GET', path);
    await muster.list('pods');
    const rows = await world.cluster.api.request<string>('GET', path);
    const dispatched = (text: string) => {
      const [names, ...levels] = text.split('\n').map((line) => line.split(',').map((cell) => cell.trim()));
      const level = levels.find(([name]) => name === 'muster');
      return Number(level?.[names?.indexOf('DispatchedRequests') ?? -1]);
    };
    expect(dispatched(rows)).toBeGreaterThan(dispatched(idle));
  });

  scenario('a watch-list of pods ends its first part with a bookmark', async (world) => {
    const { asMuster: muster } = world;
    await world.cluster.api.createMany('pods', [cpuPod({ name: 'a' }), cpuPod({ name: 'b' })]);
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
});
