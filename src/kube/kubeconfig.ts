/** Where the API server is and how to authenticate to it, from a kubeconfig or the pod's service account. */
import { isDeepStrictEqual } from 'node:util';
import type { Credentials, KubeconfigSource, Login } from './login.ts';
import { readPlainLogin } from './plain-kubeconfig.ts';

/** An API server and how to authenticate to it. */
export interface Endpoint {
  /** `https://host:port`, optionally with a path prefix. */
  readonly server: string;
  /**
   * The current credentials.
   * @throws Error when they are not available: an unreadable file, or a failed exec plugin.
   */
  credentials(): Promise<Credentials>;
}

/** An endpoint without credentials, such as `kubectl proxy` or a test server. */
export function openEndpoint(server: string): Endpoint {
  const credentials: Credentials = { headers: {}, tls: {} };
  return { server, credentials: async () => credentials };
}

/**
 * Reads the kubeconfig. client-node is loaded only for what it alone can do.
 * @throws Error when the file is missing, has no current cluster, or asks for a proxy.
 */
export async function loadEndpoint(source: KubeconfigSource): Promise<Endpoint> {
  let login: Login;
  try {
    login = readPlainLogin(source) ?? (await import('./plugin-login.ts')).readPluginLogin(source);
  } catch (cause) {
    throw new Error(explainUnreadable(source, cause), { cause });
  }
  return endpointOf(login);
}

function explainUnreadable(source: KubeconfigSource, cause: unknown): string {
  const setting = source.kind === 'file' ? 'api.kubeconfig or --kubeconfig' : '$KUBECONFIG or ~/.kube/config';
  const { message, code, path } = cause as NodeJS.ErrnoException;
  const found =
    code === 'ENOENT' ? `no file ${path}` : source.kind === 'file' ? `${message} (${source.path})` : message;
  return `expected a readable kubeconfig (${setting}), found ${found}; correct the path or the file, or leave it out inside a cluster`;
}

function endpointOf({ contextName, cluster, credentials }: Login): Endpoint {
  if (cluster === undefined) {
    throw new Error(
      `expected a kubeconfig whose current-context has a cluster, found ${
        contextName ? `current-context "${contextName}" without one` : 'no current-context'
      }; choose another one with kubectl config use-context, or correct its cluster`,
    );
  }
  if (cluster.proxyUrl !== undefined) {
    throw new Error(
      `expected a cluster without proxy-url, found "${cluster.proxyUrl}"; ` +
        `use a kubeconfig without it, where ${cluster.server} can be reached directly`,
    );
  }
  let current: Credentials | undefined;
  return {
    server: cluster.server,
    credentials: async () => {
      const fresh = await credentials();
      if (current === undefined || !isDeepStrictEqual(fresh, current)) current = fresh;
      return current;
    },
  };
}
