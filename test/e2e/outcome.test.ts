import type { V1Pod } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import type { GangItem } from '../../src/http/inspect/gangs.ts';
import { describeOutcome } from './outcome.ts';

function ofJob(name: string, nodeName?: string): V1Pod {
  const scheduled = { type: 'PodScheduled', status: nodeName ? 'True' : 'False', reason: 'SchedulingGated' };
  return {
    metadata: { name, ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'u' }] },
    spec: { containers: [], ...(nodeName ? { nodeName } : { schedulingGates: [{ name: 'muster.dev/gang' }] }) },
    status: { phase: nodeName ? 'Running' : 'Pending', conditions: [scheduled] },
  };
}

test('names that chance made and the choice among equal nodes do not show', () => {
  const one = describeOutcome([ofJob('train-0-abcde', 'node-3'), ofJob('train-1-fghij', 'node-5')], []);
  const other = describeOutcome([ofJob('train-0-vwxyz', 'node-5'), ofJob('train-1-stuvw', 'node-0')], []);
  expect(other).toBe(one);
  expect(one.split('\n')).toEqual([
    'pods of Job train: 1 a node on 2 nodes',
    'pods of Job train: 2 bound, Running, scheduled',
  ]);
});

test('how many are bound, what holds the others, and how many share a node do', () => {
  const apart = describeOutcome([ofJob('train-0-a', 'node-0'), ofJob('train-1-b', 'node-1')], []);
  const together = describeOutcome([ofJob('train-0-a', 'node-0'), ofJob('train-1-b', 'node-0')], []);
  const half = describeOutcome([ofJob('train-0-a', 'node-0'), ofJob('train-1-b')], []);
  expect(new Set([apart, together, half]).size).toBe(3);
  expect(half).toContain('1 not bound, Pending, not scheduled (SchedulingGated), held by muster.dev/gang');
});

test('which of the rivals that differ by a number alone won does not show, and how each of them ended does', () => {
  const member = (name: string): V1Pod => ({ ...ofJob(name, 'node-0'), metadata: { name } });
  const gang = (name: string, state: 'Running' | 'Pending') =>
    ({ metadata: { name }, status: { state, bound: 1, reason: '' } }) as GangItem;
  const outcome = (winner: string, loser: string) =>
    describeOutcome(
      [member(`${winner}-0`), ofJob(`${loser}-0-abcde`)],
      [gang(winner, 'Running'), gang(loser, 'Pending')],
    );
  expect(outcome('rival-1', 'rival-2')).toBe(outcome('rival-2', 'rival-1'));
  expect(outcome('rival-1', 'rival-2').split('\n').slice(0, 2)).toEqual([
    'gang rival-*: Pending, 1 bound',
    'gang rival-*: Running, 1 bound',
  ]);
});
