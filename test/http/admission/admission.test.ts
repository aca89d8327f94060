/** The admission webhook over HTTP: any body has an answer, and none ends Muster or costs it much. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RawPod } from '../../../src/core/objects/raw-pod.ts';
import type { PatchOperation } from '../../../src/core/podgroup/new-member.ts';
import { ADMISSION_PATH, createAdmissionApp } from '../../../src/http/admission/admission.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { recordLogs } from '../support.ts';

const PATCH: readonly PatchOperation[] = [{ op: 'add', path: '/spec/schedulingGates', value: [{ name: 'ü' }] }];
const pod = { metadata: { generateName: 'a-', labels: { a: 'b' }, creationTimestamp: null }, spec: { containers: [] } };
const request = { uid: 'u-1', kind: { group: '', version: 'v1', kind: 'Pod' }, operation: 'CREATE', object: pod };
const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };

function start(complete: (asked: RawPod) => readonly PatchOperation[] = () => PATCH) {
  const metrics = new Metrics();
  const clock = { time: 0, now: () => clock.time };
  const asked: RawPod[] = [];
  const { logger: log, lines } = recordLogs();
  const app = createAdmissionApp({
    complete: (one) => {
      asked.push(one);
      return complete(one);
    },
    metrics,
    log,
    clock,
  });
  const post = async (body: unknown, headers: Readonly<Record<string, string>> = {}) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const response = await app.request(ADMISSION_PATH, { method: 'POST', body: text, headers });
    return { status: response.status, text: await response.text() };
  };
  const counts = async () =>
    Object.fromEntries(
      [...(await metrics.render()).matchAll(/^muster_admission_reviews_total\{result="(\w+)"\} (\d+)/gm)].map(
        ([, result, value]) => [result, Number(value)],
      ),
    );
  return { post, app, asked, counts, clock, lines };
}

test('a new pod is answered with its patch and the UID of the call', async () => {
  const { post, asked, counts } = start();
  const { status, text } = await post(review);
  expect(status).toBe(200);
  const { response, ...type } = JSON.parse(text) as { response: { patch: string } };
  expect(type).toEqual({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' });
  expect(response).toEqual({ uid: 'u-1', allowed: true, patchType: 'JSONPatch', patch: expect.any(String) });
  expect(JSON.parse(Buffer.from(response.patch, 'base64').toString('utf8'))).toEqual(PATCH);
  expect(asked).toEqual([pod]);
  expect(await counts()).toEqual({ patched: 1 });
});

test('a pod that lacks nothing is allowed without a patch', async () => {
  const { post, counts } = start(() => []);
  expect(JSON.parse((await post(review)).text)).toMatchObject({ response: { uid: 'u-1', allowed: true } });
  expect((await post(review)).text).not.toContain('patch');
  expect(await counts()).toEqual({ unchanged: 2 });
});

test.each([
  ['an update', { operation: 'UPDATE' }],
  ['a binding', { subResource: 'binding' }],
  ['another kind', { kind: { group: 'batch', version: 'v1', kind: 'Job' } }],
])('%s is allowed, and nobody looks at it', async (_what, change) => {
  const { post, asked } = start();
  const { status, text } = await post({ ...review, request: { ...request, ...change } });
  expect(status).toBe(200);
  expect(JSON.parse(text)).toMatchObject({ response: { uid: 'u-1', allowed: true } });
  expect(text).not.toContain('patch');
  expect(asked).toEqual([]);
});

const withObject = (object: unknown) => ({ ...review, request: { ...request, object } });

test.each([
  ['nothing', '', 'expected a JSON body, found nothing'],
  ['half a body', '{"kind":"Adm', 'expected a JSON body'],
  ['a list', '[]', 'expected a request body to be an object'],
  [
    'an earlier version',
    { ...review, apiVersion: 'admission.k8s.io/v1beta1' },
    'admissionReviewVersions of the webhook must be [v1]',
  ],
  ['an answer', { ...review, request: undefined }, 'expected request to be an object, found nothing'],
  ['no UID', { ...review, request: { ...request, uid: undefined } }, 'expected request.uid to be a UID, found nothing'],
  ['a UID that is none', { ...review, request: { ...request, uid: '"}' } }, 'expected request.uid'],
  ['no kind', { ...review, request: { ...request, kind: 'Pod' } }, 'expected request.kind to be an object'],
  ['no pod', withObject(null), 'expected request.object to be an object, found null'],
  [
    'a pod with numbers for labels',
    withObject({ metadata: { labels: { a: 1 } } }),
    'expected Pod.metadata.labels.* to be a string',
  ],
  [
    'a pod with a text for containers',
    withObject({ spec: { containers: 'x' } }),
    'expected Pod.spec.containers to be a list',
  ],
  ['a hundred levels', '['.repeat(100), 'expected JSON of at most 64 levels'],
])('a body with %s is refused with what was expected', async (_what, body, expected) => {
  const { post, asked, counts } = start();
  const { status, text } = await post(body);
  expect(text).toContain(expected);
  expect(status).toBe(400);
  expect(asked).toEqual([]);
  expect(await counts()).toEqual({ refused: 1 });
});

test('a body that is too large is refused, and one that is packed', async () => {
  const { post } = start();
  const large = withObject({ metadata: { annotations: { a: 'x'.repeat(4 * 2 ** 20) } } });
  expect(await post(large)).toMatchObject({ status: 400, text: expect.stringContaining('at most 4194304 bytes') });
  expect(await post(review, { 'content-encoding': 'gzip' })).toMatchObject({ status: 400 });
});

test('whoever sends more than a second allows waits for the next one', async () => {
  const { post, counts, clock } = start();
  const large = withObject({ metadata: { annotations: { a: 'x'.repeat(3.9 * 2 ** 20) } } });
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) statuses.push((await post(large)).status);
  expect(statuses).toEqual([200, 200, 200, 429]);
  expect(await counts()).toEqual({ patched: 3, busy: 1 });
  clock.time = 1_000;
  expect((await post(large)).status).toBe(200);
});

describe('the port', () => {
  test.each(['/', '/metrics', '/livez', '/v1/gangs', '/scheduler/filter', '/scheduler/bind'])(
    'has no %s',
    async (path) => {
      const { app } = start();
      for (const method of ['GET', 'POST']) {
        expect((await app.request(path, { method, ...(method === 'POST' && { body: '{}' }) })).status).toBe(404);
      }
    },
  );
});

test('any JSON is answered with 200 or 400, and a refusal is one line of printable text', async () => {
  const { post } = start();
  const odd = fc.oneof(
    fc.jsonValue(),
    fc.jsonValue().map(withObject),
    fc.record({ metadata: fc.jsonValue(), spec: fc.jsonValue() }).map(withObject),
    fc.jsonValue().map((kind) => ({ ...review, request: { ...request, kind } })),
  );
  await fc.assert(
    fc.asyncProperty(odd, async (body) => {
      const { status, text } = await post(body);
      expect([200, 400]).toContain(status);
      if (status === 400) expect(text.split('\n')).toHaveLength(2);
    }),
  );
});
