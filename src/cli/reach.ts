/** How `muster` reaches a running Muster: at an address, or in the cluster of a kubeconfig. */
import { readFileSync } from 'node:fs';
import { connect as connectTls } from 'node:tls';
import { Agent, fetch } from 'undici';
import { ApiClient } from '../kube/client.ts';
import { type Endpoint, loadEndpoint } from '../kube/kubeconfig.ts';
import type { Credentials } from '../kube/login.ts';
import { openPortForward, type PodPort } from '../kube/port-forward.ts';
import { choosePod, portOf, type SeenPod, type SeenService, selectorOf } from './choose-pod.ts';
import type { ClusterTarget, MusterTarget, Reached, UrlTarget } from './command.ts';
import { authorize, type Fetch } from './fetch-json.ts';

/** @throws Error that says what to do when Muster is not there, or the user may not reach it. */
export function reachMuster(target: MusterTarget): Promise<Reached> {
  return target.kind === 'url' ? reachUrl(target) : reachCluster(target);
}

async function reachUrl({ url, kubeconfig, ...files }: UrlTarget): Promise<Reached> {
  const authorization = kubeconfig === undefined ? undefined : await readAuthorization(kubeconfig);
  if (kubeconfig !== undefined && authorization === undefined) {
    throw new Error(
      `expected a user with a token in ${kubeconfig}, found none; leave out --url, or present a certificate with --cert and --key`,
    );
  }
  const dispatcher = new Agent({ connect: readTls(files) });
  return open(url, dispatcher, authorization);
}

/** What the user of a kubeconfig sends in the header Authorization; undefined if it is nothing. */
async function readAuthorization(path: string): Promise<string | undefined> {
  const { headers } = await (await loadEndpoint({ kind: 'file', path })).credentials();
  return headers.Authorization;
}

/**
 * The Service says which pods and which port; the ConfigMap beside it, whose certificates to trust. Both come from the API
 * server, which the kubeconfig trusts already.
 */
async function reachCluster(target: ClusterTarget): Promise<Reached> {
  const { kubeconfig: path, namespace, service: name } = target;
  const endpoint = await loadEndpoint(path === undefined ? { kind: 'default' } : { kind: 'file', path });
  const api = new ApiClient(endpoint);
  try {
    const base = `/api/v1/namespaces/${encodeURIComponent(namespace)}`;
    const service = await get<SeenService>(api, `${base}/services/${encodeURIComponent(name)}`, {
      404: `give its name with --service and --muster-namespace`,
      403: rightsAdvice(namespace),
    });
    const selector = encodeURIComponent(selectorOf(service));
    const { items } = await get<{ readonly items: readonly SeenPod[] }>(api, `${base}/pods?labelSelector=${selector}`, {
      403: rightsAdvice(namespace),
    });
    const pod = choosePod(items);
    if (pod === undefined) {
      throw new Error(
        `expected a pod of Service ${name} that is Ready, found ${items.length === 0 ? 'no pod' : `none of ${items.length}`}; ` +
          `see kubectl get pods -n ${namespace} and their logs`,
      );
    }
    const port = portOf(service, pod);
    if (port === undefined)
      throw new Error(`expected Service ${name} to have a port of pod ${pod.metadata.name}, found none`);
    const { authorization, tls } = await credentialsFor(target, endpoint, api);
    const ca = target.ca === undefined ? await readCa(api, base, namespace) : readFileSync(target.ca, 'utf8');
    const podPort = { namespace, pod: pod.metadata.name, port };
    const host = `${name}.${namespace}.svc`;
    const dispatcher = forwardingAgent(endpoint, podPort, { ...tls, ca, servername: host });
    return open(`https://${host}:${port}`, dispatcher, authorization);
  } finally {
    await api.close();
  }
}

