/** An answer from another thread counts only if it holds on the cluster of now. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { PodModel } from '../../../src/core/objects/model.ts';
import { planGang } from '../../../src/core/placement/plan.ts';
import { Budgets } from '../../../src/core/preemption/budgets.ts';
import { listChoices } from '../../../src/core/preemption/candidates.ts';
import { confirmProposal } from '../../../src/core/reclaim/confirm-victims.ts';
import {
  findVictims,
  holdersOf,
  type Proposal,
  proposalOf,
  type VictimQuestion,
} from '../../../src/core/reclaim/victim-question.ts';
import { withoutPods } from '../../../src/core/snapshot/without-pods.ts';
import { NOW, PRIORITY, policy } from '../../support/preemption-worlds.ts';
import { printSnapshot } from '../../support/topology.ts';
import { storyArb, tellStory } from '../../support/victim-questions.ts';

vi.setConfig({ testTimeout: 120_000 });

describe('the answer to a question', () => {
  test('holds as long as nothing changes', () => {
    let confirmed = 0;
    fc.assert(
      fc.property(storyArb, (story) => {
        for (const question of tellStory(story)) {
          const plan = findVictims(question, policy);
          // Victims are asked for when there is no room.
          if (plan.kind === 'preempt' && hasRoom(question)) continue;
          const before = printSnapshot(question.snapshot);
          const now = confirmProposal(question, proposalOf(plan), policy);
          expect(now?.kind).toBe(plan.kind);
          if (now?.kind === 'preempt' && plan.kind === 'preempt') {
            confirmed++;
            expect(now.victims.map(({ key }) => key)).toEqual(plan.victims.map(({ key }) => key));
            expect(now.lostWork).toBe(plan.lostWork);
            expect(now.violations).toBe(plan.violations);
          }
          expect(printSnapshot(question.snapshot)).toBe(before);
        }
      }),
      { numRuns: 400 },
    );
    expect(confirmed).toBeGreaterThan(20);
  });

  test('holds later only if every victim is there, may be evicted, and makes room', () => {
    const seen = { confirmed: 0, stale: 0 };
    fc.assert(
      fc.property(storyArb, (story) => {
        let proposal: ReturnType<typeof proposalOf> | undefined;
        for (const question of tellStory(story)) {
          const now = proposal && confirmProposal(question, proposal, policy);
          if (proposal?.kind === 'preempt') {
            seen[now ? 'confirmed' : 'stale']++;
            if (now) expectAllThere(question, proposal);
            if (now?.kind === 'preempt') {
              expect(proposal.victims.map(({ key }) => key)).toEqual(
                expect.arrayContaining(now.victims.map(({ key }) => key)),
              );
              expectToHold(question, now);
            }
          }
          proposal = proposalOf(findVictims(question, policy));
        }
      }),
      { numRuns: 1_000 },
    );
    expect(seen.confirmed).toBeGreaterThan(10);
    expect(seen.stale).toBeGreaterThan(10);
  });
});

test('whatever it names, no queue loses what it is guaranteed by now', () => {
  let greedy = 0;
  fc.assert(
    fc.property(storyArb, (story) => {
      for (const question of tellStory(story)) {
        const holders = holdersOf(question, policy);
        if (!holders || question.isQuotaFull) continue;
        const { snapshot, gang, running, barred, budgets, now } = question;
        const { rights, immunityOf } = holders;
        const { isAccelerator } = policy;
        const query = { gang: gang.key, running, rights, immunityOf, barred, isAccelerator, now };
        const { choices } = listChoices(snapshot, query, new Budgets(budgets));
        const all = choices.flatMap(({ whole }) => whole?.unit ?? []);
        if (holders.listExcess(all).length === 0) continue;
        greedy++;
        const victims = all.map(({ pods, ...unit }) => ({ ...unit, uids: pods.map(({ uid }) => uid) }));
        expect(confirmProposal(question, { kind: 'preempt', victims }, policy)).toBeUndefined();
      }
    }),
    { numRuns: 600 },
  );
  expect(greedy).toBeGreaterThan(0);
});

test('what comes free is for nobody whose quota is full by now', () => {
  let placed = 0;
  fc.assert(
    fc.property(storyArb, (story) => {
      for (const question of tellStory(story)) {
        if (confirmProposal({ ...question, isQuotaFull: false }, { kind: 'coming' }, policy)) placed++;
        expect(confirmProposal({ ...question, isQuotaFull: true }, { kind: 'coming' }, policy)).toBeUndefined();
      }
    }),
    { numRuns: 100 },
  );
  expect(placed).toBeGreaterThan(0);
});

/** A proposal of which a part is history says nothing about the cluster of now, even if the rest makes room. */
function expectAllThere(
  { snapshot, running }: VictimQuestion,
  { victims }: Extract<Proposal, { kind: 'preempt' }>,
): void {
  const pods = [...snapshot.byName.flatMap((row) => snapshot.podsOn[row]!), ...running.flatMap(({ bound }) => bound)];
  const bound = new Set(pods.map(({ uid }) => uid as string));
  for (const uid of victims.flatMap(({ uids }) => uids)) expect(bound, 'a victim that is there').toContain(uid);
}

function expectToHold(
  question: VictimQuestion,
  { victims, slots }: Extract<ReturnType<typeof findVictims>, { kind: 'preempt' }>,
): void {
  const { snapshot, gang, barred } = question;
  const pods = victims.flatMap((unit) => unit.pods);
  const rights = holdersOf(question, policy)?.rights;
  for (const pod of pods) {
    const row = snapshot.indexOf.get(pod.nodeName);
    if (row !== undefined) expect(snapshot.podsOn[row]).toContain(pod);
    expect(rights ? rights(pod) : pod.priority < PRIORITY ? 'may' : 'never').toBe('may');
  }
  expect(holdersOf(question, policy)?.listExcess(victims) ?? [], 'every queue keeps its guarantee').toEqual([]);
  expect(victims.some(({ key }) => barred.has(key))).toBe(false);
  expect(placesWithout(question, pods)).toBe(true);
  expect(slots.length).toBeGreaterThanOrEqual(gang.min);
  for (const { node } of slots) expect(snapshot.indexOf.has(node)).toBe(true);
}

/** Whether the gang has a place although nobody is evicted. */
function hasRoom(question: VictimQuestion): boolean {
  return placesWithout(question, []);
}

/** Pods that are leaving anyway do not count. */
function placesWithout({ snapshot, gang }: VictimQuestion, pods: readonly PodModel[]): boolean {
  const leaving = snapshot.byName.flatMap((row) => snapshot.podsOn[row]!.filter(({ deleting }) => deleting));
  const view = withoutPods(snapshot, [...pods, ...leaving]);
  return planGang(view, { ...gang, avoided: new Set() }, policy, NOW).kind === 'placed';
}
