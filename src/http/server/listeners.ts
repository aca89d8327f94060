/** Muster's ports: one for everything and, if it is wanted, one on which there are no decisions. */
import { type RunningServer, type ServerOptions, startServer } from './server.ts';

/** What differs on the second port. */
export type SecondPort = Pick<ServerOptions, 'fetch' | 'port'>;

/** Starts to listen on both. They drain together, and each has connections of its own. */
export async function startListeners(options: ServerOptions, second: SecondPort | undefined): Promise<RunningServer> {
  const first = await startServer(options);
  if (second === undefined) return first;
  // What is counted and told once belongs to the first.
  const { directPaths: _, onDraining: __, onCertificate: ___, ...common } = options;
  try {
    const other = await startServer({ ...common, ...second });
    return { port: first.port, close: async () => void (await Promise.all([first.close(), other.close()])) };
  } catch (error) {
    await first.close();
    throw error;
  }
}
