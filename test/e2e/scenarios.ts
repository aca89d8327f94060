/**
 * Scenarios run on two control planes at a time: on the real one, and on the embedded one that Muster has for its demo.
 * The latter has to come to the same outcome. Where they differ, it is wrong.
 */
import { afterAll, afterEach, beforeAll, describe, expect, type RunnerTestCase, test } from 'vitest';
import { startEmbeddedCluster } from './cluster/embedded.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { settledOutcome } from './outcome.ts';
import { type StartCluster, startWorld, type World, type WorldOptions } from './world.ts';

type Body = (world: World) => Promise<void>;

/** Registers one scenario. It begins with an empty cluster and a Muster, and has to leave a Muster that runs. */
export interface Scenario {
  (name: string, body: Body, timeoutMs?: number): void;
  /** One that the embedded control plane cannot express, and why. */
  realOnly(why: string, name: string, body: Body, timeoutMs?: number): void;
}

/** What the scenarios of a file have in common. */
export interface ScenarioOptions extends WorldOptions {
  /** Each of them takes all of the machine, so the two control planes do not run at the same time. */
  readonly apart?: boolean;
}

/**
 * Registers scenarios, which follow each other on one cluster of each kind. `define` is called once for each kind; it
 * must not use `describe`, as suites beside each other run at the same time here.
 * `-t embedded` runs them on the embedded control plane only, which needs nothing built; nothing is compared then.
 */
export function scenarios(title: string, options: ScenarioOptions, define: (scenario: Scenario) => void): void {
  const realTitle = `${title} (real)`;
  /** What each scenario came to on the real control plane; undefined when it failed there. */
  const outcomes = new Map<string, PromiseWithResolvers<string | undefined>>();

  suite(realTitle, borrowControlPlane, options, (run) => {
    const scenario = (name: string, body: Body, timeoutMs?: number) => {
      if (outcomes.has(name)) throw new Error(`expected each scenario to have a name of its own, got twice: ${name}`);
      outcomes.set(name, Promise.withResolvers());
      run(name, timeoutMs, async (world) => {
        await body(world);
        outcomes.get(name)?.resolve(await settledOutcome(world));
      });
    };
    // Whoever waits for an outcome must hear of a failure, that of the cluster's start included.
    afterEach(({ task }) => outcomes.get(task.name)?.resolve(undefined));
    afterAll(() => outcomes.forEach(({ resolve }) => void resolve(undefined)));
    const realOnly: Scenario['realOnly'] = (_why, name, body, timeoutMs) => run(name, timeoutMs, body);
    define(Object.assign(scenario, { realOnly }));
  });

  suite(`${title} (embedded)`, startEmbeddedCluster, options, (run) => {
    let uncompared = 0;
    afterAll(() => {
      if (uncompared > 0) console.info(`${title}: ${uncompared} outcomes compared with none on the real control plane`);
    });
    const scenario = (name: string, body: Body, timeoutMs?: number) =>
      run(name, timeoutMs, async (world, task) => {
        await body(world);
        const outcome = await settledOutcome(world);
        const expected = isSelected(task, realTitle) ? await outcomes.get(name)?.promise : undefined;
        if (expected === undefined) uncompared++;
        else expect(outcome, 'as on the real control plane').toBe(expected);
      });
    const realOnly: Scenario['realOnly'] = (why, name) => test.skip(`${name} (${why})`);
    define(Object.assign(scenario, { realOnly }));
  });
}

type Run = (
  name: string,
  timeoutMs: number | undefined,
  body: (world: World, task: RunnerTestCase) => Promise<void>,
) => void;

/** How much of Muster's log is shown with a failure. */
const LOG_LINES = 80;

/** A suite that runs beside the other one of its file, its own tests one after the other. */
function suite(
  title: string,
  start: StartCluster,
  { apart = false, ...options }: ScenarioOptions,
  define: (run: Run) => void,
): void {
  describe(title, { concurrent: !apart }, () => {
    let world: World | undefined;
    beforeAll(async () => {
      world = await startWorld(options, start);
    });
    afterEach(async ({ task }) => {
      // What a failure on another machine can be read from; the reset would go on writing.
      if (task.result?.state === 'fail' && world !== undefined)
        console.error(`${task.name}: Muster's log ends with:\n${world.muster.tail(LOG_LINES)}`);
      await world?.cluster.reset();
    });
    afterAll(() => world?.stop());
    define((name, timeout, body) => {
      test(name, { concurrent: false, ...(timeout !== undefined && { timeout }) }, async ({ task }) => {
        if (world === undefined) throw new Error('expected a cluster that has started');
        await body(world, task);
      });
    });
  });
}

/** Whether the same scenario is to run in the other suite as well. */
function isSelected({ file, name }: RunnerTestCase, title: string): boolean {
  const other = file.tasks.find((task) => task.type === 'suite' && task.name === title);
  const same = other?.type === 'suite' && other.tasks.find((task) => task.name === name);
  return same !== undefined && same !== false && same.mode !== 'skip';
}
