/**
 * Reads kubeconfigs and service accounts by themselves, but for the parts of client-node that know the format. Whole,
 * client-node takes 0.4 s of CPU time and 35 MB at each start, nearly all of it for API classes that Muster does not use.
 */
import { accessSync, readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import {
  type Cluster,
  type Context,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from '@kubernetes/client-node/dist/config_types.js';
import { load } from 'js-yaml';
import type { Credentials, KubeconfigSource, Login } from './login.ts';

const NOBODY: Credentials = { headers: {}, tls: {} };
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Undefined where client-node must do it: several files, exec plugins, and the providers of clouds.
 * @param account directory of the pod's service account.
 * @throws Error when the file is missing or no kubeconfig.
 */
export function readPlainLogin(source: KubeconfigSource, account: string = SERVICE_ACCOUNT): Login | undefined {
  switch (source.kind) {
    case 'file':
      return readFile(source.path);
    case 'in-cluster':
      return readServiceAccount(account);
    case 'default':
      return readDefault(account);
    default:
      return source satisfies never;
  }
}

function readDefault(account: string): Login | undefined {
  const { KUBECONFIG, HOME } = process.env;
  if (process.platform === 'win32' || KUBECONFIG?.includes(delimiter)) return undefined;
  if (KUBECONFIG) return readFile(KUBECONFIG);
  const path = HOME ? join(HOME, '.kube', 'config') : undefined;
  if (path !== undefined && isThere(path)) return readFile(path);
  if (isThere(join(account, 'token'))) return readServiceAccount(account);
  // As kubectl.
  return { contextName: 'default', cluster: { server: 'http://localhost:8080' }, credentials: async () => NOBODY };
}

function readFile(path: string): Login | undefined {
  const config = load(readFileSync(path, 'utf8')) as Readonly<Record<string, unknown>>;
  const clusters: readonly Cluster[] = newClusters(config.clusters);
  const contexts: readonly Context[] = newContexts(config.contexts);
  const users: readonly User[] = newUsers(config.users);
  const contextName = config['current-context'] as string | undefined;
  const context = contexts.find(({ name }) => name === contextName);
  const cluster = clusters.find(({ name }) => name === context?.cluster);
  const user = users.find(({ name }) => name === context?.user);
  if (user?.exec || user?.authProvider) return undefined;
  const root = dirname(path);
  return { contextName, cluster, credentials: async () => credentialsOf(root, cluster, user) };
}

/** Certificate files are read again on each call, as they are replaced before they expire. */
function credentialsOf(root: string, cluster: Cluster | undefined, user: User | undefined): Credentials {
  const read = (file: string | null | undefined, data: string | null | undefined) => {
    if (file) return readFileSync(isAbsolute(file) ? file : join(root, file));
    return data ? Buffer.from(data, 'base64') : undefined;
  };
  const ca = read(cluster?.caFile, cluster?.caData);
  const cert = read(user?.certFile, user?.certData);
  const key = read(user?.keyFile, user?.keyData);
  const basic = user?.username && Buffer.from(`${user.username}:${user.password}`).toString('base64');
  // A token file may end in a newline, which a header must not contain.
  const authorization = basic ? `Basic ${basic}` : user?.token && `Bearer ${user.token.trim()}`;
  return {
    headers: {
      ...(authorization && { Authorization: authorization }),
      ...(user?.impersonateUser && { 'Impersonate-User': user.impersonateUser }),
    },
    tls: {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(cluster?.tlsServerName && { servername: cluster.tlsServerName }),
      ...(cluster?.skipTLSVerify && { rejectUnauthorized: false }),
    },
  };
}

/** The kubelet replaces the token, and the CA, while Muster runs: both are read again on each call. */
function readServiceAccount(account: string): Login {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '' } = process.env;
  const scheme = port === '80' || port === '8080' || port === '8001' ? 'http' : 'https';
  const server = `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  return {
    contextName: 'in-cluster',
    cluster: { server },
    credentials: async () => ({
      headers: { Authorization: `Bearer ${readFileSync(join(account, 'token'), 'utf8').trim()}` },
      tls: { ca: readFileSync(join(account, 'ca.crt')) },
    }),
  };
}

function isThere(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}
