/** Judges kube-scheduler's configuration: whether it calls Muster, and in the way that gangs need. */
import { formatDuration, parseDuration } from '../core/objects/text-values.ts';
import type { Finding, Severity } from './finding.ts';

/** The fields of an extender that are read (kube-scheduler, `config/v1/types.go`). */
export interface ExtenderEntry {
  readonly urlPrefix?: string;
  readonly filterVerb?: string;
  readonly prioritizeVerb?: string;
  readonly preemptVerb?: string;
  readonly bindVerb?: string;
  readonly weight?: number;
  readonly enableHTTPS?: boolean;
  readonly tlsConfig?: {
    readonly insecure?: boolean;
    readonly caFile?: string;
    readonly caData?: string;
    readonly certFile?: string;
    readonly certData?: string;
  } | null;
  readonly httpTimeout?: string;
  readonly nodeCacheCapable?: boolean;
  readonly ignorable?: boolean;
  readonly managedResources?: readonly { readonly name: string; readonly ignoredByScheduler?: boolean }[] | null;
}

export interface SchedulerConfiguration {
  readonly kind?: string;
  readonly profiles?: readonly { readonly schedulerName?: string }[] | null;
  readonly extenders?: readonly ExtenderEntry[] | null;
}

/** What of Muster's own configuration must fit to it. */
export interface MusterSettings {
  readonly barrierTimeoutMs: number;
  readonly schedulerNames: readonly string[];
  /** A name may end in `*`. */
  readonly managedResources: readonly string[];
}

const MARKER = 'muster.dev/member';
const DEFAULT_SCHEDULER = 'default-scheduler';
/** kube-scheduler's, when the entry has none. */
const DEFAULT_TIMEOUT_MS = 5_000;
const SHIPPED = 'deploy/scheduler/kube-scheduler-config.yaml';

/** @param about where the configuration was read, such as a file. */
export function checkSchedulerConfiguration(
  config: SchedulerConfiguration,
  settings: MusterSettings,
  about: string,
): readonly Finding[] {
  const all = config.extenders ?? [];
  const entries = all.filter(isMuster);
  const report = reporter(about);
  if (entries.length === 0) {
    const found = all.length === 0 ? 'no extender' : `only ${all.map(({ urlPrefix }) => urlPrefix).join(', ')}`;
    return [
      report(
        'no-extender',
        'error',
        `expected an extender entry for Muster, found ${found}`,
        `add the entry of ${SHIPPED}`,
      ),
    ];
  }
  return [
    ...checkVerbs(all, entries, report),
    ...entries.flatMap((entry) => checkEntry(entry, report)),
    ...entries.flatMap((entry) => checkConnection(entry, report)),
    ...checkTimeouts(entries, settings, report),
    ...checkResources(entries, settings, report),
    ...checkProfiles(config, settings, report),
  ];
}

type Report = (kind: string, severity: Severity, text: string, fix: string) => Finding;

function reporter(about: string): Report {
  return (kind, severity, text, fix) => ({ kind, severity, about, text, fix });
}

/** By its address, or by the marker that no other extender has. */
/** Whether an extender of it is Muster. */
export function callsMuster({ extenders }: SchedulerConfiguration): boolean {
  return (extenders ?? []).some(isMuster);
}

function isMuster({ urlPrefix = '', managedResources }: ExtenderEntry): boolean {
  return /muster/i.test(urlPrefix) || (managedResources ?? []).some(({ name }) => name === MARKER);
}

function checkVerbs(
  all: readonly ExtenderEntry[],
  entries: readonly ExtenderEntry[],
  report: Report,
): readonly Finding[] {
  const findings: Finding[] = [];
  const binders = all.filter(({ bindVerb }) => bindVerb);
  if (binders.length > 1) {
    const found = binders.map(({ urlPrefix }) => urlPrefix).join(' and ');
    const fix = 'remove bindVerb from all entries but one of Muster';
    findings.push(
      report('bind-verbs', 'error', `expected one bindVerb, found it at ${found}: kube-scheduler does not start`, fix),
    );
  }
  for (const [verb, loss] of [
    ['filterVerb', 'gangs are not planned'],
    ['bindVerb', 'gangs start in part: nothing holds a member until the others come'],
    ['preemptVerb', 'kube-scheduler evicts for single members of gangs'],
  ] as const) {
    if (entries.some((entry) => entry[verb])) continue;
    const name = verb.replace('Verb', '');
    findings.push(
      report(
        'verb-missing',
        'error',
        `expected ${verb} in Muster's entry, found none: ${loss}`,
        `set ${verb}: ${name}`,
      ),
    );
  }
  for (const { prioritizeVerb, weight = 0 } of entries) {
    if (!prioritizeVerb || weight > 0) continue;
    const text = `expected weight to be at least 1 beside prioritizeVerb, found ${weight}: kube-scheduler does not start`;
    findings.push(report('weight', 'error', text, 'set weight: 1'));
  }
  return findings;
}

function checkEntry({ nodeCacheCapable, ignorable }: ExtenderEntry, report: Report): readonly Finding[] {
  const findings: Finding[] = [];
  if (nodeCacheCapable !== true) {
    const text =
      'expected nodeCacheCapable: true, found false: each call has all nodes whole, 40 MB with 5,000 of them';
    findings.push(report('node-cache', 'error', text, 'set nodeCacheCapable: true'));
  }
  if (ignorable === true) {
    const text =
      'expected ignorable: false, found true: while Muster does not answer, members of gangs are bound one by one';
    findings.push(report('ignorable', 'error', text, 'set ignorable: false'));
  }
  return findings;
}

