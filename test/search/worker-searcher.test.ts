/** The searcher with real threads. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { answerStart, type StartQuestion } from '../../src/core/backfill/start-question.ts';
import { findVictims, proposalOf, type VictimQuestion } from '../../src/core/reclaim/victim-question.ts';
import type { SearchOutcome, StartOutcome } from '../../src/gang/framework/ports.ts';
import { WorkerSearcher, type WorkerSearcherOptions } from '../../src/search/worker-searcher.ts';
import { GPU } from '../support/builders.ts';
import { HandClock } from '../support/hand-clock.ts';
import { policy } from '../support/preemption-worlds.ts';
import { TREE_LEVELS } from '../support/random-trees.ts';
import { storyArb, tellStory } from '../support/victim-questions.ts';

const RECEIVES = "import { parentPort } from 'node:worker_threads'; parentPort.on('message', ({ kind }) => {";
/** Computes for ever, dies, and answers with an error. */
const FROZEN = program(`${RECEIVES} if (kind !== 'entities') for (;;); });`);
const DYING = program(`${RECEIVES} if (kind !== 'entities') process.exit(1); });`);
const BROKEN = program(
  `${RECEIVES} if (kind !== 'entities') parentPort.postMessage({ kind: 'failed', message: 'a bug' }); });`,
);

function program(text: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}

const started: WorkerSearcher[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((searcher) => searcher.stop()));
});

const DEPTH = 2;

/** @param programs what the threads run, one after the other; then the real program. */
function start(programs: readonly URL[] = [], options: Partial<WorkerSearcherOptions> = {}) {
  const clock = new HandClock();
  const left = [...programs];
  const searcher = new WorkerSearcher({
    policy,
    clock: clock.forProcess(),
    levels: TREE_LEVELS.slice(0, DEPTH),
    managedResources: [GPU],
    score: policy.score,
    inlineWork: -1,
    timeLimitMs: 1_000,
    get program(): URL {
      return left.shift() ?? new URL('../../src/search/search-worker.ts', import.meta.url);
    },
    ...options,
  });
  started.push(searcher);
  const ask = (question: VictimQuestion) =>
    new Promise<SearchOutcome>((resolve) => {
      expect(searcher.findVictims(question, resolve)).toBeUndefined();
    });
  return { searcher, clock, ask };
}

function questions(count: number): readonly VictimQuestion[] {
  const stories = fc.sample(
    storyArb.filter(({ world }) => world.depth === DEPTH),
    { numRuns: count, seed: 3 },
  );
  return stories.map((story) => tellStory(story).next().value as VictimQuestion);
}

const [question] = questions(1) as [VictimQuestion];

