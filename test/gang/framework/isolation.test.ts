/** Whatever fails or takes too long for one gang costs that gang: the others start, and nothing is lost. */
import { describe, expect, test } from 'vitest';
import type { SchedulerPorts } from '../../../src/gang/assembly.ts';
import { type FaultReport, Isolation } from '../../../src/gang/framework/isolation.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { gang, pod, SECOND, startWorld, type World, type WorldOptions } from '../../support/scenario.ts';

const BAD = 'default/bad';
const BAD_RESOURCE = 'example.com/bad';

/** A world in which the ports fail for gang `bad` until `repair` is called. */
async function startSabotaged(
  sabotage: (ports: SchedulerPorts, fails: () => void) => Partial<SchedulerPorts>,
  options: WorldOptions = {},
): Promise<{ world: World; log: string[]; repair: () => void; failures: () => number }> {
  const log: string[] = [];
  let [broken, failures] = [true, 0];
  const fails = () => {
    if (!broken) return;
    failures++;
    throw new Error('sabotaged');
  };
  const world = await startWorld({
    nodes: 8,
    metrics: new Metrics(),
    write: (line) => void log.push(line),
    changePorts: (ports) => ({ ...ports, ...sabotage(ports, fails) }),
    ...options,
  });
  const repair = () => {
    broken = false;
  };
  return { world, log, repair, failures: () => failures };
}

/** The observer of the process, with one call that fails for the gang. */
function failingObserver<K extends keyof SchedulerPorts['observer']>(call: K) {
  return ({ observer }: SchedulerPorts, fails: () => void): Partial<SchedulerPorts> => ({
    observer: new Proxy(observer, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: readonly unknown[]) => {
          const [first] = args as [string | { readonly key: string }];
          if (name === call && (first === BAD || (typeof first === 'object' && first?.key === BAD))) fails();
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    }),
  });
}

const steps: readonly (readonly [string, Parameters<typeof startSabotaged>[0]])[] = [
  [
    'observe',
    ({ view }, fails) => ({
      view: proxyOf(view, 'sourcesOf', (sourcesOf) => (key: string) => {
        const sources = sourcesOf(key as never);
        return key === BAD
          ? {
              ...sources,
              countJobsOfSet: () => 0,
              blocksOnClaim: () => undefined,
              get jobs() {
                fails();
                return sources.jobs;
              },
            }
          : sources;
      }),
    }),
  ],
  [
    'admit',
    ({ settings }, fails) => ({
      settings: {
        ...settings,
        policy: {
          ...settings.policy,
          isAccelerator: (name: string) => {
            if (name === BAD_RESOURCE) fails();
            return settings.policy.isAccelerator(name);
          },
        },
      },
    }),
  ],
  ['plan', failingObserver('onPlanned')],
  [
    'write',
    ({ writer }, fails) => ({
      writer: proxyOf(writer, 'nominate', (nominate) => async (pod, ...rest) => {
        if (pod.name.startsWith('bad-')) fails();
        return await nominate(pod, ...rest);
      }),
    }),
  ],
];

function proxyOf<T extends object, K extends keyof T>(target: T, key: K, change: (value: T[K]) => T[K]): T {
  return new Proxy(target, {
    get: (object, name) => {
      const value = Reflect.get(object, name) as unknown;
      const bound = typeof value === 'function' ? (value.bind(object) as unknown) : value;
      return name === key ? change(bound as T[K]) : bound;
    },
  });
}

const requests = { [BAD_RESOURCE]: '1', 'nvidia.com/gpu': '8' };
const badSpec = {
  // What it asks for is counted by GPU model.
  nodeSelector: { 'nvidia.com/gpu.product': 'any' },
  containers: [{ name: 'main', resources: { requests, limits: requests } }],
};

/** The bad gang comes first, and is the more urgent one. No node has what it asks for in step `admit`. */
function createBoth(world: World, step: string): void {
  world.create(gang('bad', 2, { priority: 10, ...(step === 'admit' && { spec: badSpec }) }), gang('good', 2));
}

/** Each member is tried until all that can start have started. */
async function scheduleAll(world: World): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await world.schedule();
    await world.pass(SECOND);
  }
}

