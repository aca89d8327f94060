/** The binding cycle of the kube-scheduler model: binds by an extender (held, failing, succeeding) and by itself. */
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import { ALL_VERBS, GPU, type SchedulerWorld, startSchedulerWorld } from './scheduler-world.ts';

let world: SchedulerWorld;

afterEach(() => world.stop());

/** Holds every bind; returns a function that answers the bind of a pod. */
function holdBinds(): (pod: string, answer: unknown) => Promise<void> {
  const held = new Map<string, (answer: unknown) => void>();
  world.extender.answers.bind = ({ PodName }) => new Promise((resolve) => held.set(PodName, resolve));
  return async (pod, answer) => {
    await until(`the bind of ${pod}`, () => held.has(pod));
    held.get(pod)!(answer);
    held.delete(pod);
  };
}

const binds = () => world.extender.callsOf('bind').map(({ args }) => `${args.PodName} ${args.Node}`);

describe('while a bind is held', () => {
  test('the pod takes up its space, and any number of other pods are scheduled and bound meanwhile', async () => {
    world = await startSchedulerWorld();
    world.addNodes(50);
    holdBinds();
    for (let i = 0; i < 51; i++) world.addPod(`train-${i}`);
    expect(await world.refused('train-50')).toMatch(`50 Insufficient ${GPU}.`);
    await until('50 binds', () => binds().length === 50);
    expect(world.extender.callsOf('bind').at(-1)?.connections).toBeGreaterThanOrEqual(50);
    expect(new Set(world.extender.callsOf('bind').map(({ args }) => args.Node)).size).toBe(50);
  });

  test('updates of the pod trigger no attempt', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    holdBinds();
    world.addPod('train');
    await until('the bind', () => binds().length === 1);
    const annotate = (text: string) =>
      world.store.update('pods', 'default', 'train', (pod) => ({
        ...pod,
        metadata: { ...pod.metadata, annotations: { text } },
      }));
    annotate('one');
    world.addPod('web', { gpus: 0 });
    await until('the next bind', () => binds().length === 2);
    expect(world.extender.callsOf('filter').map(({ args }) => args.Pod.metadata.name)).toEqual(['train', 'web']);
  });

  test('deleting the pod frees its node at once, and the call continues', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    const answer = holdBinds();
    world.addPod('first');
    await until('the bind', () => binds().length === 1);
    world.addPod('second');
    await world.refused('second');
    world.store.remove('pods', 'default', 'first');
    await until('the second bind', () => binds().length === 2);
    expect(binds()).toEqual(['first node-0', 'second node-0']);
    await answer('first', { Error: 'the pod is gone' });
    await until('the Event', () => world.notes('FailedScheduling').includes('the pod is gone'));
  });

  test('the start of a graceful deletion frees it as well', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    holdBinds();
    world.addPod('first');
    await until('the bind', () => binds().length === 1);
    world.addPod('second');
    await world.refused('second');
    const leaving = { deletionTimestamp: '2026-01-01T00:00:30Z', deletionGracePeriodSeconds: 30 };
    world.store.update('pods', 'default', 'first', (pod) => ({ ...pod, metadata: { ...pod.metadata, ...leaving } }));
    await until('the second bind', () => binds().length === 2);
  });

  test('the pod takes up space where it will be bound, no longer where it was nominated', async () => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    holdBinds();
    world.extender.answers.filter = ({ Pod, NodeNames }) =>
      Pod.metadata.name === 'first'
        ? { NodeNames: NodeNames.filter((name: string) => name === 'node-0') }
        : { NodeNames };
    world.addPod('first', { nominated: 'node-1' });
    await until('the bind', () => binds().length === 1);
    world.addPod('second');
    await until('the second bind', () => binds().length === 2);
    expect(binds()).toEqual(['first node-0', 'second node-1']);
  });

  test('stopping the scheduler cuts off the calls; its successor schedules the pod again', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    holdBinds();
    world.addPod('train');
    await until('the bind', () => binds().length === 1);
    await world.restart();
    await until('another bind', () => binds().length === 2);
    expect(world.message('train')).toBe('');
  });
});

