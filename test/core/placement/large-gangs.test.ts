/** Gangs with more members than a call may have arguments. Whoever spreads a list of members into a call ends the plan. */
import { expect, test } from 'vitest';
import { aGang, members, plan } from '../../support/gangs.ts';
import { drawSnapshot } from '../../support/topology.ts';

const MANY = 130_000;
/** `n1` takes so many members of one GPU. */
const ROOMY = { gpus: MANY, pods: MANY, cpu: MANY, memory: MANY };

test('in slices of which one is as large', () => {
  const snapshot = drawSnapshot(`rack-1: n1[${MANY}/${MANY}]\nrack-2: n2[8]`, { nodes: { n1: ROOMY } });
  const gang = aGang(members(MANY + 8, { gpus: 1 }), { topology: { slice: { size: MANY, level: 'rack' } } });
  const result = plan(snapshot, gang);
  expect([result.kind, result.kind === 'placed' && result.slots.length]).toEqual(['placed', MANY + 8]);
});

test('of two roles, of which the larger one does not fit whole', () => {
  const snapshot = drawSnapshot(`rack-1: n1[${MANY}/${MANY}]`, { nodes: { n1: ROOMY } });
  const all = [...members(1, { name: 'launcher', gpus: 2 }), ...members(MANY, { gpus: 1 })];
  const gang = aGang(
    all.map((member, rank) => ({ ...member, rank })),
    { min: 2 },
  );
  const result = plan(snapshot, gang);
  expect([result.kind, result.kind === 'placed' && result.slots.length]).toEqual(['placed', MANY - 1]);
});
