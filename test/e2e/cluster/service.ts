import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';

/** Plays a Service in front of several Musters: a new connection goes to one that is ready, an open one stays where it is. */
export interface Service {
  /** The port of the Muster that is ready; undefined: none is. */
  ready(): number | undefined;
  close(): Promise<void>;
}

/** How often a kubelet would look; a real one looks each two seconds (deploy/muster.yaml). */
const PROBE_MS = 50;
/** A frozen process does not answer. */
const PROBE_TIMEOUT_MS = 500;

/** Starts one on the loopback interface. @param backends ports of Musters, which need not run yet. */
export async function startService(port: number, backends: readonly number[]): Promise<Service> {
  const sockets = new Set<Socket>();
  const ready = new Set<number>();
  let isClosed = false;

  const server = createServer((client) => {
    const [backend] = ready;
    // No endpoint: the connection is refused.
    if (backend === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect(backend, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  const probe = async (backend: number): Promise<void> => {
    while (!isClosed) {
      if (await isReady(backend)) ready.add(backend);
      else ready.delete(backend);
      await delay(PROBE_MS);
    }
  };

  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const probes = backends.map(probe);
  return {
    ready: () => [...ready][0],
    close: async () => {
      isClosed = true;
      for (const socket of sockets) socket.destroy();
      await Promise.all([new Promise((resolve) => server.close(resolve)), ...probes]);
    },
  };
}

async function isReady(port: number): Promise<boolean> {
  try {
    const timeouts = { headersTimeout: PROBE_TIMEOUT_MS, bodyTimeout: PROBE_TIMEOUT_MS };
    const { statusCode, body } = await request(`http://127.0.0.1:${port}/readyz`, timeouts);
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  }
}
