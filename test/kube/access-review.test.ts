/** What is sent to the API server to review a token and a right, and how its answers are read. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { AccessReviews } from '../../src/kube/access-review.ts';
import { ApiClient } from '../../src/kube/client.ts';
import { openEndpoint } from '../../src/kube/kubeconfig.ts';

let server: Server | undefined;
let api: ApiClient | undefined;
afterEach(async () => {
  await api?.close();
  server?.close();
});

/** An API server that gives one answer to everything. */
async function start(status: number, answer: unknown) {
  const sent: { path: string | undefined; body: unknown }[] = [];
  server = createServer((incoming, outgoing) => {
    let text = '';
    incoming.on('data', (chunk) => {
      text += chunk;
    });
    incoming.on('end', () => {
      sent.push({ path: incoming.url, body: JSON.parse(text) });
      outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  api = new ApiClient(openEndpoint(`http://127.0.0.1:${port}`));
  return { reviews: new AccessReviews(api), sent };
}

const user = { username: 'ann', uid: '7', groups: ['team-a'], extra: { scopes: ['x'] } };

test('a token that the API server accepts names its user', async () => {
  const { reviews, sent } = await start(201, { status: { authenticated: true, user } });
  expect(await reviews.reviewToken('secret')).toEqual(user);
  expect(sent).toEqual([
    {
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: 'secret' } },
    },
  ]);
});

test.each([
  ['is not authenticated', { authenticated: false, user }],
  ['says nothing', {}],
  ['names nobody', { authenticated: true, user: {} }],
  ['has an empty name', { authenticated: true, user: { username: '' } }],
])('a token of which the answer %s is not valid', async (_, status) => {
  const { reviews } = await start(201, { status });
  expect(await reviews.reviewToken('secret')).toBeUndefined();
});

describe('a right', () => {
  test.each([
    [{ allowed: true }, true],
    [{ allowed: false, reason: 'no' }, false],
    [{ allowed: true, denied: true }, false],
    [{}, false],
    [undefined, false],
  ])('with the answer %j is %s', async (status, expected) => {
    const { reviews } = await start(201, { status });
    expect(await reviews.reviewAccess(user, { kind: 'list', resource: 'pods', namespace: 'a' })).toBe(expected);
  });

  test.each([
    [
      { kind: 'list', resource: 'nodes', namespace: '' },
      { resourceAttributes: { verb: 'list', resource: 'nodes', namespace: '' } },
    ],
    [{ kind: 'get-path', path: '/metrics' }, { nonResourceAttributes: { verb: 'get', path: '/metrics' } }],
  ] as const)('%j is asked for with all that is known of the user', async (question, attributes) => {
    const { reviews, sent } = await start(201, { status: { allowed: true } });
    await reviews.reviewAccess(user, question);
    const { username, ...rest } = user;
    expect(sent[0]?.body).toMatchObject({
      kind: 'SubjectAccessReview',
      spec: { user: username, ...rest, ...attributes },
    });
  });
});

test.each([
  [
    403,
    { message: 'tokenreviews is forbidden' },
    'expected a TokenReview, found status 403: tokenreviews is forbidden',
  ],
  [500, 'oops', 'found status 500: no message'],
  [200, { status: { authenticated: true, user } }, 'found status 200'],
])('an answer with status %i is none', async (status, body, text) => {
  const { reviews } = await start(status, body);
  await expect(reviews.reviewToken('secret')).rejects.toThrow(text);
});
