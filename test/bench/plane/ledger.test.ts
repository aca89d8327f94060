import type { V1Pod } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { type ExpectedGang, Ledger } from '../../../bench/plane/ledger.ts';

const LIMIT = { queue: 'capped', resource: 'nvidia.com/gpu', limit: 12 };

/** A gang `g` of three, and nodes of eight GPUs; each pod asks for four unless it says otherwise. */
function judge(gang: Partial<ExpectedGang> = {}) {
  const ledger = new Ledger({ allocatable: new Map([['nvidia.com/gpu', 8]]), limits: [LIMIT] });
  ledger.expect({ name: 'g', min: 3, completions: 3, ...gang });
  let time = 0;
  const say = (rank: number, state: State, type = 'MODIFIED') => ledger.apply(type, podOf(rank, state), time++);
  return {
    ledger,
    say,
    create: (...ranks: readonly number[]) => {
      for (const rank of ranks) say(rank, {}, 'ADDED');
    },
    kinds: () => ledger.violations.map(({ kind }) => kind),
  };
}

const isBooking = (kind: string) => kind === 'double booking';

interface State {
  readonly node?: string;
  readonly phase?: string;
  readonly leaves?: boolean;
  readonly gated?: boolean;
  readonly queue?: string;
  readonly gpus?: number;
}

function podOf(rank: number, { node, phase = 'Pending', leaves, gated, queue, gpus = 4 }: State): V1Pod {
  const labels = { 'muster.dev/pod-group': 'g', ...(queue && { 'muster.dev/queue': queue }) };
  return {
    metadata: {
      name: `g-${rank}`,
      uid: `uid-${rank}`,
      labels,
      ...(leaves && { deletionTimestamp: new Date(0) }),
    },
    spec: {
      containers: [{ name: 'main', resources: { requests: { 'nvidia.com/gpu': String(gpus), memory: '1Gi' } } }],
      ...(node && { nodeName: node }),
      ...(gated && { schedulingGates: [{ name: 'muster.dev/gang' }] }),
    },
    status: { phase },
  };
}

describe('a gang is partial', () => {
  test('when some members were bound and left before its minimum was bound', () => {
    const { say, create, kinds } = judge();
    create(0, 1, 2);
    say(0, { node: 'a' });
    say(1, { node: 'a' });
    say(0, {}, 'DELETED');
    expect(kinds()).toEqual([]);
    say(1, {}, 'DELETED');
    expect(kinds()).toEqual(['partial gang']);
  });

  test('when the run ends before its minimum was bound', () => {
    const { ledger, say, create, kinds } = judge();
    create(0, 1, 2);
    say(0, { node: 'a' });
    ledger.close();
    expect(kinds()).toEqual(['partial gang']);
  });

  test('when its first member is bound while another one still has the gate', () => {
    const { say, create, kinds } = judge();
    create(0, 1);
    say(2, { gated: true }, 'ADDED');
    say(0, { node: 'a' });
    expect(kinds()).toEqual(['partial gang']);
  });

  test('when it starts for the second time, in part', () => {
    const { ledger, say, create, kinds } = judge();
    create(0, 1, 2);
    for (const rank of [0, 1, 2]) say(rank, { node: `n${rank}` });
    for (const rank of [0, 1, 2]) say(rank, { node: `n${rank}`, leaves: true });
    expect(kinds()).toEqual([]);
    create(3, 4, 5);
    say(3, { node: 'b' });
    ledger.close();
    expect(kinds()).toEqual(['partial gang']);
  });
});

test('members that finish before the others are bound are told apart', () => {
  const { ledger, say, create, kinds } = judge();
  create(0, 1, 2);
  say(0, { node: 'a' });
  say(0, { node: 'a', phase: 'Succeeded' });
  expect(kinds()).toEqual([]);
  expect(ledger.overtaken).toMatchObject([{ gang: 'g', from: 3, to: 4 }]);
});

