/** What is read from a kubeconfig or a service account, whoever reads it. */
import type { ConnectionOptions } from 'node:tls';

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

/** What a kubeconfig says of its current context. */
export interface Login {
  readonly contextName: string | undefined;
  readonly cluster: { readonly server: string; readonly proxyUrl?: string | undefined } | undefined;
  /** Reads the credentials again. */
  readonly credentials: () => Promise<Credentials>;
}
