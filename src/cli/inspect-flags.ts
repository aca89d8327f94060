/** The flags of the commands that ask a running Muster, and how it is reached with them. */
import type { ParseArgsOptionsConfig } from 'node:util';
import { type CliEnvironment, type Flags, type MusterTarget, type Reached, textOf, UsageError } from './command.ts';

export const inspectOptions: ParseArgsOptionsConfig = {
  url: { type: 'string' },
  kubeconfig: { type: 'string' },
  'muster-namespace': { type: 'string' },
  service: { type: 'string' },
  'service-account': { type: 'string' },
  ca: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  output: { type: 'string', short: 'o' },
};

export const namespacedOptions: ParseArgsOptionsConfig = {
  ...inspectOptions,
  namespace: { type: 'string', short: 'n' },
};

/** The part of the usage text that they share. */
export const inspectUsage = `  -o, --output json      print JSON and not a table
  -h, --help             this text

How Muster is reached: through the API server, as kubectl port-forward does it, and
asked with the token or the certificate of the kubeconfig's user.

  --kubeconfig FILE      default as kubectl: $KUBECONFIG, then ~/.kube/config
  --muster-namespace NAME, --service NAME
                         where it runs (default muster-system, muster)
  --service-account NAMESPACE/NAME
                         ask with a token of this one
  --ca FILE              CA of Muster's certificate (default: the ConfigMap muster-ca)
  --cert FILE, --key FILE
                         a certificate to present, with a name in server.callers.inspect
  --url URL              ask at this address instead, such as http://127.0.0.1:8443
`;

/** What to print, and whom to ask. */
export interface OpenInspection extends Reached {
  readonly json: boolean;
}

/** Reaches Muster for the time of `use`. */
export async function inspect<T>(
  flags: Flags,
  { reach }: CliEnvironment,
  use: (inspection: OpenInspection) => Promise<T>,
): Promise<T> {
  const { output } = flags;
  if (output !== undefined && output !== 'json') throw new UsageError(`--output: expected json, found "${output}"`);
  const reached = await reach(readMusterTarget(flags));
  try {
    return await use({ ...reached, json: output === 'json' });
  } finally {
    await reached.close();
  }
}

/** @throws UsageError when the flags contradict each other. */
export function readMusterTarget(flags: Flags): MusterTarget {
  const [ca, cert, key] = [textOf(flags.ca), textOf(flags.cert), textOf(flags.key)];
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError(
      `--cert and --key: expected both or neither, found ${cert === undefined ? '--key' : '--cert'}`,
    );
  }
  const tls = { ca, cert, key };
  const kubeconfig = textOf(flags.kubeconfig);
  const url = textOf(flags.url);
  const onlyInCluster = ['muster-namespace', 'service', 'service-account'].find((name) => flags[name] !== undefined);
  if (url === undefined) {
    const serviceAccount = readServiceAccount(textOf(flags['service-account']));
    const namespace = textOf(flags['muster-namespace']) ?? 'muster-system';
    return {
      kind: 'cluster',
      kubeconfig,
      namespace,
      service: textOf(flags.service) ?? 'muster',
      serviceAccount,
      ...tls,
    };
  }
  if (onlyInCluster !== undefined)
    throw new UsageError(`--${onlyInCluster}: expected no --url with it, found "${url}"`);
  // `localhost:8443` is a URL, too: of the scheme `localhost`.
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new UsageError(`--url: expected an address such as https://localhost:8443, found "${url}"`);
  }
  if (kubeconfig !== undefined && new URL(url).protocol !== 'https:') {
    throw new UsageError(`--kubeconfig: expected an https --url, found "${url}"; a token is not sent in the clear`);
  }
  return { kind: 'url', url, kubeconfig, ...tls };
}

function readServiceAccount(
  text: string | undefined,
): { readonly namespace: string; readonly name: string } | undefined {
  if (text === undefined) return undefined;
  const [namespace = '', name = '', ...more] = text.split('/');
  if (namespace === '' || name === '' || more.length > 0) {
    throw new UsageError(`--service-account: expected NAMESPACE/NAME, found "${text}"`);
  }
  return { namespace, name };
}
