/** A server of Muster on the loopback interface that lets everybody in and logs nothing: what is attacked is what lies behind. */
import { directPaths } from '../../src/http/app.ts';
import type { ServerOptions } from '../../src/http/server/server.ts';
import { createLogger } from '../../src/telemetry/log.ts';

export const loopbackServer: Omit<ServerOptions, 'fetch'> = {
  directPaths,
  bindAddress: '127.0.0.1',
  port: 0,
  isListed: () => true,
  onRefusedConnection: () => {},
  maxConnections: 1_000,
  drainDelayMs: 0,
  logger: createLogger({ verbosity: 0, write: () => {}, now: Date.now }),
};