describe('a large question', () => {
  test('is answered by the thread as it is here, and so are those behind it', async () => {
    const { ask } = start();
    const all = questions(30);
    const outcomes = await Promise.all(all.slice(0, 4).map(ask));
    for (const each of all.slice(4)) outcomes.push(await ask(each));
    const here = all.map((each) => ({ kind: 'answer', proposal: proposalOf(findVictims(each, policy)) }));
    expect(outcomes).toEqual(here);
    expect(new Set(here.map(({ proposal }) => proposal.kind)).size).toBeGreaterThan(1);
  });

  test('is answered on what it was asked about, even if the columns change afterwards', async () => {
    const { ask } = start();
    const found = questions(30).find((each) => findVictims(each, policy).kind === 'preempt')!;
    const expected = proposalOf(findVictims(found, policy));
    const answer = ask(found);
    for (const column of found.snapshot.free) column.fill(-1e15);
    expect(await answer).toEqual({ kind: 'answer', proposal: expected });
  });

  test('is given up when it takes too long, and the next one has a thread that works', async () => {
    const { ask, clock } = start([FROZEN]);
    const first = ask(question);
    const second = ask(question);
    clock.jumpTo(clock.now() + 1_000);
    expect(clock.fireDue()).toBe(true);
    expect(await first).toEqual({ kind: 'too-long', seconds: 1 });
    expect((await second).kind).toBe('answer');
  });

  test('is asked again when its thread dies', async () => {
    const { ask } = start([DYING]);
    expect((await ask(question)).kind).toBe('answer');
  });

  test('is given up when its thread dies again, and the next one has a thread that works', async () => {
    const { ask } = start([DYING, DYING]);
    expect((await ask(question)).kind).toBe('failed');
    expect((await ask(question)).kind).toBe('answer');
  });

  test('that ends with an error says so', async () => {
    const { ask } = start([BROKEN]);
    expect(await ask(question)).toEqual({ kind: 'failed', message: 'a bug' });
  });

  test('has to wait its turn, and beyond four of its namespace it is asked again later', () => {
    const { searcher } = start([FROZEN]);
    const ask = (namespace: string) => searcher.findVictims(inNamespace(question, namespace), () => {});
    const answers = Array.from({ length: 6 }, () => ask('greedy'));
    expect(answers).toEqual([undefined, undefined, undefined, undefined, undefined, 'busy']);
    expect(ask('modest')).toBeUndefined();
  });

  test('of another namespace does not wait for all those of one that asks much', async () => {
    const { searcher } = start();
    const { ask, order } = askIn(searcher);
    await Promise.all(['greedy', 'greedy', 'greedy', 'greedy', 'modest', 'other', 'modest'].map(ask));
    expect(order).toEqual(['greedy', 'greedy', 'modest', 'other', 'greedy', 'modest', 'greedy']);
  });

  test('is left out if its gang is gone when its turn comes', async () => {
    const gone = new Set<string>();
    const { searcher, clock } = start([FROZEN], {
      isThere: ({ members }) => !gone.has(members[0]!.namespace),
    });
    const { ask, order } = askIn(searcher);
    const first = ask('first');
    void ask('deleted');
    const last = ask('last');
    gone.add('deleted');
    clock.jumpTo(clock.now() + 1_000);
    clock.fireDue();
    await Promise.all([first, last]);
    expect(order).toEqual(['first', 'last']);
  });

  test('finds no place in a line of 64', () => {
    const { searcher } = start([FROZEN]);
    const answers = Array.from({ length: 66 }, (_, i) =>
      searcher.findVictims(inNamespace(question, `team-${i}`), () => {}),
    );
    expect(answers.filter((answer) => answer === undefined)).toHaveLength(65);
    expect(answers.at(-1)).toBe('busy');
  });
});

/** Asks for gangs of namespaces, and notes in which order they are answered. */
function askIn(searcher: WorkerSearcher) {
  const order: string[] = [];
  const ask = (namespace: string) =>
    new Promise<void>((resolve) => {
      searcher.findVictims(inNamespace(question, namespace), () => {
        order.push(namespace);
        resolve();
      });
    });
  return { ask, order };
}

function inNamespace(asked: VictimQuestion, namespace: string): VictimQuestion {
  const members = asked.gang.members.map((member) => ({ ...member, namespace }));
  return { ...asked, gang: { ...asked.gang, members } };
}

test('a small question is answered at once, while a thread is busy', () => {
  const { searcher } = start([FROZEN], { inlineWork: 0 });
  expect(searcher.findVictims(question, () => {})).toBeUndefined();
  const small = { ...question, snapshot: { ...question.snapshot, byName: [] } };
  expect(searcher.findVictims(small, () => {})).toEqual(findVictims(small, policy));
});

test('a planned start is answered by the thread as it is here', async () => {
  const { searcher } = start();
  const asked = questions(30)
    .map(({ snapshot, gang: request, running, now }): StartQuestion => {
      const endings = running.map(({ gang: { key }, bound }, i) => ({
        key,
        pods: bound,
        startedAt: 0,
        endsAt: now + i,
      }));
      return { snapshot, query: { request, lengthMs: 1_000, endings, earlier: [] }, now };
    })
    .find((each) => (answerStart(each, policy)?.waitsFor.length ?? 0) > 0)!;
  const outcome = await new Promise<StartOutcome>((resolve) => {
    expect(searcher.planStart(asked, resolve)).toBeUndefined();
  });
  expect(outcome).toEqual({ kind: 'start', start: answerStart(asked, policy) });
  expect(outcome.kind === 'start' && outcome.start?.request).toBe(asked.query.request);
});
