import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who acts in an e2e cluster. All but `admin` have the rights that the API server's own roles or deploy/ give them. */
export interface Tokens {
  /** Member of system:masters: KWOK, kube-controller-manager and the tests themselves. */
  readonly admin: string;
  readonly scheduler: string;
  readonly muster: string;
}

/** The files that the API server authenticates with. */
export interface CredentialFiles {
  readonly tokens: Tokens;
  readonly tokenFile: string;
  readonly serviceAccountKeyFile: string;
}

/**
 * Writes what authenticates users. Static tokens stand in for client certificates and projected service account tokens:
 * Muster's carries the very user and groups of its service account, so deploy/rbac.yaml decides what it may do.
 */
export function writeCredentials(dir: string): CredentialFiles {
  const tokens: Tokens = { admin: newToken(), scheduler: newToken(), muster: newToken() };
  const tokenFile = join(dir, 'tokens.csv');
  writeFileSync(
    tokenFile,
    [
      `${tokens.admin},e2e-admin,1,"system:masters"`,
      `${tokens.scheduler},system:kube-scheduler,2,""`,
      `${tokens.muster},system:serviceaccount:muster-system:muster,3,"system:serviceaccounts,system:serviceaccounts:muster-system"`,
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  const serviceAccountKeyFile = join(dir, 'service-account.key');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(serviceAccountKeyFile, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  return { tokens, tokenFile, serviceAccountKeyFile };
}

export function newToken(): string {
  return randomBytes(16).toString('hex');
}

/** Writes a kubeconfig (as JSON, which is YAML) and returns its path. No `caFile`: the API server speaks plain http. */
export function writeKubeconfig(
  path: string,
  user: { readonly url: string; readonly caFile?: string | undefined; readonly token: string },
): string {
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    // Without an authority the field is left out.
    clusters: [{ name: 'e2e', cluster: { server: user.url, 'certificate-authority': user.caFile } }],
    users: [{ name: 'e2e', user: { token: user.token } }],
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'e2e' } }],
    'current-context': 'e2e',
  };
  writeFileSync(path, JSON.stringify(kubeconfig, undefined, 2), { mode: 0o600 });
  return path;
}
