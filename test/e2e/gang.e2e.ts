import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startControlPlane } from './cluster/control-plane.ts';
import { waitFor } from './cluster/wait.ts';
import { type MusterProcess, startMuster } from './muster.ts';
import { gangPods } from './objects.ts';

let cluster: Cluster;
let muster: MusterProcess;

beforeAll(async () => {
  cluster = await startControlPlane({ admissionPolicy: true });
  muster = await startMuster({ cluster });
});

afterAll(async () => {
  await muster?.stop();
  await cluster?.stop();
});

afterEach(() => cluster.reset());

describe('a gang starts whole, or not at all', () => {
  test('8 pods of one gang are filtered and bound', async () => {
    await cluster.addNodes({ count: 8, gpus: 8 });
    await cluster.api.createMany('pods', gangPods({ gang: 'first', size: 8, minMembers: 8 }));
    const pods = await waitFor(
      async () => {
        const pods = await cluster.api.list('pods', { namespace: 'default' });
        return pods.every((pod) => pod.spec?.nodeName) && pods;
      },
      { deadlineMs: 30_000, what: 'all 8 members bound' },
    );
    expect(new Set(pods.map((pod) => pod.spec!.nodeName)).size).toBe(8);
  });
});
