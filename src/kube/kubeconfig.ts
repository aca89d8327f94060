/** Where the API server is and how to authenticate to it, from a kubeconfig or the pod's service account. */
import type { RequestOptions } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { KubeConfig } from '@kubernetes/client-node';

/** The source of the API server's address and credentials. */
export type KubeconfigSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'in-cluster' }
  /** As kubectl does: `$KUBECONFIG`, then `~/.kube/config`, then the service account of the pod. */
  | { readonly kind: 'default' };

/** The credentials of one request. The same object is returned until something changes. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized'>;
}

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
 * Reads the kubeconfig. client-node is imported here and not at the top: it takes 0.6 s and 80 MB, which commands that
 * talk to no API server should not pay.
 * @throws Error when the file is missing, has no current cluster, or asks for a proxy.
 */
export async function loadEndpoint(source: KubeconfigSource): Promise<Endpoint> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    read(config, source);
  } catch (cause) {
    throw new Error(explainUnreadable(source, cause), { cause });
  }
  return endpointOf(config);
}

function read(config: KubeConfig, source: KubeconfigSource): void {
  switch (source.kind) {
    case 'file':
      config.loadFromFile(source.path);
      break;
    case 'in-cluster':
      config.loadFromCluster();
      break;
    case 'default':
      config.loadFromDefault();
      break;
    default:
      source satisfies never;
  }
}

function explainUnreadable(source: KubeconfigSource, cause: unknown): string {
  const setting = source.kind === 'file' ? 'api.kubeconfig or --kubeconfig' : '$KUBECONFIG or ~/.kube/config';
  const { message, code, path } = cause as NodeJS.ErrnoException;
  const found =
    code === 'ENOENT' ? `no file ${path}` : source.kind === 'file' ? `${message} (${source.path})` : message;
  return `expected a readable kubeconfig (${setting}), found ${found}; correct the path or the file, or leave it out inside a cluster`;
}

function endpointOf(config: KubeConfig): Endpoint {
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    // Undefined in a file without one, whatever its type says.
    const context = config.getCurrentContext() as string | undefined;
    throw new Error(
      `expected a kubeconfig whose current-context has a cluster, found ${
        context ? `current-context "${context}" without one` : 'no current-context'
      }; choose another one with kubectl config use-context, or correct its cluster`,
    );
  }
  if (cluster.proxyUrl !== undefined) {
    throw new Error(
      `expected a cluster without proxy-url, found "${cluster.proxyUrl}"; ` +
        `use a kubeconfig without it, where ${cluster.server} can be reached directly`,
    );
  }
  const user = config.getCurrentUser();
  if (cluster.server.startsWith('http:') && user !== null) {
    // client-node refuses plain HTTP without this option; there is no certificate to verify either way.
    config.loadFromClusterAndUser({ ...cluster, skipTLSVerify: true }, user);
  }
  let current: Credentials | undefined;
  return {
    server: cluster.server,
    credentials: async () => {
      const fresh = await readCredentials(config);
      if (current === undefined || !isDeepStrictEqual(fresh, current)) current = fresh;
      return current;
    },
  };
}

/**
 * client-node re-reads certificate files on each call, caches a token file for 60 s and the output of an exec plugin
 * until it expires. It also creates an https.Agent once, which is never used and never connects.
 */
async function readCredentials(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    // A token file may end in a newline, which a header must not contain.
    headers[name] = String(value).trim();
  }
  if (typeof options.auth === 'string') {
    headers.Authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  }
  return {
    headers,
    tls: {
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(servername !== undefined && { servername }),
      ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
    },
  };
}
