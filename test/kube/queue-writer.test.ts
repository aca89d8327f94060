/** Writes of Queue objects against a fake API server. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiClient } from '../../src/kube/client.ts';
import { openEndpoint } from '../../src/kube/kubeconfig.ts';
import { ApiQueueWriter } from '../../src/kube/queue-writer.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';

const QUEUES = '/apis/muster.dev/v1alpha1/queues';

let server: FakeApiServer;
let api: ApiClient;
let writer: ApiQueueWriter;

beforeEach(async () => {
  server = await FakeApiServer.start(QUEUES);
  api = new ApiClient(openEndpoint(server.url));
  writer = new ApiQueueWriter(api);
});

afterEach(async () => {
  await api.close();
  await server.stop();
});

test('createQueue creates the object with its labels', async () => {
  expect(await writer.createQueue('ml', { x: 'y' }, { weight: 2 })).toMatchObject({ kind: 'ok' });
  expect(server.requests[0]).toMatchObject({
    method: 'POST',
    path: QUEUES,
    body: {
      apiVersion: 'muster.dev/v1alpha1',
      kind: 'Queue',
      metadata: { name: 'ml', labels: { x: 'y' } },
      spec: { weight: 2 },
    },
  });
});

test('createQueue is a conflict when the name is taken, and gone without the CRD', async () => {
  await writer.createQueue('ml', {}, {});
  expect(await writer.createQueue('ml', {}, {})).toMatchObject({ kind: 'conflict' });
  server.uninstall(QUEUES);
  expect(await writer.createQueue('ml', {}, {})).toEqual({ kind: 'gone' });
});

test('patchQueueStatus merges into the status and changes nothing else', async () => {
  await writer.createQueue('ml', {}, { weight: 2 });
  expect(await writer.patchQueueStatus('ml', { pending: 1 })).toMatchObject({ kind: 'ok' });
  expect(server.requests[1]).toMatchObject({
    method: 'PATCH',
    path: `${QUEUES}/ml/status`,
    headers: { 'content-type': 'application/merge-patch+json' },
    body: { status: { pending: 1 } },
  });
  expect(await writer.patchQueueStatus('other', {})).toEqual({ kind: 'gone' });
});