describe('an exception in step', () => {
  test.each(steps)('%s costs its gang: the other starts, and this one says why', async (step, sabotage) => {
    const { world, log, failures } = await startSabotaged(sabotage);
    createBoth(world, step);
    await world.settle();
    await scheduleAll(world);
    expect(failures()).toBeGreaterThan(0);
    expect(Object.keys(world.boundTo('good'))).toHaveLength(2);
    expect(world.boundTo('bad')).toEqual({});
    expect(world.slotsOf('bad')).toEqual({});
    expect(world.stateOf('bad')).toBe('Invalid');
    expect(world.reasonOf('bad')).toMatch(
      /^set aside, because .* failed: "sabotaged"; .*tried again when it changes, or at /,
    );
    expect(world.overbooked()).toEqual([]);
    const logged = log.filter((line) => line.includes('handling a gang failed'));
    expect(logged, 'logged once').toHaveLength(1);
    expect(JSON.parse(logged[0]!)).toMatchObject({ level: 'error', gang: BAD, step });
    const { values } = await world.metrics.gangFaults.get();
    expect(values.find(({ labels }) => labels.step === step && labels.cause === 'error')?.value).toBeGreaterThan(0);
  });

  test.each(steps)('%s is over when it does not happen again: the gang starts', async (step, sabotage) => {
    const { world, repair } = await startSabotaged(sabotage);
    createBoth(world, step);
    await world.settle();
    await scheduleAll(world);
    expect(world.stateOf('bad')).toBe('Invalid');
    repair();
    await world.pass(11 * 60 * SECOND);
    await scheduleAll(world);
    if (step === 'admit') expect(world.stateOf('bad')).toBe('Unsatisfiable');
    else expect(Object.keys(world.boundTo('bad'))).toHaveLength(2);
    expect(world.overbooked()).toEqual([]);
  });

  test.each(steps)('%s at each start: Muster becomes ready, and the other gang starts', async (step, sabotage) => {
    const { world } = await startSabotaged(sabotage);
    createBoth(world, step);
    await world.restart();
    await scheduleAll(world);
    expect(Object.keys(world.boundTo('good'))).toHaveLength(2);
    expect(world.boundTo('bad')).toEqual({});
  });
});

describe('at a start', () => {
  type Trouble = (takes: () => void) => (ports: SchedulerPorts) => Partial<SchedulerPorts>;

  /** From when on the process reads what was recorded. */
  function whenReadingRecords({ view }: SchedulerPorts, act: () => void): SchedulerPorts['view'] {
    return proxyOf(view, 'preempted', (preempted) => () => {
      act();
      return preempted();
    });
  }

  const troubles: readonly (readonly [string, Trouble])[] = [
    [
      'reading its slots',
      (takes) => (ports) => {
        let isReading = false;
        const isRead = (pod: object) =>
          new Proxy(pod, {
            get: (target, name) => {
              if (name === 'annotations' && isReading) {
                // Once: what is set aside is read as well.
                isReading = false;
                takes();
              }
              return Reflect.get(target, name) as unknown;
            },
          });
        const view = whenReadingRecords(ports, () => {
          isReading = true;
        });
        return {
          view: proxyOf(view, 'sourcesOf', (sourcesOf) => (key) => {
            const sources = sourcesOf(key);
            return key === BAD
              ? { ...sources, pods: sources.pods.map((each) => isRead(each) as typeof each) }
              : sources;
          }),
        };
      },
    ],
    [
      'finding its victims',
      (takes) => (ports) => {
        let isReading = false;
        const { settings } = ports;
        const isAccelerator = (name: string) => {
          if (name === BAD_RESOURCE && isReading) takes();
          return settings.policy.isAccelerator(name);
        };
        return {
          settings: { ...settings, policy: { ...settings.policy, isAccelerator } },
          view: whenReadingRecords(ports, () => {
            isReading = true;
          }),
        };
      },
    ],
  ];

  const ways = ['fails', 'takes too long'] as const;

  test.each(troubles.flatMap(([what, trouble]) => ways.map((how) => [what, how, trouble] as const)))(
    '%s %s: this costs its gang, and others keep their slots',
    async (_, how, trouble) => {
      let [isOn, computed] = [false, 0];
      const world: World = await startWorld({
        nodes: 4,
        metrics: new Metrics(),
        changePorts: (ports) => ({
          ...ports,
          clock: { ...ports.clock, computed: () => computed },
          ...trouble(() => {
            if (!isOn) return;
            if (how === 'fails') throw new Error('sabotaged');
            computed += 1_500;
            world.freeze(1_500);
          })(ports),
        }),
      });
      for (const node of ['n0', 'n1', 'n2', 'n3']) {
        world.cluster.update('Node', node, ({ status, metadata }) => {
          status.allocatable[BAD_RESOURCE] = '1';
          metadata.labels = { ...metadata.labels, ...badSpec.nodeSelector };
        });
      }
      world.running('old', ['n0', 'n1'], { graceSeconds: 600 });
      world.create(gang('good', 2, { priority: 20 }));
      await world.settle();
      world.create(gang('bad', 2, { priority: 9, spec: badSpec }));
      await world.settle();
      expect([world.stateOf('bad'), world.stateOf('good')]).toEqual(['Preempting', 'Nominated']);
      const before = world.slotsOf('good');
      isOn = true;
      await world.restart();
      expect(world.stateOf('bad')).toBe('Invalid');
      expect(world.slotsOf('bad')).toEqual({});
      expect(world.slotsOf('good')).toEqual(before);
      isOn = false;
      await scheduleAll(world);
      expect(Object.keys(world.boundTo('good'))).toHaveLength(2);
      expect(world.overbooked()).toEqual([]);
    },
  );
});

