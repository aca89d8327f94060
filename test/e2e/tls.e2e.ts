import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Authority, createAuthority } from '../http/support.ts';
import type { Cluster } from './cluster/control-plane.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { type MusterProcess, startMuster } from './muster.ts';
import { gangPods } from './objects.ts';
import { expectBound, worldOf } from './world.ts';

let authority: Authority;
let cluster: Cluster;
let muster: MusterProcess;

beforeAll(async () => {
  authority = createAuthority();
  const server = authority.issue('server', 'serverAuth');
  const scheduler = authority.issue('scheduler', 'clientAuth');
  const { caFile } = authority;
  cluster = await borrowControlPlane();
  await cluster.scheduler.restart({
    extenderUrl: `https://127.0.0.1:${cluster.musterPort}`,
    extender: { enableHTTPS: true, tlsConfig: { serverName: 'localhost', caFile, ...scheduler } },
  });
  const tls = { certFile: server.certFile, keyFile: server.keyFile, clientCaFile: caFile };
  muster = await startMuster({
    cluster,
    config: { server: { tls, drainDelay: '0s' } },
    tls: { caFile, ...scheduler },
  });
});

afterAll(async () => {
  await muster?.stop();
  await cluster?.stop();
  authority?.remove();
});

test('over TLS with client certificates a gang is filtered, held and bound', async () => {
  await cluster.addNodes({ count: 16 });
  await cluster.api.createMany('pods', gangPods({ gang: 'secure', size: 16 }));
  const pods = await expectBound(worldOf(cluster, muster, {}), 'secure', 16);
  expect(pods).toHaveLength(16);
});

test('without a client certificate only the probes answer', async () => {
  const dispatcher = new Agent({ connect: { ca: readFileSync(authority.caFile) } });
  const ask = async (path: string) => (await request(`${muster.url}${path}`, { dispatcher })).statusCode;
  expect(await ask('/livez')).toBe(200);
  expect(await ask('/v1/gangs')).toBe(403);
  await dispatcher.close();
});
