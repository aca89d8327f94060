/** The probes and the metrics endpoint. */
import { expect, test } from 'vitest';
import { createHealthApp } from '../../../src/http/server/health.ts';
import { openAccess } from '../../support/open-access.ts';

const metrics = { contentType: 'text/plain; version=0.0.4', render: async () => 'muster_gangs 1\n' };
const fine = { name: 'leader', check: () => undefined };
const failing = { name: 'synced', check: () => 'pods not listed yet' };

test('livez is ok whatever the checks say', async () => {
  const answer = await createHealthApp([failing], metrics, openAccess).request('/livez');
  expect([answer.status, await answer.text()]).toEqual([200, 'ok']);
});

test('readyz is a bare ok when every check passes', async () => {
  const answer = await createHealthApp([fine], metrics, openAccess).request('/readyz');
  expect([answer.status, await answer.text()]).toEqual([200, 'ok']);
});

test('readyz?verbose lists each check in the format of Kubernetes components', async () => {
  const answer = await createHealthApp([fine, { ...fine, name: 'recovered' }], metrics, openAccess).request(
    '/readyz?verbose',
  );
  expect([answer.status, await answer.text()]).toEqual([200, '[+]leader ok\n[+]recovered ok\nreadyz check passed\n']);
});

test('a failing readyz is a 503 that always gives the reason', async () => {
  const answer = await createHealthApp([fine, failing], metrics, openAccess).request('/readyz');
  expect([answer.status, await answer.text()]).toEqual([
    503,
    '[+]leader ok\n[-]synced failed: pods not listed yet\nreadyz check failed\n',
  ]);
});

test('a notice is a line of readyz?verbose and fails nothing', async () => {
  const notice = { name: 'topology', list: () => ['rack: 3 nodes without label', 'no drift'] };
  const app = createHealthApp([fine], metrics, openAccess, [notice, { name: 'other', list: () => [] }]);
  const bare = await app.request('/readyz');
  expect([bare.status, await bare.text()]).toEqual([200, 'ok']);
  const verbose = await app.request('/readyz?verbose');
  expect([verbose.status, await verbose.text()]).toEqual([
    200,
    '[+]leader ok\n[!]topology rack: 3 nodes without label\n[!]topology no drift\nreadyz check passed\n',
  ]);
});

test('metrics have the content type of the registry', async () => {
  const answer = await createHealthApp([], metrics, openAccess).request('/metrics');
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4');
  expect(await answer.text()).toBe('muster_gangs 1\n');
});

test('every probe path is served', async () => {
  const app = createHealthApp([], metrics, openAccess);
  for (const path of ['/livez', '/readyz']) expect((await app.request(path)).status, path).toBe(200);
});
