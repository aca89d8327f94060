import { describe, expect, test } from 'vitest';
import type { WriteOutcome } from '../../../src/core/objects/write-outcome.ts';
import type { GateSwitch } from '../../../src/gang/framework/ports.ts';
import { GateKeeper } from '../../../src/gang/write/gate-keeper.ts';
import { gang, SECOND, startWorld } from '../../support/scenario.ts';

/** A world whose admission policy can be told. */
async function start(nodes: number, mode: GateSwitch['mode'] = 'auto', answer: WriteOutcome = { kind: 'ok' }) {
  const told: { readonly isOn: boolean; readonly reason: string }[] = [];
  const gates: GateSwitch = {
    mode,
    set: async (isOn, reason) => {
      told.push({ isOn, reason });
      return answer;
    },
  };
  const world = await startWorld({ nodes, changePorts: (ports) => ({ ...ports, gates }) });
  return { world, told };
}

const values = (told: readonly { readonly isOn: boolean }[]) => told.map(({ isOn }) => isOn);

describe('a member that is created now', () => {
  test('gets the gate as the policy is told', async () => {
    const { world, told } = await start(4);
    const { isGating } = world.muster;
    world.running('old', ['n3']);
    expect(isGating()).toBe(told.at(-1)?.isOn);
    world.create(gang('a', 4));
    await world.settle();
    expect(isGating()).toBe(true);
    world.delete('old-0');
    await world.settle();
    await world.schedule();
    await world.pass(12 * SECOND);
    expect(isGating()).toBe(false);
  });

  test.each(['always', 'never'] as const)('gets it %s', async (mode) => {
    const { world } = await start(4, mode);
    expect(world.muster.isGating()).toBe(mode === 'always');
  });

  test('gets it from a Muster that has looked at no gang yet: it only watches', () => {
    const gates: GateSwitch = { mode: 'auto', set: async () => ({ kind: 'ok' }) };
    const parts = { clock: { now: () => 0 } } as unknown as ConstructorParameters<typeof GateKeeper>[0];
    expect(new GateKeeper(parts, gates, { wake: () => {} }).isGating(0)).toBe(true);
  });
});

describe('members get the gate', () => {
  test('not while every gang starts', async () => {
    const { world, told } = await start(8);
    world.create(gang('a', 4), gang('b', 4));
    await world.settle();
    await world.schedule();
    await world.pass(SECOND);
    expect(told).toEqual([{ isOn: false, reason: 'nobody waits' }]);
  });

  test('as soon as a gang waits for room, and until ten seconds after it has it', async () => {
    const { world, told } = await start(4);
    world.running('old', ['n3']);
    world.create(gang('a', 4));
    await world.settle();
    expect(told.at(-1)).toEqual({ isOn: true, reason: 'gang default/a waits' });
    await world.pass(60 * SECOND);
    world.delete('old-0');
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
    await world.schedule();
    await world.pass(9 * SECOND);
    expect(values(told), 'once each').toEqual([false, true]);
    await world.pass(2 * SECOND);
    expect(values(told)).toEqual([false, true, false]);
  });

  test('not because of a gang that would not fit if nothing else ran, or that an operator holds', async () => {
    const { world, told } = await start(4);
    world.create(gang('large', 5), gang('held', 2, { annotations: { 'muster.dev/hold': 'true' } }));
    await world.pass(5 * SECOND);
    expect(world.stateOf('large')).toBe('Unsatisfiable');
    expect(values(told).at(-1)).toBe(false);
  });

  test('while many without it have no place: kube-scheduler tries them in vain', async () => {
    const { world, told } = await start(4);
    world.create(gang('gathers', 1_023, { min: 2_000 }));
    await world.pass(SECOND);
    expect(values(told)).toEqual([false]);
    world.create(gang('gathers', 1_024, { min: 2_000, from: 1_023 }));
    await world.pass(SECOND);
    expect(told.at(-1)).toEqual({ isOn: true, reason: '1024 members without a gate have no place' });
  });

  test('always or never if the configuration says so', async () => {
    for (const mode of ['always', 'never'] as const) {
      const { world, told } = await start(2, mode);
      world.create(gang('a', 2), gang('b', 2));
      await world.pass(60 * SECOND);
      expect(told).toEqual([{ isOn: mode === 'always', reason: `gang.gates: ${mode}` }]);
    }
  });
});

describe('the policy is told', () => {
  test('again every five minutes: somebody may have applied its manifest', async () => {
    const { world, told } = await start(2);
    await world.pass(601 * SECOND);
    expect(values(told)).toEqual([false, false, false]);
  });

  test('once a minute where it is not installed or refuses', async () => {
    for (const answer of [{ kind: 'gone' }, { kind: 'failed', status: 403, message: 'no' }] as const) {
      const { world, told } = await start(2, 'auto', answer);
      world.create(gang('a', 4));
      await world.pass(121 * SECOND);
      expect(told).toHaveLength(3);
    }
  });
});
