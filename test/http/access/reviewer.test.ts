/** What the API server is asked about tokens: how often, and what happens when it does not answer. */
import { describe, expect, test } from 'vitest';
import { type AccessQuestion, type ReviewApi, Reviewer, type TokenUser } from '../../../src/http/access/reviewer.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';

const HERE = '10.0.0.1';

/** An API server that knows the tokens `token-…`, whose users may list pods in the namespace of that name. */
function createApi() {
  const asked: string[] = [];
  let answer = (): Promise<void> => Promise.resolve();
  const api: ReviewApi = {
    reviewToken: async (token) => {
      asked.push(`token ${token}`);
      await answer();
      return token.startsWith('token-') ? { username: token.slice('token-'.length) } : undefined;
    },
    reviewAccess: async ({ username }, question) => {
      asked.push(`access ${username} ${JSON.stringify(question)}`);
      await answer();
      return question.kind === 'list' && question.namespace === username;
    },
  };
  return {
    api,
    asked,
    answerWith: (next: () => Promise<void>) => {
      answer = next;
    },
  };
}

function startReviewer() {
  let now = 1_000_000;
  const server = createApi();
  const metrics = new Metrics();
  const reviewer = new Reviewer(server.api, metrics, { now: () => now });
  const pass = (ms: number) => {
    now += ms;
  };
  return { ...server, reviewer, metrics, pass };
}

const podsIn = (namespace: string): AccessQuestion => ({ kind: 'list', resource: 'pods', namespace });
const ann: TokenUser = { username: 'ann' };

describe('an answer', () => {
  test('stands for 30 s if it grants something, for 10 s if it does not', async () => {
    const { reviewer, asked, pass } = startReviewer();
    const askAll = async () => {
      await reviewer.identify('token-ann', HERE);
      await reviewer.identify('forged', HERE);
      await reviewer.isAllowed(ann, podsIn('ann'));
      await reviewer.isAllowed(ann, podsIn('bob'));
      return asked.splice(0).map((line) => line.split(' ').slice(0, 2).join(' '));
    };
    expect(await askAll()).toEqual(['token token-ann', 'token forged', 'access ann', 'access ann']);
    pass(9_000);
    expect(await askAll()).toEqual([]);
    pass(2_000);
    expect(await askAll(), 'what was denied is asked again').toEqual(['token forged', 'access ann']);
    pass(20_000);
    expect(await askAll()).toEqual(['token token-ann', 'token forged', 'access ann', 'access ann']);
  });

  test('of one user is not that of another one with the same name and other groups', async () => {
    const { reviewer, asked } = startReviewer();
    await reviewer.isAllowed(ann, podsIn('ann'));
    await reviewer.isAllowed({ ...ann, groups: ['system:masters'] }, podsIn('ann'));
    expect(asked).toHaveLength(2);
  });

  test('is waited for together by all who ask the same', async () => {
    const { reviewer, asked, answerWith } = startReviewer();
    const gate = Promise.withResolvers<void>();
    answerWith(() => gate.promise);
    const answers = Promise.all(Array.from({ length: 50 }, () => reviewer.identify('token-ann', HERE)));
    gate.resolve();
    expect(new Set((await answers).map((user) => user?.username))).toEqual(new Set(['ann']));
    expect(asked).toHaveLength(1);
  });

  test('that does not come is an error, and is asked for again', async () => {
    const { reviewer, asked, answerWith } = startReviewer();
    answerWith(() => Promise.reject(new Error('connection refused')));
    await expect(reviewer.identify('token-ann', HERE)).rejects.toThrow(
      'the API server did not answer: connection refused',
    );
    await expect(reviewer.isAllowed(ann, podsIn('ann'))).rejects.toThrow('did not answer');
    answerWith(() => Promise.resolve());
    expect(await reviewer.identify('token-ann', HERE)).toEqual({ username: 'ann' });
    expect(asked).toHaveLength(3);
  });
});

/** What becomes of a question: the API server is asked, or others have asked too much. */
async function outcomeOf(answer: Promise<unknown>): Promise<'asked' | 'busy'> {
  return await answer.then(
    () => 'asked',
    (error: Error) => {
      expect(error.message).toContain('too many callers');
      return 'busy';
    },
  );
}

/** How many of the outcomes were asked. */
async function countAsked(answers: readonly Promise<unknown>[]): Promise<number> {
  return (await Promise.all(answers.map(outcomeOf))).filter((outcome) => outcome === 'asked').length;
}