describe('a bind that fails', () => {
  test('is a SchedulerError with its text, and the nomination is cleared', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.extender.answers.bind = () => ({ Error: 'gang was released' });
    world.addPod('train', { nominated: 'node-0' });
    expect(await world.refused('train')).toBe('gang was released');
    expect(world.pod('train').status).toMatchObject({ conditions: [{ reason: 'SchedulerError', status: 'False' }] });
    expect(world.pod('train').status.nominatedNodeName).toBeUndefined();
  });

  test('frees the space for other pods at once', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    const answer = holdBinds();
    world.addPod('train');
    await until('the bind', () => binds().length === 1);
    world.addPod('other');
    await world.refused('other');
    await answer('train', { Error: 'gang was released' });
    await until('the bind of the other', () => binds().length === 2);
    expect(binds().at(-1)).toBe('other node-0');
  });

  test.each([
    ['an HTTP status', () => ({ status: 503 }), /^failed bind with extender at URL .*, code 503$/],
    ['a connection that breaks', 'break', /^Post "http:.*\/bind": /],
    ['a timeout', 'time out', /^Post "http:.*\/bind": context deadline exceeded/],
  ])('by %s', async (_, how, text) => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    if (typeof how === 'function') world.extender.answers.bind = how;
    else holdBinds();
    world.addPod('train');
    await until('the bind', () => binds().length === 1);
    if (how === 'break') world.extender.server.closeAllConnections();
    if (how === 'time out') world.clock.advance(30_000);
    await world.refused('train', text);
  });

  test('is retried after 1, 2, 4 … seconds, rounded up to full seconds, whatever happens before', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.extender.answers.bind = () => ({ Error: `no ${binds().length}` });
    const attempts = () => world.extender.callsOf('filter').length;
    world.addPod('train');
    const seconds: number[] = [];
    for (let attempt = 1; attempt <= 6; attempt++) {
      await world.refused('train', new RegExp(`^no ${attempt}$`));
      const since = world.clock.now();
      while (attempts() === attempt) {
        world.addRunning(`noise-${world.store.version}`, 'node-0', { gpus: 0 });
        world.clock.advance(1_000);
        await world.turn();
      }
      seconds.push((world.clock.now() - since) / 1_000);
    }
    expect(seconds).toEqual([2, 3, 5, 9, 11, 11]);
  });

  test('is reported although the pod was in fact bound, and the pod stays bound', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    const bind = world.extender.answers.bind!;
    world.extender.answers.bind = (args) => {
      bind(args);
      return { Error: 'answered too late' };
    };
    world.addPod('train');
    await world.bound('train');
    await until('the Event', () => world.notes('FailedScheduling').length === 1);
    expect(world.message('train')).toBe('answered too late');
    world.addPod('other');
    await world.refused('other', /Insufficient/);
  });
});

describe('a bind that succeeds', () => {
  test('without a bound pod leaves the space taken for good', async () => {
    world = await startSchedulerWorld();
    world.addNodes(1);
    world.extender.answers.bind = () => ({});
    world.addPod('train');
    await until('the Event', () => world.notes('Scheduled').length === 1);
    world.addPod('other');
    await world.refused('other');
    world.clock.advance(3_600_000);
    expect(world.pod('train').spec.nodeName).toBeUndefined();
    expect(binds()).toEqual(['train node-0']);
  });

  test('on another node than the chosen one: the node in the pod counts', async () => {
    world = await startSchedulerWorld();
    world.addNodes(2);
    const bind = world.extender.answers.bind!;
    world.extender.answers.bind = (args) => bind({ ...args, Node: 'node-1' });
    world.addPod('train');
    await world.bound('train');
    delete world.extender.answers.bind;
    world.addPod('other');
    await until('the bind of the other', () => binds().length === 2);
    expect(binds()).toEqual(['train node-0', 'other node-0']);
  });
});

describe('without a bindVerb', () => {
  test('kube-scheduler binds the pod itself, which clears the nomination and sets PodScheduled', async () => {
    const { bindVerb: _, ...others } = ALL_VERBS;
    world = await startSchedulerWorld({ extender: { ...others, bindVerb: '' } });
    world.addNodes(2);
    world.addPod('train', { nominated: 'node-1' });
    expect(await world.bound('train')).toBe('node-1');
    expect(world.pod('train').status).toEqual({
      phase: 'Pending',
      conditions: [expect.objectContaining({ type: 'PodScheduled', status: 'True' })],
    });
    expect(binds()).toEqual([]);
  });

  test('the plain scheduler spreads pods over the emptiest nodes and ignores gangs', async () => {
    world = await startSchedulerWorld({ extender: null });
    world.addNodes(3);
    for (const gang of ['red', 'blue']) for (const rank of [0, 1]) world.addPod(`${gang}-${rank}`);
    await until('three pods to be bound', () => world.notes('Scheduled').length === 3);
    await world.refused('blue-1');
    expect(world.pod('blue-1').spec.nodeName).toBeUndefined();
  });
});
