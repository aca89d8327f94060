/** A question that crossed to another thread has the same answer there, whatever was asked and changed before. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { PlannedStart } from '../../../src/core/backfill/planned-start.ts';
import { answerStart, type StartQuestion } from '../../../src/core/backfill/start-question.ts';
import { findVictims, type VictimQuestion } from '../../../src/core/reclaim/victim-question.ts';
import { mayBeExclusive } from '../../../src/core/topology/tree.ts';
import type { Message } from '../../../src/core/transport/messages.ts';
import { QuestionReader } from '../../../src/core/transport/question-reader.ts';
import { QuestionWriter } from '../../../src/core/transport/question-writer.ts';
import { NOW, policy } from '../../support/preemption-worlds.ts';
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
          const messages: Message[] = [...writer.writeVictims(question)].map((message) => structuredClone(message));
          const read = messages.map((message) => reader.read(message));
          expect(read.slice(0, -1).every((each) => each === undefined)).toBe(true);
          const last = read.at(-1)!;
          expect(last.kind).toBe('victims');
          const there = last.question as VictimQuestion;
          expect(printSnapshot(there.snapshot)).toEqual(printSnapshot(question.snapshot));
          expect(describeAnswer(findVictims(there, policy))).toEqual(describeAnswer(here));
        }
      }),
      { numRuns: 1_500 },
    );
    expect([...kinds.keys()].toSorted()).toEqual(['coming', 'none', 'preempt']);
  });

  test('about starts have the same answer there as here', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(storyArb, (story) => {
        const writer = new QuestionWriter();
        const reader = new QuestionReader(TREE_LEVELS.slice(0, story.world.depth));
        const earlier: PlannedStart[] = [];
        for (const about of tellStory(story)) {
          const { snapshot, now } = about;
          const endings = about.running.map(({ gang: { key }, bound }, i) => {
            return { key, pods: bound, startedAt: NOW - i, endsAt: i % 3 === 2 ? Number.POSITIVE_INFINITY : NOW + i };
          });
          const query = { request: about.gang, lengthMs: 2, endings, earlier: [...earlier] };
          const question = { snapshot, query, now };
          const here = answerStart(question, policy);
          kinds.add(here ? (Number.isFinite(here.startsAt) ? 'known' : 'unknown') : 'never');
          const read = [...writer.writeStart(question)].map((message) => reader.read(structuredClone(message)));
          const there = read.at(-1)!;
          expect(there.kind).toBe('start');
          expect(answerStart(there.question as StartQuestion, policy)).toEqual(here);
          if (here) earlier.push(here);
        }
      }),
      { numRuns: 500 },
    );
    expect([...kinds].toSorted()).toEqual(['known', 'never', 'unknown']);
  });

  test('have the same ranks and minimums there, however large a user wrote them', () => {
    const [story] = fc.sample(
      storyArb.filter((each) => {
        const [first] = tellStory(each) as Iterable<VictimQuestion>;
        return first!.running.some(({ bound }) => bound.length > 0);
      }),
      { numRuns: 1, seed: 7 },
    );
    const [question] = tellStory(story!) as Iterable<VictimQuestion>;
    const large = fc.maxSafeNat();
    fc.assert(
      fc.property(large, fc.option(large, { nil: undefined }), (rank, minMember) => {
        const running = question!.running.map(({ gang, bound }) => ({
          gang: { ...gang, minMember, ranks: new Map(bound.map(({ uid }) => [uid, rank])) },
          bound,
        }));
        const messages = [...new QuestionWriter().writeVictims({ ...question!, running })];
        const reader = new QuestionReader(TREE_LEVELS.slice(0, story!.world.depth));
        const there = messages.map((message) => reader.read(structuredClone(message))).at(-1)!
          .question as VictimQuestion;
        const numbersOf = (of: VictimQuestion) => of.running.map(({ gang }) => [gang.minMember, [...gang.ranks]]);
        expect(numbersOf(there)).toEqual(numbersOf({ ...question!, running }));
      }),
    );
  });

  test('know there, too, which levels may be exclusive', () => {
    const [story] = fc.sample(storyArb, { numRuns: 1, seed: 7 });
    const reader = new QuestionReader(TREE_LEVELS.slice(0, story!.world.depth));
    const [question] = tellStory(story!);
    const { snapshot } = question!;
    const { topology } = snapshot;
    const limited = { ...topology, scheme: { ...topology.scheme, exclusive: ['host'] } };
    const messages = [
      ...new QuestionWriter().writeVictims({ ...question!, snapshot: { ...snapshot, topology: limited } }),
    ];
    const there = messages.map((message) => reader.read(structuredClone(message))).at(-1)!.question as VictimQuestion;
    expect(there.snapshot.topology.levels.map((_, level) => mayBeExclusive(there.snapshot.topology, level))).toEqual(
      topology.levels.map(({ name }) => name === 'host'),
    );
  });

  test('carry any number of pods on one node', () => {
    const [story] = fc.sample(storyArb, { numRuns: 1, seed: 7 });
    const question = tellStory(story!).next().value as VictimQuestion;
    const { snapshot } = question;
    const row = snapshot.podsOn.findIndex((pods) => pods.length > 0);
    const many = Array.from({ length: 300_000 }, () => snapshot.podsOn[row]![0]!);
    const podsOn = snapshot.podsOn.with(row, many);
    const messages = [...new QuestionWriter().writeVictims({ ...question, snapshot: { ...snapshot, podsOn } })];
    const last = messages.at(-1)!;
    expect(last.kind === 'victims' && last.snapshot.podsOn.length).toBeGreaterThan(300_000);
  });

  test('carry only what changed since the last one', () => {
    const [story] = fc.sample(storyArb, { numRuns: 1, seed: 7 });
    const { world } = story!;
    const twists = Array.from({ length: 2 }, () => ({ ...PLAIN }));
    const changes = Array.from({ length: 2 }, () => ({ ends: -1, node: 0, what: 'nothing' as const }));
    const writer = new QuestionWriter();
    const sizes = [...tellStory({ world, twists, changes })].map((question) => {
      const messages = [...writer.writeVictims(question)];
      const sent = messages.flatMap((message) => (message.kind === 'entities' ? message.pods : []));
      const last = messages.at(-1)!;
      return { pods: sent.length, nodes: last.kind === 'victims' ? last.snapshot.nodes.length : -1 };
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
  immune: 1,
  covered: 1,
} as const;
