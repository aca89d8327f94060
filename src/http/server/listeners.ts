/** Muster's ports: one for everything and, if they are wanted, others on which there are no decisions. */
import { type RunningServer, type ServerOptions, startServer } from './server.ts';

/** What differs on a further port. */
export type FurtherPort = Pick<ServerOptions, 'fetch' | 'port' | 'strangers'> & {
  /** Nobody is asked for a certificate there. */
  readonly isWithoutCertificates?: true;
};

/** Starts to listen on all. They drain together, and each has connections of its own. */
export async function startListeners(options: ServerOptions, further: readonly FurtherPort[]): Promise<RunningServer> {
  const running = [await startServer(options)];
  const closeAll = async () => void (await Promise.all(running.map((server) => server.close())));
  // What is counted and told once belongs to the first.
  const { directPaths: _, onDraining: __, onCertificate: ___, ...common } = options;
  try {
    for (const { isWithoutCertificates, ...differing } of further) {
      const { tls } = options;
      const without = isWithoutCertificates && tls && { tls: { certFile: tls.certFile, keyFile: tls.keyFile } };
      running.push(await startServer({ ...common, ...without, ...differing }));
    }
  } catch (error) {
    await closeAll();
    throw error;
  }
  return { port: running[0]!.port, close: closeAll };
}
