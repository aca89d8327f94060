/** What the API server is asked about tokens: how often, and what happens when it does not answer. */
import { describe, expect, test } from 'vitest';
import { type AccessQuestion, type ReviewApi, Reviewer, type TokenUser } from '../../../src/http/access/reviewer.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';

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
      await reviewer.identify('token-ann');
      await reviewer.identify('forged');
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
    const answers = Promise.all(Array.from({ length: 50 }, () => reviewer.identify('token-ann')));
    gate.resolve();
    expect(new Set((await answers).map((user) => user?.username))).toEqual(new Set(['ann']));
    expect(asked).toHaveLength(1);
  });

  test('that does not come is an error, and is asked for again', async () => {
    const { reviewer, asked, answerWith } = startReviewer();
    answerWith(() => Promise.reject(new Error('connection refused')));
    await expect(reviewer.identify('token-ann')).rejects.toThrow('the API server did not answer: connection refused');
    await expect(reviewer.isAllowed(ann, podsIn('ann'))).rejects.toThrow('did not answer');
    answerWith(() => Promise.resolve());
    expect(await reviewer.identify('token-ann')).toEqual({ username: 'ann' });
    expect(asked).toHaveLength(3);
  });
});

describe('a flood of tokens', () => {
  test('asks at most 16 questions at a time', async () => {
    const { reviewer, asked, answerWith } = startReviewer();
    const gate = Promise.withResolvers<void>();
    answerWith(() => gate.promise);
    const outcomes = Array.from({ length: 100 }, (_, i) =>
      reviewer.identify(`forged-${i}`).then(
        () => 'answered',
        (error: Error) => error.message,
      ),
    );
    expect(asked).toHaveLength(16);
    gate.resolve();
    const seen = await Promise.all(outcomes);
    expect(seen.filter((outcome) => outcome === 'answered')).toHaveLength(16);
    expect(seen.filter((outcome) => outcome.includes('too many callers'))).toHaveLength(84);
  });

  test('asks at most 100 questions a second, and answers what is known meanwhile', async () => {
    const { reviewer, asked, pass, metrics } = startReviewer();
    await reviewer.identify('token-ann');
    let refused = 0;
    for (let i = 0; i < 500; i++) {
      await reviewer.identify(`forged-${i}`).catch(() => {
        refused += 1;
      });
    }
    expect([asked.length, refused]).toEqual([100, 401]);
    expect(await reviewer.identify('token-ann')).toEqual({ username: 'ann' });
    expect(await metrics.render()).toContain('muster_access_reviews_total{kind="token",result="busy"} 401');
    pass(1_000);
    expect(await reviewer.identify('token-bob')).toEqual({ username: 'bob' });
  });

  test.each(['', 'a b', 'x'.repeat(9_000), 'ä', 'a\u0000'])(
    'does not ask about %j, which is no token',
    async (token) => {
      const { reviewer, asked } = startReviewer();
      expect(await reviewer.identify(token)).toBeUndefined();
      expect(asked).toEqual([]);
    },
  );
});