describe('a gang is not partial', () => {
  test('when all were bound one after the other, and then lost one', () => {
    const { ledger, say, create, kinds } = judge();
    create(0, 1, 2);
    for (const rank of [0, 1, 2]) say(rank, { node: `n${rank}` });
    say(1, {}, 'DELETED');
    ledger.close();
    expect(kinds()).toEqual([]);
    expect(ledger.takeStarts()).toEqual([{ gang: 'g', at: 5, tookMs: 2 }]);
  });

  test('when its user deleted it in between', () => {
    const { ledger, say, create, kinds } = judge();
    create(0, 1, 2);
    say(0, { node: 'a' });
    ledger.excuse('g');
    say(0, {}, 'DELETED');
    expect(kinds()).toEqual([]);
  });

  test('when only those are bound again that have not succeeded', () => {
    const { ledger, say, create, kinds } = judge();
    create(0, 1, 2);
    for (const rank of [0, 1, 2]) say(rank, { node: `n${rank}` });
    say(0, { node: 'n0', phase: 'Succeeded' });
    for (const rank of [1, 2]) say(rank, { node: `n${rank}`, phase: 'Failed' });
    create(3, 4);
    for (const rank of [3, 4]) say(rank, { node: `n${rank}` });
    ledger.close();
    expect(kinds()).toEqual([]);
    for (const rank of [3, 4]) say(rank, { node: `n${rank}`, phase: 'Succeeded' });
    expect(ledger.isDone('g')).toBe(true);
  });
});

describe('capacity', () => {
  test('a node is booked twice when the pods on it request more than it has', () => {
    const { say, create, kinds } = judge();
    create(0, 1, 2);
    say(0, { node: 'a' });
    say(1, { node: 'a' });
    expect(kinds()).toEqual([]);
    say(2, { node: 'a' });
    expect(kinds()).toEqual(['double booking']);
  });

  test('a pod that was asked to leave still counts, one that has ended or is gone does not', () => {
    const { say, create, kinds } = judge();
    create(0, 1, 2);
    for (const rank of [0, 1]) say(rank, { node: 'a' });
    say(0, { node: 'a', leaves: true });
    say(2, { node: 'a' });
    expect(kinds().filter(isBooking)).toEqual(['double booking']);
    say(2, { node: 'a', phase: 'Failed' });
    say(1, {}, 'DELETED');
    create(3);
    say(3, { node: 'a' });
    expect(kinds().filter(isBooking)).toEqual(['double booking']);
  });

  test('a queue is above its limit when its bound pods request more', () => {
    const { say, kinds } = judge();
    for (const rank of [0, 1]) say(rank, { node: `n${rank}`, queue: 'capped', gpus: 6 });
    expect(kinds().filter((kind) => kind === 'quota')).toEqual([]);
    say(2, { node: 'n2', queue: 'capped', gpus: 1 });
    expect(kinds().filter((kind) => kind === 'quota')).toEqual(['quota']);
  });

  test('after a gap in the history, what is missing has gone', () => {
    const { ledger, say, create, kinds } = judge();
    create(0, 1, 2);
    for (const rank of [0, 1, 2]) say(rank, { node: 'n0', gpus: 2 });
    ledger.replace([podOf(0, { node: 'n0', gpus: 2 }), podOf(7, { node: 'n0', gpus: 6 })], 9);
    expect(kinds()).toEqual([]);
    expect(ledger.size).toBe(2);
  });
});

test('a required level is crossed when staying members are in two domains', () => {
  const { say, create, kinds } = judge({ domainOf: (node) => node.slice(0, 1) });
  create(0, 1, 2);
  say(0, { node: 'a1' });
  say(1, { node: 'a2' });
  expect(kinds()).toEqual([]);
  say(2, { node: 'b1' });
  expect(kinds()).toEqual(['crossed level']);
});

test('what waits in vain and still has a place is told by name', () => {
  const { ledger, create } = judge();
  create(0);
  const { metadata, ...rest } = podOf(1, {});
  ledger.apply('ADDED', { ...rest, metadata: { ...metadata, annotations: { 'muster.dev/plan': 'x' } } }, 0);
  expect(ledger.listHeld(['g'])).toEqual(['g-1']);
});
