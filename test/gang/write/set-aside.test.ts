/** What is told about a gang that is set aside while it runs, and is looked after again. */
import { expect, test } from 'vitest';
import type { SchedulerPorts } from '../../../src/gang/assembly.ts';
import { gang, SECOND, startWorld, verdicts, type World } from '../../support/scenario.ts';

/** A world in which reading gangs fails on demand, and how often was told that a gang runs, and that its Job is fragile. */
async function listen() {
  const told: string[] = [];
  let isBroken = false;
  const changePorts = (ports: SchedulerPorts): SchedulerPorts => ({
    ...ports,
    view: new Proxy(ports.view, {
      get: (view, name) => {
        const value = Reflect.get(view, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: readonly unknown[]) => {
          const answer = Reflect.apply(value, view, args) as object;
          return name === 'sourcesOf' && isBroken ? withoutJobs(answer) : answer;
        };
      },
    }),
    observer: watch(ports.observer, (call, args) => {
      if (call === 'onFragile') told.push('fragile');
      if (call === 'onRunning') told.push(...(args[3] as readonly { readonly name: string }[]).map(({ name }) => name));
    }),
  });
  const world = await startWorld({ nodes: 4, changePorts });
  /** The gang is read once more, which fails or not. */
  const read = async (name: string, breaks: boolean) => {
    isBroken = breaks;
    world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
      // What a start does not change: then all of the gang is read.
      metadata.labels = { ...metadata.labels, read: String(world.clock.now()) };
    });
    await world.pass(SECOND);
  };
  return { world, told, read };
}

/** Only the pods can be read. */
function withoutJobs(sources: object): object {
  return {
    ...sources,
    get jobs() {
      throw new Error('sabotaged');
    },
  };
}

/** @param onCall sees each call of a method. */
function watch<T extends object>(target: T, onCall: (name: string, args: readonly unknown[]) => void): T {
  return new Proxy(target, {
    get: (object, name) => {
      const value = Reflect.get(object, name) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: readonly unknown[]) => {
        onCall(String(name), args);
        return Reflect.apply(value, object, args) as unknown;
      };
    },
  });
}

/** A gang of two whose Job does not survive an eviction. */
function createFragile(world: World): void {
  world.cluster.create('Job', {
    metadata: { name: 'a', namespace: 'default', uid: 'job-a' },
    spec: {
      ...{ parallelism: 2, completions: 2, backoffLimit: 0 },
      template: { metadata: { labels: { 'muster.dev/pod-group': 'a' } } },
    },
    status: {},
  });
  const ownerReferences = [{ kind: 'Job', name: 'a', uid: 'job-a', controller: true }];
  world.create(gang('a', 2).map((raw) => ({ ...raw, metadata: { ...raw.metadata, ownerReferences } })));
}

test('a gang that runs, is set aside and is looked after again has not started again', async () => {
  const { world, told, read } = await listen();
  createFragile(world);
  await world.settle();
  await world.schedule();
  expect(told).toEqual(['fragile', 'a-0', 'a-1']);
  await read('a-0', true);
  expect(world.stateOf('a')).toBe('Invalid');
  await read('a-0', false);
  expect(world.stateOf('a')).toBe('Running');
  expect(told).toEqual(['fragile', 'a-0', 'a-1']);
});

test('a gang that starts after it was set aside is told once', async () => {
  const { world, told, read } = await listen();
  createFragile(world);
  await world.settle();
  await read('a-0', true);
  expect(world.stateOf('a')).toBe('Invalid');
  await read('a-0', false);
  await world.pass(10 * SECOND);
  await world.schedule();
  expect(told).toEqual(['fragile', 'a-0', 'a-1']);
});

test('a gang that is set aside while bindings are being written keeps their slots, and gives back the others', async () => {
  const { world, read } = await listen();
  createFragile(world);
  world.create(gang('a', 3, { from: 2, min: 2 }));
  await world.settle();
  const slots = world.slotsOf('a');
  expect(Object.keys(slots)).toEqual(['a-0', 'a-1', 'a-2']);
  for (const pod of ['a-0', 'a-1']) world.cluster.trouble({ verb: 'bind', pod, how: 'ok', hangs: true });
  const calls = world.bindAll('a-0', 'a-1');
  await world.settle();
  await read('a-2', true);
  expect(world.stateOf('a')).toBe('Invalid');
  expect(world.slotsOf('a')).toEqual({ 'a-0': slots['a-0'], 'a-1': slots['a-1'] });
  world.cluster.letGo();
  await world.settle();
  expect(verdicts(calls)).toEqual(['bound', 'bound']);
  expect(world.overbooked()).toEqual([]);
});
