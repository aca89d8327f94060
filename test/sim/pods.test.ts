/** The pod rules of the embedded API server: defaults, updates, binding, deletion and eviction. */
import { describe, expect, test } from 'vitest';
import type { PodIdentity } from '../../src/core/objects/write-outcome.ts';
import { DisruptionBudgets } from '../../src/sim/disruption-budgets.ts';
import type { Pod } from '../../src/sim/objects.ts';
import { type SimWorld, useSimWorlds } from './sim-world.ts';

const newWorld = useSimWorlds();
const PODS = '/api/v1/namespaces/default/pods';

const identity = ({ metadata: { namespace, name, uid } }: Pod): PodIdentity => ({ namespace, name, uid });
const gated = { spec: { schedulingGates: [{ name: 'muster.dev/gang' }, { name: 'other' }] } };

describe('a new pod', () => {
  test('takes limits as requests where there are none', () => {
    const resources = { limits: { 'nvidia.com/gpu': '8', cpu: '4' }, requests: { cpu: '2' } };
    const pod = newWorld().createPod('a', { spec: { containers: [{ name: 'main', resources }] } });
    expect(pod.spec.containers?.[0]?.resources?.requests).toEqual({ 'nvidia.com/gpu': '8', cpu: '2' });
  });

  test('with hostNetwork gets a host port for every container port', () => {
    const containers = [{ name: 'main', ports: [{ containerPort: 29500 }, { containerPort: 80, hostPort: 8080 }] }];
    const world = newWorld();
    const portsOf = (pod: Pod) => pod.spec.containers?.[0]?.ports?.map(({ hostPort }) => hostPort);
    expect(portsOf(world.createPod('host', { spec: { hostNetwork: true, containers } }))).toEqual([29500, 8080]);
    expect(portsOf(world.createPod('own', { spec: { containers } }))).toEqual([undefined, 8080]);
  });

  test('tolerates a node that is down for five minutes, unless it sets its own toleration', () => {
    const world = newWorld();
    expect(world.createPod('a').spec.tolerations).toEqual([
      { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
      { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
    ]);
    const own = [{ operator: 'Exists' }];
    expect(world.createPod('b', { spec: { tolerations: own } as object }).spec.tolerations).toEqual(own);
  });

  test('takes priority and preemption policy from its class, or from the default class', () => {
    const world = newWorld();
    const priorityOf = ({ spec: { priority, preemptionPolicy } }: Pod) => [priority, preemptionPolicy];
    expect(priorityOf(world.createPod('none'))).toEqual([0, 'PreemptLowerPriority']);
    world.store.create('priorityclasses', { metadata: { name: 'high' }, value: 9, preemptionPolicy: 'Never' });
    world.store.create('priorityclasses', { metadata: { name: 'usual' }, value: 5, globalDefault: true });
    expect(priorityOf(world.createPod('high', { spec: { priorityClassName: 'high' } as object }))).toEqual([
      9,
      'Never',
    ]);
    expect(priorityOf(world.createPod('usual'))).toEqual([5, 'PreemptLowerPriority']);
  });
});

describe("Muster's writes on the embedded API server", () => {
  test('set a nomination in one write, and clear it in one', async () => {
    const world = newWorld();
    const { api } = await world.serve();
    const pod = world.createPod('a', gated);
    expect(await api.nominate(identity(pod), 'n1', 'p/n1/1')).toMatchObject({ kind: 'ok' });
    expect(world.pod('a')).toMatchObject({
      metadata: { annotations: { 'muster.dev/plan': 'p/n1/1' } },
      status: { nominatedNodeName: 'n1', phase: 'Pending' },
    });
    expect(await api.clearNomination(identity(pod))).toMatchObject({ kind: 'ok' });
    expect(world.pod('a').metadata.annotations).toBeUndefined();
    expect(world.pod('a').status.nominatedNodeName).toBeUndefined();
  });

  test('remove one gate and keep the others, and can add none', async () => {
    const world = newWorld();
    const { api, ask } = await world.serve();
    const pod = world.createPod('a', gated);
    const gates = gated.spec.schedulingGates.map(({ name }) => name);
    expect(await api.removeGate({ ...identity(pod), gates }, 'muster.dev/gang')).toMatchObject({ kind: 'ok' });
    expect(world.pod('a').spec.schedulingGates).toEqual([{ name: 'other' }]);
    const again = await api.removeGate({ ...identity(pod), gates }, 'muster.dev/gang');
    expect(again, 'it is absent').toMatchObject({ kind: 'ok' });
    const added = await ask('PATCH', `${PODS}/a`, { spec: { schedulingGates: [{ name: 'new' }] } });
    expect(added.body).toMatchObject({ code: 422, details: { causes: [{ field: 'spec.schedulingGates[0].name' }] } });
  });

  test('bind the pod, clear its nomination and keep the record, all in one', async () => {
    const world = newWorld();
    const { api } = await world.serve();
    const pod = world.createPod('a');
    await api.nominate(identity(pod), 'n1', 'p');
    expect(await api.bind(identity(pod), 'n1', { 'muster.dev/placement': 'x' })).toMatchObject({ kind: 'ok' });
    const { metadata, spec, status } = world.pod('a');
    expect(metadata.annotations).toEqual({ 'muster.dev/plan': 'p', 'muster.dev/placement': 'x' });
    expect(spec.nodeName).toBe('n1');
    expect(status.nominatedNodeName).toBeUndefined();
    expect(status.conditions).toMatchObject([{ type: 'PodScheduled', status: 'True' }]);
  });

  test('may repeat a binding to the same node; another node is a conflict', async () => {
    const world = newWorld();
    const { api } = await world.serve();
    const pod = identity(world.createPod('a'));
    await api.bind(pod, 'n1', {});
    expect(await api.bind(pod, 'n1', {})).toMatchObject({ kind: 'ok' });
    const other = await api.bind(pod, 'n2', {});
    expect(other).toMatchObject({
      kind: 'conflict',
      message: expect.stringContaining('already assigned to node "n1"'),
    });
    expect(await api.nominate(pod, 'n2', 'p')).toMatchObject({ kind: 'conflict' });
  });

  test('cannot bind a gated pod or one that is being deleted', async () => {
    const world = newWorld();
    const { api } = await world.serve();
    const gate = await api.bind(identity(world.createPod('gated', gated)), 'n1', {});
    expect(gate).toMatchObject({
      kind: 'conflict',
      message: expect.stringContaining('non-empty .spec.schedulingGates'),
    });
    const going = world.createPod('going', { metadata: { finalizers: ['x'] } });
    world.registry.delete('pods', 'default', 'going');
    const gone = await api.bind(identity(going), 'n1', {});
    expect(gone).toMatchObject({ kind: 'conflict', message: expect.stringContaining('is being deleted') });
  });

  test('meant for an earlier pod of the same name are refused', async () => {
    const world = newWorld();
    const { api } = await world.serve();
    const earlier = identity(world.createPod('a', gated));
    world.store.remove('pods', 'default', 'a');
    expect(await api.bind(earlier, 'n1', {})).toEqual({ kind: 'gone' });
    world.createPod('a', gated);
    expect(await api.bind(earlier, 'n1', {})).toEqual({ kind: 'gone' });
    expect(await api.nominate(earlier, 'n1', 'p')).toEqual({ kind: 'gone' });
    expect(await api.removeGate(earlier, 'other')).toEqual({ kind: 'gone' });
  });
});

test('the spec of a pod is fixed, but a gated pod can still be pinned to nodes', async () => {
  const world = newWorld();
  const { ask } = await world.serve();
  world.createPod('open');
  world.createPod('gated', gated);
  const pin = { spec: { nodeSelector: { zone: 'a' } } };
  expect((await ask('PATCH', `${PODS}/open`, pin)).body).toMatchObject({ code: 422 });
  expect((await ask('PATCH', `${PODS}/gated`, pin)).status).toBe(200);
});

describe('a deleted pod', () => {
  test('disappears at once when nothing of it runs', () => {
    const world = newWorld();
    world.createPod('unbound');
    world.createPod('ended');
    world.bind('ended', 'n1');
    world.setPhase('ended', 'Succeeded');
    for (const name of ['unbound', 'ended']) world.registry.delete('pods', 'default', name);
    expect(world.store.list('pods')).toEqual([]);
  });

  test('stays for its grace period, which a second deletion can only shorten', () => {
    const world = newWorld();
    world.createPod('a', { spec: { terminationGracePeriodSeconds: 20 } as object });
    world.bind('a', 'n1');
    world.registry.delete('pods', 'default', 'a');
    const end = world.pod('a').metadata.deletionTimestamp;
    expect(Date.parse(end!) - world.clock.now()).toBe(20_000);
    world.registry.delete('pods', 'default', 'a', { graceSeconds: 30 });
    expect(world.pod('a').metadata.deletionTimestamp).toBe(end);
    world.registry.delete('pods', 'default', 'a', { graceSeconds: 5 });
    expect(world.pod('a').metadata.deletionGracePeriodSeconds).toBe(5);
    world.registry.delete('pods', 'default', 'a', { graceSeconds: 0 });
    expect(world.store.list('pods')).toEqual([]);
  });
});

describe('an eviction', () => {
  const evict = async (world: SimWorld, name: string) =>
    (await (await world.serve()).ask('POST', `${PODS}/${name}/eviction`, { metadata: { name } })).body;

  function startThree(world: SimWorld): void {
    const ready = [{ type: 'Ready', status: 'True' }];
    for (const name of ['a', 'b', 'c']) {
      world.createPod(name, { metadata: { labels: { app: 'web' } } });
      world.bind(name, 'n1');
      world.store.update('pods', 'default', name, (pod) => ({
        ...pod,
        status: { ...pod.status, phase: 'Running', conditions: ready },
      }));
    }
  }

  test('deletes the pod when no budget covers it', async () => {
    const world = newWorld();
    startThree(world);
    expect(await evict(world, 'a')).toMatchObject({ status: 'Success' });
    expect(world.pod('a').metadata.deletionTimestamp).toBeDefined();
  });

  test('is refused with 429 when the budget is exhausted', async () => {
    const world = newWorld();
    world.run(DisruptionBudgets);
    startThree(world);
    world.registry.store.create('poddisruptionbudgets', {
      metadata: { name: 'web', namespace: 'default' },
      spec: { minAvailable: 2, selector: { matchLabels: { app: 'web' } } },
    });
    world.pass();
    expect(await evict(world, 'a')).toMatchObject({ status: 'Success' });
    const refused = await evict(world, 'b');
    expect(refused).toMatchObject({ code: 429, details: { causes: [{ reason: 'DisruptionBudget' }] } });
    world.pass();
    expect(world.store.get('poddisruptionbudgets', 'default', 'web')?.status?.disruptionsAllowed).toBe(0);
  });
});
