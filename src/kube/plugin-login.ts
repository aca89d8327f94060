/** Logins that client-node alone can do: exec plugins, the providers of clouds, and several kubeconfigs merged into one. */
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import type { Credentials, KubeconfigSource, Login } from './login.ts';

/** @throws Error when a file is missing or no kubeconfig. */
export function readPluginLogin(source: KubeconfigSource): Login {
  const config = new KubeConfig();
  read(config, source);
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  if (cluster?.server.startsWith('http:') && cluster.proxyUrl === undefined && user !== null) {
    // client-node refuses plain HTTP without this option; there is no certificate to verify either way.
    config.loadFromClusterAndUser({ ...cluster, skipTLSVerify: true }, user);
  }
  return {
    // Undefined in a file without one, whatever its type says.
    contextName: config.getCurrentContext() as string | undefined,
    cluster: cluster ?? undefined,
    credentials: () => readCredentials(config),
  };
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