test('an exception while a reason is told costs its gang, which starts later', async () => {
  const { world, failures } = await startSabotaged(failingObserver('onReason'));
  createBoth(world, 'publish');
  await world.settle();
  expect(failures()).toBeGreaterThan(0);
  expect(world.stateOf('bad')).toBe('Invalid');
  await scheduleAll(world);
  expect(Object.keys(world.boundTo('good'))).toHaveLength(2);
  await world.pass(11 * 60 * SECOND);
  await scheduleAll(world);
  expect(Object.keys(world.boundTo('bad'))).toHaveLength(2);
});

test('users are told by an Event, and metrics count the state', async () => {
  const { world } = await startSabotaged(failingObserver('onPlanned'));
  world.create(gang('bad', 2));
  await world.settle();
  await world.pass(SECOND);
  expect(world.told.filter((text) => text.startsWith('GangInvalid: gang default/bad: set aside'))).not.toEqual([]);
  const { values } = await world.metrics.gangs.get();
  expect(values.find(({ labels }) => labels.state === 'Invalid')?.value).toBe(1);
});

test('a filter call for a member that is set aside gets a stable reason', async () => {
  const { world } = await startSabotaged(failingObserver('onPlanned'));
  world.create(gang('bad', 2));
  await world.settle();
  const answer = await world.filter('bad-0');
  expect(JSON.stringify(answer)).toMatch(/gang default\/bad cannot start: set aside, because planning failed/);
});

test('a gang that runs goes on, keeps its capacity, and is tried again', async () => {
  const { world, repair } = await startSabotaged(steps[0]![1]);
  world.running('bad', ['n0', 'n1']);
  world.create(gang('good', 7));
  await world.settle();
  await scheduleAll(world);
  expect(world.stateOf('bad')).toBe('Invalid');
  expect(world.boundTo('bad')).toEqual({ 'bad-0': 'n0', 'bad-1': 'n1' });
  expect(world.boundTo('good'), 'its nodes are not free').toEqual({});
  expect(world.evictions()).toEqual([]);
  repair();
  await world.pass(11 * 60 * SECOND);
  expect(world.stateOf('bad')).toBe('Running');
});

test('slots that were written are taken back when the gang is set aside, and others get them', async () => {
  const { world } = await startSabotaged(failingObserver('onRefused'), { nodes: 2 });
  world.create(gang('bad', 2));
  await world.settle();
  expect(Object.keys(world.nominations('bad'))).toHaveLength(2);
  // kube-scheduler refuses the node: learning that fails.
  await world.filter('bad-0', ['n9']);
  world.create(gang('good', 2));
  await world.settle();
  expect(world.nominations('bad')).toEqual({});
  await scheduleAll(world);
  expect(Object.keys(world.boundTo('good'))).toHaveLength(2);
  expect(world.overbooked()).toEqual([]);
});

test('an exception when a barrier times out costs its gang', async () => {
  const { world } = await startSabotaged(failingObserver('onReleased'), { nodes: 4 });
  world.create(gang('bad', 2));
  await world.settle();
  const call = world.bind('bad-0');
  await world.settle();
  await world.pass(30 * SECOND);
  expect(call.verdict).toMatch(/did not arrive in time/);
  world.create(gang('good', 2));
  await scheduleAll(world);
  expect(Object.keys(world.boundTo('good'))).toHaveLength(2);
});