describe('a flood of tokens', () => {
  const address = (i: number) => `10.1.${Math.floor(i / 250)}.${i % 250}`;
  const user = (i: number): TokenUser => ({ username: `user-${i}` });

  test('asks at most 2 questions at a time from one address, 8 from all, 16 with those of users', async () => {
    const { reviewer, asked, answerWith } = startReviewer();
    const gate = Promise.withResolvers<void>();
    answerWith(() => gate.promise);
    const fromOne = Array.from({ length: 50 }, (_, i) => reviewer.identify(`forged-${i}`, HERE));
    expect(asked).toHaveLength(2);
    const fromMany = Array.from({ length: 50 }, (_, i) => reviewer.identify(`forged-${50 + i}`, address(i)));
    expect(asked).toHaveLength(8);
    const ofOne = Array.from({ length: 50 }, (_, i) => reviewer.isAllowed(ann, podsIn(`ns-${i}`)));
    expect(asked).toHaveLength(12);
    const ofMany = Array.from({ length: 50 }, (_, i) => reviewer.isAllowed(user(i), podsIn('ann')));
    expect(asked).toHaveLength(16);
    gate.resolve();
    expect(await countAsked([...fromOne, ...fromMany, ...ofOne, ...ofMany])).toBe(16);
    expect(await outcomeOf(reviewer.identify('another', HERE)), 'as soon as there is room').toBe('asked');
  });

  test('asks at most 10 questions a second from one address, 50 from all, 100 with those of users', async () => {
    const { reviewer, pass } = startReviewer();
    const flood = async (ask: (i: number) => Promise<unknown>) => {
      const outcomes: string[] = [];
      // One after the other: so many at a time are refused anyway.
      for (let i = 0; i < 200; i++) outcomes.push(await outcomeOf(ask(i)));
      return outcomes.filter((outcome) => outcome === 'asked').length;
    };
    expect(await flood((i) => reviewer.identify(`a-${i}`, HERE))).toBe(10);
    expect(await flood((i) => reviewer.identify(`b-${i}`, address(i)))).toBe(40);
    expect(await flood((i) => reviewer.isAllowed(ann, podsIn(`ns-${i}`)))).toBe(25);
    expect(await flood((i) => reviewer.isAllowed(user(i), podsIn('ann')))).toBe(25);
    pass(1_000);
    expect(await reviewer.identify('token-bob', HERE)).toEqual({ username: 'bob' });
  });

  test('from all addresses of one IPv6 network counts as one', async () => {
    const { reviewer } = startReviewer();
    const outcomes: string[] = [];
    for (let i = 0; i < 200; i++)
      outcomes.push(await outcomeOf(reviewer.identify(`f-${i}`, `2001:db8::${i.toString(16)}`)));
    expect(outcomes.filter((outcome) => outcome === 'asked')).toHaveLength(10);
  });

  test('keeps nobody out whose token was good before, even from the same address', async () => {
    const { reviewer, metrics, pass } = startReviewer();
    await reviewer.identify('token-ann', HERE);
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 200; i++) await outcomeOf(reviewer.identify(`forged-${second}-${i}`, address(i)));
      for (let i = 0; i < 200; i++) await outcomeOf(reviewer.identify(`forged-${second}-${i}`, HERE));
      for (let i = 0; i < 50; i++) await outcomeOf(reviewer.isAllowed({ username: 'eve' }, podsIn(`${second}-${i}`)));
      expect(await reviewer.identify('token-ann', HERE)).toEqual({ username: 'ann' });
      expect(await reviewer.isAllowed(ann, podsIn('ann'))).toBe(true);
      pass(1_000);
    }
    expect(await metrics.render()).toMatch(/muster_access_reviews_total\{kind="token",result="busy"\} \d{4}/);
  });

  test('from one address keeps out nobody who comes from another for the first time', async () => {
    const { reviewer } = startReviewer();
    for (let i = 0; i < 200; i++) await outcomeOf(reviewer.identify(`forged-${i}`, address(0)));
    expect(await reviewer.identify('token-ann', HERE)).toEqual({ username: 'ann' });
  });

  test('a token that is good no more is a stranger again', async () => {
    const { reviewer, api, pass } = startReviewer();
    await reviewer.identify('token-ann', HERE);
    const { reviewToken } = api;
    Object.assign(api, { reviewToken: async () => undefined });
    pass(31_000);
    expect(await reviewer.identify('token-ann', HERE)).toBeUndefined();
    Object.assign(api, { reviewToken });
    pass(11_000);
    for (let i = 0; i < 20; i++) await outcomeOf(reviewer.identify(`forged-${i}`, HERE));
    expect(await outcomeOf(reviewer.identify('token-ann', HERE))).toBe('busy');
  });

  test.each(['', 'a b', 'x'.repeat(9_000), 'ä', 'a\u0000'])(
    'does not ask about %j, which is no token',
    async (token) => {
      const { reviewer, asked } = startReviewer();
      expect(await reviewer.identify(token, HERE)).toBeUndefined();
      expect(asked).toEqual([]);
    },
  );
});
