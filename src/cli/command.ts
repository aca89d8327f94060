/** What a command of `muster` is made of, and how its flags are read. */
import type { ParseArgsOptionsConfig } from 'node:util';
import type { CertificateStore } from '../certs/store.ts';
import type { MusterConfiguration } from '../config/configuration.ts';
import type { DoctorFacts } from '../doctor/diagnose.ts';
import type { LeftoverFacts, WaitingPod } from '../doctor/leftovers.ts';
import type { Fetch } from './fetch-json.ts';

/** Where certificates are kept. */
export type CertificatePlace =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'secrets'; readonly namespace: string; readonly kubeconfig: string | undefined };

/** Files in PEM: whom to trust, and what to present. */
interface TlsFlags {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export interface UrlTarget extends TlsFlags {
  readonly kind: 'url';
  readonly url: string;
  /** Whose user's token is sent. */
  readonly kubeconfig: string | undefined;
}

export interface ClusterTarget extends TlsFlags {
  readonly kind: 'cluster';
  readonly kubeconfig: string | undefined;
  /** Where Muster runs, and its Service. */
  readonly namespace: string;
  readonly service: string;
  /** Whose token is asked for and sent. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string } | undefined;
}

/** Where Muster is to be found. */
export type MusterTarget = UrlTarget | ClusterTarget;

/** A Muster that can be asked. */
export interface Reached {
  readonly url: string;
  readonly fetch: Fetch;
  close(): Promise<void>;
}

/** What `muster doctor` is to look at. */
export interface DoctorWish {
  readonly target: MusterTarget;
  /** Files; undefined: what the cluster shows. */
  readonly schedulerConfig: string | undefined;
  readonly config: string | undefined;
}

/** A cluster that Muster is taken out of. */
export interface LeftoverCluster {
  gather(): Promise<LeftoverFacts>;
  /** Resolves to why the gate is still closed; undefined: it is open, or the pod is gone. */
  openGate(pod: WaitingPod): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Everything outside the process that the commands use. */
export interface CliEnvironment {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly readFile: (path: string) => string;
  /** Finds a running Muster. */
  readonly reach: (target: MusterTarget) => Promise<Reached>;
  readonly openCertificates: (place: CertificatePlace) => Promise<CertificateStore>;
  readonly gatherFacts: (wish: DoctorWish) => Promise<DoctorFacts>;
  readonly openLeftovers: (kubeconfig: string | undefined, namespace: string) => Promise<LeftoverCluster>;
  /** Serves until the process is told to stop. */
  readonly serve: (config: MusterConfiguration) => Promise<void>;
  /** Plays the demo; also draws it into a file if one is given. */
  readonly demo: (svgFile: string | undefined) => Promise<void>;
}

export type Flags = Readonly<Record<string, string | boolean | undefined>>;

export interface Command {
  readonly summary: string;
  readonly usage: string;
  readonly options: ParseArgsOptionsConfig;
  run(flags: Flags, environment: CliEnvironment): Promise<ExitCode>;
}

/** 0: done, nothing found wrong. 1: the command found a problem in what it inspected. */
export type ExitCode = 0 | 1;

/** The command line is invalid: exit code 2, as opposed to 1 for a failure. */
export class UsageError extends Error {}

/** The text of a flag; undefined if it is absent or a switch. */
export function textOf(flag: string | boolean | undefined): string | undefined {
  return typeof flag === 'string' ? flag : undefined;
}
