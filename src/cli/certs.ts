/** `muster certs`: makes the certificates of Muster and kube-scheduler, renews them, and changes their CA. */
import { randomBytes } from 'node:crypto';
import { isServerName } from '../certs/certificate.ts';
import { type CertificateNote, type Renewal, type RenewalWish, renewCertificates } from '../certs/renewal.ts';
import { formatAge } from './age.ts';
import { type CertificatePlace, type CliEnvironment, type Command, type Flags, textOf, UsageError } from './command.ts';
import { formatTable } from './table.ts';

const MAX_DAYS = 3650;

export const certs: Command = {
  summary: "Make or renew the certificates of Muster and of kube-scheduler's client",
  usage: `Usage: muster certs (--dir DIR | --secrets) [flags]

Makes what is missing, and renews what ends soon or does not fit; all else is kept.
Run it daily. Muster reads new files by itself; kube-scheduler its certificate, but
a new CA only when it starts.

  --dir DIR              files: ca.crt, ca.key, tls.crt and tls.key (Muster's),
                         scheduler.crt and scheduler.key (kube-scheduler's)
  --secrets              Secrets of the cluster: muster-ca, muster-tls and
                         muster-scheduler-tls, and the ConfigMap muster-ca; also the
                         CA of the admission webhook, if that is installed
  --kubeconfig FILE      how to reach the API server, with --secrets
  -n, --namespace NAME   where Muster runs (default muster-system)
  --service NAME         its Service (default muster)
  --names LIST           further names of Muster, separated by commas: DNS names and
                         IP addresses, such as that of the Service
  --scheduler NAME       kube-scheduler's name in server.callers.decisions
                         (default system:kube-scheduler)
  --days N               how long certificates are valid (default 365)
  --rotate-ca            take the next of three steps to another CA: announce it,
                         sign with it, forget the earlier one
  --check                write nothing; exit code 1 if something is to be renewed
  -o, --output json      print JSON and not a table
  -h, --help             this text
`,
  options: {
    dir: { type: 'string' },
    secrets: { type: 'boolean' },
    kubeconfig: { type: 'string' },
    namespace: { type: 'string', short: 'n', default: 'muster-system' },
    service: { type: 'string', default: 'muster' },
    names: { type: 'string' },
    scheduler: { type: 'string', default: 'system:kube-scheduler' },
    days: { type: 'string', default: '365' },
    'rotate-ca': { type: 'boolean' },
    check: { type: 'boolean' },
    output: { type: 'string', short: 'o' },
  },
  async run(flags, environment) {
    const { output, check } = flags;
    if (output !== undefined && output !== 'json') throw new UsageError(`--output: expected json, found "${output}"`);
    const wish = readWish(flags);
    const now = environment.now();
    const store = await environment.openCertificates(readPlace(flags));
    try {
      const renewal = renewCertificates(await store.read(), wish, { now, random: randomBytes });
      if (renewal.kind === 'refused') throw new Error(`${renewal.text} (${store.place})`);
      // Also without a change: a Secret may lack what an earlier run could not write.
      const warnings = check ? [] : await store.write(renewal.changes);
      for (const warning of warnings) environment.stderr(`${warning}\n`);
      report(renewal, output === 'json', environment, now);
      return check && renewal.changes.length > 0 ? 1 : 0;
    } finally {
      await store.close();
    }
  },
};

function readPlace({ dir, secrets, namespace, kubeconfig }: Flags): CertificatePlace {
  const path = textOf(dir);
  if ((path === undefined) === (secrets !== true)) {
    throw new UsageError(`expected --dir or --secrets, found ${path === undefined ? 'neither' : 'both'}`);
  }
  if (path === undefined) return { kind: 'secrets', namespace: String(namespace), kubeconfig: textOf(kubeconfig) };
  if (kubeconfig !== undefined) throw new UsageError('--kubeconfig: expected --secrets with it, found --dir');
  return { kind: 'directory', path };
}

function readWish({ namespace, service, names, scheduler, days, 'rotate-ca': rotateCa }: Flags): RenewalWish {
  const inCluster = `${service}.${namespace}.svc`;
  const further = (textOf(names) ?? '').split(',').filter((name) => name !== '');
  const wrong = [inCluster, ...further].find((name) => !isServerName(name));
  if (wrong !== undefined) throw new UsageError(`--names: expected DNS names and IP addresses, found "${wrong}"`);
  // X.509 allows 64 characters; Muster's own name is not read from there.
  const caller = String(scheduler);
  if (caller === '' || caller.length > 64) {
    throw new UsageError(`--scheduler: expected a name of 1 to 64 characters, found "${caller}"`);
  }
  const count = Number(days);
  if (!/^\d+$/.test(String(days)) || count < 1 || count > MAX_DAYS) {
    throw new UsageError(`--days: expected a number from 1 to ${MAX_DAYS}, found "${days}"`);
  }
  // Those who come by port-forward find it at localhost; a sidecar of kube-scheduler, too.
  const serverNames = [inCluster, `${inCluster}.cluster.local`, 'localhost', '127.0.0.1', ...further] as const;
  return { serverNames, schedulerName: caller, days: count, rotateCa: rotateCa === true };
}

const TITLES: Readonly<Record<CertificateNote['what'], string>> = {
  ca: 'CA',
  server: 'Muster',
  scheduler: 'kube-scheduler',
};
const STATES: Readonly<Record<CertificateNote['kind'], string>> = {
  kept: 'kept',
  made: 'made',
  'ca-announced': 'announced',
  'ca-switched': 'signs now',
  'ca-retired': 'alone',
  'ca-ends': 'ends soon',
};

type Done = Extract<Renewal, { readonly kind: 'renewal' }>;

function report({ notes, changes }: Done, json: boolean, { stdout }: CliEnvironment, now: number): void {
  if (json) {
    const items = notes.map(({ until, ...note }) => ({ ...note, validUntil: new Date(until).toISOString() }));
    stdout(`${JSON.stringify({ items, changes: changes.map(({ name }) => name) }, null, 2)}\n`);
    return;
  }
  const rows = notes.map(({ what, kind, because, until }) => [
    TITLES[what],
    STATES[kind],
    formatAge(until - now),
    because,
  ]);
  const columns = ['CERTIFICATE', 'STATE', 'VALID FOR', 'REASON'].map((title) => ({ title }));
  stdout(formatTable(columns, rows));
}