function checkConnection(entry: ExtenderEntry, report: Report): readonly Finding[] {
  const { urlPrefix = '', enableHTTPS, tlsConfig } = entry;
  const host = URL.canParse(urlPrefix) ? new URL(urlPrefix) : undefined;
  if (host === undefined) {
    const fix = 'write the address with its scheme, such as https://10.96.0.7:8443/scheduler';
    return [report('address', 'error', `expected urlPrefix to be an address, found "${urlPrefix}"`, fix)];
  }
  const findings: Finding[] = [];
  if (!host.pathname.replace(/\/$/, '').endsWith('/scheduler')) {
    const text = `expected urlPrefix to end in /scheduler, found ${urlPrefix}: Muster answers 404`;
    findings.push(report('address', 'error', text, 'append /scheduler'));
  }
  if (host.protocol !== 'https:') {
    const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(host.hostname);
    const text = `expected https, found ${urlPrefix}: whoever reaches that port may bind any pod`;
    if (!isLocal)
      findings.push(report('no-tls', 'error', text, 'run muster certs, and set https, enableHTTPS and tlsConfig'));
    return findings;
  }
  if (tlsConfig?.insecure === true || !(tlsConfig?.caFile || tlsConfig?.caData)) {
    const text = `expected tlsConfig.caFile${enableHTTPS ? '' : ' and enableHTTPS: true'}, found none: kube-scheduler believes any server`;
    findings.push(
      report('no-ca', 'error', text, 'set tlsConfig.caFile to the ca.crt of muster certs, and insecure to false'),
    );
  }
  if (!(tlsConfig?.certFile || tlsConfig?.certData)) {
    const text = 'expected tlsConfig.certFile and keyFile, found none: Muster refuses callers without a certificate';
    findings.push(
      report('no-certificate', 'error', text, 'set them to scheduler.crt and scheduler.key of muster certs'),
    );
  }
  return findings;
}

function checkTimeouts(
  entries: readonly ExtenderEntry[],
  { barrierTimeoutMs }: MusterSettings,
  report: Report,
): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { bindVerb, httpTimeout } of entries) {
    if (!bindVerb) continue;
    const timeout = httpTimeout === undefined ? DEFAULT_TIMEOUT_MS : parseDuration(httpTimeout);
    if (timeout !== undefined && timeout > barrierTimeoutMs) continue;
    const barrier = formatDuration(barrierTimeoutMs);
    const text =
      `expected httpTimeout of the entry that binds to be above gang.barrierTimeout (${barrier}), ` +
      `found ${httpTimeout ?? 'none, which is 5s'}: members that wait for their gang are given up`;
    findings.push(report('timeout', 'error', text, `set httpTimeout to ${formatDuration(barrierTimeoutMs + 20_000)}`));
  }
  return findings;
}

function checkResources(
  entries: readonly ExtenderEntry[],
  { managedResources }: MusterSettings,
  report: Report,
): readonly Finding[] {
  const findings: Finding[] = [];
  if (entries.some((entry) => (entry.managedResources ?? []).length === 0)) {
    const text =
      'expected managedResources, found none: every pod of the cluster is asked about, and waits while Muster is away';
    return [report('all-pods', 'warning', text, `list the resources of ${SHIPPED}`)];
  }
  const listed = entries.flatMap((entry) => entry.managedResources ?? []);
  const names = listed.map(({ name }) => name);
  for (const name of managedResources) {
    const prefix = name.endsWith('*') ? name.slice(0, -1) : undefined;
    const isThere = prefix === undefined ? names.includes(name) : names.some((each) => each.startsWith(prefix));
    if (isThere) continue;
    const text = `expected ${name} in managedResources, found none: gangs that request it never reach Muster`;
    findings.push(report('resource-missing', 'warning', text, 'add it, or take it out of managedResources of Muster'));
  }
  const marker = listed.find(({ name }) => name === MARKER);
  if (marker === undefined) {
    const text = `expected ${MARKER} in managedResources, found none: members without an accelerator never reach Muster`;
    findings.push(report('marker-missing', 'warning', text, `add {name: ${MARKER}, ignoredByScheduler: true}`));
  } else if (marker.ignoredByScheduler !== true) {
    const text = `expected ignoredByScheduler: true at ${MARKER}, found false: no node offers it, so its pods fit nowhere`;
    findings.push(report('marker-counted', 'error', text, 'set ignoredByScheduler: true'));
  }
  return findings;
}

function checkProfiles(
  { profiles }: SchedulerConfiguration,
  { schedulerNames }: MusterSettings,
  report: Report,
): readonly Finding[] {
  const own = (profiles ?? []).map(({ schedulerName }) => schedulerName ?? DEFAULT_SCHEDULER);
  const names = own.length === 0 ? [DEFAULT_SCHEDULER] : own;
  return names
    .filter((name) => !schedulerNames.includes(name))
    .map((name) => {
      const text = `expected the profile ${name} in schedulerNames of Muster, found ${schedulerNames.join(', ')}: its gangs wait for ever`;
      return report(
        'scheduler-name',
        'error',
        text,
        `add ${name} to schedulerNames and to the condition of admission-policy.yaml`,
      );
    });
}
