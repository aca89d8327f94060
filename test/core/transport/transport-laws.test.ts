/** A question that crossed to another thread has the same answer there, whatever was asked and changed before. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { findVictims } from '../../../src/core/reclaim/victim-question.ts';
import type { Message } from '../../../src/core/transport/messages.ts';
import { QuestionReader } from '../../../src/core/transport/question-reader.ts';
import { QuestionWriter } from '../../../src/core/transport/question-writer.ts';
import { policy } from '../../support/preemption-worlds.ts';
import { TREE_LEVELS } from '../../support/random-trees.ts';
import { printSnapshot } from '../../support/topology.ts';
import { describeAnswer, storyArb, tellStory } from '../../support/victim-questions.ts';

vi.setConfig({ testTimeout: 120_000 });

describe('questions that cross to another thread', () => {
  test('have the same answer there as here, one after the other while the cluster changes', () => {
    const kinds = new Map<string, number>();
    fc.assert(
      fc.property(storyArb, (story) => {
        const writer = new QuestionWriter();
        const reader = new QuestionReader(TREE_LEVELS.slice(0, story.world.depth));
        for (const question of tellStory(story)) {
          const here = findVictims(question, policy);
          kinds.set(here.kind, (kinds.get(here.kind) ?? 0) + 1);
          // What `postMessage` does to a message.
          const messages: Message[] = [...writer.write(question)].map((message) => structuredClone(message));
          const read = messages.map((message) => reader.read(message));
          expect(read.slice(0, -1).every((each) => each === undefined)).toBe(true);
          const there = read.at(-1)!;
          expect(printSnapshot(there.snapshot)).toEqual(printSnapshot(question.snapshot));
          expect(describeAnswer(findVictims(there, policy))).toEqual(describeAnswer(here));
        }
      }),
      { numRuns: 1_500 },
    );
    expect([...kinds.keys()].toSorted()).toEqual(['coming', 'none', 'preempt']);
  });

  test('carry only what changed since the last one', () => {
    const [story] = fc.sample(storyArb, { numRuns: 1, seed: 7 });
    const { world } = story!;
    const twists = Array.from({ length: 2 }, () => ({ ...PLAIN }));
    const changes = Array.from({ length: 2 }, () => ({ ends: -1, node: 0, what: 'nothing' as const }));
    const writer = new QuestionWriter();
    const sizes = [...tellStory({ world, twists, changes })].map((question) => {
      const messages = [...writer.write(question)];
      const sent = messages.flatMap((message) => (message.kind === 'entities' ? message.pods : []));
      const last = messages.at(-1)!;
      return { pods: sent.length, nodes: last.kind === 'question' ? last.snapshot.nodes.length : -1 };
    });
    expect(sizes[0]!.pods).toBeGreaterThan(0);
    expect(sizes[0]!.nodes).toBe(world.nodes.length);
    expect(sizes[1]).toEqual({ pods: 0, nodes: 0 });
  });
});

const PLAIN = {
  variant: 'plain',
  claim: undefined,
  othersLeave: false,
  avoided: -1,
  barred: -1,
  departing: -1,
} as const;