test('a gang that fails again and again is tried ever more rarely, but never given up', async () => {
  const { world, failures } = await startSabotaged(failingObserver('onPlanned'));
  world.create(gang('bad', 2));
  await world.settle();
  await world.pass(5 * SECOND);
  const inFive = failures();
  await world.pass(3_600 * SECOND);
  const inAnHour = failures() - inFive;
  expect(inAnHour).toBeGreaterThan(4);
  expect(inAnHour).toBeLessThan(40);
  await world.pass(3_600 * SECOND);
  expect(failures() - inFive - inAnHour).toBeGreaterThan(2);
});

describe('the time budget', () => {
  /** Planning the gang takes so long. */
  async function startSlow(ms: number, plan: 'placed' | 'unschedulable', computedMs = ms) {
    const log: string[] = [];
    let plans = 0;
    const world: World = await startWorld({
      nodes: plan === 'placed' ? 8 : 1,
      metrics: new Metrics(),
      write: (line) => void log.push(line),
      changePorts: (ports) => ({
        ...ports,
        clock: { ...ports.clock, computed: () => plans * computedMs },
        observer: proxyOf(ports.observer, 'onPlanned', (onPlanned) => (key, ...rest) => {
          if (key === BAD) {
            plans++;
            world.freeze(ms);
          }
          onPlanned(key, ...rest);
        }),
      }),
    });
    return { world, log, plans: () => plans };
  }

  test('a gang that exceeds it is set aside, says what took long, and others start', async () => {
    const { world, log } = await startSlow(1_500, 'unschedulable');
    world.create(
      gang('bad', 2, { priority: 10, spec: { nodeSelector: { 'kubernetes.io/os': 'none' } } }),
      gang('good', 1),
    );
    await world.settle();
    expect(world.stateOf('bad')).toBe('Invalid');
    expect(world.reasonOf('bad')).toMatch(
      /^set aside, because planning took too long: expected all of it within 1s \(gang\.timeBudget\), found 1500ms; /,
    );
    await scheduleAll(world);
    expect(Object.keys(world.boundTo('good'))).toHaveLength(1);
    expect(log.filter((line) => line.includes('a gang took too long'))).toHaveLength(1);
    const { values } = await world.metrics.gangFaults.get();
    expect(values.find(({ labels }) => labels.cause === 'time' && labels.step === 'plan')?.value).toBe(1);
  });

  test('it is tried again, each time later, and takes a twentieth of the time at most', async () => {
    const { world, plans } = await startSlow(1_500, 'unschedulable');
    world.create(gang('bad', 2));
    await world.settle();
    for (let i = 0; i < 600; i++) {
      // Whatever its user changes.
      world.cluster.update('Pod', 'default/bad-0', ({ metadata }) => {
        metadata.labels = { ...metadata.labels, turn: String(i) };
      });
      await world.pass(SECOND);
    }
    expect(plans()).toBeGreaterThan(3);
    expect(plans() * 1_500).toBeLessThan(600 * SECOND * 0.06);
  });

  test('a process that was frozen meanwhile has not worked for the gang', async () => {
    const { world } = await startSlow(30_000, 'unschedulable', 10);
    world.create(gang('bad', 2));
    await world.settle();
    expect(world.stateOf('bad')).toBe('Unsatisfiable');
  });

  test('a gang that got its places is not set aside for the time that this took', async () => {
    const { world } = await startSlow(1_500, 'placed');
    world.create(gang('bad', 2));
    await world.settle();
    expect(world.stateOf('bad')).toBe('Nominated');
    await scheduleAll(world);
    expect(Object.keys(world.boundTo('bad'))).toHaveLength(2);
  });

  test('what all gangs use is charged to nobody, whoever comes first and however it is nested', () => {
    let now = 0;
    const takes = (ms: number) => {
      now += ms;
    };
    const faults: FaultReport[] = [];
    const isolation = new Isolation({
      clock: { now: () => now },
      budgetMs: 1_000,
      onFault: (report) => void faults.push(report),
      setAside: () => {},
      hasPlaces: () => false,
    });
    isolation.begin(now);
    isolation.run('first', 'preempt', () => {
      takes(300);
      isolation.shared(() => {
        takes(2_000);
        isolation.shared(() => takes(2_000));
      });
      takes(300);
    });
    expect(faults).toEqual([]);
    isolation.run('first', 'preempt', () => takes(500));
    expect(faults).toMatchObject([{ subject: 'first', cause: 'time', detail: 1_100 }]);
  });

  /** As the budget test above, but what takes long is something that all gangs use. */
  async function startWithSlow(change: (ports: SchedulerPorts, takesLong: () => void) => Partial<SchedulerPorts>) {
    let computed = 0;
    const world: World = await startWorld({
      nodes: 2,
      changePorts: (ports) => ({
        ...ports,
        clock: { ...ports.clock, computed: () => computed },
        ...change(ports, () => {
          computed += 1_500;
          world.freeze(1_500);
        }),
      }),
    });
    return { world, computed: () => computed };
  }

  test('the first to look at nodes that have changed does not pay for all', async () => {
    let seen = Number.POSITIVE_INFINITY; // Not yet.
    const { world, computed } = await startWithSlow(({ view }, takesLong) => ({
      view: proxyOf(view, 'snapshot', (snapshot) => () => {
        if (view.generation > seen) takesLong();
        seen = Math.max(seen, view.generation);
        return snapshot();
      }),
    }));
    const annotations = { 'muster.dev/topology-required': 'host' };
    world.create(gang('nominated', 2, { gpus: 4, annotations }));
    await world.settle();
    seen = 0;
    world.cluster.update('Node', 'n0', ({ metadata }) => {
      metadata.labels = { ...metadata.labels, 'topology.kubernetes.io/zone': 'other' };
    });
    await world.settle();
    expect(computed()).toBeGreaterThan(1_000);
    expect(world.stateOf('nominated')).toBe('Nominated');
  });

  test('the first to ask when others end does not pay for all', async () => {
    let isAsking = false;
    const slow = 'example.com/slow';
    const { world, computed } = await startWithSlow(({ settings, observer }, takesLong) => ({
      settings: {
        ...settings,
        policy: {
          ...settings.policy,
          isAccelerator: (name: string) => {
            if (name === slow && isAsking) takesLong();
            return settings.policy.isAccelerator(name);
          },
        },
      },
      // Between the plan that found no room and the end of the cycle.
      observer: proxyOf(
        proxyOf(observer, 'onPlanned', (onPlanned) => (key, ...rest) => {
          isAsking = key === 'default/late';
          onPlanned(key, ...rest);
        }),
        'onCycle',
        (onCycle) => (report) => {
          isAsking = false;
          onCycle(report);
        },
      ),
    }));
    const requests = { [slow]: '1', 'nvidia.com/gpu': '8' };
    const spec = { containers: [{ name: 'main', resources: { requests, limits: requests } }] };
    world.create([pod('lone', { priority: 100, nodeName: 'n0', spec })]);
    world.running('busy', ['n1'], { priority: 0 });
    // Without places in the end: those excuse any time.
    world.create(gang('late', 2, { priority: 10 }));
    await world.settle();
    expect(computed()).toBeGreaterThan(1_000);
    expect(world.stateOf('late')).toBe('Pending');
  });

  test.each(['wait', 'run and lack members'])(
    'many gangs that %s and exceed it do not do so in one cycle',
    async (how) => {
      let [planned, most] = [0, 0];
      const world: World = await startWorld({
        nodes: 4,
        metrics: new Metrics(),
        write: () => {},
        changePorts: (ports) => ({
          ...ports,
          clock: { ...ports.clock, computed: () => planned * 1_500 },
          observer: proxyOf(
            proxyOf(ports.observer, 'onPlanned', (onPlanned) => (...args) => {
              planned++;
              world.freeze(1_500);
              onPlanned(...args);
            }),
            'onCycle',
            (onCycle) => (report) => {
              most = Math.max(most, report.seconds);
              onCycle(report);
            },
          ),
        }),
      });
      for (let i = 0; i < 4; i++) {
        // Of different shapes: one that finds no room does not speak for the others.
        const spec = { nodeSelector: { 'kubernetes.io/os': `none-${i}` } };
        if (how === 'wait') world.create(gang(`bad${i}`, 2, { spec }));
        else {
          world.running(`bad${i}`, [`n${i}`], { min: 1, gpus: 1 });
          world.create(gang(`bad${i}`, 2, { min: 1, from: 1, spec }));
        }
      }
      await world.settle();
      for (let i = 0; i < 8; i++) await world.pass(SECOND);
      expect(planned).toBeGreaterThanOrEqual(4);
      expect(most).toBeLessThan(2 * 1.6);
    },
  );
});
