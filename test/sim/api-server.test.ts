/** The embedded API server over HTTP: objects, patches, discovery and Events. */
import { describe, expect, test } from 'vitest';
import { useSimWorlds } from './sim-world.ts';

const newWorld = useSimWorlds();
const PODS = '/api/v1/namespaces/default/pods';

const pod = (name: string, fields: { labels?: object; spec?: object } = {}) => ({
  metadata: { name, ...(fields.labels && { labels: fields.labels }) },
  spec: { containers: [{ name: 'main', image: 'train' }], ...fields.spec },
});
const names = (list: { items: { metadata: { name: string } }[] }) => list.items.map(({ metadata }) => metadata.name);

describe('objects over HTTP', () => {
  test('are created, read, listed in order of their names, replaced and deleted', async () => {
    const { ask } = await newWorld().serve();
    expect((await ask('POST', PODS, pod('b'))).status).toBe(201);
    await ask('POST', PODS, pod('a'));
    const read = await ask('GET', `${PODS}/a`);
    expect(read.body).toMatchObject({ kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a', namespace: 'default' } });
    expect(names((await ask('GET', '/api/v1/pods')).body)).toEqual(['a', 'b']);

    const changed = { ...read.body, metadata: { ...read.body.metadata, labels: { x: 'y' } } };
    expect((await ask('PUT', `${PODS}/a`, changed)).body.metadata.labels).toEqual({ x: 'y' });
    expect((await ask('PUT', `${PODS}/a`, changed)).body).toMatchObject({ code: 409, reason: 'Conflict' });

    expect((await ask('DELETE', `${PODS}/a`)).status).toBe(200);
    expect((await ask('GET', `${PODS}/a`)).body).toMatchObject({ code: 404, reason: 'NotFound' });
  });

  test('are refused with the answers of the real API server', async () => {
    const { ask } = await newWorld().serve();
    await ask('POST', PODS, pod('a'));
    expect((await ask('POST', PODS, pod('a'))).body).toMatchObject({ code: 409, reason: 'AlreadyExists' });
    expect((await ask('POST', '/api/v1/namespaces/none/pods', pod('a'))).body).toMatchObject({ code: 404 });
    expect((await ask('GET', '/apis/example.com/v1/things')).body).toMatchObject({ code: 404 });
    expect((await ask('POST', PODS, { metadata: {} })).body).toMatchObject({ code: 422, reason: 'Invalid' });
    expect((await ask('PUT', PODS, pod('a'))).body).toMatchObject({ code: 405 });
    expect((await ask('PATCH', `${PODS}/a`, {}, 'unknown')).body).toMatchObject({ code: 415 });
    expect((await ask('DELETE', `${PODS}/a`, { preconditions: { uid: 'x' } })).body).toMatchObject({ code: 409 });
    const unknownClass = pod('b', { spec: { priorityClassName: 'none' } });
    expect((await ask('POST', PODS, unknownClass)).body).toMatchObject({ code: 403, reason: 'Forbidden' });
  });

  test('are not stored in a dry run, which returns what would be created', async () => {
    const world = newWorld();
    const { ask } = await world.serve();
    const { status, body } = await ask('POST', `${PODS}?dryRun=All`, pod('a'));
    expect(status).toBe(201);
    expect(body.spec.schedulerName).toBe('default-scheduler');
    expect(world.store.list('pods')).toEqual([]);
  });

  test('are selected by labels and fields', async () => {
    const { ask } = await newWorld().serve();
    await ask('POST', PODS, pod('red', { labels: { color: 'red', size: 'l' }, spec: { nodeName: 'n1' } }));
    await ask('POST', PODS, pod('blue', { labels: { color: 'blue' }, spec: { nodeName: 'n2' } }));
    await ask('POST', PODS, pod('plain'));
    const select = async (query: string) => names((await ask('GET', `${PODS}?${query}`)).body);
    const byLabel = (selector: string) => select(`labelSelector=${encodeURIComponent(selector)}`);
    expect(await byLabel('color=red')).toEqual(['red']);
    expect(await byLabel('color==red,size=l')).toEqual(['red']);
    expect(await byLabel('color!=red')).toEqual(['blue', 'plain']);
    expect(await byLabel('color in (red, blue),size')).toEqual(['red']);
    expect(await byLabel('color notin (red)')).toEqual(['blue', 'plain']);
    expect(await byLabel('!color')).toEqual(['plain']);
    expect(await select('fieldSelector=spec.nodeName%3Dn2')).toEqual(['blue']);
    expect(await select('fieldSelector=spec.nodeName%3D')).toEqual(['plain']);
    expect(await select('fieldSelector=metadata.name!%3Dred,status.phase%3DPending')).toEqual(['blue', 'plain']);
    expect((await ask('GET', `${PODS}?labelSelector=%3D`)).body).toMatchObject({ code: 400 });
  });

  test('are listed in pages', async () => {
    const { ask } = await newWorld().serve();
    for (const name of ['a', 'b', 'c']) await ask('POST', PODS, pod(name));
    const first = (await ask('GET', `${PODS}?limit=2`)).body;
    expect(names(first)).toEqual(['a', 'b']);
    const rest = (await ask('GET', `${PODS}?limit=2&continue=${encodeURIComponent(first.metadata.continue)}`)).body;
    expect(names(rest)).toEqual(['c']);
    expect(rest.metadata.continue).toBeUndefined();
  });

  test('are deleted as a collection, as far as the selector reaches', async () => {
    const { ask } = await newWorld().serve();
    await ask('POST', PODS, pod('a', { labels: { job: 'x' } }));
    await ask('POST', PODS, pod('b'));
    await ask('DELETE', `${PODS}?labelSelector=job%3Dx`);
    expect(names((await ask('GET', PODS)).body)).toEqual(['b']);
  });
});

describe('patches over HTTP', () => {
  test('the status changes through /status only, everything else only outside of it', async () => {
    const { ask } = await newWorld().serve();
    await ask('POST', PODS, pod('a'));
    const both = { metadata: { annotations: { k: 'v' } }, spec: { activeDeadlineSeconds: 9 }, status: { reason: 'x' } };
    const viaStatus = (await ask('PATCH', `${PODS}/a/status`, both)).body;
    expect(viaStatus.status.reason).toBe('x');
    expect(viaStatus.metadata.annotations).toEqual({ k: 'v' });
    expect(viaStatus.spec.activeDeadlineSeconds).toBeUndefined();
    const direct = (await ask('PATCH', `${PODS}/a`, { ...both, status: { reason: 'y' } })).body;
    expect(direct.status.reason).toBe('x');
    expect(direct.spec.activeDeadlineSeconds).toBe(9);
  });

  test('a foreign UID is an immutable field, an old resource version a conflict', async () => {
    const { ask } = await newWorld().serve();
    await ask('POST', PODS, pod('a'));
    const foreign = (await ask('PATCH', `${PODS}/a`, { metadata: { uid: 'x' } })).body;
    expect(foreign).toMatchObject({ code: 422, details: { causes: [{ field: 'metadata.uid' }] } });
    const stale = await ask('PATCH', `${PODS}/a`, { metadata: { resourceVersion: '1', labels: { a: 'b' } } });
    expect(stale.body).toMatchObject({ code: 409, reason: 'Conflict' });
  });

  test('an apply creates the object, and later merges into it', async () => {
    const { ask } = await newWorld().serve();
    const apply = (data: object) =>
      ask(
        'PATCH',
        '/api/v1/namespaces/default/configmaps/c?fieldManager=test',
        { metadata: { name: 'c' }, data },
        'apply-patch+yaml',
      );
    expect((await apply({ a: '1' })).status).toBe(201);
    expect((await apply({ b: '2' })).body.data).toEqual({ a: '1', b: '2' });
  });
});

describe('kinds', () => {
  test('discovery lists the resources of a group', async () => {
    const { ask } = await newWorld().serve();
    const { body } = await ask('GET', '/apis/batch/v1');
    expect(body.resources).toEqual([
      { name: 'jobs', singularName: '', namespaced: true, kind: 'Job' },
      { name: 'cronjobs', singularName: '', namespaced: true, kind: 'CronJob' },
    ]);
    expect((await ask('GET', '/apis/example.com/v1')).status).toBe(404);
  });

  test('a CRD adds its resource', async () => {
    const { ask } = await newWorld().serve();
    const path = '/apis/example.com/v1/namespaces/default/things';
    expect((await ask('GET', path)).status).toBe(404);
    await ask('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      metadata: { name: 'things.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [{ name: 'v1', served: true }],
      },
    });
    expect((await ask('POST', path, { metadata: { name: 'a' }, spec: { size: 3 } })).status).toBe(201);
    expect((await ask('GET', `${path}/a`)).body).toMatchObject({ kind: 'Thing', spec: { size: 3 } });
  });

  test('an Event is the same object in both groups', async () => {
    const { ask } = await newWorld().serve();
    await ask('POST', '/apis/events.k8s.io/v1/namespaces/default/events', {
      metadata: { name: 'e' },
      regarding: { kind: 'Pod', name: 'a' },
      note: 'waits',
      reportingController: 'muster.dev/scheduler',
    });
    const core = (await ask('GET', '/api/v1/namespaces/default/events')).body.items[0];
    expect(core).toMatchObject({
      involvedObject: { name: 'a' },
      message: 'waits',
      reportingComponent: 'muster.dev/scheduler',
    });
    const grouped = (await ask('GET', '/apis/events.k8s.io/v1/namespaces/default/events/e')).body;
    expect(grouped).toMatchObject({ regarding: { name: 'a' }, note: 'waits' });
    expect(grouped.message).toBeUndefined();
  });

  test.each([
    ['about a node in default', { regarding: { kind: 'Node', name: 'n0' } }, 201],
    ['about a node in another namespace', { regarding: { kind: 'Node', name: 'n0' } }, 422, 'team-a'],
    ['about a pod there', { regarding: { kind: 'Pod', namespace: 'team-a', name: 'a' } }, 201, 'team-a'],
    ['without an action', { action: '' }, 422],
    ['with a note of more than 1024 bytes', { note: 'é'.repeat(513) }, 422],
    ['with a time in milliseconds', { eventTime: '2026-01-01T00:00:00.000Z' }, 400],
  ])('an Event %s is answered as by the real API server', async (_, but, status, namespace = 'default') => {
    const { ask } = await newWorld().serve();
    await ask('POST', '/api/v1/namespaces', { metadata: { name: 'team-a' } });
    const event = {
      metadata: { name: 'e' },
      regarding: { kind: 'Pod', namespace: 'default', name: 'a' },
      ...{ type: 'Normal', reason: 'Waits', action: 'Plan', note: 'waits', eventTime: '2026-01-01T00:00:00.000000Z' },
      ...{ reportingController: 'muster.dev/muster', reportingInstance: 'muster-0' },
      ...but,
    };
    expect((await ask('POST', `/apis/events.k8s.io/v1/namespaces/${namespace}/events`, event)).status).toBe(status);
  });
});
