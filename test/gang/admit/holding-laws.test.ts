/**
 * What a gang holds is what its confirmed pods on existing nodes, its slots and its placeholders request, by the GPU models of these
 * nodes: after every event of every history, whatever was summed before.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Amounts } from '../../../src/core/queues/amounts.ts';
import { HoldingSums } from '../../../src/gang/admit/holding-sums.ts';
import type { GangRecord } from '../../../src/gang/state/records.ts';
import { GPU } from '../../support/builders.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { gang, SECOND, startWorld, type World } from '../../support/scenario.ts';

const NAMES = ['a', 'b', 'c'] as const;
const NODES = ['n0', 'n1', 'n2', 'later', 'never'] as const;
const MODELS = ['H100', 'A100', undefined] as const;
const PRODUCT = 'nvidia.com/gpu.product';

type Name = (typeof NAMES)[number];
type Model = (typeof MODELS)[number];

/** What happens to one of the pods. */
type PodEvent = { readonly which: number } & (
  | { readonly do: 'delete' | 'begin deletion' | 'fail' | 'succeed' }
  | { readonly do: 'move'; readonly to: Name }
  | { readonly do: 'bind'; readonly node: string; readonly isConfirmed: boolean }
);

type Event =
  | PodEvent
  | {
      readonly do: 'create';
      readonly name: Name;
      readonly size: number;
      readonly extras: number;
      readonly gpus: number;
      readonly on: string | undefined;
    }
  | { readonly do: 'node'; readonly node: string; readonly model: Model }
  | { readonly do: 'delete node'; readonly node: string }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'schedule' | 'restart' };

const aName = fc.constantFrom(...NAMES);
const aNode = fc.constantFrom('n0', 'n1', 'n2', 'later');
const aPod = fc.nat(11);