/** Each connection is a port-forward of its own, with TLS inside. */
function forwardingAgent(endpoint: Endpoint, target: PodPort, tls: Credentials['tls']): Agent {
  return new Agent({
    allowH2: false,
    connect: (_options, callback) => {
      openPortForward(endpoint, target).then(
        (stream) => {
          const socket = connectTls({ ...tls, socket: stream });
          socket.once('secureConnect', () => callback(null, socket));
          socket.once('error', (error) => callback(error, null));
        },
        (error: Error) => callback(error, null),
      );
    },
  });
}

interface UserCredentials {
  readonly authorization: string | undefined;
  /** A certificate of the user, which Muster may know. */
  readonly tls: Pick<Credentials['tls'], 'cert' | 'key'>;
}

async function credentialsFor(
  { serviceAccount, cert, key }: ClusterTarget,
  endpoint: Endpoint,
  api: ApiClient,
): Promise<UserCredentials> {
  const own = await endpoint.credentials();
  const tls = cert === undefined || key === undefined ? own.tls : { cert: readFileSync(cert), key: readFileSync(key) };
  const pair = { ...(tls.cert && { cert: tls.cert }), ...(tls.key && { key: tls.key }) };
  if (serviceAccount === undefined) return { authorization: own.headers.Authorization, tls: pair };
  return { authorization: `Bearer ${await requestToken(api, serviceAccount)}`, tls: {} };
}

/** A token for ten minutes, the least that the API server gives. */
async function requestToken(
  api: ApiClient,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<string> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}/token`;
  const { status, body } = await api.request('POST', path, { body: { spec: { expirationSeconds: 600 } } });
  const token = (body as { readonly status?: { readonly token?: string } } | undefined)?.status?.token;
  if (status === 201 && token !== undefined) return token;
  throw new Error(
    `expected a token of service account ${namespace}/${name}, found status ${status}: ${messageOf(body)}; ` +
      'create serviceaccounts/token must be allowed for it',
  );
}

async function readCa(api: ApiClient, base: string, namespace: string): Promise<string> {
  const remedy = 'muster certs --secrets writes it; or give the file of the CA with --ca';
  const { data } = await get<{ readonly data?: Readonly<Record<string, string>> }>(
    api,
    `${base}/configmaps/muster-ca`,
    {
      404: remedy,
      403: rightsAdvice(namespace),
    },
  );
  const ca = data?.['ca.crt'];
  if (ca === undefined)
    throw new Error(`expected ca.crt in ConfigMap muster-ca of namespace ${namespace}, found none; ${remedy}`);
  return ca;
}

function rightsAdvice(namespace: string): string {
  return `bind the Role muster-users in namespace ${namespace} to this user (deploy/rbac.yaml)`;
}

/** @param advice what to do, by status. */
async function get<T>(api: ApiClient, path: string, advice: Readonly<Record<number, string>>): Promise<T> {
  const { status, body } = await api.request('GET', path);
  if (status === 200) return body as T;
  const remedy = advice[status] ?? 'check the kubeconfig';
  throw new Error(`expected the API server to answer ${path} with 200, found ${status}: ${messageOf(body)}; ${remedy}`);
}

function messageOf(body: unknown): string {
  const message =
    typeof body === 'object' && body !== null ? (body as { readonly message?: unknown }).message : undefined;
  return typeof message === 'string' ? message : 'no message';
}

function readTls({
  ca,
  cert,
  key,
}: Pick<UrlTarget, 'ca' | 'cert' | 'key'>): Pick<Credentials['tls'], 'ca' | 'cert' | 'key'> {
  const read = (name: 'ca' | 'cert' | 'key', path: string | undefined) =>
    path === undefined ? {} : { [name]: readFileSync(path) };
  return { ...read('ca', ca), ...read('cert', cert), ...read('key', key) };
}

function open(url: string, dispatcher: Agent, authorization: string | undefined): Reached {
  const plain: Fetch = async (address, init) => (await fetch(address, { ...init, dispatcher })) as unknown as Response;
  return {
    url,
    fetch: authorization === undefined ? plain : authorize(plain, authorization),
    close: () => dispatcher.destroy(),
  };
}
