/** What proxies between Muster and the API server have in common. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Cluster } from './control-plane.ts';
import { writeKubeconfig } from './credentials.ts';

/** Starts to listen on the loopback interface. @returns Muster's kubeconfig, with the proxy as its server. */
export async function listenForMuster(proxy: Server, cluster: Cluster): Promise<string> {
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  return writeKubeconfig(join(cluster.dir, `muster-through-${port}.kubeconfig`), {
    url: `http://127.0.0.1:${port}`,
    caFile: cluster.caFile,
    token: cluster.tokens.muster,
  });
}