const anEvent: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('create' as const),
      name: aName,
      size: fc.integer({ min: 1, max: 4 }),
      extras: fc.nat(1),
      gpus: fc.constantFrom(1, 4),
      on: fc.constantFrom(undefined, undefined, undefined, ...NODES),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('delete' as const, 'begin deletion' as const, 'fail' as const, 'succeed' as const),
      which: aPod,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), which: aPod, to: aName }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('bind' as const),
      which: aPod,
      node: fc.constantFrom(...NODES),
      isConfirmed: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('node' as const), node: aNode, model: fc.constantFrom(...MODELS) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete node' as const), node: aNode }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(100, 20_000, 400_000) }) },
  { weight: 6, arbitrary: fc.constantFrom({ do: 'schedule' as const }, { do: 'schedule' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

async function apply(world: World, event: Event): Promise<void> {
  const { cluster } = world;
  const pods = cluster.list('Pod');
  switch (event.do) {
    case 'create': {
      const { name, size, extras, gpus, on } = event;
      if (pods.some(({ metadata }) => metadata.name.startsWith(name))) return;
      const created = gang(name, size + extras, { min: size, gpus, ...(on && { nodeName: on }) });
      world.create(on ? created.map((raw) => ({ ...raw, status: { phase: 'Running' } })) : created);
      return;
    }
    case 'node': {
      const labels = event.model === undefined ? {} : { [PRODUCT]: event.model };
      if (!cluster.list('Node').some(({ metadata }) => metadata.name === event.node))
        return world.addNode(event.node, { labels });
      return cluster.update('Node', event.node, ({ metadata }) => {
        metadata.labels = { 'kubernetes.io/hostname': event.node, ...labels };
      });
    }
    case 'delete node':
      if (cluster.list('Node').some(({ metadata }) => metadata.name === event.node)) cluster.delete('Node', event.node);
      return;
    case 'pass':
      await world.pass(event.ms);
      world.finishTerminations();
      return;
    case 'schedule':
      return world.schedule();
    case 'restart':
      return await world.restart();
    default:
      return change(world, event, pods[event.which % Math.max(1, pods.length)]);
  }
}

function change(world: World, event: PodEvent, raw: WireObject | undefined): void {
  if (!raw) return;
  const { name } = raw.metadata;
  const update = (write: (pod: WireObject) => void) => world.cluster.update('Pod', `default/${name}`, write);
  if (event.do === 'delete') world.delete(name);
  else if (event.do === 'begin deletion') world.beginDeletion(name);
  else if (event.do === 'fail') world.finish(name, 'Failed');
  else if (event.do === 'succeed') world.finish(name);
  else if (event.do === 'move')
    update(({ metadata }) => {
      metadata.labels = { ...metadata.labels, 'muster.dev/pod-group': event.to };
    });
  // Whoever may create bindings, such as another scheduler; without the condition, whoever creates a pod.
  else if (event.do === 'bind' && !raw.spec.nodeName)
    update(({ spec, status }) => {
      spec.nodeName = event.node;
      if (event.isConfirmed) status.conditions = [{ type: 'PodScheduled', status: 'True' }];
    });
}

/** GPUs, without dimensions of which there are none. */
function gpusIn(amounts: Amounts): Readonly<Record<string, number>> {
  return Object.fromEntries([...amounts].filter(([dimension, amount]) => dimension.startsWith(GPU) && amount !== 0));
}

/** Counted one by one, from the objects of the API server. */
function count(world: World, { gang: { name, key } }: GangRecord, withLeaving: boolean) {
  const { reservations } = world.muster;
  const modelOf = new Map(
    world.cluster.list('Node').map(({ metadata }) => [metadata.name, metadata.labels?.[PRODUCT] ?? '']),
  );
  const held: Record<string, number> = {};
  const add = (node: string, gpus: number) => {
    const model = modelOf.get(node);
    if (model === undefined) return;
    for (const dimension of model === '' ? [GPU] : [GPU, `${GPU} ${model}`])
      held[dimension] = (held[dimension] ?? 0) + gpus;
  };
  for (const { metadata, spec, status } of world.cluster.list('Pod')) {
    const isOver = status.phase === 'Failed' || status.phase === 'Succeeded';
    if (metadata.labels?.['muster.dev/pod-group'] !== name || !spec.nodeName || isOver) continue;
    if (status.phase !== 'Running' && status.conditions?.[0]?.status !== 'True') continue;
    if (!metadata.deletionTimestamp || withLeaving)
      add(spec.nodeName, Number(spec.containers[0].resources.requests[GPU]));
  }
  for (const { pod, node } of [...reservations.slotsOf(key), ...reservations.placeholdersOf(key)])
    add(node, pod.template.requests.find((request) => request.name === GPU)?.amount ?? 0);
  return held;
}

test('what gangs hold is what their confirmed pods on existing nodes and their slots request', async () => {
  let seen = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anEvent, { minLength: 10, maxLength: 40, size: 'max' }), async (events) => {
      const world = await startWorld({ nodes: 3 });
      const kept = () => {
        const { state: view, reservations } = world.muster;
        const policy = { isAccelerator: (resource: string) => resource === GPU, score: 'best-fit' as const };
        return new HoldingSums({ view, reservations, settings: { policy } });
      };
      let sums = kept();
      for (const event of events) {
        await apply(world, event);
        await world.settle();
        await world.pass(SECOND / 10);
        if (event.do === 'restart') sums = kept();
        for (const record of world.muster.view.gangs()) {
          const expected = count(world, record, true);
          const at = `${record.gang.name} after ${JSON.stringify(event)}`;
          expect(gpusIn(sums.of(record)), at).toEqual(expected);
          expect(gpusIn(world.muster.view.queues.holdingsOf(record)), at).toEqual(expected);
          expect(gpusIn(sums.ofMembers(record)), `members of ${at}`).toEqual(count(world, record, false));
          if (Object.keys(expected).length > 0) seen++;
        }
      }
      world.muster.kill();
    }),
    { numRuns: 40 },
  );
  expect(seen).toBeGreaterThan(0);
}, 60_000);
